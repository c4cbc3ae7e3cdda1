"""What is handed on fits the consumer's input schema, or names the input that does not."""

from collections.abc import Mapping

import pytest

from evalh.core.strict_json import JsonValue
from evalh.pipeline.contracts import Contract
from hanging import ends

SCHEMA: Mapping[str, JsonValue] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["email", "order"],
    "properties": {
        "email": {"type": "string"},
        "order": {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}},
        "style": {"type": "string", "pattern": "^(a+)+$"},
    },
}
GOOD: Mapping[str, JsonValue] = {"email": "a", "order": {"id": "7"}}


@pytest.mark.parametrize(
    ("inputs", "name", "why"),
    [
        ({**GOOD, "order": {}}, "order", '"id" is a required property'),
        ({**GOOD, "order": {"id": 7}}, "order", '.id 7 is not of type "string"'),
        ({"order": {"id": "7"}}, "email", '"email" is a required property'),
        ({**GOOD, "email": None}, "email", 'null is not of type "string"'),
        ({**GOOD, "note": "x"}, "note", "Additional properties are not allowed"),
        ({**GOOD, "email": 10**30}, "email", "is not of type"),
        ({**GOOD, "note": "\ud800"}, "note", "surrogate"),
        ({**GOOD, "email": ["\x1b[2J\n"]}, "email", "is not of type"),
    ],
)
def test_the_first_input_that_does_not_fit_is_named(inputs: dict[str, JsonValue], name: str, why: str) -> None:
    found = Contract(SCHEMA).violation(inputs)

    assert found is not None
    assert found[0] == name
    assert why in found[1]
    assert found[1].isprintable()


def test_inputs_that_fit_are_not_a_violation() -> None:
    assert Contract(SCHEMA).violation(GOOD) is None
    assert Contract(SCHEMA).violation({**GOOD, "order": {"id": "7", "more": [1]}}) is None


def test_a_default_replaces_a_missing_input() -> None:
    contract = Contract(SCHEMA, {"email": "nobody"})

    assert contract.violation({"order": {"id": "7"}}) is None
    assert contract.violation({"order": {"id": "7"}, "email": 3}) is not None


def test_a_pattern_cannot_block_a_run_and_a_long_value_is_cut() -> None:
    with ends():
        found = Contract(SCHEMA).violation({**GOOD, "style": "a" * 100_000 + "!"})

    assert found is not None
    assert len(found[1]) < 300
