"""OpenInference: `llm.input_messages.N.…`, `openinference.span.kind`."""

from msgspec.structs import replace

from evalh.core.strict_json import JsonValue
from evalh.interop.spans.genai import answer_of, parts_of
from evalh.interop.spans.openllmetry import first_event_ms
from evalh.interop.spans.received import ReceivedSpan, short
from evalh.interop.spans.told import (
    AGENT,
    LLM,
    RETRIEVAL,
    STEP,
    TOOL,
    Attributes,
    Told,
    ToldAnswer,
    count,
    finish,
    indexed,
    number,
    parsed,
    provider,
    settings_of,
    structured,
    text,
    tokens_of,
    tool_call,
)

NAME = "openinference"
KIND = "openinference.span.kind"
HIDDEN = "__REDACTED__"
"""What stands where an instrumentor was told to hide content."""

_ASKED, _ANSWERED = "llm.input_messages.", "llm.output_messages."
_MARKS = (_ASKED, _ANSWERED, "llm.token_count.", "llm.invocation_parameters")
_KINDS = {"LLM": LLM, "EMBEDDING": LLM, "TOOL": TOOL, "AGENT": AGENT, "RETRIEVER": RETRIEVAL, "RERANKER": RETRIEVAL}
_NUMBERS = ("temperature", "top_p", "top_k", "frequency_penalty", "presence_penalty", "seed")
_MOST = ("max_tokens", "max_completion_tokens", "max_output_tokens")


def is_said_in(attributes: Attributes) -> bool:
    """Whether a span is in this dialect."""
    return KIND in attributes or any(key.startswith(_MARKS) for key in attributes)


def read(span: ReceivedSpan) -> Told | None:
    """Read a span; None: it says nothing of a call, tool or step."""
    attributes = {key: value for key, value in span.attributes.items() if value != HIDDEN}
    stated = attributes.get(KIND)
    kind = _KINDS.get(str(stated).upper(), STEP) if stated is not None else LLM
    if kind == LLM:
        embeds = str(stated).upper() == "EMBEDDING"
        return replace(_call(span, attributes), operation="embedding" if embeds else "chat")
    return Told(
        dialect=NAME,
        kind=kind,
        name=text(attributes, *{TOOL: ("tool.name",), AGENT: ("agent.name",)}.get(kind, ())),
        inputs=_value(attributes, "input"),
        output=_documents(attributes) or _value(attributes, "output"),
    )


def _call(span: ReceivedSpan, attributes: Attributes) -> Told:
    given = structured(attributes.get("llm.invocation_parameters"))
    given = given if isinstance(given, dict) else {}
    told = text(attributes, "llm.model_name", "embedding.model_name")
    answered = text(attributes, "llm.response.model_name") or (told if not span.failed else None)
    model = text(attributes, "llm.request.model_name") or text(given, "model") or told
    cost = number(attributes.get("llm.cost.total"))
    return Told(
        dialect=NAME,
        kind=LLM,
        provider=provider(text(attributes, "llm.provider", "llm.system")),
        model=model,
        model_answered=answered,
        settings=settings_of(
            model,
            _params(given),
            tools=[one.get("tool.json_schema") for one in indexed(attributes, "llm.tools.")],
            stream=given.get("stream"),
        ),
        messages=[_message(one) for one in indexed(attributes, _ASKED)] or None,
        answer=_answer(attributes),
        tokens=tokens_of(
            taken=count(attributes, "llm.token_count.prompt"),
            given=count(attributes, "llm.token_count.completion"),
            cached=count(attributes, "llm.token_count.prompt_details.cache_read"),
            reasoning=count(attributes, "llm.token_count.completion_details.reasoning"),
        ),
        ttft_ms=first_event_ms(span, ("First Token Stream Event",)),
        cost_usd=float(cost) if cost is not None and cost >= 0 else None,
    )


def _params(given: Attributes) -> dict[str, JsonValue]:
    params: dict[str, JsonValue] = {name: number(given.get(name)) for name in _NUMBERS}
    params["max_tokens"] = next((one for key in _MOST if (one := number(given.get(key))) is not None), None)
    stop = given.get("stop")
    params["stop"] = [stop] if isinstance(stop, str) else stop if isinstance(stop, list) and stop else None
    return params


def _value(attributes: Attributes, which: str) -> JsonValue:
    """Return what went in or came out: JSON as what it says where the span says that it is JSON."""
    value = attributes.get(f"{which}.value")
    return parsed(value) if attributes.get(f"{which}.mime_type") == "application/json" else value


def _documents(attributes: Attributes) -> JsonValue:
    return [
        {key.removeprefix("document."): value for key, value in one.items()}
        for one in indexed(attributes, "retrieval.documents.")
    ] or None


def _message(told: Attributes) -> JsonValue:
    role = short(told.get("message.role"), "user")
    parts = _parts(told)
    if role == "tool" and parts and isinstance(parts[0], str):
        result = {
            "call_id": short(told.get("message.tool_call_id")),
            "name": short(told.get("message.name")),
            "content": parts[0],
        }
        parts = [{"tool_result": result}]
    return {"role": role, "parts": parts}


def _parts(told: Attributes) -> list[JsonValue]:
    parts: list[JsonValue] = []
    for one in indexed(told, "message.contents."):
        kind, said = one.get("message_content.type"), one.get("message_content.text")
        if kind == "reasoning" and isinstance(said, str):
            parts.append({"reasoning": said})
        elif isinstance(said, str):
            parts.append(said)
        else:
            parts.append({"media": {"type": short(kind)}})
    if "message.content" in told:
        parts += parts_of(told["message.content"])
    calls = indexed(told, "message.tool_calls.")
    return [*parts, *(_called(one) for one in calls)]


def _called(one: Attributes) -> JsonValue:
    name, arguments = one.get("tool_call.function.name"), one.get("tool_call.function.arguments")
    return {"tool_call": tool_call(one.get("tool_call.id"), name, arguments)}


def _answer(attributes: Attributes) -> ToldAnswer:
    ended = finish(attributes.get("llm.finish_reason"))
    messages = list(indexed(attributes, _ANSWERED))
    return answer_of(_parts(messages[0]), ended) if messages else ToldAnswer(finish=ended)
