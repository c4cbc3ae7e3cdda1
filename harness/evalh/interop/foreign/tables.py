"""Rows of files that others wrote: JSON Lines, JSON, CSV and Parquet, read one after the other.

A row that cannot be read is told and left out; a file that cannot be read at all ends the import.
"""

import csv
import gzip
import io
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from itertools import chain
from math import isfinite
from pathlib import Path
from typing import Any, BinaryIO, cast

from evalh.core.errors import UsageError, WorkspaceError
from evalh.core.strict_json import JsonValue, NotStrictJson, parse
from evalh.core.values import Value
from evalh.interop.foreign.transfer import Fidelity, ProofSheet, Subject
from evalh.interop.recorded_calls.lines import Mistake, rows
from evalh.workspace.dataset.jsonl_rows import refuse_unholdable
from evalh.workspace.files import decode, refuse_other_encodings, refuse_pointer

ENDINGS = (".jsonl", ".ndjson", ".csv", ".tsv", ".parquet", ".arrow", ".json")
_LARGEST_DOCUMENT = 512 * 2**20  # of JSON that is not read line by line
_GZIP = b"\x1f\x8b"
_PARQUET = b"PAR1"
_ARROW = (b"\xff\xff\xff\xff", b"ARRO")  # a stream, as `datasets.save_to_disk` writes it; a file
_BATCH = 500
_SEPARATORS = (",", ";", "\t")
_LONGEST_CELL = 16 * 2**20


class Record(Value):
    """A row as it stands in the source. `where` is `file:line`, or `file:row`."""

    where: str
    value: dict[str, JsonValue]


def records(source: Path, sheet: ProofSheet) -> Iterator[Record]:
    """Yield the rows of a file, or of the files in a folder. Raises EvalhError if one cannot be read at all."""
    found = 0
    for path in files_in(source):
        with closing(_opened(path)) as file:
            for record in _records(file, path, sheet):
                found += 1
                yield record
    if not found:
        lost = next((item for item in sheet.items() if item.status is Fidelity.NOT), None)
        raise UsageError("holds no rows", where=str(source), hint=f"{lost.where[0]}: {lost.why}" if lost else None)


def files_in(source: Path) -> list[Path]:
    """Return the file, or the files of rows in a folder, which must be of one kind. Raises UsageError."""
    if not source.is_dir():
        return [source]
    found = sorted(one for one in source.iterdir() if kind_of(one) in ENDINGS and one.is_file())
    if not found:
        raise UsageError("holds no file of rows", where=str(source), hint=f"one of {', '.join(ENDINGS)}")
    if any(kind_of(one) != ".json" for one in found):  # a document beside rows is about them
        found = [one for one in found if kind_of(one) != ".json"]
    if len(kinds := sorted({kind_of(one) for one in found})) > 1:
        raise UsageError(f"holds files of several kinds: {', '.join(kinds)}", where=str(source), hint="name one file")
    return found


def kind_of(path: Path) -> str:
    """Return a file's ending without .gz."""
    return (path.with_suffix("") if path.suffix.lower() == ".gz" else path).suffix.lower()


def document(path: Path) -> JsonValue:
    """Read a file that is one JSON value. Raises EvalhError."""
    with closing(_opened(path)) as file, _unpacking(path.name):
        return _document(file, path.name)


def _opened(path: Path) -> BinaryIO:
    try:
        if not path.is_file():
            raise UsageError("no such file", where=str(path))
        file = path.open("rb")
    except OSError as exc:
        raise UsageError(f"cannot be read: {exc.strerror or exc}", where=str(path)) from None
    start = file.read(200)
    file.seek(0)
    if start.startswith(_GZIP):
        return io.BufferedReader(cast("io.RawIOBase", gzip.GzipFile(fileobj=file)))
    refuse_pointer(start, str(path))
    return file


@contextmanager
def _unpacking(name: str) -> Iterator[None]:
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as exc:
        raise WorkspaceError(f"cannot be unpacked: {exc}", where=name) from None


def _records(file: BinaryIO, path: Path, sheet: ProofSheet) -> Iterator[Record]:
    read: Callable[[BinaryIO, str, ProofSheet], Iterator[Record]]
    with _unpacking(path.name):
        start = file.read(4)
        file.seek(0)
        refuse_other_encodings(start, path.name)
        by_ending = {".csv": _csv, ".tsv": _csv, ".json": _json}
        read = _parquet if start == _PARQUET or start in _ARROW else by_ending.get(kind_of(path), _lines)
        yield from read(file, path.name, sheet)


def _lines(file: BinaryIO, name: str, sheet: ProofSheet) -> Iterator[Record]:
    for number, row in rows(file, name):
        if isinstance(row, Mistake):
            left_out(sheet, row.where, row.what)
        else:
            yield Record(f"{name}:{number}", row)


def left_out(sheet: ProofSheet, where: str, why: str) -> None:
    """Tell of a row that is not imported."""
    sheet.add(Fidelity.NOT, where, "a row", why, subject=Subject.CASE, do="correct the row, and import again")


def _json(file: BinaryIO, name: str, sheet: ProofSheet) -> Iterator[Record]:
    """Read a list of objects, or the only list of objects in an object; one object a line is read too."""
    try:
        value = _document(file, name)
    except WorkspaceError:
        file.seek(0)
        first = next((row for _, row in rows(file, name)), None)
        if not isinstance(first, dict):
            raise
        file.seek(0)
        yield from _lines(file, name, sheet)
        return
    listed = value
    if isinstance(value, Mapping):
        lists = [one for one in value.values() if isinstance(one, list) and one and isinstance(one[0], dict)]
        listed = lists[0] if len(lists) == 1 else [value]
    if not isinstance(listed, list):
        raise WorkspaceError("holds no list of rows", where=name, hint='[{"question": "…", "answer": "…"}, …]')
    for number, row in enumerate(listed, 1):
        where = f"{name}:row {number}"
        if isinstance(row, dict):
            yield Record(where, row)
        else:
            left_out(sheet, where, "is not an object")


def _document(file: BinaryIO, name: str) -> JsonValue:
    data = file.read(_LARGEST_DOCUMENT + 1)
    if len(data) > _LARGEST_DOCUMENT:
        raise WorkspaceError("is larger than 512 MB", where=name, hint="write it as JSON Lines")
    refuse_other_encodings(data[:4], name)
    try:
        value = parse(decode(data.removeprefix(b"\xef\xbb\xbf"), name))
    except NotStrictJson as exc:
        raise WorkspaceError(f"is not JSON: {exc}", where=name) from None
    refuse_unholdable([value], name)
    return value


def _csv(file: BinaryIO, name: str, sheet: ProofSheet) -> Iterator[Record]:
    """Read cells as text. The separator is the one that makes the most columns of the header."""
    csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_CELL))
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    try:
        separator, before = _separator(text)
        reader = csv.reader(text, delimiter=separator, strict=False)
        header = [cell.strip() for cell in next(reader, ())]
        _refuse_header(header, name, before + 1)
        for number in (place for place, cell in enumerate(header, 1) if not cell and place < len(header)):
            why = "has no name, and is not imported"
            sheet.add(Fidelity.NOTE, f"{name}:{before + 1}", f"column {number}", why, subject=Subject.CASE)
        ended = before + reader.line_num
        for cells in reader:
            where = f"{name}:{ended + 1}"  # where the row begins: a cell may hold several lines
            ended = before + reader.line_num
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) < _named(header) or any(cell.strip() for cell in cells[len(header) :]):
                left_out(sheet, where, "does not have as many cells as the header")
                continue
            yield Record(where, {key: cell for key, cell in zip(header, cells, strict=False) if key})
    except UnicodeDecodeError:
        hint = "iconv -f windows-1252 -t utf-8 FILE > OTHER, if a spreadsheet wrote it"
        raise WorkspaceError("is not UTF-8", where=name, hint=hint) from None
    except csv.Error as exc:
        raise WorkspaceError(f"is not CSV: {exc}", where=name) from None
    finally:
        text.detach()


def _named(header: Sequence[str]) -> int:
    """Return how many cells a row needs: spreadsheets leave empty columns at the end."""
    return next((len(header) - place for place, cell in enumerate(reversed(header)) if cell), 0)


def _separator(text: io.TextIOWrapper) -> tuple[str, int]:
    """Return what separates cells, and how many lines stand before the header; go to the header.

    A first line `sep=;` states it, as spreadsheets write.
    """
    line = text.readline(_LONGEST_CELL)
    if (stated := line.strip().removeprefix("sep=")) in _SEPARATORS and line.startswith("sep="):
        return stated, 1
    text.seek(0)
    return max(_SEPARATORS, key=lambda one: len(next(csv.reader([line], delimiter=one), ()))), 0


def _refuse_header(header: Sequence[str], name: str, line: int) -> None:
    if not any(header):
        raise WorkspaceError("has no header", where=name, hint="the first line names the columns: question,answer")
    twice = next((one for number, one in enumerate(header) if one and one in header[:number]), None)
    if twice is not None:
        raise WorkspaceError(f"has two columns called {twice!r}", where=f"{name}:{line}", hint="rename one of them")


def _parquet(file: BinaryIO, name: str, sheet: ProofSheet) -> Iterator[Record]:
    """Read Parquet or Arrow in batches. What JSON cannot hold is text: ISO 8601 for times, digits for decimals."""
    try:
        import pyarrow.ipc
        import pyarrow.parquet
    except ImportError:
        what = "needs a package that is not installed to read Parquet or Arrow"
        raise UsageError(what, where=name, hint="pip install 'evalh[parquet]'") from None
    try:
        start = file.read(4)
        file.seek(0)
        batches = chain.from_iterable(batch.to_pylist() for batch in _batches(pyarrow, file, start))
        for number, row in enumerate(batches, 1):
            where = f"{name}:row {number}"
            value = {str(key): _held(item) for key, item in row.items() if not isinstance(item, bytes)}
            for key in row.keys() - value.keys():
                why = "holds bytes, which are not text"
                sheet.add(Fidelity.NOT, name, f"column {key}", why, subject=Subject.CASE, do="write it as text")
            try:
                refuse_unholdable(value, where)
            except WorkspaceError as exc:
                left_out(sheet, where, exc.what)
                continue
            yield Record(where, value)
    except (pyarrow.ArrowException, OSError, ValueError) as exc:
        raise WorkspaceError(f"is not Parquet that can be read: {str(exc)[:200]}", where=name) from None


def _batches(pyarrow: Any, file: BinaryIO, start: bytes) -> Iterator[Any]:
    if start == _PARQUET:
        yield from pyarrow.parquet.ParquetFile(file).iter_batches(batch_size=_BATCH)
    elif start == _ARROW[0]:
        yield from pyarrow.ipc.open_stream(file)
    else:
        table = pyarrow.ipc.open_file(file)
        yield from (table.get_batch(number) for number in range(table.num_record_batches))


def unpacked_zstd(data: bytes, most: int) -> bytes:
    """Return what zstd has packed, up to a number of bytes. Raises UsageError, and OSError for broken data."""
    try:
        import pyarrow as pa
    except ImportError:
        what = "is packed with zstd, which needs a package that is not installed"
        raise UsageError(what, hint="pip install 'evalh[parquet]'") from None
    with pa.CompressedInputStream(pa.BufferReader(data), "zstd") as stream:
        unpacked: bytes = stream.read(most)
    return unpacked


def _held(value: Any) -> JsonValue:
    match value:
        case float() if not isfinite(value):  # how data frames write that a number is missing
            return None
        case None | bool() | int() | float() | str():
            return value
        case Mapping():
            return {str(key): _held(item) for key, item in value.items()}
        case list() | tuple():
            return [_held(item) for item in value]
        case bytes():
            return f"({len(value):,} bytes)"
        case _:
            return value.isoformat() if hasattr(value, "isoformat") else str(value)
