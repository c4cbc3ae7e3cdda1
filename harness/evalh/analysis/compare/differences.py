"""One difference between two sides over the same cases: its interval, its p-value, and which side won which case.

The mean over clusters is tested and bounded: a cluster's difference is the mean of its cases' differences.

An ungraded sample supports no claim. It is read three ways: as it counts in the good rate (not good), against head (bad
there, good on base), and for head (the other way). A statement holds for all three.

`confirm` judges cases that got worse by fresh trials alone: the trials in which the flip was seen were chosen for it,
and would always confirm it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import ceil, fsum

from msgspec.structs import replace

from evalh.analysis.compare.comparison import Confirmed, Flip
from evalh.analysis.compare.pairing import CaseResult, Pair, cluster_sums, clustered
from evalh.core.run import Estimate
from evalh.core.suite import About
from evalh.core.values import Value
from evalh.stats.clusters import clustered_rate
from evalh.stats.intervals import Interval, mean_interval, wilson
from evalh.stats.multiplicity import benjamini_hochberg
from evalh.stats.paired import (
    fisher_worse,
    mcnemar_exact,
    mcnemar_midp,
    noninferiority_p,
    probability_worse,
    t_test_p,
    tango_interval,
)
from evalh.stats.permutation import sign_flip_p
from evalh.stats.planner import (
    ScoreSpread,
    cases_for_noninferiority,
    cases_for_score_difference,
    smallest_difference,
    smallest_score_difference,
)
from evalh.stats.sequential import PairedDifference, SequentialDesign, stopped_interval

BETS = "gate-bets"  # the method of an interval by the gate's own bets: each limit for itself, at any stopping point
COUNTED = "counted"  # about a dataset of which every case is in: only what the ungraded ones could be is open
UNKNOWN = Estimate(None, None, None, "none")
ONE_SIDED = 0.05
TWO_SIDED = 0.05  # a verdict of better or worse: the whole 95 % interval on one side of 0
LEAST_DISCORDANCE = 0.02  # versions that never disagreed here may do so elsewhere


class TrialTally(Value):
    """The result of a case on one side: passed trials, and trials with an unknown result."""

    trials: int
    passed: int
    unknown: int

    @property
    def least(self) -> float:
        """The pass rate if none of the unknown trials had passed."""
        return self.passed / self.trials

    @property
    def most(self) -> float:
        """The pass rate if all of the unknown trials had passed."""
        return (self.passed + self.unknown) / self.trials


Measure = Callable[[CaseResult], TrialTally]
"""What is compared: whether samples are good, or what one grader says of them."""


def goods(case: CaseResult) -> TrialTally:
    """Count good samples; ungraded ones are unknown."""
    return TrialTally(case.trials, case.goods, case.ungraded)


def rate_of(tallies: Sequence[TrialTally], clusters: Sequence[Sequence[int]]) -> Estimate:
    """Estimate the rate of cases that lie in these clusters; unknown trials did not pass."""
    if not tallies:
        return UNKNOWN
    if all(tally.unknown == tally.trials for tally in tallies):
        return Estimate(None, None, None, "ungraded")
    trials = max(tally.trials for tally in tallies)
    if trials == 1 and len(clusters) == len(tallies):
        passed = sum(tally.passed for tally in tallies)
        interval = wilson(passed, len(tallies))
        return Estimate(passed / len(tallies), interval.low, interval.high, "wilson")
    rate = clustered_rate(cluster_sums([tally.least for tally in tallies], clusters), trials)
    return Estimate(rate.rate, rate.low, rate.high, "wilson-clustered")


@dataclass(frozen=True)
class Differences:
    """The differences, head - base, read three ways.

    Where every case is its own cluster and has one trial a side, they are binary: -1, 0 or 1.
    """

    pairs: Sequence[Pair]
    measure: Measure = goods
    exact: bool = False  # a test that blocks must never err too often
    stopped: SequentialDesign | None = None  # the cases were looked at while they came in, in this order
    limits: Interval | None = None  # where one stopped: what the gate's own test leaves
    seed: int = 0
    _tallies: list[tuple[TrialTally, TrialTally]] = field(init=False)

    def __post_init__(self) -> None:
        tallies = [(self.measure(pair.base), self.measure(pair.head)) for pair in self.pairs]
        object.__setattr__(self, "_tallies", tallies)

    @property
    def n(self) -> int:
        """How many cases there are."""
        return len(self._tallies)

    @cached_property
    def _clusters(self) -> list[list[int]]:
        return clustered([pair.head for pair in self.pairs])

    @property
    def clusters(self) -> int:
        """How many clusters the cases are in."""
        return len(self._clusters)

    @cached_property
    def uneven(self) -> bool:
        """Whether clusters differ in size, so that the mean over clusters is not the mean over cases."""
        return len({len(places) for places in self._clusters}) > 1

    def _over_clusters(self, values: Sequence[float]) -> list[float]:
        return [fsum(values[place] for place in places) / len(places) for places in self._clusters]

    @cached_property
    def _least(self) -> list[float]:
        """The least that the cases' differences can be."""
        return [head.least - base.most for base, head in self._tallies]

    @cached_property
    def _most(self) -> list[float]:
        """The most that the cases' differences can be."""
        return [head.most - base.least for base, head in self._tallies]

    @cached_property
    def counted(self) -> list[float]:
        """The clusters' differences as the good rates count them: an ungraded sample is not good."""
        return self._over_clusters([head.least - base.least for base, head in self._tallies])

    @cached_property
    def against_head(self) -> list[float]:
        """The least that the clusters' differences can be."""
        return self._over_clusters(self._least)

    @cached_property
    def for_head(self) -> list[float]:
        """The most that the clusters' differences can be."""
        return self._over_clusters(self._most)

    @cached_property
    def binary(self) -> bool:
        """Whether every cluster is one case with one trial on each side."""
        return self.clusters == self.n and all(base.trials == head.trials == 1 for base, head in self._tallies)

    @property
    def won(self) -> tuple[str, ...]:
        """The cases on which head is ahead, whatever the unknown samples were."""
        return tuple(pair.case_id for pair, least in zip(self.pairs, self._least, strict=True) if least > 0)

    @property
    def lost(self) -> tuple[str, ...]:
        """The cases on which base is ahead, whatever the unknown samples were."""
        return tuple(pair.case_id for pair, most in zip(self.pairs, self._most, strict=True) if most < 0)

    @property
    def undecided(self) -> int:
        """How many cases' sign hangs on unknown samples."""
        pairs = zip(self._least, self._most, strict=True)
        return sum(low <= 0 <= high and low != high for low, high in pairs)

    @property
    def value(self) -> float | None:
        """The mean difference over clusters, as the good rates count it; None if there is no case."""
        return fsum(self.counted) / self.clusters if self.n else None

    @property
    def test(self) -> str:
        """The name of the test behind `p_value`."""
        if not self.n or self.stopped is not None:
            return "none"
        if not self.binary:
            return "sign-flip"
        return "mcnemar-exact" if self.exact else "mcnemar-midp"

    @cached_property
    def estimate(self) -> Estimate:
        """The mean difference over clusters; its interval covers whatever the unknown samples were."""
        value = self.value
        if value is None:
            return UNKNOWN
        if self.stopped is not None:
            bounds = zip(self.against_head, self.for_head, strict=True)
            design = replace(self.stopped, target=About.POPULATION)
            limits = self.limits or stopped_interval(design, [PairedDifference(*both) for both in bounds])
            whole = self.stopped.target is About.DATASET and self.clusters == self.stopped.cases
            return Estimate(value, limits.low, limits.high, COUNTED if whole and self.limits is not None else BETS)
        low, method = self._interval(self.against_head)
        high, _ = self._interval(self.for_head)
        return Estimate(value, max(-1.0, min(low[0], value)), min(1.0, max(high[1], value)), method)

    def _interval(self, differences: Sequence[float]) -> tuple[tuple[float, float], str]:
        if self.binary:
            return tango_interval(*_counts(differences), self.n), "tango"
        if self.clusters == 1:
            return (-1.0, 1.0), "one-cluster" if self.n > 1 else "one-case"
        return mean_interval(_steadied(differences)), "clustered-t"

    @cached_property
    def p_value(self) -> float | None:
        """Two-sided, against no difference; None if one stopped early.

        1 if the unknown samples could reverse the difference.
        """
        if not self.n or self.stopped is not None:
            return None
        low, high = fsum(self.against_head), fsum(self.for_head)
        if low < 0 < high:
            return 1.0
        readings = [self.counted] if low == high else [self.counted, self.against_head, self.for_head]
        return max(self._p(differences) for differences in readings)

    def _p(self, differences: Sequence[float]) -> float:
        if not self.binary:
            return sign_flip_p(differences, seed=self.seed)
        wins, losses = _counts(differences)
        return mcnemar_exact(wins, losses) if self.exact else mcnemar_midp(wins, losses)

    def p_no_worse(self, margin: float) -> float | None:
        """One-sided, against head being worse by `margin` or more; unknown samples are read against head."""
        differences = self.against_head
        if self.stopped is not None:
            return None
        if self.binary:
            return noninferiority_p(*_counts(differences), self.n, margin) if self.n else None
        if self.clusters == 1:
            return None
        shifted = [value + margin for value in _steadied(differences)]
        two_sided = t_test_p(shifted)
        return two_sided / 2 if fsum(shifted) > 0 else 1 - two_sided / 2

    # -- plans

    @property
    def discordance(self) -> float:
        """The mean squared difference, at least 2 %: where the differences are binary, the share that differ."""
        seen = fsum(value * value for value in self.counted) / self.clusters if self.n else 0.0
        return max(LEAST_DISCORDANCE, seen)

    def detectable_drop(self) -> float | None:
        """Return the smallest drop that is called worse with 80 % power, over cases that disagree as these do."""
        if not self.n:
            return None
        if self.binary:
            return smallest_difference(self.n, self.discordance, two_sided=True)
        if self.clusters == 1:
            return None
        drop = smallest_score_difference(self.clusters, 1, self._spread(), alpha=TWO_SIDED)
        return drop if drop <= 1.0 else None

    def cases_needed(self, margin: float) -> int | None:
        """Return how many such cases exclude a drop of `margin` with 80 % power where there is no difference."""
        if not self.n or margin <= 0:
            return None
        if self.binary:
            return ceil(cases_for_noninferiority(self.discordance, margin))
        if self.clusters == 1:
            return None
        clusters = cases_for_score_difference(margin, 1, self._spread(), alpha=2 * ONE_SIDED)
        return ceil(clusters * self.n / self.clusters)

    def _spread(self) -> ScoreSpread:
        values = _steadied(self.counted)
        mean = fsum(values) / len(values)
        return ScoreSpread(fsum((value - mean) ** 2 for value in values) / (len(values) - 1), 0.0, 0.0)


def _steadied(differences: Sequence[float]) -> list[float]:
    """Add one difference of +1 and one of -1: few or equal differences show less spread than there is.

    Without them a t test over nearly constant differences claims "no worse" falsely up to 29 times in 100; with them
    at most 7 (in the spirit of Bonett and Price 2012).
    """
    return [*differences, 1.0, -1.0]


def _counts(differences: Sequence[float]) -> tuple[int, int]:
    """Return wins and losses of binary differences."""
    return sum(value > 0 for value in differences), sum(value < 0 for value in differences)


FRESH_TRIALS = 5  # with 3, the smallest p-value that Fisher's test can give is 0.05: powerless
FALSE_DISCOVERIES = 0.10  # of the cases that are called regressed, so many may not be


def confirm(
    cases: Sequence[str], base: Mapping[str, CaseResult], head: Mapping[str, CaseResult]
) -> tuple[Confirmed, ...]:
    """Judge each case by its fresh trials on both sides; ungraded ones are left out."""
    counts = [(_graded(base.get(case)), _graded(head.get(case))) for case in cases]
    p_values = [fisher_worse(*of_base, *of_head) for of_base, of_head in counts]
    adjusted = benjamini_hochberg(p_values)
    return tuple(
        Confirmed(
            case_id=case,
            base_good=of_base[0],
            base_trials=of_base[1],
            head_good=of_head[0],
            head_trials=of_head[1],
            p_value=p_value,
            p_adjusted=p_adjusted,
            p_worse=probability_worse(*of_base, *of_head),
            label=_label(of_base, of_head, p_adjusted),
        )
        for case, (of_base, of_head), p_value, p_adjusted in zip(cases, counts, p_values, adjusted, strict=True)
    )


def _graded(case: CaseResult | None) -> tuple[int, int]:
    return (0, 0) if case is None else (case.goods, case.trials - case.ungraded)


def _label(base: tuple[int, int], head: tuple[int, int], p_adjusted: float) -> Flip:
    if p_adjusted <= FALSE_DISCOVERIES:
        return Flip.REGRESSED
    mixed = any(0 < good < trials for good, trials in (base, head))
    unseen = 0 in (base[1], head[1])
    worse = not unseen and head[0] * base[1] < base[0] * head[1]
    return Flip.UNSTABLE if mixed or worse or unseen else Flip.NOISE
