"""A request's or file's bytes, unpacked within a bound and read by their type."""

import gzip
import zlib
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import IO, cast

from evalh.core.errors import UsageError, WorkspaceError
from evalh.interop.spans.received import NotOtlp, Received, read_json

MOST_BYTES = 16 << 20
"""A body may have this many bytes, unpacked."""

_PROTOBUF_TYPES = frozenset({"application/x-protobuf", "application/protobuf", "application/octet-stream"})
_GZIP = b"\x1f\x8b"
_MOST_STREAMS = 100  # one behind the other: each copies what is left of the body
_WINDOW = 31  # zlib's word for gzip
_LONGEST_LINE = 64 << 20  # of a file: its writer puts a whole batch into one line
_TEXT = (b"{", b"[", b"\xef")  # how JSON begins
_HEAD = 64
_MARK = b"\xef\xbb\xbf"  # some editors begin a file with it


class Signal(StrEnum):
    """What a body holds."""

    TRACES = "traces"
    LOGS = "logs"


class TooLarge(NotOtlp):
    """A body is larger than any may be."""


class UnknownType(NotOtlp):
    """Nothing reads a body of this type."""


def read_body(signal: Signal, body: bytes, content_type: str, encoding: str = "") -> Received:
    """Read a request's body. Raises NotOtlp, or TooLarge and UnknownType, which are two."""
    match encoding.strip().lower():
        case "" | "identity":
            pass
        case "gzip":
            body = unpacked(body)
        case other:
            raise UnknownType(f"the content encoding {other[:40]!r} is not read; gzip is")
    if len(body) > MOST_BYTES:
        raise TooLarge(f"a body may have at most {MOST_BYTES >> 20} MB")
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/json":
        return read_json(body)
    if kind in _PROTOBUF_TYPES:
        return _read_protobuf(signal, body)
    raise UnknownType(f"the content type {kind[:40]!r} is not read; application/x-protobuf and application/json are")


def unpacked(body: bytes, most: int = MOST_BYTES) -> bytes:
    """Unpack gzip. Raises TooLarge before more than `most` bytes were made, NotOtlp."""
    whole = bytearray()
    if not body:
        return b""
    for _ in range(_MOST_STREAMS):
        unpacker = zlib.decompressobj(_WINDOW)
        try:
            whole += unpacker.decompress(body, most + 1 - len(whole))
        except zlib.error as exc:
            raise NotOtlp(f"not gzip: {exc}") from None
        if len(whole) > most:
            raise TooLarge(f"a body may have at most {most >> 20} MB, unpacked")
        if not unpacker.eof:
            raise NotOtlp("the gzip stream is cut off")
        body = unpacker.unused_data
        if not body:
            return bytes(whole)
    raise NotOtlp(f"more than {_MOST_STREAMS} gzip streams in one body")


def _read_protobuf(signal: Signal, body: bytes) -> Received:
    try:
        from evalh.interop.otlp_protobuf import read_logs, read_traces
    except ImportError:
        raise UnknownType("protobuf needs OpenTelemetry's own messages: pip install 'evalh[otel]'") from None
    return read_traces(body) if signal is Signal.TRACES else read_logs(body)


def read_file(path: Path) -> Iterator[tuple[int, Received]]:
    """Yield what each line of a file holds, with the line's number; a document or a protobuf file is line 1.

    Files that are compressed with gzip are unpacked. Raises WorkspaceError with the line, UsageError.
    """
    try:
        with path.open("rb") as plain:
            packed = plain.read(2) == _GZIP
        with cast("IO[bytes]", gzip.open(path, "rb") if packed else path.open("rb")) as file:
            head = file.read(_HEAD)
            file.seek(0)
            # The first byte of protobuf's requests is a line's end too; `{` behind it may be a length.
            if head.lstrip()[:1] in _TEXT and not head.startswith(b"\n"):
                yield from _lines(file, path)
                return
            try:
                yield 1, _whole_protobuf(file, path)
            except WorkspaceError:
                if head.strip() and head.lstrip()[:1] not in _TEXT:
                    raise
                file.seek(0)
                yield from _lines(file, path)
    except (EOFError, zlib.error, gzip.BadGzipFile) as exc:
        raise WorkspaceError(f"not gzip: {exc}", where=str(path), hint="copy the file again") from None
    except OSError as exc:
        raise UsageError(f"cannot be read: {exc.strerror or exc}", where=str(path)) from None


def _lines(file: IO[bytes], path: Path) -> Iterator[tuple[int, Received]]:
    number = 0
    while line := file.readline(_LONGEST_LINE + 1):
        number += 1
        if len(line) > _LONGEST_LINE:
            hint = "the collector's file exporter writes a batch a line; make its batches smaller"
            raise WorkspaceError(f"longer than {_LONGEST_LINE >> 20} MB", where=f"{path}:{number}", hint=hint)
        if not line.strip():
            continue
        try:
            yield number, read_json(line.removeprefix(_MARK))
        except NotOtlp as exc:
            rest = file.read(_LONGEST_LINE + 1 - len(line)) if number == 1 else b""
            if not rest:
                raise WorkspaceError(str(exc), where=f"{path}:{number}", hint=_FORMAT) from None
            yield number, _document(line + rest, path)
            return


def _document(body: bytes, path: Path) -> Received:
    if len(body) > _LONGEST_LINE:
        raise WorkspaceError("the first line is not a request of its own", where=f"{path}:1", hint=_FORMAT)
    try:
        return read_json(body.removeprefix(_MARK))
    except NotOtlp as exc:
        raise WorkspaceError(str(exc), where=f"{path}:1", hint=_FORMAT) from None


_FORMAT = "OTLP in JSON: one request a line, or one document; or OTLP in protobuf"


def _whole_protobuf(file: IO[bytes], path: Path) -> Received:
    body = file.read(_LONGEST_LINE + 1)
    if len(body) > _LONGEST_LINE:
        raise WorkspaceError(f"more than {_LONGEST_LINE >> 20} MB of protobuf", where=str(path), hint="split it")
    reason: NotOtlp | None = None
    for signal in Signal:
        try:
            received = _read_protobuf(signal, body)
        except UnknownType as exc:
            raise UsageError(str(exc).partition(": ")[0], where=str(path), hint="pip install 'evalh[otel]'") from None
        except NotOtlp as exc:
            reason = reason or exc
            continue
        if received.spans or received.logs:
            return received
    raise WorkspaceError(str(reason or "no spans and no logs in it"), where=str(path), hint=_FORMAT)
