"""Quantiles of what was measured."""

from collections.abc import Sequence
from math import ceil


def quantile(values: Sequence[float], q: float) -> float | None:
    """Return the nearest-rank quantile: the smallest value that at least a share `q` of all values do not exceed.

    It is a value that was really measured, never a point between two. Any order; None for no values.
    Raises ValueError for q outside [0, 1].
    """
    if not 0.0 <= q <= 1.0:
        raise ValueError(f"a quantile lies between 0 and 1, not at {q}")
    if not values:
        return None
    ordered = sorted(values)
    rank = ceil(q * len(ordered) - 1e-9)  # 0.07 * 100 is 7.000000000000001
    return ordered[max(rank, 1) - 1]
