"""Cost per good output over any number of clusters of cases, in constant memory.

The clusters are not kept: their costs are added up as whole numbers, and so are their squares. Whole numbers do not
round, so their order moves no digit, and nothing is lost where two large sums are subtracted.
"""

from decimal import Decimal

from evalh.core.run import Estimate
from evalh.stats.ratio import Moments, estimate, zero_goods

_UNIT = 10**15  # of a US dollar: finer than a price of nine decimals for a million tokens
_SCALE = Decimal(_UNIT)


class CostSums:
    """What `cost_per_good` needs to know of its clusters, one by one. A case like no other is a cluster of its own."""

    __slots__ = ("_both", "_cost", "_cost2", "_good", "_good2", "clusters", "samples")

    def __init__(self) -> None:
        self.clusters = 0
        self.samples = 0
        self._cost = self._good = 0
        self._cost2 = self._good2 = self._both = 0

    def add(self, cost_usd: Decimal, good: int, samples: int = 1) -> None:
        """Take a cluster: what was spent on all its samples, how many of them are good, and how many there are."""
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
        """Return sums of the same clusters, to which others may be added."""
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
