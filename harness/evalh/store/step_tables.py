"""The tables and views of pipelines, as migration 11 makes them. Like every migration, they are not edited."""

# What a step was handed and gave may be large, and is handed on: a text above 4 kB is stored once, by its digest.
STEPS = (
    "alter table runs add column kind text not null default 'run'",  # run, gate, baseline, drift, blame
    "alter table samples add column word text",  # of a pipeline; null: a plain sample
    "alter table samples add column first_bad text",
    "alter table samples add column responsible text",  # JSON
    "alter table samples add column step_output text",  # a function's or a double's; null: see answered_by
    "alter table samples add column review text",  # why a person must look at it; null: nobody must
    "alter table cases add column given text",  # JSON: what steps are said to return; null: nothing
    """create table run_steps (
  run_id text not null,
  position integer not null,       -- from 0; a step comes after all that it reads
  step text not null,
  prompt text,                     -- extract@v2; null: a function
  prompt_digest text,
  function text,                   -- steps/orders.py:find
  function_digest text,
  model text,                      -- the name in the workspace
  reads text not null,             -- JSON: the steps that it reads
  settings text,                   -- JSON: all of its requests but their messages
  primary key (run_id, step)
) without rowid""",
    """create table step_results (
  sample_id text not null,
  position integer not null,       -- as in run_steps
  step text not null,
  state text not null,             -- ran, skipped, given, stopped, failed
  reason text,
  grade text,                      -- good, bad, unknown; null: nothing grades it
  word text,                       -- origin, propagated, recovered, possible
  tainted integer not null,
  inputs text,                     -- JSON, without those of large_inputs
  large_inputs text,               -- JSON: the names of large inputs, each with its texts.digest
  output text,                     -- JSON; null: none, or large_output
  large_output text,               -- texts.digest
  call_id text,                    -- null: no model was asked
  answered_by text,                -- attempts.id
  cache_hit integer not null,
  cost_usd real,                   -- null: unknown
  cached_cost_usd real,
  judge_cost_usd real,
  attempts integer not null,
  latency_ms real,
  waited_ms real,
  checks_ms real,
  primary key (sample_id, position)
)""",
    """create table step_verdicts (
  sample_id text not null,
  step text not null,
  position integer not null,       -- the grader's place at its step, from 0
  grader text not null,
  required integer not null,
  outcome text not null,           -- pass, fail, abstain, error
  score real,
  reason text not null,
  detail text,                     -- JSON
  primary key (sample_id, step, position)
) without rowid""",
    """create table texts (
  digest text primary key,
  text text not null               -- JSON
)""",
    """create view steps as
select s.run_id, r.sample_id, s.case_id, s.trial, s.standing, r.position, r.step, r.state, r.reason, r.grade, r.word,
  r.tainted,
  case when r.large_inputs is null then r.inputs else (
    select json_group_object(key, json(value)) from (
      select key, case when type in ('object', 'array') then value when type in ('true', 'false', 'null') then type
        else json_quote(value) end as value from json_each(r.inputs)
      union all select l.key, t.text from json_each(r.large_inputs) l join texts t on t.digest = l.value)
  ) end as inputs,
  coalesce(r.output, (select text from texts where digest = r.large_output)) as output,
  r.call_id, r.answered_by, r.cache_hit, r.cost_usd, r.cached_cost_usd, r.judge_cost_usd, r.attempts, r.latency_ms
from step_results r join samples s on s.id = r.sample_id""",
    # Behind a bad step is what reads it, or reads what reads it: where a parent is tainted.
    """create view poisoned_samples as
select s.run_id, s.id as sample_id, s.case_id, s.trial, s.word, s.first_bad, s.responsible, s.standing, (
  select case when count(*) = count(d.cost_usd + d.cached_cost_usd) then total(d.cost_usd + d.cached_cost_usd) end
  from step_results d join run_steps n on n.run_id = s.run_id and n.step = d.step
  where d.sample_id = s.id and d.state <> 'given' and exists (
    select 1 from json_each(n.reads) e join step_results p on p.sample_id = s.id and p.step = e.value
    where p.tainted)
  ) as downstream_usd
from samples s
where s.word is not null and exists (select 1 from step_results where sample_id = s.id and tainted)""",
    "drop view failures",
    """create view failures as
select s.run_id, s.id as sample_id, s.case_id, s.trial, s.standing,
  (select group_concat(v.grader || ': ' || v.reason, char(10)) from verdicts v
    where v.sample_id = s.id and v.required and v.outcome <> 'pass') as reasons,
  coalesce(a.text, s.step_output) as output, c.inputs, c.expected, s.finish, s.error_kind, s.error, s.call_id,
  s.answered_by
from samples s
left join attempts a on a.id = s.answered_by
left join cases c on c.id = s.case_id and c.digest = s.case_digest
where s.standing <> 'good'""",
    "drop view cost_per_good",
    """create view cost_per_good as
select run_id, suite, kind, prompt, model, status, samples, good,
  case when graded then 1.0 * good / samples end as good_rate, task_usd,
  task_usd / nullif(good, 0) as cost_per_good_usd
from (
  select s.run_id, r.suite, r.kind, r.prompt, r.model, r.status, r.started_at,
    count(*) as samples, sum(s.standing = 'good') as good, sum(s.standing <> 'ungraded') as graded,
    case when count(*) = count(s.cost_usd + s.cached_cost_usd) then sum(s.cost_usd + s.cached_cost_usd) end as task_usd
  from samples s join runs r on r.id = s.run_id
  group by s.run_id
)
order by started_at""",
    "drop view escalations",
    """create view escalations as
select d.run_id, d.call_id, c.case_id, c.trial, c.step, d.kind = 'escalate' as escalated,
  json_extract(k.value, '$.check') as check_name, json_extract(k.value, '$.outcome') as outcome,
  json_extract(k.value, '$.score') as score, d.reason, s.standing, s.cost_usd
from decisions d
join json_each(d.detail, '$.checks') k
join calls c on c.id = d.call_id
left join samples s on s.id = c.run_id || '/' || c.case_id || '/' || c.trial
  and (s.call_id = c.id or c.step is not null and c.purpose = 'task')
where d.kind in ('keep', 'escalate')""",
)
