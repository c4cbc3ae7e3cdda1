"""A gate's decision as Markdown: a job's summary, and the one comment on a pull request.

Case ids, reasons and outputs are strangers' text: they stay text, call nobody, and link nowhere.

A gate's decision as JUnit XML: a rule is a test; a failure is the output's, an error the infrastructure's.
"""

import re
from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape, quoteattr

from evalh.analysis.gate.decision import Evidence, GateStatus
from evalh.core.errors import ExitCode
from evalh.core.values import Value
from evalh.report.documents.document import document_of
from evalh.report.documents.gate import FindingDocument, GateDocument, SuiteDocument
from evalh.report.files.run import xml
from evalh.report.terminal.gate import RELATIVE, decision_word, facts, look_line
from evalh.report.text import inert, safe

MARKER = "<!-- evalh gate -->"
"""The comment's first line: by it the next run finds the comment and writes over it."""

COMMENT_BYTES = 64_000  # GitHub takes 65,536 characters
SUMMARY_BYTES = 1_000_000  # GitHub takes 1 MiB

_SIGNS = {GateStatus.ACCEPT: "✅", GateStatus.REFUSE: "❌", GateStatus.INCONCLUSIVE: "❔"}
_SPECIAL = str.maketrans({one: f"\\{one}" for one in r"\`*_{}[]()#+!|~-"})
_MOST_OUTPUT = 2000
_MOST_HEADS = 500
_LEFT_OUT = "\n\n… more is in the log: `evalh show`, and in `evalh gate --json`.\n"


def gate_markdown(gate: GateDocument, limit_bytes: int, earlier: Sequence[str] = ()) -> str:
    """Return a decision as Markdown of at most so many bytes; what is cut are the examples at the end.

    `earlier`: the heads that were judged before, which a gate that judged nothing hands on.
    """
    heads = gate.series.heads if gate.series is not None else earlier
    text = MARKER + (f"\n<!-- evalh heads: {' '.join(heads[-_MOST_HEADS:])} -->" if heads else "")
    for block in _blocks(gate):
        if len((text + block + _LEFT_OUT).encode()) > limit_bytes:
            return text + _LEFT_OUT
        text += block
    return text


def _blocks(gate: GateDocument) -> Iterator[str]:
    relative = f" ({RELATIVE})" if gate.judge_relative else ""
    yield f"\n## {_sign(gate)} evalh gate: {decision_word(gate.exit, doubt=gate.doubt)}{relative}\n\n"
    yield f"{_text(gate.base)} → {_text(gate.head)}\n"
    if gate.series is not None:
        yield f"\n_{_text(look_line(gate.series))}_\n\n"
    for reason in gate.reasons:
        yield f"- {_text(_short(reason))}\n"
    for finding in gate.findings:
        if finding.reason not in gate.reasons:
            yield f"- {_sign(finding)} {_text(_short(finding.reason))}\n"
    for notice in gate.notices:
        yield f"\n_{_text(_short(notice))}_\n"
    for suite in gate.suites:
        yield from _suite(suite)
    if gate.unchanged:
        yield f"\nUnchanged: {_text(_short(', '.join(gate.unchanged)))}\n"
    for suite in gate.suites:
        for evidence in suite.evidence:
            yield _evidence(suite, evidence)


def _suite(suite: SuiteDocument) -> Iterator[str]:
    yield f"\n### {_sign(suite)} {_text(suite.suite)}\n\n"
    for fact in facts(suite):
        yield f"{_text(fact)}  \n"
    yield "\n| | rule | found |\n|---|---|---|\n"
    for finding in suite.findings:
        yield f"| {_sign(finding)} | {_text(finding.rule)} | {_text(_short(finding.reason))} |\n"
    for why in suite.judge_relative:
        yield f"\n⚖️ {RELATIVE}: {_text(_short(why))}\n"
    for notice in suite.notices:
        yield f"\n_{_text(_short(notice))}_\n"


def _sign(decided: GateDocument | SuiteDocument | FindingDocument) -> str:
    return "⚠️" if decided.doubt or decided.exit is ExitCode.CANNOT_MEASURE else _SIGNS[decided.status]


def _evidence(suite: SuiteDocument, evidence: Evidence) -> str:
    case = evidence.case_id
    head = f"{_text(suite.suite)}: {_text(_short(case))} got worse{_label(suite, case)}"
    reasons = "".join(f"- {_text(grader)}: {_text(_short(reason))}\n" for grader, reason in evidence.reasons)
    base, now = _fenced(evidence.base_output), _fenced(evidence.head_output)
    return f"\n<details><summary>{head}</summary>\n\nbase\n{base}\nhead\n{now}\n{reasons}\n</details>\n"


def _label(suite: SuiteDocument, case_id: str) -> str:
    for case in suite.comparison.confirmed if suite.comparison is not None else ():
        if case.case_id == case_id:
            base, head = (f"{side.good} of {side.trials}" for side in (case.base, case.head))
            return f"; asked again it is {case.label}: {base} good on base, {head} on head"
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


class _TestSuite(Value, kw_only=True):
    """A suite of JUnit: rules of a suite of ours, or what is about the whole change."""

    name: str
    findings: Sequence[FindingDocument]
    judge_relative: Sequence[str] = ()
    evidence: Sequence[Evidence] = ()


def gate_junit(gate: GateDocument) -> str:
    """Return a decision as JUnit: failure = a rule refuses, error = could not be measured, skipped = inconclusive."""
    tested = [*_whole(gate), *(document_of(_TestSuite, suite, name=suite.suite) for suite in gate.suites)]
    suites = "".join(_suite_xml(suite) for suite in tested)
    head = f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="evalh gate"{_counts(tested)}>'
    return f"{head}\n{suites}</testsuites>\n"


def _whole(gate: GateDocument) -> Iterator[_TestSuite]:
    """Yield what is about no suite that was run, as a suite: a file without a test would read as a pass of nothing."""
    names = [f"{name} is unchanged" for name in gate.unchanged]
    if not (names or gate.findings or gate.suites):
        names = ["nothing changed"]
    passed = (
        FindingDocument(rule=name, status=GateStatus.ACCEPT, exit=ExitCode.YES, reason="", cases=()) for name in names
    )
    if findings := [*gate.findings, *passed]:
        yield _TestSuite(name="the change", findings=findings)


def _suite_xml(suite: _TestSuite) -> str:
    cases = "".join(_test(suite, finding) for finding in suite.findings)
    head = f"<testsuite name={_attribute(suite.name)}{_counts([suite])}>"
    return f"{head}\n{relative_to(suite.judge_relative)}{cases}</testsuite>\n"


def relative_to(why: Sequence[str]) -> str:
    """Return a test suite's properties that say why its verdict is relative to its judges."""
    properties = "".join(f"<property name={_attribute(RELATIVE)} value={_attribute(text)}/>\n" for text in why)
    return f"<properties>\n{properties}</properties>\n" if properties else ""


def _counts(suites: Sequence[_TestSuite]) -> str:
    exits = [finding.exit for suite in suites for finding in suite.findings]
    failures, errors = exits.count(ExitCode.NO), exits.count(ExitCode.CANNOT_MEASURE)
    skipped = exits.count(ExitCode.INCONCLUSIVE)
    return f' tests="{len(exits)}" failures="{failures}" errors="{errors}" skipped="{skipped}"'


def _test(suite: _TestSuite, finding: FindingDocument) -> str:
    head = f"<testcase classname={_attribute('evalh.' + suite.name)} name={_attribute(finding.rule)}"
    reason = _attribute(finding.reason)
    match finding.exit:
        case ExitCode.YES:
            return f"{head}/>\n"
        case ExitCode.NO:
            texts = "\n".join(_evidence_text(case) for case in suite.evidence if case.case_id in finding.cases)
            return f"{head}><failure message={reason}>{escape(xml(texts))}</failure></testcase>\n"
        case ExitCode.INCONCLUSIVE:
            return f"{head}><skipped message={reason}/></testcase>\n"
        case _:
            return f"{head}><error message={reason}/></testcase>\n"


def _evidence_text(case: Evidence) -> str:
    reasons = "; ".join(f"{grader}: {reason}" for grader, reason in case.reasons)
    return f"{case.case_id}: {reasons}\n  base: {case.base_output}\n  head: {case.head_output}"


def _attribute(text: str) -> str:
    return quoteattr(xml(safe(text)))
