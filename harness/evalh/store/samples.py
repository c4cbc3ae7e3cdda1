"""A run's samples: for display, comparisons, reports, exports with all calls, and recordings.

A run needs a handful of statements, regardless of its number of samples.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import groupby
from sqlite3 import Row
from typing import Any

from msgspec.structs import asdict

from evalh.core.case import Case
from evalh.core.digest import digest
from evalh.core.log import DecisionRow, SampleDetail, SampleRow, SampleStory, TracedAttempt, TracedCall, TracedSample
from evalh.core.money import from_stored, plus
from evalh.core.request import content_digest
from evalh.core.run import FailedSample, StepRecord
from evalh.core.sample import Graded, SampleResult, Standing, StepResult
from evalh.core.strict_json import JsonValue
from evalh.core.verdict import Outcome, Verdict
from evalh.store.calls import CallReader
from evalh.store.columns import read_instant, read_json, restored, restored_or_none, stored
from evalh.store.restore import (
    case_from,
    completion_from,
    decision_from,
    sample_from,
    step_from,
    step_record_from,
    tool_calls_from,
    usage_from,
    verdict_from,
)

# A sample's id is <run>/<case>/<trial> and a call's <run>:<number>: a run's rows are ranges of a primary key ('0'
# follows '/', and ';' follows ':').
_OF_RUN = "id > :run || '/' and id < :run || '0'"
_SAMPLES = f"""select * from samples where {_OF_RUN} and (:standing is null or standing = :standing)
  order by case_index, trial limit :limit"""  # noqa: S608 (ours)
# The first of each standing come before the second of any: bad samples do not hide that others are ungraded.
_FAILURES = f"""select * from samples where id in (
    select id from (select id, standing, case_index, trial,
        row_number() over (partition by standing order by case_index, trial) as place
      from samples where {_OF_RUN} and standing <> 'good')
    order by place > 1, standing, case_index, trial limit :limit)
  order by standing, case_index, trial"""  # noqa: S608 (ours)
_STORIES = """select s.*, k.inputs, k.expected, k.tags, k.cluster, k.given, k.graders, a.text, a.reasoning,
  a.tool_calls,
  a.input_tokens, a.output_tokens, a.cached_tokens, a.reasoning_tokens, a.model_answered,
  (select json_group_array(json_array(grader, required, outcome, score, reason,
    json_extract(detail, '$.parts')))
    from (select * from verdicts where sample_id = s.id order by position)) as verdicts
from samples s
join cases k on k.id = s.case_id and k.digest = s.case_digest
left join attempts a on a.id = s.answered_by
where s.id > :run || '/' and s.id < :run || '0'
order by s.case_index, s.trial"""

# Where the answer came from the log, the call that bought it has the attempts.
_CALLS = """select c.id, c.case_id, c.trial, c.step, c.draw, c.purpose, c.cache_hit, c.route,
  case when c.cache_hit then coalesce(a.call_id, c.id) else c.id end as source
from calls c left join attempts a on a.id = c.answered_by
where c.id > :run || ':' and c.id < :run || ';'"""
_ATTEMPTS = f"""select c.id as traced, a.number, a.model, a.started_at, a.reason, a.status, a.latency_ms, a.error_kind,
  a.error, a.input_tokens, a.output_tokens, a.cost_usd, a.estimated
from ({_CALLS}) c join attempts a on a.id > c.source || '.' and a.id < c.source || '/'
order by a.number"""  # noqa: S608 (ours)
_DECISIONS = f"""select c.id as traced, d.kind, d.reason, d.at, d.detail
from ({_CALLS}) c join decisions d on d.call_id = c.source
order by d.at, length(d.id), d.id"""  # noqa: S608 (ours)
# Calls come grouped by the sample that they were made for. A call whose first attempt has not ended, because its
# process died, has attempts and no row of its own. SQLite sorts on disk what does not fit: ids, not answers.
_CALLS_BY_SAMPLE = """select * from (select id, case_id, trial from calls where id > :run || ':' and id < :run || ';'
union all
select distinct call_id, case_id, trial from attempts a
  where a.id > :run || ':' and a.id < :run || ';' and not exists (select 1 from calls c where c.id = a.call_id))
order by case_id, trial, length(id), id"""
_RESULTS = """select s.case_id, s.case_digest, s.trial, s.standing, s.cost_usd, s.cached_cost_usd, s.latency_ms,
    s.waited_ms is not null and s.checks_ms is not null as latency_whole,
    s.output_digest, c.tags, c.cluster, c.inputs,
    (select json_group_array(json_array(v.grader, v.outcome, v.required)) from verdicts v where v.sample_id = s.id)
      as verdicts
  from samples s left join cases c on c.id = s.case_id and c.digest = s.case_digest
  where s.id > :run || '/' and s.id < :run || '0' order by s.case_index, s.trial"""
_TEXTS = """select digest, text from texts where digest in (
  select large_output from step_results where sample_id = :sample
  union select value from step_results, json_each(large_inputs) where sample_id = :sample)"""
_OUTPUTS = """select s.case_id, s.trial, coalesce(r.output, t.text) as output
from step_results r join samples s on s.id = r.sample_id left join texts t on t.digest = r.large_output
where r.sample_id > :run || '/' and r.sample_id < :run || '0' and r.step = :step and r.state in ('ran', 'given')"""
# A draw of a sample's own is 0, but where a function asks for several.
_ANSWERS = """select c.case_id, c.trial, c.step, c.draw, c.request_digest,
  coalesce(c.settings, n.settings, r.settings) as settings,
  coalesce(c.messages, (select o.messages from calls o where o.id = a.call_id)) as messages,
  a.text, a.finish, a.tool_calls,
  case when c.waited_ms is null then a.latency_ms else c.latency_ms end as latency_ms,
  a.ttft_ms, a.model_answered, a.request_id, a.input_tokens, a.output_tokens, a.cached_tokens, a.reasoning_tokens,
  a.mean_logprob, a.min_logprob, a.logprob_tokens, a.reasoning,
  null as raw,
  c.cost_usd + c.cached_cost_usd as cost_usd
from calls c
join runs r on r.id = c.run_id
left join run_steps n on n.run_id = c.run_id and n.step = c.step
join samples s on s.id = c.run_id || '/' || c.case_id || '/' || c.trial
join attempts a on a.id = c.answered_by
where c.id > :run || ':' and c.id < :run || ';' and c.purpose = 'task'
  and (c.draw = 0 or instr(c.step, '/'))
order by s.case_index, c.trial, c.rowid"""


class SampleReader(CallReader):
    """Reads the samples of a run."""

    def samples(self, run_id: str, standing: Standing | None = None, limit: int | None = None) -> Iterator[SampleRow]:
        """Yield a run's samples in dataset order, with their verdicts."""
        which = {"run": run_id, "standing": standing and str(standing), "limit": -1 if limit is None else limit}
        return map(self._sample, self._stream(_SAMPLES, which))

    def details(self, run_id: str) -> Iterator[SampleDetail]:
        """Yield a run's samples with their cases and all their calls, in dataset order."""
        return map(self._detail, self._stream(_SAMPLES, {"run": run_id, "standing": None, "limit": -1}))

    def failures(self, run_id: str, limit: int) -> tuple[FailedSample, ...]:
        """Return samples that are not good, with input and output: at least one bad and one ungraded if `limit` allows.

        Bad ones come first, then in dataset order.
        """
        rows = self._rows(_FAILURES, {"run": run_id, "limit": limit})
        return tuple(self._failure(self._sample(row)) for row in rows)

    def results(self, run_id: str) -> Iterator[SampleResult]:
        """Yield a run's samples in dataset order, for comparisons."""
        return map(_result, self._stream(_RESULTS, {"run": run_id}))

    def stories(self, run_id: str) -> Iterator[SampleStory]:
        """Yield a run's samples with requests and answers, in dataset order."""
        for row in self._stream(_STORIES, {"run": run_id}):
            fields = dict(row)
            yield SampleStory(
                sample=sample_from(fields, _verdicts(row["verdicts"]), self._steps(row)),
                case=case_from(fields | {"id": row["case_id"]}),
                output=restored_or_none(row["step_output"] if row["text"] is None else row["text"]),
                reasoning=restored_or_none(row["reasoning"]),
                tool_calls=tool_calls_from(row["tool_calls"]),
                usage=usage_from(row),
                model_answered=restored_or_none(row["model_answered"]),
            )

    def traces(self, run_id: str) -> Mapping[tuple[str, int], tuple[TracedCall, ...]]:
        """Return the decisions behind the answers of a run, by (case id, trial)."""
        run = {"run": run_id}
        attempts: dict[str, list[TracedAttempt]] = defaultdict(list)
        for row in self._stream(_ATTEMPTS, run):
            attempts[row["traced"]].append(_attempt(row))
        decisions: dict[str, list[DecisionRow]] = defaultdict(list)
        for row in self._stream(_DECISIONS, run):
            decisions[row["traced"]].append(decision_from(row))
        calls: dict[tuple[str, int], list[TracedCall]] = defaultdict(list)
        for row in self._stream(_CALLS, run):
            found = _call(row, tuple(attempts[row["id"]]), tuple(decisions[row["id"]]))
            calls[restored(row["case_id"]), row["trial"]].append(found)
        return {sample: tuple(made) for sample, made in calls.items()}

    def traced(self, run_id: str) -> Iterator[TracedSample]:
        """Yield a run's samples with all their calls, one at a time, ordered by case and trial.

        The calls of interrupted samples are included.
        """

        def key(row: Row) -> tuple[Any, ...]:
            return row["case_id"], row["trial"]

        for (case_id, trial), rows in groupby(self._stream(_CALLS_BY_SAMPLE, {"run": run_id}), key):
            calls = (self._call(row["id"]) for row in rows)
            found = self._first("select * from samples where id = ?", f"{run_id}/{case_id}/{trial}")
            yield TracedSample(
                case_id=restored(case_id),
                trial=trial,
                sample=None if found is None else self._sample(found),
                calls=tuple(call for call in calls if call is not None),
            )

    def step_outputs(self, run_id: str, step: str) -> dict[tuple[str, int], JsonValue]:
        """Return what one step gave in a run, by (case id, trial), where it gave something."""
        rows = self._stream(_OUTPUTS, {"run": run_id, "step": stored(step)})
        return {(restored(row["case_id"]), row["trial"]): read_json(row["output"]) for row in rows}

    def planned(self, run_id: str) -> int | None:
        """Return how many samples a run planned; None if the log does not have that run."""
        run = self._first("select planned from runs where id = ?", stored(run_id))
        return None if run is None else run["planned"]

    def recording(self, run_id: str) -> Iterator[dict[str, Any]]:
        """Yield the answers of a run's task as rows that the `replay` provider reads, in dataset order.

        A sample without an answer has no row. What a function of a pipeline asked twice has one.
        """
        sample: tuple[str, int] | None = None
        told: set[tuple[str, int, str]] = set()
        for row in self._stream(_ANSWERS, {"run": run_id}):
            if sample != (row["case_id"], row["trial"]):
                sample = row["case_id"], row["trial"]
                told.clear()
            asked = row["step"], row["draw"], row["request_digest"]
            if asked not in told:
                told.add(asked)
                yield _recorded(row)

    def _sample(self, row: Row) -> SampleRow:
        verdicts = self._rows("select * from verdicts where sample_id = ? order by position", row["id"])
        return sample_from(row, tuple(map(verdict_from, verdicts)), self._steps(row))

    def _steps(self, sample: Row) -> tuple[StepResult, ...]:
        """Return the steps of a sample, by its row. One prompt has none, and costs no statement."""
        if sample["word"] is None:
            return ()
        texts = {row["digest"]: row["text"] for row in self._rows(_TEXTS, {"sample": sample["id"]})}
        verdicts: dict[str, list[Graded]] = defaultdict(list)
        for row in self._rows("select * from step_verdicts where sample_id = ? order by step, position", sample["id"]):
            verdicts[row["step"]].append(verdict_from(row))
        rows = self._rows("select * from step_results where sample_id = ? order by position", sample["id"])
        return tuple(step_from(row, tuple(verdicts[row["step"]]), texts) for row in rows)

    def _detail(self, row: Row) -> SampleDetail:
        sample = self._sample(row)
        return SampleDetail(
            sample=sample,
            case=self._case_of(sample),
            calls=self._calls_of(sample),
            asked=self._asked(sample.run_id) if sample.story is not None else (),
        )

    def _asked(self, run_id: str) -> tuple[StepRecord, ...]:
        rows = self._rows("select * from run_steps where run_id = ? order by position", run_id)
        return tuple(map(step_record_from, rows))

    def _failure(self, sample: SampleRow) -> FailedSample:
        answer = self._first("select * from attempts where id = ?", sample.answered_by)
        required = ((graded.grader, graded.verdict) for graded in sample.verdicts if graded.required)
        return FailedSample(
            case_id=sample.case_id,
            trial=sample.trial,
            standing=str(sample.standing),
            inputs=self._case_of(sample).inputs,
            output=sample.step_output if answer is None else completion_from(answer).text,
            reasons=tuple((name, verdict.reason) for name, verdict in required if verdict.outcome is not Outcome.PASS),
            error=sample.error,
        )

    def _case_of(self, sample: SampleRow) -> Case:
        key = (stored(sample.case_id), sample.case_digest)
        return case_from(self._rows("select * from cases where id = ? and digest = ?", *key)[0])


def _verdicts(text: str) -> tuple[Graded, ...]:
    return tuple(
        Graded(
            restored(grader),
            bool(required),
            Verdict(Outcome(outcome), score, restored(reason), parts and {"parts": parts}),
        )
        for grader, required, outcome, score, reason, parts in read_json(text)
    )


def _attempt(row: Row) -> TracedAttempt:
    plain = "number model reason status latency_ms error_kind input_tokens output_tokens"
    return TracedAttempt(
        **{name: row[name] for name in plain.split()},
        started_at=read_instant(row["started_at"]),
        error=restored_or_none(row["error"]),
        cost_usd=from_stored(row["cost_usd"]),
        estimated=bool(row["estimated"]),
    )


def _call(row: Row, attempts: tuple[TracedAttempt, ...], decisions: tuple[DecisionRow, ...]) -> TracedCall:
    return TracedCall(
        **{name: row[name] for name in ("id", "draw", "purpose")},
        step=restored_or_none(row["step"]),
        cache_hit=bool(row["cache_hit"]),
        route=restored_or_none(row["route"]),
        attempts=attempts,
        decisions=decisions,
    )


def _result(row: Row) -> SampleResult:
    verdicts = json.loads(row["verdicts"])
    return SampleResult(
        case_id=restored(row["case_id"]),
        trial=row["trial"],
        standing=Standing(row["standing"]),
        cost_usd=plus(from_stored(row["cost_usd"]), from_stored(row["cached_cost_usd"])),
        latency_ms=row["latency_ms"],
        latency_whole=bool(row["latency_whole"]),
        output_digest=row["output_digest"],
        outcomes={restored(grader): Outcome(outcome) for grader, outcome, _ in verdicts},
        required=frozenset(restored(grader) for grader, _, required in verdicts if required),
        row_digest=row["case_digest"],
        tags=frozenset(read_json(row["tags"]) or ()),
        cluster=restored_or_none(row["cluster"]),
        inputs_digest=None if row["inputs"] is None else digest(read_json(row["inputs"])),
    )


def _recorded(row: Row) -> dict[str, Any]:
    completion = completion_from(row)
    counts = {name: row[name] for name in ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens")}
    cost = from_stored(row["cost_usd"])
    recorded: dict[str, Any] = {
        "id": restored(row["case_id"]),
        "trial": row["trial"],
        "step": restored_or_none(row["step"]),
        **({"draw": row["draw"]} if row["draw"] else {}),
        "output": completion.text,
        "usage": {name: count for name, count in counts.items() if count is not None},
        "latency_ms": completion.latency_ms,
        "cost_usd": None if cost is None else float(cost),
        "finish": str(completion.finish),
        "model": completion.model,
        "request": content_digest(read_json(row["settings"]), read_json(restored_or_none(row["messages"]))),
    }
    if (logprobs := completion.logprobs) is not None:
        values = {"mean_logprob": logprobs.mean, "min_logprob": logprobs.least, "logprob_tokens": logprobs.count}
        recorded |= {name: value for name, value in values.items() if value is not None}
    if completion.reasoning:
        recorded["reasoning"] = completion.reasoning
    if completion.tool_calls:
        recorded["tool_calls"] = [asdict(call) for call in completion.tool_calls]
    return recorded
