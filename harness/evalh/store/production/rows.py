"""Records as rows, and rows as records: a table for each kind, a column for each field."""

import sqlite3
from collections.abc import Callable
from math import isfinite
from operator import attrgetter
from typing import Any, TypeVar

from evalh.store.columns import Instants, json_text, read_instant, read_json, restored, stored
from evalh_trace.records import AnyRecord, Attempt, Call, Feedback, Loss, Record, Score, Step, Workflow
from evalh_trace.values import MOST_DEPTH, bounded

R = TypeVar("R", bound=Record)

TABLES: dict[type[Record], str] = {
    Workflow: "workflows",
    Step: "workflow_steps",
    Call: "calls",
    Attempt: "attempts",
    Feedback: "feedback",
    Score: "scores",
    Loss: "losses",
}
_TIMES = frozenset({"started_at", "ended_at", "at"})
_JSON = frozenset({"inputs", "output", "tags", "attributes", "settings", "messages", "tool_calls"})
_COUNTS = frozenset(
    {"input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "attempts", "number", "count", "position"}
)
_AMOUNTS = frozenset({"latency_ms", "ttft_ms", "retry_after_s", "cost_usd"})
_PLAIN = frozenset({"http_status", "good"})  # numbers as they are
_MOST = 10**15  # of a count or an amount: what is larger nobody counted, and sums of it would overflow
_LEAST_PROBABILITY = 2.0**-52  # a workflow is kept by 52 random bits
_ANY_SIZE = 2**62
_FIRST_INSTANT, _LAST_INSTANT = 0.0, 253_402_300_799.0  # 1970 to 9999: what ISO 8601 writes in four digits


def _upsert(kind: type[Record], table: str) -> str:
    """Build the statement: what comes later replaces what is there, but nothing known becomes unknown."""
    fields = kind.__struct_fields__
    kept = ", ".join(f"{name} = coalesce(excluded.{name}, {name})" for name in fields if name != "id")
    slots = ", ".join("?" for _ in fields)
    return f"insert into {table} ({', '.join(fields)}) values ({slots}) on conflict (id) do update set {kept}"  # noqa: S608 (names of our own)


UPSERTS = {kind: _upsert(kind, table) for kind, table in TABLES.items()}
_INSTANTS = Instants()


def row_of(record: AnyRecord) -> list[Any]:
    """Return a record's columns."""
    read, writers = _FIELDS[type(record)]
    columns = list(read(record))
    for place, write in writers:
        if (value := columns[place]) is not None:
            columns[place] = write(value)
    if isinstance(record, Workflow) and record.kept is None:  # the probability is decided at its end
        columns[_PROBABILITY] = None
    return columns


def _instant(seconds: float) -> str:
    return _INSTANTS.text(min(max(float(seconds), _FIRST_INSTANT), _LAST_INSTANT))


def _json(value: Any) -> str | None:
    if value in ((), {}):
        return None
    value = list(value) if isinstance(value, tuple) else value
    try:
        text = json_text(value)
        deep = text.count("[") + text.count("{") > MOST_DEPTH  # it may be
    except RecursionError:
        deep = True
    return json_text(bounded(value, _ANY_SIZE)) if deep else text


def _count(number: int) -> int | None:
    return number if 0 <= number <= _MOST else None


def _amount(number: float) -> float | None:
    return number if 0 <= number <= _MOST else None


def _probability(number: float) -> float | None:
    return number if _LEAST_PROBABILITY <= number <= 1 else None


def _score(number: float) -> float | None:
    return number if isfinite(number) else None


_WRITERS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(_TIMES, _instant),
    **dict.fromkeys(_JSON, _json),
    **dict.fromkeys(_COUNTS, _count),
    **dict.fromkeys(_AMOUNTS, _amount),
    "probability": _probability,
    "score": _score,
}


def _writer_of(name: str) -> Callable[[Any], Any] | None:
    return None if name in _PLAIN else _WRITERS.get(name, stored)


_FIELDS = {
    kind: (
        attrgetter(*kind.__struct_fields__),
        [(place, write) for place, name in enumerate(kind.__struct_fields__) if (write := _writer_of(name))],
    )
    for kind in TABLES
}
_PROBABILITY = Workflow.__struct_fields__.index("probability")


def record_of(kind: type[R], row: sqlite3.Row) -> R:
    """Return the record of a row. Raises what an unreadable column raises."""
    fields = {name: _field(name, row[name]) for name in kind.__struct_fields__ if row[name] is not None}
    if "tags" in fields:
        fields["tags"] = tuple(fields["tags"])
    if "good" in fields:
        fields["good"] = bool(fields["good"])
    return kind(**fields)


def _field(name: str, column: Any) -> Any:
    if name in _TIMES:
        return read_instant(column)
    if name in _JSON:
        return read_json(column)
    return restored(column) if isinstance(column, str) else column
