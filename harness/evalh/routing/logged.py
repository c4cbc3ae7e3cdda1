"""The innermost wrapper: every attempt becomes a row with its price, also if it fails."""

import asyncio
from decimal import Decimal

from evalh.core.attempt import AttemptEnd, AttemptStart, Call, CallError, Completion, ErrorKind, Latency, Usage
from evalh.core.money import believed, plus
from evalh.core.ports import CallLog, Pricer, Provider
from evalh.core.request import Request
from evalh.routing.budget import worst_case_usd
from evalh.routing.run_context import DEADLINE, Shared
from evalh.routing.wrapper import Wrapper


class Logged(Wrapper):
    """Records and prices every attempt of the provider it wraps."""

    def __init__(self, door: Provider, log: CallLog, pricer: Pricer | None, shared: Shared) -> None:
        super().__init__(door)
        self._log = log
        self._clock = shared.clock
        self._shared = shared
        self._pricer = pricer

    async def send(self, request: Request, call: Call) -> Completion:
        """Send once, and record it. Raises CallError; NotSent if the run's deadline comes first."""
        clock = self._clock
        await self._shared.until_writable()
        call.attempts += 1
        start = AttemptStart(
            id=f"{call.id}.{call.attempts}",
            call=call,
            request=request,
            number=call.attempts,
            model=self.name,
            provider=self.kind,
            started_at=clock.now(),
            reason=call.reasons[-1] if call.reasons else "first",
            waited_ms=call.waiting_ms,
        )
        call.latency = call.latency.plus(Latency(0.0, call.waiting_ms))
        call.waiting_ms = 0.0
        self._log.begin(start)
        began = clock.monotonic()
        try:
            if call.patience_s is None and self._shared.halt.until is None:
                completion = await self.inner.send(request, call)
            else:
                completion = await self._within(call.patience_s, request, call)
        except CallError as error:
            self._failed(start, began, error)
            self._shared.halt.check_deadline(error)
            raise
        except asyncio.CancelledError:
            self._failed(start, began, CallError(ErrorKind.INTERRUPTED, "stopped while in flight"))
            raise
        seconds = clock.monotonic() - began
        cost = completion.cost_usd
        if cost is None and self._pricer is not None:
            cost = self._pricer.cost(completion.usage, seconds)
        cost = believed(cost)
        call.cost_usd = plus(call.cost_usd, cost)
        call.answered_by, call.answered_model = start.id, self.name
        took_ms = completion.latency_ms
        call.latency = call.latency.plus(Latency(took_ms))
        if took_ms is None:
            took_ms = seconds * 1000.0
        self._log.end(AttemptEnd(start=start, latency_ms=took_ms, completion=completion, cost_usd=cost))
        return completion

    async def _within(self, patience_s: float | None, request: Request, call: Call) -> Completion:
        left_s = self._shared.halt.left_s()
        of_run = left_s is not None and (patience_s is None or left_s < patience_s)
        seconds = left_s if of_run else patience_s
        patience = asyncio.timeout(seconds)
        try:
            async with patience:
                return await self.inner.send(request, call)
        except TimeoutError:
            if not patience.expired():
                raise
            if of_run:
                raise CallError(ErrorKind.INTERRUPTED, DEADLINE) from None
            raise CallError(ErrorKind.TIMEOUT, f"no answer within {seconds:g} s") from None

    def _failed(self, start: AttemptStart, began: float, error: CallError) -> None:
        estimated = error.maybe_billed
        seconds = self._clock.monotonic() - began
        cost: Decimal | None = Decimal(0)
        if estimated:
            cost = worst_case_usd(start.request, self._pricer)
            if cost is None and self._pricer is not None:
                cost = self._pricer.cost(Usage(), seconds)  # a price per hour
        start.call.cost_usd = plus(start.call.cost_usd, cost)
        latency_ms = seconds * 1000.0
        start.call.latency = start.call.latency.plus(Latency(latency_ms))
        self._log.end(AttemptEnd(start=start, latency_ms=latency_ms, error=error, cost_usd=cost, estimated=estimated))
