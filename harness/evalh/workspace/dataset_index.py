"""Where each row of a dataset lies,: 24 bytes a row, and a table of 6 to 12 that finds rows by id."""

from array import array
from collections.abc import Callable, Sequence

_FIRST_SLOTS = 1024  # a power of two, as it stays


class RowIndex:
    """Rows by number and by the hash of their id; ids themselves are not kept.

    Two ids may share a hash, so whoever asks for an id reads the rows that are offered and compares.
    """

    def __init__(self, hash_of: Callable[[str], int] = hash) -> None:
        # Python's own hash is the fastest and nobody can aim at it: it is seeded for each process.
        self._hash_of = hash_of
        self._hashes = array("q")
        self._offsets = array("Q")
        self._lines = array("I")
        self._checksums = array("I")
        self._slots = array("I", bytes(4 * _FIRST_SLOTS))  # open addressing: a row's number + 1; 0 is a free slot

    def __len__(self) -> int:
        return len(self._hashes)

    def place(self, row: int) -> tuple[int, int]:
        """Return the row's offset and line."""
        return self._offsets[row], self._lines[row]

    def holds(self, row: int, offset: int, checksum: int) -> bool:
        """Tell whether the row still lies there with the same bytes."""
        return self._offsets[row] == offset and self._checksums[row] == checksum

    def add(self, case_id: str, offset: int, line: int, checksum: int) -> Sequence[int]:
        """Append a row; return the earlier rows that may have the same id, as a rule none."""
        number = len(self._hashes) + 1
        if 3 * number > 2 * len(self._slots):
            self._grow()
        key = self._hash_of(case_id)
        slot, earlier = self._probe(key)
        self._slots[slot] = number
        self._hashes.append(key)
        self._offsets.append(offset)
        self._lines.append(line)
        self._checksums.append(checksum)
        return earlier

    def candidates(self, case_id: str) -> Sequence[int]:
        """Return the rows that may have this id."""
        return self._probe(self._hash_of(case_id))[1]

    def _probe(self, key: int) -> tuple[int, Sequence[int]]:
        """Return the free slot at the end of the key's chain, and the rows on the chain with this very key."""
        slots = self._slots
        mask = len(slots) - 1
        slot = key & mask
        found: Sequence[int] = ()
        while number := slots[slot]:
            if self._hashes[number - 1] == key:
                found = (*found, number - 1)
            slot = (slot + 1) & mask
        return slot, found

    def _grow(self) -> None:
        size = 2 * len(self._slots)
        self._slots = slots = array("I", bytes(4 * size))
        for number, key in enumerate(self._hashes, start=1):
            slot = key & (size - 1)
            while slots[slot]:
                slot = (slot + 1) & (size - 1)
            slots[slot] = number
