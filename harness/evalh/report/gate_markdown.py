"""A gate's decision as Markdown: a job's summary, and the one comment on a pull request.

Case ids, reasons and outputs are strangers' text: they stay text, call nobody, and link nowhere.
"""

import re
from collections.abc import Iterator

from evalh.analysis.verdicts import Evidence, Finding, GateDecision, GateStatus, SuiteDecision
from evalh.core.exits import ExitCode
from evalh.report.gate import RELATIVE, facts, suite_document
from evalh.report.text import safe

MARKER = "<!-- evalh gate -->"
"""The comment's first line: by it the next run finds the comment and writes over it."""

COMMENT_BYTES = 64_000  # GitHub takes 65,536 characters
SUMMARY_BYTES = 1_000_000  # GitHub takes 1 MiB

_SIGNS = {GateStatus.ACCEPT: "✅", GateStatus.REFUSE: "❌", GateStatus.INCONCLUSIVE: "❔"}
_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+!|~-])")
_MOST_OUTPUT = 2000
_LEFT_OUT = "\n\n… more is in the log: `evalh show`, and in `evalh gate --json`.\n"


def gate_markdown(decision: GateDecision, limit_bytes: int) -> str:
    """Return the decision as Markdown of at most so many bytes; what is cut are the examples at the end."""
    text = MARKER
    for block in _blocks(decision):
        if len((text + block + _LEFT_OUT).encode()) > limit_bytes:
            return text + _LEFT_OUT
        text += block
    return text


def _blocks(decision: GateDecision) -> Iterator[str]:
    yield f"\n## {_SIGNS[decision.status]} evalh gate: {decision.status.value}"
    yield f" ({RELATIVE})\n\n" if decision.judge_relative else "\n\n"
    yield f"{_text(decision.base)} → {_text(decision.head)}\n"
    for reason in decision.reasons:
        yield f"- {_text(_short(reason))}\n"
    for notice in decision.notices:
        yield f"\n_{_text(_short(notice))}_\n"
    for suite in decision.suites:
        yield from _suite(suite)
    if decision.unchanged:
        yield f"\nUnchanged: {_text(_short(', '.join(decision.unchanged)))}\n"
    for suite in decision.suites:
        for evidence in suite.evidence:
            yield _evidence(suite, evidence)


def _suite(suite: SuiteDecision) -> Iterator[str]:
    yield f"\n### {_SIGNS[suite.status]} {_text(suite.suite)}\n\n"
    for fact in facts(suite_document(suite)):
        yield f"{_text(fact)}  \n"
    yield "\n| | rule | found |\n|---|---|---|\n"
    for finding in suite.findings:
        yield f"| {_sign(finding)} | {_text(finding.rule)} | {_text(_short(finding.reason))} |\n"
    for why in suite.judge_relative:
        yield f"\n⚖️ {RELATIVE}: {_text(_short(why))}\n"
    for notice in suite.notices:
        yield f"\n_{_text(_short(notice))}_\n"


def _sign(finding: Finding) -> str:
    return "⚠️" if finding.exit is ExitCode.CANNOT_MEASURE else _SIGNS[finding.status]


def _evidence(suite: SuiteDecision, evidence: Evidence) -> str:
    head = f"{_text(suite.suite)}: {_text(_short(evidence.case_id))} got worse{_label(suite, evidence.case_id)}"
    reasons = "".join(f"- {_text(grader)}: {_text(_short(reason))}\n" for grader, reason in evidence.reasons)
    base, now = _fenced(evidence.base_output), _fenced(evidence.head_output)
    return f"\n<details><summary>{head}</summary>\n\nbase\n{base}\nhead\n{now}\n{reasons}\n</details>\n"


def _label(suite: SuiteDecision, case_id: str) -> str:
    for one in () if suite.comparison is None else suite.comparison.confirmed:
        if one.case_id == case_id:
            base, head = f"{one.base_good} of {one.base_trials}", f"{one.head_good} of {one.head_trials}"
            return f"; asked anew it is {one.label.value}: {base} good on base, {head} on head"
    return ""


def _fenced(output: str | None) -> str:
    if output is None:
        return "\n_no output was kept_\n"
    text = safe(output)
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
    flat = _SPECIAL.sub(r"\\\1", flat)
    # A joiner of no width: nothing is mentioned, no number and no address becomes a link.
    return re.sub(r"(@|#|://|\bwww(?=\.))", "\\1\u200b", flat)
