"""One difference between two sides over the same cases: its interval, its p-value, and who won which case.

An ungraded sample helps no claim. It is read three ways: as it counts in the good rate (not good), against head (bad
there, good on base), and for head (the other way round). What is stated holds for all three.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import ceil, fsum

from evalh.analysis.pairing import CaseResult, Pair
from evalh.core.run import Estimate
from evalh.stats.paired import (
    difference_interval,
    mcnemar_exact,
    mcnemar_midp,
    noninferiority_p,
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
from evalh.stats.stopped import stopped_interval

UNKNOWN = Estimate(None, None, None, "none")
ONE_SIDED = 0.05
LEAST_DISCORDANCE = 0.02  # versions that never disagreed here may do so elsewhere


@dataclass(frozen=True, slots=True)
class Tally:
    """How a case went on one side: trials that passed, and trials of which that is not known."""

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


Measure = Callable[[CaseResult], Tally]
"""What is compared: whether samples are good, or what one grader says of them."""


def goods(case: CaseResult) -> Tally:
    """Count good samples; ungraded ones are unknown."""
    return Tally(case.trials, case.goods, case.ungraded)


@dataclass(frozen=True)
class Differences:
    """The cases' differences, head - base, read three ways. One trial a side makes them binary: -1, 0 or 1."""

    pairs: Sequence[Pair]
    measure: Measure = goods
    exact: bool = False  # a test that blocks must never err too often
    stopped: bool = False  # one looked while cases came in: only what holds whenever one stops is stated
    seed: int = 0
    _tallies: list[tuple[Tally, Tally]] = field(init=False)

    def __post_init__(self) -> None:
        tallies = [(self.measure(pair.base), self.measure(pair.head)) for pair in self.pairs]
        object.__setattr__(self, "_tallies", tallies)

    @property
    def n(self) -> int:
        """How many cases there are."""
        return len(self._tallies)

    @cached_property
    def counted(self) -> list[float]:
        """The differences as the good rates count them: an ungraded sample is not good."""
        return [head.least - base.least for base, head in self._tallies]

    @cached_property
    def against_head(self) -> list[float]:
        """The least that the differences can be."""
        return [head.least - base.most for base, head in self._tallies]

    @cached_property
    def for_head(self) -> list[float]:
        """The most that the differences can be."""
        return [head.most - base.least for base, head in self._tallies]

    @cached_property
    def binary(self) -> bool:
        """Tell whether every case has one trial on each side."""
        return all(base.trials == head.trials == 1 for base, head in self._tallies)

    @property
    def won(self) -> list[bool]:
        """The cases on which head is ahead, whatever the unknown samples were."""
        return [value > 0 for value in self.against_head]

    @property
    def lost(self) -> list[bool]:
        """The cases on which base is ahead, whatever the unknown samples were."""
        return [value < 0 for value in self.for_head]

    @property
    def undecided(self) -> int:
        """How many cases' sign hangs on unknown samples."""
        pairs = zip(self.against_head, self.for_head, strict=True)
        return sum(low <= 0 <= high and low != high for low, high in pairs)

    @property
    def test(self) -> str:
        """The name of the test behind `p_value`."""
        if not self.n or self.stopped:
            return "none"
        if not self.binary:
            return "sign-flip"
        return "mcnemar-exact" if self.exact else "mcnemar-midp"

    @cached_property
    def estimate(self) -> Estimate:
        """The mean difference; its interval covers whatever the unknown samples were."""
        if not self.n:
            return UNKNOWN
        value = fsum(self.counted) / self.n
        if self.stopped:
            limits = stopped_interval(self.against_head, optimistic=self.for_head)
            return Estimate(value, limits.low, limits.high, "stopped-betting")
        low, method = self._interval(self.against_head)
        high, _ = self._interval(self.for_head)
        return Estimate(value, max(-1.0, min(low[0], value)), min(1.0, max(high[1], value)), method)

    def _interval(self, differences: Sequence[float]) -> tuple[tuple[float, float], str]:
        if self.binary:
            return tango_interval(*_counts(differences), self.n), "tango"
        if self.n == 1:
            return (-1.0, 1.0), "one-case"
        if min(differences) == max(differences):
            # No spread was seen, which does not mean that there is none: as many cases with one trial each would know
            # no less than this.
            value = differences[0]
            whole = round(self.n * abs(value))
            return tango_interval(whole if value > 0 else 0, whole if value < 0 else 0, self.n), "tango"
        return difference_interval(differences), "clustered-t"

    @cached_property
    def p_value(self) -> float | None:
        """Two-sided, against no difference; None where one stopped early.

        1 where the unknown samples could turn the difference round.
        """
        if not self.n or self.stopped:
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
        if self.stopped:
            return None
        if self.binary:
            return noninferiority_p(*_counts(differences), self.n, margin) if self.n else None
        if self.n == 1:
            return None
        if min(differences) == max(differences):
            whole = round(self.n * abs(differences[0]))
            wins, losses = (whole, 0) if differences[0] > 0 else (0, whole)
            return noninferiority_p(wins, losses, self.n, margin)
        shifted = [value + margin for value in differences]
        two_sided = t_test_p(shifted)
        return two_sided / 2 if fsum(shifted) > 0 else 1 - two_sided / 2

    # -- plans

    @property
    def discordance(self) -> float:
        """The share of cases on which the sides differ, at least 2 %."""
        differing = sum(value != 0 for value in self.counted)
        return max(LEAST_DISCORDANCE, differing / self.n) if self.n else LEAST_DISCORDANCE

    def detectable_drop(self) -> float | None:
        """Return the smallest drop that so many cases, which disagree as often as these, show 4 times in 5."""
        if not self.n:
            return None
        if self.binary or min(self.counted) == max(self.counted):
            return smallest_difference(self.n, self.discordance)
        drop = smallest_score_difference(self.n, 1, self._spread(), alpha=2 * ONE_SIDED)
        return drop if drop <= 1.0 else None

    def cases_needed(self, margin: float) -> int | None:
        """Return how many such cases show 4 times in 5 that a version that is no worse is not worse by `margin`."""
        if not self.n or margin <= 0:
            return None
        if self.binary or min(self.counted) == max(self.counted):
            return ceil(cases_for_noninferiority(self.discordance, margin))
        return ceil(cases_for_score_difference(margin, 1, self._spread(), alpha=2 * ONE_SIDED))

    def _spread(self) -> ScoreSpread:
        mean = fsum(self.counted) / self.n
        return ScoreSpread(fsum((value - mean) ** 2 for value in self.counted) / (self.n - 1), 0.0, 0.0)


def _counts(differences: Sequence[float]) -> tuple[int, int]:
    """Return wins and losses of binary differences."""
    return sum(value > 0 for value in differences), sum(value < 0 for value in differences)
