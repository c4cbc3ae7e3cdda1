"""This repository's own pipeline, answered by what the embedded model really said, and really got wrong.

The recording holds every step of v2, v3 and v4. To make it again, in the repository:

    for version in v2 v3 v4; do
      evalh run order_status --prompt $version && evalh export recorded last -o $version.jsonl
    done
    sort -u v2.jsonl v3.jsonl v4.jsonl | gzip -9n > tests/recorded/order_status.jsonl.gz

A step that two versions share is in the log: it is the same row in both.
"""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from workspaces import document, evalh

ROOT = Path(__file__).parents[2]
RECORDED = '\n[models.recorded]\nprovider = "replay"\npath = "tests/recorded/order_status.jsonl.gz"\n'
WORDS = {
    "v2": {"clean": 16, "poisoned": 29, "failed at the end": 25},
    "v3": {"clean": 34, "poisoned": 12, "failed at the end": 24},
    "v4": {"clean": 46, "poisoned": 12, "failed at the end": 12},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for part in ("prompts", "evals", "datasets", "steps"):
        shutil.copytree(ROOT / part, tmp_path / part)
    (tmp_path / "tests/recorded").mkdir(parents=True)
    shutil.copy(ROOT / "tests/recorded/order_status.jsonl.gz", tmp_path / "tests/recorded")
    (tmp_path / ".gitignore").write_text(".evalh/\n__pycache__/\n")
    go_live(tmp_path, "v4")
    return tmp_path


def go_live(folder: Path, version: str) -> None:
    config = (ROOT / "evalh.toml").read_text(encoding="utf-8")
    (folder / "evalh.toml").write_text(f'{config}{RECORDED}\n[prompts.order_status]\nlive = "{version}"\n')


def test_each_version_improves_the_step_that_it_names(folder: Path) -> None:
    versions = [option for version in WORDS for option in ("--prompt", version)]

    done = evalh(folder, "run", "order_status", *versions, "--model", "recorded", "--json")

    assert done.returncode == 0, done.stderr
    results: list[dict[str, Any]] = document(done)["results"]
    for result, words in zip(results, WORDS.values(), strict=True):
        assert {word: count for word, count in result["samples_by_word"].items() if count} == words
        assert (result["samples"], result["good"], result["ungraded"]) == (70, words["clean"], 0)
    good = [{one["step"]: (one["good"], one["bad"]) for one in result["steps"]} for result in results]
    assert [one["read"] for one in good] == [(27, 43), (48, 22), (48, 22)], "v3 mends `read`"
    assert [one["reply"] for one in good] == [(13, 11), (31, 14), (43, 2)], "v4 mends `reply`"


def test_a_number_from_an_example_is_stopped_before_a_customer_reads_it(folder: Path) -> None:
    """The model answers a message without a number with the one of a worked example."""
    evalh(folder, "run", "order_status", "--prompt", "v4", "--model", "recorded")

    shown = evalh(folder, "show", "o-026").stdout

    assert '"46091" does not occur in inputs.message' in shown
    assert "We have no order 46091" not in shown


@pytest.mark.parametrize(("before", "after", "code"), [("v2", "v4", 0), ("v4", "v2", 1)])
def test_the_gate_accepts_the_fixed_pipeline_and_refuses_the_old_one(
    folder: Path, before: str, after: str, code: int
) -> None:
    go_live(folder, before)
    for command in (
        ("init", "-q", "-b", "main"),
        ("add", "-A"),
        ("commit", "-qm", "Main"),
        ("switch", "-qc", "change"),
    ):
        subprocess.run(["git", *command], cwd=folder, check=True)
    go_live(folder, after)
    subprocess.run(["git", "commit", "-qam", f"Go live with {after}"], cwd=folder, check=True)

    done = evalh(folder, "gate", "order_status", "--base", "main", "--head", "HEAD", "--model", "recorded", "--json")

    assert done.returncode == code, done.stdout + done.stderr
    (suite,) = document(done)["suites"]
    assert "steps that differ: read (prompt" in done.stdout
    if code:
        assert "shown to be worse" in suite["reasons"][0]


def test_a_comparison_shows_a_pipelines_result_and_not_its_last_call(folder: Path) -> None:
    sides = ("order_status@v2", "order_status@v4", "--model", "recorded", "--case", "o-002", "--case", "o-006")

    shown = evalh(folder, "compare", *sides).stdout

    assert "Which order is it? Please send us" in shown
    assert '"number"' not in shown.partition("better: 2")[2]


def test_explain_says_how_often_a_step_stopped_a_sample(folder: Path) -> None:
    evalh(folder, "run", "order_status", "--prompt", "v4", "--model", "recorded")
    suite = folder / "evals/order_status.yaml"
    suite.write_text(suite.read_text().replace("model: small", "model: recorded"))

    steps, _ = document(evalh(folder, "explain", "order_status", "--json"))["routes"]

    stops = next(one for one in steps["decisions"] if one["when"].startswith("read fails a check"))
    assert (stops["then"], stops["taken"]) == ("no step that depends on it runs, and the sample is bad", 10)
