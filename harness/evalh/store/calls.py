"""Reading calls with their attempts."""

from sqlite3 import Row
from typing import Any

from evalh.core.attempt import latency_of
from evalh.core.log import CallFilter, CallRow, SampleRow
from evalh.core.money import from_stored
from evalh.core.strict_json import JsonValue
from evalh.store.columns import read_json, restored, restored_or_none, stored
from evalh.store.log_reader import LogReader
from evalh.store.restore import attempt_from, decision_from

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


class CallReader(LogReader):
    """Reads calls, each with all its attempts and decisions."""

    def calls(self, which: CallFilter = CallFilter.ALL, run_id: str | None = None, limit: int = 20) -> list[CallRow]:
        """Return calls with their attempts: those of one run in its order, or of all runs, newest run first."""
        scope = "true" if run_id is None else _OF_RUN
        sql = _SELECTIONS[which].format(scope=scope, order=_NEWEST_RUN_FIRST)
        return self._calls(sql, {"run": run_id, "limit": limit})

    def _calls_of(self, sample: SampleRow) -> tuple[CallRow, ...]:
        which = {"run": sample.run_id, "case": stored(sample.case_id), "trial": sample.trial}
        return tuple(self._calls(_OF_SAMPLE, which))

    def _calls(self, sql: str, which: dict[str, Any]) -> list[CallRow]:
        found = (self._call(row["id"]) for row in self._rows(sql, which))
        return [call for call in found if call is not None]

    def _call(self, name: str) -> CallRow | None:
        """Return the call of that id, or of the attempt of that id."""
        row = self._first("select * from calls where id = ?", name)
        if row is not None:
            return self._whole(row)
        attempt = self._first("select * from attempts where id = ?", name)
        if attempt is not None and attempt["call_id"] != name:
            return self._call(attempt["call_id"])
        attempts = self._attempts(name)
        return self._unanswered(attempts[0], attempts) if attempts else None

    def _attempts(self, call_id: str) -> list[Row]:
        return self._rows(
            "select * from attempts where id > ? and id < ? order by number", f"{call_id}.", f"{call_id}/"
        )

    def _whole(self, row: Row) -> CallRow:
        answer = None
        if row["answered_by"] is not None:
            answer = self._first("select * from attempts where id = ?", row["answered_by"])
        messages = row["messages"]
        if messages is None and answer is not None:
            origin = self._first("select messages from calls where id = ?", answer["call_id"])
            messages = origin and origin["messages"]
        return CallRow(
            **self._common(row["id"], row, self._attempts(row["id"])),
            cache_hit=bool(row["cache_hit"]),
            answered_by=row["answered_by"],
            cost_usd=from_stored(row["cost_usd"]),
            cached_cost_usd=from_stored(row["cached_cost_usd"]),
            latency=latency_of(row["latency_ms"], row["waited_ms"], row["checks_ms"]),
            route=restored_or_none(row["route"]),
            reasons=tuple(read_json(row["reasons"])),
            settings=read_json(row["settings"]) or self._shared_settings(row["run_id"], row["step"]),
            messages=read_json(restored_or_none(messages)),
            answer=None if answer is None else attempt_from(answer),
            origin=self._call(answer["call_id"]) if row["cache_hit"] and answer is not None else None,
        )

    def _unanswered(self, first: Row, attempts: list[Row]) -> CallRow:
        """Build a call that is in flight, or whose process died: its own row is written when its first attempt ends."""
        return CallRow(
            **self._common(first["call_id"], first, attempts),
            settings=self._shared_settings(first["run_id"], first["step"]),
        )

    def _common(self, call_id: str, row: Row, attempts: list[Row]) -> dict[str, Any]:
        """Read the columns that a call's own row and its first attempt's row share."""
        decisions = self._rows("select * from decisions where call_id = ? order by at, length(id), id", call_id)
        return {name: row[name] for name in ("run_id", "trial", "draw", "purpose", "request_digest")} | {
            "id": call_id,
            "case_id": restored(row["case_id"]),
            "step": restored_or_none(row["step"]),
            "attempts": tuple(attempt_from(attempt) for attempt in attempts),
            "decisions": tuple(decision_from(decision) for decision in decisions),
        }

    def _shared_settings(self, run_id: str, step: str | None) -> JsonValue:
        """Return what calls have in common: those of one step, or else of the run."""
        sql = "select settings from run_steps where run_id = ? and step = ? and settings is not null"
        found = None if step is None else self._first(sql, run_id, step)
        found = found or self._first("select settings from runs where id = ?", run_id)
        return {} if found is None else read_json(found["settings"])
