"""Ask one sample of a pipeline: each step as it becomes ready, its checks, and what follows a bad step."""

import asyncio
from collections.abc import Mapping, Sequence
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
    Decision,
    ErrorKind,
    Latency,
)
from evalh.core.case import ABSENT, Case
from evalh.core.errors import EvalhError
from evalh.core.money import plus
from evalh.core.prompt import StepSpec
from evalh.core.reasoning import reread
from evalh.core.request import Request
from evalh.core.sample import Graded
from evalh.core.strict_json import JsonValue
from evalh.core.verdict import GradeContext, Outcome, with_cause
from evalh.engine.pipeline.functions import Ask, StepContext, StepError
from evalh.engine.pipeline.kept import FunctionCalls
from evalh.engine.pipeline.tools import OWN, StepDoor, Tools
from evalh.graders.kinds import Grader
from evalh.graders.parts import named_parts
from evalh.graders.reading import Unreadable, output_json
from evalh.pipeline.walk import Handed, Walk, text_of
from evalh.routing.asking import Asking
from evalh.routing.wrapper import spent


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
    paid_usd: Decimal | None = Decimal(0)  # by a program that ran it; None: unknown
    door: StepDoor | None = None
    about: Call | None = None  # a placeholder where no call gave the output; it is not in the log


class SampleAsking:
    """Asks one sample. `calls` lists every call it made, even if the run ended first."""

    def __init__(self, tools: Tools, case: Case, case_index: int, trial: int) -> None:
        self.tools = tools
        self.case = case
        self.case_index = case_index
        self.trial = trial
        doubles = tools.pipeline.doubles(case, trial)
        self.walk = Walk(tools.pipeline.flow, case.inputs, doubles=doubles, holds=tools.holds)
        self.traces: dict[str, Trace] = {name: Trace() for name in tools.pipeline.steps}
        self._live = False
        self.judges_usd: Decimal | None = Decimal(0)

    @property
    def calls(self) -> list[Call]:
        """Every call made so far."""
        return [call for trace in self.traces.values() for call in trace.calls]

    async def ask(self) -> None:
        """Run every step that can run. Raises NotSent, CancelledError, EvalhError."""
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
        name, watch = handed.spec.name, self.tools.watch
        planned, trace = self.tools.pipeline.steps[name], self.traces[name]
        if watch is not None:
            watch(name)
        try:
            if planned.prompt is not None:
                await self._ask_prompt(handed, trace)
            else:
                await self._call_function(handed, trace)
        finally:
            if watch is not None:
                watch(name)

    async def _ask_prompt(self, handed: Handed, trace: Trace) -> None:
        spec = handed.spec
        trace.door = door = self.tools.doors[spec.name][OWN]
        case = replace(self.case, inputs=handed.inputs, expected=self.case.gold_of(spec.name))
        try:
            request = door.asked.step.request(case)
        except EvalhError as exc:
            self._fail(spec, trace, f"cannot be rendered: {exc.what}", exc.where)
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
        """Run the step's checks on an output, then record the output and any failure in the walk."""
        planned = self.tools.pipeline.steps[spec.name]
        assert trace.context is not None
        blind = replace(trace.context, case=replace(trace.context.case, expected=ABSENT))
        trace.verdicts += await self.judged(planned.checks, blind, trace)
        failed = [one for one in trace.verdicts if one.required and one.verdict.outcome is Outcome.FAIL]
        if unreadable is not None:
            self.walk.unreadable(spec.name, output, unreadable)
        else:
            self.walk.give(spec.name, output)
        if failed:
            reason = f"{failed[0].grader}: {failed[0].verdict.reason}"
            self.tools.store.decide(
                Decision(
                    run_id=self.tools.run_id,
                    kind=self.walk.doubt(spec.name, reason).value,
                    reason=reason,
                    at=self.tools.clock.now(),
                    call_id=trace.calls[-1].id if trace.calls else None,
                    detail={"step": spec.name},
                )
            )

    def _key(self, step: str, draw: int = 0) -> CallKey:
        return CallKey(self.case.id, self.trial, step, self.tools.plan.draw + draw)

    def _new_call(self, door: StepDoor, request: Request, key: CallKey, case: Case) -> Call:
        tools, target = self.tools, door.asked.target
        return Call(
            id=f"{tools.run_id}:{next(tools.numbers)}",
            run_id=tools.run_id,
            key=key,
            request=request,
            case=case,
            route=target.name if target.chooses else None,
            asked_as=target.name,
        )

    async def _answer(self, door: StepDoor, request: Request, key: CallKey, case: Case, trace: Trace) -> Call:
        """Return an answer from the log, from another session's call, or from a new call. Raises CallError, NotSent."""
        tools, asked = self.tools, (request.digest(), key)
        call = self._new_call(door, request, key, case)
        trace.calls.append(call)
        answer = None
        if not tools.fresh:
            answer = await tools.lookups.find(asked, routed=door.asked.target.chooses)
        if answer is None:
            await self._go_live()
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

    async def _go_live(self) -> None:
        """Wait for a place among the samples that make calls, so that started samples finish before others start."""
        if not self._live:
            self._live = True
            try:
                await self.tools.places.acquire()
            except BaseException:
                self._live = False
                raise

    def leave(self) -> None:
        """Free the place for the next sample."""
        if self._live:
            self._live = False
            self.tools.places.release()

    async def _send(self, door: StepDoor, request: Request, call: Call, asked: tuple[str, CallKey]) -> Completion:
        flights = self.tools.flights
        flights.begin(asked)
        answer: Answer | None = None
        try:
            completion = await door.provider.send(request, call)
        except CallError as error:
            if error.ends_run:
                self.tools.halt.now(str(error))
            call.answered_by = None
            self.tools.store.conclude(call, cache_hit=False)
            raise
        else:
            answer = Answer(call.answered_by or "", completion, spent(call), call.answered_model, call.latency)
            return completion
        finally:
            flights.end(asked, answer)

    @staticmethod
    def _sent_to(door: StepDoor, answer: Answer) -> Mapping[str, JsonValue]:
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
        try:
            output, trace.took = await FunctionCalls(tools).call(function, handed.inputs, ctx, self._key(spec.name))
        except StepError as exc:
            trace.error = CallError(ErrorKind.STEP_ERROR, str(exc))
            self.walk.fail(spec.name, str(exc))
            return
        case = replace(self.case, inputs=handed.inputs, expected=self.case.gold_of(spec.name))
        trace.completion = Completion(text=text_of(output))
        trace.context = GradeContext(
            case=case, completion=trace.completion, latency=trace.took, trial=self.trial, step=spec.name
        )
        await self._check(spec, trace, output, None)

    def _seed(self, step: str) -> int:
        words = f"{self.case.id}\0{self.trial}\0{step}\0{self.tools.plan.draw}"
        return int.from_bytes(sha256(words.encode()).digest()[:4], "big")

    def _asker(self, step: str, trace: Trace) -> Ask:
        async def ask(prompt: str, inputs: Mapping[str, JsonValue], *, draw: int = 0) -> JsonValue:
            doors = self.tools.doors[step]
            if prompt not in doors:
                known = ", ".join(sorted(doors)) or "none"
                raise StepError(
                    f"ctx.ask does not know the prompt {prompt!r}: write its name as a literal (known: {known})"
                )
            door, own = doors[prompt], Trace()
            sent = self.tools.functions[step].json_of(inputs)
            assert isinstance(sent, dict)
            case = replace(self.case, inputs=sent, expected=ABSENT)
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
        trace.error = CallError(ErrorKind.STEP_ERROR, f"{spec.name!r} {told}")
        self.walk.fail(spec.name, told)

    async def judged(self, graders: Sequence[Grader], context: GradeContext, trace: Trace) -> list[Graded]:
        """Grade an output of a step. Raises NotSent, EvalhError."""
        asker = self._inquire(context.step or "", trace) if any(grader.asked for grader in graders) else None
        context = replace(context, asker=asker)
        graded: list[Graded] = []
        of_parts: list[Graded] = []
        try:
            for grader in graders:
                judged = grader.judge(context)
                verdict = await judged if isawaitable(judged) else judged
                graded.append(Graded(grader.name, grader.required, with_cause(verdict, context.completion)))
                of_parts += named_parts(grader, graded[-1], context)
        finally:  # count what was spent even if the run ends here
            spent_usd = Decimal(0) if asker is None else asker.spent_usd
            trace.judges_usd = plus(trace.judges_usd, spent_usd)
            self.judges_usd = plus(self.judges_usd, spent_usd)
        return [*graded, *of_parts]

    def _inquire(self, step: str, trace: Trace) -> Asking:
        """Return the asker for an output's graders, keyed by the call that gave the output or by a placeholder."""
        if trace.door is not None and trace.calls:
            return trace.door.inquiry.about(trace.calls[-1])
        tools = self.tools
        door = tools.doors[step].get(OWN)
        if trace.about is None:
            request = Request((), tools.plan.target.settings())
            trace.about = Call(id="", run_id=tools.run_id, key=self._key(step), request=request, case=self.case)
        return (tools.inquiry if door is None else door.inquiry).about(trace.about)
