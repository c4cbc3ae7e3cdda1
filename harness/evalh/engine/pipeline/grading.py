"""Grade one sample of a pipeline: its steps, its output, and where it went wrong."""

from collections.abc import Iterable, Iterator
from decimal import Decimal

from evalh.core.attempt import NOT_KNOWN, Call, CallError, Completion, ErrorKind, Latency
from evalh.core.money import plus
from evalh.core.sample import Graded, Sample, Standing, StepGrade, StepResult, StepState
from evalh.core.verdict import GradeContext, Verdict
from evalh.engine.pipeline.asking import SampleAsking, Trace
from evalh.engine.runner import standing
from evalh.graders.kinds import Grader
from evalh.pipeline.taint import mark
from evalh.pipeline.walk import text_of
from evalh.routing.wrapper import spent


class SampleGrading:
    """Grades a sample whose steps have run."""

    def __init__(self, asked: SampleAsking) -> None:
        self._asked = asked
        self._tools = asked.tools
        self._walk = asked.walk
        self._traces = asked.traces

    async def grade(self) -> Sample:
        """Return the sample. Raises NotSent, EvalhError."""
        for name, trace in self._traces.items():
            await self._grade_step(name, trace)
        return await self._sample()

    async def _grade_step(self, name: str, trace: Trace) -> None:
        graders = self._tools.pipeline.steps[name].graders
        if graders and trace.context is not None:
            trace.verdicts += await self._asked.judged(graders, trace.context, trace)

    def _grade_of(self, name: str, trace: Trace) -> StepGrade | None:
        """Return a step's grade. An output that the next step could not take is bad, whatever its graders say."""
        settled = self._walk.settled[name]
        if settled.state is not StepState.RAN:
            return None
        if name in self._walk.bad:
            return StepGrade.BAD
        if not self._tools.pipeline.steps[name].all_graders:
            return None
        match standing(trace.verdicts):
            case Standing.GOOD:
                return StepGrade.GOOD
            case Standing.BAD:
                return StepGrade.BAD
            case Standing.UNGRADED:
                required = any(one.required for one in trace.verdicts)
                return StepGrade.UNKNOWN if required else None

    async def _sample(self) -> Sample:
        name = self._walk.output()
        verdicts, judged, error = await self._verdicts(name)
        completion = None if name is None or error is not None else self._completion_of(name)
        calls = self._asked.calls
        steps, story = mark(self._tools.graph, tuple(self._results()), judged, self._walk.stopped_at)
        last = self._last_call(name)
        return Sample(
            case=self._asked.case,
            case_index=self._asked.case_index,
            trial=self._asked.trial,
            standing=judged,
            verdicts=verdicts,
            call_id="" if last is None else last.id,
            attempt_id=self._attempt_of(name, completion),
            completion=completion,
            error=error,
            cache_hit=bool(calls) and sum(trace.hits for trace in self._traces.values()) == len(calls),
            cost_usd=_sum(call.cost_usd for call in calls),
            cached_cost_usd=_sum(
                [*(call.cached_cost_usd for call in calls), *(trace.paid_usd for trace in self._traces.values())]
            ),
            judge_cost_usd=self._asked.judges_usd,
            attempts=sum(call.attempts for call in calls),
            latency=NOT_KNOWN if name is None else self._path(name),
            steps=steps,
            story=story,
            review=self._walk.review,
        )

    async def _verdicts(self, output: str | None) -> tuple[tuple[Graded, ...], Standing, CallError | None]:
        """Return the verdicts of the suite's graders, the sample's standing, and why it has no answer."""
        graders = self._tools.plan.graders
        failed = self._walk.failed
        if failed is not None:
            error = self._traces[failed[0]].error or CallError(ErrorKind.STEP_ERROR, failed[1])
            missing = Verdict.error(f"no answer: {failed[0]!r}: {failed[1]}")
            return _all(graders, missing), Standing.UNGRADED, error
        stopped = self._walk.stopped
        if stopped is not None or output is None:
            abstains = Verdict.abstain(stopped or "no step that gives the output ran")
            return _all(graders, abstains), Standing.BAD, None
        trace, spec = self._traces[output], self._tools.pipeline.steps[output].spec
        context = GradeContext(
            case=self._asked.case,
            completion=self._completion_of(output),
            request=None if trace.context is None else trace.context.request,
            output_schema=spec.output_schema,
            cost_usd=_sum(spent(call) for call in self._asked.calls),
            latency=self._path(output),
            trial=self._asked.trial,
            step=output,
            steps=self._walk.outputs(),
        )
        verdicts = tuple(await self._asked.judged(graders, context, trace))
        return verdicts, standing(verdicts), None

    def _completion_of(self, output: str) -> Completion:
        found = self._traces[output].completion
        if found is not None:
            return found
        return Completion(text=text_of(self._walk.settled[output].output))

    def _last_call(self, output: str | None) -> Call | None:
        own = self._traces[output].calls if output is not None else []
        return own[-1] if own else next(iter(reversed(self._asked.calls)), None)

    def _attempt_of(self, output: str | None, completion: Completion | None) -> str | None:
        """Return the attempt that holds the sample's output; None if no model gave it, or there is none."""
        if output is None or completion is None or self._traces[output].door is None:
            return None
        return self._traces[output].calls[-1].answered_by

    def _path(self, name: str) -> Latency:
        """Return the latency up to a step's output: the sum along the slowest path to it."""
        took = Latency() if self._walk.settled[name].state is not StepState.RAN else self._traces[name].took
        before = [
            self._path(one)
            for one in self._tools.pipeline.flow.waits_for[name]
            if self._walk.settled[one].state is StepState.RAN
        ]
        if not before:
            return took
        return max(before, key=lambda one: (one.total_ms is None, one.total_ms or 0.0)).plus(took)

    def _results(self) -> Iterator[StepResult]:
        for name, trace in self._traces.items():
            settled, calls = self._walk.settled[name], trace.calls
            yield StepResult(
                step=name,
                state=settled.state,
                reason=self._walk.bad.get(name) or settled.reason,
                grade=self._grade_of(name, trace),
                inputs=self._walk.handed.get(name),
                output=settled.output,
                call_id=calls[-1].id if calls else None,
                attempt_id=calls[-1].answered_by if calls else None,
                cache_hit=bool(calls) and trace.hits == len(calls),
                cost_usd=_sum(call.cost_usd for call in calls),
                cached_cost_usd=_sum([*(call.cached_cost_usd for call in calls), trace.paid_usd]),
                judge_cost_usd=trace.judges_usd,
                attempts=sum(call.attempts for call in calls),
                latency=trace.took,
                verdicts=tuple(trace.verdicts),
            )


def _all(graders: Iterable[Grader], verdict: Verdict) -> tuple[Graded, ...]:
    return tuple(Graded(grader.name, grader.required, verdict) for grader in graders)


def _sum(amounts: Iterable[Decimal | None]) -> Decimal | None:
    total: Decimal | None = Decimal(0)
    for amount in amounts:
        total = plus(total, amount)
    return total
