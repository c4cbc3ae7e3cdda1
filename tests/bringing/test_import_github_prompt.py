"""`evalh import github-prompt`: what a .prompt.yml file asks, tests and judges."""

from pathlib import Path

import pytest

from bringing.importing import Import

KEY = "sk-proj-" + "a1B2" * 10
FILE = f"""name: Sorter
description: Sort
  reviews
model: openai/gpt-4o-mini
modelParameters: {{temperature: 0.2, maxTokens: 50}}
messages:
  - role: system
    content: |
      Sort it. Keep {{% raw %}} and {{{{ spaced }}}} as they are. Not a key: {KEY}
  - role: user
    content: "{{{{input}}}} about {{{{product}}}}"
testData:
  - {{input: It is great, product: tea, expected: positive}}
  - {{input: It is bad, product: cup, expected: negative}}
evaluators:
"""
CASES = [
    ("{name: a, string: {equals: '{{expected}}'}}", {"equals": {"normalize": "none"}}),
    ("{name: a, string: {contains: '{{expected}}'}}", {"contains": {"expected": "$", "ignore_case": True}}),
    ("{name: a, string: {contains: TIVE}}", {"contains": {"value": "TIVE", "ignore_case": True}}),
    ("{name: a, string: {startsWith: a.b}}", {"regex": r"(?is)^a\.b"}),
    ("{name: a, string: {endsWith: '?'}}", {"regex": r"(?is)\?\z"}),
    ("{name: a, string: {endsWith: x, contains: y}}", {"contains": {"value": "y", "ignore_case": True}}),
    ("{name: a, string: {startsWith: '{{product}}'}}", "case"),
]


def written(folder: Path, evaluators: str, name: str = "sorter.prompt.yml", text: str = FILE) -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text + "".join(f"  - {line}\n" for line in evaluators.splitlines()), "utf-8")
    return path


def test_a_file_becomes_a_prompt_with_its_rows_and_graders(tmp_path: Path) -> None:
    made = Import(tmp_path, "github-prompt", written(tmp_path, "{name: exact, string: {equals: '{{expected}}'}}"))

    assert made.done.code == 0, made.told
    assert made.prompt() == (
        "---\nconfig: {temperature: 0.2, max_tokens: 50}\n---\n"
        '{{role "system"}}\nSort it. Keep \\{% raw %} and \\{{ spaced }} as they are. Not a key: REMOVED-KEY\n'
        '{{role "user"}}\n{{input}} about {{product}}\n'
    )
    assert made.suite() == {
        "prompt": "sorter",
        "dataset": "sorter",
        "description": "Sort reviews",
        "model": "gpt-4o-mini",
        "graders": [{"equals": {"normalize": "none"}}],
    }
    assert [row["expected"] for row in made.rows()] == ["positive", "negative"]
    assert made.check().code == 0, made.check().out


def test_no_key_of_the_source_is_copied(tmp_path: Path) -> None:
    made = Import(tmp_path, "github-prompt", written(tmp_path, "{name: a, string: {equals: x}}"))

    assert KEY not in "".join(file.read_text("utf-8") for file in made.folder.rglob("*.*"))
    assert any("looks like a key" in item for item in made.items("note"))


@pytest.mark.parametrize(("evaluator", "grader"), CASES)
def test_a_string_evaluator_is_the_same_grader(tmp_path: Path, evaluator: str, grader: object) -> None:
    """`contains`, `startsWith` and `endsWith` ignore case there; of several, the first in their order counts."""
    made = Import(tmp_path, "github-prompt", written(tmp_path, evaluator))

    assert made.suite()["graders"] == [grader]
    assert made.document["graders"] == {"same": 1, "near": 0, "not": 0}
    assert made.check().code == 0, made.check().out


def test_an_evaluator_that_names_a_key_of_the_row_is_a_grader_of_the_row(tmp_path: Path) -> None:
    made = Import(tmp_path, "github-prompt", written(tmp_path, CASES[-1][0]))

    assert [row["graders"] for row in made.rows()] == [[{"regex": "(?is)^tea"}], [{"regex": "(?is)^cup"}]]


def test_model_graded_evaluators_are_near_and_say_which_choices_pass(tmp_path: Path) -> None:
    evaluators = (
        "{name: like, uses: github/similarity}\n"
        "{name: rate, llm: {modelId: openai/gpt-4o, prompt: 'Rate {{completion}} for {{input}}', "
        "choices: [{choice: '1', score: 0}, {choice: '2', score: 0.5}]}}\n"
        "{name: odd, uses: github/unknown}"
    )
    made = Import(tmp_path, "github-prompt", written(tmp_path, evaluators))
    first, second = (one["judge"] for one in made.suite()["graders"])

    assert made.done.code == 1
    assert made.document["graders"] == {"same": 0, "near": 2, "not": 1}
    assert (first["scale"], first["pass_mark"], first["reference"]) == ("1-5", 2, True)
    assert second["rubric"] == "Rate (the answer) for (the input input)\n\nOf the choices 1, 2, it passes with: 2."
    assert made.check().code == 0, made.check().out


def test_an_output_schema_comes_over(tmp_path: Path) -> None:
    more = 'responseFormat: json_schema\njsonSchema: \'{"name": "x", "schema": {"type": "object"}}\'\n'
    made = Import(tmp_path, "github-prompt", written(tmp_path, "", text=FILE.replace("evaluators:\n", more)))

    assert "output: {format: json, schema: {type: object}}" in made.prompt()
    assert made.items("note")[-1].startswith("evaluators: no evaluator is imported")


def test_all_files_below_a_folder_are_read_and_none_hides_another(tmp_path: Path) -> None:
    source = tmp_path / "prompts"
    written(source, "", name="a.prompt.yml")
    written(source / "inner", "", name="a.prompt.yaml")

    made = Import(tmp_path, "github-prompt", source)

    assert sorted(path.stem for path in (made.folder / "evals").iterdir()) == ["a", "a-2"]
    assert made.check().code == 0, made.check().out


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: [", "is not YAML"),
        ("messages: 7\n", "has no messages"),
        ("- 1\n", "has no messages"),
        ("a: &a [*a]\nmessages: []\n", "lies inside itself"),
        ("\x00", "error"),
    ],
)
def test_what_is_not_such_a_file_is_told(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "a.prompt.yml"
    path.write_text(text)

    made = Import(tmp_path, "github-prompt", path)

    assert made.done.code == 2
    assert told in made.told


def test_odd_parts_are_told_and_end_nothing(tmp_path: Path) -> None:
    text = """messages: [{role: tool, content: x}, 7, {role: user, content: "{{items.keys}} {{x}}"}]
testData: [7, {x: 1, items.keys: 2}, {x: [1, {y: null}]}]
evaluators: [7, {name: a}, {string: {equals: 7}}]
model: [1]
modelParameters: {temperature: hot, odd: 1}
jsonSchema: "not json"
responseFormat: json_schema
"""
    made = Import(tmp_path, "github-prompt", written(tmp_path, "", text=text))

    assert made.done.code == 1
    assert len(made.items("not")) >= 6
    assert any(item.startswith("modelParameters.odd") for item in made.items("note"))
    assert made.check().code == 0, made.check().out
