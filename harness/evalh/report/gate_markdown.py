"""A gate's decision as Markdown: a job's summary, and the one comment on a pull request.

Case ids, reasons and outputs are strangers' text: they stay text, call nobody, and link nowhere.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from evalh.analysis.verdicts import GateStatus
from evalh.core.exits import ExitCode
from evalh.report.gate import RELATIVE, decided, facts, looked
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
