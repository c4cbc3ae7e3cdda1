"""Find the answer to a request that was sent before. Called for every sample, so it is one prepared statement."""

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from evalh.core.attempt import Answer, CallKey, latency_of
from evalh.core.money import from_stored
from evalh.store.columns import stored
from evalh.store.database import explained
from evalh.store.restore import completion_from

_ANSWER = """a.id, a.model, a.text, a.finish, a.tool_calls, a.latency_ms, a.ttft_ms, a.model_answered, a.request_id,
  a.input_tokens, a.output_tokens, a.cached_tokens, a.reasoning_tokens, a.mean_logprob, a.min_logprob,
  a.logprob_tokens, a.reasoning, null as raw"""
# The cost of an answer is that of all attempts of its call at the same request; one unknown makes it unknown. An
# attempt's id is `<call>.<number>`, so a call's attempts are a range of the primary key ('/' follows '.').
_COST = """(select case when count(*) = count(cost_usd) then sum(cost_usd) end from attempts
  where id > a.call_id || '.' and id < a.call_id || '/' and request_digest = a.request_digest)"""
# The same applies to its latency: attempts in older logs do not say how long they waited.
_TOOK = """(select json_array(case when count(*) = count(latency_ms) and count(*) = count(waited_ms)
    then sum(latency_ms) + sum(waited_ms) else a.latency_ms end,
  case when count(*) = count(waited_ms) then sum(waited_ms) end)
  from attempts where id > a.call_id || '.' and id < a.call_id || '/' and request_digest = a.request_digest)"""

_FIND = f"""select {_ANSWER}, {_COST} as usd, {_TOOK} as took
from attempts a
where status = 'ok' and case_id = ? and trial = ? and draw = ? and step is ? and request_digest = ?
order by started_at desc, rowid desc limit 1"""  # noqa: S608 (ours)

_BEGUN = """select 1 from attempts where case_id = ? and trial = ? and draw = ? and step is ? and request_digest = ?
limit 1"""

_FIND_ALL = f"""with wanted(number, case_id, trial, draw, step, request_digest) as (values {{}})
select wanted.number, {_ANSWER}, {_COST} as usd, {_TOOK} as took
from wanted join attempts a on a.rowid = (
  select b.rowid from attempts b
  where b.status = 'ok' and b.case_id = wanted.case_id and b.trial = wanted.trial and b.draw = wanted.draw
    and b.step is wanted.step and b.request_digest = wanted.request_digest
  order by b.started_at desc, b.rowid desc limit 1)"""  # noqa: S608 (ours)


# A route's answer is found by its call: the attempts below it were other requests. Its cost is the call's, and that of
# the answers that the call took from the log.
_FIND_ROUTED = f"""with wanted(number, case_id, trial, draw, step, request_digest) as (values {{}})
select wanted.number, {_ANSWER}, c.cost_usd + c.cached_cost_usd as usd,
  json_array(case when c.waited_ms is null then a.latency_ms else c.latency_ms end, c.waited_ms, c.checks_ms) as took
from wanted join calls c on c.rowid = (
  select b.rowid from calls b
  where b.route is not null and b.answered_by is not null and b.cache_hit = 0 and b.case_id = wanted.case_id
    and b.trial = wanted.trial and b.draw = wanted.draw and b.step is wanted.step
    and b.request_digest = wanted.request_digest
  order by b.rowid desc limit 1)
join attempts a on a.id = c.answered_by"""  # noqa: S608 (ours)


class AnswerLookup:
    """The answers in a store, by request."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._cursor = connection.cursor()
        self._cursor.row_factory = sqlite3.Row
        self._path = path

    def find(self, request_digest: str, key: CallKey) -> Answer | None:
        """Return the newest successful answer to this request for this key. Raises EvalhError."""
        try:
            row = self._cursor.execute(
                _FIND, (stored(key.case_id), key.trial, key.draw, key.step and stored(key.step), request_digest)
            ).fetchone()
        except sqlite3.Error as exc:
            raise explained(exc, self._path) from exc
        return None if row is None else _answer(row)

    def begun(self, request_digest: str, key: CallKey) -> bool:
        """Return whether such a request ever left, whatever became of it. Raises EvalhError."""
        values = (stored(key.case_id), key.trial, key.draw, key.step and stored(key.step), request_digest)
        try:
            return self._cursor.execute(_BEGUN, values).fetchone() is not None
        except sqlite3.Error as exc:
            raise explained(exc, self._path) from exc

    def find_all(self, wanted: Sequence[tuple[str, CallKey]], *, routed: bool = False) -> list[Answer | None]:
        """Do what `find` does for many requests in one statement, which waits for the writer's thread only once.

        `routed`: the digests are those of requests to a route, which chooses the model that answers.
        """
        answers: list[Answer | None] = [None] * len(wanted)
        rows = ", ".join(("(?, ?, ?, ?, ?, ?)",) * len(wanted))
        query = _FIND_ROUTED if routed else _FIND_ALL
        values = [
            value
            for number, (digest, key) in enumerate(wanted)
            for value in (number, stored(key.case_id), key.trial, key.draw, key.step and stored(key.step), digest)
        ]
        try:
            for row in self._cursor.execute(query.format(rows), values) if wanted else ():
                answers[row["number"]] = _answer(row)
        except sqlite3.Error as exc:
            raise explained(exc, self._path) from exc
        return answers


def _answer(row: sqlite3.Row) -> Answer:
    total, waited, *checks = json.loads(row["took"])
    latency = latency_of(total, waited, checks[0] if checks else None if waited is None else 0.0)
    return Answer(row["id"], completion_from(row), from_stored(row["usd"]), row["model"], latency)
