"""Files that a service exported: rows one a line, one document of them, or saved pages of its API; gzip is unpacked."""

import gzip
import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import BinaryIO, cast

from evalh.core.errors import WorkspaceError
from evalh.core.strict_json import JsonValue, NotStrictJson, parse
from evalh.interop.recorded_calls.lines import Mistake, rows
from evalh.interop.services.pages import Row
from evalh.workspace.files import decode

_GZIP = b"\x1f\x8b"
_MOST_DOCUMENT = 64 << 20
_BOM = b"\xef\xbb\xbf"
_JSONL = "JSON Lines, a JSON list, or a page of the API; not CSV"


def rows_of(file: BinaryIO, name: str) -> Iterator[Row | Mistake]:
    """Yield the rows of a file, and its lines that are not ones. Raises WorkspaceError for what is not JSON at all."""
    try:
        begin = file.read(2)
        plain: BinaryIO = cast("BinaryIO", _Again(begin, file))
        if begin == _GZIP:
            plain = cast("BinaryIO", gzip.GzipFile(fileobj=plain))
        yield from _rows(plain, name)
    except (EOFError, zlib.error, gzip.BadGzipFile) as exc:
        raise WorkspaceError(f"not gzip: {exc}", where=name, hint="copy the file again") from None


class _Again:
    """A file whose first bytes were read before."""

    def __init__(self, begin: bytes, file: BinaryIO) -> None:
        self._begin, self._file = BytesIO(begin), file

    def read(self, size: int = -1) -> bytes:
        found = self._begin.read(size)
        return found + self._file.read(size if size < 0 else size - len(found))

    def readline(self, size: int = -1) -> bytes:
        found = self._begin.readline(size)
        if found.endswith(b"\n") or len(found) == size:
            return found
        return found + self._file.readline(size if size < 0 else size - len(found))


def _rows(file: BinaryIO, name: str) -> Iterator[Row | Mistake]:
    begin = file.read(_MOST_DOCUMENT)
    if not begin.strip():
        raise WorkspaceError("has no rows", where=name, hint=_JSONL)
    if len(begin) < _MOST_DOCUMENT:
        document = _document(begin, name)
        if document is not None:
            yield from document
            return
    elif begin.removeprefix(_BOM).lstrip().startswith(b"["):
        raise WorkspaceError(
            f"is one document of more than {_MOST_DOCUMENT >> 20} MB", where=name, hint="export JSON Lines, or less"
        )
    several = False
    for _, row in rows(cast("BinaryIO", _Again(begin, file)), name):
        if isinstance(row, Mistake) and not several:
            raise WorkspaceError(row.what, where=row.where, hint=_JSONL)
        several = True
        yield row


def _document(body: bytes, name: str) -> Iterator[Row | Mistake] | None:
    """Read a whole document; None: it is several, one a line."""
    try:
        found = parse(decode(body.removeprefix(_BOM), name, 1))
    except (NotStrictJson, WorkspaceError):
        return None
    if isinstance(found, dict) and isinstance(found.get("data"), list):
        found = found["data"]
    every: list[JsonValue] = found if isinstance(found, list) else [found]
    return (
        one if isinstance(one, dict) else Mistake(f"{name}:[{place}]", "must be an object")
        for place, one in enumerate(every)
    )
