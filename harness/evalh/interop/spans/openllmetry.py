"""OpenLLMetry: `gen_ai.prompt.N.…`, `traceloop.…`; newer versions say the rest as the GenAI conventions do."""

from collections.abc import Iterable

from msgspec.structs import replace

from evalh.core.strict_json import JsonValue
from evalh.interop.spans import genai
from evalh.interop.spans.received import ReceivedEvent, ReceivedSpan, short
from evalh.interop.spans.told import (
    AGENT,
    LLM,
    STEP,
    TOOL,
    Attributes,
    Told,
    ToldAnswer,
    count,
    decoded,
    finish,
    indexed,
    sent_to,
    settings_of,
    text,
    tokens_of,
    tool_call,
)

NAME = "openllmetry"
KIND = "traceloop.span.kind"
WORKFLOW = "traceloop.workflow.name"
_PROMPT, _COMPLETION, _FUNCTION = "gen_ai.prompt.", "gen_ai.completion.", "llm.request.functions."
_TYPES = {"chat": "chat", "completion": "completion", "embedding": "embedding", "rerank": "chat"}
_KINDS = {"workflow": STEP, "task": STEP, "agent": AGENT, "tool": TOOL}
_MARKS = (KIND, "llm.request.type", "llm.is_streaming", "gen_ai.is_streaming", "llm.usage.total_tokens")
_CHUNKS = frozenset({"llm.content.completion.chunk", "gen_ai.content.completion.chunk"})


def is_said_in(attributes: Attributes) -> bool:
    """Whether a span is in this dialect."""
    return any(mark in attributes for mark in _MARKS) or any(
        key.startswith((f"{_PROMPT}0.", f"{_COMPLETION}0.")) for key in attributes
    )


def read(span: ReceivedSpan, events: Iterable[ReceivedEvent]) -> Told | None:
    """Read a span with the events that belong to it; None: it says nothing of a call, tool or step."""
    attributes = span.attributes
    kind = attributes.get(KIND)
    if isinstance(kind, str) and kind.lower() in _KINDS:
        return Told(
            dialect=NAME,
            kind=_KINDS[kind.lower()],
            name=text(attributes, "traceloop.entity.name"),
            inputs=_arguments(attributes.get("traceloop.entity.input")),
            output=decoded(attributes.get("traceloop.entity.output")),
        )
    told = genai.read(span, events)
    asked = attributes.get("llm.request.type")
    if told is None and not isinstance(asked, str):
        return None
    if told is None or told.kind == LLM:
        told = told or genai.call(attributes, _TYPES.get(str(asked), "chat"))
        if isinstance(asked, str):
            told = replace(told, operation=_TYPES.get(asked, told.operation))
        told = _with_own_names(told, span)
    return replace(told, dialect=NAME)


def _with_own_names(told: Told, span: ReceivedSpan) -> Told:
    attributes, tokens = span.attributes, told.tokens
    known = told.settings or {}
    answer = _answer(attributes)
    stream = next((one for key in _MARKS[2:4] if isinstance(one := attributes.get(key), bool)), known.get("stream"))
    return replace(
        told,
        settings=settings_of(
            told.model,
            known.get("params") or {},
            tools=known.get("tools") or [{**one} for one in indexed(attributes, _FUNCTION)],
            stream=stream,
            sent=known.get("sent_to") or sent_to(attributes.get("gen_ai.openai.api_base")),
        ),
        messages=told.messages or [_message(one) for one in indexed(attributes, _PROMPT)] or None,
        answer=answer if answer is not None and told.answer.text is None else told.answer,
        tokens=tokens_of(
            taken=tokens.input,
            given=tokens.output,
            cached=count(attributes, "gen_ai.usage.cache_read_input_tokens")
            if tokens.cached is None
            else tokens.cached,
            reasoning=count(attributes, "llm.usage.reasoning_tokens") if tokens.reasoning is None else tokens.reasoning,
        ),
        ttft_ms=told.ttft_ms if told.ttft_ms is not None else first_event_ms(span, _CHUNKS),
        prompt=_prompt(attributes) or told.prompt,
    )


def first_event_ms(span: ReceivedSpan, names: Iterable[str]) -> float | None:
    """Return how long after the span's start the first event of these names came; None: there is none."""
    names = frozenset(names)
    times = [event.at for event in span.events if event.name in names and event.at is not None]
    if not times or span.started_at is None or min(times) < span.started_at:
        return None
    return (min(times) - span.started_at) * 1000.0


def _prompt(attributes: Attributes) -> str | None:
    key = text(attributes, "traceloop.prompt.key")
    version = attributes.get("traceloop.prompt.version")
    if key is None or isinstance(version, bool) or not isinstance(version, int | str):
        return key
    return f"{key}@{'v' if str(version).isdigit() else ''}{version}"[:500]


def _arguments(value: JsonValue) -> JsonValue:
    """Return a function's arguments by their names where it was called by them alone."""
    match decoded(value):
        case {"args": [], "kwargs": dict(named), **rest} if not rest:
            return named
        case other:
            return other


def _message(told: Attributes) -> JsonValue:
    role = short(told.get("role"), "user")
    parts = genai.parts_of(told.get("content"))
    if role == "tool" and parts and isinstance(parts[0], str):
        parts = [{"tool_result": {"call_id": short(told.get("tool_call_id")), "name": "", "content": parts[0]}}]
    return {"role": role, "parts": [*parts, *_calls(told)]}


def _calls(told: Attributes) -> list[JsonValue]:
    return [
        {"tool_call": tool_call(one.get("id"), one.get("name"), one.get("arguments"))}
        for one in indexed(told, "tool_calls.")
    ]


def _answer(attributes: Attributes) -> ToldAnswer | None:
    choices = list(indexed(attributes, _COMPLETION))
    if not choices:
        return None
    first = choices[0]
    return genai.answer_of([*genai.parts_of(first.get("content")), *_calls(first)], finish(first.get("finish_reason")))
