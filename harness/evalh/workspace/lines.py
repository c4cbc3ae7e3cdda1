"""Lines of a file that is too big to be read at once."""

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from evalh.core.errors import WorkspaceError

_FIRST_CHUNK_BYTES, _CHUNK_BYTES = 2**13, 2**18  # whoever wants one row reads little
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
    rest = b""
    size = _FIRST_CHUNK_BYTES
    while chunk := file.read(size):
        size = min(2 * size, _CHUNK_BYTES)
        lines = (rest + chunk).splitlines(keepends=True)
        rest = lines.pop()  # it may go on in the next chunk; a final \r may be half of \r\n
        for raw in lines:
            yield Span(offset, line, raw)
            offset += len(raw)
            line += 1
        if len(rest) > LONGEST_BYTES:
            raise too_long(f"{name}:{line}")
    if rest:
        yield Span(offset, line, rest)


def too_long(where: str) -> WorkspaceError:
    """Return the refusal of a row."""
    return WorkspaceError(f"a row is longer than {LONGEST_BYTES // 2**20} MB", where=where)
