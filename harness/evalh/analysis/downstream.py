"""The consequences of one version's outputs, or of two: bad ones accepted, people who review, answers withheld.

An output that somebody reviews is passed on if it is good, and withheld if not. An ungraded output counts as bad.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from math import fsum

from evalh.analysis.compare.pairing import CaseResult, Pair, clustered
from evalh.analysis.units import Units
from evalh.core.run import Downstream, DownstreamComparison, Estimate
from evalh.core.sample import Sample, Standing
from evalh.core.suite import OutcomePrices, OutputValue
from evalh.core.values import Value
from evalh.core.verdict import Outcome
from evalh.stats.downstream import (
    Consequences,
    chance_of_better,
    crossing_bad_usd,
    net_cost_per_good,
)
from evalh.stats.intervals import mean_interval

_CURVE = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)  # of the suite's price of a bad output, and of where the preference flips
_COUNTED = ("accepted_bad", "reviewed", "withheld")
_UNPRICED = Estimate(None, None, None, "unpriced")


class Fate(Value):
    """What happens to one output."""

    accepted_good: bool = False
    accepted_bad: bool = False
    reviewed: bool = False

    @property
    def withheld(self) -> bool:
        """Whether nobody is given an output."""
        return not (self.accepted_good or self.accepted_bad)


def fate(
    standing: Standing,
    outcomes: Mapping[str, Outcome],
    review: frozenset[str],
    *,
    answered: bool,
    withheld: bool = False,
) -> Fate:
    """Say what becomes of an output; `withheld`: a pipeline's step left it to a person."""
    if not answered:
        return Fate()
    good = standing is Standing.GOOD
    reviewed = withheld or any(outcomes.get(name) is Outcome.FAIL for name in review)
    return Fate(accepted_good=good, accepted_bad=not good and not reviewed, reviewed=reviewed)


# -- one version, sample by sample


class NetFold:
    """Adds up what follows a run's outputs; `clusters` are as `Units` takes them."""

    def __init__(self, value: OutputValue, trials: int, clusters: Mapping[int, int]) -> None:
        self._value = value
        self._units = Units(trials, clusters)
        self._priced = True
        self._counts = dict.fromkeys(_COUNTED, 0)

    def add(self, sample: Sample) -> None:
        """Count one sample in."""
        outcomes = {one.grader: one.verdict.outcome for one in sample.verdicts}
        answered, withheld = sample.completion is not None, sample.review is not None
        one = fate(sample.standing, outcomes, self._value.review, answered=answered, withheld=withheld)
        for name in _COUNTED:
            self._counts[name] += getattr(one, name)
        spent = Decimal(0)
        if sample.cost_usd is None or sample.cached_cost_usd is None:
            self._priced = False
        else:
            spent = sample.cost_usd + sample.cached_cost_usd
        prices = self._value.prices
        usd = prices.bad_usd * one.accepted_bad + prices.review_usd * one.reviewed + prices.abstain_usd * one.withheld
        self._units.add(sample.case_index, spent + Decimal(repr(usd)), good=one.accepted_good)

    def spend(self, case_index: int, cost_usd: Decimal | None) -> None:
        """Count what a call had cost when its run ended before there was a sample."""
        self._priced = self._priced and cost_usd is not None
        self._units.add(case_index, cost_usd or Decimal(0), good=None)

    def downstream(self) -> Downstream:
        """Return what is known so far."""
        sums, _ = self._units.closed()
        net = sums.cost_per_good() if self._priced else _UNPRICED
        return _downstream(self._value.prices, self._counts, net)


def _downstream(prices: OutcomePrices, counts: Mapping[str, int], net: Estimate) -> Downstream:
    return Downstream(
        bad_usd=prices.bad_usd,
        review_usd=prices.review_usd,
        abstain_usd=prices.abstain_usd,
        **counts,
        net_cost_per_good_usd=net,
    )


# -- two versions, case by case


def compare_downstream(pairs: Sequence[Pair], value: OutputValue, *, stopped: bool = False) -> DownstreamComparison:
    """Compare what follows both versions' outputs. `stopped`: one looked while cases came in, so no interval holds."""
    base = _side([pair.base for pair in pairs], value)
    head = _side([pair.head for pair in pairs], value)
    nets = (_UNPRICED if side is None else net_cost_per_good(side, value.prices) for side, _ in (base, head))
    sides = [_downstream(value.prices, counts, net) for (_, counts), net in zip((base, head), nets, strict=True)]
    before, after = base[0], head[0]
    if before is None or after is None:
        return DownstreamComparison(base=sides[0], head=sides[1])
    crossing = crossing_bad_usd(before, after, value.prices)
    prices = sorted({share * price for share in _CURVE for price in (value.prices.bad_usd, crossing or 0.0)})
    chances = chance_of_better(before, after, value.prices, [value.prices.bad_usd, *prices])
    more_bad = fsum(after.accepted_bad) - fsum(before.accepted_bad)
    return DownstreamComparison(
        base=sides[0],
        head=sides[1],
        loss_usd=_loss(loss_differences(before, after, value.prices, 0.0), stopped=stopped),
        crossing_bad_usd=crossing,
        head_above=more_bad < 0 if crossing is not None else None,
        chance_of_head=chances[0],
        curve=tuple(zip(prices, chances[1:], strict=True)),
    )


def consequences(cases: Iterable[CaseResult], value: OutputValue) -> Consequences | None:
    """Return what happened to the outputs of each cluster, as shares for each case; None if an answer is not priced."""
    return _side(list(cases), value)[0]


def loss_differences(base: Consequences, head: Consequences, prices: OutcomePrices, may_rise: float) -> list[float]:
    """Return, for each cluster, head's net loss less (1 + may_rise) times base's, in USD a case."""
    both = zip(base.net_losses(prices), head.net_losses(prices), strict=True)
    return [after - (1 + may_rise) * before for before, after in both]


def _side(cases: Sequence[CaseResult], value: OutputValue) -> tuple[Consequences | None, Mapping[str, int]]:
    fates = [
        [
            fate(sample.standing, sample.outcomes, value.review, answered=sample.output_digest is not None)
            for sample in case.samples
        ]
        for case in cases
    ]
    everything = [one for case in fates for one in case]
    counts = {name: sum(getattr(one, name) for one in everything) for name in _COUNTED}
    costs = [case.cost_usd for case in cases]
    known = [float(cost) / case.trials for cost, case in zip(costs, cases, strict=True) if cost is not None]
    if len(known) < len(cases):
        return None, counts
    shares = {
        name: [sum(getattr(one, name) for one in case) / len(case) for case in fates]
        for name in ("accepted_good", "accepted_bad", "reviewed")
    }
    clusters = clustered(cases)
    share = len(clusters) / len(cases) if cases else 1.0  # so that the mean over clusters is the mean over cases
    of_clusters = {
        name: [share * fsum(values[place] for place in places) for places in clusters]
        for name, values in (("cost_usd", known), *shares.items())
    }
    weight = [share * len(places) for places in clusters]
    return Consequences(**of_clusters, weight=weight), counts


def _loss(differences: Sequence[float], *, stopped: bool) -> Estimate:
    mean = fsum(differences) / len(differences)
    if stopped or len(differences) < 2:  # noqa: PLR2004 (a spread needs two values)
        return Estimate(mean, None, None, "stopped" if stopped else "one-case")
    interval = mean_interval(differences)
    return Estimate(mean, interval.low, interval.high, "paired-t")
