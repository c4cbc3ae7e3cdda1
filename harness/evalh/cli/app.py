"""What every verb receives: the workspace, where to print, and whether the answer is JSON."""

import math
import sys
from collections.abc import Callable
from decimal import Decimal
from functools import cached_property, wraps
from typing import IO, TYPE_CHECKING, Any, TextIO, TypeVar, cast

import click

if TYPE_CHECKING:
    from msgspec import Struct
    from rich.console import Console

    from evalh.api.workspace import Workspace

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

_NARROWEST = 60
_PERCENT = 100
_COLOUR = frozenset("0123456789;")  # what a terminal's colour code holds between its brackets and its m


WHOLE = 500  # characters of a summary: a verb's first sentence is never cut


class Group(click.Group):
    """Verbs of one subject, each with its whole summary."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs, the summaries whole."""
        found = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        with formatter.section("Commands"):
            formatter.write_dl([(name, one.get_short_help_str(WHOLE)) for name, one in found if one is not None])


class App:
    """Opened lazily: `--help` costs nothing."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.json = False
        self.answer = sys.stdout

    @cached_property
    def workspace(self) -> "Workspace":
        """The workspace that holds the folder. Raises WorkspaceError if there is none."""
        from evalh.api.workspace import Workspace

        # What a plugin file prints from here on is not part of the answer, which may be a JSON document.
        sys.stdout = sys.stderr
        return Workspace.open(self.folder)

    def reopened(self) -> "Workspace":
        """Open the workspace again: its files may differ now."""
        del self.workspace
        return self.workspace

    @cached_property
    def console(self) -> "Console":
        """Where the answer goes: stdout."""
        return _console(self.answer)

    @cached_property
    def hints(self) -> "Console":
        """Where progress and hints go: stderr."""
        return _console(sys.stderr)

    def is_recorded(self, model: str) -> bool:
        """Whether a recording answers under this name: it cannot be asked again."""
        from evalh.providers.registry import traits_of

        spec = self.workspace.config.models.get(model)
        return spec is not None and traits_of(spec.provider).recorded

    def show(self, value: T, document: "Callable[[T], Struct]", text: "Callable[[Console, T], None]") -> None:
        """Print a verb's answer: the document made of it under `--json`, else as text."""
        if self.json:
            self.show_json(document(value))
        else:
            text(self.console, value)

    def show_json(self, document: "Struct") -> None:
        """Print a document, the whole answer of a verb under `--json`."""
        from evalh.report.documents.document import text_of

        click.echo(text_of(document, indent=2), file=self.answer)


class Trimmed:
    """A stream without trailing blanks: tables pad their last column."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write whole lines without trailing blanks; colour codes after the blanks stay."""
        return self._stream.write("\n".join(map(_trimmed, text.split("\n"))))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _trimmed(line: str) -> str:
    """Remove the blanks at a line's end, and keep the colour codes among them. Takes linear time."""
    end = len(line.rstrip(" "))
    codes: list[str] = []
    while line[end - 1 : end] == "m" and (start := line.rfind("\x1b[", 0, end)) >= 0:
        if not _COLOUR.issuperset(line[start + 2 : end - 1]):
            break
        codes.append(line[start:end])
        end = start
        while end and line[end - 1] == " ":
            end -= 1
    return line[:end] + "".join(reversed(codes))


def _console(stream: TextIO) -> "Console":
    from evalh.report.terminal.console import InertConsole

    console = InertConsole(file=cast("IO[str]", Trimmed(stream)), highlight=False, markup=False, emoji=False)
    if not console.is_terminal and "COLUMNS" not in console._environ:  # noqa: SLF001 (rich has no public reading)
        console.width = 100
    # Below that a table drops what it is there to show; the terminal breaks the lines then.
    console.width = max(console.width, _NARROWEST)
    return console


class Count(click.IntRange):
    """A number of things, 1 or more. A number beyond the largest means all."""

    name = "n"

    def __init__(self, least: int = 1, most: int | None = None) -> None:
        super().__init__(least, most)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read a number. Raises click's BadParameter."""
        try:
            number = int(value)
        except ValueError:
            self.fail(f"{value!r} is not a whole number.", param, ctx)
        return min(int(super().convert(number, param, ctx)), sys.maxsize)


class RateType(click.FloatRange):
    """A share from 0 to 1, never NaN: no comparison with NaN holds, so everything would pass."""

    def __init__(self) -> None:
        super().__init__(0, 1)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read a share; for 90 or 90% the message says how to write 90 %. Raises click's BadParameter."""
        text = str(value).strip()
        share = _number(text.rstrip("% "))
        if share is None:
            self.fail(f"{value!r} is not a rate: write one from 0 to 1.", param, ctx)
        if text.endswith("%") or not 0 <= share <= 1:
            advice = f": {share:g} % is {share / 100:g}" if 0 <= share <= _PERCENT else ""
            self.fail(f"{value!r} is not in the range from 0 to 1{advice}.", param, ctx)
        return share


class Usd(click.FloatRange):
    """An amount of money: finite, so that it limits."""

    name = "usd"

    def __init__(self) -> None:
        super().__init__(0)

    def convert(  # type: ignore[override]  # the base is there for its help alone
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Decimal:
        """Read an amount. Raises click's BadParameter."""
        amount = _number(str(value))
        if amount is None or math.isinf(amount):
            self.fail(f"{value!r} is not an amount in USD: write a number such as 0.50.", param, ctx)
        return Decimal(str(super().convert(amount, param, ctx)))


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return None if math.isnan(number) else number


def selection_options(function: F) -> F:
    """Add `--limit`, `--tag` and `--case`; the verb is handed a `selection`."""

    @click.option("--limit", type=Count(), help="Only the first N cases.")
    @click.option("--tag", "tags", multiple=True, help="Only cases with this tag; repeats.")
    @click.option("--case", "cases", multiple=True, metavar="ID", help="Only this case; repeats.")
    @wraps(function)
    def read(*given: Any, limit: int | None, tags: tuple[str, ...], cases: tuple[str, ...], **others: Any) -> Any:
        from evalh.engine.selection import Selection

        selection = Selection(case_ids=frozenset(cases), tags=frozenset(tags), limit=limit)
        return function(*given, selection=selection, **others)

    return cast("F", read)


def asking_options(
    *,
    calls: str = "Most calls in flight.",
    budget: str = "Most that each run may spend.",
    fresh: str = "Ask again, even if the log has the answer.",
    fresh_first: bool = False,
) -> Callable[[F], F]:
    """Add `--concurrency`, `--budget` and `--fresh`: the fields of `AskOptions`."""
    options = [
        click.option("--concurrency", type=Count(most=4096), help=f"{calls}  [default: 32]"),
        click.option("--budget", "budget_usd", type=Usd(), help=budget),
    ]
    options.insert(0 if fresh_first else 2, click.option("--fresh", is_flag=True, help=fresh))

    def add(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return add


def takes(kind: str) -> Callable[[F], F]:
    """Hand a verb its parameters that are fields of this class of `api.options` as one value, `options`."""

    def add(function: F) -> F:
        @wraps(function)
        def read(*given: Any, **stated: Any) -> Any:
            from evalh.api import options

            made = getattr(options, kind)
            fields = {name: stated.pop(name) for name in made.__struct_fields__ if name in stated}
            return function(*given, options=made(**fields), **stated)

        return cast("F", read)

    return add


def opposite(_ctx: click.Context, _param: click.Parameter, value: bool) -> bool:  # noqa: FBT001 (click's signature)
    """Read `--no-…` as the value of what it turns off."""
    return not value


def verb(function: F) -> F:
    """Hand a function the app as its first argument, and add `--json`, which it reads as `app.json`."""

    def remember(ctx: click.Context, _param: click.Parameter, value: bool) -> None:  # noqa: FBT001 (click's signature)
        ctx.find_root().obj.json = value

    option = click.option(
        "--json", is_flag=True, expose_value=False, callback=remember, help="Print one JSON document."
    )
    return cast("F", option(click.pass_obj(function)))
