"""One sample in the form of Inspect's log: messages, output, scores and events.

Models wrote most of it: arguments of tools that Inspect's reader would refuse (too deep, numbers too large) stay text.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson

from evalh.core.attempt import Completion, Usage
from evalh.core.log import AttemptRow, CallRow, SampleDetail
from evalh.core.request import ToolCall
from evalh.core.sample import Graded, Standing
from evalh.core.strict_json import JsonValue
from evalh.core.verdict import Outcome, Verdict

GOOD = "good"
"""The score that says what a sample is; each grader has one of its own name."""

_STOPS = {"stop": "stop", "length": "max_tokens", "tool_calls": "tool_calls", "content_filter": "content_filter"}
_DEEPEST = 40
_MARKS = {Outcome.PASS: "C", Outcome.FAIL: "I"}


def sample_document(detail: SampleDetail, model: str) -> dict[str, Any]:
    """Return a sample as Inspect keeps it. What was not graded has the value NaN, Inspect's word for unscored."""
    sample = detail.sample
    tasks = [call for call in detail.calls if call.purpose == "task" and call.draw == 0]
    call = next((one for one in reversed(tasks) if one.answered_by == sample.answered_by), None)
    sent = [] if call is None else list(_messages(call.messages))
    answer = None if call is None or call.answer is None else call.answer.completion
    text = sample.step_output if answer is None else answer.text
    output = _output(model, answer, text, None if call is None or call.answer is None else call.answer)
    attempts = [attempt for one in detail.calls for attempt in one.attempts]
    document = {
        "id": sample.case_id,
        "epoch": sample.trial + 1,
        "input": sent or orjson.dumps(detail.case.inputs, default=dict).decode(),
        "target": _target(detail),
        "messages": [*sent, *(choice["message"] for choice in output["choices"])],
        "output": output,
        "scores": _scores(detail, text),
        "metadata": {"tags": sorted(detail.case.tags), "evalh": sample.id},
        "store": {},
        "events": list(_events(detail, model)),
        "model_usage": {} if output.get("usage") is None else {model: output["usage"]},
        "uuid": sample.id,
        "attachments": {},
    }
    if attempts:
        began = min(one.started_at for one in attempts)
        ended = max(one.started_at + (one.latency_ms or 0.0) / 1000 for one in attempts)
        document |= {"started_at": instant(began), "completed_at": instant(ended), "total_time": ended - began}
    if sample.latency.total_ms is not None:
        document["working_time"] = sample.latency.total_ms / 1000
    if sample.error_kind is not None:
        message = sample.error or sample.error_kind
        document["error"] = {"message": message, "traceback": message, "traceback_ansi": message}
    return document


def instant(seconds: float) -> str:
    """Write an instant as Inspect does."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def usage_document(usage: Usage, cost_usd: Decimal | None) -> dict[str, Any] | None:
    """Return tokens as Inspect counts them, cache reads apart from the input; None if the provider did not say."""
    if usage.input_tokens is None or usage.output_tokens is None:
        return None
    found = {
        "input_tokens": max(usage.input_tokens - (usage.cached_tokens or 0), 0),
        "output_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "input_tokens_cache_read": usage.cached_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "total_cost": None if cost_usd is None else float(cost_usd),
    }
    return {name: value for name, value in found.items() if value is not None}


def mark(verdict: Verdict) -> str | float:
    """Return a verdict as Inspect's value: C, I, or NaN where nothing was graded."""
    return _MARKS.get(verdict.outcome, math.nan)


# -- messages and answers


def _target(detail: SampleDetail) -> str | list[str]:
    expected = detail.case.expected
    match expected:
        case None:
            return ""
        case str():
            return expected
        case [*texts] if all(isinstance(text, str) for text in texts):
            return [str(text) for text in texts]
        case _:
            return orjson.dumps(expected, default=dict, option=orjson.OPT_NON_STR_KEYS).decode()


def _messages(messages: JsonValue) -> Iterator[dict[str, Any]]:
    for message in messages if isinstance(messages, list) else ():
        results = [part["tool_result"] for part in message["parts"] if "tool_result" in part and isinstance(part, dict)]
        for result in results:
            yield {
                "role": "tool",
                "content": result["content"],
                "tool_call_id": result["call_id"],
                "function": result["name"],
            }
        if results:
            continue
        calls = [part["tool_call"] for part in message["parts"] if isinstance(part, dict) and "tool_call" in part]
        told: dict[str, Any] = {"role": message["role"], "content": "".join(map(_text, message["parts"]))}
        if calls and message["role"] == "assistant":
            told["tool_calls"] = [_tool_call(one["id"], one["name"], one["arguments"]) for one in calls]
        yield told


def _text(part: JsonValue) -> str:
    match part:
        case str():
            return part
        case {"media": {"sha256": digest, "content_type": kind}}:  # the log knows it by its digest
            return f"[{kind} {digest}]"
        case _:
            return ""


def _output(model: str, answer: Completion | None, text: str | None, attempt: AttemptRow | None) -> dict[str, Any]:
    if answer is None and text is None:
        return {"model": model, "choices": []}
    message: dict[str, Any] = {"role": "assistant", "content": text or "", "source": "generate", "model": model}
    if answer is not None and answer.tool_calls:
        message["tool_calls"] = list(map(_called, answer.tool_calls))
    stop = "stop" if answer is None else _STOPS.get(str(answer.finish), "unknown")
    document: dict[str, Any] = {
        "model": (answer and answer.model) or model,
        "choices": [{"message": message, "stop_reason": stop}],
        "completion": text or "",
    }
    if attempt is not None:
        document["usage"] = usage_document(attempt.usage, attempt.cost_usd)
        if attempt.latency_ms is not None:
            document["time"] = attempt.latency_ms / 1000
    return document


def _called(call: ToolCall) -> dict[str, Any]:
    return _tool_call(call.id, call.name, call.arguments)


def _tool_call(call_id: str, name: str, arguments: str) -> dict[str, Any]:
    try:
        value = orjson.loads(arguments)
    except ValueError:
        value = None
    if not isinstance(value, dict) or not _shallow(value):
        value = {"arguments": arguments}  # what the model wrote, though it is not an object
    return {"id": call_id, "function": name, "arguments": value, "type": "function"}


def _shallow(value: JsonValue, deepest: int = _DEEPEST) -> bool:
    if not isinstance(value, dict | list):
        return True
    inside: Sequence[JsonValue] = list(value.values()) if isinstance(value, dict) else value
    return deepest > 0 and all(_shallow(one, deepest - 1) for one in inside)


# -- scores and events


def _scores(detail: SampleDetail, text: str | None) -> dict[str, Any]:
    standing = detail.sample.standing
    value = {Standing.GOOD: "C", Standing.BAD: "I"}.get(standing, math.nan)
    why = "; ".join(
        f"{one.grader}: {one.verdict.reason}"
        for one in detail.sample.verdicts
        if one.required and one.verdict.outcome is not Outcome.PASS
    )
    scores: dict[str, Any] = {GOOD: {"value": value, "answer": text, "explanation": why or str(standing)}}
    for one in detail.sample.verdicts:
        scores.setdefault(one.grader, _score(one, text))
    return scores


def _score(graded: Graded, text: str | None) -> dict[str, Any]:
    verdict = graded.verdict
    about: dict[str, Any] = {"outcome": str(verdict.outcome), "required": graded.required, "score": verdict.score}
    if verdict.detail is not None:
        about["detail"] = orjson.dumps(dict(verdict.detail), default=str).decode()
    return {"value": mark(verdict), "answer": text, "explanation": verdict.reason, "metadata": about}


def _events(detail: SampleDetail, model: str) -> Iterator[dict[str, Any]]:
    began = min((one.started_at for call in detail.calls for one in call.attempts), default=0.0)
    ended = began
    for call in detail.calls:
        for attempt in call.attempts:
            ended = max(ended, attempt.started_at + (attempt.latency_ms or 0.0) / 1000)
            yield from _attempt_events(attempt, call, model, began)
        for decision in call.decisions:
            said = {"decision": decision.kind, "reason": decision.reason, "call": call.id}
            yield {"event": "info", "source": "evalh", "data": said, **_when(decision.at, began)}
    for one in detail.sample.verdicts:
        score = _score(one, None)
        yield {"event": "score", "score": score, "scorer": one.grader, "target": _target(detail), **_when(ended, began)}


def _attempt_events(attempt: AttemptRow, call: CallRow, model: str, began: float) -> Iterator[dict[str, Any]]:
    when = _when(attempt.started_at, began)
    yield {"event": "span_begin", "id": attempt.id, "span_id": attempt.id, "name": call.purpose, "type": "call", **when}
    seconds = (attempt.latency_ms or 0.0) / 1000
    messages = call.messages if attempt.messages is None else attempt.messages
    text = None if attempt.completion is None else attempt.completion.text
    document: dict[str, Any] = {
        "event": "model",
        "span_id": attempt.id,
        "model": model if call.purpose == "task" else attempt.model,
        "input": list(_messages(messages)),
        "tools": [],
        "tool_choice": "auto",
        "config": {},
        "output": _output(attempt.model, attempt.completion, text, attempt),
        "working_time": seconds,
        "completed": instant(attempt.started_at + seconds),
        **when,
    }
    if attempt.status != "ok":
        document["error"] = f"{attempt.error_kind or attempt.status}: {attempt.error or ''}"
    yield document
    ended = _when(attempt.started_at + seconds, began)
    yield {"event": "span_end", "id": attempt.id, "span_id": attempt.id, **ended}


def _when(at: float, began: float) -> Mapping[str, Any]:
    return {"timestamp": instant(at), "working_start": max(at - began, 0.0)}
