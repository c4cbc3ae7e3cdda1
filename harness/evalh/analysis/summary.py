"""From samples to the honest number at the end.

Everything is kept per case, in the dataset's order, as machine numbers: a million cases cost some 30 MB, and the
order in which answers arrive cannot move a digit.
"""

from array import array
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal

from evalh.core.attempt import Call, Completion
from evalh.core.money import plus
from evalh.core.run import Estimate, GraderTally, RunSummary
from evalh.core.sample import Sample, Standing
from evalh.core.suite import GraderSpec
from evalh.core.verdict import Outcome
from evalh.stats.intervals import clustered_rate, wilson
from evalh.stats.quantiles import quantile
from evalh.stats.ratio import cost_per_good


class Fold:
    """Takes samples one by one, in any order, and gives the summary."""

    def __init__(self, graders: Sequence[GraderSpec], cases: int, trials: int) -> None:
        self._trials = trials
        self._seen = array("l", bytes(cases * array("l").itemsize))
        self._good = array("d", bytes(cases * 8))
        self._cost = array("d", bytes(cases * 8))
        self._latency = array("d")
        self._standings: Counter[Standing] = Counter()
        self._spent: Decimal | None = Decimal(0)
        self._cached: Decimal | None = Decimal(0)
        self._judges: Decimal | None = Decimal(0)
        self._attempts = 0
        self._hits = 0
        self._errors: Counter[str] = Counter()
        self._tallies = [GraderTally(grader=spec.name, required=spec.required) for spec in graders]

    @property
    def done(self) -> int:
        """Samples taken so far."""
        return sum(self._standings.values())

    @property
    def good(self) -> int:
        """Good samples so far."""
        return self._standings[Standing.GOOD]

    @property
    def spent_usd(self) -> Decimal | None:
        """What this run has spent so far; None: not priced."""
        return self._spent

    @property
    def unanswered(self) -> int:
        """Samples without an answer so far."""
        return sum(self._errors.values())

    def add(self, sample: Sample) -> None:
        """Count one sample in."""
        self._standings[sample.standing] += 1
        self._seen[sample.case_index] += 1
        if sample.standing is Standing.GOOD:
            self._good[sample.case_index] += 1.0
        self._count_cost(sample)
        self._count_verdicts(sample)
        self._attempts += sample.attempts
        self._hits += sample.cache_hit
        self._count_answer(sample.completion, sample)

    def cut_off(self, case_index: int, call: Call) -> None:
        """Count what a call had spent when the run ended before its sample: money, but no sample."""
        if call.cost_usd is not None:
            self._cost[case_index] += float(call.cost_usd)
        self._spent = plus(self._spent, call.cost_usd)
        self._cached = plus(self._cached, call.cached_cost_usd)
        self._attempts += call.attempts

    def _count_answer(self, completion: Completion | None, sample: Sample) -> None:
        if completion is not None and completion.latency_ms is not None:
            self._latency.append(completion.latency_ms)
        if completion is None and sample.error is not None:
            self._errors[sample.error.kind.value] += 1

    def _count_cost(self, sample: Sample) -> None:
        spent, cached = sample.cost_usd, sample.cached_cost_usd
        if spent is not None and cached is not None:
            self._cost[sample.case_index] += float(spent + cached)
        self._spent = plus(self._spent, spent)
        self._cached = plus(self._cached, cached)
        self._judges = plus(self._judges, sample.judge_cost_usd)

    def _count_verdicts(self, sample: Sample) -> None:
        for tally, graded in zip(self._tallies, sample.verdicts, strict=True):
            match graded.verdict.outcome:
                case Outcome.PASS:
                    tally.passed += 1
                case Outcome.FAIL:
                    tally.failed += 1
                case Outcome.ABSTAIN:
                    tally.abstained += 1
                case Outcome.ERROR:
                    tally.erred += 1

    def summary(self) -> RunSummary:
        """Compute the numbers of everything taken so far."""
        samples = self.done
        latency = sorted(self._latency)
        return RunSummary(
            samples=samples,
            good=self.good,
            bad=self._standings[Standing.BAD],
            ungraded=self._standings[Standing.UNGRADED],
            good_rate=self._good_rate(samples),
            cost_usd=self._spent,
            cached_cost_usd=self._cached,
            judge_cost_usd=self._judges,
            cost_per_good_usd=self._cost_per_good(),
            latency_p50_ms=quantile(latency, 0.5),
            latency_p95_ms=quantile(latency, 0.95),
            calls=samples,
            attempts=self._attempts,
            cache_hits=self._hits,
            graders=tuple(self._tallies),
            errors=dict(sorted(self._errors.items())),
        )

    def _good_rate(self, samples: int) -> Estimate:
        if not samples:
            return Estimate(None, None, None, "none")
        if self._trials == 1:
            interval = wilson(self.good, samples)
            return Estimate(self.good / samples, interval.low, interval.high, "wilson")
        rates = [good / seen for good, seen in zip(self._good, self._seen, strict=True) if seen]
        rate = clustered_rate(rates, self._trials)
        return Estimate(self.good / samples, rate.low, rate.high, "wilson-clustered")

    def _cost_per_good(self) -> Estimate:
        if self._spent is None or self._cached is None:
            return Estimate(None, None, None, "unpriced")
        if len(self._seen) == self.done:
            return cost_per_good(self._cost, self._good)
        seen = [index for index, trials in enumerate(self._seen) if trials or self._cost[index]]
        return cost_per_good([self._cost[index] for index in seen], [self._good[index] for index in seen])
