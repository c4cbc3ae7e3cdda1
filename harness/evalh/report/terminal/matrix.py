"""The matrix in the terminal: a row for each case, a cell for each version and model."""

import json
from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from evalh.analysis.matrix import Cell, Matrix, MatrixColumn, MatrixRow
from evalh.core.case import ABSENT
from evalh.core.sample import Standing
from evalh.report.terminal.console import BREAK, GAP, StyledText, lines
from evalh.report.text import cut_inside, json_line, one_line, percent, plural, safe

_MARKS = {Standing.GOOD: ("✓", "green"), Standing.BAD: ("✗", "red"), Standing.UNGRADED: ("?", "yellow")}
_LEAST = 10  # characters of a cell
_CASE = 16  # characters of the case, at least
_LONG = 400


def show_matrix(console: Console, matrix: Matrix, rows: Sequence[MatrixRow], limit: int) -> None:
    """Print the rows, up to a limit, and say what is left out."""
    suite, differ = matrix.columns[0].run.record.suite, sum(row.differs for row in matrix.rows.values())
    cases = plural(len(matrix.rows), "case")
    console.print(StyledText.assemble((suite, "bold"), f": {cases}; on {differ:,} one is good and another is not"))
    console.print()
    shown = max(1, (console.width - _CASE - GAP) // (_LEAST + GAP))  # columns
    beside, room = _widths(console.width, matrix.columns[:shown], rows[:limit])
    table = Table(box=None, padding=(0, GAP, 0, 0), header_style="")
    table.add_column(_corner(rows[:limit]), width=beside, header_style="dim", no_wrap=True, overflow="ellipsis")
    for column in matrix.columns[:shown]:
        table.add_column(_head(column, room), width=room, no_wrap=True, overflow="ellipsis")
    for row in rows[:limit]:
        table.add_row(_case(row, beside), *(_cell(cell, room) for cell in row.cells[:shown]))
    console.print(table)
    if not rows:
        console.print(StyledText("no case fits", "dim"))
    for line in _left_out(matrix, rows, limit, shown):
        console.print(StyledText(line, "dim"))


def _widths(width: int, columns: Sequence[MatrixColumn], rows: Sequence[MatrixRow]) -> tuple[int, int]:
    """Return the widths of the cases and of each column: an id gets what its row's cells do not need."""
    room = max(_LEAST, (width - _CASE - GAP) // len(columns) - GAP)
    texts = [text for column in columns for text in _head(column, width).plain.splitlines()]
    texts += [_cell(cell, width).plain for row in rows for cell in row.cells[: len(columns)]]
    spare = (room - min(room, max(_LEAST, *map(cell_len, texts)))) * len(columns)
    longest = max((cell_len(text) for row in rows for text in _case(row, width).plain.splitlines()), default=0)
    beside = min(max(longest, _CASE), _CASE + spare)
    return beside, max(_LEAST, (width - beside - GAP) // len(columns) - GAP)


def _left_out(matrix: Matrix, rows: Sequence[MatrixRow], limit: int, shown: int) -> list[str]:
    found = []
    if len(rows) > limit:
        found.append(f"and {plural(len(rows) - limit, 'more case')}: --limit {len(rows)}")
    if len(matrix.columns) > shown:
        names = ", ".join(safe(column.name) for column in matrix.columns[shown:])
        found.append(f"no room for {names}: -p and -m choose columns, --report FILE has all")
    return found


def _head(column: MatrixColumn, room: int) -> StyledText:
    record, summary = column.run.record, column.run.summary
    told = lines((one_line(record.prompt, room), one_line(column.model, room)))
    rate = "no rate yet" if summary is None else percent(summary.good_rate.value)
    return told.append(BREAK).append(rate if column.step is None else one_line(column.step, room), "bold")


def _corner(rows: Sequence[MatrixRow]) -> StyledText:
    """Return the head of the first column: below the id stands what the case expects, if any case does."""
    told = StyledText("case")
    return told.append(BREAK).append("expected") if any(_gold(row) for row in rows) else told


def _gold(row: MatrixRow) -> str:
    expected = row.case.expected
    if isinstance(expected, dict) and len(expected) == 1:
        expected = next(iter(expected.values()))
    return "" if expected is ABSENT else expected if isinstance(expected, str) else json_line(expected)


def _case(row: MatrixRow, room: int) -> StyledText:
    gold = _gold(row)
    told = StyledText(cut_inside(row.case.id, room))
    return told.append(BREAK).append(one_line(gold, room), "dim") if gold else told


def _cell(cell: Cell | None, room: int) -> StyledText:
    if cell is None:
        return StyledText("not in it", "dim")
    mark, style = _MARKS.get(cell.standing, ("·", "dim")) if cell.standing else ("·", "dim")
    counted = f" {cell.good} of {cell.trials}" if cell.trials > 1 else ""
    output = cell.reason if cell.output is None else _gist(cell.output)
    return StyledText(f"{mark}{counted} ", style).append(
        one_line(output or "(empty)", max(1, room - 2 - len(counted))), ""
    )


def _gist(output: str) -> str:
    """Return the value where an output is JSON with one text in it: a label fits into a cell, its key does not."""
    if len(output) > _LONG or not output.lstrip().startswith("{"):
        return output
    try:
        values = list(json.loads(output).values())
    except (ValueError, RecursionError):
        return output
    return values[0] if len(values) == 1 and isinstance(values[0], str) else output
