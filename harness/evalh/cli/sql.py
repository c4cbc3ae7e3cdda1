"""`evalh sql`: the log, queried."""

import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from evalh.cli.app import App, Count, verb

if TYPE_CHECKING:
    from rich.console import Console

_WIDEST, _UNBOUNDED = 60, 100_000
_SHOWN = 1000


@click.command("sql")
@click.argument("query")
@click.option("--production", is_flag=True, help="Query traced programs instead: docs/reference/production.md.")
@click.option("--limit", type=Count(), default=_SHOWN, show_default=True, help="Most rows to print.")
@verb
def command(app: App, *, query: str, production: bool, limit: int) -> None:
    """Run one SQL query over the log, read-only. Tables and columns: docs/reference/log.md.

    \b
      evalh sql "select * from failures limit 5"
      evalh sql "select error_kind, count(*) from attempts group by 1"
      evalh sql --production "select * from failed_workflows"
    """  # noqa: D301 (click's \b keeps the examples' lines)
    from itertools import islice

    log = app.workspace.production if production else app.workspace.log
    columns, rows = log.query(query)
    taken = list(islice(rows, min(limit + 1, sys.maxsize)))
    more = len(taken) > limit
    if app.json:
        from evalh.report.documents.log import SqlDocument

        shown = tuple(tuple(map(_json_value, row)) for row in taken[:limit])
        app.show_json(SqlDocument(columns=tuple(columns), rows=shown, more=more))
        return
    _show(app.console, columns, taken[:limit])
    if more:
        app.hints.print(f"note: only the first {limit} rows; --limit shows more", style="dim")


def _show(console: "Console", columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table; if it is too wide, a line for each value: a truncated id is useless."""
    from rich.table import Table

    from evalh.report.text import one_line

    def text(value: object) -> str:
        return "NULL" if value is None else one_line(str(value), _WIDEST)

    names = [one_line(column, _WIDEST) for column in columns]
    table = Table(*names, box=None, padding=(0, 2, 0, 0), header_style="dim")
    for row in rows:
        table.add_row(*map(text, row))
    if console.measure(table, options=console.options.update(width=_UNBOUNDED)).maximum <= console.width:
        console.print(table)
        return
    widest = max(map(len, names))
    for row in rows:
        for name, value in zip(names, row, strict=True):
            console.print(f"{name:{widest}s}  {text(value)}", soft_wrap=True)
        console.print()


def _json_value(value: object) -> object:
    """Return what JSON can hold: a blob as hexadecimal digits, an infinity as text."""
    if isinstance(value, bytes):
        return value.hex()
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
