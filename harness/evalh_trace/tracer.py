"""The way from the program to the tracer's thread: a queue that is bounded by bytes and by count, and never waited for.

What does not fit is counted. A forked child gets a queue, a thread and a file of its own.
"""

import atexit
import os
import sys
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from evalh_trace.importing import imported


class Recording(Protocol):
    """What the thread hands events to: a `Recorder`, which is imported when the first event comes."""

    def take(self, kind: str, event: Any) -> None:
        """Take an event."""

    def tick(self, *, tell: bool = False) -> None:
        """Write what is there; at once also what was lost, if asked to `tell`."""

    def end(self) -> None:
        """Write what is left, as the process ends."""

    def was_written(self) -> bool:
        """Whether all that came since the last time could be written."""

    def abandon(self) -> None:
        """Let go of a parent's file, in its child."""


MOST_EVENTS = 100_000
MOST_BYTES = 64 * 1024 * 1024
AT_EXIT_S = 2.0
_GATHER_S = 0.02  # events are taken together: a wake-up for each would take the interpreter from the program
_TAKEN = 512  # events in one write
_IDLE_S = 5.0


class Tracer:
    """One for each process."""

    def __init__(self) -> None:
        self.options: dict[str, Any] = {}  # what the program configured
        self.inherited: dict[str, Any] = {}  # what a parent process had configured
        self.generation = 0  # counts forks: what a parent began is the parent's to end
        self._reset()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._after_fork)

    def _reset(self) -> None:
        self._queue: SimpleQueue[tuple[str, Any, int]] = SimpleQueue()
        self._lock = threading.RLock()  # a signal handler may trace, too
        self._waiting = 0
        self._held = 0
        self._dropped: dict[str, int] = {}
        self._thread: threading.Thread | None = None
        self._hurry = threading.Event()
        self.recorder: Recording | None = None
        self.content_off = False  # known to be off: values need not be encoded

    def new_id(self) -> str:
        """Return an id that sorts by time."""
        return f"{int(time.time() * 1000):012x}{os.urandom(10).hex()}"

    def put(self, kind: str, event: Any, size: int = 0, *, counted: bool = True) -> None:
        """Hand an event to the tracer's thread. One that does not fit is dropped, and counted if nothing repeats it."""
        with self._lock:
            if self._waiting >= MOST_EVENTS or self._held + size > MOST_BYTES:
                if counted:
                    self._dropped["full"] = self._dropped.get("full", 0) + 1
                return
            self._waiting += 1
            self._held += size
        self._queue.put((kind, event, size))
        if self._thread is None:
            self._start()

    def lose(self, why: str, count: int = 1) -> None:
        """Count what is not recorded."""
        with self._lock:
            if len(self._dropped) < 100:  # noqa: PLR2004 (reasons; programs cannot make more than we name)
                self._dropped[why] = self._dropped.get(why, 0) + count

    def taken_losses(self) -> dict[str, int]:
        """Return what was lost since the last time."""
        if not self._dropped:
            return {}
        with self._lock:
            lost, self._dropped = self._dropped, {}
        return lost

    def flush(self, timeout_s: float) -> bool:
        """Wait until what was handed over so far is written. False: it is not, for want of time or of a disk."""
        if self._thread is None:
            return not self._dropped
        done = _Flush()
        self._queue.put(("flush", done, 0))
        self._hurry.set()
        return done.event.wait(timeout_s) and done.clean

    def _start(self) -> None:
        with self._lock:
            if self._thread is not None:
                return
            thread = threading.Thread(target=self._run, name="evalh-trace", daemon=True)
            self._thread = thread
        try:
            thread.start()
        except RuntimeError:  # the interpreter is going away
            self._thread = None
            return
        atexit.register(self._at_exit)
        if (util := sys.modules.get("multiprocessing.util")) is not None:
            util.Finalize(None, self._at_exit, exitpriority=0)  # its children do not run atexit's functions

    def _at_exit(self) -> None:
        if self._queue_is_ours():
            self._hurry.set()
            done = _Flush(last=True)
            self._queue.put(("flush", done, 0))
            done.event.wait(AT_EXIT_S)

    def _queue_is_ours(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _after_fork(self) -> None:
        recorder = self.recorder
        self.generation += 1
        self.inherited = self.options
        self._reset()
        if recorder is not None:
            recorder.abandon()

    def _run(self) -> None:
        try:
            recorder: Recording = imported("evalh_trace.recorder").Recorder(self)
            self.recorder = recorder
        except Exception:  # noqa: BLE001 (a bug of ours must not reach the program)
            self.lose("bug")
            self._refuse()
            return
        while True:
            self._guarded(lambda: self._turn(recorder))

    def _turn(self, recorder: Recording) -> None:
        """Take what is there, and write it."""
        flushes: list[_Flush] = []
        size = 0
        try:
            kind, event, taken = self._queue.get(timeout=_IDLE_S)
            self._hurry.wait(_GATHER_S)
            self._hurry.clear()
            for number in range(_TAKEN):
                size += taken
                if kind == "flush":
                    flushes.append(event)
                else:
                    self._one(recorder, kind, event, taken)
                if number < _TAKEN - 1 and size < MOST_BYTES // 16:
                    kind, event, taken = self._queue.get_nowait()
                else:
                    self._hurry.set()  # there may be more
                    break
        except Empty:
            pass
        self._guarded(lambda: recorder.tick(tell=bool(flushes)))
        clean = recorder.was_written() if flushes else True
        for flush in flushes:
            if flush.last:
                self._guarded(recorder.end)
            flush.clean = clean
            flush.event.set()

    def _one(self, recorder: Recording, kind: str, event: Any, size: int) -> None:
        self._guarded(lambda: recorder.take(kind, event))
        with self._lock:
            self._waiting -= 1
            self._held -= size

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception:  # noqa: BLE001 (a bug of ours must not reach the program; it is counted)
            self.lose("bug")

    def _refuse(self) -> None:
        """Take nothing any more: there is no thread that would read it."""
        while True:
            kind, event, _ = self._queue.get()
            if kind == "flush":
                event.event.set()
            else:
                with self._lock:
                    self._waiting -= 1


class _Flush:
    """A request to write what is there."""

    def __init__(self, *, last: bool = False) -> None:
        self.event = threading.Event()
        self.clean = False
        self.last = last


TRACER = Tracer()
