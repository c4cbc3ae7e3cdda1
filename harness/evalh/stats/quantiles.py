"""Quantiles of what was measured."""

from array import array
from collections.abc import Sequence
from math import ceil, frexp


def quantile(values: Sequence[float], q: float) -> float | None:
    """Return the nearest-rank quantile: the smallest value that at least a share `q` of all values do not exceed.

    It is a value that was really measured, never a point between two. Any order; None for no values.
    Raises ValueError for q outside [0, 1].
    """
    if not 0.0 <= q <= 1.0:
        raise ValueError(f"a quantile lies between 0 and 1, not at {q}")
    if not values:
        return None
    return sorted(values)[_rank(q, len(values)) - 1]


def _rank(q: float, count: int) -> int:
    return max(ceil(q * count - 1e-9), 1)  # 0.07 * 100 is 7.000000000000001


_KEPT = 20_000
_PARTS = 2048  # twice the parts of an octave


class Distribution:
    """Measured values of any number in little memory: the first 20,000 as they are, more by their 1,024th octave.

    A part of an octave is 0.1 % wide at most, and stands for the smallest value in it: a quantile of many values is
    below the exact one by less than 0.1 %. The order of values changes nothing.
    """

    def __init__(self) -> None:
        self._values = array("d")
        self._parts: dict[tuple[int, int], tuple[int, float]] = {}  # how many, and the smallest

    def add(self, value: float) -> None:
        """Take a value. It is not negative."""
        if self._parts:
            self._count(value)
            return
        self._values.append(value)
        if len(self._values) > _KEPT:
            for kept in self._values:
                self._count(kept)
            self._values = array("d")

    def quantile(self, q: float) -> float | None:
        """Return the quantile of what was taken: see `quantile`."""
        if not self._parts:
            return quantile(self._values, q)
        rank = _rank(q, sum(count for count, _ in self._parts.values()))
        for smallest, count in sorted((smallest, count) for count, smallest in self._parts.values()):
            rank -= count
            if rank <= 0:
                return smallest
        return None

    def _count(self, value: float) -> None:
        mantissa, exponent = frexp(value)
        part = (exponent, int(mantissa * _PARTS))
        count, smallest = self._parts.get(part, (0, value))
        self._parts[part] = (count + 1, min(smallest, value))
