"""Documents about the log: what an id names, calls, a query's rows, the bill."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from enum import Enum
from typing import Any

from msgspec import Struct, defstruct

from evalh.core.attempt import Latency
from evalh.core.case import ABSENT
from evalh.core.log import CallRow
from evalh.core.production import ProductionCall, Spent, WorkflowLine, WorkflowList
from evalh.core.run import RunResult
from evalh.core.strict_json import JsonValue
from evalh.core.totals import Spend, SpendBy, SpendPart
from evalh.core.values import Value
from evalh.report.documents.compare import compared_document
from evalh.report.documents.document import Document, document_of
from evalh.report.documents.gate import GateDocument
from evalh.report.documents.run import run_document
from evalh.report.terminal.compare import ComparisonView

ROW_DOCUMENTS: Mapping[str, type[Struct]] = {
    kind: defstruct(
        f"{kind.title()}Document",
        [(kind, Mapping[str, JsonValue])],
        bases=(Document,),
        tag=f"evalh.{kind}/1",
        kw_only=True,
    )
    for kind in ("unfinished", "case", "sample", "call", "workflow", "traced")
}
"""`evalh show --json` of a row of the log, which stands under its kind."""


class CallsDocument(Document, tag="evalh.calls/1", kw_only=True):
    """`evalh calls --json`."""

    calls: tuple[Mapping[str, JsonValue], ...]


class TracedCallsDocument(Document, tag="evalh.traced-calls/1", kw_only=True):
    """`evalh calls --production --json`."""

    calls: tuple[Mapping[str, JsonValue], ...]


class WorkflowsDocument(Document, tag="evalh.workflows/1", kw_only=True):
    """`evalh trace list --json`."""

    workflows: tuple[WorkflowLine, ...]
    counts: Mapping[str, int]


class ForgottenDocument(Document, tag="evalh.forgotten/1", kw_only=True):
    """`evalh trace forget --json`."""

    workflows: int


class SqlDocument(Document, tag="evalh.sql/1", kw_only=True):
    """`evalh sql --json`."""

    columns: tuple[str, ...]
    rows: tuple[tuple[JsonValue, ...], ...]
    more: bool


class CostLine(Value, kw_only=True):
    """One line of the bill; null where an attempt has no price."""

    group: str
    total_usd: float | None
    priced_usd: float
    by_purpose: Mapping[str, float | None]
    by_reason: Mapping[str, float | None]
    retries_usd: float | None
    estimated_usd: float
    saved_usd: float | None
    attempts: int
    unpriced: int
    from_log: int


class CostDocument(Document, tag="evalh.cost/1", kw_only=True):
    """`evalh cost --json`."""

    by: SpendBy
    since: str | None
    lines: tuple[CostLine, ...]
    production: tuple[Spent, ...]  # what was traced, which no line above counts


def cost_document(by: SpendBy, since: str | None, lines: Sequence[Spend], traced: Sequence[Spent]) -> CostDocument:
    return CostDocument(by=by, since=since, lines=tuple(map(_cost_line, lines)), production=tuple(traced))


def _cost_line(line: Spend) -> CostLine:
    by_purpose, by_reason = (
        {name: part.usd for name, part in sorted(parts.items())} for parts in (line.by_purpose, line.by_reason)
    )
    retries = line.by_reason.get("retry", SpendPart()).usd
    known = {"total_usd": line.total_usd, "by_purpose": by_purpose, "by_reason": by_reason, "retries_usd": retries}
    return document_of(CostLine, line, **known)


def entry_document(kind: str, entry: object) -> Struct:
    """Return the document of `evalh show --json`: of what an id names, and its kind."""
    match entry:
        case RunResult():
            return run_document([entry])
        case ComparisonView():
            return compared_document(entry.comparison, entry.id)
        case GateDocument():
            return entry
        case _:
            return ROW_DOCUMENTS[kind](**{kind: _plain(entry)})


def calls_document(calls: Sequence[CallRow]) -> CallsDocument:
    return CallsDocument(calls=tuple(map(_plain, calls)))


def traced_calls_document(calls: Sequence[ProductionCall]) -> TracedCallsDocument:
    return TracedCallsDocument(calls=tuple(map(_plain, calls)))


def workflows_document(found: WorkflowList) -> WorkflowsDocument:
    counts = {kind.value: count for kind, count in found.counts.items()}
    return WorkflowsDocument(workflows=found.lines, counts=counts)


_WHERE_THERE = frozenset({"steps", "story", "step_output", "review", "given", "asked", "source"})


def _plain(value: Any) -> JsonValue:
    if isinstance(value, Struct):
        named = ((name, getattr(value, name)) for name in value.__struct_fields__)
        return dict(entry for name, one in named for entry in _entries(name, one))
    match value:
        case Enum():
            plain: JsonValue = None if value is ABSENT else value.value
        case Decimal():
            plain = float(value)
        case Mapping():
            plain = {str(name): _plain(one) for name, one in value.items()}
        case list() | tuple():
            plain = [_plain(one) for one in value]
        case frozenset() | set():
            plain = sorted(value)
        case _:
            plain = value
    return plain


def _entries(name: str, value: Any) -> Iterator[tuple[str, JsonValue]]:
    if name in _WHERE_THERE and not value:
        return
    if isinstance(value, Latency):  # by the log's columns
        yield "latency_ms", value.total_ms
        yield "waited_ms", value.waited_ms
        yield "checks_ms", value.checks_ms
    else:
        yield name, _plain(value)
