"""What is remembered of a dataset's rows between two readings: how many they are, and a checksum of each block.

A row costs 4 bytes in 64. While the rows are first read the hashes of their ids are kept too, 8 bytes a row, to see
which may have come twice; then they are released.
"""

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from zlib import crc32

from evalh.workspace.files import ByteRange

_BLOCK_ROWS = 64
_BLOCK_BYTES = 2**18  # rows may be large; a reader holds a block of them
_BUCKETS = 256  # a power of two


def blocks(spans: Iterable[ByteRange]) -> Iterator[list[ByteRange]]:
    """Gather rows: the same rows make the same blocks, however often they are read."""
    block: list[ByteRange] = []
    size = 0
    for span in spans:
        block.append(span)
        size += len(span.raw)
        if len(block) == _BLOCK_ROWS or size >= _BLOCK_BYTES:
            yield block
            block, size = [], 0
    if block:
        yield block


class RowIndex:
    """The rows as they were checked."""

    def __init__(self) -> None:
        self._rows = 0
        self._checksums = array("I")

    def __len__(self) -> int:
        return self._rows

    def add(self, block: list[ByteRange]) -> None:
        """Remember the next rows."""
        self._rows += len(block)
        self._checksums.append(_checksum(block))

    def same(self, read: Iterable[list[ByteRange]]) -> Iterator[list[ByteRange] | None]:
        """Give the blocks as they are read again, each once it is known to be what it was; None: one is not."""
        left = iter(self._checksums)
        for block in read:
            if next(left, None) != _checksum(block):
                yield None
                return
            yield block
        if next(left, None) is not None:
            yield None


def _checksum(block: list[ByteRange]) -> int:
    return crc32(b"".join([span.raw for span in block]))


class Hashes:
    """Which ids may have come twice: 8 bytes for each."""

    def __init__(self, hash_of: Callable[[str], int] = hash) -> None:
        # Python's own hash is the fastest and nobody can aim at it: it is seeded for each process.
        self._hash_of = hash_of
        self._buckets = [array("q") for _ in range(_BUCKETS)]

    def add(self, case_id: str) -> None:
        """Take the id of a row."""
        key = self._hash_of(case_id)
        self._buckets[key & (_BUCKETS - 1)].append(key)

    def repeated(self) -> Callable[[str], bool] | None:
        """Return a test whether an id's hash came more than once; None if no hash did."""
        twice = frozenset(
            key
            for bucket in self._buckets
            if len(set(bucket)) < len(bucket)
            for key, times in Counter(bucket).items()
            if times > 1
        )
        hash_of = self._hash_of
        return (lambda case_id: hash_of(case_id) in twice) if twice else None
