"""The run itself: cases stream in, a limited number of requests is in flight, samples stream out.

`concurrency` workers share one iterator of samples: no task per case, nothing queued, so memory does not grow with
the dataset. The log is searched for a hundred answers at a time: one query per sample took a tenth of the run.

Good, bad or ungraded.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from inspect import isawaitable
from itertools import count, islice
from typing import Generic, TypeAlias, TypeVar

from msgspec import Struct, field

from evalh.analysis.summary import Fold
from evalh.core.attempt import Answer, Call, CallError, CallKey, Completion, NotSent
from evalh.core.case import Case
from evalh.core.errors import EvalhError
from evalh.core.ports import Progress, Provider, Store
from evalh.core.reasoning import reread
from evalh.core.request import Request
from evalh.core.run import RunRecord, RunStatus
from evalh.core.sample import Graded, Sample, Standing
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.core.verdict import GradeContext, Outcome, Verdict, with_cause
from evalh.engine.plan import Plan
from evalh.graders.parts import named_parts
from evalh.routing.asking import Asking, Inquiry
from evalh.routing.pace import until_writable
from evalh.routing.run_context import Halt
from evalh.routing.wrapper import spent


def standing(verdicts: Iterable[Graded]) -> Standing:
    """Judge a sample by its required verdicts: any fail is bad, all pass is good, anything else is ungraded."""
    outcomes = {graded.verdict.outcome for graded in verdicts if graded.required}
    if Outcome.FAIL in outcomes:
        return Standing.BAD
    return Standing.GOOD if outcomes == {Outcome.PASS} else Standing.UNGRADED


_YIELD_EVERY = 64
_LOOK_AHEAD = 128

Wanted: TypeAlias = tuple[int, Case, Sequence[int]]
"""Samples of one case: its place in the dataset, the case, its trials."""


class Unit(Value):
    """One sample to evaluate: its request, and its answer if the log has it."""

    case_index: int
    case: Case
    key: CallKey
    request: Request
    answer: Answer | None


U = TypeVar("U")


class SampleRunner(Struct, Generic[U], kw_only=True):
    """Evaluates the samples of a plan, of whatever kind it is, under a bound."""

    plan: Plan
    record: RunRecord
    store: Store
    fold: Fold
    progress: Progress
    halt: Halt
    concurrency: int
    fresh: bool = False

    async def run(self, only: Sequence[Wanted] | None = None) -> tuple[RunStatus, str | None]:
        """Evaluate every sample of the plan, or `only` these; return the status, and why the run ended early.

        Raises CancelledError if the run is interrupted; what was stored stays.
        """
        work = self._work(self._everything() if only is None else only)
        planned = self.plan.planned if only is None else sum(len(trials) for _, _, trials in only)
        workers = min(self.width, planned)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(workers):
                    group.create_task(self._worker(work))
        except* EvalhError as errors:  # a file that changed during the run, a full disk: raise the first
            raise errors.exceptions[0] from None
        return (RunStatus.STOPPED, self.halt.reason) if self.halt.reason else (RunStatus.COMPLETE, None)

    @property
    def width(self) -> int:
        """How many samples are under way at once."""
        return self.concurrency

    def unknown(self, wanted: Sequence[Wanted]) -> int:
        """Count the samples that the log has no answer to. Raises EvalhError."""
        raise NotImplementedError

    def _work(self, wanted_samples: Iterable[Wanted]) -> Iterator[U]:
        raise NotImplementedError

    async def _evaluate(self, unit: U) -> None:
        raise NotImplementedError

    def _everything(self) -> Iterator[Wanted]:
        trials = range(self.plan.trials)
        return ((index, case, trials) for index, case in enumerate(self.plan.cases))

    def _keep(self, sample: Sample, call: Call | None) -> None:
        self.store.add_sample(self.record.id, sample, call)
        self.fold.add(sample)
        self.progress.advance(sample)

    async def _worker(self, work: Iterator[U]) -> None:
        for done, unit in enumerate(work):
            if done % _YIELD_EVERY == 0:
                await asyncio.sleep(0)  # answers from the store never wait: yield to Ctrl-C and the display
            if self.halt.reason:
                return
            try:
                await until_writable(self.store, self.halt.sleep, self.progress)
                await self._evaluate(unit)
            except NotSent:
                return  # the run is ending; this sample is not evaluated, and the same command continues with it


class Runner(SampleRunner[Unit], kw_only=True):
    """Evaluates a plan of one step. `provider` is the routing stack around the plan's provider."""

    provider: Provider
    inquiry: Inquiry | None = None  # None: no grader asks a model
    numbers: Iterator[int] = field(default_factory=lambda: count(1))  # of calls

    def unknown(self, wanted: Sequence[Wanted]) -> int:
        """Count the samples that the log has no answer to. Raises EvalhError."""
        return sum(unit.answer is None for unit in self._work(wanted))

    def _work(self, wanted_samples: Iterable[Wanted]) -> Iterator[Unit]:
        step = self.plan.plain
        samples = (
            (index, case, CallKey(case.id, trial, step.name, self.plan.draw), request)
            for index, case, trials in wanted_samples
            for request in (step.request(case),)
            for trial in trials
        )
        while ahead := list(islice(samples, _LOOK_AHEAD)):
            if self.fresh:
                yield from (Unit(*sample, None) for sample in ahead)
            else:
                wanted = [(request.digest(), key) for _, _, key, request in ahead]
                answers = self.store.find_all(wanted, routed=self.plan.target.chooses)
                yield from (Unit(*sample, answer) for sample, answer in zip(ahead, answers, strict=True))

    async def _evaluate(self, unit: Unit) -> None:
        call = Call(
            id=f"{self.record.id}:{next(self.numbers)}",
            run_id=self.record.id,
            key=unit.key,
            request=unit.request,
            case=unit.case,
            route=self.record.model if self.plan.target.chooses else None,
        )
        answer = unit.answer
        if answer is None:
            try:
                completion, error = await self._ask(call)
            except (NotSent, asyncio.CancelledError):
                # The sample is left to the next run; this run has paid for its attempts.
                self.fold.cut_off(unit.case_index, call, incident=unit.case.incident)
                raise
        else:
            answer = reread(answer, self._sent_to(answer))
            completion, error = answer.completion, None
            call.answered_by, call.cached_cost_usd = answer.attempt_id, answer.cost_usd
            call.answered_model, call.latency = answer.model, answer.latency
        asking = None if self.inquiry is None else self.inquiry.about(call)
        try:
            verdicts = await self._grade(unit, completion, error, call, asking)
        except (NotSent, asyncio.CancelledError):
            judges_usd = None if asking is None else asking.spent_usd
            self.fold.cut_off(unit.case_index, call, judges_usd, incident=unit.case.incident)
            raise
        sample = Sample(
            case=unit.case,
            case_index=unit.case_index,
            trial=unit.key.trial,
            standing=standing(verdicts),
            verdicts=verdicts,
            call_id=call.id,
            attempt_id=None if completion is None else call.answered_by,
            completion=completion,
            error=error,
            cache_hit=answer is not None,
            cost_usd=call.cost_usd,
            cached_cost_usd=call.cached_cost_usd,
            judge_cost_usd=Decimal(0) if asking is None else asking.spent_usd,
            attempts=call.attempts,
            latency=call.latency,
        )
        self._keep(sample, call)

    def _sent_to(self, answer: Answer) -> Mapping[str, JsonValue]:
        target = self.plan.target
        leaf = target.leaves.get(answer.model or "", target.first)
        return leaf.settings.sent_to

    async def _ask(self, call: Call) -> tuple[Completion | None, CallError | None]:
        try:
            completion = await self.provider.send(call.request, call)
        except CallError as error:
            if error.ends_run:  # a refused key, an empty account: every further call would fail too
                self.halt.now(str(error))
            return None, error
        return completion, None

    async def _grade(
        self,
        unit: Unit,
        completion: Completion | None,
        error: CallError | None,
        call: Call,
        asking: Asking | None,
    ) -> tuple[Graded, ...]:
        if completion is None:
            missing = Verdict.error(f"no answer: {error}")
            return tuple(Graded(grader.name, grader.required, missing) for grader in self.plan.graders)
        context = GradeContext(
            case=unit.case,
            completion=completion,
            request=unit.request,
            output_schema=self.plan.plain.settings.output_schema,
            cost_usd=spent(call),
            latency=call.latency,
            trial=unit.key.trial,
            step=unit.key.step,
            asker=asking,
        )
        graded: list[Graded] = []
        of_parts: list[Graded] = []
        for grader in self.plan.graders:
            judged = grader.judge(context)
            verdict = await judged if isawaitable(judged) else judged
            graded.append(Graded(grader.name, grader.required, with_cause(verdict, completion)))
            of_parts += named_parts(grader, graded[-1], context)
        return (*graded, *of_parts)
