"""What one span says, in the words of records, and the small readers that all dialects share.

A reader takes what has the right type and is possible; anything else counts as not said.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import urlsplit

import orjson
from msgspec.structs import replace

from evalh.core.attempt import MOST_TOKENS
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.interop.spans.received import DEEPEST, LONGEST_NAME, finite, short

Attributes = Mapping[str, JsonValue]
V = TypeVar("V", bound=Value)

LLM, TOOL, AGENT, RETRIEVAL, STEP = "llm", "tool", "agent", "retrieval", "step"

_HOMES = frozenset({"api.openai.com", "api.anthropic.com", "generativelanguage.googleapis.com"})
_PROVIDERS = {
    "gcp.gemini": "gemini",
    "gcp.gen_ai": "gemini",
    "google": "gemini",
    "google_generativeai": "gemini",
    "googleai": "gemini",
}
_FINISHES = {
    "stop": ("stop", "end_turn", "stop_sequence", "finish", "finished", "eos"),
    "length": ("length", "max_tokens", "max_output_tokens"),
    "tool_calls": ("tool_calls", "tool_call", "tool_use", "function_call"),
    "content_filter": ("content_filter", "content-filter", "safety", "recitation", "blocklist"),
    "refusal": ("refusal",),
}
_FINISH = {word: finish for finish, words in _FINISHES.items() for word in words}
_MOST_INDEX_DIGITS = 6


class ToldAnswer(Value, kw_only=True):
    """What a model answered; the first choice where there are several."""

    text: str | None = None
    tool_calls: JsonValue = None
    reasoning: str | None = None
    finish: str | None = None


class Tokens(Value, kw_only=True):
    """What a call took; None: not said."""

    input: int | None = None
    output: int | None = None
    cached: int | None = None
    reasoning: int | None = None


class Told(Value, kw_only=True):
    """What a span says. Content is here whether it is wanted or not."""

    dialect: str
    kind: str  # llm, tool, agent, retrieval, step
    name: str | None = None  # of the workflow, agent or tool; None: the span's own name
    # of a call
    operation: str = "chat"
    provider: str | None = None
    model: str | None = None
    model_answered: str | None = None
    settings: dict[str, JsonValue] | None = None
    messages: JsonValue = None
    answer: ToldAnswer = ToldAnswer()
    tokens: Tokens = Tokens()
    ttft_ms: float | None = None
    cost_usd: float | None = None
    prompt: str | None = None
    response_id: str | None = None
    references: tuple[str, ...] = ()  # where content lies that is not in the span
    # of a step
    inputs: JsonValue = None
    output: JsonValue = None


_OF_A_CALL = ("provider", "model", "model_answered", "messages", "ttft_ms", "cost_usd", "prompt", "response_id")


def completed(inner: Told, outer: Told) -> Told:
    """Return a call with what only the span around it says of the same call."""
    known: dict[str, Any] = {name: getattr(outer, name) for name in _OF_A_CALL if getattr(inner, name) is None}
    settings = {**(outer.settings or {}), **(inner.settings or {})}
    if "params" in settings:
        settings["params"] = {
            key: value for one in (outer, inner) for key, value in ((one.settings or {}).get("params") or {}).items()
        }
    return replace(
        inner,
        **known,
        settings=settings or None,
        answer=_filled(inner.answer, outer.answer),
        tokens=_filled(inner.tokens, outer.tokens),
        references=inner.references or outer.references,
    )


def _filled(inner: V, outer: V) -> V:
    return replace(
        inner, **{name: getattr(outer, name) for name in inner.__struct_fields__ if getattr(inner, name) is None}
    )


def text(attributes: Attributes, *keys: str) -> str | None:
    """Return the first name among the keys, of bounded length."""
    return next((found for key in keys if (found := short(attributes.get(key)))), None)


def content(value: JsonValue) -> str | None:
    """Return content as text: other values as their JSON."""
    if value is None or isinstance(value, str):
        return value
    return orjson.dumps(value).decode()


def count(attributes: Attributes, *keys: str) -> int | None:
    """Return the first possible number of tokens among the keys."""
    return next((one for key in keys if (one := _tokens(attributes.get(key))) is not None), None)


def _tokens(value: JsonValue) -> int | None:
    if isinstance(value, float) and value.is_integer() and abs(value) <= MOST_TOKENS:
        value = int(value)
    return value if type(value) is int and 0 <= value <= MOST_TOKENS else None


def tokens_of(*, taken: int | None, given: int | None, cached: int | None, reasoning: int | None) -> Tokens:
    """Return counts that can be true together: a part above its whole is not one."""
    return Tokens(
        input=taken,
        output=given,
        cached=None if cached is not None and taken is not None and cached > taken else cached,
        reasoning=None if reasoning is not None and given is not None and reasoning > given else reasoning,
    )


def number(value: JsonValue) -> float | int | None:
    """Return a finite number; a truth value is not one."""
    return None if isinstance(value, bool) or not isinstance(value, int | float) or finite(value) is None else value


def parsed(value: JsonValue) -> JsonValue:
    """Return JSON text as what it says; text that is not JSON or nests too deeply, and any other value, as it is."""
    if not isinstance(value, str) or value.lstrip()[:1] not in {"{", "["}:
        return value
    try:
        found = orjson.loads(value)
    except orjson.JSONDecodeError:
        return value
    return value if is_deep(found) else found


def decoded(value: JsonValue) -> JsonValue:
    """Return what is always written as JSON, a text and a number too; as it is where it was cut off."""
    if isinstance(value, str) and value[:1] not in {"{", "["}:
        try:
            return orjson.loads(value)
        except orjson.JSONDecodeError:
            return value
    return parsed(value)


def is_deep(value: JsonValue) -> bool:
    """Whether a value has more levels than are kept."""
    level = [value]
    for _ in range(DEEPEST):
        level = [
            one
            for held in level
            if isinstance(held, list | dict)
            for one in (held.values() if isinstance(held, dict) else held)
            if isinstance(one, list | dict)
        ]
        if not level:
            return False
    return True


def structured(value: JsonValue) -> JsonValue:
    """Return a list or an object, written as such or as JSON text; None for anything else."""
    found = parsed(value)
    return found if isinstance(found, list | dict) else None


def finish(word: JsonValue) -> str | None:
    """Return why an answer ended, in the log's words."""
    if isinstance(word, list):
        word = word[0] if word else None
    if not isinstance(word, str) or not word:
        return None
    return _FINISH.get(word.lower().rpartition(".")[2], "other")


def provider(name: str | None) -> str | None:
    """Return the provider's name here."""
    if name is None:
        return None
    return _PROVIDERS.get(name.lower(), name.lower())


def sent_to(address: JsonValue, port: JsonValue = None) -> dict[str, JsonValue] | None:
    """Return where a request went; None: to the provider's own address, or not said. An address may have a login."""
    if not isinstance(address, str) or not address.strip():
        return None
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
        host, stated = parts.hostname, parts.port
    except ValueError:
        return None
    if not host or host in _HOMES:
        return None
    port = stated or (port if type(port) is int else None)
    place = host[:LONGEST_NAME] if port is None else f"{host[:LONGEST_NAME]}:{port}"
    return {"base_url": f"{parts.scheme}://{place}" if parts.scheme else place}


def settings_of(
    model: str | None,
    params: Mapping[str, JsonValue],
    *,
    tools: Sequence[JsonValue] = (),
    stream: JsonValue = None,
    sent: JsonValue = None,
) -> dict[str, JsonValue] | None:
    """Return what is known of a request but its messages; None: nothing is."""
    known: dict[str, JsonValue] = {
        "model": model,
        "params": {key: value for key, value in params.items() if value is not None},
        "tools": [tool for one in tools if (tool := _tool(one)) is not None],
        "stream": stream if isinstance(stream, bool) else None,
        "sent_to": sent,
    }
    return {key: value for key, value in known.items() if value not in (None, {}, [])} or None


def _tool(tool: JsonValue) -> JsonValue:
    """Return a tool's definition in the log's form, whichever provider's form it is in."""
    tool = structured(tool)
    if not isinstance(tool, dict):
        return None
    inner = tool.get("function")
    tool = inner if isinstance(inner, dict) else tool
    if not isinstance(tool.get("name"), str):
        return None
    parameters = structured(tool.get("parameters") or tool.get("input_schema"))
    return {
        "name": short(tool["name"]),
        "description": tool["description"] if isinstance(tool.get("description"), str) else "",
        "parameters": parameters if isinstance(parameters, dict) else {},
    }


def tool_call(call_id: JsonValue, name: JsonValue, arguments: JsonValue) -> dict[str, JsonValue]:
    """Return a model's call of a tool in the log's form: its arguments are text."""
    return {"id": short(call_id), "name": short(name), "arguments": content(arguments) or ""}


def indexed(attributes: Attributes, prefix: str) -> Iterator[dict[str, JsonValue]]:
    """Yield the attributes `<prefix><N>.<rest>` by their numbers, in order: a dictionary of `<rest>` for each."""
    groups: dict[int, dict[str, JsonValue]] = {}
    for key, value in attributes.items():
        if not key.startswith(prefix):
            continue
        index, dot, rest = key[len(prefix) :].partition(".")
        if dot and index.isascii() and index.isdigit() and len(index) <= _MOST_INDEX_DIGITS:
            groups.setdefault(int(index), {})[rest] = value
    for place in sorted(groups):
        yield groups[place]
