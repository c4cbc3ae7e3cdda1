"""Asking a pairwise judge about many pairs: every judgement is a call of the log, and never bought twice."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from evalh.api.clock import SystemClock
from evalh.api.judges import resolve, routes_of
from evalh.api.runs import new_run_id
from evalh.api.targets import budget_for, build_checks
from evalh.core.attempt import Answer, Call, CallKey, Completion, NotSent
from evalh.core.case import Case
from evalh.core.errors import EvalhError
from evalh.core.request import Request
from evalh.core.route import BudgetPolicy
from evalh.core.values import Value
from evalh.graders.prefer import Favoured, Prefer, Preference
from evalh.graders.quoting import one_line
from evalh.routing.build import Builder
from evalh.routing.halt import Halt

if TYPE_CHECKING:
    from evalh.api.workspace import Workspace
    from evalh.store import SqliteStore


class OutputPair(Value, kw_only=True):
    """Two outputs for one case."""

    case: Case
    base: Completion
    head: Completion
    trial: int = 0


class PreferOptions(Value, kw_only=True):
    """How pairs are judged. The calls are logged under an id of their own, as no run's."""

    run_id: str | None = None  # None: a new one; it is used once
    concurrency: int = 32
    fresh: bool = False
    budget: BudgetPolicy | None = None  # None: the judge's route's own


DEFAULT = PreferOptions()


async def preferences(
    workspace: "Workspace",
    store: "SqliteStore",
    prefer: Prefer,
    pairs: Sequence[OutputPair],
    options: PreferOptions = DEFAULT,
) -> list[Preference]:
    """Judge every pair in both orders, in the pairs' order. Raises EvalhError where nobody can be asked at all.

    What a spent budget or a judge that cannot be asked any more leaves out is unjudged.
    """
    target = resolve(workspace, prefer.model, prefer.form)
    budget = budget_for(target, workspace.prices, options.budget)
    clock = SystemClock()

    def find_routed(request_digest: str, key: CallKey) -> Answer | None:
        return store.find_all([(request_digest, key)], routed=True)[0]

    builder = Builder(
        target=target,
        log=store,
        clock=clock,
        prices=workspace.prices,
        halt=Halt(clock),
        concurrency=options.concurrency,
        build_checks=lambda specs: build_checks(specs, workspace.grader_environment),
        find=None if options.fresh else store.find,
        find_routed=None if options.fresh else find_routed,
        budget=budget,
        resolve=lambda name, form: resolve(workspace, name, form),
        also=routes_of([target]),
    )
    found: list[Preference | None] = [None] * len(pairs)
    run_id = options.run_id or new_run_id(clock.now())
    providers = [leaf.provider for leaf in target.leaves.values()]
    for provider in providers:
        await provider.open()
    try:
        work = iter(enumerate(pairs))
        async with asyncio.TaskGroup() as group:
            for _ in range(min(options.concurrency, len(pairs))):
                group.create_task(_worker(builder, prefer, work, found, run_id))
    finally:
        for provider in providers:
            await provider.close()
    return [one for one in found if one is not None]


async def _worker(
    builder: Builder,
    prefer: Prefer,
    work: Iterator[tuple[int, OutputPair]],
    found: list[Preference | None],
    run_id: str,
) -> None:
    settings = builder.target.settings()
    for position, outputs in work:
        # The call that the judgements are about: it is no request of its own, and never sent or stored.
        about = Call(
            id=f"{run_id}:prefer",
            run_id=run_id,
            key=CallKey(outputs.case.id, outputs.trial),
            request=Request((), settings),
            case=outputs.case,
        )
        asking = builder.inquiry.about(about)
        try:
            preference = await prefer.judge(outputs.case, outputs.base, outputs.head, asking)
        except (NotSent, EvalhError) as error:
            reason = one_line(f"the judge {prefer.model!r} was not asked: {error}")
            preference = Preference(favoured=Favoured.UNJUDGED, said=(None, None), reason=reason)
        found[position] = replace(preference, spent_usd=asking.spent_usd, cached_usd=asking.cached_usd)
