"""Resampling cases: intervals for what has no formula. Seeded; the order of the cases moves no digit.

A resample without a good output costs infinitely much per good one, and so limits are values that were really drawn,
never points between two (one of which may be infinite).
"""

from collections.abc import Iterator, Sequence
from math import ceil, erf, floor, inf, isfinite, sqrt
from typing import TYPE_CHECKING

from evalh.core.run import Estimate
from evalh.stats.critical import z_critical
from evalh.stats.quantiles import quantile

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RESAMPLES = 2000
BCA = "bca"
PAIRED_BOOTSTRAP = "paired-bootstrap"
_CELLS = 4_000_000  # drawn cases held at once
_MOST_DRAWN = 40_000_000  # drawn cases in all: of a large dataset fewer resamples are drawn, which it can afford
_FEWEST_RESAMPLES = 200


def bca_ratio(
    numerators: Sequence[float],
    denominators: Sequence[float],
    *,
    confidence: float = 0.95,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Estimate:
    """Bound sum(numerators) / sum(denominators) over cases by the BCa bootstrap (Efron 1987).

    Denominators are not negative. No value where they sum to 0, no upper limit where it would be infinite, no limits
    for one case. A mean is the ratio over denominators of 1.
    """
    import numpy as np

    cases = np.array([numerators, denominators], dtype=np.float64)
    cases = cases[:, np.lexsort(cases)]
    sums, count = cases.sum(axis=1), cases.shape[1]
    if not count or sums[1] <= 0:
        return Estimate(None, None, None, BCA)
    value = float(sums[0] / sums[1])
    if count == 1:
        return Estimate(value, None, None, BCA)
    drawn = np.sort(_ratio(resampled_sums(cases, seed, resamples)))
    below = ((drawn < value).mean() + (drawn <= value).mean()) / 2
    ranks = _bca_shares(float(below), _acceleration(cases, sums), confidence)
    low, high = (
        float(drawn[min(max(round_(share * len(drawn)) - shift, 0), len(drawn) - 1)])
        for share, round_, shift in zip(ranks, (floor, ceil), (0, 1), strict=True)
    )
    return Estimate(value, _finite(low), _finite(high), BCA)


def resampled_sums(columns: "NDArray[np.float64]", seed: int, resamples: int = RESAMPLES) -> "NDArray[np.float64]":
    """Sum each column (a row of `columns`, one number per case) over resampled cases: one line a resample."""
    import numpy as np

    return np.concatenate([rows @ columns.T for rows in _weights(columns.shape[1], seed, resamples)])


def _finite(limit: float) -> float | None:
    return limit if isfinite(limit) else None


def _weights(count: int, seed: int, resamples: int) -> "Iterator[NDArray[np.float64]]":
    """Draw how often each case stands in each resample."""
    import numpy as np

    rng = np.random.default_rng(seed)
    wanted = min(resamples, max(_FEWEST_RESAMPLES, _MOST_DRAWN // count))
    step = max(1, _CELLS // count)
    for start in range(0, wanted, step):
        rows = min(step, wanted - start)
        drawn = rng.integers(0, count, size=(rows, count)) + np.arange(rows)[:, None] * count
        yield np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count).astype(np.float64)


def _ratio(sums: "NDArray[np.float64]") -> "NDArray[np.float64]":
    import numpy as np

    with np.errstate(divide="ignore", invalid="ignore"):
        ratio: NDArray[np.float64] = sums[:, 0] / sums[:, 1]
    ratio[sums[:, 1] <= 0] = inf
    return ratio


def _acceleration(cases: "NDArray[np.float64]", sums: "NDArray[np.float64]") -> float:
    """Return how fast the spread changes with the value, from leaving each case out."""
    left_out = _ratio((sums[:, None] - cases).T)
    if left_out.max() == inf:  # the only good one
        return 0.0
    away = left_out.mean() - left_out
    square = float((away**2).sum())
    return float((away**3).sum()) / (6 * square**1.5) if square > 0 else 0.0


def _bca_shares(below: float, acceleration: float, confidence: float) -> tuple[float, float]:
    """Return at which shares of the sorted resamples the limits stand."""
    if not 0.0 < below < 1.0:
        return (0.0, 1.0)
    bias = _normal_quantile(below)
    shares = []
    for z in (-z_critical(confidence), z_critical(confidence)):
        stretch = 1 - acceleration * (bias + z)
        shares.append((1 + erf((bias + (bias + z) / stretch) / sqrt(2))) / 2 if stretch > 0 else float(z > 0))
    return shares[0], shares[1]


def _normal_quantile(share: float) -> float:
    return z_critical(2 * share - 1) if share > 0.5 else -z_critical(1 - 2 * share) if share < 0.5 else 0.0  # noqa: PLR2004


def quantile_rise(
    base: Sequence[float],
    head: Sequence[float],
    q: float = 0.95,
    *,
    confidence: float = 0.95,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Estimate:
    """Estimate head's over base's quantile (nearest rank) of the same cases, by drawing pairs with replacement.

    For p95 latencies: 1.1 is a rise by a tenth. No value without cases or where base's quantile is 0.
    """
    import numpy as np

    if len(base) != len(head):
        raise ValueError("two versions are compared over the same cases")
    before, after = quantile(base, q), quantile(head, q)
    if before is None or after is None or before <= 0:
        return Estimate(None, None, None, PAIRED_BOOTSTRAP)
    pairs = np.array([base, head], dtype=np.float64)
    pairs = pairs[:, np.lexsort(pairs)]
    orders = [np.argsort(side, kind="stable") for side in pairs]
    needed = max(1, ceil(q * len(base) - 1e-9))
    drawn: list[NDArray[np.float64]] = []
    for rows in _weights(len(base), seed, resamples):
        at = [
            pairs[side][order[(rows[:, order].cumsum(axis=1) >= needed).argmax(axis=1)]]
            for side, order in enumerate(orders)
        ]
        drawn.append(_ratio(np.stack([at[1], at[0]], axis=1)))
    ratios = np.concatenate(drawn).tolist()
    tail = (1 - confidence) / 2
    low, high = quantile(ratios, tail), quantile(ratios, 1 - tail)
    assert low is not None
    assert high is not None
    return Estimate(after / before, min(low, after / before), _finite(max(high, after / before)), PAIRED_BOOTSTRAP)
