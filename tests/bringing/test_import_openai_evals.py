"""`evalh import openai-evals` and `oaieval`: what OpenAI's two products of evals left."""

import json
from pathlib import Path
from typing import Any

import pytest

from bringing.importing import Import

OUTPUT, TRUTH = "{{sample.output_text}}", "{{item.ground_truth}}"
TEMPLATE = [{"role": "developer", "content": "Sort {{x}}."}, {"role": "user", "content": {"type": "input_text", "text": "{{ item.input }}"}}]  # fmt: skip


def criterion(kind: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "name": "Check it", "input": OUTPUT, "reference": TRUTH, **more}


def output_item(number: int, said: str, **item: Any) -> dict[str, Any]:
    item = {"input": f"Question {number}", "ground_truth": "Markets", **item}
    usage = {"total_tokens": 12, "prompt_tokens": 10, "completion_tokens": 2, "cached_tokens": 4}
    sample = {"output": [{"role": "assistant", "content": said}], "model": "gpt-4o-mini-x", "finish_reason": "stop", "usage": usage, "error": None}  # fmt: skip
    return {"datasource_item": item, "datasource_item_id": number, "sample": sample, "status": "pass"}


def dump(*criteria: dict[str, Any], items: list[dict[str, Any]] | None = None, **more: Any) -> dict[str, Any]:
    source = {
        "type": "completions",
        "model": "gpt-4o-mini",
        "input_messages": {"type": "template", "template": TEMPLATE},
        "sampling_params": {"temperature": 0.3, "max_completion_tokens": 64},
    }
    run = {"run": {"id": "evalrun_1", "name": "mini", "data_source": source}, "output_items": items or [output_item(0, "Markets"), output_item(1, "World")]}  # fmt: skip
    return {"eval": {"id": "eval_1", "name": "News topics", "testing_criteria": list(criteria)}, "runs": [run], **more}


def imported(folder: Path, content: Any, *more: str, name: str = "dump.json") -> Import:
    text = "".join(json.dumps(row) + "\n" for row in content) if name.endswith("l") else json.dumps(content)
    (folder / name).write_text(text)
    return Import(folder, "openai-evals", folder / name, *more)


def test_a_dump_becomes_prompt_rows_graders_models_and_a_recording(tmp_path: Path) -> None:
    made = imported(tmp_path, [dump(criterion("string_check", operation="eq"))])

    assert made.prompt() == (
        "---\nconfig: {temperature: 0.3, max_tokens: 64}\n---\n"
        '{{role "system"}}\nSort \\{{x}}.\n{{role "user"}}\n{{item.input}}\n'
    )
    assert made.rows()[0] == {
        "id": "item-0",
        "inputs": {"item": {"input": "Question 0", "ground_truth": "Markets"}},
        "expected": {"ground_truth": "Markets"},
    }
    assert made.suite()["graders"] == [{"equals": {"expected": "ground_truth", "name": "check-it"}}]
    assert made.suite()["model"] == "gpt-4o-mini"
    assert made.done.code == 1  # {{x}} is nothing that the prompt has
    assert made.check().code == 0, made.check().out


def test_the_answers_of_a_run_are_judged_again_without_a_model(tmp_path: Path) -> None:
    made = imported(tmp_path, dump(criterion("string_check", operation="eq")))
    assert made.done.code == 1

    found = made.run("--model", "recorded-mini")

    assert (found["good"], found["bad"]) == (1, 1)


@pytest.mark.parametrize(
    ("stated", "grader", "status"),
    [
        (criterion("string_check", operation="ne", reference="sorry"), {"not": {"grader": {"equals": {"value": "sorry"}}, "name": "check-it"}}, "same"),
        (criterion("string_check", operation="like"), {"contains": {"expected": "ground_truth", "name": "check-it"}}, "same"),
        (criterion("string_check", operation="ilike", reference="X"), {"contains": {"value": "X", "ignore_case": True, "name": "check-it"}}, "same"),
        (criterion("string_check", operation="eq", input="{{sample.output_json.a.b}}"), {"equals": {"path": "a.b", "expected": "ground_truth", "name": "check-it"}}, "near"),
        (criterion("string_check", operation="eq", reference="{{item.ground_truth}}!"), "case", "same"),
        (criterion("string_check", operation="eq", input="{{item.input}}"), None, "not"),
        (criterion("string_check", operation="eq", reference="{{sample.output_text}}"), None, "not"),
        (criterion("string_check", operation="odd"), None, "not"),
        (criterion("text_similarity", evaluation_metric="bleu", pass_threshold=0.5), None, "not"),
        (criterion("text_similarity", evaluation_metric="cosine", pass_threshold=0.5), None, "not"),
        (criterion("python", source="def grade(sample, item): return 1"), None, "not"),
        (criterion("odd"), None, "not"),
        ({"type": "multi", "name": "m", "graders": {"a": criterion("string_check", operation="eq")}, "calculate_output": "a * a"}, None, "not"),
        ({"type": "multi", "name": "m", "graders": {}, "calculate_output": "__import__('os').system('x')"}, None, "not"),
    ],
)  # fmt: skip
def test_each_criterion_is_a_grader_or_told(
    tmp_path: Path, stated: dict[str, Any], grader: object, status: str
) -> None:
    made = imported(tmp_path, dump(stated))

    assert made.suite()["graders"] == [grader or {"length": {"min_chars": 1}}]
    assert made.document["graders"][status] >= 1
    assert made.check().code == 0, made.check().out


def test_a_reference_made_of_several_values_is_a_grader_of_each_row(tmp_path: Path) -> None:
    made = imported(tmp_path, dump(criterion("string_check", operation="eq", reference="{{item.input}}: {{item.n}}"), items=[output_item(0, "x", n=5)]))  # fmt: skip

    assert made.rows()[0]["graders"] == [{"equals": {"value": "Question 0: 5"}}]


def test_a_fuzzy_match_and_the_judges_are_near(tmp_path: Path) -> None:
    asked = [{"role": "user", "content": "Judge {{sample.output_text}} for {{item.input}}"}]
    made = imported(
        tmp_path,
        dump(
            criterion("text_similarity", evaluation_metric="fuzzy_match", pass_threshold=0.8),
            {"type": "label_model", "name": "Tone", "model": "gpt-4o", "labels": ["a", "b"], "passing_labels": ["a"], "input": asked},
            {"type": "score_model", "name": "Score", "model": "gpt-4o", "range": [1, 7], "pass_threshold": 4.5, "input": asked},
            {"type": "score_model", "name": "Unit", "model": "gpt-4o", "pass_threshold": 0.5, "input": asked},
        ),
    )  # fmt: skip
    similarity, label, score, unit = made.suite()["graders"]

    assert similarity["similarity"]["pass_mark"] == 0.8
    assert (
        label["judge"]["rubric"]
        == "Judge (the answer) for (the input input)\n\nChoose one label: a, b. It passes with: a."
    )
    assert (score["judge"]["scale"], score["judge"]["pass_mark"]) == ("1-7", 5)
    assert (unit["judge"]["scale"], unit["judge"]["pass_mark"]) == ("0-10", 5)
    assert made.document["graders"]["near"] == 4
    assert made.check().code == 0, made.check().out


def test_several_graders_with_a_linear_formula_are_weighted(tmp_path: Path) -> None:
    parts = {
        "a": criterion("string_check", operation="like", reference="x"),
        "b": criterion("string_check", operation="ne", reference="y"),
    }
    stated = {
        "type": "multi",
        "name": "Both",
        "graders": parts,
        "calculate_output": "0.7 * a + b * 0.3",
        "pass_threshold": 0.6,
    }
    (grader,) = imported(tmp_path, dump(stated)).suite()["graders"]

    assert [next(iter(part.values()))["weight"] for part in grader["weighted"]["graders"]] == [0.7, 0.3]
    assert grader["weighted"]["threshold"] == 0.6


def test_a_program_is_kept_only_if_it_is_allowed_and_then_judges(tmp_path: Path) -> None:
    stated = {
        "type": "python",
        "name": "Long",
        "source": "def grade(sample, item):\n    return len(sample['output_text']) / 7\n",
        "pass_threshold": 1,
    }
    made = imported(tmp_path, dump(stated), "--allow-code")

    assert made.suite()["graders"] == [{"python": {"function": "evals/imported/long.py:judge", "name": "long"}}]
    assert made.run("--model", "recorded-mini")["good"] == 1


ROWS = [
    {"run_id": "evalrun_a", "data_source_idx": 0, "item": {"input": "Hi", "gt": "x"}, "sample": {"outputs": [{"role": "assistant", "content": "Hello"}], "finish_reason": "stop", "token_usage": {"total_tokens": 3, "prompt_tokens": 2, "completion_tokens": 1}}, "grades": {"m": 1.0}, "passes": {"m": True}},
    {"run_id": "evalrun_b", "data_source_idx": 0, "item": {"gt": "x", "input": "Hi"}, "sample": {"outputs": [], "error": {"message": "e"}}, "grades": {"m": 0.0}},
    {"run_id": "evalrun_a", "data_source_idx": 1, "item": {"input": "Bye", "gt": "y"}, "grades": {"m": 0.5}},
]  # fmt: skip


def test_results_of_runs_become_rows_and_a_recording_of_each_run(tmp_path: Path) -> None:
    made = imported(tmp_path, ROWS, name="results.jsonl")

    assert [row["id"] for row in made.rows()] == ["item-0", "item-1"]
    recorded = (made.folder / "recorded/evalrun-a.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in recorded] == [
        {
            "id": "item-0",
            "output": "Hello",
            "trial": 0,
            "finish": "stop",
            "usage": {"input_tokens": 2, "output_tokens": 1},
        }
    ]
    assert (
        "grades of evalrun_a: m: mean 0.75 over 2, 1 of 1 passed: a machine's grades, so they are not labels"
        in made.items("note")
    )
    assert made.check().code == 0, made.check().out


def test_items_alone_become_rows(tmp_path: Path) -> None:
    made = imported(tmp_path, [{"item": {"a": 1}}, {"item": {"a": 2}}], name="files.jsonl")

    assert [row["inputs"] for row in made.rows()] == [{"item": {"a": 1}}, {"item": {"a": 2}}]
    assert made.prompt() == "{{item.a}}\n"


@pytest.mark.parametrize(
    ("content", "name", "told"),
    [
        ([{"a": 1}], "rows.jsonl", "is not an export of OpenAI Evals"),
        ({"eval": {}, "runs": []}, "dump.json", "holds no rows and no output items"),
        (
            {"eval": {"testing_criteria": [7, {}]}, "runs": [7, {"run": 7, "output_items": [7, {"sample": 7}]}]},
            "dump.json",
            "holds no rows",
        ),
    ],
)
def test_what_is_not_an_export_is_told(tmp_path: Path, content: Any, name: str, told: str) -> None:
    made = imported(tmp_path, content, name=name)

    assert made.done.code == 2, made.told
    assert told in made.told


# -- the open registry


def registry(folder: Path, entries: dict[str, Any]) -> Path:
    samples = [
        {
            "input": [{"role": "system", "content": "Add."}, {"role": "user", "content": "2+2"}],
            "ideal": ["4", "four (4)"],
        },
        {"input": [{"role": "user", "content": "1+1"}], "ideal": "2"},
    ]
    (folder / "registry/evals").mkdir(parents=True)
    (folder / "registry/data/sums").mkdir(parents=True)
    data = "".join(json.dumps(one) + "\n" for one in samples)
    (folder / "registry/data/sums/samples.jsonl").write_text(data)
    path = folder / "registry/evals/sums.yaml"
    path.write_text(json.dumps(entries))
    return path


def entry(kind: str, **args: Any) -> dict[str, Any]:
    return {"class": f"evals.elsuite.basic.x:{kind}", "args": {"samples_jsonl": "sums/samples.jsonl", **args}}


def test_match_is_a_beginning_and_includes_a_part(tmp_path: Path) -> None:
    path = registry(tmp_path, {"sums": {"id": "m"}, "m": entry("Match"), "i": entry("Includes", ignore_case=True)})
    made = Import(tmp_path, "oaieval", path)

    assert made.rows("m")[0]["graders"] == [{"regex": r"(?s)^(?:4|four\ \(4\))"}]
    assert made.rows("m")[0]["inputs"]["messages"][0] == {"role": "system", "content": "Add."}
    assert made.suite("i")["graders"] == [{"contains": {"expected": "$", "match": "any", "ignore_case": True}}]
    assert made.check().code == 0, made.check().out


@pytest.mark.parametrize(
    ("said", "good"), [("The answer is four 4.", True), ("4", True), ("5", False), ("", False), ("A  FOUR, (4)!", True)]
)
def test_a_fuzzy_match_is_judged_as_there(tmp_path: Path, said: str, good: bool) -> None:
    pytest.importorskip("quickjs")
    made = Import(tmp_path, "oaieval", registry(tmp_path, {"f": entry("FuzzyMatch")}))
    case = made.rows()[0]["id"]
    (made.folder / "evalh.toml").write_text(
        f'[models.said]\nprovider = "scripted"\ntable = {{{case} = {json.dumps(said)}}}\n'
    )

    assert made.run("f", "--model", "said", "--case", case)["good"] == int(good)


def test_programs_of_the_registry_are_told_and_pointers_are_not_data(tmp_path: Path) -> None:
    path = registry(tmp_path, {"a": entry("Match"), "b": entry("ModelBasedClassify"), "c": entry("Own")})
    made = Import(tmp_path, "oaieval", path)
    assert made.done.code == 1
    assert len(made.items("not")) == 2

    (tmp_path / "registry/data/sums/samples.jsonl").write_text("version https://git-lfs.github.com/spec/v1\noid x\n")
    assert "git lfs pull" in Import(tmp_path / "registry", "oaieval", path).told
