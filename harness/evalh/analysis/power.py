"""How small a drop a suite can show, and what it takes to show a smaller one. For a fixed number of cases.

Shown means: `evalh compare` calls head worse, its whole 95 % interval lies below 0.
"""

from collections.abc import Sequence
from decimal import Decimal
from math import ceil, fsum

from msgspec.structs import asdict

from evalh.analysis.compare.differences import TWO_SIDED
from evalh.analysis.compare.pairing import Pair
from evalh.core.values import Value
from evalh.stats.planner import (
    ScoreSpread,
    cases_for_difference,
    cases_for_noninferiority,
    cases_for_score_difference,
    margin_is_thin,
    power_for_difference,
    smallest_difference,
    smallest_score_difference,
)

_TRIALS = (1, 2, 3, 5, 10)


class WithTrials(Value):
    """What so many trials of each case would see."""

    trials: int
    detectable_drop: float | None
    cases_needed: int
    cost_usd: Decimal | None  # of the needed cases on one side; None if unknown


class PowerQuestion(Value, kw_only=True):
    """What is asked of a suite of `cases` cases, and what was measured of it."""

    suite: str
    cases: int
    clusters: int  # that the cases are in; numbers of cases needed are at this size of clusters
    trials: int
    drop: float  # the drop that was asked about
    margin: float
    discordance: float  # the share of cases on which two versions disagree
    discordance_from: str  # the id of a comparison or a gate, option, policy


class Power(PowerQuestion, kw_only=True):
    """What a suite shows with 80 % power."""

    detectable_drop: float | None  # None: not even a drop from all good to none
    power: float  # how often these cases show `drop`
    cases_needed: int  # to see `drop`
    cases_for_no_worse: int  # to exclude a drop of `margin` where nothing got worse
    thin: bool  # the margin is finer than so few cases can resolve
    cost_per_sample_usd: Decimal | None  # task spend of the newest run; None if unknown
    cost_usd: Decimal | None  # of the needed cases on one side
    with_trials: tuple[WithTrials, ...]  # empty: how noisy a case is was never measured


def power(question: PowerQuestion, spread: ScoreSpread | None, cost_per_sample_usd: Decimal | None = None) -> Power:
    """Plan. `discordance` must be at least 0; a drop includes a disagreement, so it cannot be rarer than one."""
    share, size = max(question.discordance, question.drop), question.cases / question.clusters
    needed = ceil(size * cases_for_difference(share, question.drop, two_sided=True))
    return Power(
        **asdict(question),
        detectable_drop=smallest_difference(question.clusters, question.discordance, two_sided=True),
        power=power_for_difference(question.clusters, share, question.drop, alpha=TWO_SIDED / 2),
        cases_needed=needed,
        cases_for_no_worse=ceil(size * cases_for_noninferiority(question.discordance, question.margin)),
        thin=margin_is_thin(question.clusters, question.discordance, question.margin),
        cost_per_sample_usd=cost_per_sample_usd,
        cost_usd=_cost(cost_per_sample_usd, needed),
        with_trials=() if spread is None else _with_trials(question, spread, cost_per_sample_usd),
    )


def spread_of(pairs: Sequence[Pair]) -> ScoreSpread | None:
    """Split the noise of a difference into that between cases and that within; None without repeated trials."""
    if len(pairs) < 2 or any(min(one.base.trials, one.head.trials) < 2 for one in pairs):  # noqa: PLR2004
        return None
    within_base = fsum(_within(one.base.goods, one.base.trials) for one in pairs) / len(pairs)
    within_head = fsum(_within(one.head.goods, one.head.trials) for one in pairs) / len(pairs)
    differences = [one.head.goods / one.head.trials - one.base.goods / one.base.trials for one in pairs]
    mean = fsum(differences) / len(pairs)
    seen = fsum((value - mean) ** 2 for value in differences) / (len(pairs) - 1)
    trials = min(min(one.base.trials, one.head.trials) for one in pairs)
    return ScoreSpread(max(0.0, seen - (within_base + within_head) / trials), within_base, within_head)


def _within(goods: int, trials: int) -> float:
    return goods * (trials - goods) / trials / (trials - 1)


def _with_trials(
    question: PowerQuestion, spread: ScoreSpread, cost_per_sample_usd: Decimal | None
) -> tuple[WithTrials, ...]:
    if spread.of_mean(1) == 0.0:
        return ()  # nothing differed and nothing wavered: there is no noise to plan with
    rows, size = [], question.cases / question.clusters
    for trials in _TRIALS:
        needed = max(2, ceil(size * cases_for_score_difference(question.drop, trials, spread, alpha=TWO_SIDED)))
        seen = smallest_score_difference(question.clusters, trials, spread, alpha=TWO_SIDED)
        cost = _cost(cost_per_sample_usd, needed * trials)
        rows.append(WithTrials(trials, seen if seen <= 1.0 else None, needed, cost))
    return tuple(rows)


def _cost(per_sample: Decimal | None, samples: int) -> Decimal | None:
    return None if per_sample is None else per_sample * samples
