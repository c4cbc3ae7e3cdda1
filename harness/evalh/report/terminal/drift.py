"""Whether the model under a name moved: `evalh drift`, and a gate's canary."""

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.padding import Padding

from evalh.analysis.compare.comparison import listed
from evalh.analysis.drift import Drift, DriftResult, DriftVerdict
from evalh.analysis.gate.decision import points
from evalh.report.terminal.console import StyledText
from evalh.report.text import dollars, percent, rate, safe

STYLES = {DriftVerdict.MOVED: "red", DriftVerdict.NOT_SHOWN: "green", DriftVerdict.UNMEASURED: "yellow"}
WORDS = {
    DriftVerdict.MOVED: "moved",
    DriftVerdict.NOT_SHOWN: "not shown to have moved",
    DriftVerdict.UNMEASURED: "could not be measured",
}


def drift_sentence(move: DriftResult) -> str:
    """Say what was found in one sentence. Names of cases and models are strangers' text."""
    flips = f"{move.losses} of {len(move.cases)} cases got worse, {move.wins} better"
    if move.verdict is DriftVerdict.UNMEASURED:
        samples = len(move.cases) * move.trials
        return f"{move.ungraded} of {samples} samples that were asked again are ungraded: too many for a verdict"
    parts = []
    if move.newcomers:
        parts.append(f"another model answers: {', '.join(move.models_then)} then, {', '.join(move.models_now)} now")
    if move.answers_moved:
        cases = listed((*move.worse, *move.better), 5)
        parts.append(f"{flips} (p {move.p_value:.2g}, false alarms at most {100 * move.alpha:g} %: {cases})")
    elif move.newcomers:
        parts.append(f"{flips}: that is not shown to matter")
    else:
        parts.append(f"{flips}; {drift_power_line(move)}")
    return "; ".join(parts)


def drift_power_line(move: DriftResult) -> str:
    """Say which move would have been seen."""
    if move.smallest is None:
        return "too few cases to show any move with 80 % power"
    return f"80 % power to show a move of {points(move.smallest)}"


def drift_cost_line(move: DriftResult) -> str:
    """Say what it took."""
    samples = len(move.cases) * move.trials
    today = f", {samples - move.asked} of them earlier today" if move.asked < samples else ""
    return f"{samples} asked again{today} · {dollars(move.cost_usd)}"


def show_drift_result(console: Console, move: DriftResult) -> None:
    """Print the numbers, the cases, and who answered."""
    for line in _lines(move):
        console.print(Padding(StyledText(line), (0, 0, 0, 2)))


def _lines(move: DriftResult) -> Iterator[str]:
    yield drift_sentence(move)
    difference = move.difference
    if difference.value is not None and difference.low is not None and difference.high is not None:
        span = f"[{100 * difference.low:+.1f}, {100 * difference.high:+.1f}]"
        yield f"good: {rate(move.then)} then, {rate(move.now)} now; {100 * difference.value:+.1f} points  {span}"
    yield f"answers: {_models(move.models_then)} then, {_models(move.models_now)} now"
    if move.outputs[1]:
        yield f"outputs: {percent(move.outputs[0] / move.outputs[1])} differ, which alone is not a move"
    if move.worse:
        yield f"worse: {listed(move.worse)}"
    if move.better:
        yield f"better: {listed(move.better)}"
    yield drift_cost_line(move)


def _models(names: tuple[str, ...]) -> str:
    return ", ".join(names) or "an unnamed model"


def show_drift(console: Console, found: Sequence[Drift]) -> None:
    """Print each baseline: what was asked again, and whether the model under the name moved."""
    for number, one in enumerate(found):
        if number:
            console.print()
        if one.move is None:
            console.print(StyledText.assemble((one.suite, "bold"), "  ", ("could not be asked", "yellow")))
            console.print(Padding(StyledText(str(one.error), "dim"), (0, 0, 0, 2)))
            continue
        verdict = (WORDS[one.move.verdict], STYLES[one.move.verdict])
        console.print(StyledText.assemble((one.suite, "bold"), "  ", verdict))
        asked = f"{len(one.move.cases)} of {one.of} cases"
        head = f"{one.prompt} on {one.model} · accepted {one.date} · {asked}"
        console.print(Padding(StyledText(head, "dim"), (0, 0, 0, 2)))
        show_drift_result(console, one.move)
        for notice in one.notices:
            console.print(Padding(StyledText(f"note: {safe(notice)}", "dim"), (0, 0, 0, 2)))
