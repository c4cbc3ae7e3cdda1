"""The GenAI semantic conventions.

Up to 1.36 a call's messages are events of their own, `gen_ai.user.message` and so on: log records, or events of the
span. From 1.37 they are attributes, as JSON text or structured, on the span or on one event beside it; or elsewhere,
and an attribute says where.
"""

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from evalh.core.strict_json import JsonValue
from evalh.interop.otel_values import (
    CACHE_READ_TOKENS,
    DOUBLES,
    INPUT_MESSAGES,
    INPUT_TOKENS,
    INTEGERS,
    OPERATION,
    OUTPUT_MESSAGES,
    OUTPUT_TOKENS,
    PROVIDER,
    REASONING_TOKENS,
    REQUEST_MODEL,
    REQUEST_STREAM,
    RESPONSE_FINISH_REASONS,
    RESPONSE_MODEL,
    SERVER_ADDRESS,
    SERVER_PORT,
    STOP_SEQUENCES,
    TIME_TO_FIRST_CHUNK,
)
from evalh.interop.spans.received import LONGEST_NAME, ReceivedEvent, ReceivedSpan, short
from evalh.interop.spans.told import (
    AGENT,
    LLM,
    RETRIEVAL,
    STEP,
    TOOL,
    Attributes,
    Told,
    ToldAnswer,
    content,
    count,
    finish,
    number,
    parsed,
    provider,
    sent_to,
    settings_of,
    structured,
    text,
    tokens_of,
    tool_call,
)

NAME = "genai"
DETAILS = "gen_ai.client.inference.operation.details"
CHOICE = "gen_ai.choice"
_MESSAGE_EVENTS = {f"gen_ai.{role}.message": role for role in ("system", "user", "assistant", "tool")}
_SYSTEM = "gen_ai.system_instructions"
_SYSTEM_NAME = "gen_ai.system"  # the provider's, up to 1.36
_OPERATIONS = {
    "chat": (LLM, "chat"),
    "generate_content": (LLM, "chat"),
    "text_completion": (LLM, "completion"),
    "embeddings": (LLM, "embedding"),
    "execute_tool": (TOOL, ""),
    "retrieval": (RETRIEVAL, ""),
    "invoke_agent": (AGENT, ""),
    "create_agent": (AGENT, ""),
    "invoke_workflow": (STEP, ""),
}
_REFERENCES = tuple(f"{key}{end}" for key in (_SYSTEM, INPUT_MESSAGES, OUTPUT_MESSAGES) for end in ("_ref", ".ref"))
_MOST_MESSAGES = 10_000


def is_part(event: ReceivedEvent) -> bool:
    """Whether an event is part of a call: one of its messages, its answer, or its details."""
    return event.name in _MESSAGE_EVENTS or event.name in {CHOICE, DETAILS}


def kind_of(attributes: Attributes) -> tuple[str, str] | None:
    """Return a span's kind and its operation; None: it is not one of GenAI."""
    operation = attributes.get(OPERATION)
    if isinstance(operation, str) and operation in _OPERATIONS:
        return _OPERATIONS[operation]
    asked = attributes.get(REQUEST_MODEL) is not None
    if asked and (operation is not None or {PROVIDER, _SYSTEM_NAME} & attributes.keys()):
        return LLM, "chat"
    return (STEP, "") if operation is not None else None


def read(span: ReceivedSpan, events: Iterable[ReceivedEvent]) -> Told | None:
    """Read a span with the events that belong to it; None: it is not one of GenAI."""
    found = kind_of(span.attributes)
    if found is None:
        return None
    kind, operation = found
    told = [event for event in (*span.events, *events) if is_part(event)]
    told.sort(key=lambda event: event.at or 0.0)
    attributes = dict(span.attributes)
    for event in told:
        if event.name == DETAILS:
            attributes = {**event.attributes, **attributes}
    if kind == LLM:
        return call(attributes, operation, told)
    return _step(attributes, kind, told, _after_operation(span))


def call(attributes: Attributes, operation: str, events: Iterable[ReceivedEvent] = ()) -> Told:
    """Read a call of a model."""
    events = list(events)
    model = text(attributes, REQUEST_MODEL)
    told_first = number(attributes.get(TIME_TO_FIRST_CHUNK))
    return Told(
        dialect=NAME,
        kind=LLM,
        operation=operation,
        provider=provider(text(attributes, PROVIDER, _SYSTEM_NAME)),
        model=model,
        model_answered=text(attributes, RESPONSE_MODEL),
        settings=settings_of(
            model,
            _params(attributes),
            tools=_list(attributes.get("gen_ai.tool.definitions")),
            stream=attributes.get(REQUEST_STREAM),
            sent=sent_to(attributes.get(SERVER_ADDRESS), attributes.get(SERVER_PORT)),
        ),
        messages=_asked(attributes) or _asked_by_events(events),
        answer=_answer(attributes, events),
        tokens=tokens_of(
            taken=count(attributes, INPUT_TOKENS, "gen_ai.usage.prompt_tokens"),
            given=count(attributes, OUTPUT_TOKENS, "gen_ai.usage.completion_tokens"),
            cached=count(attributes, CACHE_READ_TOKENS),
            reasoning=count(attributes, REASONING_TOKENS, "gen_ai.usage.reasoning_tokens"),
        ),
        ttft_ms=None if told_first is None or told_first < 0 else told_first * 1000.0,
        prompt=text(attributes, "gen_ai.prompt.name"),
        response_id=text(attributes, "gen_ai.response.id"),
        references=_references(attributes),
    )


def _after_operation(span: ReceivedSpan) -> str | None:
    """Return what a span is about where it is called `invoke_workflow refund`, as the conventions ask."""
    operation, _, name = span.name.partition(" ")
    return name.strip() or None if operation == span.attributes.get(OPERATION) else None


def _step(attributes: Attributes, kind: str, events: Iterable[ReceivedEvent], name: str | None) -> Told:
    named = {
        TOOL: "gen_ai.tool.name",
        AGENT: "gen_ai.agent.name",
        RETRIEVAL: "gen_ai.data_source.id",
    }
    asked, answered = attributes.get(INPUT_MESSAGES), attributes.get(OUTPUT_MESSAGES)
    return Told(
        dialect=NAME,
        kind=kind,
        name=text(attributes, named.get(kind, "gen_ai.workflow.name"), "gen_ai.agent.name") or name,
        inputs=_first(
            parsed(attributes.get("gen_ai.tool.call.arguments")),
            attributes.get("gen_ai.retrieval.query.text"),
            _asked(attributes) if asked is not None else None,
            _asked_by_events(events),
        ),
        output=_first(
            parsed(attributes.get("gen_ai.tool.call.result")),
            parsed(attributes.get("gen_ai.retrieval.documents")),
            messages_of(answered) if answered is not None else None,
        ),
        references=_references(attributes),
    )


def _first(*values: JsonValue) -> JsonValue:
    return next((value for value in values if value is not None), None)


def _params(attributes: Attributes) -> dict[str, JsonValue]:
    params: dict[str, JsonValue] = {name: number(attributes.get(key)) for name, key in {**DOUBLES, **INTEGERS}.items()}
    stop = attributes.get(STOP_SEQUENCES)
    params["stop"] = stop if isinstance(stop, list) and stop else None
    return params


def _references(attributes: Attributes) -> tuple[str, ...]:
    """Return where content lies that is not in the span, without what a signed address holds."""
    found = []
    for key in _REFERENCES:
        address = attributes.get(key)
        if isinstance(address, str) and address:
            try:
                parts = urlsplit(address)
                place = f"{parts.scheme}://{parts.hostname or ''}{parts.path}" if parts.scheme else parts.path
            except ValueError:
                place = "an address that cannot be read"
            found.append(place[:LONGEST_NAME])
    return tuple(found)


# -- messages of 1.37 and later


def _asked(attributes: Attributes) -> JsonValue:
    """Return what was asked: the system's instructions first."""
    system = structured(attributes.get(_SYSTEM))
    first = [{"role": "system", "parts": _parts(system)}] if isinstance(system, list) and system else []
    rest = messages_of(attributes.get(INPUT_MESSAGES))
    return first + rest if rest else first or None


def messages_of(value: JsonValue) -> list[dict[str, JsonValue]] | None:
    """Return the conventions' messages in the log's form; None for what is not a list of them."""
    found = structured(value)
    if not isinstance(found, list):
        return None
    messages = []
    for one in found[:_MOST_MESSAGES]:
        if isinstance(one, dict):
            parts = one.get("parts")
            told = _parts(parts) if isinstance(parts, list) else parts_of(one.get("content"))
            messages.append({"role": short(one.get("role"), "user"), "parts": told})
    return messages or None


def _parts(parts: Iterable[JsonValue]) -> list[JsonValue]:
    return [_part(one) for one in parts if isinstance(one, dict | str)]


def _part(part: JsonValue) -> JsonValue:
    match part:
        case {"type": "text", "content": str(told)}:
            return told
        case {"type": "tool_call"}:
            return {"tool_call": tool_call(part.get("id"), part.get("name"), part.get("arguments"))}
        case {"type": "tool_call_response"}:
            told = part.get("response", part.get("result"))
            result = {"call_id": short(part.get("id")), "name": short(part.get("name")), "content": content(told) or ""}
            return {"tool_result": result}
        case {"type": "reasoning", "content": str(told)}:
            return {"reasoning": told}
        case {"type": "blob" | "uri" | "file"}:
            return {"media": {key: part[key] for key in ("mime_type", "modality", "uri", "file_id") if key in part}}
        case _:
            return part


def _answer(attributes: Attributes, events: Iterable[ReceivedEvent]) -> ToldAnswer:
    ended = finish(attributes.get(RESPONSE_FINISH_REASONS))
    answered = structured(attributes.get(OUTPUT_MESSAGES))
    first: Any = answered[0] if isinstance(answered, list) and answered else None
    if isinstance(first, dict):
        parts = first.get("parts")
        told = _parts(parts) if isinstance(parts, list) else parts_of(first.get("content"))
        return answer_of(told, ended or finish(first.get("finish_reason")))
    choices = [_body(event) for event in events if event.name == CHOICE]
    choices.sort(key=lambda body: body["index"] if type(body.get("index")) is int else 0)
    if not choices:
        return ToldAnswer(finish=ended)
    message = parsed(choices[0].get("message"))
    message = message if isinstance(message, dict) else {"content": message, **choices[0]}
    return answer_of(_old_parts(message), ended or finish(choices[0].get("finish_reason")))


def answer_of(parts: Iterable[JsonValue], ended: str | None) -> ToldAnswer:
    """Return an answer made of parts in the log's form."""
    parts = list(parts)
    texts = [part for part in parts if isinstance(part, str)]
    calls = [part["tool_call"] for part in parts if isinstance(part, dict) and "tool_call" in part]
    thought = [part["reasoning"] for part in parts if isinstance(part, dict) and isinstance(part.get("reasoning"), str)]
    return ToldAnswer(
        text="".join(texts) if texts else None,
        tool_calls=calls or None,
        reasoning="".join(thought) if thought else None,
        finish=ended,
    )


# -- messages of up to 1.36


def _body(event: ReceivedEvent) -> dict[str, Any]:
    """Return what an event says: the body of a log record; of a span's event, its attributes."""
    for told in (event.body, event.attributes.get("gen_ai.event.content")):
        found = structured(told)
        if isinstance(found, dict):
            return found
    return dict(event.attributes)


def _asked_by_events(events: Iterable[ReceivedEvent]) -> JsonValue:
    messages = []
    for event in events:
        role = _MESSAGE_EVENTS.get(event.name)
        if role is None:
            continue
        body = _body(event)
        parts = _old_parts(body)
        if role == "tool" and parts and isinstance(parts[0], str):
            result = {"call_id": short(body.get("id")), "name": short(body.get("name")), "content": parts[0]}
            parts = [{"tool_result": result}]
        messages.append({"role": short(body.get("role"), role), "parts": parts})
    # Where content is off, the events still tell which tools were called; that is not what was asked.
    return messages if any(map(_is_content, (part for one in messages for part in one["parts"]))) else None


def _is_content(part: JsonValue) -> bool:
    match part:
        case {"tool_call": dict(called)}:
            return bool(called["arguments"])
        case {"tool_result": dict(result)}:
            return bool(result["content"])
        case _:
            return True


def _old_parts(message: Mapping[str, Any]) -> list[JsonValue]:
    calls = structured(message.get("tool_calls"))
    return [*parts_of(message.get("content")), *map(_old_call, _list(calls))]


def _old_call(one: JsonValue) -> JsonValue:
    one = one if isinstance(one, dict) else {}
    inner = one.get("function")
    inner = inner if isinstance(inner, dict) else one
    return {"tool_call": tool_call(one.get("id"), inner.get("name"), inner.get("arguments"))}


def parts_of(told: JsonValue) -> list[JsonValue]:
    """Return a message's content, a text or a list of parts, in the log's form."""
    found = parsed(told)
    if isinstance(found, list) and all(isinstance(one, dict | str) for one in found):
        return [_old_part(one) for one in found]
    if told is None:
        return []
    return [told if isinstance(told, str) else content(told)]


def _old_part(part: JsonValue) -> JsonValue:
    match part:
        case {"type": "text" | "input_text" | "output_text", "text": str(told)}:
            return told
        case {"text": str(told), **rest} if not rest:
            return told
        case {"type": str(kind), **rest} if kind.startswith(("image", "input_image", "audio", "input_audio", "file")):
            return {"media": {"type": kind, "keys": sorted(rest)}}  # its bytes are not kept
        case _:
            return _part(part)


def _list(value: JsonValue) -> list[JsonValue]:
    found = structured(value)
    return found if isinstance(found, list) else []
