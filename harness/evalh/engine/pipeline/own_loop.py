"""An event loop on a separate thread: an async function that blocks it stops its own step, not the run."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from typing import Any

from evalh.graders.functions import NoAnswerError

_ALIVE_WITHIN_S = 0.2


class OwnLoop:
    """Runs coroutines on another thread. A loop that no longer answers is abandoned; the next call starts another."""

    def __init__(self) -> None:
        """Start no thread until the first call."""
        self._loop: asyncio.AbstractEventLoop | None = None

    async def run(self, start: Callable[[], Awaitable[object]], seconds: float) -> object:
        """Return what a coroutine returns. Raises NoAnswerError, and whatever the coroutine raises."""
        loop = self._started()
        running = asyncio.run_coroutine_threadsafe(_contained(start), loop)
        patience = asyncio.timeout(seconds)
        try:
            async with patience:
                return await asyncio.wrap_future(running)
        except TimeoutError:
            if not patience.expired():
                raise
            await self._leave_if_blocked(loop)
            raise NoAnswerError(f"no answer within {seconds:g} s") from None

    def _started(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            threading.Thread(target=self._loop.run_forever, name="evalh-step", daemon=True).start()
        return self._loop

    async def _leave_if_blocked(self, loop: asyncio.AbstractEventLoop) -> None:
        alive: Future[None] = Future()
        loop.call_soon_threadsafe(alive.set_result, None)
        try:
            async with asyncio.timeout(_ALIVE_WITHIN_S):
                await asyncio.wrap_future(alive)
        except TimeoutError:
            if self._loop is loop:
                self._loop = None


async def _contained(start: Callable[[], Awaitable[object]]) -> object:
    try:
        return await start()
    except (SystemExit, KeyboardInterrupt) as exc:  # the loop's thread would end with it
        raise RuntimeError(f"{type(exc).__name__}: {exc}") from None


def from_elsewhere(ask: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Coroutine[Any, Any, Any]]:
    """Return `ask` for a coroutine on another loop; the call itself runs on this loop."""
    here = asyncio.get_running_loop()

    async def asked(*given: Any, **named: Any) -> Any:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(ask(*given, **named), here))

    return asked
