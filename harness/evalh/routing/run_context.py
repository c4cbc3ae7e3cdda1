"""What all layers of one run's stack share: the log of decisions, the clock, and the end of the run."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping

from msgspec import field

from evalh.core.attempt import Call, CallError, Decision, ErrorKind, NotSent
from evalh.core.ports import CallLog, Clock, Progress
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.routing.pace import until_writable


class Decisions:
    """Records a route's decisions, with their reasons.

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
    """Ends a run early and wakes waiting requests: a budget is spent, a provider is down, a deadline has passed.

    A service goes on: what would end a run fails the calls that it concerns, and later calls try again.
    """

    def __init__(self, clock: Clock, *, goes_on: bool = False) -> None:
        self._clock = clock
        self.goes_on = goes_on
        self._waiting: set[asyncio.Task[None]] = set()
        self.reason: str | None = None
        self.until: float | None = None  # the run's deadline, by the clock's monotonic time

    def now(self, reason: str) -> None:
        """End the run: nothing more is sent; requests in flight finish. The first reason is kept."""
        if self.reason is None and not self.goes_on:
            self.reason = reason
            for task in self._waiting:
                task.cancel()

    def check(self) -> None:
        """Raise NotSent if the run is ending."""
        if self.reason is not None:
            raise NotSent(self.reason)

    def check_deadline(self, error: CallError) -> None:
        """Raise NotSent if the deadline cut off an attempt: its sample is left to the next run."""
        if error.kind is ErrorKind.INTERRUPTED and error.message == DEADLINE:
            self.now(DEADLINE)
            self.check()

    def left_s(self) -> float | None:
        """Return how long a request may take; None: the run has no deadline."""
        return None if self.until is None else max(0.0, self.until - self._clock.monotonic())

    async def sleep(self, seconds: float) -> None:
        """Wait on the clock. Raises NotSent as soon as the run is ending."""
        self.check()
        nap = asyncio.ensure_future(self._clock.sleep(seconds))
        self._waiting.add(nap)
        try:
            await asyncio.wait((nap,))
            if not nap.cancelled():
                nap.result()  # raise what the clock raises
        finally:
            nap.cancel()
            self._waiting.discard(nap)
        self.check()


RETRY_WINDOW_S = 300.0
"""A service's retries are a share of its calls of so many seconds."""

_SLOT_S = 10.0


class RetryBudget:
    """Limits the retries of a run to a share of its calls, so that an outage does not cause a flood of requests.

    With a clock (seconds, monotonic) only the calls and retries of the last `RETRY_WINDOW_S` count: a quiet week of a
    service must not pay for a flood.
    """

    FREE = 10  # a share of the first few calls would be less than one

    def __init__(self, now: Callable[[], float] | None = None) -> None:
        self._now = now
        self._calls = 0
        self._retries = 0
        self._slots: deque[list[int]] = deque()  # (number of the slot, calls, retries), oldest first

    def call(self) -> None:
        self._calls += 1
        if self._now is not None:
            self._slot(self._now())[1] += 1

    def take(self, share: float) -> bool:
        """Take one retry; return False if none is left."""
        slot = None if self._now is None else self._slot(self._now())
        if self._retries >= self.FREE + share * self._calls:
            return False
        self._retries += 1
        if slot is not None:
            slot[2] += 1
        return True

    def _slot(self, now: float) -> list[int]:
        """Forget what is too old; return the slot of this moment."""
        number, slots = int(now // _SLOT_S), self._slots
        while slots and slots[0][0] <= number - RETRY_WINDOW_S / _SLOT_S:
            _, calls, retries = slots.popleft()
            self._calls -= calls
            self._retries -= retries
        if not slots or slots[-1][0] != number:
            slots.append([number, 0, 0])
        return slots[-1]


class Shared(Value):
    """The run's log of decisions, clock, end and progress, and the retry budget that its models share."""

    decisions: Decisions
    clock: Clock
    halt: Halt
    progress: Progress | None = None
    retries: RetryBudget = field(default_factory=RetryBudget)

    async def until_writable(self) -> None:
        """Wait while the log cannot be written. Raises NotSent, EvalhError."""
        await until_writable(self.decisions.log, self.halt.sleep, self.progress)
