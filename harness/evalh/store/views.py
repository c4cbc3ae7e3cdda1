"""Views of the log: what a good output costs without incidents; a suite's versions and models side by side."""

COST_PER_GOOD = """create view cost_per_good as
select run_id, suite, kind, prompt, model, status, samples, good,
  case when graded then 1.0 * good / samples end as good_rate, task_usd,
  task_usd / nullif(good, 0) as cost_per_good_usd, incidents, incidents_good
from (
  select run_id, suite, kind, prompt, model, status, started_at,
    count(*) filter (where not incident) as samples,
    count(*) filter (where not incident and standing = 'good') as good,
    count(*) filter (where not incident and standing <> 'ungraded') as graded,
    case when count(*) filter (where not incident) = count(usd) filter (where not incident)
      then total(usd) filter (where not incident) end as task_usd,
    count(*) filter (where incident) as incidents,
    count(*) filter (where incident and standing = 'good') as incidents_good
  from (
    select s.run_id, r.suite, r.kind, r.prompt, r.model, r.status, r.started_at, s.standing,
      s.cost_usd + s.cached_cost_usd as usd,
      s.case_digest in (select c.digest from cases c where instr(c.tags, '"incident"')
        and exists (select 1 from json_each(c.tags) where value = 'incident')) as incident
    from samples s join runs r on r.id = s.run_id
  )
  group by run_id
)
order by started_at"""

MATRIX = """create view matrix as
select r.suite, s.case_id, s.trial, r.prompt, r.model, s.run_id, s.standing,
  coalesce(a.text, s.step_output) as output,
  (select group_concat(v.grader || ': ' || v.reason, char(10)) from verdicts v
    where v.sample_id = s.id and v.required and v.outcome <> 'pass') as reasons,
  c.inputs, c.expected, c.tags, s.latency_ms, s.cost_usd + s.cached_cost_usd as cost_usd
from (
  select id, suite, prompt, model, row_number() over (partition by suite, prompt, model
    order by started_at desc, id desc) as newest
  from runs where kind in ('run', 'compare') and status = 'complete'
) r
join samples s on s.id > r.id || '/' and s.id < r.id || '0'
left join attempts a on a.id = s.answered_by
left join cases c on c.id = s.case_id and c.digest = s.case_digest
where r.newest = 1"""
