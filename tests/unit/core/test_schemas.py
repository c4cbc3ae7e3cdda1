"""What a schema says for certain, and what it leaves open."""

import pytest

from evalh.core.schemas import ANYTHING, NoPart, part_of, refusal, refuses_null
from evalh.core.strict_json import JsonValue

CLOSED = {
    "type": "object",
    "additionalProperties": False,
    "required": ["id"],
    "properties": {
        "id": {"type": "string"},
        "lines": {"type": "array", "items": {"type": "object", "properties": {"n": {"type": "integer"}}}},
        "note": {"type": ["string", "null"]},
        "kind": {"enum": ["a", None]},
        "any": True,
        "ref": {"$ref": "#/$defs/x"},
        "either": {"anyOf": [{"type": "string"}]},
    },
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (("id",), {"type": "string"}),
        (("lines", 0, "n"), {"type": "integer"}),
        (("lines", -1, "m"), ANYTHING),
        (("any", "x", 3), ANYTHING),
        (("ref", "x"), ANYTHING),
        (("either", "x"), ANYTHING),
        (("ID",), NoPart(0, tuple(CLOSED["properties"]))),  # type: ignore[call-overload]
        (("id", "x"), NoPart(1, found="text")),
        (("lines", "n"), NoPart(1, found="a list")),
        (("note", 0), NoPart(1, found="null or text")),
        ((0,), NoPart(0, found="a mapping")),
    ],
)
def test_a_part_is_there_is_not_there_or_is_open(path: tuple[str | int, ...], found: JsonValue) -> None:
    assert part_of(CLOSED, path) == found


def test_only_a_part_whose_types_are_known_refuses_null() -> None:
    assert [name for name in CLOSED["properties"] if refuses_null(CLOSED, (name,))] == ["id", "lines"]
    assert not refuses_null(None, ("id",))


@pytest.mark.parametrize(
    ("given", "wanted", "why"),
    [
        ({"type": "string"}, {"type": "integer"}, "is text, not a number"),
        ({"type": ["string", "null"]}, {"type": "array"}, "is null or text, not a list"),
        ({"const": 3}, {"type": "string"}, "is a number, not text"),
        ({"enum": ["a", "b"]}, {"type": "boolean"}, "is text, not true or false"),
        ({"type": "object", "additionalProperties": False}, CLOSED, ".id is missing"),
        (
            {"type": "object", "required": ["id"], "properties": {"id": {"type": "null"}}},
            CLOSED,
            ".id is null, not text",
        ),
        ({"type": "object", "required": ["zip"]}, CLOSED, ".zip is not taken"),
        # what only a value decides
        ({"type": "integer"}, {"type": "number"}, None),
        ({"type": "number"}, {"type": "integer"}, None),
        ({"type": ["string", "null"]}, {"type": "string"}, None),
        ({"enum": ["a", 1]}, {"type": "string"}, None),
        ({"type": "object"}, CLOSED, None),
        ({"type": "object", "properties": {"id": {"type": "null"}}}, CLOSED, None),
        ({"anyOf": [{"type": "integer"}]}, {"type": "string"}, None),
        ({"type": "integer"}, {"$ref": "#/$defs/x"}, None),
        ({}, {"type": "string"}, None),
    ],
)
def test_only_what_every_value_breaks_is_a_refusal(given: JsonValue, wanted: JsonValue, why: str | None) -> None:
    assert refusal(given, wanted) == why
