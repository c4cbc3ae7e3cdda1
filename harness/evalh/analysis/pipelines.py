"""Where the samples of a pipeline went wrong: each step's results, how faults spread, and what was spent after them.

Rates count cases, as a run's good rate does. Only cases with unfinished trials are kept in memory.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction

from evalh.analysis.units import Units
from evalh.core.money import plus
from evalh.core.run import ConditionalRate, Estimate, PipelineSummary, SpentAfterBad, StepTally
from evalh.core.sample import Sample, SampleWord, Standing, StepGrade, StepResult, StepState, StepWord
from evalh.stats.clusters import clustered_rate
from evalh.stats.intervals import wilson
from evalh.stats.quantiles import Distribution

FEWEST_CASES = 10  # with fewer, no rate is shown


class PipelineFold:
    """Takes the samples of a pipeline one by one, in any order."""

    def __init__(
        self, parents: Mapping[str, Sequence[str]], trials: int, clusters: Mapping[int, int], max_ungraded: float
    ) -> None:
        """`parents`: what each step reads, in the pipeline's order; `clusters` are as `Units` takes them."""
        self._parents = parents
        self._max_ungraded = max_ungraded
        self._steps = {step: _StepFold(step, trials, clusters) for step in parents}
        self._words: Counter[SampleWord] = Counter()
        self._propagation = _Rate(trials, clusters)
        self._latent = _Rate(trials, clusters)
        self._unexplained = _Rate(trials, clusters)
        self._after_usd: Decimal | None = Decimal(0)
        self._after: Counter[Standing] = Counter()

    def add(self, sample: Sample) -> None:
        """Count one sample; of an incident's, only what its steps cost."""
        for one in sample.steps:
            self._steps[one.step].spend(one)
        if sample.case.incident:
            return
        story = sample.story
        word = SampleWord.NOT_KNOWN if story is None else story.word
        self._words[word] += 1
        results = {one.step: one for one in sample.steps}
        for step, fold in self._steps.items():
            fold.add(sample.case_index, results.get(step))
        if story is not None:
            if story.first_bad is not None:
                self._steps[story.first_bad].first_bad += 1
            for step in story.responsible:
                self._steps[step].responsible += Fraction(1, len(story.responsible))
        self._count_rates(sample, word)
        self._count_spent(sample)

    def _count_rates(self, sample: Sample, word: SampleWord) -> None:
        known = word is not SampleWord.NOT_KNOWN
        case, standing = sample.case_index, sample.standing
        self._latent.add(case, word is SampleWord.LATENT, known and standing is Standing.GOOD)
        self._unexplained.add(case, word is SampleWord.UNEXPLAINED, known and standing is Standing.BAD)
        words = Counter(one.word for one in sample.steps)
        propagated = words[StepWord.PROPAGATED]
        self._propagation.add(case, propagated, propagated + words[StepWord.RECOVERED])

    def _count_spent(self, sample: Sample) -> None:
        """Count the cost of the steps that read something tainted."""
        tainted = {one.step for one in sample.steps if one.tainted}
        behind = [
            one
            for one in sample.steps
            if one.state is not StepState.GIVEN and not tainted.isdisjoint(self._parents[one.step])
        ]
        for one in behind:
            self._after_usd = plus(self._after_usd, plus(one.cost_usd, one.cached_cost_usd))
        self._after[sample.standing] += any(one.state is StepState.RAN for one in behind)

    def summary(self) -> PipelineSummary:
        """Compute the numbers of all samples so far."""
        unknown = self._words[SampleWord.NOT_KNOWN] > self._max_ungraded * self._words.total()
        return PipelineSummary(
            steps=tuple(one.tally(unknown=unknown) for one in self._steps.values()),
            words={word.value: self._words[word] for word in SampleWord},
            propagation=self._propagation.rate(unknown=unknown),
            latent=self._latent.rate(unknown=unknown),
            unexplained=self._unexplained.rate(unknown=unknown),
            after_bad=SpentAfterBad(usd=self._after_usd, samples=self._after.total(), good=self._after[Standing.GOOD]),
        )


class _StepFold:
    """One step's counts."""

    def __init__(self, step: str, trials: int, clusters: Mapping[int, int]) -> None:
        self.step = step
        self.first_bad = 0
        self.responsible = Fraction(0)
        self._states: Counter[StepState] = Counter()
        self._grades: Counter[StepGrade | None] = Counter()
        self._costs: list[Decimal | None] = [Decimal(0)] * 3  # spent, cached, judges'
        self._latency = Distribution()
        self._own_error = _Rate(trials, clusters)
        self._propagation = _Rate(trials, clusters)

    def spend(self, one: StepResult) -> None:
        """Count what the step cost in a sample."""
        costs = (one.cost_usd, one.cached_cost_usd, one.judge_cost_usd)
        self._costs = [plus(so_far, cost) for so_far, cost in zip(self._costs, costs, strict=True)]

    def add(self, case_index: int, one: StepResult | None) -> None:
        """Count a sample. `one` is None if the sample ended before the step."""
        word = None if one is None else one.word
        fine = one is not None and one.state is StepState.RAN and one.grade is StepGrade.GOOD and word is None
        self._own_error.add(case_index, word is StepWord.ORIGIN, fine or word is StepWord.ORIGIN)
        self._propagation.add(
            case_index, word is StepWord.PROPAGATED, word in (StepWord.PROPAGATED, StepWord.RECOVERED)
        )
        if one is None:
            return
        self._states[one.state] += 1
        if one.state is StepState.RAN:
            self._grades[one.grade] += 1
            if (took := one.latency.total_ms) is not None:
                self._latency.add(took)

    def tally(self, *, unknown: bool) -> StepTally:
        """Return the step's numbers."""
        spent, cached, judges = self._costs
        return StepTally(
            step=self.step,
            **{state.value: self._states[state] for state in StepState},
            **{grade.value: self._grades[grade] for grade in StepGrade},
            first_bad=self.first_bad,
            responsible=float(self.responsible),
            cost_usd=spent,
            cached_cost_usd=cached,
            judge_cost_usd=judges,
            latency_p50_ms=self._latency.quantile(0.5),
            own_error=self._own_error.rate(unknown=unknown),
            propagation=self._propagation.rate(unknown=unknown),
        )


class _Rate:
    """How often something happened, of the times when it could have."""

    def __init__(self, trials: int, clusters: Mapping[int, int]) -> None:
        self._trials = trials
        self._units = Units(trials, clusters)
        self._count = self._of = 0

    def add(self, case_index: int, count: int, of: int) -> None:
        """Count a trial of a case. Every trial must be counted, even if `of` is 0."""
        if of or self._trials > 1:  # with one trial, a case with `of` 0 says nothing
            self._units.count(case_index, count, of)
        self._count += count
        self._of += of

    def rate(self, *, unknown: bool) -> ConditionalRate:
        """Return the rate; without a number if too much is unknown, or there are too few cases."""
        _, rates = self._units.closed()
        cases = sum(one.cases * times for one, times in rates.items())
        if unknown:
            estimate = Estimate(None, None, None, "not-known")
        elif cases < FEWEST_CASES:
            estimate = Estimate(None, None, None, "few-cases")
        elif sum(rates.values()) == self._of:
            limits = wilson(self._count, self._of)
            estimate = Estimate(self._count / self._of, limits.low, limits.high, "wilson")
        else:
            rate = clustered_rate(rates, -(-self._of // cases))
            estimate = Estimate(rate.rate, rate.low, rate.high, "wilson-clustered")
        return ConditionalRate(count=self._count, of=self._of, cases=cases, rate=estimate)
