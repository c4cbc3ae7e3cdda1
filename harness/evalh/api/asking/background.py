"""One event loop for all asks of a process, on a thread of its own.

All asks share the windows, rates, breakers and budgets of the models, which live on one loop: threads, several loops
of the program and code without a loop are one service. A forked child starts again: the parent's loop is not its own.
"""

import asyncio
import atexit
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

from evalh.api.event_loop import loop_factory
from evalh.core.errors import UsageError

T = TypeVar("T")

_CLOSE_WITHIN_S = 2.0


class Background:
    """The loop and its thread; started with the first ask."""

    def __init__(self) -> None:
        self.loop = (loop_factory() or asyncio.new_event_loop)()
        self._thread = threading.Thread(target=self._run, name="evalh-ask", daemon=True)
        self._closing: list[Callable[[], Coroutine[Any, Any, None]]] = []
        self._last: list[Callable[[], None]] = []
        self._ended = False
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        while not self._ended:
            with suppress(SystemExit, KeyboardInterrupt):  # of a plugin: it ends its own ask, and no other
                self.loop.run_forever()

    def submit(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Begin work; cancelling the future cancels it. Raises UsageError where the program is ending."""
        if self._ended:
            work.close()
            raise UsageError("the program is ending: nothing is asked any more")
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def refuse_own_thread(self) -> None:
        """Raise UsageError where waiting would wait for itself."""
        if threading.current_thread() is self._thread:
            what = "evalh.ask would wait for itself: it is called on the thread that asks"
            raise UsageError(what, hint="await evalh.ask_async(…); in a function of a pipeline: await ctx.ask(…)")

    def at_close(self, close: Callable[[], Coroutine[Any, Any, None]], last: Callable[[], None]) -> None:
        """Call `close` on the loop before it ends, and `last` on the thread that ends it."""
        self._closing.append(close)
        self._last.append(last)

    def close(self) -> None:
        """Cancel what is on its way, close what is open, and end. Takes two seconds at most."""
        with suppress(Exception):
            self.submit(self._end()).result(_CLOSE_WITHIN_S)
        for last in self._last:
            last()
        self._ended = True
        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(_CLOSE_WITHIN_S)

    async def _end(self) -> None:
        own = asyncio.current_task()
        tasks = [task for task in asyncio.all_tasks() if task is not own]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for close in self._closing:
            await close()


_lock = threading.Lock()
_current: Background | None = None
_left_behind: list[Background | None] = []
"""The loops of parent processes. They are kept: letting one go would take its sockets out of the parent's poll."""


def background() -> Background:
    """Return the process's loop, started now if there is none."""
    global _current  # noqa: PLW0603 (one a process is what it is)
    found = _current
    if found is not None:
        return found
    with _lock:
        if _current is None:
            _current = Background()
            atexit.register(_current.close)
        return _current


def _start_again() -> None:
    global _current, _lock
    if _current is not None:
        atexit.unregister(_current.close)
    _left_behind.append(_current)
    _current, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_again)
