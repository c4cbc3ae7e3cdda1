"""What `evalh drift` found, for people and for programs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from rich.console import Console
from rich.padding import Padding

from evalh.analysis.moving import Move
from evalh.core.digest import JsonValue
from evalh.core.exits import ExitCode, worst
from evalh.report.console import Text
from evalh.report.moving import STYLES, WORDS, move_document, show_move
from evalh.report.text import safe

if TYPE_CHECKING:
    from evalh.core.errors import EvalhError

_VERDICTS = {ExitCode.NO: "moved", ExitCode.YES: "not_shown", ExitCode.INCONCLUSIVE: "not_comparable"}


class Found(Protocol):
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
    def move(self) -> Move | None:
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


def drift_document(found: Sequence[Found]) -> dict[str, JsonValue]:
    """Return the document of `evalh drift --json`."""
    code = worst(one.exit for one in found)
    return {
        "schema": "evalh.drift/1",
        "verdict": _VERDICTS.get(code, "unmeasured"),
        "exit": int(code),
        "suites": [_document(one) for one in found],
    }


def _document(one: Found) -> dict[str, JsonValue]:
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
    return document | move_document(one.move)


def show_drift(console: Console, found: Sequence[Found]) -> None:
    """Print each baseline: what was asked again, and whether the model under the name moved."""
    for number, one in enumerate(found):
        if number:
            console.print()
        if one.move is None:
            console.print(Text.assemble((safe(one.suite), "bold"), "  ", ("could not be asked", "yellow")))
            console.print(Padding(Text(safe(str(one.error)), "dim"), (0, 0, 0, 2)))
            continue
        verdict = (WORDS[one.move.verdict], STYLES[one.move.verdict])
        console.print(Text.assemble((safe(one.suite), "bold"), "  ", verdict))
        asked = f"{len(one.move.cases)} of {one.of} cases"
        head = f"{one.prompt} on {one.model} · accepted {one.date} · {asked}"
        console.print(Padding(Text(safe(head), "dim"), (0, 0, 0, 2)))
        show_move(console, one.move)
        for notice in one.notices:
            console.print(Padding(Text(f"note: {safe(notice)}", "dim"), (0, 0, 0, 2)))
