"""Running: from what a user asked for to stored results."""

import asyncio
import gc
import os
import secrets
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from evalh.analysis.summary import Fold
from evalh.api.clock import SystemClock
from evalh.api.judges import judge_warnings
from evalh.api.options import RunOptions
from evalh.api.parts import Parts
from evalh.api.targets import budget_for, routes_of
from evalh.core.attempt import Answer, CallKey
from evalh.core.errors import UsageError
from evalh.core.money import Price
from evalh.core.ports import Prices, Progress
from evalh.core.route import BudgetPolicy
from evalh.core.run import Forecast, RunRecord, RunResult, RunStatus
from evalh.core.version import __version__
from evalh.engine.forecast import check_inputs, forecast
from evalh.engine.plan import Plan
from evalh.engine.runner import Runner
from evalh.routing.build import Builder
from evalh.routing.pace import until_writable
from evalh.routing.run_context import Halt
from evalh.routing.target import Target

if TYPE_CHECKING:
    from evalh.store import SqliteStore

T = TypeVar("T")

DEFAULT_CONCURRENCY = 32


def _nobody(_plan: Plan) -> Sequence[Target]:
    return ()


def _nothing(_plan: Plan) -> Iterable[str]:
    return ()


class NoProgress:
    """`core.ports.Progress` for scripts: says nothing."""

    def start(self, label: str, total: int) -> None:
        """Say nothing."""

    def advance(self, sample: object) -> None:
        """Say nothing."""

    def note(self, text: str) -> None:
        """Say nothing."""

    def window(self, model: str, size: int, ceiling: int, because: str) -> None:
        """Say nothing."""

    def waiting(self, seconds: float, because: str) -> None:
        """Say nothing."""

    def paused(self, because: str | None) -> None:
        """Say nothing."""

    def stop(self) -> None:
        """Say nothing."""


def execute(
    parts: Parts, plans: Sequence[Plan], options: RunOptions, progress: Progress | None = None
) -> list[RunResult]:
    """Carry out plans, one after the other. Raises EvalhError."""
    for plan in plans:
        check_inputs(plan)
    progress = progress or NoProgress()
    with parts.writing(progress) as store:
        return Execution(
            store=store,
            prices=parts.prices,
            progress=progress,
            options=options,
            provenance=parts.provenance,
            asked=lambda plan: parts.targets.asked(plan.target, plan.asking),
            warnings=partial(judge_warnings, parts),
        ).run(plans)


def forecasts(parts: Parts, options: RunOptions) -> list[tuple[str, str, str, Forecast]]:
    """Say what a run would send and cost at most: (suite, prompt, model, forecast) for every pair."""
    plans = parts.plans(options)
    store = parts.open_store() if os.path.isdir(parts.store_folder) else None  # noqa: PTH112 (it raises nothing)
    try:
        return [
            (
                plan.suite.name,
                plan.version.label,
                plan.target.name,
                forecast(plan, store, parts.prices, fresh=options.fresh),
            )
            for plan in plans
        ]
    finally:
        if store is not None:
            store.close()


class Execution(Struct, kw_only=True):
    """Carries out plans on one store, one after the other."""

    store: "SqliteStore"
    prices: Prices
    progress: Progress
    options: RunOptions
    provenance: Callable[[], tuple[str | None, bool | None]]
    asked: Callable[[Plan], Sequence[Target]] = _nobody  # what graders and checks ask
    warnings: Callable[[Plan], Iterable[str]] = _nothing  # of a plan's judges

    def run(self, plans: Sequence[Plan]) -> list[RunResult]:
        """Run every plan. An interrupted run ends the list; one that stopped does not: the next may ask elsewhere."""
        results: list[RunResult] = []
        for plan in plans:
            self._budget(plan)
        for warning in dict.fromkeys(text for plan in plans for text in self.warnings(plan)):
            self.progress.note(f"warning: {warning}")
        for plan in plans:
            result = in_loop(self._run_one(plan))
            results.append(result)
            if result.status is RunStatus.INTERRUPTED:
                break
        return results

    async def _run_one(self, plan: Plan) -> RunResult:
        clock = SystemClock()
        targets = (plan.target, *self.asked(plan))
        providers = list(dict.fromkeys(leaf.provider for target in targets for leaf in target.leaves.values()))
        try:
            for provider in providers:
                await provider.open()
            return await self._evaluate(plan, clock)
        finally:
            for provider in providers:
                await provider.close()

    def _budget(self, plan: Plan) -> BudgetPolicy:
        usd = self.options.budget_usd
        stated = None if usd is None else replace(plan.target.route.budget, usd_per_run=usd)
        return budget_for(plan.target, self.prices, stated, self.asked(plan))

    def builder(self, plan: Plan, clock: SystemClock, halt: Halt) -> Builder:
        """Return what builds the provider that a plan's run asks."""
        return Builder(
            target=plan.target,
            log=self.store,
            clock=clock,
            prices=self.prices,
            halt=halt,
            progress=self.progress,
            concurrency=self.options.concurrency or DEFAULT_CONCURRENCY,
            build_checks=plan.build_checks,
            find=None if self.options.fresh else self.store.find,
            find_routed=None if self.options.fresh else self._find_routed,
            budget=self._budget(plan),
            resolve=plan.resolve,
            also=routes_of(self.asked(plan)),
        )

    def _find_routed(self, request_digest: str, key: CallKey) -> Answer | None:
        return self.store.find_all([(request_digest, key)], routed=True)[0]

    async def _evaluate(self, plan: Plan, clock: SystemClock) -> RunResult:
        halt = Halt(clock)
        builder = self.builder(plan, clock, halt)
        record = self.record(plan, clock.now())
        self.store.start_run(record)
        fold = self.fold(plan)
        runner = Runner(
            plan=plan,
            record=record,
            provider=builder.build(),
            inquiry=builder.inquiry,
            numbers=builder.numbers,
            store=self.store,
            fold=fold,
            progress=self.progress,
            halt=halt,
            concurrency=self.options.concurrency or DEFAULT_CONCURRENCY,
            fresh=self.options.fresh,
        )
        self.progress.start(f"{record.prompt} on {record.model}", record.planned)
        status, reason = RunStatus.INTERRUPTED, None
        deadline = asyncio.ensure_future(_deadline(self._budget(plan).deadline_s, halt, clock))
        try:
            with _rare_collections():
                status, reason = await runner.run()
                # A log that began to refuse only now is not known to be blocked yet.
                await asyncio.to_thread(self.store.flush, or_blocked=True)
                await until_writable(self.store, clock.sleep, self.progress)
        except asyncio.CancelledError:
            status, reason = RunStatus.INTERRUPTED, "interrupted"
        finally:
            deadline.cancel()
            self.progress.stop()
            summary = fold.summary()
            self.store.finish_run(record.id, status, summary, reason)
        return RunResult(
            record=record,
            status=status,
            summary=summary,
            failures=() if self.store.blocked() else self.store.failures(record.id, 3),
            stopped_because=reason,
        )

    def fold(self, plan: Plan) -> Fold:
        """Return what adds a plan's samples up."""
        prices = [self.prices.find(leaf.provider) for leaf in plan.target.leaves.values()]
        by_the_hour = any(isinstance(price, Price) and price.per_hour is not None for price in prices)
        specs = [grader.spec for grader in plan.graders]
        return Fold(specs, plan.trials, plan.suite.value, plan.cases.clusters, by_the_hour=by_the_hour)

    def record(self, plan: Plan, now: float) -> RunRecord:
        """State what identifies a run that begins at `now`."""
        commit, dirty = self.provenance()
        return RunRecord(
            id=new_run_id(now),
            suite=plan.suite.name,
            prompt=plan.version.label,
            model=plan.target.name,
            model_sent=plan.target.first.provider.model,
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
            evalh_version=__version__,
            selection=self.options.selection.document() | ({"draw": plan.draw} if plan.draw else {}),
            max_ungraded=plan.suite.max_ungraded,
            graders_document=[{"name": grader.name, **grader.document()} for grader in plan.graders],
        )


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Look for cycles of garbage seldom: what a call leaves behind holds none, and looking costs 2 % of a run."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


async def _deadline(seconds: float | None, halt: Halt, clock: SystemClock) -> None:
    if seconds is not None:
        halt.until = clock.monotonic() + seconds
        await asyncio.sleep(seconds)
        halt.now(f"the deadline of {seconds:g} s has passed")


_GIVEN: deque[str] = deque(maxlen=1000)  # fewer than there are ids of one instant


def new_run_id(now: float) -> str:
    """Return an id that sorts by time and is unique over all stores: `r20261124-014246-3f9c2e`.

    The last six digits are the second's fraction, in 4096ths, and chance: runs of one second sort too.
    """
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now))
    while (chosen := f"r{stamp}-{int(now % 1 * 4096):03x}{secrets.token_hex(2)[:3]}") in _GIVEN:
        pass  # a gate's runs begin at one instant, and chance alone would give two of them one id
    _GIVEN.append(chosen)
    return chosen


def in_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run on a fresh event loop; SIGTERM ends the work as Ctrl-C does: cancelled, saved.

    Raises KeyboardInterrupt where the work did not end its cancelling itself, UsageError inside a running loop.
    """
    with suppress(RuntimeError):
        asyncio.get_running_loop()
        work.close()
        hint = "await asyncio.to_thread(workspace.run, …)"
        raise UsageError("a run cannot start inside a running event loop", hint=hint)
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(_ended_by_sigterm(work))
    except asyncio.CancelledError:  # by SIGTERM, or by SIGTERM and Ctrl-C: the runner knows Ctrl-C alone
        raise KeyboardInterrupt from None


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
