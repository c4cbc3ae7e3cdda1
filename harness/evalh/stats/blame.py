"""Which step of a pipeline makes samples bad: how the good rate changes if outputs are replaced by good ones.

f(s) is the rate of good samples where the outputs of steps 1..s are replaced by good ones and the rest runs again.
Its rise from s - 1 to s is lost in step s. The rises and what was good by chance, f(0), add up to f(S).
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from math import factorial, fsum

from evalh.core.values import Value
from evalh.stats.intervals import mean_interval
from evalh.stats.multiplicity import holm
from evalh.stats.permutation import sign_flip_p

FEWEST_MOVED = 5
"""The fewest cases that a replacement must change: below, a t interval of the mean covers too rarely."""

LARGEST_GAME = 6
"""The most steps for Shapley's values, which need all subsets: 64."""

_ALPHA = 0.05


class Effect(Value, kw_only=True):
    """What replacing a step's output changes in the rate of good samples: a mean over cases or clusters of them."""

    mean: float
    low: float | None  # 95 %, by Student's t: None below FEWEST_MOVED
    high: float | None
    raised: int  # cases in which the rate rose
    lowered: int
    p_value: float  # that as many changes have either sign

    @property
    def above_zero(self) -> bool:
        """Whether it is shown to help."""
        return self.low is not None and self.low > 0

    @property
    def below_zero(self) -> bool:
        """Whether it is shown to harm: good outputs here make later steps worse."""
        return self.high is not None and self.high < 0


def effect(changes: Sequence[float]) -> Effect:
    """Estimate the mean change, from one for each case, or for each cluster the mean of its cases'.

    A percentile bootstrap covers .85 to .88 with 10 cases, where Student's t covers .95. Raises ValueError for none.
    """
    if not changes:
        raise ValueError("no case was run again")
    raised, lowered = sum(one > 0 for one in changes), sum(one < 0 for one in changes)
    low = high = None
    if raised + lowered >= FEWEST_MOVED:
        low, high = mean_interval(changes)
    mean = fsum(changes) / len(changes)
    return Effect(mean=mean, low=low, high=high, raised=raised, lowered=lowered, p_value=sign_flip_p(changes))


def rises(rates: Sequence[float]) -> list[float]:
    """Return f(s) - f(s - 1) for s from 1 to S, of f(0) to f(S)."""
    return [after - before for before, after in pairwise(rates)]


def leading_steps(changes: Sequence[Sequence[float]]) -> tuple[int, ...]:
    """Return the places of the steps that lose the most, from each step's changes by case.

    A single step is returned if its effect is above 0 by its interval and by Holm's adjustment over all steps, and its
    difference to the effect of each other step by its interval. Several: they cannot be distinguished. None: not shown.
    """
    effects = [effect(of_step) for of_step in changes]
    adjusted = holm([one.p_value for one in effects])
    if not any(one.above_zero and p <= _ALPHA for one, p in zip(effects, adjusted, strict=True)):
        return ()
    top = max(range(len(effects)), key=lambda place: effects[place].mean)
    rivals = (
        place
        for place, of_step in enumerate(changes)
        if place != top
        and not effect([most - other for most, other in zip(changes[top], of_step, strict=True)]).above_zero
    )
    return tuple(sorted((top, *rivals)))


def shapley(steps: Sequence[str], rate: Callable[[frozenset[str]], float]) -> list[float]:
    """Return each step's share of what replacing all outputs changes, over all orders in which they can be replaced.

    `rate` is asked for every set of steps (Shapley 1953). Raises ValueError for more than LARGEST_GAME steps.
    """
    if len(steps) > LARGEST_GAME:
        raise ValueError(f"{2 ** len(steps)} sets of steps are too many")
    sets: Mapping[frozenset[str], float] = {one: rate(one) for one in subsets(steps)}
    total = factorial(len(steps))
    return [
        fsum(
            factorial(len(others)) * factorial(len(steps) - len(others) - 1) / total * (sets[others | {step}] - before)
            for others, before in sets.items()
            if step not in others
        )
        for step in steps
    ]


def subsets(steps: Sequence[str]) -> list[frozenset[str]]:
    """Return all sets of these steps, smaller ones first."""
    found = [
        frozenset(step for place, step in enumerate(steps) if number >> place & 1) for number in range(2 ** len(steps))
    ]
    return sorted(found, key=len)


def halfway(last_bad: int, first_good: int) -> int | None:
    """Return the next s to look at, where f is bad at `last_bad`, good at `first_good` and rises once between.

    Halving finds the step among S that are left in ceil(log2 S) probes. None if it is `first_good`.
    """
    return (last_bad + first_good) // 2 if first_good - last_bad > 1 else None
