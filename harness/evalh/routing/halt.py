"""How a run ends early: one place that says why, and that wakes whoever waits."""

import asyncio

from evalh.core.attempt import CallError, ErrorKind, NotSent
from evalh.core.ports import Clock

DEADLINE = "the run's deadline has passed"


class Halt:
    """Set once, by whoever sees that the run cannot go on: a spent budget, a dead provider, a deadline."""

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
