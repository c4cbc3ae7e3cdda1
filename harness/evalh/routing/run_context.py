"""What all layers of one run's stack share: its decisions' log, its clock and its end."""

import asyncio
from collections.abc import Mapping

from msgspec import field

from evalh.core.attempt import Call, CallError, Decision, ErrorKind, NotSent
from evalh.core.ports import CallLog, Clock, Progress
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.routing.pace import until_writable


class Decisions:
    """Writes to the log what a route does on the user's behalf, with its reason.

    Kinds: retry, give_up, fits, repair, unrepaired, fallback, keep, escalate, open, probe, close, shrink.
    """

    def __init__(self, log: CallLog, clock: Clock) -> None:
        self.log = log
        self.clock = clock

    def tell(self, call: Call, kind: str, reason: str, detail: Mapping[str, JsonValue]) -> None:
        self.log.decide(
            Decision(run_id=call.run_id, call_id=call.id, kind=kind, reason=reason, at=self.clock.now(), detail=detail)
        )


DEADLINE = "the run's deadline has passed"


class Halt:
    """Ends a run early, and wakes all that wait: for a spent budget, a provider that is down, a deadline."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: set[asyncio.Task[None]] = set()
        self.reason: str | None = None
        self.until: float | None = None  # the run's deadline, by the clock's monotonic time

    def now(self, reason: str) -> None:
        """End the run: nothing more is sent; what is in flight ends by itself. The first reason stays."""
        if self.reason is None:
            self.reason = reason
            for task in self._waiting:
                task.cancel()

    def check(self) -> None:
        """Raise NotSent where the run is ending."""
        if self.reason is not None:
            raise NotSent(self.reason)

    def check_deadline(self, error: CallError) -> None:
        """Raise NotSent where an attempt was cut off by the deadline: its sample is left to the next run."""
        if error.kind is ErrorKind.INTERRUPTED and error.message == DEADLINE:
            self.now(DEADLINE)
            self.check()

    def left_s(self) -> float | None:
        """Return how long a request may still take; None: the run has no deadline."""
        return None if self.until is None else max(0.0, self.until - self._clock.monotonic())

    async def sleep(self, seconds: float) -> None:
        """Wait on the clock. Raises NotSent as soon as the run is ending."""
        self.check()
        nap = asyncio.ensure_future(self._clock.sleep(seconds))
        self._waiting.add(nap)
        try:
            await asyncio.wait((nap,))
            if not nap.cancelled():
                nap.result()  # a clock that breaks is heard
        finally:
            nap.cancel()
            self._waiting.discard(nap)
        self.check()


class RetryBudget:
    """Bounds the retries of a run to a share of its calls, so that an outage is not answered with a storm."""

    _FREE = 10  # a share of a run's first few calls would be none

    def __init__(self) -> None:
        self._calls = 0
        self._retries = 0

    def call(self) -> None:
        self._calls += 1

    def take(self, share: float) -> bool:
        """Take one retry; False: there is none left."""
        if self._retries >= self._FREE + share * self._calls:
            return False
        self._retries += 1
        return True


class Shared(Value):
    """The run's log of decisions, its clock, its end, who watches it, and the retries that all its models share."""

    decisions: Decisions
    clock: Clock
    halt: Halt
    progress: Progress | None = None
    retries: RetryBudget = field(default_factory=RetryBudget)

    async def until_writable(self) -> None:
        """Wait while the log cannot be written. Raises NotSent, EvalhError."""
        await until_writable(self.decisions.log, self.halt.sleep, self.progress)
