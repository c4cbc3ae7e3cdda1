"""A gate's decision in a terminal, as JSON, and as notes on a pull request's lines."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

from msgspec import to_builtins
from rich.console import Console
from rich.padding import Padding

from evalh.analysis.compare.comparison import Preferred
from evalh.analysis.drift import DriftResult, DriftVerdict
from evalh.analysis.gate.decision import Finding, GateDecision, GateStatus, SuiteDecision
from evalh.core.errors import EvalhError, ExitCode
from evalh.core.run import Estimate
from evalh.core.strict_json import JsonValue
from evalh.report.document import comparison_document, judges_document
from evalh.report.terminal.compare import points, preference, show_confirmed
from evalh.report.terminal.drift import drift_cost_line, drift_result_document, drift_sentence
from evalh.report.text import BREAK, StyledText, inert, one_line, percent, safe
from evalh.report.words import net_lines, worth_of

GATE_SCHEMA = "evalh.gate/1"

RELATIVE = "judge-relative"
"""Said beside a verdict that rests on a judge for whom people's labels do not speak."""
_STYLES: dict[str, str] = {
    GateStatus.ACCEPT: "green",
    GateStatus.REFUSE: "red",
    GateStatus.INCONCLUSIVE: "yellow",
}
_WIDTH = 88
_MOST_ANNOTATIONS = 10  # what GitHub shows of one kind in one step
_MOST_SHOWN = 3


def gate_document(decision: GateDecision) -> dict[str, JsonValue]:
    """Return the document of `evalh gate --json`."""
    return {
        "schema": GATE_SCHEMA,
        "gate": decision.id,
        "decision": decision.status.value,
        "doubt": decision.doubt,
        "exit": int(decision.exit),
        "reasons": list(decision.reasons),
        "judge_relative": decision.judge_relative,
        "base": decision.base,
        "head": decision.head,
        "merge_base": decision.merge_base,
        "series": None if decision.series is None else to_builtins(decision.series),
        "suites": [suite_document(suite) for suite in decision.suites],
        "unchanged": list(decision.unchanged),
        "findings": [_finding_document(finding) for finding in decision.findings],
        "notices": list(decision.notices),
    }


def problem_document(error: EvalhError, base: str, head: str) -> dict[str, JsonValue]:
    """Return the document of a gate that came to no decision: it says why, and what to do next."""
    what = f"{error.where}: {error.what}" if error.where else error.what
    reasons = [f"not decided: {what}", *(error.hint or "").splitlines()]
    return {
        "schema": GATE_SCHEMA,
        "gate": None,
        "decision": GateStatus.INCONCLUSIVE.value,
        "exit": int(error.exit_code),
        "reasons": list(reasons),
        "judge_relative": False,
        "base": base,
        "head": head,
        "merge_base": None,
        "suites": [],
        "unchanged": [],
        "findings": [_finding_document(Finding("decided", ExitCode.CANNOT_MEASURE, "\n".join(reasons)))],
        "notices": [],
    }


def _finding_document(finding: Finding) -> dict[str, JsonValue]:
    return {
        "rule": finding.rule,
        "decision": finding.status.value,
        "doubt": finding.doubt,
        "exit": int(finding.exit),
        "reason": finding.reason,
        "cases": list(finding.cases),
    }


def suite_document(suite: SuiteDecision) -> dict[str, JsonValue]:
    """Return one suite's part of it."""
    return {
        "suite": suite.suite,
        "decision": suite.status.value,
        "doubt": suite.doubt,
        "exit": int(suite.exit),
        "reasons": list(suite.reasons),
        "require": suite.require,
        "changed": list(suite.parts),
        "base": suite.base,
        "head": suite.head,
        "model": suite.model,
        "margin": suite.margin,
        "alpha": suite.alpha,
        "detectable_drop": suite.detectable_drop,
        "cases_needed": suite.cases_needed,
        "stopped_at": suite.stopped_at,
        "of": suite.of,
        "saved": suite.saved,
        "asked": suite.asked,
        "findings": [_finding_document(finding) for finding in suite.findings],
        "broken": list(suite.broken),
        "comparison": None if suite.comparison is None else comparison_document(suite.comparison),
        "canary": None
        if suite.canary is None
        else {**drift_result_document(suite.canary), "told": _moved(suite.canary)},
        "notices": list(suite.notices),
        "judge_relative": list(suite.judge_relative),
        "judges": judges_document(suite.judges),
        "evidence": [
            {
                "case": one.case_id,
                "base_output": one.base_output,
                "head_output": one.head_output,
                "reasons": [list(reason) for reason in one.reasons],
            }
            for one in suite.evidence
        ],
    }


def _moved(canary: DriftResult) -> str:
    return f"{'moved' if canary.verdict is DriftVerdict.MOVED else drift_sentence(canary)} · {drift_cost_line(canary)}"


def show_gate(console: Console, document: Mapping[str, Any]) -> None:
    """Print a decision's document: what was compared, each suite's findings, what got worse."""
    sides = StyledText.assemble((document["base"], "bold"), " → ", (document["head"], "bold"))
    console.print(sides, soft_wrap=True)
    if (line := looked(document)) is not None:
        console.print(StyledText(line, "dim"))
    for suite in document["suites"]:
        console.print()
        _show_suite(console, suite)
    console.print()
    _show_findings(console, document.get("findings", []))
    if document["unchanged"] and document["suites"]:
        console.print(StyledText(f"unchanged: {safe(', '.join(document['unchanged']))}", "dim"))
    for notice in document["notices"]:
        console.print(StyledText(safe(notice), "dim"), soft_wrap=True)
    if document.get("gate"):
        console.print(StyledText(f"kept in the log: evalh show {document['gate']}", "dim"))
    relative = f"  {RELATIVE}" if document.get("judge_relative") else ""
    console.print(StyledText.assemble((decided(document), f"bold {_style(document)}"), (relative, "yellow")))
    for reason in document["reasons"]:
        console.print(Padding(StyledText(safe(reason)), (0, 0, 0, 2)))


def decided(document: Mapping[str, Any]) -> str:
    """Name the decision of a gate, a suite or a finding, from its document."""
    match document["exit"]:
        case ExitCode.YES:
            return "accepted in doubt" if document.get("doubt") else "accept"
        case ExitCode.NO:
            return "refuse"
        case ExitCode.INCONCLUSIVE:
            return "inconclusive"
        case ExitCode.CANNOT_MEASURE:
            return "could not be measured"
        case _:
            return "not decided"


def _style(document: Mapping[str, Any]) -> str:
    return "yellow" if document.get("doubt") else _STYLES[document["decision"]]


def looked(document: Mapping[str, Any]) -> str | None:
    """Say which look at a pull request this is, from a gate's document; None where it stands alone."""
    series = document.get("series")
    if series is None:
        return None
    share = f"{100 * series['alpha']:.2g} %"
    look = _ordinal(series["look"])
    return f"{look} look at this pull request: {share} of the 5 % error rate of all its looks are for this one"


def _ordinal(number: int) -> str:
    last = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{'th' if number % 100 in (11, 12, 13) else last}"


def _show_suite(console: Console, suite: Mapping[str, Any]) -> None:
    console.print(StyledText.assemble((safe(suite["suite"]), "bold"), "  ", (decided(suite), _style(suite))))
    for line in facts(suite):
        console.print(Padding(StyledText(safe(line), "dim"), (0, 0, 0, 2)))
    _show_findings(console, suite["findings"])
    for why in suite.get("judge_relative", []):
        console.print(Padding(StyledText(f"{RELATIVE}: {safe(why)}", "yellow"), (0, 0, 0, 2)))
    for notice in suite["notices"]:
        console.print(Padding(StyledText(f"note: {safe(notice)}", "dim"), (0, 0, 0, 2)))
    if suite["comparison"] is not None and suite["comparison"]["confirmed"]:
        console.print()
        show_confirmed(console, suite["comparison"]["confirmed"])
    for evidence in suite.get("evidence", [])[:_MOST_SHOWN]:
        console.print()
        console.print(Padding(_evidence(evidence), (0, 0, 0, 2)))


def _show_findings(console: Console, findings: Iterable[Mapping[str, Any]]) -> None:
    for finding in findings:
        found = StyledText.assemble((f"{safe(finding['rule'])}  ", _style(finding)), safe(finding["reason"]))
        console.print(Padding(found, (0, 0, 0, 2)))


def facts(suite: Mapping[str, Any]) -> Iterator[str]:
    """Say what was compared, how far, and what came out: of one suite's document."""
    sides = f"{suite['base']} → {suite['head']}" if suite["base"] is not None else suite["head"]
    yield f"{sides} on {suite['model']} · changed: {', '.join(suite['changed']) or 'the version'}"
    measured = suite["exit"] != ExitCode.CANNOT_MEASURE
    enough = (
        f" were enough, {suite['saved']} calls saved" if measured and suite["saved"] and suite["stopped_at"] else ""
    )
    compared = suite["comparison"]
    alike = ""
    if compared is not None and compared.get("clusters") not in (None, compared["n"]):
        alike = f" in {compared['clusters']} clusters"
    yield f"{suite['stopped_at']} of {suite['of']} cases{alike}{enough} · {suite['asked']} asked"
    if compared is not None and compared["n"]:
        base, head = (percent(compared["sides"][side]["good_rate"]["value"]) for side in ("base", "head"))
        yield f"good: {base} → {head} · {compared['losses']} got worse, {compared['wins']} better"
        if compared.get("downstream"):
            nets = " → ".join(net_lines(compared["downstream"]))
            yield f"net cost per good output: {nets}"
            yield worth_of(compared["downstream"], suite["base"], suite["head"])
        estimate = Estimate(**compared["difference"])
        yield f"difference: {points(estimate)}{certainty(estimate, suite.get('alpha', 0.05))}"
        for one in compared["preferred"]:
            yield f"{one_line(one['grader'], 40)} {' · '.join(preference(Preferred(**one)))}"
    if suite.get("canary"):
        yield f"canary: {suite['canary']['told']}"


def certainty(estimate: Estimate, alpha: float) -> str:
    """Say how sure a difference's limits are; `alpha`: how often each limit by the gate's bets may err."""
    match estimate.method:
        case "identical":
            return ""
        case "counted":
            return ", counted over the whole dataset"
        case "gate-bets":
            return f", each limit {100 * (1 - alpha):.4g} %, valid at any stopping point"
        case "stopped-betting":  # of a gate that was kept before its own bets gave the limits
            return ", 95 %, valid at any stopping point"
        case _:
            return ", 95 %, over all cases"


def _evidence(evidence: Mapping[str, Any]) -> StyledText:
    lines = StyledText.assemble(("worse", "red"), f"  {one_line(evidence['case'], 60)}", BREAK)
    for side in ("base", "head"):
        output = evidence[f"{side}_output"]
        lines.append(f"{side}  ", "dim").append(one_line("no output" if output is None else output, _WIDTH)).append(
            BREAK
        )
    for grader, reason in evidence["reasons"]:
        lines.append(f"{safe(grader)}  ", "dim").append(one_line(reason, _WIDTH)).append(BREAK)
    lines.rstrip()
    return lines


def annotations(decision: GateDecision, prefix: str = "") -> Iterator[str]:
    """Yield GitHub's workflow commands, one for each finding that stands in the way, at the prompt's changed line."""
    file = _property(f"{prefix}evalh.toml")
    about_all = [
        f"::{_level(one)} file={file},line=1,title=evalh gate::{_escaped(safe(f'{one.rule}: {one.reason}'))}"
        for one in decision.findings
        if one.exit is not ExitCode.YES
    ]
    lines = chain(
        about_all,
        (
            _annotation(suite, finding, prefix)
            for suite in decision.suites
            for finding in suite.findings
            if finding.exit is not ExitCode.YES or finding.doubt
        ),
    )
    for _, line in zip(range(_MOST_ANNOTATIONS), lines, strict=False):
        yield line


def _level(finding: Finding) -> str:
    return "error" if finding.exit is ExitCode.NO else "notice" if finding.exit is ExitCode.YES else "warning"


def _annotation(suite: SuiteDecision, finding: Finding, prefix: str) -> str:
    file = f"{prefix}{suite.prompt_path}"
    place = f"file={_property(file)},line={suite.prompt_line},title={_property(f'evalh gate: {suite.suite}')}"
    return f"::{_level(finding)} {place}::{_escaped(inert(f'{finding.rule}: {finding.reason}'))}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escaped(safe(text)).replace(":", "%3A").replace(",", "%2C")
