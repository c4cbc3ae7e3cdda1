"""Call functions; keep results where `keep` says so, and never call one with effects twice for a sample."""

import asyncio
import json
from collections.abc import Mapping
from decimal import Decimal

from evalh.core.attempt import (
    AttemptEnd,
    AttemptStart,
    Call,
    CallError,
    CallKey,
    Completion,
    ErrorKind,
    Latency,
    NotSent,
    Purpose,
)
from evalh.core.strict_json import JsonValue
from evalh.engine.pipeline.functions import FunctionStep, StepContext, StepError
from evalh.engine.pipeline.tools import Tools


class FunctionCalls:
    """Calls functions for the samples of a run."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    async def call(
        self, function: FunctionStep, inputs: Mapping[str, JsonValue], ctx: StepContext, key: CallKey
    ) -> tuple[JsonValue, Latency]:
        """Return a function's result, or its earlier result if results are kept, and how long it took.

        Raises StepError, NotSent.
        """
        spec, tools = function.spec, self._tools
        if not (spec.keep or spec.effects):
            return await self._timed(function, inputs, ctx)
        call = Call(
            id=f"{tools.run_id}:{next(tools.numbers)}",
            run_id=tools.run_id,
            key=key,
            request=function.request(inputs),
            purpose=Purpose.FUNCTION,
        )
        asked = (call.request.digest(), key)
        answer = None
        if spec.effects or not tools.fresh:
            answer = await tools.lookups.find(asked, routed=False)
        if answer is not None:
            call.answered_by = answer.attempt_id
            tools.store.conclude(call, cache_hit=True)
            return json.loads(answer.completion.text), answer.latency
        if spec.effects and tools.store.begun(*asked):
            raise StepError(
                f"{spec.path}: it has effects and was already called for this sample, so it is not called again"
            )
        return await self._recorded(function, inputs, ctx, call)

    async def _recorded(
        self, function: FunctionStep, inputs: Mapping[str, JsonValue], ctx: StepContext, call: Call
    ) -> tuple[JsonValue, Latency]:
        store = self._tools.store
        call.attempts = 1
        start = AttemptStart(
            id=f"{call.id}.1",
            call=call,
            request=call.request,
            number=1,
            model=function.spec.path,
            provider="function",
            started_at=self._tools.clock.now(),
        )
        store.begin(start)
        if function.spec.effects:
            await asyncio.to_thread(store.flush)  # before the call: a function with effects must not run twice
        try:
            output, took = await self._timed(function, inputs, ctx)
        except (StepError, NotSent, asyncio.CancelledError) as exc:
            kind = ErrorKind.STEP_ERROR if isinstance(exc, StepError) else ErrorKind.INTERRUPTED
            store.end(AttemptEnd(start=start, latency_ms=0.0, error=CallError(kind, str(exc)), cost_usd=Decimal(0)))
            raise
        completion = Completion(text=json.dumps(output, ensure_ascii=False))
        end = AttemptEnd(start=start, latency_ms=took.total_ms or 0.0, completion=completion, cost_usd=Decimal(0))
        store.end(end)
        call.answered_by, call.latency = start.id, took
        store.conclude(call, cache_hit=False)
        return output, took

    async def _timed(
        self, function: FunctionStep, inputs: Mapping[str, JsonValue], ctx: StepContext
    ) -> tuple[JsonValue, Latency]:
        clock = self._tools.clock
        began = clock.monotonic()
        output = await function.call(inputs, ctx, self._tools.halt.sleep)
        return output, Latency((clock.monotonic() - began) * 1000.0)
