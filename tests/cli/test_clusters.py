"""`evalh run` and `evalh compare` over cases that are alike."""

import json
from pathlib import Path

import pytest

from workspaces import evalh

SUITE = """prompt: q
dataset: q
model: m
graders: [{equals: {value: "yes"}}]
"""
CONFIG = """[workspace]
default_suite = "q"
[models.m]
provider = "replay"
path = "recorded/{version}.jsonl"
"""


def write(folder: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    write(
        tmp_path,
        {
            "evalh.toml": CONFIG,
            "evals/q.yaml": SUITE,
            "prompts/q/v1.prompt": "{{question}}",
            "prompts/q/v2.prompt": "{{question}}?",
        },
    )
    return tmp_path


def rows(workspace: Path, rows: list[dict[str, object]], answers: dict[str, list[str]]) -> None:
    lines = {"datasets/q.jsonl": rows}
    for version, outputs in answers.items():
        lines[f"recorded/{version}.jsonl"] = [
            {"id": row["id"], "output": output} for row, output in zip(rows, outputs, strict=True)
        ]
    write(workspace, {path: "".join(json.dumps(one) + "\n" for one in some) for path, some in lines.items()})


def result(workspace: Path, *arguments: str) -> dict[str, object]:
    (one,) = json.loads(evalh(workspace, "run", "--json", *arguments).stdout)["results"]
    return one


def test_a_hundred_copies_of_one_question_are_one_cluster(workspace: Path) -> None:
    copies = [{"id": f"c{number}", "inputs": {"question": "The same?"}} for number in range(100)]
    rows(workspace, copies, {"v2": ["yes"] * 100})

    told = evalh(workspace, "run").stdout
    found = result(workspace)

    assert "100 cases in 1 cluster" in told
    assert found["clusters"] == 1
    assert (found["good_rate"]["value"], found["good_rate"]["low"], found["good_rate"]["high"]) == (1.0, 0.0, 1.0)


@pytest.mark.parametrize("by", ["cluster", "inputs", "both"])
def test_clusters_come_from_the_row_from_equal_inputs_or_from_both(workspace: Path, by: str) -> None:
    cases = []
    for number in range(40):
        template = number // 4
        inputs = {"question": f"t{template}" if by != "cluster" and number % 4 < 3 else f"q{number}"}
        one: dict[str, object] = {"id": f"c{number}", "inputs": inputs}
        if by == "cluster" or (by == "both" and number % 4 >= 2):
            one["cluster"] = f"k{template}"
        cases.append(one)
    rows(workspace, cases, {"v2": ["yes" if number // 4 % 2 else "no" for number in range(40)]})

    found = result(workspace)

    assert found["clusters"] == (20 if by == "inputs" else 10)
    narrow = result(workspace, "--case", "c0", "--case", "c4", "--case", "c8", "--case", "c12")
    assert narrow["clusters"] == 4


def test_a_comparison_from_the_log_counts_clusters_too(workspace: Path) -> None:
    cases = [{"id": f"c{n}", "inputs": {"question": f"q{n}"}, "cluster": f"k{n // 5}"} for n in range(100)]
    v1 = ["yes"] * 100
    v2 = ["no" if n // 5 in (2, 7) else "yes" for n in range(100)]
    rows(workspace, cases, {"v1": v1, "v2": v2})

    told = evalh(workspace, "compare", "v1", "v2").stdout
    found = json.loads(evalh(workspace, "compare", "v1", "v2", "--json").stdout)

    assert "100 cases in 20 clusters" in told
    assert (found["n"], found["clusters"], found["losses"]) == (100, 20, 10)
    assert found["test"] == "sign-flip"
    assert found["p_value"] == 0.5  # two clusters lost, none won: 2 of 4 relabellings are as extreme
    assert found["verdict"] == "inconclusive"


def test_an_empty_cluster_is_refused_with_its_line(workspace: Path) -> None:
    rows(workspace, [{"id": "a", "inputs": {"question": "q"}, "cluster": " "}], {"v2": ["yes"]})

    done = evalh(workspace, "run")

    assert done.returncode == 2
    assert "datasets/q.jsonl:1" in done.stderr
    assert "'cluster' must be text that is not empty" in done.stderr


def test_a_csv_file_has_a_column_of_clusters(workspace: Path) -> None:
    write(workspace, {"datasets/q.csv": "id,question,cluster\na,q1,k\nb,q2,k\nc,q3,\nd,q4,\n"})
    recorded = "".join(json.dumps({"id": one, "output": "yes"}) + "\n" for one in "abcd")
    write(workspace, {"recorded/v2.jsonl": recorded})

    assert result(workspace)["clusters"] == 3
