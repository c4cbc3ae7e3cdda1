"""Records as rows, and rows as records: a table for each kind, a column for each field."""

import sqlite3
from typing import Any, TypeVar

from evalh.store.columns import Instants, json_text, read_instant, read_json, restored, stored, whole_number
from evalh_trace.records import AnyRecord, Attempt, Call, Feedback, Loss, Record, Score, Step, Workflow

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
_NUMBERS = frozenset(
    {"input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "attempts", "number", "count"}
)
_FIRST_INSTANT, _LAST_INSTANT = 0.0, 253_402_300_799.0  # 1970 to 9999: what ISO 8601 writes in four digits


def _upsert(kind: type[Record], table: str) -> str:
    """Build the statement: what comes later replaces what is there, but nothing known becomes unknown."""
    fields = kind.__struct_fields__
    kept = ", ".join(f"{name} = coalesce(excluded.{name}, {name})" for name in fields if name != "id")
    slots = ", ".join("?" for _ in fields)
    return f"insert into {table} ({', '.join(fields)}) values ({slots}) on conflict (id) do update set {kept}"  # noqa: S608 (names of our own)


UPSERTS = {kind: _upsert(kind, table) for kind, table in TABLES.items()}
_INSTANTS = Instants()


def row_of(record: AnyRecord) -> tuple[Any, ...]:
    """Return a record's columns."""
    unwritten = isinstance(record, Workflow) and record.kept is None  # the probability is decided at its end
    return tuple(
        None if unwritten and name == "probability" else _column(name, getattr(record, name))
        for name in record.__struct_fields__
    )


def _column(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in _TIMES:
        return _INSTANTS.text(min(max(float(value), _FIRST_INSTANT), _LAST_INSTANT))
    if name in _JSON:
        return json_text(list(value) if isinstance(value, tuple) else value) if value not in ((), {}) else None
    if name in _NUMBERS:
        return whole_number(value)
    return stored(value) if isinstance(value, str) else value


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
