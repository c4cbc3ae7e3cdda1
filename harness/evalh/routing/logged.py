"""The innermost wrapper: every attempt is a row with its price, whatever becomes of it."""

import asyncio
from collections.abc import Mapping
from decimal import Decimal

from evalh.core.attempt import AttemptEnd, AttemptStart, Call, CallError, Completion, ErrorKind, Usage
from evalh.core.digest import JsonValue
from evalh.core.ports import CallLog, Clock, Pricer, Provider
from evalh.core.request import Media, Request, Text

MAYBE_BILLED = frozenset({ErrorKind.TIMEOUT, ErrorKind.NETWORK, ErrorKind.BAD_RESPONSE, ErrorKind.INTERRUPTED})
"""Kinds after which the provider may have worked, and charged, although nothing usable came back."""


def worst_case_usd(request: Request, pricer: Pricer | None) -> Decimal | None:
    """Bound what a request can cost: a token per input byte, `max_tokens` of output. None: no bound or no price."""
    bound = request.settings.max_tokens
    if pricer is None or bound is None:
        return None
    return pricer.cost(Usage(input_tokens=_input_bytes(request), output_tokens=bound), None)


def _input_bytes(request: Request) -> int:
    size = len(str(request.settings.output_schema or "")) + sum(
        len(tool.name) + len(tool.description) + len(str(tool.parameters)) for tool in request.settings.tools
    )
    for message in request.messages:
        for part in message.parts:
            match part:
                case Text():
                    size += len(part.text.encode("utf-8", "surrogatepass"))
                case Media():
                    size += len(part.data)
                case other:
                    size += len(str(other))
        size += 16  # the chat template's own tokens round a message
    return size


class Logged:
    """Records and prices every attempt of the provider it wraps."""

    def __init__(self, door: Provider, log: CallLog, clock: Clock, pricer: Pricer | None) -> None:
        self._door = door
        self._log = log
        self._clock = clock
        self._pricer = pricer

    @property
    def name(self) -> str:
        """The wrapped provider's."""
        return self._door.name

    @property
    def kind(self) -> str:
        """The wrapped provider's."""
        return self._door.kind

    @property
    def model(self) -> str:
        """The wrapped provider's."""
        return self._door.model

    @property
    def identity(self) -> Mapping[str, JsonValue]:
        """The wrapped provider's."""
        return self._door.identity

    @property
    def params(self) -> Mapping[str, JsonValue]:
        """The wrapped provider's."""
        return self._door.params

    @property
    def max_in_flight(self) -> int | None:
        """The wrapped provider's."""
        return self._door.max_in_flight

    async def open(self) -> None:
        """Open the wrapped provider."""
        await self._door.open()

    async def close(self) -> None:
        """Close the wrapped provider."""
        await self._door.close()

    async def send(self, request: Request, call: Call) -> Completion:
        """Send once, and record it. Raises CallError."""
        call.attempts += 1
        start = AttemptStart(
            id=f"{call.id}.{call.attempts}",
            call=call,
            number=call.attempts,
            model=self._door.name,
            provider=self._door.kind,
            started_at=self._clock.now(),
            reason=call.reasons[-1] if call.reasons else "first",
        )
        self._log.begin(start)
        began = self._clock.monotonic()
        try:
            completion = await self._door.send(request, call)
        except CallError as error:
            self._failed(start, began, error)
            raise
        except asyncio.CancelledError:
            self._failed(start, began, CallError(ErrorKind.INTERRUPTED, "stopped while in flight"))
            raise
        seconds = self._clock.monotonic() - began
        cost = completion.cost_usd
        if cost is None and self._pricer is not None:
            cost = self._pricer.cost(completion.usage, seconds)
        _charge(call, cost)
        self._log.end(
            AttemptEnd(
                start=start, latency_ms=completion.latency_ms or seconds * 1000.0, completion=completion, cost_usd=cost
            )
        )
        return completion

    def _failed(self, start: AttemptStart, began: float, error: CallError) -> None:
        estimated = error.kind in MAYBE_BILLED
        seconds = self._clock.monotonic() - began
        cost: Decimal | None = Decimal(0)
        if estimated:
            cost = worst_case_usd(start.call.request, self._pricer)
            if cost is None and self._pricer is not None:
                cost = self._pricer.cost(Usage(), seconds)  # a price per hour
        _charge(start.call, cost)
        latency_ms = seconds * 1000.0
        self._log.end(AttemptEnd(start=start, latency_ms=latency_ms, error=error, cost_usd=cost, estimated=estimated))


def _charge(call: Call, cost: Decimal | None) -> None:
    call.cost_usd = None if cost is None or call.cost_usd is None else call.cost_usd + cost
