"""Clustered data: similar cases (copies, templates, turns of one conversation) vary together and count as one cluster.

A case without similar ones is a cluster of its own. Trials of one case belong to its cluster.
"""

from array import array
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from math import erfc, fsum, sqrt
from typing import NamedTuple, TypeAlias

from evalh.core.values import Value
from evalh.stats.intervals import wilson
from evalh.stats.quantiles import t_critical, z_critical

_ROUNDING = 1e-9


class ClusterSum(NamedTuple):
    """One cluster: the sum of its cases' rates, each in [0, 1], and the number of its cases."""

    total: float
    cases: int


class WeightSum(NamedTuple):
    """One cluster of weighted cases: the weighted sum of their rates, and the sum of their weights."""

    total: float
    cases: float


Sums: TypeAlias = Mapping[ClusterSum, int] | Mapping[WeightSum, int]


class ClusteredRate(Value):
    """A rate over cases, its interval, and the correlation of the samples of a cluster."""

    rate: float
    low: float
    high: float
    se: float | None  # standard error of the mean over cases; None: one cluster
    n_eff: float  # the equivalent number of independent samples
    n_star: float  # the same, reduced because the standard error is estimated: Wilson's n


def clustered_rate(
    clusters: Sums, trials: int, confidence: float = 0.95, *, most: float | None = None
) -> ClusteredRate:
    """Bound the mean rate of cases (`trials` samples each) by Wilson's interval at n*, whole clusters varying together.

    `clusters` are counted: a million alike cost as much as one. SE^2 = G / (G - 1) n^-2 sum over clusters of (sum of
    its (rate - mean))^2 (Miller 2024; the usual standard error if each case is a cluster). Rates near 0 and 1 show
    too little spread to estimate it from, so n_eff = p (1 - p) / SE^2 is computed with one cluster of rate 0 and one
    of rate 1 more, of mean size, times G / (G + 2), and clipped to [1, n trials]; n* = n_eff (z / t_{G-1})^2. One
    cluster says nothing about another: (0, 1). With weights, the rate is Hájek's ratio of sums, SE^2 its linearised
    variance, and `most`, the number of samples, the largest n_eff (Korn and Graubard 1998). Raises ValueError for no
    cases, for rates outside [0, 1] and for trials < 1.
    """
    cases = sum(one.cases * times for one, times in clusters.items())
    if not cases or trials < 1 or not all(0.0 <= one.total <= one.cases * (1 + _ROUNDING) for one in clusters):
        raise ValueError("per-case rates lie in [0, 1], over at least one case and one trial")
    rate = min(1.0, max(0.0, fsum(one.total * times for one, times in clusters.items()) / cases))
    groups = sum(clusters.values())
    if groups == 1:
        return ClusteredRate(rate, 0.0, 1.0, None, 1.0, 0.0)
    size = cases / groups
    mean = (rate * cases + size) / (cases + 2 * size)
    squares = _squares(clusters, mean) + size**2 * (mean**2 + (1 - mean) ** 2)
    variance = (groups + 2) / (groups + 1) * squares / (cases + 2 * size) ** 2
    largest = float(cases * trials) if most is None else most
    n_eff = min(max(mean * (1 - mean) / variance * groups / (groups + 2), 1.0), largest)
    n_star = n_eff * (z_critical(confidence) / t_critical(confidence, groups - 1)) ** 2
    low, high = wilson(rate * n_star, n_star, confidence)
    se = sqrt(groups / (groups - 1) * _squares(clusters, rate)) / cases
    return ClusteredRate(rate, min(low, rate), max(high, rate), se, n_eff, n_star)


def _squares(clusters: Sums, mean: float) -> float:
    return fsum(times * (one.total - one.cases * mean) ** 2 for one, times in clusters.items())


def rate_below_p(clusters: Mapping[ClusterSum, int], trials: int, bar: float) -> float:
    """Return the one-sided p-value against a rate of `bar` or more.

    Exact (binomial) for single cases with one trial; otherwise the score test at the n* of `clustered_rate`.
    """
    cases = sum(one.cases * times for one, times in clusters.items())
    good = fsum(one.total * times for one, times in clusters.items())
    if good >= bar * cases:
        return 1.0
    if trials == 1 and sum(clusters.values()) == cases:
        return binomial_tail(round(good), cases, bar)
    rate = clustered_rate(clusters, trials)
    if not rate.n_star:
        return 1.0
    spread = sqrt(bar * (1 - bar) / rate.n_star)
    return erfc((bar - rate.rate) / spread / sqrt(2)) / 2 if spread else 0.0


def binomial_tail(good: int, n: int, rate: float) -> float:
    """Return the probability of at most `good` of `n` at this rate."""
    from scipy.special import bdtr

    return float(bdtr(good, n, rate))


_BUCKETS = 256  # a power of two


class ClusterIndex:
    """Finds similar cases among many, in 16 bytes per case: it keeps hashes of inputs and cluster names, not texts.

    Python's own hash suffices: it is seeded for each process, so that nobody can construct collisions.
    """

    def __init__(self) -> None:
        self._cases = 0
        self._inputs = array("q")
        self._named: dict[int, int] = {}
        self._joining_none: set[int] = set()  # places, of those that name a cluster
        self._buckets = [array("q") for _ in range(_BUCKETS)]

    def add(self, inputs: bytes, cluster: str | None, *, joins: bool = True) -> None:
        """Add the next case: its inputs, encoded so that equal ones are equal bytes, and the cluster that it names.

        One that `joins` no two clusters belongs to that of its inputs, if others have them, and else to the named one.
        """
        self._inputs.append(self._kept(hash(inputs)))
        if cluster is not None:
            self._named[self._cases] = self._kept(hash(("cluster", cluster)))
            if not joins:
                self._joining_none.add(self._cases)
        self._cases += 1

    def _kept(self, key: int) -> int:
        self._buckets[key & (_BUCKETS - 1)].append(key)
        return key

    def numbers(self) -> dict[int, int]:
        """Return the number of the cluster by a case's place, for clusters of several cases."""
        shared = {
            key
            for bucket in self._buckets
            if len(set(bucket)) < len(bucket)
            for key, times in Counter(bucket).items()
            if times > 1
        }
        if not shared:
            return {}
        tied = {place: key for place, key in enumerate(self._inputs) if key in shared}
        named = {
            place: key
            for place, key in self._named.items()
            if key in shared and not (place in tied and place in self._joining_none)
        }
        places = sorted({*tied, *named})
        ties = ([one[place] for one in (tied, named) if place in one] for place in places)
        return dict(zip(places, grouped(ties), strict=True))


def number_of_clusters(cases: int, clusters: Mapping[int, int]) -> int:
    """Count the clusters of `cases` cases; `clusters` are as `ClusterIndex.numbers` returns them."""
    return cases - len(clusters) + len(set(clusters.values()))


def grouped(names: Iterable[Sequence[Hashable]]) -> list[int]:
    """Return the number of each case's cluster, from 0 in order of appearance; cases that share a name are in one.

    `names`: for each case, every name that it may share with others (its own cluster name, the digest of its inputs).
    """
    parents: list[int] = []
    owner: dict[Hashable, int] = {}

    def root(place: int) -> int:
        while parents[place] != place:
            parents[place] = place = parents[parents[place]]
        return place

    for place, ties in enumerate(names):
        parents.append(place)
        for name in ties:
            first, own = root(owner.setdefault(name, place)), root(place)
            parents[max(first, own)] = min(first, own)
    numbers: dict[int, int] = {}
    return [numbers.setdefault(root(place), len(numbers)) for place in range(len(parents))]
