"""How well raters agree, people or judges, beyond chance.

Ratings are rows, one per case: a label for each rater, None if a rater gave none. Cases with fewer than two labels
say nothing about agreement. `raw` is misleading if one label is common; then report Gwet's AC1 first.
Cohen's kappa is for exactly two raters, Krippendorff's alpha for any number with gaps.
"""

from collections import Counter
from collections.abc import Hashable, Sequence
from math import fsum, isfinite, sqrt
from typing import TYPE_CHECKING

from evalh.core.calibration import AgreementTable
from evalh.core.run import Estimate
from evalh.core.values import Value
from evalh.stats.quantiles import z_critical

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Rating = Sequence[Hashable | None]

RESAMPLES = 2000
BOOTSTRAP = "case-bootstrap"
_TWO = 2


def agreement(
    ratings: Sequence[Rating], *, confidence: float = 0.95, seed: int = 0, resamples: int = RESAMPLES
) -> AgreementTable:
    """Measure agreement; limits by resampling cases (seeded), for kappa by its standard error.

    Raises ValueError for rows of unequal length and for fewer than two raters.
    """
    raters = {len(row) for row in ratings}
    if len(raters) > 1 or not all(count >= _TWO for count in raters):
        raise ValueError("agreement is between two or more raters, each with a label or None for every case")
    kept = [row for row in ratings if sum(label is not None for label in row) >= _TWO]
    kappa = _kappa(kept, confidence) if raters == {_TWO} else None
    raw, ac1, alpha = _estimates(kept, seed, resamples, confidence)
    return AgreementTable(cases=len(kept), raters=next(iter(raters), 0), raw=raw, ac1=ac1, kappa=kappa, alpha=alpha)


class _Sums(Value):
    """Sums over cases from which the coefficients follow: a row for each resample, labels in the last axis."""

    cases: "NDArray[np.float64]"
    agreeing: "NDArray[np.float64]"  # each case's share of rater pairs that agree
    shares: "NDArray[np.float64]"  # each label's share of a case's labels
    labels: "NDArray[np.float64]"  # each label's count
    clashes: "NDArray[np.float64]"  # clashing ordered pairs of a case / (its labels - 1)


class _DistinctRows:
    """The distinct rows of labels. Many cases share one, so resampling draws counts of rows, not cases."""

    def __init__(self, ratings: Sequence[Rating]) -> None:
        import numpy as np

        rows = Counter(tuple(row) for row in ratings)
        distinct = sorted(rows, key=repr)
        names = sorted({label for row in distinct for label in row if label is not None}, key=repr)
        self.number = np.array([rows[row] for row in distinct])
        self._counts = np.array([[row.count(name) for name in names] for row in distinct], dtype=np.float64)

    def drawn(self, seed: int, resamples: int) -> "NDArray[np.int64]":
        """Draw resamples: as many cases as there are, with replacement."""
        import numpy as np

        cases = int(self.number.sum())
        return np.random.default_rng(seed).multinomial(cases, self.number / cases, size=resamples)

    def sums(self, drawn: "NDArray[np.int64]") -> _Sums:
        """Sum over cases; `drawn` counts each distinct row in each resample."""
        total = self._counts.sum(axis=1)
        pairs = (self._counts * (self._counts - 1)).sum(axis=1)
        return _Sums(
            drawn.sum(axis=1),
            drawn @ (pairs / (total * (total - 1))),
            drawn @ (self._counts / total[:, None]),
            drawn @ self._counts,
            drawn @ (total - pairs / (total - 1)),
        )


def _raw(sums: _Sums) -> "NDArray[np.float64]":
    return sums.agreeing / sums.cases


def _ac1(sums: _Sums) -> "NDArray[np.float64]":
    """Gwet (2008): (p_a - p_e) / (1 - p_e), p_e = sum pi (1 - pi) / (labels - 1)."""
    rate = sums.shares / sums.cases[:, None]
    chance: NDArray[np.float64] = (rate * (1 - rate)).sum(axis=1) / max(1, rate.shape[1] - 1)
    return (_raw(sums) - chance) / (1 - chance)


def _alpha(sums: _Sums) -> "NDArray[np.float64]":
    """Krippendorff (2011), nominal: 1 - observed / expected clashes."""
    total = sums.labels.sum(axis=1)
    expected: NDArray[np.float64] = (total**2 - (sums.labels**2).sum(axis=1)) / (total - 1)
    return 1 - sums.clashes / expected


def _estimates(ratings: Sequence[Rating], seed: int, resamples: int, confidence: float) -> list[Estimate]:
    """Return raw agreement, AC1 and alpha with percentile limits."""
    if not ratings:
        return [Estimate(None, None, None, BOOTSTRAP)] * 3
    import numpy as np

    rows = _DistinctRows(ratings)
    whole, drawn = rows.sums(rows.number[None]), rows.sums(rows.drawn(seed, resamples))
    with np.errstate(divide="ignore", invalid="ignore"):
        pairs = [(float(one(whole)[0]), one(drawn)) for one in (_raw, _ac1, _alpha)]
    return [_percentiles(value, values, confidence) for value, values in pairs]


def _percentiles(value: float, drawn: "NDArray[np.float64]", confidence: float) -> Estimate:
    import numpy as np

    if not isfinite(value):
        return Estimate(None, None, None, BOOTSTRAP)
    tail = (1 - confidence) / 2
    # In a resample with only one label chance agreement is undefined: it is left out.
    low, high = np.quantile(drawn[np.isfinite(drawn)], [tail, 1 - tail])
    return Estimate(value, min(float(low), value), max(float(high), value), BOOTSTRAP)


def _kappa(ratings: Sequence[Rating], confidence: float) -> Estimate:
    """Cohen's kappa with the large-sample standard error of Fleiss, Cohen and Everitt (1969)."""
    cells = Counter((row[0], row[1]) for row in ratings)
    cases = len(ratings)
    first, second = (
        Counter({label: n / cases for label, n in Counter(row[side] for row in ratings).items()}) for side in (0, 1)
    )
    seen = fsum(count / cases for (left, right), count in cells.items() if left == right)
    chance = fsum(first[label] * second[label] for label in first)
    if not cases or chance >= 1:
        return Estimate(None, None, None, "fleiss")
    value = (seen - chance) / (1 - chance)
    same = fsum(
        count / cases * (1 - (first[left] + second[left]) * (1 - value)) ** 2
        for (left, right), count in cells.items()
        if left == right
    )
    apart = (1 - value) ** 2 * fsum(
        count / cases * (second[left] + first[right]) ** 2 for (left, right), count in cells.items() if left != right
    )
    variance = (same + apart - (value - chance * (1 - value)) ** 2) / ((1 - chance) ** 2 * cases)
    half = z_critical(confidence) * sqrt(max(0.0, variance))
    return Estimate(value, max(-1.0, value - half), min(1.0, value + half), "fleiss")
