"""Langfuse's own words: `langfuse.observation.type` and what stands beside it."""

from collections.abc import Mapping

from evalh.core.strict_json import JsonValue
from evalh.interop.spans.received import ReceivedSpan
from evalh.interop.spans.told import (
    AGENT,
    LLM,
    RETRIEVAL,
    STEP,
    TOOL,
    Attributes,
    Tokens,
    Told,
    ToldAnswer,
    content,
    count,
    decoded,
    number,
    settings_of,
    structured,
    text,
    tokens_of,
)
from evalh_trace.wires import OPENAI_CHAT

NAME = "langfuse"
TRACE = "TRACE"
"""The type of a span that stands for its trace."""

_PREFIX = "langfuse.observation."
TYPE = _PREFIX + "type"
INPUT, OUTPUT = _PREFIX + "input", _PREFIX + "output"
MODEL, PARAMETERS = _PREFIX + "model.name", _PREFIX + "model.parameters"
USAGE, COST = _PREFIX + "usage_details", _PREFIX + "cost_details"
PROMPT, PROMPT_VERSION = _PREFIX + "prompt.name", _PREFIX + "prompt.version"
FIRST_TOKEN = _PREFIX + "time_to_first_token"  # seconds
TRACE_NAME = "langfuse.trace.name"

_KINDS = {"GENERATION": LLM, "EMBEDDING": LLM, "TOOL": TOOL, "AGENT": AGENT, "RETRIEVER": RETRIEVAL}
_NUMBERS = ("temperature", "top_p", "top_k", "frequency_penalty", "presence_penalty", "seed")
_MOST = ("max_tokens", "max_completion_tokens", "max_output_tokens", "maxTokens")


def is_said_in(attributes: Attributes) -> bool:
    """Whether a span is in these words."""
    return TYPE in attributes


def read(span: ReceivedSpan) -> Told:
    """Read a span."""
    attributes = span.attributes
    stated = str(attributes.get(TYPE)).upper()
    kind = _KINDS.get(stated, STEP)
    if kind == LLM:
        return _call(attributes, "embedding" if stated == "EMBEDDING" else "chat")
    return Told(
        dialect=NAME,
        kind=kind,
        inputs=decoded(attributes.get(INPUT)),
        output=decoded(attributes.get(OUTPUT)),
    )


def _call(attributes: Attributes, operation: str) -> Told:
    stated = attributes.get(INPUT)
    asked = decoded(stated)
    given = structured(attributes.get(PARAMETERS))
    given = given if isinstance(given, dict) else {}
    model = text(attributes, MODEL)
    first = number(attributes.get(FIRST_TOKEN))
    tools = asked.get("tools") if isinstance(asked, dict) else None
    return Told(
        dialect=NAME,
        kind=LLM,
        operation=operation,
        model=model,
        settings=settings_of(model, _params(given), tools=tools if isinstance(tools, list) else ()),
        messages=None if operation == "embedding" else _messages(asked, stated),
        answer=_answer(attributes.get(OUTPUT)) if operation == "chat" else ToldAnswer(),
        tokens=_tokens(structured(attributes.get(USAGE))),
        ttft_ms=None if first is None or first < 0 else first * 1000.0,
        cost_usd=_cost(structured(attributes.get(COST))),
        prompt=_prompt(attributes),
    )


def _params(given: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    params: dict[str, JsonValue] = {name: _amount(given.get(name)) for name in _NUMBERS}
    params["max_tokens"] = next((one for key in _MOST if (one := _amount(given.get(key))) is not None), None)
    return params


def _amount(value: JsonValue) -> float | int | None:
    """Return a number; Langfuse's own clients write them as text, too."""
    found = decoded(value) if isinstance(value, str) and len(value) < 40 else value  # noqa: PLR2004 (no number is longer)
    return number(found)


def _said(found: JsonValue, stated: JsonValue) -> str | None:
    """Return a text as it was written: an answer that is JSON stays the text that it was."""
    return stated if isinstance(stated, str) and not isinstance(found, str) else content(found)


def _messages(asked: JsonValue, stated: JsonValue) -> JsonValue:
    """Return what was asked in the log's form: chat messages, a body that holds them, or one text."""
    if isinstance(asked, dict) and isinstance(asked.get("messages"), list):
        asked = asked["messages"]
    if isinstance(asked, dict) and "role" in asked:
        asked = [asked]
    if isinstance(asked, list) and asked and all(isinstance(one, dict) and "role" in one for one in asked):
        return OPENAI_CHAT.request_fields({"messages": asked}, "")["messages"] or None
    said = _said(asked, stated)
    return None if said is None else [{"role": "user", "parts": [said]}]


def _answer(stated: JsonValue) -> ToldAnswer:
    said = decoded(stated)
    if isinstance(said, list) and len(said) == 1:
        said = said[0]
    if isinstance(said, dict) and isinstance(said.get("choices"), list):
        body = said
    elif isinstance(said, dict) and ("role" in said or "tool_calls" in said):
        body = {"choices": [{"message": said}]}
    else:
        return ToldAnswer(text=_said(said, stated))
    found = OPENAI_CHAT.answer_fields(body)
    return ToldAnswer(**{name: found.get(name) for name in ToldAnswer.__struct_fields__})


def _tokens(usage: JsonValue) -> Tokens:
    """Add up usage: `input` is what is not named further, so `input_cached_tokens` and the like belong to it."""
    if not isinstance(usage, dict):
        return Tokens()

    def total(*words: str) -> int | None:
        parts = [
            one
            for key in usage
            if isinstance(key, str) and any(word in key for word in words)
            if (one := count(usage, key)) is not None
        ]
        return sum(parts) if parts else None

    return tokens_of(
        taken=total("input", "prompt"),
        given=total("output", "completion"),
        cached=total("cached", "cache_read"),
        reasoning=total("reasoning"),
    )


def _cost(costs: JsonValue) -> float | None:
    """Return the total. Without a price of its own Langfuse writes nothing, or a zero beside no part."""
    if not isinstance(costs, dict) or not costs:
        return None
    parts = [one for key, one in costs.items() if key != "total" and number(one) is not None]
    total = number(costs.get("total"))
    total = sum(parts) if total is None and parts else total
    return None if total is None or total < 0 or (total == 0 and not parts) else float(total)


def _prompt(attributes: Attributes) -> str | None:
    name, version = text(attributes, PROMPT), attributes.get(PROMPT_VERSION)
    if name is None or isinstance(version, bool) or not isinstance(version, int):
        return name
    return f"{name}@{version}"[:500]  # its own count of versions: v3 here is another text
