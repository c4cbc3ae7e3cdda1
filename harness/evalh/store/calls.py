"""Reading calls with their attempts."""

from collections.abc import Callable
from sqlite3 import Row
from typing import Any

from evalh.core.attempt import NOT_KNOWN, latency_of
from evalh.core.log import CallFilter, CallRow, DecisionRow, SampleRow
from evalh.core.money import from_stored
from evalh.core.strict_json import JsonValue
from evalh.store.columns import read_json, restored, restored_or_none, stored
from evalh.store.restore import attempt_from, decision_from

Ask = Callable[..., list[Row]]

# An attempt's id is <call>.<number> and a call's <run>:<number>: both are ranges of a primary key.
_OF_RUN = "id > :run || ':' and id < :run || ';'"
_NEWEST_RUN_FIRST = "order by substr(id, 1, instr(id, ':')) desc, length(id), id limit :limit"
_SELECTIONS = {
    CallFilter.ALL: "select id from calls where {scope} {order}",
    CallFilter.RETRIED: "select id from calls where attempts > 1 and {scope} {order}",
    CallFilter.ERRORS: "select id from (select call_id as id from attempts where status in ('error', 'interrupted')"
    " and {scope} union select id from calls where answered_by is null and {scope}) {order}",
    CallFilter.ESCALATED: "select distinct call_id as id from decisions where kind = 'escalate' and {scope} {order}",
    CallFilter.SLOW: "select call_id as id from attempts where latency_ms is not null and {scope} group by call_id"
    " order by sum(latency_ms) desc limit :limit",
}
_OF_SAMPLE = f"select id from calls where {_OF_RUN} and case_id = :case and trial = :trial order by length(id), id"  # noqa: S608 (ours)


class CallReader:
    """Calls, whole. `ask` executes a query and returns its rows."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def find(self, which: CallFilter, run_id: str | None, limit: int) -> list[CallRow]:
        """Return the calls that the filter takes."""
        scope = "true" if run_id is None else _OF_RUN
        sql = _SELECTIONS[which].format(scope=scope, order=_NEWEST_RUN_FIRST)
        found = (self.one(row["id"]) for row in self._ask(sql, {"run": run_id, "limit": limit}))
        return [call for call in found if call is not None]

    def of_sample(self, sample: SampleRow) -> tuple[CallRow, ...]:
        """Return the calls that were made for a sample."""
        rows = self._ask(
            _OF_SAMPLE,
            {"run": sample.run_id, "case": stored(sample.case_id), "trial": sample.trial},
        )
        found = (self.one(row["id"]) for row in rows)
        return tuple(call for call in found if call is not None)

    def one(self, name: str) -> CallRow | None:
        """Return the call of that id, or of the attempt of that id."""
        row = self._first("select * from calls where id = ?", name)
        if row is not None:
            return self._call(row)
        attempt = self._first("select * from attempts where id = ?", name)
        if attempt is not None and attempt["call_id"] != name:
            return self.one(attempt["call_id"])
        attempts = self._attempts(name)
        return self._unanswered(attempts[0], attempts) if attempts else None

    def _first(self, sql: str, *values: Any) -> Row | None:
        rows = self._ask(sql, *values)
        return rows[0] if rows else None

    def _attempts(self, call_id: str) -> list[Row]:
        return self._ask("select * from attempts where id > ? and id < ? order by number", f"{call_id}.", f"{call_id}/")

    def _call(self, row: Row) -> CallRow:
        attempts = self._attempts(row["id"])
        answer = None
        if row["answered_by"] is not None:
            answer = self._first("select * from attempts where id = ?", row["answered_by"])
        messages = row["messages"]
        if messages is None and answer is not None:
            asked = self._first("select messages from calls where id = ?", answer["call_id"])
            messages = asked and asked["messages"]
        return CallRow(
            **_identity(row),
            id=row["id"],
            cache_hit=bool(row["cache_hit"]),
            answered_by=row["answered_by"],
            cost_usd=from_stored(row["cost_usd"]),
            cached_cost_usd=from_stored(row["cached_cost_usd"]),
            latency=latency_of(row["latency_ms"], row["waited_ms"], row["checks_ms"]),
            route=restored_or_none(row["route"]),
            reasons=tuple(read_json(row["reasons"])),
            settings=read_json(row["settings"]) or self._settings_of_run(row["run_id"]),
            messages=read_json(restored_or_none(messages)),
            attempts=tuple(attempt_from(attempt) for attempt in attempts),
            decisions=self._decisions(row["id"]),
            answer=None if answer is None else attempt_from(answer),
            origin=self.one(answer["call_id"]) if row["cache_hit"] and answer is not None else None,
        )

    def _decisions(self, call_id: str) -> tuple[DecisionRow, ...]:
        rows = self._ask("select * from decisions where call_id = ? order by at, length(id), id", call_id)
        return tuple(decision_from(row) for row in rows)

    def _unanswered(self, first: Row, attempts: list[Row]) -> CallRow:
        """Build a call that is in flight, or whose process died: its own row comes with its first attempt's end."""
        return CallRow(
            **_identity(first),
            id=first["call_id"],
            cache_hit=False,
            answered_by=None,
            cost_usd=None,
            cached_cost_usd=None,
            latency=NOT_KNOWN,
            route=None,
            reasons=(),
            settings=self._settings_of_run(first["run_id"]),
            messages=None,
            attempts=tuple(attempt_from(attempt) for attempt in attempts),
            decisions=self._decisions(first["call_id"]),
            answer=None,
        )

    def _settings_of_run(self, run_id: str) -> JsonValue:
        run = self._first("select settings from runs where id = ?", run_id)
        return {} if run is None else read_json(run["settings"])


def _identity(row: Row) -> dict[str, Any]:
    """Read what a call and its attempts have in common."""
    names = ("run_id", "trial", "draw", "purpose", "request_digest")
    texts = {"case_id": restored(row["case_id"]), "step": restored_or_none(row["step"])}
    return texts | {name: row[name] for name in names}
