"""The schema's history. Migrations are appended: a released one is never edited.

`schema.SCHEMA` counts them. docs/reference/log.md describes the result.
"""

from collections.abc import Callable
from typing import Protocol, TypeAlias

from evalh.store.database import APPLICATION
from evalh.store.step_tables import STEPS
from evalh.store.views import COST_PER_GOOD, MATRIX


class Database(Protocol):
    """What a migration may use: a sqlite_utils database and a plain connection both have it."""

    def execute(self, sql: str, /) -> object:
        """Execute one statement."""


Migration: TypeAlias = Callable[[Database], None]

MIGRATIONS: list[Migration] = []


def migration(step: Migration) -> Migration:
    """Append the decorated function."""
    MIGRATIONS.append(step)
    return step


@migration
def m001_the_log(db: Database) -> None:
    """Make every call, retries included, a row that can be queried when something breaks.

    Ids are text and unique over all stores, so stores merge by copying rows.
    """
    for statement in _TABLES:
        db.execute(statement)
    db.execute(f"PRAGMA application_id = {APPLICATION}")


@migration
def m002_questions(db: Database) -> None:
    """Add views for the first questions: what failed, what a good output costs, what was slow."""
    for statement in _VIEWS:
        db.execute(statement)


@migration
def m003_routes(db: Database) -> None:
    """Find a route's answers, and keep what it sent.

    A route may take a first answer from the log and buy a second one; and it may send other messages than the call's.
    """
    for statement in _ROUTES:
        db.execute(statement)


@migration
def m004_comparisons(db: Database) -> None:
    """Keep comparisons and their results, and graders' parameters, so that a message can name a difference."""
    for statement in _COMPARISONS:
        db.execute(statement)


@migration
def m005_votes(db: Database) -> None:
    """Keep the details of a verdict: a panel's votes with their costs, a score for each criterion."""
    db.execute("alter table verdicts add column detail text")  # JSON; null: only the reason


@migration
def m006_gates(db: Database) -> None:
    """Keep a gate's decisions, so that months later one can see why a merge was accepted."""
    db.execute(_GATES)


@migration
def m007_logprobs(db: Database) -> None:
    """Keep an answer's log-probabilities: an answer from the log is graded like a new one."""
    for column in ("mean_logprob real", "min_logprob real", "logprob_tokens integer"):  # null: unknown
        db.execute(f"alter table attempts add column {column}")


@migration
def m008_reasoning(db: Database) -> None:
    """Keep a model's reasoning apart from its answer."""
    db.execute("alter table attempts add column reasoning text")  # null: written by an older version


@migration
def m009_latency(db: Database) -> None:
    """Keep the whole latency of an answer: waits, every attempt, checks. Null: only the last attempt is known."""
    db.execute("alter table attempts add column waited_ms real")  # before it was sent
    for column in ("latency_ms", "waited_ms", "checks_ms"):
        db.execute(f"alter table calls add column {column} real")
    for column in ("waited_ms", "checks_ms"):
        db.execute(f"alter table samples add column {column} real")
    db.execute("drop view cost_per_good")
    db.execute(_COST_PER_GOOD)  # a run without graded samples has no rate


@migration
def m010_clusters(db: Database) -> None:
    """Keep the clusters of cases: comparisons of stored runs count clusters too."""
    db.execute("alter table cases add column cluster text")  # null: the row names none


@migration
def m011_steps(db: Database) -> None:
    """Keep what happened between a pipeline's calls, and what a run was made for.

    A gate's or an experiment's runs must not stand in the history of what people ran.
    """
    for statement in STEPS:
        db.execute(statement)


@migration
def m012_case_graders(db: Database) -> None:
    """Keep the graders that a row brings: an answer from the log is graded as its row asks."""
    db.execute("alter table cases add column graders text")  # JSON; null: the row has none


@migration
def m013_incidents(db: Database) -> None:
    """Leave incidents out of a run's good rate: they were chosen because they failed."""
    db.execute("drop view cost_per_good")
    db.execute(COST_PER_GOOD)


@migration
def m014_matrix(db: Database) -> None:
    """Add a view for a suite's versions and models side by side: where one is good and another is not."""
    db.execute(MATRIX)


_TABLES = (
    """create table runs (
  id text primary key,
  suite text not null,
  prompt text not null,            -- triage@v3
  prompt_digest text not null,     -- versions.digest
  model text not null,             -- the name in the workspace
  model_sent text not null,        -- the name on the wire
  status text not null,            -- running, complete, stopped, interrupted
  reason text,                     -- why it ended early
  started_at text not null,        -- UTC, 2026-07-28T10:15:00.123Z
  finished_at text,                -- null: running, or killed
  planned integer not null,        -- samples
  trials integer not null,
  owner text,
  git_commit text,
  git_dirty integer,
  evalh_version text not null,
  max_ungraded real not null,
  fingerprint_prompt text not null,
  fingerprint_dataset text not null,
  fingerprint_graders text not null,
  fingerprint_model text not null,
  fingerprint_route text not null,
  selection text not null,         -- JSON: --limit, --tag, --case
  settings text not null,          -- JSON: all of the task's request but its messages
  summary text                     -- JSON: the numbers at its end
)""",
    """create table versions (
  prompt text not null,            -- triage@v3
  digest text not null,            -- of the content
  content text not null,           -- JSON: what the digest covers
  first_seen_at text not null,
  primary key (prompt, digest)
) without rowid""",
    """create table cases (
  id text not null,
  digest text not null,            -- of the row: a case that was edited is another row
  inputs text not null,            -- JSON
  expected text,                   -- JSON; null: the case expects nothing (a case that expects null holds 'null')
  tags text not null,              -- JSON
  primary key (id, digest)
) without rowid""",
    """create table samples (
  id text primary key,             -- <run>/<case>/<trial>
  run_id text not null,
  case_id text not null,
  case_digest text not null,
  case_index integer not null,     -- the case's place in the dataset, from 0
  trial integer not null,
  standing text not null,          -- good, bad, ungraded
  call_id text not null,
  answered_by text,                -- attempts.id; of an earlier run on a cache hit; null: no answer
  cache_hit integer not null,
  cost_usd real,                   -- spent by this run; null: unknown
  cached_cost_usd real,            -- what an answer from the store cost when it was bought; null: unknown
  judge_cost_usd real,
  attempts integer not null,       -- made by this run
  latency_ms real,
  finish text,                     -- stop, length, tool_calls, content_filter, refusal, other
  error_kind text,
  error text,
  output_digest text               -- equal outputs have equal digests
) without rowid""",
    """create table calls (
  id text primary key,             -- <run>:<number>
  run_id text not null,
  case_id text not null,
  trial integer not null,
  step text,                       -- of a pipeline
  draw integer not null,           -- 0: the answer; 1, 2, …: samples, critics, confirmations
  purpose text not null,           -- task, judge, critique
  request_digest text not null,
  cache_hit integer not null,
  answered_by text,                -- attempts.id; null: no answer
  attempts integer not null,
  cost_usd real,                   -- all attempts, failed ones included; null: unknown
  reasons text not null,           -- JSON: why each further attempt was made
  settings text,                   -- JSON; null: runs.settings
  messages text                    -- JSON; null on a cache hit: see the call of answered_by
)""",
    """create table attempts (
  id text primary key,             -- <call>.<number>
  call_id text not null,
  number integer not null,         -- from 1
  run_id text not null,
  case_id text not null,
  trial integer not null,
  step text,
  draw integer not null,
  purpose text not null,
  model text not null,             -- the name in the workspace
  provider text not null,
  request_digest text not null,
  started_at text not null,        -- UTC
  reason text not null,            -- first, retry, repair, fallback, escalation
  status text not null,            -- sent, ok, error, interrupted
  latency_ms real,
  ttft_ms real,                    -- time to first token; null: not streamed
  error_kind text,
  error text,
  http_status integer,
  retry_after_s real,
  request_id text,                 -- the provider's
  model_answered text,             -- the model's name as it answered
  finish text,
  input_tokens integer,
  output_tokens integer,
  cached_tokens integer,
  reasoning_tokens integer,
  cost_usd real,                   -- null: unknown
  estimated integer,               -- 1: sent and never answered; cost_usd is what was reserved
  text text,                       -- the output
  tool_calls text,                 -- JSON
  raw text                         -- the body as it came
)""",
    # For find(). By case first: the cases of a batch are neighbours in the dataset, so a batch
    # touches few pages; digests first would touch one page for each.
    """create index attempts_answers on attempts (case_id, trial, draw, step, request_digest, started_at)
  where status = 'ok'""",
    """create table verdicts (
  sample_id text not null,
  position integer not null,       -- the grader's place in the suite, from 0
  grader text not null,
  required integer not null,
  outcome text not null,           -- pass, fail, abstain, error
  score real,                      -- in [0, 1]; null: nothing was graded
  reason text not null,
  primary key (sample_id, position)
) without rowid""",
    """create table decisions (
  id text primary key,             -- <run>:d<number>
  run_id text not null,
  call_id text,                    -- null: about the run
  kind text not null,              -- retry, repair, fallback, escalate, open, close, wait, stop
  reason text not null,
  at text not null,                -- UTC
  detail text not null             -- JSON
)""",
)

_ROUTES = (
    "alter table calls add column route text",  # null: a model was asked directly
    "alter table calls add column cached_cost_usd real default 0",
    "alter table attempts add column messages text",  # JSON; null: the call's
    """create index routed_answers on calls (case_id, trial, request_digest)
  where route is not null and answered_by is not null""",
    "create index decisions_of_call on decisions (call_id)",
    """create view escalations as
select d.run_id, d.call_id, c.case_id, c.trial, d.kind = 'escalate' as escalated,
  json_extract(k.value, '$.check') as check_name, json_extract(k.value, '$.outcome') as outcome,
  json_extract(k.value, '$.score') as score, d.reason, s.standing, s.cost_usd
from decisions d
join json_each(d.detail, '$.checks') k
join calls c on c.id = d.call_id
left join samples s on s.call_id = d.call_id
where d.kind in ('keep', 'escalate')""",
)

_GATES = """create table gates (
  id text primary key,             -- g20260728-101500-3f9c2e
  at text not null,                -- UTC
  base text not null,              -- as it was named: origin/main
  head text not null,
  merge_base text,                 -- the commit; null: two versions were compared
  decision text not null,          -- accept, refuse, inconclusive
  exit integer not null,
  reasons text not null,           -- one a line
  content text not null            -- JSON: all of it
)"""

_COMPARISONS = (
    "alter table runs add column graders text",  # JSON; null: an older version's
    """create table comparisons (
  id text primary key,             -- c20260728-101500-3f9c2e
  at text not null,                -- UTC
  suite text not null,
  base text not null,              -- triage@v2
  head text not null,
  base_model text not null,        -- the names in the workspace
  head_model text not null,
  base_run text,                   -- runs.id; null: a committed baseline
  head_run text,
  verdict text not null,           -- better, no_worse, worse, inconclusive
  comparable integer not null,
  n integer not null,              -- cases
  wins integer not null,
  losses integer not null,
  difference real,                 -- of the good rates, head - base; null: nothing was compared
  low real,
  high real,
  p_value real,
  content text not null            -- JSON: all of it
)""",
)

# As released; a later migration may replace one.
_VIEWS = (
    """create view failures as
select s.run_id, s.id as sample_id, s.case_id, s.trial, s.standing,
  (select group_concat(v.grader || ': ' || v.reason, char(10)) from verdicts v
    where v.sample_id = s.id and v.required and v.outcome <> 'pass') as reasons,
  a.text as output, c.inputs, c.expected, s.finish, s.error_kind, s.error, s.call_id, s.answered_by
from samples s
left join attempts a on a.id = s.answered_by
left join cases c on c.id = s.case_id and c.digest = s.case_digest
where s.standing <> 'good'""",
    """create view cost_per_good as
select run_id, suite, prompt, model, status, samples, good, 1.0 * good / samples as good_rate, task_usd,
  task_usd / nullif(good, 0) as cost_per_good_usd
from (
  select s.run_id, r.suite, r.prompt, r.model, r.status, r.started_at,
    count(*) as samples, sum(s.standing = 'good') as good,
    case when count(*) = count(s.cost_usd + s.cached_cost_usd) then sum(s.cost_usd + s.cached_cost_usd) end as task_usd
  from samples s join runs r on r.id = s.run_id
  group by s.run_id
)
order by started_at""",
    """create view slow_calls as
select id as attempt_id, call_id, run_id, case_id, trial, model, status, started_at, latency_ms, ttft_ms,
  output_tokens, round(output_tokens * 1000.0 / nullif(latency_ms, 0), 1) as output_tokens_per_s
from (
  select *, cume_dist() over (partition by run_id, model order by latency_ms) as not_slower
  from attempts where latency_ms is not null
)
where not_slower > 0.95
order by latency_ms desc""",
)

_COST_PER_GOOD = """create view cost_per_good as
select run_id, suite, prompt, model, status, samples, good,
  case when graded then 1.0 * good / samples end as good_rate, task_usd,
  task_usd / nullif(good, 0) as cost_per_good_usd
from (
  select s.run_id, r.suite, r.prompt, r.model, r.status, r.started_at,
    count(*) as samples, sum(s.standing = 'good') as good, sum(s.standing <> 'ungraded') as graded,
    case when count(*) = count(s.cost_usd + s.cached_cost_usd) then sum(s.cost_usd + s.cached_cost_usd) end as task_usd
  from samples s join runs r on r.id = s.run_id
  group by s.run_id
)
order by started_at"""
