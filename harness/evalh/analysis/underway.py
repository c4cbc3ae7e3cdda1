"""The numbers of a run that is not finished, from what the log holds of it: the same as its summary would give."""

from collections import Counter
from collections.abc import Iterable
from decimal import Decimal

from evalh.analysis.summary import good_rate
from evalh.core.log import RunRow
from evalh.core.money import plus
from evalh.core.run import Estimate
from evalh.core.underway import CaseTally, UnderWay
from evalh.stats.ratio_sums import CostSums


def so_far(run: RunRow, cases: Iterable[CaseTally]) -> UnderWay:
    """Count the cases of a run."""
    counted: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    rates: Counter[float] = Counter()
    costs = CostSums()
    spent: Decimal | None = Decimal(0)
    priced = True
    for case in cases:
        counted.update(samples=case.samples, good=case.good, bad=case.bad, hits=case.hits)
        errors.update(case.errors)
        rates[case.good / case.samples] += 1
        spent = plus(spent, case.spent_usd)
        priced = priced and case.task_usd is not None
        costs.add(case.task_usd or Decimal(0), case.good)
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
