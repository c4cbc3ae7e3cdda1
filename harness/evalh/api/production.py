"""Production as verbs meet it: its file brought up to date, priced, read."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from evalh.analysis.orchestration import Observation, observe
from evalh.api.parts import Parts
from evalh.core.attempt import Usage
from evalh.core.errors import NotFound, did_you_mean
from evalh.core.production import Spent, TracedItem, WorkflowDetail
from evalh.core.strict_json import JsonValue
from evalh.core.totals import Spend, SpendBy

if TYPE_CHECKING:
    from evalh.store.production import PriceOf, ProductionReader, ProductionWriter
    from evalh_trace.records import Attempt


STORE_VARIABLE = "EVALH_TRACE_STORE"


def folder_of(parts: Parts) -> Path:
    """Return the folder of `production.db`: what the environment or `[trace] store` names, or the log's."""
    # In the order of `evalh_trace.config.find_place`: programs write where this reads.
    said, store = parts.env.get(STORE_VARIABLE) or parts.env.get("EVALH_STORE"), parts.config.trace.store
    if said:
        return Path(said).absolute()
    return parts.store_folder if store is None else (parts.root / store).absolute()


@contextmanager
def production_writer(parts: Parts) -> Iterator["ProductionWriter"]:
    """Open `production.db` for writing. Raises StoreError, WorkspaceError."""
    from evalh.store.production import ProductionWriter

    with ProductionWriter(folder_of(parts), price_of(parts), keep_s=parts.config.trace.keep_s) as writer:
        yield writer


def production(parts: Parts) -> "ProductionReader":
    """Take over what programs wrote meanwhile, and open what there is. Raises NotFound if nothing was traced yet."""
    from evalh.api.fitting import fit
    from evalh.store.database import StoreError
    from evalh.store.production import ProductionReader

    refused: StoreError | None = None
    if parts.mends and is_there(parts):
        try:
            with production_writer(parts) as writer:
                writer.merge()
                if writer.without_fits():
                    fit(parts, writer)
        except StoreError as exc:  # a folder that is read-only is read as it is
            refused = exc
    try:
        return ProductionReader.open(folder_of(parts))
    except NotFound:
        if refused is not None:  # nothing was stored yet, and this is why
            raise refused from None
        raise


def forget(parts: Parts, whose: str, name: str) -> int:
    """Delete the workflows of a `user` or a `session`, and what graded copies of them say. Return how many there were.

    Raises StoreError, WorkspaceError, CannotMeasure.
    """
    from evalh.store.forgotten import forget_answers

    with production_writer(parts) as writer:
        if ids := writer.names_of(whose, name):
            forget_answers(parts.store_folder, ids)  # first: while the ids are known, it can be done again
        return writer.forget(whose, name)


def is_there(parts: Parts) -> bool:
    """Whether anything was traced."""
    from evalh.store.production.schema import FILE
    from evalh.store.production.writer import SPOOL

    folder = folder_of(parts)
    return os.path.isfile(folder / FILE) or os.path.isdir(folder / SPOOL)  # noqa: PTH112, PTH113 (they raise nothing)


def poisoned(parts: Parts) -> frozenset[str]:
    """Return the workflows that `evalh grade --production` found poisoned; none where nothing was graded."""
    try:
        return parts.log.poisoned_workflows()
    except NotFound:
        return frozenset()


def with_grades(parts: Parts, detail: WorkflowDetail) -> WorkflowDetail:
    """Add what `evalh grade --production` found of a workflow; nothing where it was not graded."""
    try:
        return replace(detail, grades=parts.log.workflow_grades(detail.workflow.id))
    except NotFound:
        return detail


def traced(parts: Parts, name: str) -> WorkflowDetail | TracedItem | None:
    """Find a workflow, step or call by its id; `last` is the newest workflow. None: there is none. Raises NotFound."""
    return production(parts).find(name) if is_there(parts) else None


_MOST_OBSERVED = 1000


def observed(parts: Parts, name: str) -> tuple[list[WorkflowDetail], tuple[Observation, ...]]:
    """Look at one workflow, or at the newest of that name, for what happens between calls. Raises NotFound."""
    reader = production(parts)
    found = reader.find(name)
    if isinstance(found, TracedItem):
        found = found.detail
    details = (
        [found]
        if found is not None
        else [reader.detail(one.id) for one in reader.workflows(name=name, limit=_MOST_OBSERVED)]
    )
    if not details:
        names = sorted({one.name for one in reader.workflows(limit=_MOST_OBSERVED)})
        raise NotFound(f"no workflow {name!r}", hint=did_you_mean(name, names))
    return details, observe(details)


def spending(parts: Parts, by: SpendBy, since: str) -> tuple[list[Spend], list[Spent]]:
    """Return the bill of runs and that of production. Raises NotFound if there is neither."""
    spent = production(parts).spending(since) if is_there(parts) else []
    try:
        return parts.log.spending(by, since), spent
    except NotFound:
        if not spent:
            raise
        return [], spent


def price_of(parts: Parts) -> "PriceOf":
    """Return what prices attempts: the workspace's own price of a model with that name, or the bundled table's.

    An attempt that went to an address of the user's own has the table's price in no case.
    """
    from evalh.providers.prices import listed_cost
    from evalh.providers.registry import kinds, traits_of

    own = {(spec.provider, spec.model): spec.price for spec in parts.config.models.values() if spec.price is not None}

    def price(attempt: "Attempt", settings: JsonValue) -> float | None:
        if attempt.provider is None or attempt.model is None:
            return None
        usage = Usage(
            input_tokens=attempt.input_tokens,
            output_tokens=attempt.output_tokens,
            cached_tokens=attempt.cached_tokens,
            reasoning_tokens=attempt.reasoning_tokens,
        )
        mine = own.get((attempt.provider, attempt.model))
        seconds = None if attempt.latency_ms is None else attempt.latency_ms / 1000.0
        if mine is not None:
            cost = mine.cost(usage, seconds)
        elif (settings or {}).get("sent_to") or attempt.provider not in kinds():
            cost = None
        else:
            table = traits_of(attempt.provider).price_table
            at = datetime.fromtimestamp(attempt.started_at, UTC) if attempt.started_at else None
            cost = None if table is None else listed_cost(table, attempt.model, at, usage)
        return None if cost is None else float(cost)

    return price
