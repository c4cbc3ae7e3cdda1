"""What `evalh dataset add` prints: where the row is, what it was made of, and whether it is red."""

from collections.abc import Iterator, Mapping, Sequence

from rich.console import Console

from evalh.core.sample import Standing
from evalh.core.strict_json import JsonValue
from evalh.core.verdict import Outcome
from evalh.report.documents.incoming import AddedRow, LiveTrials, RecordedVerdict
from evalh.report.terminal.console import StyledText
from evalh.report.text import json_line, one_line

_SAID = 160
_LABEL = 10


def show_added(console: Console, row: AddedRow) -> None:
    """Print one case that was added."""
    console.print(StyledText.assemble("added ", (one_line(row.id, _SAID), "bold"), f" to {row.dataset}:{row.line}"))
    for label, text in _lines(row):
        console.print(StyledText.assemble((f"{label:{_LABEL}s}", "dim"), one_line(text, _SAID)), soft_wrap=True)
    if row.standing is None:
        console.print(StyledText("not shown red: no answer was recorded, or its content was not kept", "yellow"))
    else:
        console.print(_recorded(row.standing, row.verdicts), soft_wrap=True)


def show_match(console: Console, whose: str, inputs: Mapping[str, JsonValue]) -> None:
    """Print inputs that were read back from messages, for a person to accept."""
    console.print(StyledText(f"inputs from {one_line(whose, _SAID)}:"), soft_wrap=True)
    for name, value in inputs.items():
        text = value if isinstance(value, str) else json_line(value)
        console.print(StyledText(f"  {one_line(name, _SAID)}  {one_line(text, _SAID)}"), soft_wrap=True)


def _lines(row: AddedRow) -> Iterator[tuple[str, str]]:
    yield "inputs", row.inputs_from
    if row.given:
        yield "given", ", ".join(row.given)
    for note in row.notes:
        yield "note", note
    if row.replaced:
        counts = ", ".join(f"{count} {kind}" for kind, count in row.replaced.items())
        yield "personal", f"{counts}: replaced by made-up values of the same kind"
    if row.near:
        yield "near", f"{', '.join(row.near)}: nearly the same text"


def _recorded(standing: Standing, verdicts: Sequence[RecordedVerdict]) -> StyledText:
    failed = [one for one in verdicts if one.required and one.outcome is Outcome.FAIL]
    if failed:
        why = "; ".join(f"{one.grader}: {one_line(one.reason, _SAID)}" for one in failed)
        return StyledText.assemble(("red", "bold red"), f"       the recorded answer fails {why}")
    if standing is Standing.GOOD:
        return StyledText(
            "not red   the recorded answer passes every grader: none of them notices the failure", "yellow"
        )
    return StyledText("not red   only a grader that asks a model could tell: evalh run asks it", "yellow")


def show_live(console: Console, live: LiveTrials) -> None:
    """Print how often the live version failed a case."""
    unknown = f", {live.ungraded} not graded" if live.ungraded else ""
    said = f"{live.version} fails {live.bad} of {live.trials}{unknown} (run {live.run})"
    console.print(StyledText.assemble((f"{'live':{_LABEL}s}", "dim"), said), soft_wrap=True)
