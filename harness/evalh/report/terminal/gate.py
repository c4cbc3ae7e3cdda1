"""A gate's decision in a terminal, and as notes on a pull request's lines."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

from rich.console import Console
from rich.padding import Padding

from evalh.analysis.gate.decision import Evidence, Finding, GateDecision, GateStatus, Series, SuiteDecision
from evalh.core.errors import ExitCode
from evalh.core.run import Estimate
from evalh.core.strict_json import JsonValue
from evalh.report.documents.gate import FindingDocument, GateDocument, SuiteDocument
from evalh.report.terminal.compare import points, preference, show_confirmed
from evalh.report.terminal.console import BREAK, StyledText
from evalh.report.text import cost_per_good, dollars, inert, json_line, one_line, percent, plural, safe, typable
from evalh.report.words import sides_differ, worth

RELATIVE = "judge-relative"
"""Said beside a verdict that rests on a judge for whom people's labels do not speak."""
_STYLES = {
    GateStatus.ACCEPT: "green",
    GateStatus.REFUSE: "red",
    GateStatus.INCONCLUSIVE: "yellow",
}
_WIDTH = 88
_MOST_ANNOTATIONS = 10  # what GitHub shows of one kind in one step
_MOST_SHOWN = 3
_MOST_NAMED = 10


def show_gate(console: Console, gate: GateDocument) -> None:
    """Print a decision: what was compared, each suite's findings, what got worse."""
    console.print(StyledText.assemble((gate.base, "bold"), " → ", (gate.head, "bold")), soft_wrap=True)
    if gate.series is not None:
        console.print(StyledText(look_line(gate.series), "dim"))
    for suite in gate.suites:
        console.print()
        _show_suite(console, suite, gate.base)
    console.print()
    _show_findings(console, gate.findings)
    if gate.unchanged and gate.suites:
        console.print(StyledText(f"unchanged: {safe(', '.join(gate.unchanged))}", "dim"))
    for notice in gate.notices:
        console.print(StyledText(notice, "dim"), soft_wrap=True)
    if gate.gate:
        console.print(StyledText(f"kept in the log: evalh show {gate.gate}", "dim"))
    relative = f"  {RELATIVE}" if gate.judge_relative else ""
    decision = decision_word(gate.exit, doubt=gate.doubt)
    console.print(StyledText.assemble((decision, f"bold {_style(gate)}"), (relative, "yellow")))
    for reason in gate.reasons:
        console.print(Padding(StyledText(reason), (0, 0, 0, 2)))


def next_commands(gate: GateDocument) -> Iterator[tuple[str, str]]:
    """Yield the commands that follow a decision, each with what it does; those of the page and the label are others."""
    undecided = gate.exit == ExitCode.INCONCLUSIVE or gate.doubt
    for suite in gate.suites if undecided else ():
        if (suite.exit == gate.exit) and (suite.doubt or not gate.doubt) and (name := typable(suite.suite)):
            yield f"evalh power {name}", "how many cases show which drop"
    released = dict.fromkeys(one.head.partition("@")[0] for one in gate.suites if one.head.endswith("@draft"))
    for prompt in released if gate.exit == ExitCode.YES and not gate.doubt else ():
        if name := typable(prompt):
            yield f"evalh prompt release {name}", "makes a version of the draft, if none has its content"


def may_confirm(gate: GateDocument) -> bool:
    """Whether --confirm can say more: a decision against or in doubt rests on cases that were not asked again yet."""
    decisive = [
        one for one in gate.suites if one.exit == gate.exit and (one.doubt or not gate.doubt) and not one.recorded
    ]
    open_ = gate.doubt or gate.exit in {ExitCode.NO, ExitCode.INCONCLUSIVE}
    return open_ and any(one.evidence and not (one.comparison and one.comparison.confirmed) for one in decisive)


def decision_word(code: int, *, doubt: bool = False) -> str:
    """Name the decision of a gate, a suite or a finding, by its exit code."""
    match code:
        case ExitCode.YES:
            return "accepted in doubt" if doubt else "accept"
        case ExitCode.NO:
            return "refuse"
        case ExitCode.INCONCLUSIVE:
            return "inconclusive"
        case ExitCode.CANNOT_MEASURE:
            return "could not be measured"
        case _:
            return "not decided"


def _style(decided: GateDocument | SuiteDocument | FindingDocument) -> str:
    return "yellow" if decided.doubt else _STYLES[decided.status]


def look_line(series: Series) -> str:
    """Say which look at a pull request this is, and its share of the error rate."""
    share, number = f"{100 * series.alpha:.2g} %", series.look
    last = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{last} look at this pull request: {share} of the 5 % error rate of all looks is for this one"


def named_sides(suite: SuiteDocument, base: str) -> str:
    """Name both sides as people do: `triage v3 → draft`; where the version has one name on both, with its branch."""
    prompt, _, version = suite.head.partition("@")
    if suite.base is None:
        return f"{prompt} {version}, new"
    before, _, earlier = suite.base.rpartition(":")[2].partition("@")
    if before != prompt:
        return f"{before} {earlier} → {prompt} {version}"
    return f"{prompt} {earlier}{f' on {base}' if earlier == version else ''} → {version}"


def differing_line(suite: SuiteDocument) -> str | None:
    """Name the parts in which a suite's sides differ; None: it is new."""
    return None if suite.base is None else sides_differ(suite.comparison, suite.parts)


def asked_line(suite: SuiteDocument) -> str:
    """Say how far it looked, and what it cost to ask."""
    compared, grouped, enough = suite.comparison, "", ""
    if compared is not None and compared.clusters not in (None, compared.n):
        grouped = f" in {compared.clusters} clusters"
    if suite.exit != ExitCode.CANNOT_MEASURE and suite.saved and suite.stopped_at:
        enough = f" were enough, {suite.saved} calls saved"
    cost = f" for {dollars(suite.spent_usd)}" if suite.spent_usd else ""
    return f"{suite.stopped_at} of {suite.of} cases{grouped}{enough} · {suite.asked} asked{cost}"


def _show_suite(console: Console, suite: SuiteDocument, base: str) -> None:
    decision = (decision_word(suite.exit, doubt=suite.doubt), _style(suite))
    console.print(StyledText.assemble((suite.suite, "bold"), "  ", decision))
    for line in _facts(suite, base):
        console.print(Padding(StyledText(line, "dim"), (0, 0, 0, 2)))
    _show_findings(console, suite.findings)
    for why in suite.judge_relative:
        console.print(Padding(StyledText(f"{RELATIVE}: {safe(why)}", "yellow"), (0, 0, 0, 2)))
    for notice in suite.notices:
        console.print(Padding(StyledText(f"note: {safe(notice)}", "dim"), (0, 0, 0, 2)))
    if suite.comparison is not None and suite.comparison.confirmed:
        console.print()
        show_confirmed(console, suite.comparison.confirmed)
    for evidence in suite.evidence[:_MOST_SHOWN]:
        console.print()
        console.print(Padding(_evidence(evidence), (0, 0, 0, 2)))
    shown = {evidence.case_id for evidence in suite.evidence[:_MOST_SHOWN]}
    if others := [] if suite.comparison is None else [one for one in suite.comparison.regressed if one not in shown]:
        named = ", ".join(one_line(one, 40) for one in others[:_MOST_NAMED])
        left = f" and {len(others) - _MOST_NAMED:,} more" if len(others) > _MOST_NAMED else ""
        console.print()
        console.print(Padding(StyledText(f"also worse: {named}{left}", "dim"), (0, 0, 0, 2)))


def _show_findings(console: Console, findings: Iterable[FindingDocument]) -> None:
    for finding in findings:
        line = StyledText.assemble((f"{safe(finding.rule)}  ", _style(finding)), safe(finding.reason))
        console.print(Padding(line, (0, 0, 0, 2)))


def _facts(suite: SuiteDocument, base: str) -> Iterator[str]:
    """Say what was compared, how far, and what came out."""
    yield f"{named_sides(suite, base)} on {suite.model}"
    if (told := differing_line(suite)) is not None:
        yield told
    yield asked_line(suite)
    compared = suite.comparison
    if compared is not None and compared.n:
        rates = (percent(side.good_rate.value) for side in (compared.sides.base, compared.sides.head))
        yield f"good: {' → '.join(rates)} · {compared.losses} got worse, {compared.wins} better"
        yield f"difference: {points(compared.difference)}{certainty(compared.difference, suite.alpha)}"
    yield from asides(suite)


def asides(suite: SuiteDocument) -> Iterator[str]:
    """Say what was measured beside the good rate: incidents, consequences, preferences, whether base's model moved."""
    if (told := incidents_line(suite)) is not None:
        yield told
    if (compared := suite.comparison) is not None and compared.n:
        if (downstream := compared.downstream) is not None:
            nets = (cost_per_good(side.net_cost_per_good_usd) for side in (downstream.base, downstream.head))
            yield f"net cost per good output: {' → '.join(nets)}"
            yield worth(downstream, suite.base or compared.base, suite.head)
        for preferred in compared.preferred:
            yield f"{one_line(preferred.grader, 40)} {' · '.join(preference(preferred))}"
    if suite.canary is not None:
        yield f"canary: {suite.canary.told}"


def incidents_line(suite: SuiteDocument) -> str | None:
    """Say which of the cases are in no number of a gate; None: none are."""
    if not suite.incidents:
        return None
    return f"{plural(suite.incidents, 'incident')} counted apart: asked for must_pass alone"


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


def inputs_text(inputs: Mapping[str, JsonValue]) -> str:
    """Write a case's inputs for people: one text as it is, otherwise a line each."""
    match [*inputs.values()]:
        case [str(text)]:
            return text
        case _:
            pairs = inputs.items()
            return "\n".join(
                f"{name}: {value if isinstance(value, str) else json_line(value)}" for name, value in pairs
            )


def _evidence(evidence: Evidence) -> StyledText:
    lines = StyledText.assemble(("worse", "red"), f"  {one_line(evidence.case_id, 60)}")
    outputs = (("base", evidence.base_output), ("head", evidence.head_output))
    texts = [(side, "no output" if output is None else output) for side, output in outputs]
    given = [] if evidence.inputs is None else [("input", inputs_text(evidence.inputs))]
    for name, text in [*given, *texts, *evidence.reasons]:
        lines.append(BREAK).append(f"{safe(name)}  ", "dim").append(one_line(text, _WIDTH))
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
