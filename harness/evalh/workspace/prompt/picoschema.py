"""Schemas of prompts: Picoschema or JSON Schema in, checked JSON Schema out.

Source: the Picoschema reference of Dotprompt. What differs from its Python implementation is listed in
docs/reference/prompt-files.md and held by a test that runs both.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NoReturn, TypeAlias

from evalh.core.errors import WorkspaceError, did_you_mean
from evalh.core.strict_json import JsonValue

Where: TypeAlias = Callable[..., str]
"""Returns `file:line` of the place that a path of keys and indexes leads to, from the schema's own root."""

JsonSchema: TypeAlias = dict[str, JsonValue]

_SCALARS = ("any", "boolean", "integer", "null", "number", "string")
_COLLECTIONS = ("array", "enum", "object")
_WILDCARD = "(*)"
_COMBINATORS = ("allOf", "anyOf", "oneOf", "enum")
_MAX_DEPTH = 64

# Where a JSON Schema holds data that only looks like a schema, and where it holds schemas under the user's names.
_DATA_KEYS = frozenset({"const", "default", "enum", "example", "examples"})
_NAMED_SCHEMAS = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")


def read_schema(value: JsonValue, where: Where) -> JsonSchema:
    """Return the JSON Schema that Picoschema or JSON Schema stands for. Raises WorkspaceError with file:line."""
    if not _is_json_schema(value):
        return _Picoschema(where).read(value, ())
    schema: JsonSchema = dict(value)
    if isinstance(schema.get("properties"), dict):
        schema.setdefault("type", "object")
    check_json_schema(schema, where)
    return schema


def check_json_schema(schema: JsonSchema, where: Where) -> None:
    """Check the schema against its own meta-schema, and that no reference leaves it. Raises WorkspaceError."""
    import jsonschema_rs

    for path, target in _references(schema, ()):
        if not target.startswith("#"):
            raise WorkspaceError(
                f"$ref to {target!r} leaves the document",
                where=where(*path),
                hint="copy what it refers to under $defs, and refer to #/$defs/…",
            )
    try:
        jsonschema_rs.validator_for(schema, retriever=_refuse)
    except jsonschema_rs.ValidationError as exc:
        place = where(*exc.instance_path) if exc.instance is not None else where()
        raise WorkspaceError(f"is not a valid JSON Schema: {exc.message}", where=place) from None
    except (jsonschema_rs.ReferencingError, ValueError) as exc:
        raise WorkspaceError(f"is not a valid JSON Schema: {exc}", where=where()) from None


def _refuse(uri: str) -> NoReturn:
    raise ValueError(f"{uri} is not read")


def _is_json_schema(value: JsonValue) -> bool:
    """Distinguish the two as Dotprompt does, and by words that Picoschema cannot hold."""
    if not isinstance(value, Mapping):
        return False
    kind = value.get("type")
    return (
        (isinstance(kind, str) and kind in (*_SCALARS, "object", "array"))
        or isinstance(kind, list)
        or isinstance(value.get("properties"), Mapping)
        or any(isinstance(value.get(word), list) for word in _COMBINATORS)
        or any(isinstance(key, str) and key.startswith("$") for key in value)
    )


def _references(node: JsonValue, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if len(path) > _MAX_DEPTH:
        return  # deeper than any validator follows: `validator_for` says so
    if isinstance(node, list):
        for index, item in enumerate(node):
            yield from _references(item, (*path, index))
    elif isinstance(node, Mapping):
        for key, value in node.items():
            if key in _REFERENCES and isinstance(value, str):
                yield (*path, key), value
            elif key in _NAMED_SCHEMAS and isinstance(value, Mapping):
                for name, schema in value.items():
                    yield from _references(schema, (*path, key, name))
            elif key not in _DATA_KEYS:
                yield from _references(value, (*path, key))


class _Picoschema:
    """Reads one Picoschema; `path` leads to the place that is being read, for messages."""

    def __init__(self, where: Where) -> None:
        self._where = where

    def read(self, value: JsonValue, path: tuple[str, ...]) -> JsonSchema:
        if isinstance(value, str):
            return self._scalar(value, path)
        if isinstance(value, Mapping):
            if len(path) > _MAX_DEPTH:
                raise self._wrong("is nested too deeply", path)
            return self._object(value, path)
        raise self._wrong(f"a schema is a type's name or a mapping, not {value!r}", path)

    def _scalar(self, text: str, path: tuple[str, ...]) -> JsonSchema:
        kind, description = _described(text)
        if kind not in _SCALARS:
            raise self._wrong(f"unknown type {kind!r}", path, did_you_mean(kind, _SCALARS))
        schema: JsonSchema = {} if kind == "any" else {"type": kind}
        return {**schema, "description": description} if description else schema

    def _object(self, fields: Mapping[str, JsonValue], path: tuple[str, ...]) -> JsonSchema:
        properties: JsonSchema = {}
        required: list[str] = []
        others: JsonSchema | bool = False
        for key, value in fields.items():
            place = (*path, key)
            if key == _WILDCARD:
                others = self.read(value, place)
                continue
            name, optional, kind, description = self._key(key, place)
            if name in properties:
                raise self._wrong(f"property {name!r} exists twice", place)
            schema = self._property(kind, value, place)
            properties[name] = {**schema, "description": description} if description else schema
            if optional:
                _allow_null(properties[name])
            else:
                required.append(name)
        schema = {"type": "object", "properties": properties, "additionalProperties": others}
        return {**schema, "required": required} if required else schema

    def _key(self, key: str, path: tuple[str, ...]) -> tuple[str, bool, str | None, str | None]:
        """Split `name?(array, what it is)` into name, optional, kind and description."""
        if not isinstance(key, str):
            raise self._wrong(f"a property's name is text, not {key!r}", path)
        name, opened, rest = key.partition("(")
        kind = description = None
        if opened:
            if not rest.endswith(")") or "(" in rest:
                raise self._wrong(f"{key!r} must have the form name(kind, description)", path)
            kind, description = _described(rest[:-1])
            if kind not in _COLLECTIONS:
                raise self._wrong(f"unknown kind {kind!r} in parentheses", path, did_you_mean(kind, _COLLECTIONS))
        name, optional = name.removesuffix("?"), name.endswith("?")
        if not name:
            raise self._wrong(f"{key!r} does not name a property", path)
        return name, optional, kind, description

    def _property(self, kind: str | None, value: JsonValue, path: tuple[str, ...]) -> JsonSchema:
        match kind:
            case "array":
                return {"type": "array", "items": self.read(value, path)}
            case "enum":
                if not isinstance(value, list) or not value:
                    raise self._wrong("an enum is a list of values", path)
                return {"enum": list(value)}
            case "object" if not isinstance(value, Mapping):
                raise self._wrong("an object is a mapping of properties", path)
            case _:
                return self.read(value, path)

    def _wrong(self, what: str, path: tuple[str, ...], hint: str | None = None) -> WorkspaceError:
        return WorkspaceError(what, where=self._where(*path), hint=hint)


def _allow_null(schema: JsonSchema) -> None:
    kind = schema.get("type")
    if isinstance(kind, str):
        schema["type"] = [kind, "null"]
    elif "enum" in schema and None not in schema["enum"]:
        schema["enum"] = [*schema["enum"], None]


def _described(text: str) -> tuple[str, str | None]:
    kind, _, description = text.partition(",")
    return kind.strip(), description.lstrip(" ") or None
