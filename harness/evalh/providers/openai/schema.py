"""Which schemas OpenAI's structured outputs can be held to."""

from collections.abc import Iterator, Mapping

from evalh.core.strict_json import JsonValue

_KNOWN = frozenset(
    (
        *("type", "enum", "const", "title", "description", "properties", "required", "additionalProperties", "items"),
        *("anyOf", "$ref", "$defs", "definitions", "pattern", "format", "minItems", "maxItems"),
        *("multipleOf", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
    )
)
_FORMATS = frozenset(("date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"))


def fits_strict(schema: Mapping[str, JsonValue]) -> bool:
    """Whether `strict: true` can be asked for. Otherwise the model sees the schema and tries; the grader judges.

    Source: OpenAI's guide to structured outputs. Every object closes itself and requires each of its properties, the
    root is an object, everything has a type, a reference stands alone, and only some keywords are known.
    """
    if schema.get("type") != "object" or "anyOf" in schema:
        return False
    waiting: list[JsonValue] = [schema]
    while waiting:
        part = waiting.pop()
        if not isinstance(part, Mapping) or not _fits(part):
            return False
        waiting.extend(_inner(part))
    return True


def _fits(schema: Mapping[str, JsonValue]) -> bool:
    if "$ref" in schema:
        return len(schema) == 1
    if not _KNOWN.issuperset(schema) or not (schema.keys() & {"type", "anyOf"}):
        return False
    if "format" in schema and schema["format"] not in _FORMATS:
        return False
    kinds = schema.get("type")
    if kinds != "object" and not (isinstance(kinds, list | tuple) and "object" in kinds):
        return True
    properties = schema.get("properties", {})
    required = schema.get("required", [])
    if not isinstance(properties, Mapping) or not isinstance(required, list | tuple):
        return False
    return schema.get("additionalProperties") is False and set(properties) == set(required)


def _inner(schema: Mapping[str, JsonValue]) -> Iterator[JsonValue]:
    for word in ("properties", "$defs", "definitions"):
        named = schema.get(word)
        if isinstance(named, Mapping):
            yield from named.values()
    if "items" in schema:
        yield schema["items"]
    options = schema.get("anyOf")
    if isinstance(options, list | tuple):
        yield from options
