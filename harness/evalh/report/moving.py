"""Whether the model under a name moved, for people and for programs: `evalh drift`, and a gate's canary."""

from collections.abc import Iterator

from rich.console import Console
from rich.padding import Padding

from evalh.analysis.moving import Move, MoveVerdict
from evalh.analysis.verdicts import listed, points
from evalh.core.digest import JsonValue
from evalh.report.console import Text
from evalh.report.document import usd
from evalh.report.text import dollars, percent, rate, safe

STYLES = {MoveVerdict.MOVED: "red", MoveVerdict.NOT_SHOWN: "green", MoveVerdict.UNMEASURED: "yellow"}
WORDS = {
    MoveVerdict.MOVED: "moved",
    MoveVerdict.NOT_SHOWN: "not shown to have moved",
    MoveVerdict.UNMEASURED: "could not be measured",
}


def move_document(move: Move) -> dict[str, JsonValue]:
    """Return what is known of a move, as JSON."""
    return {
        "verdict": move.verdict.value,
        "cases": list(move.cases),
        "trials": move.trials,
        "wins": move.wins,
        "losses": move.losses,
        "difference": move.difference.document(),
        "good_rate": {"then": move.then.document(), "now": move.now.document()},
        "p_value": move.p_value,
        "test": move.test,
        "alpha": move.alpha,
        "smallest_move": move.smallest,
        "outputs": {"differ": move.outputs[0], "of": move.outputs[1]},
        "answering_models": {"then": list(move.models_then), "now": list(move.models_now)},
        "newcomers": list(move.newcomers),
        "ungraded": move.ungraded,
        "worse": list(move.worse),
        "better": list(move.better),
        "asked": move.asked,
        "cost_usd": usd(move.cost_usd),
    }


def told(move: Move) -> str:
    """Say what was found in one sentence. Names of cases and models are strangers' text."""
    flips = f"{move.losses} of {len(move.cases)} cases got worse, {move.wins} better"
    if move.verdict is MoveVerdict.UNMEASURED:
        samples = len(move.cases) * move.trials
        return f"{move.ungraded} of {samples} samples that were asked again are ungraded: no verdict rests on that"
    parts = []
    if move.newcomers:
        parts.append(f"another model answers: {', '.join(move.models_then)} then, {', '.join(move.models_now)} now")
    if move.answers_moved:
        cases = listed((*move.worse, *move.better), 5)
        parts.append(f"{flips} (p {move.p_value:.2g}, false alarms at most {100 * move.alpha:g} %: {cases})")
    elif move.newcomers:
        parts.append(f"{flips}: that is not shown to matter")
    else:
        parts.append(f"{flips}; {noticed(move)}")
    return "; ".join(parts)


def noticed(move: Move) -> str:
    """Say which move would have been seen."""
    if move.smallest is None:
        return "so few cases show no move, however large, with 80 % power"
    return f"80 % power to show a move of {points(move.smallest)}"


def spent(move: Move) -> str:
    """Say what it took."""
    samples = len(move.cases) * move.trials
    today = f", {samples - move.asked} of them earlier today" if move.asked < samples else ""
    return f"{samples} asked again{today} · {dollars(move.cost_usd)}"


def show_move(console: Console, move: Move) -> None:
    """Print the numbers, the cases, and who answered."""
    for line in _lines(move):
        console.print(Padding(Text(safe(line)), (0, 0, 0, 2)))


def _lines(move: Move) -> Iterator[str]:
    yield told(move)
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
    yield spent(move)


def _models(names: tuple[str, ...]) -> str:
    return ", ".join(names) or "an unnamed model"
