"""A run with more ungraded samples than its suite allows exits with 4, and every place that tells its rate says so."""

import json
from pathlib import Path

import pytest

from faults.running import here
from workspaces import write_workspace

# Every third ticket has no answer; every seventh is wrong.
ANSWERS = """import json


def answer(request, case_id, trial):
    number = int(case_id.split("-")[1])
    if number % 3 == 0:
        raise ValueError("no answer here")
    return json.dumps({"label": "bug" if number % 7 == 0 else "billing"})
"""
ALLOWED = "max_ungraded: 0.5\n"
TOLD = "6 of 20 samples are ungraded, and the suite allows 2 % (max_ungraded)"


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = write_workspace(tmp_path)
    (folder / "evals/answers.py").write_text(ANSWERS)
    first = (folder / "prompts/triage/v1.prompt").read_text()
    (folder / "prompts/triage/v2.prompt").write_text(first.replace("Sort the ticket.", "Sort this ticket."))
    return folder


def allow(folder: Path) -> None:
    suite = folder / "evals/triage.yaml"
    suite.write_text(suite.read_text() + ALLOWED)


def test_a_run_that_is_not_measured_says_so_where_its_exit_code_does(workspace: Path) -> None:
    done = here(workspace, "run", "--prompt", "v1")
    shown = here(workspace, "show", "last")

    assert done.exit == 4
    assert f"not measured: {TOLD}" in done.out.splitlines()
    assert shown.exit == 0
    assert f"not measured: {TOLD}" in shown.out.splitlines()

    allow(workspace)
    done = here(workspace, "run", "--prompt", "v1")

    assert done.exit == 0
    assert "not measured" not in done.out


def test_of_several_runs_each_one_that_is_not_measured_is_named(workspace: Path) -> None:
    done = here(workspace, "run", "--prompt", "v1", "--prompt", "v2")

    assert done.exit == 4
    assert [line for line in done.out.splitlines() if line.startswith("not measured")] == [
        f"not measured: triage@{version} on small: {TOLD}" for version in ("v1", "v2")
    ]


def test_a_document_goes_with_the_same_line_on_stderr(workspace: Path) -> None:
    done = here(workspace, "run", "--prompt", "v1", "--json")

    assert (done.exit, done.err.strip()) == (4, f"not measured: {TOLD}")
    assert done.result["ungraded"] == 6


def test_incidents_are_told_apart(workspace: Path) -> None:
    dataset = workspace / "datasets/triage.jsonl"
    rows = [json.loads(line) for line in dataset.read_text().splitlines()]
    for row in rows:
        if int(row["id"][2:]) % 3 == 0:
            row |= {"tags": ["incident"], "source": {"workflow": row["id"]}}
    dataset.write_text("".join(json.dumps(row) + "\n" for row in rows))

    done = here(workspace, "run", "--prompt", "v1")

    assert done.exit == 4
    assert [line for line in done.out.splitlines() if line.startswith("not measured")] == [
        "not measured: incidents: 6 of 6 samples are ungraded, and the suite allows 2 % (max_ungraded)"
    ]


def test_examples_of_failures_have_a_bad_and_an_ungraded_sample(workspace: Path) -> None:
    done = here(workspace, "run", "--prompt", "v1", "--trials", "2")  # two trials: four bad samples before the others

    first = [line.split("  ") for line in done.out.splitlines() if line.startswith(("bad  ", "ungraded  "))]
    assert first == [["bad", "t-0007"], ["bad", "t-0007 trial 1"], ["ungraded", "t-0003"]]
