"""A run told sample by sample, in a handful of statements however many samples it has."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from sqlite3 import Row

from evalh.core.attempt import Usage
from evalh.core.log import DecisionRow
from evalh.core.money import from_stored
from evalh.core.sample import Graded
from evalh.core.story import SampleStory, TracedAttempt, TracedCall
from evalh.core.verdict import Outcome, Verdict
from evalh.store.columns import read_instant, read_json, restored, restored_or_none
from evalh.store.restore import case_from, decision_from, sample_from, tool_calls_from

Stream = Callable[..., Iterator[Row]]

# A sample's id is <run>/<case>/<trial> and a call's <run>:<number>: a run's rows are ranges of a primary key.
_STORIES = """select s.*, k.inputs, k.expected, k.tags, k.cluster, a.text, a.reasoning, a.tool_calls,
  a.input_tokens, a.output_tokens, a.cached_tokens, a.reasoning_tokens, a.model_answered,
  (select json_group_array(json_array(grader, required, outcome, score, reason))
    from (select * from verdicts where sample_id = s.id order by position)) as verdicts
from samples s
join cases k on k.id = s.case_id and k.digest = s.case_digest
left join attempts a on a.id = s.answered_by
where s.id > :run || '/' and s.id < :run || '0'
order by s.case_index, s.trial"""

# Where the log answered, what happened is told by the call that bought the answer.
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


def stories(stream: Stream, run_id: str) -> Iterator[SampleStory]:
    """Yield a run's samples in dataset order."""
    for row in stream(_STORIES, {"run": run_id}):
        fields = dict(row)
        yield SampleStory(
            sample=sample_from(fields, _verdicts(row["verdicts"])),
            case=case_from(fields | {"id": row["case_id"]}),
            output=restored_or_none(row["text"]),
            reasoning=restored_or_none(row["reasoning"]),
            tool_calls=tool_calls_from(row["tool_calls"]),
            usage=Usage(row["input_tokens"], row["output_tokens"], row["cached_tokens"], row["reasoning_tokens"]),
            model_answered=restored_or_none(row["model_answered"]),
        )


def _verdicts(text: str) -> tuple[Graded, ...]:
    return tuple(
        Graded(restored(grader), bool(required), Verdict(Outcome(outcome), score, restored(reason)))
        for grader, required, outcome, score, reason in read_json(text)
    )


def traces(stream: Stream, run_id: str) -> Mapping[tuple[str, int], tuple[TracedCall, ...]]:
    """Return the calls of every sample of a run, by (case id, trial)."""
    run = {"run": run_id}
    attempts: dict[str, list[TracedAttempt]] = defaultdict(list)
    for row in stream(_ATTEMPTS, run):
        attempts[row["traced"]].append(_attempt(row))
    decisions: dict[str, list[DecisionRow]] = defaultdict(list)
    for row in stream(_DECISIONS, run):
        decisions[row["traced"]].append(decision_from(row))
    calls: dict[tuple[str, int], list[TracedCall]] = defaultdict(list)
    for row in stream(_CALLS, run):
        traced = _call(row, tuple(attempts[row["id"]]), tuple(decisions[row["id"]]))
        calls[restored(row["case_id"]), row["trial"]].append(traced)
    return {sample: tuple(made) for sample, made in calls.items()}


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
