"""The views that a store has from its second migration on. As released: a later migration may replace one."""

VIEWS = (
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

COST_PER_GOOD = """create view cost_per_good as
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
"""Replaces the one above from the ninth migration on: where nothing was graded no rate is known."""
