"""Lines of a file that is too big to be read at once."""

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from evalh.core.errors import WorkspaceError

FIRST_CHUNK_BYTES, CHUNK_BYTES = 2**13, 2**18  # whoever wants one row reads little
LONGEST_BYTES = 64 * 2**20
"""A row may not be longer: one file without line ends would otherwise fill the memory."""


class Span(NamedTuple):
    """Some bytes of a file: where they begin, on which line (from 1), and themselves, line ends included."""

    offset: int
    line: int
    raw: bytes


def read_lines(file: BinaryIO, name: str, offset: int, line: int) -> Iterator[Span]:
    r"""Read the lines from `offset` on, which is on line `line`. They end in \n, \r\n or \r.

    Raises WorkspaceError for a line that is longer than LONGEST_BYTES.
    """
    file.seek(offset)
    held: list[bytes] = []  # pieces of one line: joined once, or a line of 50 MB would be copied 200 times
    held_bytes = 0
    size = FIRST_CHUNK_BYTES
    while chunk := file.read(size):
        size = min(2 * size, CHUNK_BYTES)
        if held and (held[-1].endswith(b"\n") or (held[-1].endswith(b"\r") and not chunk.startswith(b"\n"))):
            yield Span(offset, line, b"".join(held))
            offset, line = offset + held_bytes, line + 1
            held, held_bytes = [], 0
        *whole, last = chunk.splitlines(keepends=True)
        for piece in whole:
            raw = b"".join((*held, piece)) if held else piece
            held, held_bytes = [], 0
            yield Span(offset, line, raw)
            offset, line = offset + len(raw), line + 1
        held.append(last)  # it may go on in the next chunk; a final \r may be half of \r\n
        held_bytes += len(last)
        if held_bytes > LONGEST_BYTES:
            raise too_long(f"{name}:{line}")
    if held:
        yield Span(offset, line, b"".join(held))


def line_ends(raw: bytes) -> int:
    r"""Count the ends of lines: \n, \r\n and \r."""
    return raw.count(b"\n") + (raw.count(b"\r") - raw.count(b"\r\n") if b"\r" in raw else 0)


def too_long(where: str) -> WorkspaceError:
    """Return the refusal of a row."""
    return WorkspaceError(f"a row is longer than {LONGEST_BYTES // 2**20} MB", where=where)
