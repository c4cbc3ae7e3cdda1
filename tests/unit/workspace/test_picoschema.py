"""Picoschema and JSON Schema, by hand and against Dotprompt's own reader."""

import asyncio
from typing import Any

import pytest

from evalh.core.errors import WorkspaceError
from evalh.workspace.prompt.picoschema import read_schema


def where(*path: str | int) -> str:
    return "/".join(["p", *map(str, path)])


def read(value: Any) -> Any:
    return read_schema(value, where)


def reference(value: Any) -> Any:
    from dotpromptz import picoschema

    return asyncio.run(picoschema.picoschema_to_json_schema(value))


SAME_AS_DOTPROMPT = [
    "string",
    "number, how many",
    {"ticket": "string"},
    {"ticket?": "string", "n": "integer, a count, really"},
    {"label(enum)": ["billing", "bug"]},
    {"label?(enum, what it is about)": ["billing", "bug"]},
    {"label?(enum)": ["billing", None]},
    {"tags(array)": "string", "more?(array, many)": {"x": "number"}},
    {"who(object, a person)": {"name": "string", "age?": "integer"}, "flat": {"x": "any"}},
    {"who?(object)": {"name": "string"}, "any?": "any, whatever"},
    {"nested": {"deeper": {"deepest(array)": "boolean"}}},
    {"known": "null", "(*)": "string, the rest"},
    {"(*)": "any"},
    {"nothing": {}},
    {"optional?": {}},
    {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
    {"type": "string", "minLength": 1},
    {"properties": {"a": {"type": "string"}}},
    {"type": "array", "items": {"type": "integer"}},
]


@pytest.mark.parametrize("value", SAME_AS_DOTPROMPT, ids=str)
def test_schemas_read_as_dotprompt_reads_them(value: Any) -> None:
    expected = reference(value)

    assert read(value) == expected


def test_a_property_may_be_called_type_below_the_root() -> None:
    assert read({"pet": {"type": "string"}})["properties"]["pet"]["properties"] == {"type": {"type": "string"}}


# -- where we differ from Dotprompt's Python reader, on purpose


def test_any_at_the_root_allows_anything() -> None:
    assert read("any") == {}
    assert read("any, whatever") == {"description": "whatever"}
    assert reference("any") == {"type": "any"}  # which is not JSON Schema


@pytest.mark.parametrize(
    "value",
    [
        {"$ref": "#/$defs/a", "$defs": {"a": {"type": "string"}}},
        {"anyOf": [{"type": "string"}, {"type": "null"}]},
        {"type": ["string", "null"]},
        {"enum": ["a", "b"]},
    ],
    ids=str,
)
def test_json_schema_is_known_by_its_own_words(value: dict[str, Any]) -> None:
    assert read(value) == value


def test_the_files_own_value_is_left_alone() -> None:
    value = {"label?(enum)": ["a"]}

    read(value)

    assert value == {"label?(enum)": ["a"]}


# -- refused, with the place


@pytest.mark.parametrize(
    ("value", "what", "place"),
    [
        ("strin", "unknown type 'strin'", "p"),
        ({"a": "text"}, "unknown type 'text'", "p/a"),
        ({"a(list)": "string"}, "unknown kind 'list'", "p/a(list)"),
        ({"a(array": "string"}, "must have the form name", "p/a(array"),
        ({"a(array)?": "string"}, "must have the form name", "p/a(array)?"),
        ({"(array)": "string"}, "does not name a property", "p/(array)"),
        ({"?": "string"}, "does not name a property", "p/?"),
        ({"a(enum)": "string"}, "an enum is a list", "p/a(enum)"),
        ({"a(enum)": []}, "an enum is a list", "p/a(enum)"),
        ({"a(object)": "string"}, "an object is a mapping", "p/a(object)"),
        ({"a": "string", "a?": "string"}, "'a' exists twice", "p/a?"),
        ({"a": 3}, "a type's name or a mapping", "p/a"),
        ({"a": None}, "a type's name or a mapping", "p/a"),
        ([], "a type's name or a mapping", "p"),
        ({1: "string"}, "is text", "p/1"),
    ],
)
def test_bad_picoschema_is_refused_with_its_place(value: Any, what: str, place: str) -> None:
    with pytest.raises(WorkspaceError, match=what) as caught:
        read(value)

    assert caught.value.where == place


def test_a_mistyped_type_names_the_nearest() -> None:
    with pytest.raises(WorkspaceError) as caught:
        read({"a": "strng"})

    assert caught.value.hint == "did you mean 'string'?"


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"type": "object", "properties": {"a": {"type": "strin"}}}, "p/properties/a/type"),
        ({"type": "object", "properties": {"a": 3}}, "p/properties/a"),
        ({"type": "object", "required": "a"}, "p/required"),
        ({"type": "string", "pattern": "("}, "p/pattern"),
        ({"type": "any"}, "p/type"),
        ({"$schema": "https://example.com/mine", "type": "string"}, "p"),
        ({"$ref": "#/$defs/missing"}, "p"),
    ],
    ids=str,
)
def test_invalid_json_schema_is_refused_with_its_place(value: Any, place: str) -> None:
    with pytest.raises(WorkspaceError, match="not a valid JSON Schema") as caught:
        read(value)

    assert caught.value.where == place


@pytest.mark.parametrize("target", ["https://example.com/s.json", "file:///etc/passwd", "other.json", "other.json#/a"])
@pytest.mark.parametrize("word", ["$ref", "$dynamicRef"])
def test_a_reference_never_leaves_the_document(word: str, target: str) -> None:
    schema = {"type": "object", "properties": {"a": {"items": [{word: target}]}}}

    with pytest.raises(WorkspaceError, match="leaves the document") as caught:
        read(schema)

    assert caught.value.where == f"p/properties/a/items/0/{word}"


def test_a_reference_hidden_in_an_unknown_keyword_or_behind_an_id_never_leaves_the_document() -> None:
    for schema in (
        {"$ref": "#/x-mine", "x-mine": {"$ref": "https://example.com/s.json"}},
        {"$id": "https://example.com/base.json", "allOf": [{"$ref": "other.json"}]},
    ):
        with pytest.raises(WorkspaceError, match="leaves the document"):
            read(schema)


def test_data_that_looks_like_a_reference_is_data() -> None:
    schema = {
        "type": "object",
        "properties": {"$ref": {"type": "string"}, "enum": {"type": "string"}},
        "default": {"$ref": "https://example.com"},
        "examples": [{"$ref": "https://example.com"}],
    }

    assert read(schema) == schema


def test_a_schema_nested_beyond_reason_is_refused() -> None:
    pico: Any = "string"
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(3_000):
        pico = {"a": pico}
        schema = {"type": "array", "items": schema}

    for value in (pico, schema):
        with pytest.raises(WorkspaceError):
            read(value)
