"""How a run ends early: one place that says why, and that wakes whoever waits."""

import asyncio

from evalh.core.attempt import NotSent
from evalh.core.ports import Clock


class Halt:
    """Set once, by whoever sees that the run cannot go on: a spent budget, a dead provider, a deadline."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: set[asyncio.Task[None]] = set()
        self.reason: str | None = None

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
