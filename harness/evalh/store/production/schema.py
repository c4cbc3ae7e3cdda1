"""The tables of `production.db`. Columns that have a name of the log's tables mean the same as there.

What a door cannot see is NULL. Steps are appended: a released one is never edited.
"""

import sqlite3
from pathlib import Path

from evalh.core.errors import WorkspaceError
from evalh.store.database import transaction

FILE = "production.db"
APPLICATION = 0x65766C70  # `PRAGMA application_id`: "evlp"

_FIRST = (
    """create table workflows (
  id text primary key,             -- of spans: the trace's id
  name text not null,
  door text not null,              -- trace, ask, otel, calls, langfuse, phoenix, whowhen
  dialect text,                    -- of spans: genai, openllmetry, openinference, langfuse
  started_at text not null,        -- UTC, 2026-07-28T10:15:00.123Z
  ended_at text,                   -- null: it has not ended, or it was interrupted
  status text,                     -- ok, error, interrupted; null: it has not ended
  error text,
  inputs text,                     -- JSON; null: content is off
  output text,                     -- JSON; null: content is off
  session text,
  user text,
  tags text,                       -- JSON
  attributes text,                 -- JSON
  process text,                    -- who wrote it
  probability real,                -- that it was kept; its weight is 1 / probability
  kept text                        -- all, rate, error, check, feedback, slow; stub: only this row is kept
)""",
    """create table workflow_steps (
  id text primary key,
  workflow_id text not null,
  parent_id text,                  -- workflow_steps.id; null: the workflow itself
  name text not null,
  kind text,                       -- step, tool, agent, retrieval
  position integer,                -- where the order is known and times are not
  started_at text,
  ended_at text,
  status text,                     -- ok, error; null: it has not ended, or nobody said
  error text,
  inputs text,                     -- JSON
  output text,                     -- JSON
  attributes text                  -- JSON
)""",
    """create table calls (
  id text primary key,
  workflow_id text not null,
  step_id text,                    -- workflow_steps.id; null: the workflow's own
  operation text,                  -- chat, completion, embedding
  provider text,
  started_at text,
  latency_ms real,
  attempts integer,                -- null: unknown; a span covers all attempts of its client
  answered_by text,                -- attempts.id
  route text,
  request_digest text,
  settings text,                   -- JSON
  messages text,                   -- JSON; null: content is off
  prompt text,                     -- triage@v3, where the program said so
  versions text,                   -- JSON: versions whose template its messages fit; null: not looked at yet
  cost_usd real                    -- of all attempts; null: unknown
)""",
    """create table attempts (
  id text primary key,
  workflow_id text not null,
  call_id text not null,
  number integer,                  -- from 1; null: the whole of a call, which may have had more
  provider text,
  model text,
  started_at text,
  status text,                     -- ok, error; null: it has not ended
  reason text,                     -- first, retry
  latency_ms real,
  ttft_ms real,
  error_kind text,
  error text,
  http_status integer,
  retry_after_s real,
  request_id text,
  model_answered text,
  finish text,
  input_tokens integer,
  output_tokens integer,
  cached_tokens integer,
  reasoning_tokens integer,
  cost_usd real,                   -- null: unknown
  cost_from text,                  -- door: it was said; prices: tokens times evalh's prices; refused: nothing is due
  text text,
  tool_calls text,                 -- JSON
  reasoning text
)""",
    """create table feedback (
  id text primary key,
  workflow_id text not null,
  at text not null,
  good integer,                    -- 1, 0; null: neither
  kind text,                       -- vote, or by name: copied, retried, escalated
  note text,
  user text
)""",
    """create table scores (
  id text primary key,
  workflow_id text not null,
  step_id text,                    -- null: of the workflow
  name text not null,
  outcome text,                    -- pass, fail
  score real,
  text text,
  source text,                     -- people, or the program that gave it
  at text
)""",
    """create table losses (
  id text primary key,
  count integer,
  why text not null,
  at text not null,
  process text
)""",
    "create table spool (file text primary key, offset integer not null) without rowid",
    "create table notes (name text primary key, value text) without rowid",
    "create index workflows_started on workflows (started_at)",
    "create index workflow_steps_of on workflow_steps (workflow_id)",
    "create index calls_of on calls (workflow_id)",
    "create index attempts_of on attempts (call_id)",
    "create index attempts_of_workflow on attempts (workflow_id)",
    "create index feedback_of on feedback (workflow_id)",
    "create index scores_of on scores (workflow_id)",
    """create view workflow_costs as
select w.id, w.name, w.started_at, w.status, w.probability, count(c.id) as calls,
  case when count(c.id) = count(c.attempts) then sum(c.attempts) end as attempts,
  case when count(c.id) = count(c.cost_usd) then sum(c.cost_usd) end as cost_usd,
  (select sum(a.input_tokens) from attempts a where a.workflow_id = w.id) as input_tokens,
  (select sum(a.output_tokens) from attempts a where a.workflow_id = w.id) as output_tokens
from workflows w left join calls c on c.workflow_id = w.id
where w.kept is not 'stub'
group by w.id""",
    """create view failed_workflows as
select w.id, w.name, w.started_at, w.status, w.error,
  (select count(*) from feedback f where f.workflow_id = w.id and f.good = 0) as thumbs_down,
  (select group_concat(s.name, ', ') from scores s where s.workflow_id = w.id and s.outcome = 'fail') as failed_scores
from workflows w
where w.status in ('error', 'interrupted')
  or exists (select 1 from feedback f where f.workflow_id = w.id and f.good = 0)
  or exists (select 1 from scores s where s.workflow_id = w.id and s.outcome = 'fail')
order by w.started_at desc""",
    """create view failed_steps as
select s.workflow_id, w.name as workflow, s.id as step_id, s.name as step, s.position, s.started_at,
  coalesce(s.error, o.text) as reason, coalesce(o.name, 'error') as said, coalesce(o.source, 'program') as source
from workflow_steps s join workflows w on w.id = s.workflow_id
left join scores o on o.step_id = s.id and o.outcome = 'fail'
where s.status = 'error' or o.id is not null""",
    """create view versions_answered as
select v.value as version, count(*) as calls, min(c.started_at) as first_at, max(c.started_at) as last_at,
  sum(1 / coalesce(w.probability, 1)) as stands_for,
  case when count(*) = count(c.cost_usd) then sum(c.cost_usd) end as cost_usd
from calls c join workflows w on w.id = c.workflow_id join json_each(c.versions) v
group by v.value order by calls desc""",
    f"PRAGMA application_id = {APPLICATION}",
)
_SECOND = ("create index calls_by_request on calls (request_digest) where request_digest is not null",)
STEPS: tuple[tuple[str, ...], ...] = (_FIRST, _SECOND)
SCHEMA = len(STEPS)  # `PRAGMA user_version`


def ensure_schema(connection: sqlite3.Connection, path: Path) -> None:
    """Bring the file to this version's schema. Raises WorkspaceError for one that is not ours, and sqlite3.Error."""
    if schema_version(connection, path) == SCHEMA:
        return
    connection.execute("PRAGMA journal_mode = wal")
    with transaction(connection):  # another process may have done it meanwhile
        for statements in STEPS[schema_version(connection, path) :]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {SCHEMA}")


def schema_version(connection: sqlite3.Connection, path: Path) -> int:
    """Return the schema's number, 0 for a new file. Raises WorkspaceError for a file that is not ours."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    holds_tables = connection.execute("select 1 from sqlite_master limit 1").fetchone() is not None
    if application not in {0, APPLICATION} or (application == 0 and holds_tables):
        raise WorkspaceError("this database was not made by evalh", where=str(path), hint="move it away")
    if version > SCHEMA:
        raise WorkspaceError(
            f"this file was written by a newer evalh (schema {version}; this one knows {SCHEMA})",
            where=str(path),
            hint="pip install --upgrade evalh",
        )
    return int(version)
