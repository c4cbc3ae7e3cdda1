"""A JSON Schema as Anthropic's structured output takes it.

Source: Anthropic's guide to structured outputs, "JSON Schema limitations": objects are closed, and bounds on numbers,
lengths and most arrays are not known. What cannot be enforced is said in the description, as their own clients do; the
schema grader judges by the whole schema either way.
"""

from collections.abc import Mapping
from json import dumps

from evalh.core.strict_json import JsonValue
from evalh.providers.request_parts import kind_of, unsupported

_AS_THEY_ARE = ("enum", "const", "title", "default", "required")
_FORMATS = frozenset(("date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"))
_LOST_WITHOUT_A_WORD = frozenset({"$schema", "$id", "$comment", "examples"})
"""Keywords that say nothing of a value."""


def narrowed(schema: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return a schema whose listed values have types in the known subset.

    Raises CallError for an object of free keys, by name.
    """
    if "$ref" in schema:
        return {"$ref": schema["$ref"], **_definitions(schema)}
    left = {word: value for word, value in schema.items() if word not in _LOST_WITHOUT_A_WORD}
    out = _definitions(left)
    for word in out:
        del left[word]
    _take_type(left, out)
    for word in _AS_THEY_ARE:
        if word in left:
            out[word] = left.pop(word)
    for word, name in (("anyOf", "anyOf"), ("oneOf", "anyOf"), ("allOf", "allOf")):
        if isinstance(left.get(word), list | tuple) and name not in out:
            out[name] = [_inner(option) for option in left.pop(word)]
    _take_object(left, out)
    _take_values(left, out)
    description = left.pop("description", None)
    if left:
        rules = dumps(left, ensure_ascii=False, sort_keys=True, default=str)
        description = f"{description}\n\n{rules}" if description else rules
    if description:
        out["description"] = description
    return out


def _inner(schema: JsonValue) -> JsonValue:
    return narrowed(schema) if isinstance(schema, Mapping) else schema


def _definitions(schema: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    found: dict[str, JsonValue] = {}
    for word in ("$defs", "definitions"):
        named = schema.get(word)
        if isinstance(named, Mapping):
            found[word] = {name: _inner(part) for name, part in named.items()}
    return found


def _take_type(left: dict[str, JsonValue], out: dict[str, JsonValue]) -> None:
    """Take `type`; several types become alternatives, each with the listed values that are its own."""
    kinds = left.get("type")
    if not isinstance(kinds, list | tuple):
        if kinds is not None:
            out["type"] = left.pop("type")
        return
    del left["type"]
    shape = {word: left.pop(word) for word in tuple(left) if word not in {"description", "title", "enum", "const"}}
    listed = [left.pop("const")] if "const" in left else left.pop("enum", None)
    options: list[JsonValue] = []
    for kind in kinds:
        option: dict[str, JsonValue] = {"type": kind, **(shape if kind != "null" else {})}
        if isinstance(listed, list | tuple):
            option["enum"] = [value for value in listed if _is_of(value, kind)]
            if not option["enum"]:
                continue
        options.append(_inner(option))
    out["anyOf"] = options


def _is_of(value: JsonValue, kind: JsonValue) -> bool:
    own = kind_of(value)
    return own == kind or (kind == "number" and own == "integer")


def _take_object(left: dict[str, JsonValue], out: dict[str, JsonValue]) -> None:
    properties = left.pop("properties", None)
    if isinstance(properties, Mapping):
        out["properties"] = {name: _inner(part) for name, part in properties.items()}
    if out.get("type") != "object":
        return
    if left.pop("additionalProperties", False) not in (False, True) or not out.get("properties"):
        raise unsupported(
            "anthropic's structured output",
            'an object with free keys in the output schema (schema = "tool" on the model allows it)',
        )
    out["additionalProperties"] = False


def _take_values(left: dict[str, JsonValue], out: dict[str, JsonValue]) -> None:
    if "items" in left:
        out["items"] = _inner(left.pop("items"))
    if left.get("minItems") in (0, 1):
        out["minItems"] = left.pop("minItems")
    if left.get("format") in _FORMATS:
        out["format"] = left.pop("format")
