"""CSV datasets: a header, then one case per record. Every cell is text."""

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from evalh.core.case import ABSENT, Case
from evalh.core.digest import JsonValue
from evalh.core.errors import WorkspaceError
from evalh.workspace.lines import LONGEST_BYTES, Span, read_lines, too_long
from evalh.workspace.reading import decode

_INPUTS, _EXPECTED = "inputs.", "expected."
_FOREIGN = {
    **dict.fromkeys(("expected_output", "__expected", "ideal", "target", "reference_outputs"), "expected"),
    **dict.fromkeys(("inputs", "vars"), "<the input's name>, one column for each"),
}
_TAG_ENDS = str.maketrans(";,", "  ")


class Csv:
    """A CSV file; its header is read when it is opened."""

    def __init__(self, file: BinaryIO, name: str, start: int) -> None:
        """`name` is for messages, `start` the offset of the header. Raises WorkspaceError for a wrong header."""
        self._name = name
        # The limit is the interpreter's, not a reader's: it is only ever raised.
        csv.field_size_limit(max(csv.field_size_limit(), LONGEST_BYTES))
        header = next((span for span in self._records(file, start, 1) if not span.raw.isspace()), None)
        if header is None:
            raise WorkspaceError("is empty", where=name, hint="the first line names the columns: id,…")
        columns = [cell.strip() for cell in self._cells(header)]
        _refuse_header(columns, f"{name}:{header.line}")
        self._width = len(columns)
        self._id = columns.index("id")
        self._tags = columns.index("tags") if "tags" in columns else None
        self._cluster = columns.index("cluster") if "cluster" in columns else None
        self._expected = [
            (number, tuple(column.split(".")[1:]))
            for number, column in enumerate(columns)
            if column == "expected" or column.startswith(_EXPECTED)
        ]
        taken = {self._id, self._tags, self._cluster, *(number for number, _ in self._expected)}
        self._inputs = [
            (number, column.removeprefix(_INPUTS)) for number, column in enumerate(columns) if number not in taken
        ]
        self._start = (header.offset + len(header.raw), header.line + len(header.raw.splitlines()))

    def rows(self, file: BinaryIO) -> Iterator[Span]:
        """Find the records; those without content are skipped."""
        records = self._records(file, *self._start)
        return (span for span in records if not span.raw.isspace() and span.raw.strip(b",\r\n"))

    def case(self, span: Span) -> Case:
        """Read one record. Raises WorkspaceError."""
        where = f"{self._name}:{span.line}"
        cells = self._cells(span)
        if len(cells) != self._width:
            raise WorkspaceError(
                f"has {len(cells)} cells where the header has {self._width}",
                where=where,
                hint="cells with a comma stand in double quotes",
            )
        case_id = cells[self._id]
        if not case_id.strip():
            raise WorkspaceError("'id' is empty", where=where, hint="results are paired by id: each row needs its own")
        inputs = {name: cells[number] for number, name in self._inputs}
        tags = () if self._tags is None else cells[self._tags].translate(_TAG_ENDS).split()
        cluster = None if self._cluster is None else cells[self._cluster].strip() or None
        return Case(case_id, inputs, self._expectation(cells), frozenset(tags), where, cluster)

    again = case

    def _expectation(self, cells: Sequence[str]) -> JsonValue:
        """Return what the case expects; an empty cell expects nothing."""
        whole: dict[str, JsonValue] = {}
        for number, path in self._expected:
            if not cells[number]:
                continue
            if not path:
                return cells[number]
            place = whole
            for name in path[:-1]:
                place = place.setdefault(name, {})
            place[path[-1]] = cells[number]
        return whole or ABSENT

    def _records(self, file: BinaryIO, offset: int, line: int) -> Iterator[Span]:
        """Join lines into records: a record ends with the line on which every double quote is closed."""
        held: list[Span] = []
        size = 0
        for span in read_lines(file, self._name, offset, line):
            closes = span.raw.count(b'"') % 2 == (1 if held else 0)
            if closes and not held:
                yield span
                continue
            held.append(span)
            size += len(span.raw)
            if closes:
                yield held[0]._replace(raw=b"".join(part.raw for part in held))
                held, size = [], 0
            elif size > LONGEST_BYTES:
                raise too_long(f"{self._name}:{held[0].line}")
        if held:
            raise WorkspaceError("a cell's double quote is never closed", where=f"{self._name}:{held[0].line}")

    def _cells(self, span: Span) -> list[str]:
        where = f"{self._name}:{span.line}"
        try:
            records = list(csv.reader([decode(span.raw, self._name, span.line)], strict=True))
        except csv.Error as exc:
            what = str(exc).partition(" - ")[0]
            raise WorkspaceError(f"is not CSV: {what}", where=where, hint='a quote in a cell is written ""') from None
        return records[0]


def _refuse_header(columns: Sequence[str], where: str) -> None:
    """Raise WorkspaceError for a header that leaves open what a column is."""
    if "id" not in columns:
        separator = next((mark for mark in (";", "\t") if mark in columns[0]), None)
        have = f"have: {', '.join(columns)}"
        hint = f"cells are separated by commas, not by {separator!r}" if separator else have
        raise WorkspaceError("no column is called 'id'", where=where, hint=hint)
    for column in columns:
        if column in _FOREIGN:
            hint = f"call it {_FOREIGN[column]}; or inputs.{column} if the prompt uses it"
            raise WorkspaceError(f"it is not clear what the column {column!r} is", where=where, hint=hint)
        if not column or column in (_INPUTS, _EXPECTED) or (column.startswith(_EXPECTED) and "" in column.split(".")):
            raise WorkspaceError(f"a column's name is not complete: {column!r}", where=where)
    names = Counter(map(_full_name, columns))
    for name, times in names.items():
        if times > 1:
            raise WorkspaceError(f"{times} columns are called {name!r}", where=where)
        if any(other.startswith(f"{name}.") for other in names if name.startswith("expected")):
            raise WorkspaceError(f"there is a column {name!r}, and columns for what is inside it", where=where)


def _full_name(column: str) -> str:
    own = column in ("id", "tags", "cluster", "expected") or column.startswith((_INPUTS, _EXPECTED))
    return column if own else _INPUTS + column
