"""The interval of a mean difference, valid at any stopping point."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from evalh.stats.intervals import Interval

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_FRACTIONS = 20
_GRID = 1001
_EDGE = 0.999
_VALUES_AT_ONCE = 64
_MOST_VALUES = 500  # more different differences than these are rounded, against the claim


def stopped_interval(
    differences: Sequence[float], confidence: float = 0.95, *, optimistic: Sequence[float] | None = None
) -> Interval:
    """Bound the mean of differences in [-1, 1], valid at whatever number of cases one stopped.

    The means t on a grid of 1001 points with (E+(t) + E-(t)) / 2 < 1 / (1 - confidence), E+ and E- betting that the
    mean lies above and below t with 20 even fractions of the largest bet (Waudby-Smith and Ramdas 2024, hedged
    capital). `optimistic`: the same cases, ungraded ones read in head's favour where `differences` reads them against
    it; the interval then holds both. Without cases nothing is known: (-1, 1).
    """
    read_well = differences if optimistic is None else optimistic
    if not differences:
        return Interval(-1.0, 1.0)
    low, high = _kept(differences, confidence)
    if optimistic is not None:
        high = max(high, _kept(read_well, confidence).high)
    return Interval(low, high)


def _kept(differences: Sequence[float], confidence: float) -> Interval:
    import numpy as np

    counts = Counter(differences)
    values = np.array(sorted(counts))
    number = np.array([counts[value] for value in sorted(counts)], dtype=np.float64)
    means = np.linspace(-_EDGE, _EDGE, _GRID)
    above = _log_capital(*_rounded_down(values, number), means)
    below = _log_capital(*_rounded_down(-values, number), -means)
    capital = np.logaddexp(above, below) - np.log(2)
    kept = np.flatnonzero(capital < -np.log(1 - confidence))
    centre = float(values @ number / number.sum())
    if not len(kept):  # every grid point is excluded: the mean stands between two
        return Interval(centre, centre)
    # A mean at the very end of the scale lies beyond the last point of the grid.
    low, high = (means[kept[0]], means[kept[-1]])
    reaches = (kept[0] == 0, kept[-1] == _GRID - 1)
    return Interval(-1.0 if reaches[0] else min(float(low), centre), 1.0 if reaches[1] else max(float(high), centre))


def _rounded_down(
    values: "NDArray[np.float64]", number: "NDArray[np.float64]"
) -> tuple["NDArray[np.float64]", "NDArray[np.float64]"]:
    """Put many different values on a grid, downwards: a bet on a higher mean then wins less, and stays honest."""
    import numpy as np

    if len(values) <= _MOST_VALUES:
        return values, number
    steps = np.floor(values * (_MOST_VALUES / 2)) / (_MOST_VALUES / 2)
    rounded, place = np.unique(steps, return_inverse=True)
    return rounded, np.bincount(place, weights=number).astype(np.float64)


def _log_capital(
    values: "NDArray[np.float64]", number: "NDArray[np.float64]", means: "NDArray[np.float64]"
) -> "NDArray[np.float64]":
    """Return log of the mean over fractions f of prod (1 + f (D - t) / (1 + t)), for every t."""
    import numpy as np

    fractions = (np.arange(_FRACTIONS) + 0.5) / _FRACTIONS
    bets = fractions[:, None] / (1 + means)
    logs = np.zeros_like(bets)
    for start in range(0, len(values), _VALUES_AT_ONCE):
        some = slice(start, start + _VALUES_AT_ONCE)
        gains = np.log1p(bets * (values[some, None, None] - means))
        logs += np.tensordot(number[some], gains, axes=1)
    top = logs.max(axis=0)
    capital: NDArray[np.float64] = top + np.log(np.exp(logs - top).mean(axis=0))
    return capital
