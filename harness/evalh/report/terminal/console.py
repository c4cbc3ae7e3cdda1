"""rich, made safe for untrusted text.

The one way to a terminal and to a job's log: nothing in a text starts a line, moves a cursor or reverses a line.

A line break is `BREAK`, given on its own; one inside a text is a stranger's, and is shown as an escape. So no case id,
branch name or output begins a line, let alone with what a job's runner takes for a command.
"""

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.padding import Padding
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text as RichText

from evalh.report.text import inert, safe


class _Break(str):
    __slots__ = ()


BREAK = _Break("\n")
"""A line break of our own."""


class StyledText(RichText):
    """rich's text, made inert as it comes in."""

    def __init__(self, text: str = "", style: str | Style = "", **more: Any) -> None:
        super().__init__(_inert(text), style, **more)

    @classmethod
    def assemble(
        cls, *parts: str | RichText | tuple[str, str | Style], style: str | Style = "", **more: Any
    ) -> "StyledText":
        """Put parts beside each other, with or without a style of their own."""
        whole = cls(style=style, **more)
        for part in parts:
            whole.append(*part) if isinstance(part, tuple) else whole.append(part)
        return whole

    def append(self, text: RichText | str, style: str | Style | None = None) -> "StyledText":
        """Add a text or `BREAK`; return this one."""
        super().append(_inert(text) if isinstance(text, str) else text, style)
        return self


def lines(texts: Iterable[str], style: str = "") -> StyledText:
    """Set texts below each other, each on a line of its own."""
    below = StyledText(style=style)
    for number, text in enumerate(texts):
        below.append(BREAK if number else "").append(text)
    return below


GAP = 2  # between columns


def columns(*names: str) -> Table:
    """Begin a table without lines; the numbers in a column whose name begins with `>` stand flush right."""
    table = Table(box=None, padding=(0, GAP, 0, 0), header_style="dim")
    for name in names:
        table.add_column(name.removeprefix(">"), justify="right" if name.startswith(">") else "left")
    return table


def fit(console: Console, table: Table, least: int) -> None:
    """Let the last column of a table give way to the others, down to `least` characters, and only then the first."""
    *others, last = table.columns
    widths = [max(console.measure(cell).maximum for cell in (column.header, *column.cells)) for column in others]
    room = console.width - sum(widths) - GAP * len(table.columns)
    for column in others:
        column.no_wrap = True
    last.no_wrap, last.overflow, last.max_width = True, "ellipsis", max(least, room)
    if room < least:
        others[0].overflow, others[0].max_width = "ellipsis", max(least, widths[0] + room - least)


def block(text: str, style: str = "") -> Padding:
    """Make several lines of a stranger's printable: indented, so that none is taken for one of ours."""
    return Padding(lines(text.split("\n"), style), (0, 0, 0, 2), expand=False)


def named(name: str, text: str) -> RenderableType:
    """Set a text beside its name, long lines too; below it where it has several lines."""
    if "\n" in text.strip("\n"):
        return Group(StyledText(name, "dim"), block(text.rstrip("\n")))
    beside = Table.grid(padding=(0, GAP, 0, 0), pad_edge=False)
    beside.add_column(style="dim", overflow="fold")
    beside.add_column(overflow="fold")
    beside.add_row(StyledText(name), StyledText(text.strip("\n")))
    return beside


class InertConsole(Console):
    """A console whose texts move no cursor and reverse no line; its own colours pass."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render to segments, with what is active in a text shown as an escape."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(inert(segment.text), segment.style)

    def render_str(self, text: str, **how: Any) -> RichText:
        """Read a plain text: one line, whatever is in it."""
        return super().render_str(_inert(text), **how)


def _inert(text: str) -> str:
    return text if text is BREAK else safe(text)
