"""CSV datasets: a header, then one case per record. A cell is text, or JSON where its column's name ends in `:json`.

Spreadsheets write other dialects (`;`, tabs, a first line `sep=;`, empty columns at the end): they are read too.
"""

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO
from unicodedata import normalize

from evalh.core.case import ABSENT, Case
from evalh.core.errors import WorkspaceError, is_typo
from evalh.core.strict_json import JsonValue, NotStrictJson, parse
from evalh.core.values import Value
from evalh.workspace import files as lines
from evalh.workspace.dataset.jsonl_rows import refuse_unholdable
from evalh.workspace.files import LONGEST_BYTES, ByteRange, decode, line_ends, refuse_conflict, too_long

_INPUTS, _EXPECTED = "inputs.", "expected."
_EACH_INPUT = "<the input's name>, one column for each"
_OWN = ("id", "tags", "cluster", "expected")
# What may mean a column of ours, in small letters without signs between them.
_MEANT = {
    **{name: name for name in _OWN},
    "tag": "tags",
    "clusters": "cluster",
    **dict.fromkeys(("expect", "expects", "expectation", "expectations", "ideal", "target"), "expected"),
    **dict.fromkeys(("referenceoutput", "referenceoutputs"), "expected"),
    **dict.fromkeys(("inputs", "vars"), _EACH_INPUT),
}
_WHOLE = ("", "output", "outputs", "answer", "answers", "value", "result", "response")
_SIGNS = re.compile(r"[\W_]+")
_EXPECTED_WORD = re.compile(r"[\W_]*expected[\W_]*", re.IGNORECASE)
_JSON = ":json"
_OTHER_TYPES = frozenset(
    "int integer float number bool boolean list array object null str string text".split()  # noqa: SIM905
)
_SPREADSHEETS = {"TRUE": True, "FALSE": False}
_SEPARATORS = (",", ";", "\t")
_SEPARATOR_LINE = re.compile(rb'"?sep=([,;\t|])"?[,;\t]*\s*\Z', re.IGNORECASE)
# Up to a line's end, or a quote that is not closed. Possessive: nothing is tried twice.
_UNQUOTED = re.compile(rb'[^"\r\n]*+(?:"[^"]*+"[^"\r\n]*+)*+')
_DEEPEST = 200
_LEAF: dict[str, Any] = {}
_SPOKEN = {",": "a comma", ";": "a semicolon", "\t": "a tab"}
_SHOWN = 20
_TAG_ENDS = str.maketrans(";,", "  ")


class Csv:
    """A CSV file; its header is read when it is opened."""

    def __init__(self, file: BinaryIO, name: str, start: int) -> None:
        """`name` is for messages, `start` the offset of the header. Raises WorkspaceError for a wrong header."""
        self._name = name
        # The limit is the interpreter's, not a reader's: it is only ever raised.
        csv.field_size_limit(max(csv.field_size_limit(), LONGEST_BYTES))
        self._delimiter = ""
        self._nameless = 0
        header = self._header(file, start)
        columns, where = self._columns(header), f"{name}:{header.line}"
        _refuse_header(columns, where)
        self._width = len(columns)
        names = [column.name for column in columns]
        self._id = names.index("id")
        self._tags = names.index("tags") if "tags" in names else None
        self._cluster = names.index("cluster") if "cluster" in names else None
        self._expected = [
            (number, tuple(column.name.split(".")[1:]), column)
            for number, column in enumerate(columns)
            if column.name == "expected" or column.name.startswith(_EXPECTED)
        ]
        taken = {self._id, self._tags, self._cluster, *(number for number, _, _ in self._expected)}
        self._inputs = [
            (number, column.name.removeprefix(_INPUTS), column)
            for number, column in enumerate(columns)
            if number not in taken
        ]
        self._start = (header.offset + len(header.raw), header.line + line_ends(header.raw))
        self.heading = header

    def _header(self, file: BinaryIO, start: int) -> ByteRange:
        """Find the header, and with it the separator. Raises WorkspaceError if there is none."""
        for span in self._records(file, start, 1):
            stated = _SEPARATOR_LINE.match(span.raw)
            if stated is not None and not self._delimiter:
                self._delimiter = stated[1].decode("latin-1")
            elif not span.raw.isspace():
                return span
        raise WorkspaceError("is empty", where=self._name, hint="the first line names the columns: id,…")

    def _columns(self, header: ByteRange) -> "list[Column]":
        """Name the columns; those without a name at the end are a spreadsheet's, and hold nothing."""
        read: dict[str, list[Column]] = {}
        refused: WorkspaceError | None = None
        for delimiter in self._delimiter or _SEPARATORS:
            self._delimiter = delimiter
            try:
                read[delimiter] = [Column.of(cell) for cell in self._cells(header)]
            except WorkspaceError as exc:
                refused = refused or exc
                continue
            if any(column.name == "id" for column in read[delimiter]):
                break
        else:  # no separator makes a header of it: the one that makes the most columns tells best what is wrong
            if refused is not None:
                raise refused
            self._delimiter = max(read, key=lambda one: len(read[one]))
        found = read[self._delimiter]
        while found and not found[-1].name:
            found.pop()
            self._nameless += 1
        return found

    def rows(self, file: BinaryIO) -> Iterator[ByteRange]:
        """Find the records; those without content are skipped."""
        records = self._records(file, *self._start)
        blanks = b'"\r\n' + self._delimiter.encode()
        return (span for span in records if not span.raw.isspace() and span.raw.strip(blanks))

    def case(self, span: ByteRange) -> Case:
        """Read one record. Raises WorkspaceError."""
        where = f"{self._name}:{span.line}"
        cells = self._cells(span)
        if len(cells) > self._width and not any(cells[self._width :]):
            del cells[self._width :]  # under the columns without a name
        if self._width < len(cells) <= self._width + self._nameless:
            cell = next(cell for cell in cells[self._width :] if cell)
            hint = f"name the column of {cell[:40]!r} in the header, or empty the cell"
            raise WorkspaceError("a cell is in a column without a name", where=where, hint=hint)
        if len(cells) != self._width:
            raise WorkspaceError(
                f"has {len(cells)} cells where the header has {self._width}",
                where=where,
                hint=f"cells with {_SPOKEN.get(self._delimiter, repr(self._delimiter))} must be in double quotes",
            )
        case_id = cells[self._id]
        if not case_id.strip():
            raise WorkspaceError("'id' is empty", where=where, hint="results are paired by id: each row needs its own")
        inputs = {
            name: column.value(cells[number], where)
            for number, name, column in self._inputs
            if cells[number] or not column.json
        }
        tags = () if self._tags is None else cells[self._tags].translate(_TAG_ENDS).split()
        cluster = None if self._cluster is None else cells[self._cluster].strip() or None
        return Case(case_id, inputs, self._expectation(cells, where), frozenset(tags), where, cluster)

    again = case

    def with_cluster(self, span: ByteRange, cluster: str | None) -> bytes:
        """Return a record that names no cluster with this one in its column, which is the last where there was none.

        All else stays as it is written. The heading's is the column's name.
        """
        at = self._width if self._cluster is None else self._cluster
        if span is self.heading:
            return span.raw if self._cluster is not None else self._with_cell(span.raw, at, "cluster")
        return self._with_cell(span.raw, at, cluster or "")

    def _with_cell(self, raw: bytes, at: int, text: str) -> bytes:
        quoted = any(sign in text for sign in (self._delimiter, '"', "\r", "\n"))
        cell = ('"' + text.replace('"', '""') + '"' if quoted else text).encode()
        body, delimiter = raw.rstrip(b"\r\n"), self._delimiter.encode()
        places = list(_places(body, delimiter))
        if at >= len(places):
            return body + delimiter * (at - len(places) + 1) + cell + raw[len(body) :]
        begin, end = places[at]
        return body[:begin] + cell + raw[end:] if cell else raw

    def _expectation(self, cells: Sequence[str], where: str) -> JsonValue:
        """Return what the case expects; an empty cell expects nothing."""
        whole: dict[str, JsonValue] = {}
        for number, path, column in self._expected:
            if not cells[number]:
                continue
            value = column.value(cells[number], where)
            if not path:
                return value
            place = whole
            for name in path[:-1]:
                place = place.setdefault(name, {})
            place[path[-1]] = value
        return whole or ABSENT

    def _records(self, file: BinaryIO, offset: int, line: int) -> Iterator[ByteRange]:
        """Find the records: one ends with the line on which every double quote is closed. Raises WorkspaceError."""
        pieces: list[bytes] = []  # pieces of one record: joined once
        pieces_bytes, quoted, size = 0, False, lines.FIRST_CHUNK_BYTES
        file.seek(offset)
        while chunk := file.read(size):
            size = min(2 * size, lines.CHUNK_BYTES)
            begin = place = 0
            while begin < len(chunk):
                place, quoted, ended = _record_end(chunk, place, pieces, quoted=quoted)
                if not ended:
                    pieces.append(chunk[begin:])
                    pieces_bytes += len(chunk) - begin
                    break
                raw = b"".join((*pieces, chunk[begin:place])) if pieces else chunk[begin:place]
                pieces, pieces_bytes, begin = [], 0, place
                if raw:
                    yield ByteRange(offset, line, raw)
                offset, line = offset + len(raw), line + line_ends(raw)
            if pieces_bytes > LONGEST_BYTES:
                raise too_long(f"{self._name}:{line}")
        if quoted:
            raise WorkspaceError("a cell's double quote is never closed", where=f"{self._name}:{line}")
        if pieces:
            yield ByteRange(offset, line, b"".join(pieces))

    def _cells(self, span: ByteRange) -> list[str]:
        where = f"{self._name}:{span.line}"
        try:
            text = decode(span.raw, self._name, span.line)
            refuse_conflict(text.partition("\n")[0], self._name, span.line)  # not in a cell of several lines
            records = list(csv.reader([text], delimiter=self._delimiter, strict=True))
        except csv.Error as exc:
            what = str(exc).partition(" - ")[0]
            raise WorkspaceError(f"is not CSV: {what}", where=where, hint='a quote in a cell is written ""') from None
        return records[0]


def _places(body: bytes, delimiter: bytes) -> Iterator[tuple[int, int]]:
    """Find where the cells of a record begin and end."""
    begin = 0
    while True:
        end = begin
        if body.startswith(b'"', begin):
            end = body.index(b'"', begin + 1)
            while body.startswith(b'""', end):
                end = body.index(b'"', end + 2)
        end = body.find(delimiter, end)
        if end < 0:
            yield begin, len(body)
            return
        yield begin, end
        begin = end + len(delimiter)


def _record_end(chunk: bytes, place: int, pieces: list[bytes], *, quoted: bool) -> tuple[int, bool, bool]:
    """Look for the end of a record from `place` on; return how far it was found, and the state there.

    The state is whether a quote is open, and whether the record has ended.
    """
    if pieces and not quoted and pieces[-1].endswith(b"\r") and place == 0:  # perhaps the half of \r\n
        return int(chunk.startswith(b"\n")), False, True
    if quoted:
        closed = chunk.find(b'"', place)
        if closed < 0:
            return len(chunk), True, False
        place = closed + 1
    found = _UNQUOTED.match(chunk, place)
    place = place if found is None else found.end()
    if place == len(chunk):
        return place, False, False
    if chunk[place : place + 1] == b'"':
        return len(chunk), True, False
    end = place + 2 if chunk.startswith(b"\r\n", place) else place + 1
    half = end == len(chunk) and chunk.endswith(b"\r")
    return end, False, not half


def _refuse_header(columns: "Sequence[Column]", where: str) -> None:
    """Raise WorkspaceError for a header that leaves open what a column is. Linear in the header."""
    names = [column.name for column in columns]
    if "id" not in names:
        near = next((name for name in names if _bare(name) in ("id", "ids", "caseid")), None)
        have = ", ".join(name[:60] for name in names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
        hint = f"rename the column {near!r} to id" if near else f"have: {have}"
        raise WorkspaceError("no column 'id'", where=where, hint=hint)
    inside: dict[str, Any] = {}
    for name in names:
        _refuse_name(name, where)
        if name == "expected" or name.startswith(_EXPECTED):
            _refuse_overlap(inside, name, where)
    counted = Counter(map(_full_name, names))
    for name, times in counted.items():
        if times > 1:
            raise WorkspaceError(
                f"{times} columns have the name {name!r}", where=where, hint="rename all but one of them"
            )
    for column in columns:
        if column.json and column.name in ("id", "tags"):
            raise WorkspaceError(f"the column {column.name!r} is text", where=where, hint=f"call it {column.name}")


def _refuse_name(name: str, where: str) -> None:
    if name.casefold() == "graders":
        hint = "JSON Lines holds a row's own graders; call the column inputs.graders if the prompt uses it"
        raise WorkspaceError(f"a CSV file cannot hold graders, as the column {name!r} would", where=where, hint=hint)
    if (meant := _meant(name)) is not None:
        hint = f"call it {meant}; or inputs.{name} if the prompt uses it"
        raise WorkspaceError(f"unknown column {name!r}", where=where, hint=hint)
    if not name or name in (_INPUTS, _EXPECTED) or (name.startswith(_EXPECTED) and "" in name.split(".")):
        raise WorkspaceError(f"a column's name is not complete: {name!r}", where=where)
    stem, _, kind = name.rpartition(":")
    if kind.strip().lower() in _OTHER_TYPES and stem:
        hint = f"a column of JSON values is called {stem.strip()}{_JSON}"
        raise WorkspaceError(f":{kind} is not a type of cell, in {name!r}", where=where, hint=hint)
    if name.startswith(_EXPECTED) and name.count(".") > _DEEPEST:
        raise WorkspaceError(f"a column's name is nested more than {_DEEPEST} levels deep", where=where)


def _meant(name: str) -> str | None:
    """Return what a column is called if it means what it seems to; `Expected` would be an input without a word."""
    if name in _OWN or name.startswith((_INPUTS, _EXPECTED)):
        return None
    stem, _, rest = normalize("NFKC", name).partition(".")
    word = _bare(stem)
    if word.startswith("expected"):
        inside = rest or _EXPECTED_WORD.sub("", stem)
        return "expected" if _bare(inside) in _WHOLE else f"{_EXPECTED}{inside}"
    own = _MEANT.get(word) or next((one for one in ("expected", "cluster", "tags") if is_typo(word, one)), None)
    if not rest or own is None:
        return own
    return {"expected": f"{_EXPECTED}{rest}", _EACH_INPUT: f"{_INPUTS}{rest}"}.get(own)


def _bare(name: str) -> str:
    return _SIGNS.sub("", normalize("NFKC", name).casefold())


def _refuse_overlap(inside: dict[str, Any], name: str, where: str) -> None:
    """Grow the tree of what is expected. Raises WorkspaceError if one column holds what another is inside of."""
    parts = name.split(".")
    for depth, part in enumerate(parts, 1):
        last = depth == len(parts)
        below = inside.get(part)
        if below is None:
            inside[part] = below = _LEAF if last else {}
        elif (below is _LEAF) != last:
            whole = ".".join(parts[:depth])
            raise WorkspaceError(f"there is a column {whole!r}, and columns for what is inside it", where=where)
        if below is not _LEAF:
            inside = below


def _full_name(column: str) -> str:
    own = column in _OWN or column.startswith((_INPUTS, _EXPECTED))
    return column if own else _INPUTS + column


class Column(Value):
    """One column: its name, and whether its cells are JSON."""

    name: str
    json: bool

    @classmethod
    def of(cls, cell: str) -> "Column":
        """Read a cell of the header."""
        name = cell.strip()
        stem, colon, kind = name.rpartition(":")
        json = f"{colon}{kind.strip().lower()}" == _JSON
        return cls(stem.rstrip() if json else name, json)

    def value(self, cell: str, where: str) -> JsonValue:
        """Read a cell. Raises WorkspaceError."""
        if not self.json:
            return cell
        text = cell.strip()
        if text in _SPREADSHEETS:
            return _SPREADSHEETS[text]
        try:
            value = parse(text)
        except NotStrictJson as exc:
            hint = f'a text is written "…"; or call the column {self.name}'
            cell = f"the cell of {self.name}{_JSON}"
            raise WorkspaceError(f"{cell} is not JSON: {exc.in_line}", where=where, hint=hint) from None
        refuse_unholdable([value], where)
        return value
