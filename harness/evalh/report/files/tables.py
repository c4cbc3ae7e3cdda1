"""A table of the log as CSV: UTF-8, a line of names first, times in UTC.

Texts are inert, as in every file that a spreadsheet may open, and whole: `report --format csv` cuts long ones.
"""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

from evalh.core.tables import Cell, TableRows
from evalh.report.files.run import csv_line, inert_cell


def csv_table(table: TableRows) -> Iterator[str]:
    """Yield the lines of a table. Unknown is an empty cell."""
    yield csv_line([column.name for column in table.columns])
    for row in table.rows:
        yield csv_line([_cell(value) for value in row])


def _cell(value: Cell) -> str | float:
    match value:
        case None:
            return ""
        case bool():
            return int(value)
        case str():
            return inert_cell(value, None)
        case datetime():
            return value.strftime("%Y-%m-%dT%H:%M:%S.") + f"{value.microsecond // 1000:03d}Z"
        case Decimal():
            return f"{value:f}"
        case _:
            return value
