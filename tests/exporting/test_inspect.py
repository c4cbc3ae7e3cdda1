"""`evalh export inspect`: a log that Inspect's own reader takes.

Inspect has 300 MB of dependencies: EVALH_INSPECT names a Python that has it (benchmarks/elsewhere.py makes one).
Without it, and without inspect_ai beside evalh, the tests that ask Inspect are skipped.
"""

import importlib.util
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from evalh.api.exports import write_inspect
from evalh.api.workspace import Workspace
from evalh.interop import inspect_log
from workspaces import document, evalh, write_workspace

READER = """
import json, math, sys, tempfile
from pathlib import Path
from inspect_ai.log import convert_eval_logs, list_eval_logs, read_eval_log
folder = sys.argv[1]
found = []
for info in list_eval_logs(folder):
    log = read_eval_log(info.name)
    head = read_eval_log(info.name, header_only=True)
    with tempfile.TemporaryDirectory() as other:
        convert_eval_logs(info.name, "eval", other)
        (again,) = [read_eval_log(one.name) for one in list_eval_logs(other)]
    key = lambda s: (s.id, s.epoch)
    assert sorted(map(key, again.samples)) == sorted(map(key, log.samples))
    good = next(s for s in head.results.scores if s.name == "good")
    found.append({
        "task": info.task, "status": head.status, "total": head.results.total_samples, "run": log.eval.run_id,
        "scored": good.scored_samples, "unscored": good.unscored_samples,
        "accuracy": good.metrics["accuracy"].value if "accuracy" in good.metrics else None,
        "samples": [
            {"id": s.id, "epoch": s.epoch, "output": s.output.completion, "events": [e.event for e in s.events],
             "error": s.error.message if s.error else None,
             "scores": {n: ("NaN" if isinstance(v.value, float) and math.isnan(v.value) else v.value)
                        for n, v in s.scores.items()}}
            for s in log.samples
        ],
    })
json.dump(found, sys.stdout)
"""
HOSTILE = "\x1b[31m \x00 \ud83d </script> " + "[" * 300


@pytest.fixture(scope="module")
def inspect_reads() -> Any:
    python = os.environ.get("EVALH_INSPECT") or (sys.executable if importlib.util.find_spec("inspect_ai") else None)
    if python is None:
        pytest.skip("inspect_ai is not installed, and EVALH_INSPECT does not name a Python that has it")

    def read(folder: Path) -> list[dict[str, Any]]:
        done = subprocess.run([python, "-c", READER, folder], capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return read


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = write_workspace(tmp_path, cases=15)
    evalh(made, "run", "--trials", "2")
    return made


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    made = write_workspace(tmp_path, cases=5)
    answers = f"def answer(request, case_id, trial):\n    if case_id == 't-0002':\n        raise OSError('gone')\n    return {HOSTILE!r}\n"
    (made / "evals/answers.py").write_text(answers)
    evalh(made, "run")
    return made


def written(folder: Path) -> list[dict[str, Any]]:
    done = document(evalh(folder, "export", "inspect", "-o", str(folder / "logs"), "--json"))
    return [json.loads(Path(one["output"]).read_bytes()) for one in done["files"]]


def standings(folder: Path) -> dict[str, int]:
    with sqlite3.connect(folder / ".evalh/evalh.db") as connection:
        return dict(connection.execute("select standing, count(*) from samples group by 1"))


def test_a_log_counts_what_the_run_counted(folder: Path) -> None:
    (log,) = written(folder)
    counts = standings(folder)
    good, *graders = log["results"]["scores"]

    assert list(log) == ["version", "status", "eval", "plan", "results", "stats", "samples"]
    assert log["results"]["total_samples"] == len(log["samples"]) == 30
    assert good["metrics"]["accuracy"]["value"] == counts["good"] / 30
    assert good["metrics"]["good_rate"]["value"] == log["eval"]["metadata"]["evalh"]["good_rate"]["value"]
    assert [one["name"] for one in graders] == ["schema", "equals"]
    marks = [sample["scores"]["good"]["value"] for sample in log["samples"]]
    assert (marks.count("C"), marks.count("I")) == (counts["good"], counts["bad"])


def test_each_trial_of_a_case_is_an_epoch_of_its_sample(folder: Path) -> None:
    (log,) = written(folder)

    assert [(one["id"], one["epoch"]) for one in log["samples"][:4]] == [
        ("t-0001", 1),
        ("t-0001", 2),
        ("t-0002", 1),
        ("t-0002", 2),
    ]
    assert log["eval"]["config"] == {"epochs": 2}
    assert log["eval"]["dataset"]["samples"] == 15


def test_a_long_run_is_several_files_of_one_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspect_log, "MOST_SAMPLES", 12)
    files = write_inspect(Workspace.open(folder), "last", folder / "logs")
    logs = [json.loads(Path(one.output).read_bytes()) for one in files]

    assert [len(log["samples"]) for log in logs] == [12, 12, 6]
    assert len({log["eval"]["eval_id"] for log in logs}) == 3
    assert len({log["eval"]["run_id"] for log in logs}) == 1
    assert sum(log["results"]["scores"][0]["scored_samples"] for log in logs) == 30
    assert len(list((folder / "logs").iterdir())) == 3


def test_writing_a_log_again_replaces_it(folder: Path) -> None:
    assert written(folder) == written(folder)
    assert len(list((folder / "logs").iterdir())) == 1


def test_inspect_reads_the_log_with_equal_counts_and_accuracy(folder: Path, inspect_reads: Any) -> None:
    written(folder)
    (log,) = inspect_reads(folder / "logs")
    counts = standings(folder)

    assert (log["task"], log["status"], log["total"]) == ("evalh-triage", "success", 30)
    assert (log["scored"], log["unscored"]) == (30, 0)
    assert log["accuracy"] == counts["good"] / 30
    assert sum(sample["scores"]["good"] == "C" for sample in log["samples"]) == counts["good"]
    assert log["samples"][0]["events"] == ["span_begin", "model", "span_end", "score", "score"]


def test_inspect_reads_hostile_outputs_and_errors_and_leaves_out_what_has_no_score(
    hostile: Path, inspect_reads: Any
) -> None:
    written(hostile)
    (log,) = inspect_reads(hostile / "logs")
    by_id = {sample["id"]: sample for sample in log["samples"]}

    assert (log["total"], log["scored"], log["unscored"]) == (5, 4, 1)
    assert by_id["t-0001"]["output"] == HOSTILE.replace("\ud83d", "?")
    assert "gone" in by_id["t-0002"]["error"]
    assert by_id["t-0002"]["scores"]["good"] == "NaN"
