"""A response body while it arrives: decompressed by us, never larger than the cap; and the events of a streamed one."""

import zlib
from collections.abc import Iterator

from evalh.core.attempt import CallError, ErrorKind

BODY_CAP_BYTES = 16 * 1024 * 1024
"""No answer of a model is longer. What is longer is a mistake or an attack, and is not read to its end."""

_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32


class BodyReader:
    """Collects the chunks of one body. Raises CallError (bad_response) at the cap, before memory is taken."""

    def __init__(self, encoding: str | None, declared: str | None, cap: int = BODY_CAP_BYTES) -> None:
        self._cap = cap
        self._size = 0
        self._chunks: list[bytes] = []
        self._inflate = _decompressor(encoding)
        if declared is not None and declared.isdecimal() and len(declared) < 20 and int(declared) > cap:  # noqa: PLR2004 (more digits than 64 bits: the parser's business)
            raise self._too_large()

    def feed(self, chunk: bytes) -> bytes:
        """Take one chunk as it came off the wire; return its content."""
        if self._inflate is not None:
            try:
                # One byte more than is allowed is enough to know; the rest of a bomb is never inflated.
                chunk = self._inflate.decompress(chunk, self._cap - self._size + 1)
            except zlib.error as exc:
                raise CallError(ErrorKind.BAD_RESPONSE, f"the compressed body is broken: {exc}") from None
        self._size += len(chunk)
        if self._size > self._cap:
            raise self._too_large()
        self._chunks.append(chunk)
        return chunk

    def value(self) -> bytes:
        """Return the whole body. Raises CallError where a compressed one ended early."""
        if self._inflate is not None and not self._inflate.eof and self._size:
            raise CallError(ErrorKind.BAD_RESPONSE, "the compressed body ended early")
        return self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)

    def _too_large(self) -> CallError:
        self._chunks.clear()
        return CallError(ErrorKind.BAD_RESPONSE, f"the body is larger than {self._cap // 2**20} MiB; it was not read")


def _decompressor(encoding: str | None) -> "zlib._Decompress | None":
    # We ask for `identity`: answers are small, and inflating costs more CPU than reading. Some servers answer gzip
    # all the same.
    if encoding is None or encoding in {"", "identity"}:
        return None
    if encoding.lower() in {"gzip", "x-gzip", "deflate"}:
        return zlib.decompressobj(_GZIP_OR_ZLIB)
    raise CallError(ErrorKind.BAD_RESPONSE, f"the body is encoded as {encoding[:40]!r}, which was not asked for")


_BOM = b"\xef\xbb\xbf"
_SLICE_BYTES = 64 * 1024  # an inflated body may come at once: its lines are never all held


class EventStream:
    """Splits a stream into the `data` of its events. Event names are not needed: each provider repeats them inside."""

    def __init__(self) -> None:
        self._line: list[bytes] = []  # the pieces of a line that goes on
        self._after_return = False  # a line feed that comes now belongs to the line end before it
        self._data: list[bytes] = []
        self._first = True

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        for start in range(0, len(chunk), _SLICE_BYTES):
            for line in self._lines(chunk[start : start + _SLICE_BYTES]):
                if line or self._data:  # most blank lines say nothing
                    event = self._take(line)
                    if event is not None:
                        yield event

    def end(self) -> Iterator[bytes]:
        """Yield what a server left without its closing blank line."""
        rest, self._line = b"".join(self._line), []
        for line in (rest, b""):
            event = self._take(line)
            if event is not None:
                yield event

    def _lines(self, piece: bytes) -> list[bytes]:
        """Return the lines that a piece completes; they end with a line feed, a carriage return, or both."""
        ends_in_return = piece.endswith(b"\r")
        if self._after_return:
            piece = piece.removeprefix(b"\n")
        self._after_return = ends_in_return
        if b"\r" in piece:
            piece = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, rest = piece.split(b"\n")
        if lines and self._line:
            lines[0] = b"".join([*self._line, lines[0]])
            self._line = []
        if rest:
            self._line.append(rest)
        return lines

    def _take(self, line: bytes) -> bytes | None:
        if self._first:
            self._first = False
            line = line.removeprefix(_BOM)
        if not line:
            data, self._data = self._data, []
            return b"\n".join(data) if data else None
        field, _, value = line.partition(b":")
        if field == b"data":
            self._data.append(value.removeprefix(b" "))
        return None
