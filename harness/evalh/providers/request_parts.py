"""What the wires share in saying a request: JSON, refusals by name, and parts that every API cuts alike."""

import json
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence

import orjson

from evalh.core.attempt import CallError, ErrorKind
from evalh.core.request import Media, Message, Role, Settings, Text, ToolCall, ToolResult
from evalh.core.strict_json import JsonValue

_KINDS = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}
_NAMED_SCHEMAS = ("properties", "$defs", "definitions")
_SCHEMAS = ("items", "prefixItems", "anyOf", "oneOf", "allOf", "additionalProperties")
_OURS = frozenset({"stream"})
"""Params that say how to ask, not what: `Settings.stream` carries it."""


class AsWritten:
    """JSON text that is sent as it is: a model's own digits stay its own."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


def encode(value: JsonValue) -> bytes:
    """Encode a request's JSON; integers of any size stay exact. Raises CallError for what JSON cannot carry."""
    try:
        return orjson.dumps(value, default=_fragment)
    except TypeError:  # integers past 64 bits, lone surrogates
        try:
            return json.dumps(value, separators=(",", ":"), allow_nan=False, default=_plain).encode("ascii")
        except (TypeError, ValueError, RecursionError) as exc:
            raise CallError(ErrorKind.BAD_REQUEST, f"the request is not JSON: {exc}") from None


def _fragment(value: object) -> JsonValue:
    return orjson.Fragment(value.text) if isinstance(value, AsWritten) else _plain(value)


def _plain(value: object) -> JsonValue:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, AsWritten):
        return json.loads(value.text)
    raise TypeError(f"{type(value).__name__} is not JSON")


def kind_of(value: JsonValue) -> str | None:
    """Return a value's JSON Schema type; None for arrays and objects, which no listed value needs."""
    return _KINDS.get(type(value))


def typed(schema: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return the schema with the type of its listed values said: APIs refuse an `enum` without, Picoschema writes none.

    Nothing else changes: what fits one fits the other.
    """
    out = dict(schema)
    for word in _NAMED_SCHEMAS:
        named = out.get(word)
        if isinstance(named, Mapping):
            out[word] = {name: _typed(part) for name, part in named.items()}
    for word in _SCHEMAS:
        inner = out.get(word)
        if isinstance(inner, list | tuple):
            out[word] = [_typed(part) for part in inner]
        elif inner is not None:
            out[word] = _typed(inner)
    listed = [out["const"]] if "const" in out else out.get("enum")
    if "type" not in out and isinstance(listed, list | tuple) and listed:
        kinds = list(dict.fromkeys(kind_of(value) for value in listed))
        if None not in kinds:
            out["type"] = kinds[0] if len(kinds) == 1 else kinds
    return out


def _typed(schema: JsonValue) -> JsonValue:
    return typed(schema) if isinstance(schema, Mapping) else schema


def unsupported(kind: str, what: str) -> CallError:
    """Return the refusal of something that an API cannot carry; nothing was sent."""
    return CallError(ErrorKind.UNSUPPORTED, f"{kind} cannot carry {what}; nothing was sent")


def params_of(settings: Settings, kind: str, *, count: str = "n") -> dict[str, JsonValue]:
    """Return the params to send; `count` is the API's own word for how many answers it shall give.

    Raises CallError for more than one answer per call: nobody would read the rest.
    """
    params = {name: value for name, value in settings.params.items() if value is not None and name not in _OURS}
    for name in ("n", count):
        if params.pop(name, 1) != 1:
            raise unsupported(kind, f"several answers to one call ({name}): use trials")
    return params


def refuse_collisions(params: Iterable[str], own: Mapping[str, JsonValue]) -> None:
    """Raise CallError for a param that would replace what evalh itself says in this request."""
    for name in params:
        if name in own:
            raise CallError(
                ErrorKind.BAD_REQUEST, f"params names {name!r}, which evalh sets in this request; nothing was sent"
            )


def base64_of(media: Media) -> str:
    """Return the media's bytes as base64 text."""
    return b64encode(media.data).decode("ascii")


def system_first(messages: Sequence[Message], kind: str) -> tuple[list[str], Sequence[Message]]:
    """Split the leading system texts from the conversation, for an API that keeps them apart. Raises CallError."""
    split = next((i for i, message in enumerate(messages) if message.role is not Role.SYSTEM), len(messages))
    rest = messages[split:]
    if any(message.role is Role.SYSTEM for message in rest):
        raise unsupported(kind, "a system message after the conversation has begun")
    for message in messages[:split]:
        only_text(message, kind)
    return [message.text for message in messages[:split]], rest


def only_text(message: Message, kind: str) -> str:
    """Return a message's text. Raises CallError where another part stands in it."""
    for part in message.parts:
        if not isinstance(part, Text):
            raise unsupported(kind, f"{name_of(part)} in a {message.role.value} message")
    return message.text


def results_of(message: Message, kind: str) -> list[ToolResult]:
    """Return what the tools of one message gave. Raises CallError where another part stands in it."""
    results: list[ToolResult] = []
    for part in message.parts:
        if not isinstance(part, ToolResult):
            raise unsupported(kind, f"{name_of(part)} in a tool message")
        results.append(part)
    return results


def name_of(part: object) -> str:
    """Name a part for a refusal."""
    if isinstance(part, Text):
        return "text"
    if isinstance(part, Media):
        return f"media of type {part.content_type!r}"
    return "a tool call" if isinstance(part, ToolCall) else "a tool result"


def arguments_object(call: ToolCall, kind: str) -> AsWritten:
    """Return a tool call's arguments, as the model wrote them, for an API that takes them as an object."""
    try:
        value = orjson.loads(call.arguments or "{}")
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise unsupported(kind, f"the call of tool {call.name!r} in the history: its arguments are not a JSON object")
    return AsWritten(call.arguments or "{}")
