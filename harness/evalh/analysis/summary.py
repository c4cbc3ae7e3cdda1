"""From samples to the numbers of a run, finished or under way.

Only cases whose trials are under way are kept: a million cases cost as much memory as a hundred. Sums are exact, so the
order in which answers arrive cannot change a digit. Incidents are counted apart: they were chosen because they failed.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction

from msgspec.structs import replace

from evalh.analysis.calibration.panel import Jurors
from evalh.analysis.downstream import NetFold
from evalh.analysis.pipelines import PipelineFold
from evalh.analysis.units import Units
from evalh.core.attempt import Call, Latency
from evalh.core.log import CaseTally, RunRow, UnderWay
from evalh.core.money import plus, total
from evalh.core.run import Estimate, GraderTally, Incidents, RunSummary
from evalh.core.sample import Sample, Standing
from evalh.core.suite import GraderSpec, OutputValue
from evalh.core.verdict import Outcome
from evalh.stats.clusters import ClusterSum, clustered_rate, grouped
from evalh.stats.intervals import wilson
from evalh.stats.quantiles import Distribution
from evalh.stats.ratio import CostSums

_NOTHING = Decimal(0)


class Fold:
    """Takes samples one by one, in any order, and gives the summary."""

    def __init__(
        self,
        graders: Sequence[GraderSpec],
        trials: int,
        value: OutputValue | None = None,
        clusters: Mapping[int, int] | None = None,
        *,
        by_the_hour: bool = False,
        pipeline: PipelineFold | None = None,
    ) -> None:
        """`clusters`: the number of its cluster by the place of a case, for cases that are not alone in theirs."""
        self._hourly = by_the_hour
        self._pipeline = pipeline
        self._clusters = clusters or {}
        self._net = None if value is None else NetFold(value, trials, self._clusters)
        self._trials = trials
        self._units = Units(trials, self._clusters)
        self._latency = Distribution()
        self._parts_ns = Counter[str]()  # whole numbers: the order of the answers must not move a digit
        self._timed = self._last_attempts = 0
        self._standings: Counter[Standing] = Counter()
        self._incidents = _IncidentFold()
        self._priced = True  # every answer that is not an incident's
        self._spent: Decimal | None = Decimal(0)
        self._cached: Decimal | None = Decimal(0)
        self._judges: Decimal | None = Decimal(0)
        self._attempts = self._calls = 0
        self._hits = 0
        self._errors: Counter[str] = Counter()
        self._tallies = {spec.name: GraderTally(grader=spec.name, required=spec.required) for spec in graders}
        self._jurors = {name: Jurors() for name in self._tallies}

    @property
    def done(self) -> int:
        """Samples taken so far, without incidents."""
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
        self._count_spent(sample)
        if self._pipeline is not None:
            self._pipeline.add(sample)
        if sample.case.incident:
            self._incidents.add(sample)
            return
        self._standings[sample.standing] += 1
        self._count_cost(sample)
        self._count_verdicts(sample)
        if self._net is not None:
            self._net.add(sample)
        self._count_answer(sample)

    def _count_spent(self, sample: Sample) -> None:
        self._spent = plus(self._spent, sample.cost_usd)
        self._cached = plus(self._cached, sample.cached_cost_usd)
        self._judges = plus(self._judges, sample.judge_cost_usd)
        self._attempts += sample.attempts
        if sample.steps:  # of a pipeline, whose steps are calls of their own
            asked = [step for step in sample.steps if step.call_id is not None]
            self._calls += len(asked)
            self._hits += sum(step.cache_hit for step in asked)
        else:
            self._calls += 1
            self._hits += sample.from_log

    def cut_off(self, case_index: int, call: Call, judges_usd: Decimal | None = Decimal(0), *, incident: bool) -> None:
        """Count what a call had spent when the run ended before its sample: money, but no sample."""
        if incident:
            self._incidents.spend(call.cost_usd, call.cached_cost_usd)
        else:
            self._priced = self._priced and None not in (call.cost_usd, call.cached_cost_usd)
            self._units.add(case_index, call.cost_usd or _NOTHING, good=None)
            if self._net is not None:
                self._net.spend(case_index, call.cost_usd)
        self._spent = plus(self._spent, call.cost_usd)
        self._cached = plus(self._cached, call.cached_cost_usd)
        self._judges = plus(self._judges, judges_usd)
        self._attempts += call.attempts

    def _count_answer(self, sample: Sample) -> None:
        took = sample.latency.total_ms
        if sample.completion is not None and took is not None:
            self._latency.add(took)
            if sample.latency.whole:
                self._timed += 1
                self._parts_ns.update(_nanoseconds(sample.latency))
            else:
                self._last_attempts += 1
        if sample.completion is None and sample.error is not None:
            self._errors[sample.error.kind.value] += 1

    def _count_cost(self, sample: Sample) -> None:
        spent, cached = sample.cost_usd, sample.cached_cost_usd
        self._priced = self._priced and None not in (spent, cached)
        known = _NOTHING if spent is None or cached is None else spent + cached
        self._units.add(sample.case_index, known, good=sample.standing is Standing.GOOD)

    def _count_verdicts(self, sample: Sample) -> None:
        for graded in sample.verdicts:
            tally, detail = self._tallies[graded.grader], graded.verdict.detail
            if detail is not None and "votes" in detail:
                self._jurors[graded.grader].add(detail["votes"])
            match graded.verdict.outcome:
                case Outcome.PASS:
                    tally.passed += 1
                case Outcome.FAIL:
                    tally.failed += 1
                case Outcome.ABSTAIN:
                    tally.abstained += 1
                case Outcome.ERROR:
                    tally.erred += 1

    @property
    def by_the_hour(self) -> bool:
        """Whether the costs depend on how busy the machine was; not where they are unknown."""
        return self._hourly and None not in (self._spent, self._cached)

    def summary(self) -> RunSummary:
        """Compute the numbers of everything taken so far."""
        samples = self.done
        graded = samples - self._standings[Standing.UNGRADED]
        costs, rates = self._units.closed()
        return RunSummary(
            samples=samples,
            good=self.good,
            bad=self._standings[Standing.BAD],
            ungraded=self._standings[Standing.UNGRADED],
            good_rate=good_rate(self.good, samples, rates, self._trials, graded=graded),
            cost_usd=self._spent,
            cached_cost_usd=self._cached,
            judge_cost_usd=self._judges,
            cost_per_good_usd=self._cost_per_good(costs),
            latency_p50_ms=self._latency.quantile(0.5),
            latency_p95_ms=self._latency.quantile(0.95),
            latency_parts_ms=self._latency_parts(),
            last_attempts=self._last_attempts,
            by_the_hour=self.by_the_hour,
            calls=self._calls,
            attempts=self._attempts,
            cache_hits=self._hits,
            graders=tuple(replace(tally, panel=self._jurors[name].document()) for name, tally in self._tallies.items()),
            errors=dict(sorted(self._errors.items())),
            downstream=None if self._net is None else self._net.downstream(),
            clusters=sum(rates.values()),
            pipeline=None if self._pipeline is None else self._pipeline.summary(),
            incidents=self._incidents.tally(),
        )

    def _latency_parts(self) -> Mapping[str, float] | None:
        if not self._timed:
            return None
        return {name: self._parts_ns[name] / self._timed / 1e6 for name in ("attempts", "waiting", "checks")}

    def _cost_per_good(self, costs: CostSums) -> Estimate:
        return costs.cost_per_good() if self._priced else Estimate(None, None, None, "unpriced")


class _IncidentFold:
    """Takes the samples of incidents."""

    def __init__(self) -> None:
        self._standings: Counter[Standing] = Counter()
        self._spent: Decimal | None = Decimal(0)
        self._cached: Decimal | None = Decimal(0)
        self._errors: Counter[str] = Counter()

    def add(self, sample: Sample) -> None:
        """Count one sample in."""
        self._standings[sample.standing] += 1
        self.spend(sample.cost_usd, sample.cached_cost_usd)
        if sample.completion is None and sample.error is not None:
            self._errors[sample.error.kind.value] += 1

    def spend(self, cost_usd: Decimal | None, cached_cost_usd: Decimal | None) -> None:
        """Count what an answer had cost, also where the run ended before its sample."""
        self._spent = plus(self._spent, cost_usd)
        self._cached = plus(self._cached, cached_cost_usd)

    def tally(self) -> Incidents:
        """Return the numbers so far."""
        return Incidents(
            samples=self._standings.total(),
            **{standing.value: self._standings[standing] for standing in Standing},
            cost_usd=self._spent,
            cached_cost_usd=self._cached,
            errors=dict(sorted(self._errors.items())),
        )


def _nanoseconds(latency: Latency) -> dict[str, int]:
    parts = {"attempts": latency.attempts_ms, "waiting": latency.waited_ms, "checks": latency.checks_ms}
    return {name: round((ms or 0.0) * 1e6) for name, ms in parts.items()}


def good_rate(good: int, samples: int, rates: Counter[ClusterSum], trials: int, *, graded: int) -> Estimate:
    """Estimate the good rate; `rates` are those of the clusters, which count where one holds several samples.

    An ungraded sample is in the denominator. Where none was graded, nothing is known of the rate.
    """
    if not graded:
        return Estimate(None, None, None, "ungraded" if samples else "none")
    if sum(rates.values()) == samples:
        interval = wilson(good, samples)
        return Estimate(good / samples, interval.low, interval.high, "wilson")
    rate = clustered_rate(rates, trials)
    return Estimate(good / samples, min(rate.low, good / samples), max(rate.high, good / samples), "wilson-clustered")


def so_far(run: RunRow, tallies: Iterable[CaseTally]) -> UnderWay:
    """Count the cases of a run, incidents apart."""
    everything = list(tallies)
    cases = [case for case in everything if not case.incident]
    counted: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    clusters: dict[int, list[CaseTally]] = {}
    priced = True
    for number, case in zip(grouped(case.ties for case in cases), cases, strict=True):
        clusters.setdefault(number, []).append(case)
        counted.update(samples=case.samples, good=case.good, bad=case.bad)
        errors.update(case.errors)
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
        hits=sum(case.hits for case in everything),
        good_rate=good_rate(good, samples, rates, run.record.trials, graded=good + counted["bad"]),
        spent_usd=total(case.spent_usd for case in everything),
        cost_per_good_usd=costs.cost_per_good() if priced else Estimate(None, None, None, "unpriced"),
        errors=dict(sorted(errors.items())),
        incidents=_incidents([case for case in everything if case.incident]),
    )


def _incidents(cases: Sequence[CaseTally]) -> Incidents:
    samples, good, bad = (sum(getattr(case, name) for case in cases) for name in ("samples", "good", "bad"))
    spent, task = total(case.spent_usd for case in cases), total(case.task_usd for case in cases)
    errors: Counter[str] = Counter()
    for case in cases:
        errors.update(case.errors)
    return Incidents(
        samples=samples,
        good=good,
        bad=bad,
        ungraded=samples - good - bad,
        cost_usd=spent,
        cached_cost_usd=None if spent is None or task is None else task - spent,
        errors=dict(sorted(errors.items())),
    )
