"""A call that a program records by hand: `trace.call(request, answer)`, or by its fields."""

from typing import TYPE_CHECKING, Any, TypedDict

import msgspec

from evalh_trace.records import Call, Json
from evalh_trace.wires import OPENAI_CHAT, Fields, error_fields, find
from evalh_trace.wires.reading import at, count, settings, usage

if TYPE_CHECKING:
    from evalh_trace.spans import Span


class CallFields(TypedDict, total=False):
    """The fields of a call that a program may give, in addition to a request and an answer or instead of them."""

    provider: str
    model: str
    messages: Any  # OpenAI's messages
    text: str
    tool_calls: Any  # [{"id": …, "name": …, "arguments": "…"}]
    finish: str
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    latency_ms: float
    ttft_ms: float
    cost_usd: float
    http_status: int
    request_id: str
    error_kind: str
    error: str
    prompt: str  # triage@v3


class Manual(msgspec.Struct):
    """What was read of it."""

    call: Call
    settings: Fields
    messages: Json
    fields: Fields  # of the attempt


_TEXTS = ("text", "finish", "request_id", "error_kind", "error")
_NUMBERS = ("latency_ms", "ttft_ms", "cost_usd")


def read_manual(span: "Span", step_id: str | None, document: Json) -> Manual | None:
    """Read what a program recorded; None for what cannot be read."""
    said = at(document, "fields")
    if not isinstance(said, dict):
        return None
    request, answer = at(document, "request"), at(document, "answer")
    given = {name: said[name] for name in ("model", "messages") if name in said}
    if isinstance(request, dict) or given:
        request = {**(request if isinstance(request, dict) else {}), **given}
    wire = find(None, request) or find(None, answer) or OPENAI_CHAT
    asked = wire.request_fields(request, "") if isinstance(request, dict) else {}
    fields = _answer(wire.answer_fields(answer) if isinstance(answer, dict) else {}, answer, said)
    provider, prompt, took = said.get("provider"), said.get("prompt"), fields.get("latency_ms")
    call = Call(
        id=at(document, "id"),
        workflow_id=span.workflow_id,
        step_id=step_id,
        operation=wire.operation,
        provider=provider if isinstance(provider, str) else wire.provider,
        started_at=at(document, "at") - (took or 0.0) / 1000.0,
        latency_ms=took,
        prompt=prompt if isinstance(prompt, str) else None,
    )
    nothing = settings(model=None, params={}, tools=[], stream=False)
    return Manual(call, asked.get("settings", nothing), asked.get("messages"), fields)


def _answer(read: Fields, answer: Json, said: Fields) -> Fields:
    fields = {**read}
    if isinstance(answer, str):
        fields["text"] = answer
    fields |= {name: said[name] for name in _TEXTS if isinstance(said.get(name), str)}
    for name in _NUMBERS:
        value = said.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
            fields[name] = float(value)
    if isinstance(said.get("tool_calls"), list):
        fields["tool_calls"] = said["tool_calls"]
    counts = {name: count(said[name]) for name in usage(None, None, None, None) if name in said}
    fields |= usage(*({**fields, **counts}.get(name) for name in usage(None, None, None, None)))
    status = count(said.get("http_status"))
    fields["http_status"] = status
    failure = at(answer, "error")
    if failure:
        fields = {**fields, **error_fields(status, {"error": failure})}
    failed = fields.get("error_kind") or fields.get("error")
    fields["error_kind"] = fields.get("error_kind") or ("bad_response" if failed else None)
    fields["status"] = "error" if failed else "ok"
    return fields
