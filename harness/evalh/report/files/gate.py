"""A gate's decision as Markdown: a job's summary, and the one comment on a pull request.

Case ids, reasons and outputs are strangers' text: they stay text, call nobody, and link nowhere.

A gate's decision as JUnit XML: a rule is a test; a failure is the output's, an error the infrastructure's.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from evalh.analysis.gate.decision import GateStatus
from evalh.core.errors import ExitCode
from evalh.report.terminal.gate import RELATIVE, decided, facts, looked
from evalh.report.text import inert, safe

Document = Mapping[str, Any]

MARKER = "<!-- evalh gate -->"
"""The comment's first line: by it the next run finds the comment and writes over it."""

COMMENT_BYTES = 64_000  # GitHub takes 65,536 characters
SUMMARY_BYTES = 1_000_000  # GitHub takes 1 MiB

_SIGNS: dict[str, str] = {GateStatus.ACCEPT: "✅", GateStatus.REFUSE: "❌", GateStatus.INCONCLUSIVE: "❔"}
_SPECIAL = str.maketrans({one: f"\\{one}" for one in r"\`*_{}[]()#+!|~-"})
_MOST_OUTPUT = 2000
_MOST_HEADS = 500
_LEFT_OUT = "\n\n… more is in the log: `evalh show`, and in `evalh gate --json`.\n"


def gate_markdown(document: Document, limit_bytes: int, earlier: Sequence[str] = ()) -> str:
    """Return a decision's document as Markdown of at most so many bytes; what is cut are the examples at the end.

    `earlier`: the heads that were judged before, which a gate that judged nothing hands on.
    """
    series = document.get("series")
    heads = series["heads"] if series else earlier
    text = MARKER + (f"\n<!-- evalh heads: {' '.join(heads[-_MOST_HEADS:])} -->" if heads else "")
    for block in _blocks(document):
        if len((text + block + _LEFT_OUT).encode()) > limit_bytes:
            return text + _LEFT_OUT
        text += block
    return text


def _blocks(gate: Document) -> Iterator[str]:
    yield from _headline(gate)
    for reason in gate["reasons"]:
        yield f"- {_text(_short(reason))}\n"
    for finding in gate.get("findings", ()):
        if finding["reason"] not in gate["reasons"]:
            yield f"- {_sign(finding)} {_text(_short(finding['reason']))}\n"
    for notice in gate["notices"]:
        yield f"\n_{_text(_short(notice))}_\n"
    for suite in gate["suites"]:
        yield from _suite(suite)
    if gate["unchanged"]:
        yield f"\nUnchanged: {_text(_short(', '.join(gate['unchanged'])))}\n"
    for suite in gate["suites"]:
        for evidence in suite.get("evidence", ()):
            yield _evidence(suite, evidence)


def _headline(gate: Document) -> Iterator[str]:
    yield f"\n## {_sign(gate)} evalh gate: {decided(gate)}"
    yield f" ({RELATIVE})\n\n" if gate.get("judge_relative") else "\n\n"
    yield f"{_text(gate['base'])} → {_text(gate['head'])}\n"
    if (line := looked(gate)) is not None:
        yield f"\n_{_text(line)}_\n\n"


def _suite(suite: Document) -> Iterator[str]:
    yield f"\n### {_sign(suite)} {_text(suite['suite'])}\n\n"
    for fact in facts(suite):
        yield f"{_text(fact)}  \n"
    yield "\n| | rule | found |\n|---|---|---|\n"
    for finding in suite["findings"]:
        yield f"| {_sign(finding)} | {_text(finding['rule'])} | {_text(_short(finding['reason']))} |\n"
    for why in suite.get("judge_relative", ()):
        yield f"\n⚖️ {RELATIVE}: {_text(_short(why))}\n"
    for notice in suite["notices"]:
        yield f"\n_{_text(_short(notice))}_\n"


def _sign(finding: Document) -> str:  # or a suite, or the whole gate
    doubt = finding["exit"] == ExitCode.CANNOT_MEASURE or finding.get("doubt")
    return "⚠️" if doubt else _SIGNS[finding["decision"]]


def _evidence(suite: Document, evidence: Document) -> str:
    case = evidence["case"]
    head = f"{_text(suite['suite'])}: {_text(_short(case))} got worse{_label(suite, case)}"
    reasons = "".join(f"- {_text(grader)}: {_text(_short(reason))}\n" for grader, reason in evidence["reasons"])
    base, now = _fenced(evidence["base_output"]), _fenced(evidence["head_output"])
    return f"\n<details><summary>{head}</summary>\n\nbase\n{base}\nhead\n{now}\n{reasons}\n</details>\n"


def _label(suite: Document, case_id: str) -> str:
    for one in (suite["comparison"] or {}).get("confirmed", ()):
        if one["case"] == case_id:
            base, head = (f"{one[side]['good']} of {one[side]['trials']}" for side in ("base", "head"))
            return f"; asked again it is {one['label']}: {base} good on base, {head} on head"
    return ""


def _fenced(output: str | None) -> str:
    if output is None:
        return "\n_no output was kept_\n"
    text = inert(output[: _MOST_OUTPUT + 1])
    text = text if len(text) <= _MOST_OUTPUT else text[:_MOST_OUTPUT] + "…"
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"\n{fence}text\n{text}\n{fence}\n"


def _short(text: str) -> str:
    return text if len(text) <= _MOST_OUTPUT else text[:_MOST_OUTPUT] + "…"


def _text(text: str) -> str:
    """Make text inert in GitHub's and GitLab's Markdown: no markup, no HTML, no mention, no link."""
    flat = " ".join(safe(text).split())
    flat = flat.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    flat = flat.translate(_SPECIAL)
    # A joiner of no width: nothing is mentioned, no number and no address becomes a link.
    for one in ("@", "#", "://"):
        flat = flat.replace(one, f"{one}\u200b")
    return re.sub(r"\bwww(?=\.)", "www\u200b", flat)


_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def gate_junit(document: Document) -> str:
    """Return a decision's document so: failure = a rule refuses, error = not to be measured, skipped = inconclusive."""
    tested = [*_whole(document), *document["suites"]]
    suites = "".join(_suite_xml(suite) for suite in tested)
    head = f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="evalh gate"{_counts(tested)}>'
    return f"{head}\n{suites}</testsuites>\n"


def _whole(document: Document) -> Iterator[Document]:
    """Yield what is about no suite that was run, as a suite: a file without a test would read as a pass of nothing."""
    unchanged = [{"rule": f"{name} is unchanged", "exit": ExitCode.YES} for name in document["unchanged"]]
    found = [*document.get("findings", ()), *unchanged]
    if not found and not document["suites"]:
        found = [{"rule": "nothing changed", "exit": ExitCode.YES}]
    if found:
        yield {"suite": "the change", "findings": found}


def _suite_xml(suite: Document) -> str:
    cases = "".join(_test(suite, finding) for finding in suite["findings"])
    head = f"<testsuite name={_attribute(suite['suite'])}{_counts([suite])}>"
    return f"{head}\n{relative_to(suite.get('judge_relative', ()))}{cases}</testsuite>\n"


def relative_to(why: Sequence[str]) -> str:
    """Return a test suite's properties that say why its verdict is relative to its judges."""
    told = "".join(f"<property name={_attribute(RELATIVE)} value={_attribute(one)}/>\n" for one in why)
    return f"<properties>\n{told}</properties>\n" if told else ""


def _counts(suites: Sequence[Document]) -> str:
    exits = [finding["exit"] for suite in suites for finding in suite["findings"]]
    failures, errors = exits.count(ExitCode.NO), exits.count(ExitCode.CANNOT_MEASURE)
    skipped = exits.count(ExitCode.INCONCLUSIVE)
    return f' tests="{len(exits)}" failures="{failures}" errors="{errors}" skipped="{skipped}"'


def _test(suite: Document, finding: Document) -> str:
    head = f"<testcase classname={_attribute('evalh.' + suite['suite'])} name={_attribute(finding['rule'])}"
    reason = _attribute(finding.get("reason", ""))
    match ExitCode(finding["exit"]):
        case ExitCode.YES:
            return f"{head}/>\n"
        case ExitCode.NO:
            told = [_evidence_text(one) for one in suite.get("evidence", ()) if one["case"] in finding["cases"]]
            return f"{head}><failure message={reason}>{_content(chr(10).join(told))}</failure></testcase>\n"
        case ExitCode.INCONCLUSIVE:
            return f"{head}><skipped message={reason}/></testcase>\n"
        case _:
            return f"{head}><error message={reason}/></testcase>\n"


def _evidence_text(evidence: Document) -> str:
    reasons = "; ".join(f"{grader}: {reason}" for grader, reason in evidence["reasons"])
    return f"{evidence['case']}: {reasons}\n  base: {evidence['base_output']}\n  head: {evidence['head_output']}"


def _content(text: str) -> str:
    return escape(_NOT_XML.sub("", inert(text)))


def _attribute(text: str) -> str:
    return quoteattr(_NOT_XML.sub("", safe(text)))
