"""The numbers of a run that is not finished, from what the log holds of it: the same as its summary would give."""

from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction

from evalh.analysis.summary import good_rate
from evalh.core.log import RunRow
from evalh.core.money import plus
from evalh.core.run import Estimate
from evalh.core.underway import CaseTally, UnderWay
from evalh.stats.clusters import ClusterSum, grouped
from evalh.stats.ratio_sums import CostSums


def so_far(run: RunRow, tallies: Iterable[CaseTally]) -> UnderWay:
    """Count the cases of a run."""
    cases = list(tallies)
    counted: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    clusters: dict[int, list[CaseTally]] = {}
    spent: Decimal | None = Decimal(0)
    priced = True
    for number, case in zip(grouped(case.ties for case in cases), cases, strict=True):
        clusters.setdefault(number, []).append(case)
        counted.update(samples=case.samples, good=case.good, bad=case.bad, hits=case.hits)
        errors.update(case.errors)
        spent = plus(spent, case.spent_usd)
        priced = priced and case.task_usd is not None
    rates: Counter[ClusterSum] = Counter()
    costs = CostSums()
    for alike in clusters.values():
        rates[ClusterSum(float(sum(Fraction(case.good, case.samples) for case in alike)), len(alike))] += 1
        task_usd = sum((case.task_usd or Decimal(0) for case in alike), Decimal(0))
        costs.add(task_usd, sum(case.good for case in alike), sum(case.samples for case in alike))
    samples, good = counted["samples"], counted["good"]
    return UnderWay(
        run=run,
        samples=samples,
        good=good,
        bad=counted["bad"],
        ungraded=samples - good - counted["bad"],
        hits=counted["hits"],
        good_rate=good_rate(good, samples, rates, run.record.trials, graded=good + counted["bad"]),
        spent_usd=spent,
        cost_per_good_usd=costs.cost_per_good() if priced else Estimate(None, None, None, "unpriced"),
        errors=dict(sorted(errors.items())),
    )
