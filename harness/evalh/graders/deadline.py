"""Waiting for a user's code, but not for ever.

A thread cannot be stopped from outside. What can be done is to stop waiting: the verdict is then an error, the run
goes on, and the thread is left behind. Threads are daemons, so a hanging one does not keep the process alive, and
their number is bounded. Code in C that never lets go of the interpreter's lock stops everything all the same.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any

_THREADS = 8  # of one grader, hanging ones included; when all of them hang, it is not called again
_IDLE_S = 5.0  # after which a thread without work ends


class NoAnswerError(Exception):
    """The code did not come back in time, or has too often not come back."""


class _Job:
    __slots__ = ("abandoned", "answer", "begun", "ended", "loop", "work")

    def __init__(self, work: Callable[[], Any], loop: asyncio.AbstractEventLoop) -> None:
        self.work = work
        self.loop = loop
        self.answer: asyncio.Future[Any] = loop.create_future()
        self.begun: float | None = None  # None: waiting for a thread
        self.ended = False
        self.abandoned = False


class Deadline:
    """Runs one grader's code. Each call has `seconds` from the moment it begins; waiting for a thread is free."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._changed = threading.Condition()
        self._jobs: deque[_Job] = deque()
        self._threads = 0  # that still take work
        self._idle = 0
        self._hanging = 0

    async def call(self, work: Callable[[], Any]) -> Any:
        """Run `work` on a thread and return what it returns. Raises NoAnswerError, and what `work` raises."""
        loop = asyncio.get_running_loop()
        job = _Job(work, loop)
        with self._changed:
            if self._hanging >= _THREADS:
                raise NoAnswerError(self._too_often())
            self._jobs.append(job)
            if self._idle >= len(self._jobs):
                self._changed.notify()
            elif self._threads + self._hanging < _THREADS:
                self._add_thread()
        alarm = loop.call_later(self.seconds, self._ring, job)
        try:
            return await job.answer
        except asyncio.CancelledError:
            self._abandon(job)
            raise
        finally:
            alarm.cancel()

    async def wait(self, awaitable: Awaitable[Any]) -> Any:
        """Await and return the result. Raises NoAnswerError, and what the awaitable raises.

        A coroutine that refuses to be cancelled is left behind too.
        """
        task = asyncio.ensure_future(_contained(awaitable))
        try:
            await asyncio.wait((task,), timeout=self.seconds)
        finally:
            if not task.done():
                task.cancel()
                task.add_done_callback(_forget)
        if not task.done():
            raise NoAnswerError(f"no answer within {self.seconds:g} s")
        if task.cancelled():  # from inside: passed on, it would look like the end of the run
            raise RuntimeError("cancelled itself")
        return task.result()

    def _ring(self, job: _Job) -> None:
        """Give up on a job that has had its time; look again later at one that has not."""
        if job.answer.done() or job.ended:  # ended: its answer is on the way
            return
        left = self.seconds if job.begun is None else job.begun + self.seconds - monotonic()
        if left > 0:
            job.loop.call_later(left, self._ring, job)
        elif self._abandon(job):
            job.answer.set_exception(NoAnswerError(f"no answer within {self.seconds:g} s"))

    def _abandon(self, job: _Job) -> bool:
        """Leave a job behind; False: it has just ended. When every thread hangs, waiting jobs are refused."""
        with self._changed:
            if job.ended:
                return False
            if job.begun is None:
                self._jobs.remove(job)
                return True
            job.abandoned = True
            self._threads -= 1
            self._hanging += 1
            while self._hanging >= _THREADS and self._jobs:
                waiting = self._jobs.popleft()
                waiting.ended = True
                _settle(waiting, None, NoAnswerError(self._too_often()))
            return True

    def _too_often(self) -> str:
        return f"not called again: {self._hanging} calls gave no answer within {self.seconds:g} s and still hang"

    def _add_thread(self) -> None:
        threading.Thread(target=self._take_jobs, name="evalh-grader", daemon=True).start()
        self._threads += 1

    def _take_jobs(self) -> None:
        while (job := self._next_job()) is not None:
            result, error = None, None
            try:
                result = job.work()
            except BaseException as exc:  # noqa: BLE001 (SystemExit in a grader is the grader's failure, not ours)
                error = exc
            with self._changed:
                job.ended = True
                if job.abandoned:  # back after all: it takes work again
                    self._hanging -= 1
                    self._threads += 1
            _settle(job, result, error)

    def _next_job(self) -> _Job | None:
        with self._changed:
            self._idle += 1
            found = self._changed.wait_for(lambda: self._jobs, timeout=_IDLE_S)
            self._idle -= 1
            if not found:
                self._threads -= 1
                return None
            job = self._jobs.popleft()
            job.begun = monotonic()
            return job


async def _contained(awaitable: Awaitable[Any]) -> Any:
    try:
        return await awaitable
    except SystemExit as exc:  # asyncio would end the loop with it
        raise RuntimeError(f"SystemExit: {exc}") from None


def _settle(job: _Job, result: Any, error: BaseException | None) -> None:
    try:
        job.loop.call_soon_threadsafe(_deliver, job.answer, result, error)
    except RuntimeError:
        return  # the run is over and its loop closed: nobody waits


def _deliver(answer: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if answer.done():
        return  # the run was interrupted meanwhile
    if error is None:
        answer.set_result(result)
    elif isinstance(error, Exception) and not isinstance(error, StopIteration):
        answer.set_exception(error)
    else:  # futures refuse StopIteration, and SystemExit would end the loop
        answer.set_exception(RuntimeError(f"{type(error).__name__}: {error}"))


def _forget(task: asyncio.Future[Any]) -> None:
    if not task.cancelled():
        task.exception()  # asked for, so that asyncio does not report it
