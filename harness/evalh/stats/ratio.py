"""Cost per good output: a ratio of two means, with its interval, over cases.

Inputs are two sequences of the same length, one number per case: `costs` in USD (all spend on the case, over all its
trials; the caller refuses cases of unknown cost) and `goods` (how many of its trials were good). Sums
are exact (`fsum`), so the order of cases changes no digit.
"""

from collections.abc import Sequence
from decimal import Decimal
from math import exp, fsum, inf, sqrt
from typing import NamedTuple

from evalh.core.run import Estimate
from evalh.core.values import Value
from evalh.stats.quantiles import t_critical

LOG_DELTA = "log-delta"


class Moments(Value, kw_only=True):
    """The moments of at least two cases, one of them good: means, and variances with ddof 1."""

    cases: int
    value: float  # the ratio
    cost: float
    good: float
    cost_variance: float
    good_variance: float
    covariance: float
    residual_variance: float  # of cost - value * good


class FiellerLimits(NamedTuple):
    """Fieller's confidence set for a ratio that is not negative; high is None if the set has no upper end."""

    low: float
    high: float | None


def cost_per_good(
    costs: Sequence[float], goods: Sequence[float], *, trials: float = 1, confidence: float = 0.95
) -> Estimate:
    """Estimate the cost of one good output: sum(costs) / sum(goods), in USD.

    `method` names the method of the limits:

    - `log-delta`: R * exp(± t_{n-1} SE / R), clustered by case
    - `fieller`: the good rate is not clearly above 0, so no finite upper limit exists; low is Fieller's
    - `zero-goods`: nothing was good; value and high are None, low is the mean cost of a trial over the one-sided
      upper limit of the good rate, 1 - (1 - confidence)^(1/n). `trials` per case matter here only
    - `one-case`: no spread is known, no limits; `none`: no cases

    Raises ValueError for negative or not finite costs and goods, and for sequences of unequal length.
    """
    _check(costs, goods)
    cases = len(costs)
    if not cases:
        return Estimate(None, None, None, "none")
    if not any(goods):
        return zero_goods(fsum(costs) / (cases * trials), cases, confidence)
    if cases == 1:
        return Estimate(fsum(costs) / fsum(goods), None, None, "one-case")
    return estimate(moments_of(costs, goods), confidence)


def zero_goods(mean_cost: float, cases: int, confidence: float = 0.95) -> Estimate:
    """Bound the cost of a good output from below if none was good; `mean_cost` is that of a trial."""
    rate_limit = 1 - (1 - confidence) ** (1 / cases)
    return Estimate(None, mean_cost / rate_limit, None, "zero-goods")


def estimate(moments: Moments, confidence: float = 0.95) -> Estimate:
    """Estimate the cost of one good output from its cases' moments: see `cost_per_good`."""
    value = moments.value
    limits = fieller(moments, confidence)
    if limits.high is None:
        return Estimate(value, limits.low, None, "fieller")
    if value == 0.0:
        return Estimate(0.0, 0.0, 0.0, LOG_DELTA)
    # The influence of a case is (cost - value * good) / mean good; influences sum to 0.
    error = sqrt(moments.residual_variance / moments.cases) / moments.good
    factor = _exp(t_critical(confidence, moments.cases - 1) * error / value)
    return Estimate(value, value / factor, value * factor if factor < inf else None, LOG_DELTA)


def fieller(moments: Moments, confidence: float = 0.95) -> FiellerLimits:
    """Bound the ratio by Fieller's method: {R: (mean cost - R mean good)^2 <= t^2 Var}."""
    t2n = t_critical(confidence, moments.cases - 1) ** 2 / moments.cases
    a = moments.good**2 - t2n * moments.good_variance
    b = moments.cost * moments.good - t2n * moments.covariance
    c = moments.cost**2 - t2n * moments.cost_variance
    # The set contains the ratio itself; this ensures it if `a` is 0 but for rounding.
    value = moments.value
    if a > 0:
        root = sqrt(max(0.0, b * b - a * c))
        return FiellerLimits(min(value, max(0.0, (b - root) / a)), max(value, (b + root) / a))
    # c / (b + root) is the set's lower end on the positive side, for a = 0 too.
    denominator = b + sqrt(max(0.0, b * b - a * c))
    if c <= 0 or denominator <= 0:  # the cost is not clearly above 0: nothing is excluded
        return FiellerLimits(0.0, None)
    return FiellerLimits(min(value, c / denominator), None)


def cost_per_good_ratio(
    base: tuple[Sequence[float], Sequence[float]],
    head: tuple[Sequence[float], Sequence[float]],
    confidence: float = 0.95,
) -> Estimate:
    """Estimate head's over base's cost per good output; (costs, goods) of the same cases in the same order.

    By logarithms: value * exp(± t_{n-1} sd(i_head / R_head - i_base / R_base) / sqrt(n)). All None if a side has
    no good or cost nothing.
    """
    _check(*base)
    _check(*head)
    cases = len(base[0])
    if cases != len(head[0]) or cases < 2:  # noqa: PLR2004 (a variance needs two values)
        raise ValueError("two versions are compared over the same cases, at least two")
    if not all(any(column) for column in (*base, *head)):
        return Estimate(None, None, None, LOG_DELTA)
    base_value, head_value = (fsum(costs) / fsum(goods) for costs, goods in (base, head))
    influences = zip(_influences(*base), _influences(*head), strict=True)
    relative = [of_head / head_value - of_base / base_value for of_base, of_head in influences]
    # Influences of one side sum to 0, and so do their differences: no mean is subtracted.
    error = sqrt(fsum(d * d for d in relative) / (cases - 1) / cases)
    value, factor = head_value / base_value, _exp(t_critical(confidence, cases - 1) * error)
    return Estimate(value, value / factor, value * factor if factor < inf else None, LOG_DELTA)


def _influences(costs: Sequence[float], goods: Sequence[float]) -> list[float]:
    value = fsum(costs) / fsum(goods)
    mean_good = fsum(goods) / len(goods)
    return [(cost - value * good) / mean_good for cost, good in zip(costs, goods, strict=True)]


def moments_of(costs: Sequence[float], goods: Sequence[float]) -> Moments:
    """Return the moments of at least two cases, one of them good."""
    cases = len(costs)
    value = fsum(costs) / fsum(goods)
    cost, good = fsum(costs) / cases, fsum(goods) / cases
    return Moments(
        cases=cases,
        value=value,
        cost=cost,
        good=good,
        cost_variance=fsum((c - cost) ** 2 for c in costs) / (cases - 1),
        good_variance=fsum((g - good) ** 2 for g in goods) / (cases - 1),
        covariance=fsum((c - cost) * (g - good) for c, g in zip(costs, goods, strict=True)) / (cases - 1),
        residual_variance=fsum((c - value * g) ** 2 for c, g in zip(costs, goods, strict=True)) / (cases - 1),
    )


def _exp(exponent: float) -> float:
    return exp(exponent) if exponent < 700 else inf  # noqa: PLR2004 (math.exp raises above 709)


def _check(costs: Sequence[float], goods: Sequence[float]) -> None:
    if len(costs) != len(goods):
        raise ValueError(f"{len(costs)} costs and {len(goods)} goods are not of the same cases")
    if not all(0.0 <= value < inf for values in (costs, goods) for value in values):
        raise ValueError("costs and goods are finite and not negative")


_UNIT = 10**15  # of a US dollar: finer than a price of nine decimals for a million tokens
_SCALE = Decimal(_UNIT)


class CostSums:
    """The sums that `cost_per_good` needs, over any number of clusters of cases, in constant memory.

    Costs and their squares are added as integers, which do not round: the order changes no digit, and nothing is
    lost when two large sums are subtracted.
    """

    __slots__ = ("_both", "_cost", "_cost2", "_good", "_good2", "clusters", "samples")

    def __init__(self) -> None:
        self.clusters = 0
        self.samples = 0
        self._cost = self._good = 0
        self._cost2 = self._good2 = self._both = 0

    def add(self, cost_usd: Decimal, good: int, samples: int = 1) -> None:
        """Add a cluster: the cost of all its samples, the number of good ones, and their number."""
        cost = int(cost_usd * _SCALE)
        self.clusters += 1
        self.samples += samples
        self._cost += cost
        self._cost2 += cost * cost
        if good:
            self._good += good
            self._good2 += good * good
            self._both += cost * good

    def copy(self) -> "CostSums":
        """Return a copy, to which others may be added."""
        other = CostSums()
        for name in CostSums.__slots__:
            setattr(other, name, getattr(self, name))
        return other

    def cost_per_good(self, confidence: float = 0.95) -> Estimate:
        """Estimate the cost of one good output; the same as `ratio.cost_per_good` of these clusters."""
        if not self.clusters:
            return Estimate(None, None, None, "none")
        if not self._good:
            return zero_goods(self._cost / (max(self.samples, 1) * _UNIT), self.clusters, confidence)
        if self.clusters == 1:
            return Estimate(self._cost / (self._good * _UNIT), None, None, "one-case")
        return estimate(self._moments(), confidence)

    def _moments(self) -> Moments:
        n, cost, good = self.clusters, self._cost, self._good
        pairs = n * (n - 1)
        residual2 = good * good * self._cost2 - 2 * cost * good * self._both + cost * cost * self._good2
        return Moments(
            cases=n,
            value=cost / (good * _UNIT),
            cost=cost / (n * _UNIT),
            good=good / n,
            cost_variance=(n * self._cost2 - cost * cost) / (pairs * _UNIT * _UNIT),
            good_variance=(n * self._good2 - good * good) / pairs,
            covariance=(n * self._both - cost * good) / (pairs * _UNIT),
            residual_variance=residual2 / (good * good * (n - 1) * _UNIT * _UNIT),
        )
