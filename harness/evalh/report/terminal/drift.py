"""What `evalh drift` found, for people and for programs.

Whether the model under a name moved, for people and for programs: `evalh drift`, and a gate's canary.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from rich.console import Console
from rich.padding import Padding

from evalh.analysis.drift import DriftResult, DriftVerdict
from evalh.analysis.gate.decision import listed, points
from evalh.core.errors import ExitCode, worst
from evalh.core.strict_json import JsonValue
from evalh.report.document import usd
from evalh.report.text import StyledText, dollars, percent, rate, safe

if TYPE_CHECKING:
    from evalh.core.errors import EvalhError


STYLES = {DriftVerdict.MOVED: "red", DriftVerdict.NOT_SHOWN: "green", DriftVerdict.UNMEASURED: "yellow"}
WORDS = {
    DriftVerdict.MOVED: "moved",
    DriftVerdict.NOT_SHOWN: "not shown to have moved",
    DriftVerdict.UNMEASURED: "could not be measured",
}


def drift_result_document(move: DriftResult) -> dict[str, JsonValue]:
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


def drift_sentence(move: DriftResult) -> str:
    """Say what was found in one sentence. Names of cases and models are strangers' text."""
    flips = f"{move.losses} of {len(move.cases)} cases got worse, {move.wins} better"
    if move.verdict is DriftVerdict.UNMEASURED:
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
        parts.append(f"{flips}; {drift_power_line(move)}")
    return "; ".join(parts)


def drift_power_line(move: DriftResult) -> str:
    """Say which move would have been seen."""
    if move.smallest is None:
        return "so few cases show no move, however large, with 80 % power"
    return f"80 % power to show a move of {points(move.smallest)}"


def drift_cost_line(move: DriftResult) -> str:
    """Say what it took."""
    samples = len(move.cases) * move.trials
    today = f", {samples - move.asked} of them earlier today" if move.asked < samples else ""
    return f"{samples} asked again{today} · {dollars(move.cost_usd)}"


def show_drift_result(console: Console, move: DriftResult) -> None:
    """Print the numbers, the cases, and who answered."""
    for line in _lines(move):
        console.print(Padding(StyledText(safe(line)), (0, 0, 0, 2)))


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


_VERDICTS = {ExitCode.NO: "moved", ExitCode.YES: "not_shown", ExitCode.INCONCLUSIVE: "not_comparable"}


class DriftLine(Protocol):
    """One baseline, and what became of it."""

    @property
    def suite(self) -> str:
        """The suite's name."""

    @property
    def path(self) -> str:
        """The baseline's file."""

    @property
    def prompt(self) -> str:
        """The version that was accepted: `triage@v3`."""

    @property
    def model(self) -> str:
        """The model's name in the workspace."""

    @property
    def date(self) -> str:
        """When it was accepted."""

    @property
    def of(self) -> int:
        """How many cases the dataset has."""

    @property
    def move(self) -> DriftResult | None:
        """What was found; None: `error` says why nothing was."""

    @property
    def error(self) -> "EvalhError | None":
        """Why nothing was asked."""

    @property
    def notices(self) -> tuple[str, ...]:
        """What else a person should know."""

    @property
    def exit(self) -> ExitCode:
        """The exit code that it stands for."""


def drift_document(found: Sequence[DriftLine]) -> dict[str, JsonValue]:
    """Return the document of `evalh drift --json`."""
    code = worst(one.exit for one in found)
    return {
        "schema": "evalh.drift/1",
        "verdict": _VERDICTS.get(code, "unmeasured"),
        "exit": int(code),
        "suites": [_document(one) for one in found],
    }


def _document(one: DriftLine) -> dict[str, JsonValue]:
    document: dict[str, JsonValue] = {
        "suite": one.suite,
        "baseline": one.path,
        "prompt": one.prompt or None,
        "model": one.model or None,
        "date": one.date or None,
        "of": one.of or None,
        "exit": int(one.exit),
        "error": None if one.error is None else str(one.error),
        "notices": list(one.notices),
    }
    if one.move is None:
        return document | {"verdict": _VERDICTS.get(one.exit, "unmeasured")}
    return document | drift_result_document(one.move)


def show_drift(console: Console, found: Sequence[DriftLine]) -> None:
    """Print each baseline: what was asked again, and whether the model under the name moved."""
    for number, one in enumerate(found):
        if number:
            console.print()
        if one.move is None:
            console.print(StyledText.assemble((safe(one.suite), "bold"), "  ", ("could not be asked", "yellow")))
            console.print(Padding(StyledText(safe(str(one.error)), "dim"), (0, 0, 0, 2)))
            continue
        verdict = (WORDS[one.move.verdict], STYLES[one.move.verdict])
        console.print(StyledText.assemble((safe(one.suite), "bold"), "  ", verdict))
        asked = f"{len(one.move.cases)} of {one.of} cases"
        head = f"{one.prompt} on {one.model} · accepted {one.date} · {asked}"
        console.print(Padding(StyledText(safe(head), "dim"), (0, 0, 0, 2)))
        show_drift_result(console, one.move)
        for notice in one.notices:
            console.print(Padding(StyledText(f"note: {safe(notice)}", "dim"), (0, 0, 0, 2)))
