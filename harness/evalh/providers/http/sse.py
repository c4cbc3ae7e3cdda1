"""Server-sent events, as they arrive: chunks of bytes in, one payload per event out."""

from collections.abc import Iterator

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
        """Take a chunk; yield the events that it completes."""
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
