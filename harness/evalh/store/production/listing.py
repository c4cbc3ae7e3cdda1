"""The SQL of a list of workflows: which, in which order, and what a line says."""

import sqlite3
from typing import Any

from evalh.core.production import FirstFailure, WorkflowKind, WorkflowLine, WorkflowOrder, WorkflowQuery
from evalh.store.columns import json_text, read_instant, restored, stored

_KINDS = {
    WorkflowKind.ALL: "true",
    WorkflowKind.FAILED: """(w.status in ('error', 'interrupted')
  or exists (select 1 from feedback f where f.workflow_id = w.id and f.good = 0)
  or exists (select 1 from scores s where s.workflow_id = w.id and s.outcome = 'fail'))""",
    WorkflowKind.THUMBS_DOWN: "exists (select 1 from feedback f where f.workflow_id = w.id and f.good = 0)",
    WorkflowKind.QUIET: """(w.status is 'ok'
  and (exists (select 1 from workflow_steps s where s.workflow_id = w.id and s.status = 'error')
    or exists (select 1 from scores o join workflow_steps s on s.id = o.step_id
      where o.workflow_id = w.id and s.workflow_id = w.id and o.outcome = 'fail')))""",
    WorkflowKind.POISONED: "w.id in (select value from json_each(:poisoned))",
    WorkflowKind.UNCHECKED: """(not exists (select 1 from scores s where s.workflow_id = w.id)
  and not exists (select 1 from feedback f where f.workflow_id = w.id))""",
    WorkflowKind.RUNNING: "w.status is null",
}
_ORDERS = {
    WorkflowOrder.NEWEST: "w.started_at desc",
    WorkflowOrder.SLOWEST: """round(86400e3 * (julianday(w.ended_at) - julianday(w.started_at))) desc nulls last,
  w.started_at desc""",
    WorkflowOrder.MOST_EXPENSIVE: """(select sum(c.cost_usd) from calls c where c.workflow_id = w.id) desc nulls last,
  w.started_at desc""",
}
_FITS = """w.kept is not 'stub' and (:name is null or w.name = :name)
  and (:session is null or w.session = :session) and (:user is null or w.user = :user)
  and w.started_at >= :since
  and (:version is null or exists (select 1 from calls c where c.workflow_id = w.id and (c.prompt = :version
    or exists (select 1 from json_each(c.versions) v where v.value = :version))))
  and (:text is null or instr(
    lower(w.id || char(10) || w.name || char(10) || coalesce(w.session, '') || char(10) || coalesce(w.user, '')),
    lower(:text)))"""

_SUMS = ", ".join(f'sum({fits}) as "{kind}"' for kind, fits in _KINDS.items())
COUNTS = f"select {_SUMS} from workflows w where {_FITS}"  # noqa: S608 (texts of our own, here and below)
"""Counts workflows of each kind."""

NAMES = """select name from workflows where kept is not 'stub' group by name order by count(*) desc, name limit 200"""
VERSIONS = """select version from (
  select prompt as version from calls where prompt is not null
  union all select v.value from calls c, json_each(c.versions) v where v.value is not c.prompt
) group by version order by count(*) desc, version limit 200"""

# A step that failed because one inside it did is not the first. The sets are made once, not for each step.
FIRST_FAILURE = """with bad as materialized (
  select step_id, text, source from scores where workflow_id = :id and outcome = 'fail' and step_id is not null),
first as materialized (
  select s.id, s.name, s.position, s.error from workflow_steps s
  where s.workflow_id = :id and (s.status = 'error' or s.id in (select step_id from bad)) and s.id not in (
    select i.parent_id from workflow_steps i where i.workflow_id = :id and i.parent_id <> i.id
    and (i.status = 'error' or i.id in (select step_id from bad)))
  order by s.position is null, s.position, s.started_at, s.rowid limit 1)
select f.name as step, f.position, coalesce(f.error, o.text) as reason, o.source
from first f left join bad o on o.step_id = f.id limit 1"""


def lines_sql(query: WorkflowQuery) -> str:
    """Return the statement of a list's lines; its values are those of `values_of`, `limit` and `offset`."""
    return f"""select w.id, w.name, w.started_at, w.ended_at, w.status, w.error, w.session, w.user,
  (select count(*) from workflow_steps s where s.workflow_id = w.id) as steps,
  (select count(*) from calls c where c.workflow_id = w.id) as calls,
  (select total(c.cost_usd) from calls c where c.workflow_id = w.id) as usd,
  (select count(*) - count(c.cost_usd) from calls c where c.workflow_id = w.id) as unpriced,
  (select coalesce(sum(a.input_tokens), 0) from attempts a where a.workflow_id = w.id) as input_tokens,
  (select coalesce(sum(a.output_tokens), 0) from attempts a where a.workflow_id = w.id) as output_tokens,
  (select count(*) from attempts a where a.workflow_id = w.id and a.status is not 'error' and a.input_tokens is null)
    as uncounted,
  (select count(*) from feedback f where f.workflow_id = w.id and f.good = 1) as good_votes,
  (select count(*) from feedback f where f.workflow_id = w.id and f.good = 0) as bad_votes,
  (select count(*) from feedback f where f.workflow_id = w.id and f.good is null) as other_votes,
  (select count(*) from scores s where s.workflow_id = w.id and s.outcome = 'fail') as failed_scores,
  (select count(*) from scores s where s.workflow_id = w.id and s.outcome = 'pass') as passed_scores
from workflows w where {_FITS} and {_KINDS[query.kind]}
order by {_ORDERS[query.order]}, w.rowid desc limit :limit offset :offset"""  # noqa: S608


def values_of(query: WorkflowQuery) -> dict[str, Any]:
    """Return what a query's statements are about."""
    names = ("name", "version", "session", "user", "text")
    texts = {name: None if (one := getattr(query, name)) is None else stored(one) for name in names}
    poisoned = json_text(sorted(map(stored, query.poisoned)))
    return {**texts, "since": query.since, "poisoned": poisoned}


def line_of(row: sqlite3.Row, failure: sqlite3.Row | None) -> WorkflowLine:
    """Return a line of the list. Raises what an unreadable column raises."""
    fields = {name: row[name] for name in row.keys()}  # noqa: SIM118 (a row yields its values)
    for name in ("id", "name", "error", "session", "user"):
        fields[name] = None if fields[name] is None else restored(fields[name])
    for name in ("started_at", "ended_at"):
        fields[name] = None if fields[name] is None else read_instant(fields[name])
    return WorkflowLine(**fields, first_failure=None if failure is None else _failure(failure))


def _failure(row: sqlite3.Row) -> FirstFailure:
    texts = (None if row[name] is None else restored(row[name]) for name in ("step", "reason", "source"))
    step, reason, source = texts
    return FirstFailure(step or "", row["position"], reason, source)
