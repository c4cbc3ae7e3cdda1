"""Samples as they come in, gathered into cases, and cases into clusters: what the statistics of a run count.

A case without similar ones is dropped once its trials are in: a million take as much memory as a hundred.
"""

from collections import Counter
from collections.abc import Mapping
from copy import copy
from decimal import Decimal
from fractions import Fraction

from msgspec import Struct

from evalh.stats.clusters import ClusterSum
from evalh.stats.ratio import CostSums

_NOTHING = Decimal(0)


class _Case(Struct):
    """A case whose trials are under way."""

    left: int  # trials
    seen: int = 0
    good: int = 0
    cost_usd: Decimal = _NOTHING


class _Cluster(Struct):
    """A cluster of several cases."""

    rates: Fraction = Fraction(0)  # exact: the order of cases moves no digit
    cases: int = 0
    seen: int = 0
    good: int = 0
    cost_usd: Decimal = _NOTHING


class Units:
    """Takes samples one by one, in any order. `clusters`: by the place of a case, of cases that are not alone."""

    def __init__(self, trials: int, clusters: Mapping[int, int]) -> None:
        self._trials = trials
        self._numbers = clusters
        self._under_way: dict[int, _Case] = {}
        self._shared: dict[int, _Cluster] = {}
        self._costs = CostSums()
        self._rates: Counter[ClusterSum] = Counter()

    def add(self, case_index: int, cost_usd: Decimal, *, good: bool | None) -> None:
        """Count a trial of a case; `good` is None where there was no sample."""
        self.count(case_index, int(good is True), int(good is not None), cost_usd)

    def count(self, case_index: int, good: int, seen: int, cost_usd: Decimal = _NOTHING) -> None:
        """Count a trial of a case in which something was seen so many times, and was good so many times."""
        case = self._under_way.pop(case_index, None) or _Case(self._trials)
        case.left -= 1
        case.seen += seen
        case.good += good
        case.cost_usd += cost_usd
        if case.left:
            self._under_way[case_index] = case
            return
        self._close(case_index, case, self._costs, self._rates, self._shared)

    def closed(self) -> tuple[CostSums, Counter[ClusterSum]]:
        """Return costs and rates of all clusters, with cases whose trials are not all in."""
        costs, rates = self._costs.copy(), self._rates.copy()
        shared = {number: copy(one) for number, one in self._shared.items()}
        for case_index, case in self._under_way.items():
            self._close(case_index, case, costs, rates, shared)
        for one in shared.values():
            if one.cases:
                rates[ClusterSum(float(one.rates), one.cases)] += 1
            if one.cases or one.cost_usd:
                costs.add(one.cost_usd, one.good, one.seen)
        return costs, rates

    def _close(
        self,
        case_index: int,
        case: _Case,
        costs: CostSums,
        rates: Counter[ClusterSum],
        shared: dict[int, _Cluster],
    ) -> None:
        """Count a case in, or join it to its cluster. One without a sample that cost nothing tells nothing."""
        number = self._numbers.get(case_index)
        if number is None:
            if case.seen:
                rates[ClusterSum(case.good / case.seen, 1)] += 1
            if case.seen or case.cost_usd:
                costs.add(case.cost_usd, case.good, case.seen)
            return
        cluster = shared.setdefault(number, _Cluster())
        if case.seen:
            cluster.rates += Fraction(case.good, case.seen)
            cluster.cases += 1
        cluster.seen += case.seen
        cluster.good += case.good
        cluster.cost_usd += case.cost_usd
