"""`evalh sql`: the log, queried."""

import math
import sys

import click

from evalh.cli.app import App, Count, json_option

_SHOWN = 1000


@click.command("sql")
@click.argument("query")
@click.option("--limit", type=Count(), default=_SHOWN, show_default=True, help="Most rows to print.")
@json_option
@click.pass_obj
def command(app: App, query: str, limit: int) -> None:
    """Run one SQL query over the log, read-only. Tables and columns: docs/reference/log.md.

    \b
      evalh sql "select * from failures limit 5"
      evalh sql "select error_kind, count(*) from attempts group by 1"
    """  # noqa: D301 (click's \b keeps the examples' lines)
    from itertools import islice

    columns, rows = app.workspace.log.query(query)
    taken = list(islice(rows, min(limit + 1, sys.maxsize)))
    more = len(taken) > limit
    if app.json:
        shown = [[_json_value(value) for value in row] for row in taken[:limit]]
        app.show_json({"schema": "evalh.sql/1", "columns": list(columns), "rows": shown, "more": more})
        return
    from rich.table import Table

    from evalh.report.text import one_line

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in columns:
        table.add_column(one_line(column, 60))
    for row in taken[:limit]:
        table.add_row(*("NULL" if value is None else one_line(str(value), 60) for value in row))
    app.console.print(table)
    if more:
        app.hints.print(f"note: only the first {limit} rows; --limit shows more", style="dim")


def _json_value(value: object) -> object:
    """Return what JSON can hold: a blob as hexadecimal digits, an infinity as text."""
    if isinstance(value, bytes):
        return value.hex()
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
