"""A run's answers as rows that the `replay` provider reads."""

from collections.abc import Callable, Iterator
from sqlite3 import Row
from typing import Any

from evalh.core.money import from_stored
from evalh.core.request import content_digest
from evalh.store.columns import read_json, restored, restored_or_none
from evalh.store.restore import completion_from

_ANSWERS = """select c.case_id, c.trial, c.step, coalesce(c.settings, r.settings) as settings,
  coalesce(c.messages, (select o.messages from calls o where o.id = a.call_id)) as messages,
  a.text, a.finish, a.tool_calls,
  case when c.waited_ms is null then a.latency_ms else c.latency_ms end as latency_ms,
  a.ttft_ms, a.model_answered, a.request_id, a.input_tokens, a.output_tokens, a.cached_tokens, a.reasoning_tokens,
  a.mean_logprob, a.min_logprob, a.logprob_tokens, a.reasoning,
  null as raw,
  c.cost_usd + c.cached_cost_usd as cost_usd
from calls c
join runs r on r.id = c.run_id
join samples s on s.id = c.run_id || '/' || c.case_id || '/' || c.trial
join attempts a on a.id = c.answered_by
where c.id > :run || ':' and c.id < :run || ';' and c.purpose = 'task' and c.draw = 0
order by s.case_index, c.trial, c.rowid"""


def recording(stream: Callable[..., Iterator[Row]], run_id: str) -> Iterator[dict[str, Any]]:
    """Yield the answers of a run's task in dataset order. A sample without an answer has no row."""
    for row in stream(_ANSWERS, {"run": run_id}):
        yield _row(row)


def _row(row: Row) -> dict[str, Any]:
    completion = completion_from(row)
    usage = completion.usage
    counts = {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cached_tokens": usage.cached_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
    }
    cost = from_stored(row["cost_usd"])
    recorded: dict[str, Any] = {
        "id": restored(row["case_id"]),
        "trial": row["trial"],
        "step": restored_or_none(row["step"]),
        "output": completion.text,
        "usage": {name: count for name, count in counts.items() if count is not None},
        "latency_ms": completion.latency_ms,
        "cost_usd": None if cost is None else float(cost),
        "finish": str(completion.finish),
        "model": completion.model,
        "request": content_digest(read_json(row["settings"]), read_json(restored_or_none(row["messages"]))),
    }
    if (told := completion.logprobs) is not None:
        values = {"mean_logprob": told.mean, "min_logprob": told.least, "logprob_tokens": told.count}
        recorded |= {name: value for name, value in values.items() if value is not None}
    if completion.reasoning:
        recorded["reasoning"] = completion.reasoning
    if completion.tool_calls:
        recorded["tool_calls"] = [
            {"id": call.id, "name": call.name, "arguments": call.arguments} for call in completion.tool_calls
        ]
    return recorded
