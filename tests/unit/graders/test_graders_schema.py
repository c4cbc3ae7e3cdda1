"""`json` and `schema`."""

import json
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel, Field, field_validator

from evalh.core.errors import WorkspaceError

OWN = {"type": "object", "properties": {"label": {"enum": ["bug", "billing"]}}, "required": ["label"]}


class Ticket(BaseModel):
    label: str = Field(max_length=8)
    size: int = 0

    @field_validator("size")
    @classmethod
    def _finite(cls, size: int) -> int:
        if size == 13:
            raise RuntimeError("thirteen breaks me")
        return size


def load(path: str) -> object:
    return {"models:Ticket": Ticket, "models:text": "no model"}[path]


@pytest.fixture
def calls() -> Iterator[list[bytes]]:
    """A local server that must never be asked."""
    received: list[bytes] = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            received.append(self.rfile.readline())

    with socketserver.TCPServer(("127.0.0.1", 0), Handler) as server:
        received.append(str(server.server_address[1]).encode())
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield received
        server.shutdown()
        thread.join()


def test_json_parses_or_says_where_not(judge) -> None:
    assert judge("json", ' {"a": 1}\n').reason == "the output is an object"
    refused = judge("json", '{"a": 1,}')
    assert (refused.outcome, refused.reason.partition(": ")[0]) == ("fail", "the output is not JSON")
    assert judge("json", "```json\n1\n```").outcome == "fail"
    assert judge({"json": {"fenced": True}}, "```json\n1\n```").outcome == "pass"
    assert judge("json", "9" * 5_000).outcome == "fail"


def test_the_versions_own_schema_is_the_default(judge) -> None:
    assert judge("schema", '{"label": "bug"}', output_schema=OWN).reason == "fits the schema"
    refused = judge("schema", '{"label": "spam"}', output_schema=OWN)
    assert (refused.outcome, refused.score) == ("fail", 0.0)
    assert refused.reason == 'label: "spam" is not one of "bug" or "billing"'
    assert judge("schema", "{}", output_schema=OWN).reason == '"label" is a required property'
    assert judge("schema", "bug", output_schema=OWN).reason.startswith("the output is not JSON")


def test_without_a_schema_there_is_nothing_to_fit(judge) -> None:
    assert judge("schema", "{}").outcome == "abstain"


def test_another_versions_schema_is_compiled_anew(build_grader, make_context) -> None:
    grader = build_grader("schema")

    outcomes = [
        grader.judge(make_context("1", output_schema=schema)).outcome
        for schema in ({"type": "integer"}, {"type": "string"}, {"type": "integer"}, {"type": "strin"})
    ]

    assert outcomes == ["pass", "fail", "pass", "error"]


def test_a_stated_schema_wins_over_the_versions_own(judge) -> None:
    assert judge({"schema": {"schema": {"type": "integer"}}}, "1", output_schema=OWN).outcome == "pass"


def test_a_place_in_the_value_is_named(judge) -> None:
    schema = {"properties": {"items": {"items": {"properties": {"n": {"type": "integer"}}}}}}

    assert judge({"schema": {"schema": schema}}, '{"items": [{"n": 1}, {"n": "x"}]}').reason == (
        'items[1].n: "x" is not of type "integer"'
    )


def test_integers_of_any_size_are_exact(judge) -> None:
    limit = 10**30
    entry = {"schema": {"schema": {"type": "integer", "maximum": limit}}}

    assert judge(entry, str(limit)).outcome == "pass"
    assert judge(entry, str(limit + 1)).outcome == "fail"
    assert judge({"schema": {"schema": {"const": limit}}}, str(limit + 1)).outcome == "fail"


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"type": "strin"}, '"strin" is not valid'),
        ({"$ref": "#/definitions/x"}, "does not exist"),
        ({"$ref": "file:///etc/hostname"}, "lies outside the schema"),
        ({"$ref": "other.json"}, "other.json"),
        ({"$schema": "http://localhost/meta"}, "lies outside the schema"),
        ({"pattern": "(?=a)"}, '"(?=a)" is not a "regex"'),
    ],
)
def test_a_schema_that_cannot_be_used_is_refused_when_it_is_loaded(build_grader, schema, reason: str) -> None:
    with pytest.raises(WorkspaceError) as caught:
        build_grader({"schema": {"schema": schema}})

    assert reason in caught.value.what
    assert "\n" not in caught.value.what
    assert caught.value.where == "evals/triage.yaml:7"


def test_no_reference_is_ever_fetched(build_grader, judge, calls: list[bytes], tmp_path: Path) -> None:
    outside = f"http://127.0.0.1:{calls.pop().decode()}/schema.json"
    (tmp_path / "schema.json").write_text('{"type": "integer"}')

    for uri in (outside, (tmp_path / "schema.json").as_uri()):
        with pytest.raises(WorkspaceError, match="lies outside the schema"):
            build_grader({"schema": {"schema": {"$ref": uri}}})
        assert judge("schema", "1", output_schema={"$ref": uri}).outcome == "error"

    assert calls == []


def test_a_pattern_in_a_schema_cannot_take_for_ever(judge) -> None:
    schema = {"type": "string", "pattern": "^(a+)+$"}

    assert judge({"schema": {"schema": schema}}, f'"{"a" * 500_000}b"').outcome == "fail"


def test_a_lone_surrogate_is_no_text(judge) -> None:
    verdict = judge({"schema": {"schema": {"type": "string"}}}, '"\\ud800"')

    assert (verdict.outcome, verdict.reason) == ("fail", "the output holds a lone surrogate, which is not text")


def test_a_pydantic_model_decides_by_import_path(build_grader, make_context) -> None:
    grader = build_grader({"schema": {"pydantic": "models:Ticket", "fenced": True}}, load_function=load)

    def verdict(text: str):
        return grader.judge(make_context(text))

    assert verdict('{"label": "bug"}').reason == "fits the model"
    assert verdict('```json\n{"label": "bug"}\n```').outcome == "pass"
    assert verdict('{"label": "far too long"}').reason == "label: String should have at most 8 characters"
    assert verdict('{"label": "bug", "label": "bug"}').outcome == "fail"
    assert verdict('{"label": "bug", "size": 13}').outcome == "error"
    assert verdict('{"label": "\ud800"}').outcome == "fail"
    assert verdict("no").reason.startswith("the output is not JSON")


def test_what_is_no_model_is_refused(build_grader) -> None:
    with pytest.raises(WorkspaceError, match="needs a pydantic model"):
        build_grader({"schema": {"pydantic": "models:text"}}, load_function=load)
    with pytest.raises(WorkspaceError, match="both schema and pydantic"):
        build_grader({"schema": {"pydantic": "models:Ticket", "schema": {}}}, load_function=load)


def test_no_grader_needs_gold_to_check_a_form(build_grader) -> None:
    assert not build_grader("schema").needs_expected
    assert not build_grader("json").needs_expected


FORMATS = {
    "date": ("2024-02-29", "2024-02-30"),
    "time": ("10:00:00Z", "10:00"),
    "date-time": ("2024-05-01T10:00:00Z", "2024-05-01"),
    "duration": ("P1D", "1 day"),
    "email": ("a@mail.test", "a"),
    "hostname": ("a.test", "-a"),
    "ipv4": ("8.8.8.8", "8.8.8.256"),
    "ipv6": ("::1", "x"),
    "uri": ("https://a.test/x", "a/x"),
    "uuid": ("550e8400-e29b-41d4-a716-446655440000", "550e8400"),
    "regex": ("a+", "("),
}


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_is_asserted_in_a_stated_schema_and_in_the_versions_own(judge, name: str) -> None:
    right, wrong = (json.dumps({"a": [text]}) for text in FORMATS[name])
    schema = {"type": "object", "properties": {"a": {"items": {"type": "string", "format": name}}}}

    for params, about in (({"schema": schema}, {}), ({}, {"output_schema": schema})):
        assert judge({"schema": params}, right, **about).outcome == "pass"
        assert judge({"schema": params}, wrong, **about).outcome == "fail"
        assert judge({"schema": {**params, "formats": False}}, wrong, **about).outcome == "pass"


def test_a_format_that_is_not_known_is_refused_where_it_can_be_mended_and_told_where_not(judge, build_grader) -> None:
    schema = {"properties": {"a": {"format": "emial"}}}

    with pytest.raises(WorkspaceError, match="format that is not known: emial") as caught:
        build_grader({"schema": {"schema": schema}})
    assert "email" in str(caught.value.hint)
    assert build_grader({"schema": {"schema": schema, "formats": False}})
    verdict = judge("schema", '{"a": "x"}', output_schema=schema)
    assert (verdict.outcome, verdict.reason) == (
        "pass",
        "fits the schema; its format emial is not known and not checked",
    )
