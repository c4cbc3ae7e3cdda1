"""Server-sent events, as they arrive: chunks of bytes in, one payload per event out."""

from collections.abc import Iterator

_LF, _CR = 0x0A, 0x0D
_BOM = b"\xef\xbb\xbf"


class EventStream:
    """Splits a stream into the `data` of its events. Event names are not needed: each provider repeats them inside."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._scanned = 0  # no line ends before this place: a long line is looked at once
        self._data: list[bytes] = []
        self._first = True

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Take a chunk; yield the events that it completes."""
        self._buffer += chunk
        for line in self._lines():
            event = self._take(line)
            if event is not None:
                yield event

    def end(self) -> Iterator[bytes]:
        """Yield what a server left without its closing blank line."""
        rest = bytes(self._buffer).rstrip(b"\r")
        self._buffer.clear()
        for line in (rest, b""):
            event = self._take(line)
            if event is not None:
                yield event

    def _lines(self) -> Iterator[bytes]:
        buffer = self._buffer
        size, start, place = len(buffer), 0, self._scanned
        feed, back = buffer.find(_LF, place), buffer.find(_CR, place)
        while feed >= 0 or back >= 0:
            stop = feed if back < 0 or 0 <= feed < back else back
            if stop == back and stop + 1 == size:
                break  # the next chunk may begin with the line feed of this carriage return
            line = bytes(buffer[start:stop])
            start = place = stop + (2 if stop == back and buffer[stop + 1] == _LF else 1)
            # What was found ahead is not looked for again: a chunk of nothing but line ends is not scanned n times.
            feed = buffer.find(_LF, place) if 0 <= feed < place else feed
            back = buffer.find(_CR, place) if 0 <= back < place else back
            yield line
        place = back if back >= 0 and back + 1 == size else size
        del buffer[:start]
        self._scanned = place - start

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
