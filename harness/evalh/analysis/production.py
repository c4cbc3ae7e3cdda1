"""What production's answers were worth: rates and costs weighted by how many workflows each one stands for.

What was kept does not represent what ran: failures are kept more often. So each workflow counts 1 / probability.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from evalh.core.production import Voted
from evalh.core.run import Estimate, PipelineSummary
from evalh.core.sample import Sample, Standing
from evalh.core.values import Value
from evalh.stats.clusters import WeightSum, clustered_rate
from evalh.stats.intervals import Interval
from evalh.stats.unpaired import cost_per_good_p, newcombe


class Weighed(Value):
    """One graded answer: how many it stands for, and whose talk it belongs to."""

    sample: Sample
    weight: float
    session: str  # answers of one session vary together
    cost_usd: float | None  # what production paid for it
    voted: Voted = Voted.NONE


class ProductionRate(Value, kw_only=True):
    """The numbers of one version's answers in production."""

    version: str
    run: str | None  # of the log, where the answers and verdicts are
    answers: int
    good: int
    bad: int
    ungraded: int
    stands_for: float  # answers of production: the sum of the weights
    sessions: int
    good_rate: Estimate
    cost_usd: float | None  # of all that they stand for; None: one of them has no price
    cost_per_good_usd: float | None  # None: unknown, or nothing was good
    pipeline: PipelineSummary | None = None  # its steps, each workflow counted once


class ProductionChange(Value, kw_only=True):
    """Two windows of time, not paired: no answer of one belongs to an answer of the other. head - base."""

    base: ProductionRate
    head: ProductionRate
    difference: Estimate  # of the good rates
    cost_p_value: float | None  # against equal costs per good output; None: a cost is unknown


class GradedProduction(Value, kw_only=True):
    """What was found: each version's numbers, and what was left out."""

    suite: str
    versions: tuple[ProductionRate, ...]
    whole: ProductionRate
    change: ProductionChange | None  # since the window before
    by_feedback: Mapping[Voted, ProductionRate]  # the whole, split; empty: nobody voted
    left_out: Mapping[str, int]  # why: how many workflows
    without_gold: tuple[str, ...]  # graders that compare with gold, which production has not
    doubtful: int  # answers that fit several versions
    max_ungraded: float  # the suite's


def by_feedback(weighed: Sequence[Weighed]) -> dict[Voted, ProductionRate]:
    """Split answers by what users said of them; nothing where nobody said anything."""
    parts = {voted: [one for one in weighed if one.voted is voted] for voted in Voted}
    if not (parts[Voted.GOOD] or parts[Voted.BAD]):
        return {}
    return {voted: rate_of("all", None, part) for voted, part in parts.items() if part}


def change_of(
    base: tuple[ProductionRate, Sequence[Weighed]], head: tuple[ProductionRate, Sequence[Weighed]]
) -> ProductionChange:
    """Compare an earlier window with a later one."""
    return ProductionChange(
        base=base[0],
        head=head[0],
        difference=_difference(base[0].good_rate, head[0].good_rate),
        cost_p_value=_cost_p(base[1], head[1]),
    )


def _difference(base: Estimate, head: Estimate) -> Estimate:
    sides = []
    for one in (base, head):
        if one.value is None or one.low is None or one.high is None:
            return Estimate(None, None, None, "none")
        sides.append((one.value, Interval(one.low, one.high)))
    limits = newcombe(sides[0], sides[1])
    return Estimate(sides[1][0] - sides[0][0], limits.low, limits.high, "newcombe-clustered")


def _cost_p(base: Sequence[Weighed], head: Sequence[Weighed]) -> float | None:
    sides = []
    for weighed in (base, head):
        if not weighed or any(one.cost_usd is None for one in weighed):
            return None
        sums: defaultdict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
        for one in weighed:
            sums[one.session][0] += one.weight * (one.cost_usd or 0.0)
            sums[one.session][1] += one.weight * (one.sample.standing is Standing.GOOD)
        sides.append([(cost, good) for cost, good in sums.values()])
    return cost_per_good_p(sides[0], sides[1])


def rate_of(
    version: str, run: str | None, weighed: Sequence[Weighed], pipeline: PipelineSummary | None = None
) -> ProductionRate:
    """Add up graded answers. An ungraded one is in the denominator, as everywhere."""
    standings = Counter(one.sample.standing for one in weighed)
    sums: defaultdict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for one in weighed:
        sums[one.session][0] += one.weight * (one.sample.standing is Standing.GOOD)
        sums[one.session][1] += one.weight
    good = sum(total for total, _ in sums.values())
    cost = _cost(weighed)
    return ProductionRate(
        version=version,
        run=run,
        answers=len(weighed),
        good=standings[Standing.GOOD],
        bad=standings[Standing.BAD],
        ungraded=standings[Standing.UNGRADED],
        stands_for=sum(one.weight for one in weighed),
        sessions=len(sums),
        good_rate=_estimate(sums.values(), len(weighed), graded=len(weighed) - standings[Standing.UNGRADED]),
        cost_usd=cost,
        cost_per_good_usd=None if cost is None or not good else cost / good,
        pipeline=pipeline,
    )


def _estimate(sums: Iterable[Sequence[float]], answers: int, *, graded: int) -> Estimate:
    if not graded:
        return Estimate(None, None, None, "ungraded" if answers else "none")
    clusters = Counter(WeightSum(total, weight) for total, weight in sums)
    found = clustered_rate(clusters, 1, most=float(answers))
    return Estimate(found.rate, found.low, found.high, "weighted")


def _cost(weighed: Sequence[Weighed]) -> float | None:
    total = 0.0
    for one in weighed:
        if one.cost_usd is None:
            return None
        total += one.weight * one.cost_usd
    return total
