"""Taking the content of graded production answers out of the log: whose it is must be able to have it forgotten.

The rows stay, without content and digests of it, so that the rates of the runs stay what they were.
"""

import sqlite3
from collections.abc import Iterable
from pathlib import Path

from evalh.core.run import RunKind
from evalh.store.columns import json_text, stored
from evalh.store.database import FILE, connect, explained, purge, transaction
from evalh.store.schema import ensure_schema

_SAMPLES = """create temp table gone as
select s.id, s.run_id, s.case_id, s.case_digest from main.samples s
where s.case_id in (select value from json_each(?)) and s.run_id in (select id from main.runs where kind = ?)"""
_CALLS = """create temp table gone_calls as
select c.id from main.calls c join gone g on g.run_id = c.run_id and g.case_id = c.case_id"""
_BLANKED = """
update calls set messages = '[]', settings = null, request_digest = '' where id in (select id from gone_calls);
update attempts set text = iif(text is null, null, '[forgotten]'), tool_calls = null, raw = null, messages = null,
  reasoning = null, error = iif(error is null, null, 'forgotten'), request_digest = ''
  where call_id in (select id from gone_calls);
update decisions set detail = '{}', reason = 'forgotten' where call_id in (select id from gone_calls);
update samples set error = iif(error is null, null, 'forgotten'), output_digest = null, review = null
  where id in (select id from gone);
update verdicts set reason = 'forgotten', detail = null where sample_id in (select id from gone);
update step_verdicts set reason = 'forgotten', detail = null where sample_id in (select id from gone);
update step_results set inputs = iif(inputs is null, null, '{}'), large_inputs = null,
  output = iif(output is null and large_output is null, null, '"[forgotten]"'), large_output = null,
  reason = iif(reason is null, null, 'forgotten') where sample_id in (select id from gone);
update cases set inputs = '{}', expected = null, given = null, cluster = null
  where (id, digest) in (select case_id, case_digest from gone);
delete from texts where digest not in (
  select large_output from step_results where large_output is not null
  union select t.value from step_results r join json_each(r.large_inputs) t)
"""


def forget_answers(folder: Path, ids: Iterable[str]) -> int:
    """Blank the copies of these workflows and calls in graded production. Return how many samples there were.

    Raises StoreError, WorkspaceError.
    """
    path = folder / FILE
    if not path.is_file():
        return 0
    try:
        connection = connect(path)
        try:
            ensure_schema(connection, path)
            return _blank(connection, path, [stored(one) for one in ids])
        finally:
            connection.close()
    except sqlite3.Error as exc:
        raise explained(exc, path) from exc


def _blank(connection: sqlite3.Connection, path: Path, ids: list[str]) -> int:
    connection.execute("PRAGMA secure_delete = on")
    connection.execute("PRAGMA temp_store = memory")
    with transaction(connection):
        connection.execute(_SAMPLES, (json_text(ids), RunKind.PRODUCTION.value))
        connection.execute(_CALLS)
        (samples,) = connection.execute("select count(*) from gone").fetchone()
        if samples:
            for statement in _BLANKED.split(";"):
                connection.execute(statement)
    if samples:
        purge(connection, path)
    return int(samples)
