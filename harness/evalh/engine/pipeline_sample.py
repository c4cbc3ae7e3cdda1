"""One sample of a pipeline: its steps are asked as they become ready, graded, and told as one story."""

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from hashlib import sha256
from inspect import isawaitable

from msgspec import Struct, field
from msgspec.structs import replace

from evalh.core.attempt import (
    NOT_KNOWN,
    Answer,
    Call,
    CallError,
    CallKey,
    Completion,
    ErrorKind,
    Latency,
    NotSent,
)
from evalh.core.case import ABSENT, Case
from evalh.core.errors import EvalhError
from evalh.core.money import plus
from evalh.core.ports import Clock, Provider, Store
from evalh.core.prompt import OnBad, StepSpec
from evalh.core.reasoning import reread
from evalh.core.request import Request
from evalh.core.sample import Graded, Sample, Standing, StepGrade, StepResult, StepState
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.core.verdict import GradeContext, Outcome, StepOutput, Verdict, with_cause
from evalh.engine.functions import FunctionStep, StepContext, StepError
from evalh.engine.plan import Asked, Plan, PlannedPipeline, PlannedStep
from evalh.engine.shared_calls import Flights, Lookups
from evalh.graders.reading import Unreadable, output_json
from evalh.graders.registry import Grader
from evalh.pipeline.taint import StepGraph, mark
from evalh.pipeline.walk import Handed, Walk
from evalh.routing.asking import Inquiry
from evalh.routing.run_context import Decisions, Halt
from evalh.routing.wrapper import spent

_OWN = ""  # what a prompt step asks; a function asks prompts by name


def standing(verdicts: Iterable[Graded]) -> Standing:
    """Judge by required verdicts: any fail is bad, all pass is good, anything else is ungraded."""
    outcomes = {graded.verdict.outcome for graded in verdicts if graded.required}
    if Outcome.FAIL in outcomes:
        return Standing.BAD
    return Standing.GOOD if outcomes == {Outcome.PASS} else Standing.UNGRADED


class Door(Value):
    """The way to what a step asks, and who asks for those that grade its answers."""

    asked: Asked
    provider: Provider
    inquiry: Inquiry


class Tools(Value, kw_only=True):
    """What all samples of a run share."""

    plan: Plan
    pipeline: PlannedPipeline
    run_id: str
    numbers: Iterator[int]  # of calls
    doors: Mapping[str, Mapping[str, Door]]  # by step and prompt
    functions: Mapping[str, FunctionStep]
    graph: StepGraph
    store: Store
    halt: Halt
    clock: Clock
    decisions: Decisions
    lookups: Lookups
    flights: Flights
    fresh: bool


class Trace(Struct):
    """What is known of one step so far."""

    calls: list[Call] = field(default_factory=list)
    hits: int = 0
    context: GradeContext | None = None
    completion: Completion | None = None
    error: CallError | None = None
    verdicts: list[Graded] = field(default_factory=list)
    took: Latency = NOT_KNOWN
    judges_usd: Decimal | None = Decimal(0)
    door: Door | None = None


class PipelineSample:
    """Evaluates one sample. `calls` are all that it made, also where the run ended before its end."""

    def __init__(self, tools: Tools, case: Case, case_index: int, trial: int) -> None:
        self.tools = tools
        self.case = case
        self.case_index = case_index
        self.trial = trial
        self.walk = Walk(tools.pipeline.flow, case.inputs, doubles=dict(self._doubles()))
        self.traces: dict[str, Trace] = {name: Trace() for name in tools.pipeline.steps}
        self.judges_usd: Decimal | None = Decimal(0)

    @property
    def calls(self) -> list[Call]:
        """Every call so far."""
        return [call for trace in self.traces.values() for call in trace.calls]

    async def evaluate(self) -> Sample:
        """Ask all that is to be asked, and grade it. Raises NotSent, CancelledError, EvalhError."""
        await self._ask_all()
        for name, trace in self.traces.items():
            await self._grade_step(name, trace)
        return await self._sample()

    # -- asking

    def _doubles(self) -> Iterator[tuple[str, JsonValue]]:
        for name in self.tools.pipeline.steps:
            given = self.tools.pipeline.given.get(name)
            if name in self.case.given:
                yield name, self.case.given[name]
            elif given is not None:
                gold = self.case.gold_of(name) if given.outputs is None else ABSENT
                found = gold if given.outputs is None else given.outputs.get((self.case.id, self.trial), ABSENT)
                if found is not ABSENT:
                    yield name, found

    async def _ask_all(self) -> None:
        running: set[asyncio.Task[None]] = set()
        try:
            while True:
                ready = self.walk.ready()
                if not ready and not running:
                    return
                if len(ready) == 1 and not running:
                    await self._step(ready[0])
                    continue
                running |= {asyncio.ensure_future(self._step(handed)) for handed in ready}
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _step(self, handed: Handed) -> None:
        planned, trace = self.tools.pipeline.steps[handed.spec.name], self.traces[handed.spec.name]
        if planned.prompt is not None:
            await self._ask_prompt(handed, trace)
        else:
            await self._call_function(handed, trace)

    async def _ask_prompt(self, handed: Handed, trace: Trace) -> None:
        spec = handed.spec
        trace.door = door = self.tools.doors[spec.name][_OWN]
        case = replace(self.case, inputs=handed.inputs, expected=self.case.gold_of(spec.name))
        try:
            request = door.asked.step.request(case)
        except EvalhError as exc:
            self._fail(spec, trace, f"cannot be filled: {exc.what}", exc.where)
            return
        try:
            call = await self._answer(door, request, self._key(spec.name), case, trace)
        except CallError as error:
            trace.error = error
            self.walk.fail(spec.name, f"no answer: {error}")
            return
        completion = trace.completion
        assert completion is not None
        trace.took = call.latency
        trace.context = GradeContext(
            case=case,
            completion=completion,
            request=request,
            output_schema=spec.output_schema,
            cost_usd=spent(call),
            latency=call.latency,
            trial=self.trial,
            step=spec.name,
        )
        output: JsonValue = completion.text
        unreadable: str | None = None
        if spec.gives_json:
            try:
                output = output_json(trace.context)
            except Unreadable as exc:
                unreadable = exc.verdict.reason
        await self._check(spec, trace, output, unreadable)

    async def _check(self, spec: StepSpec, trace: Trace, output: JsonValue, unreadable: str | None) -> None:
        """Hold an output against the step's checks, then hand it on or not."""
        planned = self.tools.pipeline.steps[spec.name]
        assert trace.context is not None
        blind = replace(trace.context, case=replace(trace.context.case, expected=ABSENT))
        trace.verdicts += await self._judged(planned.checks, blind, trace)
        failed = [one for one in trace.verdicts if one.required and one.verdict.outcome is Outcome.FAIL]
        if unreadable is not None:
            self.walk.unreadable(spec.name, output, unreadable)
        else:
            self.walk.give(spec.name, output)
        if failed:
            reason = f"{failed[0].grader}: {failed[0].verdict.reason}"
            policy = self.walk.doubt(spec.name, reason)
            if policy is not OnBad.CONTINUE:
                call = trace.calls[-1] if trace.calls else self._call_of(spec.name, trace)
                self.tools.decisions.tell(call, policy.value, reason, {"step": spec.name})

    def _key(self, step: str, draw: int = 0) -> CallKey:
        return CallKey(self.case.id, self.trial, step, self.tools.plan.draw + draw)

    def _new_call(self, door: Door, request: Request, key: CallKey, case: Case) -> Call:
        tools, target = self.tools, door.asked.target
        return Call(
            id=f"{tools.run_id}:{next(tools.numbers)}",
            run_id=tools.run_id,
            key=key,
            request=request,
            case=case,
            route=target.name if target.chooses else None,
        )

    async def _answer(self, door: Door, request: Request, key: CallKey, case: Case, trace: Trace) -> Call:
        """Take an answer from the log, from another session that asks the same, or ask. Raises CallError, NotSent."""
        tools, asked = self.tools, (request.digest(), key)
        call = self._new_call(door, request, key, case)
        trace.calls.append(call)
        answer = None
        if not tools.fresh:
            answer = await tools.lookups.find(asked, routed=door.asked.target.chooses)
        if answer is None:
            answer = await tools.flights.join(asked)
        if answer is None:
            trace.completion = await self._send(door, request, call, asked)
        else:
            answer = reread(answer, self._sent_to(door, answer))
            trace.completion = answer.completion
            trace.hits += 1
            call.answered_by, call.cached_cost_usd = answer.attempt_id, answer.cost_usd
            call.answered_model, call.latency = answer.model, answer.latency
        tools.store.conclude(call, cache_hit=answer is not None)
        return call

    async def _send(self, door: Door, request: Request, call: Call, asked: tuple[str, CallKey]) -> Completion:
        flights = self.tools.flights
        flights.begin(asked)
        answer: Answer | None = None
        try:
            completion = await door.provider.send(request, call)
            answer = Answer(call.answered_by or "", completion, spent(call), call.answered_model, call.latency)
            return completion
        except CallError as error:
            if error.ends_run:
                self.tools.halt.now(str(error))
            call.answered_by = None
            self.tools.store.conclude(call, cache_hit=False)
            raise
        finally:
            flights.end(asked, answer)

    @staticmethod
    def _sent_to(door: Door, answer: Answer) -> Mapping[str, JsonValue]:
        target = door.asked.target
        return target.leaves.get(answer.model or "", target.first).settings.sent_to

    # -- functions

    async def _call_function(self, handed: Handed, trace: Trace) -> None:
        tools, spec = self.tools, handed.spec
        function = tools.functions[spec.name]
        ctx = StepContext(
            case_id=self.case.id,
            trial=self.trial,
            seed=self._seed(spec.name),
            timeout_s=function.spec.timeout_s,
            env=function.env,
            ask=self._asker(spec.name, trace),
        )
        began = tools.clock.monotonic()
        try:
            output = await function.call(handed.inputs, ctx, tools.halt.sleep)
        except StepError as exc:
            trace.error = CallError(ErrorKind.STEP_ERROR, str(exc))
            self.walk.fail(spec.name, str(exc))
            return
        trace.took = Latency((tools.clock.monotonic() - began) * 1000.0)
        case = replace(self.case, inputs=handed.inputs, expected=self.case.gold_of(spec.name))
        text = output if isinstance(output, str) else json.dumps(output, ensure_ascii=False)
        trace.completion = Completion(text=text)
        trace.context = GradeContext(
            case=case, completion=trace.completion, latency=trace.took, trial=self.trial, step=spec.name
        )
        await self._check(spec, trace, output, None)

    def _seed(self, step: str) -> int:
        words = f"{self.case.id}\0{self.trial}\0{step}\0{self.tools.plan.draw}"
        return int.from_bytes(sha256(words.encode()).digest()[:4], "big")

    def _asker(self, step: str, trace: Trace) -> Callable[..., object]:
        async def ask(prompt: str, inputs: Mapping[str, JsonValue], *, draw: int = 0) -> JsonValue:
            doors = self.tools.doors[step]
            if prompt not in doors:
                known = ", ".join(sorted(doors)) or "none"
                raise StepError(f"ctx.ask knows no prompt {prompt!r}: write its name as text (known: {known})")
            door, own = doors[prompt], Trace()
            case = replace(self.case, inputs=dict(inputs), expected=ABSENT)
            key = self._key(f"{step}/{prompt}", draw)
            try:
                await self._answer(door, door.asked.step.request(case), key, case, own)
            finally:
                trace.calls += own.calls
                trace.hits += own.hits
            assert own.completion is not None
            text = own.completion.text
            if not door.asked.step.settings.json_output:
                return text
            return output_json(GradeContext(case=case, completion=own.completion))

        return ask

    def _fail(self, spec: StepSpec, trace: Trace, what: str, where: str | None) -> None:
        told = f"{what} ({where})" if where else what
        trace.error = CallError(ErrorKind.STEP_ERROR, f"`{spec.name}` {told}")
        self.walk.fail(spec.name, told)

    # -- grading

    async def _judged(self, graders: Iterable[Grader], context: GradeContext, trace: Trace) -> list[Graded]:
        asking = None
        if trace.door is not None and trace.calls:
            asking = trace.door.inquiry.about(trace.calls[-1])
            context = replace(context, asker=asking)
        graded = []
        for grader in graders:
            judged = grader.judge(context)
            verdict = await judged if isawaitable(judged) else judged
            graded.append(Graded(grader.name, grader.required, with_cause(verdict, context.completion)))
        if asking is not None:
            trace.judges_usd = plus(trace.judges_usd, asking.spent_usd)
            self.judges_usd = plus(self.judges_usd, asking.spent_usd)
        return graded

    async def _grade_step(self, name: str, trace: Trace) -> None:
        graders = self.tools.pipeline.steps[name].graders
        if graders and trace.context is not None:
            trace.verdicts += await self._judged(graders, trace.context, trace)

    def _grade_of(self, name: str, trace: Trace) -> StepGrade | None:
        """Say what a step's output is; what the next step could not take is bad, whatever graders say."""
        settled = self.walk.settled[name]
        if settled.state is not StepState.RAN:
            return None
        if name in self.walk.bad:
            return StepGrade.BAD
        if not self.tools.pipeline.steps[name].all_graders:
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
        name = self.walk.output()
        verdicts, judged, error = await self._verdicts(name)
        completion = None if name is None or error is not None else self._completion_of(name)
        calls = self.calls
        steps, story = mark(self.tools.graph, tuple(self._results()), judged)
        last = self._last_call(name)
        return Sample(
            case=self.case,
            case_index=self.case_index,
            trial=self.trial,
            standing=judged,
            verdicts=verdicts,
            call_id="" if last is None else last.id,
            attempt_id=None if completion is None or last is None else last.answered_by,
            completion=completion,
            error=error,
            cache_hit=bool(calls) and sum(trace.hits for trace in self.traces.values()) == len(calls),
            cost_usd=_sum(call.cost_usd for call in calls),
            cached_cost_usd=_sum(call.cached_cost_usd for call in calls),
            judge_cost_usd=self.judges_usd,
            attempts=sum(call.attempts for call in calls),
            latency=NOT_KNOWN if name is None else self._path(name),
            steps=steps,
            story=story,
            review=self.walk.review,
        )

    async def _verdicts(self, output: str | None) -> tuple[tuple[Graded, ...], Standing, CallError | None]:
        """Return what the suite's graders say, what the sample is by that, and why it has no answer."""
        graders = self.tools.plan.graders
        failed = self.walk.failed
        if failed is not None:
            error = self.traces[failed[0]].error or CallError(ErrorKind.STEP_ERROR, failed[1])
            missing = Verdict.error(f"no answer: `{failed[0]}`: {failed[1]}")
            return _all(graders, missing), Standing.UNGRADED, error
        stopped = self.walk.stopped
        if stopped is not None or output is None:
            abstains = Verdict.abstain(stopped or "no step that gives the output ran")
            return _all(graders, abstains), Standing.BAD, None
        trace, spec = self.traces[output], self.tools.pipeline.steps[output].spec
        context = GradeContext(
            case=self.case,
            completion=self._completion_of(output),
            request=None if trace.context is None else trace.context.request,
            output_schema=spec.output_schema,
            cost_usd=_sum(spent(call) for call in self.calls),
            latency=self._path(output),
            trial=self.trial,
            step=output,
            steps={
                name: StepOutput(one.output, self.walk.handed.get(name, {}))
                for name, one in self.walk.settled.items()
                if one.state in (StepState.RAN, StepState.GIVEN)
            },
        )
        verdicts = tuple(await self._judged(graders, context, trace))
        return verdicts, standing(verdicts), None

    def _completion_of(self, output: str) -> Completion:
        found = self.traces[output].completion
        if found is not None:
            return found
        value = self.walk.settled[output].output
        return Completion(text=value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))

    def _last_call(self, output: str | None) -> Call | None:
        own = self.traces[output].calls if output is not None else []
        return own[-1] if own else next(iter(reversed(self.calls)), None)

    def _path(self, name: str) -> Latency:
        """Return how long it took to a step's output: the longest way to it, by what each step took."""
        took = Latency() if self.walk.settled[name].state is not StepState.RAN else self.traces[name].took
        before = [
            self._path(one)
            for one in self.tools.pipeline.flow.waits_for[name]
            if self.walk.settled[one].state is StepState.RAN
        ]
        if not before:
            return took
        return max(before, key=lambda one: (one.total_ms is None, one.total_ms or 0.0)).plus(took)

    def _results(self) -> Iterator[StepResult]:
        for name, trace in self.traces.items():
            settled, calls = self.walk.settled[name], trace.calls
            yield StepResult(
                step=name,
                state=settled.state,
                reason=self.walk.bad.get(name) or settled.reason,
                grade=self._grade_of(name, trace),
                inputs=self.walk.handed.get(name),
                output=settled.output,
                call_id=calls[-1].id if calls else None,
                attempt_id=calls[-1].answered_by if calls else None,
                cache_hit=bool(calls) and trace.hits == len(calls),
                cost_usd=_sum(call.cost_usd for call in calls),
                cached_cost_usd=_sum(call.cached_cost_usd for call in calls),
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
