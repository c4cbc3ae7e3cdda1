"""Two real models on GSM8K, replayed from the end of the command line to the last digit."""

import gzip
import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from workspaces import document, evalh

PROMPT = """---
description: Grade-school mathematics
input: {schema: {question: string}}
---
{{question}}
"""
SUITE = """prompt: gsm8k
dataset: gsm8k
model: recorded
graders:
  - number: {expected: answer}
"""
CONFIG = """[workspace]
default_suite = "gsm8k"

[models.recorded]
provider = "replay"
model = "{version}"
path = "recorded/{version}.jsonl.gz"
"""
RECORDINGS = {"v1": ("outputs-6b_finetuning", 286), "v2": ("outputs-6b_verification", 515)}


@pytest.fixture(scope="module")
def workspace(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gsm8k")
    for name in ("prompts/gsm8k", "evals", "datasets", "recorded"):
        (folder / name).mkdir(parents=True)
    (folder / "evalh.toml").write_text(CONFIG)
    (folder / "evals/gsm8k.yaml").write_text(SUITE)
    for version, (name, _) in RECORDINGS.items():
        (folder / f"prompts/gsm8k/{version}.prompt").write_text(PROMPT)
        shutil.copy(real_data / f"gsm8k/{name}.jsonl.gz", folder / f"recorded/{version}.jsonl.gz")
    with (
        gzip.open(real_data / "gsm8k/cases.jsonl.gz", "rt") as cases,
        (folder / "datasets/gsm8k.jsonl").open("w") as rows,
    ):
        for line in cases:
            case = json.loads(line)
            row = {"id": case["id"], "inputs": {"question": case["question"]}, "expected": {"answer": case["answer"]}}
            rows.write(json.dumps(row) + "\n")
    return folder


def test_two_recorded_models_score_what_their_recordings_say(workspace: Path, real_data: Path) -> None:
    done = evalh(workspace, "run", "--prompt", "v1", "--prompt", "v2", "--json")

    assert done.returncode == 0, done.stderr
    results = document(done)["results"]
    assert [(run["samples"], run["good"]) for run in results] == [(1319, good) for _, good in RECORDINGS.values()]
    for run, (name, _) in zip(results, RECORDINGS.values(), strict=True):
        assert _verdicts(workspace, run["run"]) == _recorded(real_data / f"gsm8k/{name}.jsonl.gz")


def _verdicts(folder: Path, run_id: str) -> dict[str, bool]:
    with closing(sqlite3.connect(folder / ".evalh/evalh.db")) as db:
        rows = db.execute(
            "select s.case_id, v.outcome from verdicts v join samples s on s.id = v.sample_id where s.run_id = ?",
            (run_id,),
        )
        return {case_id: outcome == "pass" for case_id, outcome in rows}


def _recorded(path: Path) -> dict[str, bool]:
    with gzip.open(path, "rt") as lines:
        return {row["id"]: row["is_correct"] for row in map(json.loads, lines)}
