"""A gate's decision in a terminal, as JSON, and as notes on a pull request's lines."""

from collections.abc import Iterator

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from evalh.analysis.moving import MoveVerdict
from evalh.analysis.verdicts import Evidence, Finding, GateDecision, GateStatus, SuiteDecision
from evalh.core.digest import JsonValue
from evalh.core.exits import ExitCode
from evalh.report.calibration import judges_document
from evalh.report.document import comparison_document
from evalh.report.moving import move_document, spent, told
from evalh.report.text import one_line, percent, safe

GATE_SCHEMA = "evalh.gate/1"

RELATIVE = "judge-relative"
"""Said beside a verdict that rests on a judge for whom people's labels do not speak."""
_STYLES = {GateStatus.ACCEPT: "green", GateStatus.REFUSE: "red", GateStatus.INCONCLUSIVE: "yellow"}
_WIDTH = 88
_MOST_ANNOTATIONS = 10  # what GitHub shows of one kind in one step
_MOST_SHOWN = 3


def gate_document(decision: GateDecision) -> dict[str, JsonValue]:
    """Return the document of `evalh gate --json`."""
    return {
        "schema": GATE_SCHEMA,
        "decision": decision.status.value,
        "exit": int(decision.exit),
        "reasons": list(decision.reasons),
        "judge_relative": decision.judge_relative,
        "base": decision.base,
        "head": decision.head,
        "merge_base": decision.merge_base,
        "suites": [_suite(suite) for suite in decision.suites],
        "unchanged": list(decision.unchanged),
        "notices": list(decision.notices),
    }


def _suite(suite: SuiteDecision) -> dict[str, JsonValue]:
    return {
        "suite": suite.suite,
        "decision": suite.status.value,
        "exit": int(suite.exit),
        "reasons": list(suite.reasons),
        "require": suite.require,
        "changed": list(suite.parts),
        "base": suite.base,
        "head": suite.head,
        "model": suite.model,
        "margin": suite.margin,
        "detectable_drop": suite.detectable_drop,
        "cases_needed": suite.cases_needed,
        "stopped_at": suite.stopped_at,
        "of": suite.of,
        "saved": suite.saved,
        "asked": suite.asked,
        "findings": [
            {
                "rule": finding.rule,
                "decision": finding.status.value,
                "exit": int(finding.exit),
                "reason": finding.reason,
                "cases": list(finding.cases),
            }
            for finding in suite.findings
        ],
        "broken": list(suite.broken),
        "comparison": None if suite.comparison is None else comparison_document(suite.comparison),
        "canary": None if suite.canary is None else move_document(suite.canary),
        "notices": list(suite.notices),
        "judge_relative": list(suite.judge_relative),
        "judges": judges_document(suite.judges),
    }


def show_gate(console: Console, decision: GateDecision) -> None:
    """Print the decision: what was compared, each suite's findings, what got worse."""
    console.print(Text.assemble((safe(decision.base), "bold"), " → ", (safe(decision.head), "bold")))
    for suite in decision.suites:
        console.print()
        _show_suite(console, suite)
    console.print()
    if decision.unchanged and decision.suites:
        console.print(Text(f"unchanged: {safe(', '.join(decision.unchanged))}", "dim"))
    for notice in decision.notices:
        console.print(Text(safe(notice), "dim"), soft_wrap=True)
    relative = f"  {RELATIVE}" if decision.judge_relative else ""
    console.print(Text.assemble((decision.status.value, f"bold {_STYLES[decision.status]}"), (relative, "yellow")))
    for reason in decision.reasons:
        console.print(Padding(Text(safe(reason)), (0, 0, 0, 2)))


def _show_suite(console: Console, suite: SuiteDecision) -> None:
    console.print(Text.assemble((safe(suite.suite), "bold"), "  ", (suite.status.value, _STYLES[suite.status])))
    for line in facts(suite):
        console.print(Padding(Text(safe(line), "dim"), (0, 0, 0, 2)))
    for finding in suite.findings:
        console.print(Padding(_finding(finding), (0, 0, 0, 2)))
    for why in suite.judge_relative:
        console.print(Padding(Text(f"{RELATIVE}: {safe(why)}", "yellow"), (0, 0, 0, 2)))
    for notice in suite.notices:
        console.print(Padding(Text(f"note: {safe(notice)}", "dim"), (0, 0, 0, 2)))
    for evidence in suite.evidence[:_MOST_SHOWN]:
        console.print()
        console.print(Padding(_evidence(evidence), (0, 0, 0, 2)))


def facts(suite: SuiteDecision) -> Iterator[str]:
    """Say what was compared, how far, and what came out."""
    sides = f"{suite.base} → {suite.head}" if suite.base is not None else suite.head
    yield f"{sides} on {suite.model} · changed: {', '.join(suite.parts) or 'the version'}"
    yield f"{suite.stopped_at} of {suite.of} cases{saved(suite)} · {suite.asked} asked"
    compared = suite.comparison
    if compared is not None and compared.n:
        base, head = percent(compared.base.good_rate.value), percent(compared.head.good_rate.value)
        yield f"good: {base} → {head} · {compared.losses} got worse, {compared.wins} better"
    if suite.canary is not None:
        found = "moved" if suite.canary.verdict is MoveVerdict.MOVED else told(suite.canary)
        yield f"canary: {found} · {spent(suite.canary)}"


def saved(suite: SuiteDecision) -> str:
    """Say how much was not needed."""
    return f" were enough, {suite.saved} calls saved" if suite.saved and suite.stopped_at else ""


def _finding(finding: Finding) -> Text:
    return Text.assemble((f"{safe(finding.rule)}  ", _STYLES[finding.status]), safe(finding.reason))


def _evidence(evidence: Evidence) -> Text:
    lines = Text.assemble(("worse", "red"), f"  {one_line(evidence.case_id, 60)}\n")
    for side, output in (("base", evidence.base_output), ("head", evidence.head_output)):
        lines.append(f"{side}  ", "dim").append(f"{one_line('no output' if output is None else output, _WIDTH)}\n")
    for grader, reason in evidence.reasons:
        lines.append(f"{safe(grader)}  ", "dim").append(f"{one_line(reason, _WIDTH)}\n")
    lines.rstrip()
    return lines


def annotations(decision: GateDecision, prefix: str = "") -> Iterator[str]:
    """Yield GitHub's workflow commands, one for each finding that stands in the way, at the prompt's changed line."""
    lines = (
        _annotation(suite, finding, prefix)
        for suite in decision.suites
        for finding in suite.findings
        if finding.exit is not ExitCode.YES
    )
    for _, line in zip(range(_MOST_ANNOTATIONS), lines, strict=False):
        yield line


def _annotation(suite: SuiteDecision, finding: Finding, prefix: str) -> str:
    level = "error" if finding.exit is ExitCode.NO else "warning"
    file = f"{prefix}{suite.prompt_path}"
    place = f"file={_property(file)},line={suite.prompt_line},title={_property(f'evalh gate: {suite.suite}')}"
    return f"::{level} {place}::{_escaped(safe(f'{finding.rule}: {finding.reason}'))}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escaped(safe(text)).replace(":", "%3A").replace(",", "%2C")
