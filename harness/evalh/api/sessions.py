"""Runs that are led case by case: a gate asks for a batch on both sides, looks, and asks for more or stops."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from evalh.api.options import RunOptions
from evalh.api.parts import Parts
from evalh.api.runs import NoProgress, in_loop
from evalh.engine.forecast import check_inputs

if TYPE_CHECKING:
    from evalh.store import SqliteStore
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import cast

from msgspec import Struct, field
from msgspec.structs import replace

from evalh.api.clock import SystemClock
from evalh.api.runs import DEFAULT_CONCURRENCY, Execution
from evalh.core.attempt import Answer, CallKey
from evalh.core.case import Case
from evalh.core.money import plus
from evalh.core.ports import Progress, Store
from evalh.core.run import RunRecord, RunStatus
from evalh.core.sample import Sample, SampleResult, Standing
from evalh.core.verdict import Outcome
from evalh.engine.plan import Plan
from evalh.engine.runner import Runner, Wanted
from evalh.routing.run_context import Halt
from evalh.store.rows import case_row

_STAMP = 20  # characters of a run's id that say when it began: r20261124-014246-3f9


class Recorded:
    """The log, with answers from elsewhere before its own: a committed baseline's."""

    def __init__(self, store: Store, answers: Mapping[tuple[str, CallKey], Answer]) -> None:
        self._store = store
        self._answers = answers

    def find_all(self, wanted: Sequence[tuple[str, CallKey]], *, routed: bool = False) -> list[Answer | None]:
        """Return the answer for each (request digest, key), in their order."""
        found = [self._answers.get(one) for one in wanted]
        others = [one for one, answer in zip(wanted, found, strict=True) if answer is None]
        rest = iter(self._store.find_all(others, routed=routed)) if others else iter(())
        return [next(rest) if answer is None else answer for answer in found]

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)


class Collected(Struct):
    """`core.ports.Progress` that keeps every sample, and shows it on."""

    shown: Progress
    samples: dict[tuple[str, int], Sample] = field(default_factory=dict)

    def start(self, label: str, total: int) -> None:
        """Leave the display to the gate."""

    def advance(self, sample: Sample) -> None:
        """Keep one sample."""
        self.samples[sample.case.id, sample.trial] = sample
        self.shown.advance(sample)

    def note(self, text: str) -> None:
        """Pass it on."""
        self.shown.note(text)

    def window(self, model: str, size: int, ceiling: int, because: str) -> None:
        """Pass it on."""
        self.shown.window(model, size, ceiling, because)

    def waiting(self, seconds: float, because: str) -> None:
        """Pass it on."""
        self.shown.waiting(seconds, because)

    def paused(self, because: str | None) -> None:
        """Pass it on."""
        self.shown.paused(because)

    def stop(self) -> None:
        """Leave the display to the gate."""


class Session:
    """One side's run. `known` are samples whose results are known without an answer: they are not evaluated."""

    def __init__(
        self,
        execution: Execution,
        plan: Plan,
        *,
        began: float,
        answers: Mapping[tuple[str, CallKey], Answer] | None = None,
        known: Mapping[tuple[str, int], SampleResult] | None = None,
    ) -> None:
        """Open the run's row. Providers are opened by whoever opens several sessions."""
        self.plan = plan
        self.answers = answers or {}
        self.halt = Halt(SystemClock())
        self.collected = Collected(execution.progress)
        self.record: RunRecord = execution.record(plan, began)
        self._known = dict(known or {})
        self._execution = execution
        self._fold = execution.fold(plan)
        store = cast("Store", Recorded(execution.store, answers)) if answers else execution.store
        execution.store.start_run(self.record)
        builder = execution.builder(plan, SystemClock(), self.halt)
        self._runner = Runner(
            plan=plan,
            record=self.record,
            provider=builder.build(),
            inquiry=builder.inquiry,
            numbers=builder.numbers,
            store=store,
            fold=self._fold,
            progress=self.collected,
            halt=self.halt,
            concurrency=execution.options.concurrency or DEFAULT_CONCURRENCY,
            fresh=execution.options.fresh,
        )

    async def evaluate(self, wanted: Iterable[Wanted]) -> None:
        """Evaluate what is not known yet. Raises CancelledError, EvalhError."""
        todo = [
            (index, case, missing)
            for index, case, trials in wanted
            if (missing := [trial for trial in trials if not self._has(case.id, trial)])
        ]
        if todo:
            await self._runner.run(todo)

    def close(self, status: RunStatus, reason: str | None) -> None:
        """Close the run's row. Returns when everything is durable, or the log is blocked."""
        self._execution.store.finish_run(self.record.id, status, self._fold.summary(), reason)

    def results(self, cases: Iterable[tuple[int, Case]], trials: int) -> Iterator[SampleResult]:
        """Yield what is known of these cases, trial by trial; a sample that was not evaluated is left out."""
        for _, case in cases:
            row = case_row(case)[1]  # as the log and the labels have it
            for trial in range(trials):
                sample = self.collected.samples.get((case.id, trial))
                if sample is not None:
                    yield replace(result_of(sample), row_digest=row)
                elif (case.id, trial) in self._known:
                    yield replace(
                        self._known[case.id, trial],
                        row_digest=row,
                        tags=case.tags,
                        cluster=case.cluster,
                        inputs_digest=case.inputs_digest,
                    )

    def unknown(self, wanted: Sequence[Wanted]) -> int:
        """Count the samples that would have to be asked."""
        return self._runner.unknown(
            [(at, case, [one for one in trials if not self._has(case.id, one)]) for at, case, trials in wanted]
        )

    def asked(self) -> int:
        """Count the samples that were neither in the log nor in a baseline."""
        return sum(not sample.from_log for sample in self.collected.samples.values())

    @property
    def by_the_hour(self) -> bool:
        """Whether costs depend on how busy the machine was."""
        return self._fold.by_the_hour

    def spent(self) -> Decimal | None:
        """Return what the run has spent so far, graders included; None: an answer has no price."""
        summary = self._fold.summary()
        return plus(summary.cost_usd, summary.judge_cost_usd)

    def models(self, *, kept: bool | None = None) -> frozenset[str]:
        """Return the names under which the models gave kept answers, those asked for now, or (None) all."""
        samples = self.collected.samples.values()
        completions = (sample.completion for sample in samples if kept is None or sample.from_log is kept)
        return frozenset(one.model for one in completions if one is not None and one.model)

    def began(self, case_id: str, trial: int) -> str | None:
        """Return a stamp of the run that bought an answer: equal stamps mean one gate, both sides interleaved."""
        sample = self.collected.samples.get((case_id, trial))
        return None if sample is None or sample.attempt_id is None else sample.attempt_id[:_STAMP]

    def output(self, case_id: str) -> str | None:
        """Return a case's first output that is not good, or else its first; None: there is none."""
        found = [sample for (case, _), sample in sorted(self.collected.samples.items()) if case == case_id]
        told = [one for one in found if one.standing is not Standing.GOOD] or found
        return None if not told or told[0].completion is None else told[0].completion.text

    def reasons(self, case_id: str) -> tuple[tuple[str, str], ...]:
        """Return what the required graders said of a case's first sample that is not good."""
        for (case, _), sample in sorted(self.collected.samples.items()):
            if case == case_id and sample.standing is not Standing.GOOD:
                missed = (one for one in sample.verdicts if one.required and one.verdict.outcome is not Outcome.PASS)
                return tuple((one.grader, one.verdict.reason) for one in missed)
        return ()

    def why_no_answer(self) -> str | None:
        """Say how many samples have no answer, and why the first of them has none; None: all have one."""
        lost = [one for one in self.collected.samples.values() if one.completion is None and one.error is not None]
        if not lost:
            return None
        first = min(lost, key=lambda one: (one.case_index, one.trial))
        return f"{len(lost)} samples have no answer; the first is {first.case.id}: {first.error}"

    def _has(self, case_id: str, trial: int) -> bool:
        return (case_id, trial) in self.collected.samples or (case_id, trial) in self._known


def result_of(sample: Sample) -> SampleResult:
    """Return a sample as comparing needs it."""
    completion = sample.completion
    return SampleResult(
        case_id=sample.case.id,
        trial=sample.trial,
        standing=sample.standing,
        cost_usd=plus(sample.cost_usd, sample.cached_cost_usd),
        latency_ms=None if completion is None else sample.latency.total_ms,
        latency_whole=sample.latency.whole,
        output_digest=None if completion is None else completion.digest(),
        outcomes={one.grader: one.verdict.outcome for one in sample.verdicts},
        required=frozenset(one.grader for one in sample.verdicts if one.required),
        tags=sample.case.tags,
        cluster=sample.case.cluster,
        inputs_digest=sample.case.inputs_digest,
    )


async def whole(execution: Execution, plan: Plan) -> list[Sample]:
    """Evaluate a whole plan; return its samples in the dataset's order. Raises EvalhError, CancelledError."""
    session = Session(execution, plan, began=SystemClock().now())
    status, reason = RunStatus.INTERRUPTED, None
    try:
        await session.evaluate([(place, case, range(plan.trials)) for place, case in enumerate(plan.cases)])
        reason = session.halt.reason
        status = RunStatus.STOPPED if reason else RunStatus.COMPLETE
    finally:
        session.close(status, reason)
    return sorted(session.collected.samples.values(), key=lambda one: (one.case_index, one.trial))


def execution(
    judging: Parts,
    store: "SqliteStore",
    options: RunOptions,
    progress: Progress,
    provenance: Callable[[], tuple[str | None, bool | None]],
) -> Execution:
    """Return what carries out plans on a store; graders ask whom `judging` names."""
    return Execution(
        store=store,
        prices=judging.prices,
        progress=progress,
        options=options,
        provenance=provenance,
        asked=lambda plan: judging.targets.asked(plan.target, plan.asking),
    )


def collected(parts: Parts, plan: Plan, *, fresh: bool = False, progress: Progress | None = None) -> list[Sample]:
    """Run a plan and return its samples in the dataset's order. Raises EvalhError, KeyboardInterrupt."""
    check_inputs(plan)
    options, shown = RunOptions(fresh=fresh), progress or NoProgress()
    with parts.writing(shown) as store:
        own = execution(parts, store, options, shown, parts.provenance)
        shown.start(f"{plan.version.label} on {plan.target.name}", plan.planned)
        try:
            return in_loop(_collect(own, plan))
        finally:
            shown.stop()


async def _collect(own: Execution, plan: Plan) -> list[Sample]:
    targets = (plan.target, *own.asked(plan))
    providers = list(dict.fromkeys(leaf.provider for target in targets for leaf in target.leaves.values()))
    try:
        for provider in providers:
            await provider.open()
        return await whole(own, plan)
    finally:
        for provider in providers:
            await provider.close()
