"""Output schemas reach each service in the form that it takes, and say there what they said here."""

from collections.abc import Mapping
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalh.core.attempt import ErrorKind
from evalh.providers.openai.schema import fits_strict
from evalh.providers.request_parts import typed
from evalh.workspace.prompt.picoschema import read_schema
from wire.anthropic_service import ANTHROPIC, message
from wire.gemini_service import GEMINI
from wire.openai_service import OPENAI
from wire.service import Reply, Service
from wire.talking import SERVICES, talking

TRIAGE = read_schema({"label(enum)": ["billing", "bug", "account"], "score": "integer"}, "triage")
OPTIONAL = read_schema({"label?(enum)": ["billing", "bug"], "note?": "string"}, "optional")
NESTED = read_schema({"orders(array)": {"id": "string, the number", "state(enum)": ["sent", 3, None]}}, "nested")
POINTED = {
    "type": "object",
    "properties": {"root": {"$ref": "#/$defs/node"}},
    "required": ["root"],
    "additionalProperties": False,
    "$defs": {
        "node": {
            "type": "object",
            "properties": {"name": {"const": "leaf"}, "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
            "required": ["name", "next"],
            "additionalProperties": False,
        }
    },
}
BOUNDED = {
    "type": "object",
    "properties": {
        "score": {"type": "integer", "minimum": 1, "maximum": 5, "description": "How bad."},
        "tags": {"type": "array", "items": {"type": "string", "maxLength": 9}, "minItems": 2},
        "when": {"type": ["string", "null"], "format": "date-time"},
        "mood": {"oneOf": [{"enum": ["calm"]}, {"type": "boolean"}]},
        "tone": {"type": ["string", "null", "integer"], "enum": ["kind", None], "description": "If any."},
        "rows": {"type": "array", "items": {"type": "number"}, "minItems": 1},
    },
    "required": ["score", "tags", "when", "mood", "tone", "rows"],
}
SCHEMAS = {"triage": TRIAGE, "optional": OPTIONAL, "nested": NESTED, "pointed": POINTED, "bounded": BOUNDED}


def placed(service: Service, sent: Any) -> Any:
    match service.name:
        case "openai":
            return sent["response_format"]["json_schema"]["schema"]
        case "responses":
            return sent["text"]["format"]["schema"]
        case "anthropic":
            return sent["output_config"]["format"]["schema"]
        case _:
            return sent["generationConfig"]["responseJsonSchema"]


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
async def test_a_schema_stands_where_the_service_takes_it_in_words_that_it_takes(
    service: Service, schema: Mapping[str, Any]
) -> None:
    async with talking(service) as talk:
        assert (await talk.ask(json_output=True, output_schema=schema)).text == "hi"

    assert set(placed(service, talk.sent)["properties"]) == set(schema["properties"])


@pytest.mark.parametrize(
    ("schema", "strict"),
    [(TRIAGE, True), (NESTED, True), (POINTED, True), (OPTIONAL, False), (BOUNDED, False)],
    ids=["triage", "nested", "pointed", "optional", "bounded"],
)
async def test_openai_is_asked_to_be_strict_where_it_can_be(schema: Mapping[str, Any], strict: bool) -> None:
    async with talking(OPENAI) as talk:
        await talk.ask(json_output=True, output_schema=schema)

    assert talk.sent["response_format"]["json_schema"]["strict"] is strict


def test_a_reference_with_words_beside_it_is_not_asked_for_strictly() -> None:
    pointed = POINTED | {"properties": {"root": {"$ref": "#/$defs/node", "description": "The first."}}}

    assert fits_strict(typed(POINTED))
    assert not fits_strict(typed(pointed))


@pytest.mark.parametrize(("format_", "strict"), [("date-time", True), ("uri", False)])
def test_a_format_that_openai_lacks_is_not_asked_for_strictly(format_: str, strict: bool) -> None:
    told = {"type": "object", "properties": {"at": {"type": "string", "format": format_}}}

    assert fits_strict(told | {"required": ["at"], "additionalProperties": False}) is strict


@pytest.mark.parametrize(
    "schema",
    [{"type": "array", "items": {"type": "string"}}, {"anyOf": [{"type": "object"}]}, {"enum": ["yes", "no"]}],
    ids=["array", "alternatives", "listed"],
)
async def test_a_root_that_is_no_object_is_not_asked_for_strictly(schema: Mapping[str, Any]) -> None:
    async with talking(OPENAI) as talk:
        await talk.ask(json_output=True, output_schema=schema)

    assert talk.sent["response_format"]["json_schema"]["strict"] is False


async def test_json_without_a_schema_is_json_mode_where_there_is_one() -> None:
    async with talking(OPENAI) as talk:
        await talk.ask(json_output=True)
        assert talk.sent["response_format"] == {"type": "json_object"}
    async with talking(GEMINI) as talk:
        await talk.ask(json_output=True)
        assert talk.sent["generationConfig"] == {"maxOutputTokens": 50, "responseMimeType": "application/json"}


async def test_json_without_a_schema_is_refused_by_name_where_there_is_no_json_mode() -> None:
    async with talking(ANTHROPIC) as talk:
        error = await talk.failing(json_output=True)
        assert talk.server.seen == []
    async with talking(ANTHROPIC, options={"schema": "none"}) as talk:
        assert (await talk.ask(json_output=True)).text == "hi"

    assert error.kind is ErrorKind.UNSUPPORTED
    assert 'schema = "none"' in error.message


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
async def test_a_model_may_be_asked_in_words_only(service: Service) -> None:
    async with talking(service, options={"schema": "none"}) as talk:
        await talk.ask(json_output=True, output_schema=TRIAGE)

    assert "label" not in str(talk.sent)


async def test_a_server_with_json_mode_only_is_asked_for_that() -> None:
    async with talking(OPENAI, options={"schema": "json_object"}) as talk:
        await talk.ask(json_output=True, output_schema=TRIAGE)

    assert talk.sent["response_format"] == {"type": "json_object"}


async def test_what_anthropic_cannot_enforce_is_said_in_words() -> None:
    async with talking(ANTHROPIC) as talk:
        await talk.ask(json_output=True, output_schema=BOUNDED)

    score = placed(ANTHROPIC, talk.sent)["properties"]["score"]
    assert score == {"type": "integer", "description": 'How bad.\n\n{"maximum": 5, "minimum": 1}'}


async def test_several_types_become_alternatives_on_anthropic_each_with_its_own_values() -> None:
    async with talking(ANTHROPIC) as talk:
        await talk.ask(json_output=True, output_schema=BOUNDED)

    assert placed(ANTHROPIC, talk.sent)["properties"]["tone"] == {
        "anyOf": [{"type": "string", "enum": ["kind"]}, {"type": "null", "enum": [None]}],
        "description": "If any.",
    }


async def test_an_object_of_free_keys_is_refused_by_name_on_anthropic() -> None:
    free = {"type": "object", "additionalProperties": {"type": "string"}}
    async with talking(ANTHROPIC) as talk:
        error = await talk.failing(json_output=True, output_schema=free)
        assert talk.server.seen == []

    assert error.kind is ErrorKind.UNSUPPORTED
    assert "an object with free keys" in error.message


async def test_anthropics_effort_and_format_go_side_by_side() -> None:
    async with talking(ANTHROPIC) as talk:
        await talk.ask(json_output=True, output_schema=TRIAGE, params={"output_config": {"effort": "low"}})

    assert set(talk.sent["output_config"]) == {"effort", "format"}


async def test_an_older_claude_answers_through_a_tool() -> None:
    use = {"type": "tool_use", "id": "toolu_1", "name": "output", "input": {"label": "bug", "score": 2}}
    async with talking(ANTHROPIC, Reply(message(use, finish="tool_use")), options={"schema": "tool"}) as talk:
        answer = await talk.ask(json_output=True, output_schema=TRIAGE)

    assert answer.text == '{"label": "bug", "score": 2}'
    assert (answer.finish.value, answer.tool_calls) == ("stop", ())
    assert talk.sent["tool_choice"] == {"type": "tool", "name": "output"}
    assert talk.sent["tools"][0]["input_schema"]["properties"].keys() == {"label", "score"}


scalars = st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-9, 9) | st.text(max_size=3)
listed = st.builds(lambda values: {"enum": values}, st.lists(scalars, min_size=1, max_size=4, unique_by=repr))
constant = st.builds(lambda value: {"const": value}, scalars)
plain = st.sampled_from([{"type": "string"}, {"type": ["integer", "null"]}, {}, {"$ref": "#"}])
schemas = st.recursive(
    listed | constant | plain,
    lambda inner: (
        st.builds(
            lambda named: {"type": "object", "properties": named}, st.dictionaries(st.text("ab", max_size=2), inner)
        )
        | st.builds(lambda item: {"type": "array", "items": item}, inner)
        | st.builds(lambda options: {"anyOf": options}, st.lists(inner, min_size=1, max_size=3))
    ),
    max_leaves=6,
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("ab", max_size=2), inner), max_leaves=5
)


@given(schemas, values)
def test_said_types_change_nothing_of_what_fits(schema: dict[str, Any], value: Any) -> None:
    assert jsonschema_rs.is_valid(typed(schema), value) == jsonschema_rs.is_valid(schema, value)


@given(listed | constant)
def test_every_listed_value_gets_a_type(schema: dict[str, Any]) -> None:
    assert "type" in typed(schema)
