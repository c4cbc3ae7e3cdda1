"""Blame by experiment: run bad samples again, with good outputs in place of some steps' own.

A plan says which outputs to replace, one experiment after the other. The results give the blame: what was good by
chance, what each step loses, and what no step explains.
"""

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from math import fsum
from typing import TypeAlias

from evalh.core.run import Estimate
from evalh.core.values import Value
from evalh.stats.blame import Effect, effect, halfway, leading_steps, rises, shapley, subsets
from evalh.stats.clusters import ClusterSum, clustered_rate, grouped
from evalh.stats.multiplicity import benjamini_hochberg
from evalh.stats.paired import fisher_worse

Replaced: TypeAlias = frozenset[str]
"""The steps whose outputs are replaced."""


class Design(StrEnum):
    """Which outputs are replaced."""

    IN_ORDER = "in-order"  # of the first step, of the first two, and so on
    HALVING = "halving"  # as in order, by binary search in each case; assumes that no replacement harms
    SINGLE = "single"  # of one step alone: if good outputs of some steps make later ones worse
    ALL_SETS = "all-sets"  # Shapley's values, for few steps


class Reruns(Value):
    """The results of running a sample again."""

    good: int
    times: int
    ungraded: int = 0  # counted among `times`, and not good

    @property
    def all_good(self) -> bool:
        """Whether every rerun was good."""
        return self.good == self.times

    @property
    def rate(self) -> float:
        """The share that was good."""
        return self.good / self.times


Seen: TypeAlias = Mapping[Replaced, Reruns]


class Probe(Value):
    """An experiment: run a sample again this many times with these outputs replaced."""

    replaced: Replaced
    times: int


class BlamePlan(Value, kw_only=True):
    """Which experiments to make. `steps`: those whose outputs can be replaced, in topological order."""

    steps: tuple[str, ...]
    design: Design = Design.IN_ORDER
    reruns: int = 3
    confirm: int = 0  # reruns on both sides of the step that halving found in a case; 0: not confirmed

    def next_probe(self, seen: Seen) -> Probe | None:
        """Return the next experiment that a case needs; None if it needs no more."""
        for replaced, times in self._wanted(seen):
            have = seen[replaced].times if replaced in seen else 0
            if have < times:
                return Probe(replaced, times - have)
        return None

    def _wanted(self, seen: Seen) -> Iterator[tuple[Replaced, int]]:
        """Yield the sets to replace and how often. Later sets may depend on the results of earlier ones."""
        match self.design:
            case Design.IN_ORDER:
                sets = [self.through(count) for count in range(len(self.steps) + 1)]
            case Design.SINGLE:
                sets = [frozenset(), *(frozenset((step,)) for step in self.steps), frozenset(self.steps)]
            case Design.ALL_SETS:
                sets = subsets(self.steps)
            case Design.HALVING:
                sets = [frozenset(), frozenset(self.steps)]
        yield from ((replaced, self.reruns) for replaced in sets)
        if self.design is not Design.HALVING or not self._has_a_step(seen):
            return
        while (probe := halfway(*self._bounds(seen))) is not None:
            yield self.through(probe), self.reruns
        for place in self._bounds(seen):
            yield self.through(place), self.confirm

    def through(self, count: int) -> Replaced:
        """Return the first `count` steps."""
        return frozenset(self.steps[:count])

    def _has_a_step(self, seen: Seen) -> bool:
        """Whether a sample is bad without replacements and good with all of them."""
        return not seen[frozenset()].all_good and seen[frozenset(self.steps)].all_good

    def _bounds(self, seen: Seen) -> tuple[int, int]:
        """Return the most replaced outputs with a bad result, and the fewest with a good one, so far."""
        bad, good = 0, len(self.steps)
        while (probe := halfway(bad, good)) is not None and self.through(probe) in seen:
            bad, good = (bad, probe) if seen[self.through(probe)].all_good else (probe, good)
        return bad, good

    def found(self, seen: Seen) -> tuple[str, float] | None:
        """Return the step that halving found in a case, with the p-value of no effect; None if it found none."""
        if not self._has_a_step(seen):
            return None
        bad, good = self._bounds(seen)
        before, after = seen[self.through(bad)], seen[self.through(good)]
        return self.steps[good - 1], fisher_worse(after.good, after.times, before.good, before.times)

    def changes(self, seen: Seen) -> list[float]:
        """Return how much replacing each step's output changes the good rate of one case."""
        own = seen[frozenset()].rate
        match self.design:
            case Design.IN_ORDER:
                return rises([seen[self.through(count)].rate for count in range(len(self.steps) + 1)])
            case Design.SINGLE:
                return [seen[frozenset((step,))].rate - own for step in self.steps]
            case Design.ALL_SETS:
                return shapley(self.steps, lambda replaced: seen[replaced].rate)
            case Design.HALVING:
                return rises(self._filled(seen)) if self._has_a_step(seen) else [0.0] * len(self.steps)

    def _filled(self, seen: Seen) -> list[float]:
        """Return f(0) to f(S) of a case; a value that was not measured is the last measured one before it."""
        rates: list[float] = []
        for count in range(len(self.steps) + 1):
            one = seen.get(self.through(count))
            rates.append(rates[-1] if one is None else one.rate)
        return rates


class CaseReruns(Value, kw_only=True):
    """One bad case. `ties`: what puts it into a cluster, as `clusters.grouped` takes it."""

    case_id: str
    ties: Sequence[Hashable]
    seen: Seen


class StepBlame(Value, kw_only=True):
    """What one step loses."""

    step: str
    effect: Effect


class FoundStep(Value, kw_only=True):
    """The step that halving found in a case; `q_value`: adjusted over the cases (Benjamini and Hochberg)."""

    case_id: str
    step: str
    q_value: float


class Blame(Value, kw_only=True):
    """Where the bad samples of a run were lost. `chance`, the means of `steps` and `residual` add up to 1.

    With single replacements they need not, because joint effects of two steps are in none of them.
    """

    design: Design
    cases: int
    clusters: int
    reruns: int
    ungraded: int  # of the reruns
    measured: bool  # False: too many are ungraded
    chance: Estimate  # good when run again as it was
    steps: tuple[StepBlame, ...]
    residual: Estimate  # bad with every output replaced: the graders, or steps that cannot be replaced
    leading: tuple[str, ...]  # one: it loses the most; several: they cannot be distinguished; none: nothing is shown
    found: tuple[FoundStep, ...]  # by halving, case by case

    @property
    def monotone(self) -> bool:
        """Whether no replacement is shown to harm. Otherwise halving is invalid: use single replacements."""
        return not any(one.effect.below_zero for one in self.steps)


class Blamed(Value, kw_only=True):
    """The result of a blame run. `left_out`: bad cases without gold for the steps that they ran."""

    run: str
    prompt: str
    model: str
    stand_in: str | None
    bad: int  # cases
    incidents: int  # bad ones beside these, which are in no share; none if the run is of incidents alone
    left_out: int
    blame: Blame
    spent_usd: Decimal | None


class BlameCost(Value, kw_only=True):
    """What a blame run would ask, and cost at most."""

    cases: int
    steps: tuple[str, ...]
    samples: int  # to run again, at most
    worst_case_usd: Decimal | None
    why_unknown: str | None = None  # why there is no worst case


def blame(plan: BlamePlan, cases: Sequence[CaseReruns], max_ungraded: float) -> Blame:
    """Compute the blame from the finished reruns of every case. Raises ValueError for no case."""
    reruns = [one for case in cases for one in case.seen.values()]
    times, ungraded = sum(one.times for one in reruns), sum(one.ungraded for one in reruns)
    measured = ungraded <= max_ungraded * times
    groups: dict[int, list[CaseReruns]] = {}
    for number, case in zip(grouped(case.ties for case in cases), cases, strict=True):
        groups.setdefault(number, []).append(case)
    clusters = list(groups.values())
    changes = [_means([plan.changes(case.seen) for case in alike]) for alike in clusters]
    columns = list(zip(*changes, strict=True))
    own = [_means([[case.seen[frozenset()].rate] for case in alike])[0] for alike in clusters]
    rest = [1.0 - before - fsum(after) for before, after in zip(own, changes, strict=True)]
    if plan.design is Design.SINGLE:
        whole = frozenset(plan.steps)
        rest = [_means([[1.0 - case.seen[whole].rate] for case in alike])[0] for alike in clusters]
    leading = leading_steps(columns) if measured else ()
    return Blame(
        design=plan.design,
        cases=len(cases),
        clusters=len(clusters),
        reruns=times,
        ungraded=ungraded,
        measured=measured,
        chance=_rate(own, plan.reruns),
        steps=tuple(
            StepBlame(step=step, effect=effect(column)) for step, column in zip(plan.steps, columns, strict=True)
        ),
        residual=_rate(rest, plan.reruns),
        leading=tuple(plan.steps[place] for place in leading),
        found=_found(plan, cases) if plan.design is Design.HALVING else (),
    )


def _means(rows: Sequence[Sequence[float]]) -> list[float]:
    return [fsum(column) / len(rows) for column in zip(*rows, strict=True)]


def _rate(rates: Sequence[float], trials: int) -> Estimate:
    """Estimate a mean over clusters; each cluster is one unit."""
    clipped = (min(1.0, max(0.0, one)) for one in rates)  # sums of rates miss 0 and 1 by a rounding error
    rate = clustered_rate(Counter(ClusterSum(one, 1) for one in clipped), trials)
    return Estimate(rate.rate, rate.low, rate.high, "wilson-clustered")


def _found(plan: BlamePlan, cases: Sequence[CaseReruns]) -> tuple[FoundStep, ...]:
    answers = [(case.case_id, answer) for case in cases if (answer := plan.found(case.seen)) is not None]
    q_values = benjamini_hochberg([p_value for _, (_, p_value) in answers])
    return tuple(
        FoundStep(case_id=case_id, step=step, q_value=q)
        for (case_id, (step, _)), q in zip(answers, q_values, strict=True)
    )
