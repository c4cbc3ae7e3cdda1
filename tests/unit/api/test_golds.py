"""Golds that are text where no output holds text: `evalh check` says so, and says nothing of what can be met."""

from pathlib import Path
from typing import Any

import pytest

from evalh.api.gold import impossible_golds
from evalh.core.case import Case
from evalh.core.prompt import PromptVersion
from evalh.core.suite import GraderSpec
from workspaces import evalh, write_workspace

SCHEMA = {
    "type": "object",
    "properties": {
        "n": {"type": "integer"},
        "word": {"type": "string"},
        "maybe": {"type": ["number", "null"]},
        "either": {"anyOf": [{"type": "boolean"}, {"type": "string"}]},
        "neither": {"anyOf": [{"type": "boolean"}, {"type": "null"}]},
        "choice": {"enum": [1, 2]},
        "list": {"type": "array", "items": {"type": "number"}},
        "inner": {"type": "object", "properties": {"flag": {"type": "boolean"}}},
        "other": {"$ref": "#/$defs/x"},
        "any": {},
    },
}


def told(gold: Any, schema: Any = SCHEMA, kind: str = "equals", **params: Any) -> list[str]:
    version = PromptVersion(name="p", version="v1", path="prompts/p/v1.prompt", sections=(), output_schema=schema)
    spec = GraderSpec(kind=kind, name=kind, params=params)
    return [one.what for one in impossible_golds([spec], version, [Case("a", {}, gold, where="d.csv:2")])]


@pytest.mark.parametrize(
    ("gold", "params", "place"),
    [
        ({"n": "3"}, {"path": "n", "expected": "n"}, "n, where p@v1 answers integer"),
        ("3", {"path": "n"}, "n, where p@v1 answers integer"),
        ("3", {"path": "maybe"}, "maybe, where p@v1 answers null or number"),
        ("yes", {"path": "neither"}, "neither, where p@v1 answers boolean or null"),
        ("1", {"path": "choice"}, "choice, where p@v1 answers integer"),
        ("1", {"path": "list[0]"}, "list[0], where p@v1 answers number"),
        ("true", {"path": "inner.flag"}, "inner.flag, where p@v1 answers boolean"),
        ("[1]", {"path": "list"}, "list, where p@v1 answers array"),
        ({"n": "3", "word": "x"}, {}, "the output.n, where p@v1 answers integer"),
        ({"inner": {"flag": "true"}}, {}, "the output.inner.flag, where p@v1 answers boolean"),
        ({"list": [1, "2"]}, {}, "the output.list[1], where p@v1 answers number"),
    ],
)
def test_text_where_no_output_holds_text_is_named(gold: Any, params: dict[str, Any], place: str) -> None:
    assert told(gold, **params) == [f"case 'a' expects text at {place}: equals can never pass"]


@pytest.mark.parametrize(
    ("gold", "params"),
    [
        ({"n": 3}, {"path": "n", "expected": "n"}),
        ("x", {"path": "word"}),
        ("x", {"path": "either"}),
        ("x", {"path": "other"}),
        ("x", {"path": "any"}),
        ("x", {"path": "not_said"}),
        ('{"n": 3}', {}),
        ({"word": "x", "not_said": "y"}, {}),
        (None, {"path": "n"}),
        ({"word": "x"}, {"path": "n", "expected": "n"}),
        ("3", {"path": "n", "value": "3"}),
        ("3", {"path": "n..x"}),
    ],
)
def test_what_can_be_met_is_left_alone(gold: Any, params: dict[str, Any]) -> None:
    assert told(gold, **params) == []


def test_one_of_is_impossible_only_where_each_value_is() -> None:
    assert told(["1", "2"], kind="one_of", path="n")
    assert told(["1", 2], kind="one_of", path="n") == []


def test_a_version_without_a_schema_says_nothing() -> None:
    assert told("3", schema=None, path="n") == []


def test_check_names_the_case_of_a_spreadsheet_and_what_to_call_the_column(tmp_path: Path) -> None:
    folder = write_workspace(tmp_path)
    prompt = folder / "prompts/triage/v1.prompt"
    prompt.write_text(prompt.read_text().replace("{label(enum): [billing, bug]}", "{label: integer}"))
    (folder / "datasets/triage.jsonl").unlink()
    rows = folder / "datasets/triage.csv"
    rows.write_text("id,ticket,expected.label\na,hello,3\n")

    wrong = evalh(folder, "check")
    rows.write_text("id,ticket,expected.label:json\na,hello,3\n")
    right = evalh(folder, "check")

    assert wrong.returncode == 2
    assert "datasets/triage.csv:2: case 'a' expects text at label, where triage@v1 answers integer" in wrong.stdout
    assert "give the column a name that ends in :json" in wrong.stdout
    assert right.returncode == 0, right.stderr
