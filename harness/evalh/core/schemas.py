"""What a JSON Schema says for certain before any value is there: which parts there are, and of which types.

Nothing is claimed of what only a value can decide: references, `anyOf` and its like, objects that may hold more keys.
"""

from collections.abc import Iterator, Mapping
from typing import TypeAlias

from evalh.core.located import Path
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value

Schema: TypeAlias = Mapping[str, JsonValue]

ANYTHING: Schema = {}
TEXT: Schema = {"type": "string"}

_UNDECIDED = frozenset({"$ref", "$dynamicRef", "$recursiveRef", "allOf", "anyOf", "oneOf", "not", "if"})
_DEEPEST = 32


class NoPart(Value):
    """What is not there: the part `depth` steps down the path. `have`: the keys that are there instead."""

    depth: int
    have: tuple[str, ...] = ()
    found: str | None = (
        None  # the type that stands there and has no such parts: "text"; None: an object without the key
    )


def part_of(schema: Schema | None, path: Path) -> Schema | NoPart:
    """Return what a schema says of a part, ANYTHING where it says nothing, and NoPart where no value can have it."""
    for depth, step in enumerate(path):
        if schema is None or not _decides(schema):
            return ANYTHING
        types = types_of(schema)
        holder = "array" if isinstance(step, int) else "object"
        if types is not None and holder not in types:
            return NoPart(depth, found=" or ".join(_WORDS[one] for one in sorted(types)))
        if isinstance(step, int):
            schema = _schema(schema.get("items"))
            continue
        properties = schema.get("properties", {})
        if step in properties:
            schema = _schema(properties[step])
        elif _closed(schema):
            return NoPart(depth, tuple(properties))
        else:
            return ANYTHING
    return ANYTHING if schema is None else schema


_WORDS = {
    "string": "text",
    "integer": "a number",
    "number": "a number",
    "boolean": "true or false",
    "object": "a mapping",
    "array": "a list",
    "null": "null",
}


def types_of(schema: Schema) -> frozenset[str] | None:
    """Return the types that a value may have; None where that is not said."""
    if not _decides(schema):
        return None
    stated = schema.get("type")
    if stated is not None:
        return frozenset([stated] if isinstance(stated, str) else stated)
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    return None if values is None else frozenset(map(_type_of, values))


def refuses_null(schema: Schema | None, path: Path) -> bool:
    """Whether a part is certain not to be null."""
    part = part_of(schema, path)
    types = None if isinstance(part, NoPart) else types_of(part)
    return types is not None and "null" not in types


def refusal(given: Schema, wanted: Schema) -> str | None:
    """Say why no value of `given` can be one of `wanted`; None where there may be one."""
    return next(_refusals(given, wanted, ()), None)


def _refusals(given: Schema, wanted: Schema, path: Path) -> Iterator[str]:
    if len(path) > _DEEPEST or not _decides(given) or not _decides(wanted):
        return
    at = "".join(f".{step}" for step in path)
    gives, wants = types_of(given), types_of(wanted)
    if gives is not None and wants is not None and not _overlap(gives, wants):
        yield f"{at} is {_listed(gives)}, not {_listed(wants)}".lstrip()
    if gives != frozenset({"object"}) or wants != frozenset({"object"}):
        return
    has, needs = given.get("properties", {}), wanted.get("properties", {})
    for name in wanted.get("required", ()):
        if name not in has and _closed(given):
            yield f"{at}.{name} is missing"
    for name in given.get("required", ()):
        if name in needs:
            yield from _refusals(_schema(has.get(name)), _schema(needs[name]), (*path, name))
        elif _closed(wanted):
            yield f"{at}.{name} is not taken"


def _overlap(given: frozenset[str], wanted: frozenset[str]) -> bool:
    numbers = {"integer", "number"}
    return bool(given & wanted) or bool(given & numbers and wanted & numbers)


def _listed(types: frozenset[str]) -> str:
    return " or ".join(sorted({_WORDS[one] for one in types}))


def _decides(schema: Schema) -> bool:
    return _UNDECIDED.isdisjoint(schema)


def _closed(schema: Schema) -> bool:
    return schema.get("additionalProperties") is False and "patternProperties" not in schema


def _schema(stated: JsonValue) -> Schema:
    """Return a schema inside another one; `true` and what is not stated say nothing."""
    return stated if isinstance(stated, Mapping) else ANYTHING


def _type_of(value: JsonValue) -> str:
    if value is None:
        return "null"
    for types, word in ((bool, "boolean"), (int, "integer"), (float, "number"), (str, "string"), (Mapping, "object")):
        if isinstance(value, types):
            return word
    return "array"
