"""Running: from what a user asked for to stored results."""

import asyncio
import os
import secrets
import signal
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from evalh.analysis.summary import Fold
from evalh.api.clock import SystemClock
from evalh.core.errors import UsageError
from evalh.core.ports import Prices, Progress
from evalh.core.run import RunRecord, RunResult, RunStatus
from evalh.engine.plan import Plan
from evalh.engine.runner import Runner
from evalh.engine.selection import Selection
from evalh.routing.logged import Logged

if TYPE_CHECKING:
    from evalh.store import SqliteStore

T = TypeVar("T")

DEFAULT_CONCURRENCY = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What a user asks of `evalh run`."""

    target: str | None = None  # a suite, or a prompt version: every suite of that prompt; None: the default suite
    prompts: tuple[str, ...] = ()  # references; none: the target's version, else draft or live
    models: tuple[str, ...] = ()  # workspace names; none: the suite's
    trials: int | None = None  # None: the suite's
    selection: Selection = field(default_factory=Selection)
    concurrency: int | None = None
    fresh: bool = False


class Silence:
    """`core.ports.Progress` for scripts: says nothing."""

    def start(self, label: str, total: int) -> None:
        """Say nothing."""

    def advance(self, sample: object) -> None:
        """Say nothing."""

    def note(self, text: str) -> None:
        """Say nothing."""

    def stop(self) -> None:
        """Say nothing."""


@dataclass(slots=True, kw_only=True)
class Execution:
    """Carries out plans on one store, one after the other."""

    store: "SqliteStore"
    prices: Prices
    progress: Progress
    options: RunOptions
    provenance: Callable[[], tuple[str | None, bool | None]]
    version: str

    def run(self, plans: Sequence[Plan]) -> list[RunResult]:
        """Run every plan. A run that stops or is interrupted ends the list: what is left was not begun."""
        results: list[RunResult] = []
        for plan in plans:
            result = _in_loop(self._run_one(plan))
            results.append(result)
            if result.status is RunStatus.INTERRUPTED:
                break
        return results

    async def _run_one(self, plan: Plan) -> RunResult:
        clock = SystemClock()
        await plan.provider.open()
        try:
            return await self._evaluate(plan, clock)
        finally:
            await plan.provider.close()

    async def _evaluate(self, plan: Plan, clock: SystemClock) -> RunResult:
        record = self._record(plan, clock)
        self.store.start_run(record)
        fold = Fold([grader.spec for grader in plan.graders], len(plan.cases), plan.trials)
        runner = Runner(
            plan=plan,
            record=record,
            provider=Logged(plan.provider, self.store, clock, self.prices.find(plan.provider)),
            store=self.store,
            fold=fold,
            progress=self.progress,
            concurrency=self.options.concurrency or DEFAULT_CONCURRENCY,
            fresh=self.options.fresh,
        )
        self.progress.start(f"{record.prompt} on {record.model}", record.planned)
        status, reason = RunStatus.INTERRUPTED, None
        try:
            status, reason = await runner.run()
        except asyncio.CancelledError:
            reason = "interrupted"
        finally:
            self.progress.stop()
            summary = fold.summary()
            self.store.finish_run(record.id, status, summary, reason)
        return RunResult(
            record=record,
            status=status,
            summary=summary,
            failures=self.store.failures(record.id, 3),
            stopped_because=reason,
        )

    def _record(self, plan: Plan, clock: SystemClock) -> RunRecord:
        now = clock.now()
        commit, dirty = self.provenance()
        return RunRecord(
            id=new_run_id(now),
            suite=plan.suite.name,
            prompt=plan.version.label,
            model=plan.provider.name,
            model_sent=plan.provider.model,
            fingerprint=plan.fingerprint(),
            trials=plan.trials,
            planned=plan.planned,
            started_at=now,
            owner=plan.suite.owner,
            prompt_digest=plan.version.digest,
            prompt_document=plan.version.content_document(),
            settings_document=plan.step.settings.document(),
            commit=commit,
            dirty=dirty,
            evalh_version=self.version,
            selection=self.options.selection.document(),
            max_ungraded=plan.suite.max_ungraded,
        )


def new_run_id(now: float) -> str:
    """Return an id that sorts by time and is unique over all stores: `r20261124-014246-3f9c2e`.

    The last six digits are the second's fraction, in 4096ths, and chance: runs of one second sort too.
    """
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now))
    return f"r{stamp}-{int(now % 1 * 4096):03x}{secrets.token_hex(2)[:3]}"


def _in_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run on a fresh event loop; SIGTERM ends the work as Ctrl-C does: cancelled, saved.

    Raises UsageError inside a running loop.
    """
    with suppress(RuntimeError):
        asyncio.get_running_loop()
        work.close()
        hint = "await asyncio.to_thread(workspace.run, …)"
        raise UsageError("a run cannot start inside a running event loop", hint=hint)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_ended_by_sigterm(work))


async def _ended_by_sigterm(work: Coroutine[Any, Any, T]) -> T:
    # Not by raising SIGINT: a shell's background job ignores that, and must end all the same.
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


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
