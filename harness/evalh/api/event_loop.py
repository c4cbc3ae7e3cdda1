"""The event loop that a verb runs in, how SIGTERM ends it, and the real clock."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from evalh.core.errors import UsageError

T = TypeVar("T")


class SystemClock:
    """`core.ports.Clock` on the machine's time."""

    def now(self) -> float:
        """Return seconds since the epoch, UTC."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds from an arbitrary start; never goes back."""
        return time.perf_counter()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


def in_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run on a fresh event loop; SIGTERM ends the work as Ctrl-C does: cancelled, saved.

    Raises KeyboardInterrupt if the work did not end its cancelling itself, UsageError inside a running loop.
    """
    with suppress(RuntimeError):
        asyncio.get_running_loop()
        work.close()
        hint = "await asyncio.to_thread(workspace.run, …)"
        raise UsageError("a run cannot start in a running event loop", hint=hint)
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            return runner.run(_ended_by_sigterm(work))
    except asyncio.CancelledError:  # by SIGTERM, or by SIGTERM and Ctrl-C: the runner knows Ctrl-C alone
        raise KeyboardInterrupt from None


async def _ended_by_sigterm(work: Coroutine[Any, Any, T]) -> T:
    # Not by raising SIGINT: a shell's background job ignores that, and must end too.
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    if threading.current_thread() is not threading.main_thread() or os.name == "nt":
        return await work
    before = signal.getsignal(signal.SIGTERM)
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        return await work
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
        if before is not None:  # None: it was installed by no Python code
            signal.signal(signal.SIGTERM, before)


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes the fastest loop that is installed; None: asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
