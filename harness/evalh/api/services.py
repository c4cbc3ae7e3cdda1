"""`evalh import langfuse` and `phoenix`: what a service recorded, over its API or from its exports."""

import os
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import UTC, datetime
from time import time
from typing import TYPE_CHECKING, Protocol

from msgspec.structs import replace

from evalh.api.collecting import Arrived, arrived, collection_of_files
from evalh.api.event_loop import SystemClock
from evalh.api.imports import opened
from evalh.api.parts import Parts
from evalh.api.production import is_there, production, production_writer
from evalh.core.errors import UsageError
from evalh.core.values import Value
from evalh.interop.recorded_calls.lines import Mistake
from evalh.interop.services import langfuse, phoenix
from evalh.interop.services.exports import rows_of
from evalh.interop.services.judgements import Judgement
from evalh.interop.services.pages import Pages, Row
from evalh.interop.services.readings import ServiceReading, log_of
from evalh.interop.spans.collection import Collection
from evalh.interop.spans.received import Received
from evalh.providers.http.egress import Egress
from evalh.providers.http.httpx_transport import HttpxTransport, client_for
from evalh_trace.records import AnyRecord, Workflow

if TYPE_CHECKING:
    from evalh.store.production import ProductionWriter

_MOST_LOOKED_UP = 500  # traces of which only the end lies in the time asked for
_SHOWN = 20

_SERVICES = {"langfuse": langfuse.service, "phoenix": phoenix.service}

Watch = Callable[[int], None]
"""Sees how many rows have come so far."""


class ServiceOptions(Value, kw_only=True):
    """What is asked of a service: a time, or files that it exported."""

    files: tuple[str, ...] = ()
    since: str | None = None
    project: str = "default"  # of Phoenix
    votes: tuple[str, ...] = ()  # names of scores that are users' votes
    content: bool = False


class Fetched(Value, kw_only=True):
    """What came of a service."""

    arrived: Arrived
    rows: int
    left_out: dict[str, int]
    mistakes: tuple[Mistake, ...]  # the first of them
    bad_lines: int
    not_here: int  # judgements of workflows that are not here


class _Source(Protocol):
    """A service that is asked for a time."""

    def rows(self) -> AsyncIterator[list[Row]]:
        """Yield what began in the time."""

    async def whole(self, trace: str) -> list[Row]:
        """Return all spans of a trace."""

    def judgements(self) -> AsyncIterator[list[Row]]:
        """Yield what was said of them."""


async def import_service(parts: Parts, name: str, options: ServiceOptions, watch: Watch) -> Fetched:
    """Store what a service recorded. Raises UsageError, WorkspaceError, CannotMeasure; what came before is kept."""
    hint = f"evalh import {name} --since 24h, or evalh import {name} FILE…"
    if (options.since is None) == (not options.files):
        raise UsageError(
            "what to import? neither --since nor a file is named"
            if options.since is None
            else "--since and a file exclude each other",
            hint=hint,
        )
    known = phoenix.PhoenixRows()
    read = known.read if name == "phoenix" else langfuse.read
    service = None if options.since is None else _SERVICES[name](parts.env)
    with production_writer(parts) as writer:
        collection = _collection(parts, writer, name, content=options.content)
        fetching = _Fetching(parts, collection, ServiceReading(read=read), options, watch)
        try:
            if service is None:
                fetching.read_files(f"evalh import {name} FILE…")
            else:
                async with client_for(service.base, Egress.of(parts.env)) as client:
                    pages = Pages(service, HttpxTransport(client), SystemClock())
                    await fetching.ask(_source(parts, name, options, pages, known))
        finally:
            fetching.close()
    return fetching.fetched()


def _source(parts: Parts, name: str, options: ServiceOptions, pages: Pages, known: phoenix.PhoenixRows) -> _Source:
    assert options.since is not None
    until = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if name == "phoenix":
        return phoenix.Phoenix(pages, options.project, options.since, until, known)
    trace = parts.config.trace
    wanted = options.content or trace.content or bool(trace.redact)  # what is not kept is not asked for
    return langfuse.Langfuse(pages, options.since, until, content=wanted)


class _Fetching:
    """Takes rows, and keeps what they say."""

    def __init__(
        self, parts: Parts, collection: Collection, reading: ServiceReading, options: ServiceOptions, watch: Watch
    ) -> None:
        self._parts, self._collection, self._options, self._watch = parts, collection, options, watch
        self._reading = reading
        self._rows = self._bad_lines = self._not_here = 0
        self._mistakes: list[Mistake] = []

    async def ask(self, source: _Source) -> None:
        """Ask for a time's spans, for the beginnings of traces that are not in it, and for judgements."""
        async for page in source.rows():
            self._take(page)
        self._collection.add(self._reading.rest(), time())
        cut_off = self._reading.cut_off()
        for trace in cut_off[:_MOST_LOOKED_UP]:
            self._take(await source.whole(trace))
        self._reading.leave("beginnings of older traces", len(cut_off[_MOST_LOOKED_UP:]))
        async for page in source.judgements():
            self._take(page)

    def read_files(self, hint: str) -> None:
        """Read exports, in any order. Raises UsageError, WorkspaceError."""
        for path in self._options.files:
            with opened(path, hint) as (file, label, _):
                for row in rows_of(file, label):
                    if isinstance(row, Mistake):
                        self._bad_lines += 1
                        self._mistakes += [row] if len(self._mistakes) < _SHOWN else []
                    else:
                        self._take([row])

    def _take(self, rows: Iterable[Row]) -> None:
        rows = list(rows)
        self._rows += len(rows)
        self._collection.add(self._reading.take(rows), time())
        self._watch(self._rows)

    def close(self) -> None:
        """Write everything."""
        now = time()
        self._collection.add(self._reading.rest(), now)
        votes = frozenset(self._options.votes)
        every = self._reading.judgements.values()
        scores = [one for one in every if not one.is_vote(votes)]
        with_spans = [log_of(one) for one in scores if one.trace in self._reading.seen]
        self._collection.add(Received(logs=with_spans), now)
        self._collection.close(now)
        self._collection.judge([one.feedback(now) for one in every if one.is_vote(votes)])
        self._place([one for one in scores if one.trace not in self._reading.seen])

    def _place(self, judgements: Sequence[Judgement]) -> None:
        """Write scores of workflows that came before, each of its step, and count votes and scores of none."""
        named = {one.trace for one in self._reading.judgements.values()} - self._reading.seen
        reader = production(self._parts) if named and is_there(self._parts) else None

        def step_of(one: Judgement) -> str | None:
            step = f"{one.trace}.{one.span}"
            return step if one.span is not None and reader is not None and reader.holds_step(step) else None

        self._collection.judge([one.score(step_of(one)) for one in judgements])
        known = {trace for trace in named if reader is not None and reader.holds(trace)}
        self._not_here = sum(one.trace in named - known for one in self._reading.judgements.values())

    def fetched(self) -> Fetched:
        """Say what came."""
        return Fetched(
            arrived=arrived(self._parts, self._collection, content=self._options.content),
            rows=self._rows,
            left_out={what: count for what, count in self._reading.left_out.items() if count},
            mistakes=tuple(self._mistakes),
            bad_lines=self._bad_lines,
            not_here=self._not_here,
        )


def _collection(parts: Parts, writer: "ProductionWriter", door: str, *, content: bool) -> Collection:
    """Return what takes spans: its workflows come through the service's door."""
    collection = collection_of_files(parts, writer, content=content)
    collection.process = f"{door}-{os.getpid()}-{int(time())}"
    keep = collection.keep

    def through_the_door(record: AnyRecord) -> AnyRecord:
        kept = keep(record)
        return replace(kept, door=door) if isinstance(kept, Workflow) else kept

    collection.keep = through_the_door
    return collection
