"""Running: from what a user asked for to stored results."""

import asyncio
import gc
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from evalh.api.event_loop import SystemClock, in_loop
from evalh.api.judges import judge_warnings
from evalh.api.options import RunOptions
from evalh.api.parts import Parts
from evalh.core.ports import Progress
from evalh.core.run import Forecast, RunKind, RunResult, RunStatus
from evalh.core.sample import Sample
from evalh.engine.forecast import forecast
from evalh.engine.plan import AskOptions, Plan
from evalh.engine.session import Ends, Session, check_plans, together
from evalh.routing.pace import until_writable

if TYPE_CHECKING:
    from evalh.store import SqliteStore


def _nothing(*_given: object, **_named: object) -> None:
    pass


class NoProgress:
    """`core.ports.Progress` for scripts: says nothing."""

    start = advance = note = window = waiting = paused = stop = _nothing


def ends_of(
    parts: Parts,
    store: "SqliteStore",
    asking: AskOptions,
    progress: Progress,
    commit: tuple[str | None, bool | None] | None = None,
    kind: RunKind = RunKind.RUN,
) -> Ends:
    """Return what sessions of a workspace act on; `commit` instead of the one that is checked out."""
    from evalh.store.rows import case_row

    return Ends(
        store=store,
        clock=SystemClock(),
        prices=parts.prices,
        progress=progress,
        provenance=parts.provenance if commit is None else lambda: commit,
        row_digest=lambda case: case_row(case)[1],
        asking=asking,
        env=parts.env,
        kind=kind,
    )


def execute(
    parts: Parts,
    plans: Sequence[Plan],
    options: RunOptions,
    progress: Progress | None = None,
    kind: RunKind = RunKind.RUN,
) -> list[RunResult]:
    """Carry out plans, one after the other. Raises EvalhError.

    An interrupted run ends the list; one that stopped does not: the next may ask elsewhere.
    """
    progress = progress or NoProgress()
    results: list[RunResult] = []
    check_plans(plans, parts.prices, options)
    with parts.writing(progress) as store:
        ends = ends_of(parts, store, options, progress, kind=kind)
        for warning in dict.fromkeys(text for plan in plans for text in judge_warnings(parts, plan)):
            progress.note(f"warning: {warning}")
        for plan in plans:
            results.append(in_loop(_run(plan, ends, store)))
            if results[-1].status is RunStatus.INTERRUPTED:
                break
    return results


async def _run(plan: Plan, ends: Ends, store: "SqliteStore") -> RunResult:
    session = Session(plan, ends, keeps=False)
    with suppress(asyncio.CancelledError):
        async with together(session):
            with _rare_collections():
                await session.evaluate_all()
                # A log that has only just begun to refuse does not count as blocked yet.
                await asyncio.to_thread(store.flush, or_blocked=True)
                await until_writable(store, ends.clock.sleep, ends.progress)
    return RunResult(
        record=session.record,
        status=session.status,
        summary=session.summary,
        failures=() if store.blocked() else store.failures(session.record.id, 3),
        stopped_because=session.reason,
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


def forecasts(parts: Parts, plans: Sequence[Plan], *, fresh: bool) -> list[tuple[str, str, str, Forecast]]:
    """Say what plans would send and cost at most: (suite, prompt, model, forecast) for each."""
    store = parts.open_store() if os.path.isdir(parts.store_folder) else None  # noqa: PTH112 (it raises nothing)
    try:
        return [
            (
                plan.suite.name,
                plan.version.label,
                plan.target.name,
                _forecast(plan, store, parts, fresh=fresh),
            )
            for plan in plans
        ]
    finally:
        if store is not None:
            store.close()


def _forecast(plan: Plan, store: "SqliteStore | None", parts: Parts, *, fresh: bool) -> Forecast:
    if plan.pipeline is None:
        return forecast(plan, store, parts.prices, fresh=fresh)
    from evalh.engine.pipeline.forecast import forecast_pipeline

    return forecast_pipeline(plan, store, parts.prices, fresh=fresh)


def collected(parts: Parts, plan: Plan, asking: AskOptions, progress: Progress | None = None) -> list[Sample]:
    """Run a plan and return its samples in the dataset's order. Raises EvalhError, KeyboardInterrupt."""
    shown = progress or NoProgress()
    check_plans([plan], parts.prices, asking)
    with parts.writing(shown) as store:
        return in_loop(_collect(Session(plan, ends_of(parts, store, asking, shown, kind=RunKind.BASELINE))))


async def _collect(session: Session) -> list[Sample]:
    plan = session.plan
    async with together(session):
        await session.evaluate((place, case, range(plan.trials)) for place, case in enumerate(plan.cases))
    return sorted(session.samples.values(), key=lambda one: (one.case_index, one.trial))
