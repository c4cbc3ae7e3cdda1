"""A run with more ungraded samples than its suite allows exits with 4, and every place that tells its rate says so."""

import json
from pathlib import Path

import pytest

from faults.running import here
from viewing import viewing
from workspaces import write_workspace

# Every third ticket has no answer; every seventh is wrong.
ANSWERS = """import json


def answer(request, case_id, trial):
    number = int(case_id.split("-")[1])
    if number % 3 == 0:
        raise ValueError("no answer here")
    return json.dumps({"label": "bug" if number % 7 == 0 else "billing"})
"""
ONLY_V2 = ANSWERS.replace("% 3 == 0", "% 3 == 0 and 'this' in request.messages[0].text")
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


def test_every_form_of_a_report_leaves_it_out_of_the_choice_and_names_it(workspace: Path) -> None:
    (workspace / "evals/answers.py").write_text(ONLY_V2)
    assert here(workspace, "run", "--prompt", "v1", "--prompt", "v2").exit == 4
    named = "Not measured, so left out of this: v2 on small (6 of 20 samples ungraded)."
    chosen = "Only v1 on small was measured with these cases and graders"

    terminal, markdown, document = (
        here(workspace, "report", "last", "--format", form).out for form in ("terminal", "markdown", "json")
    )
    assert here(workspace, "report", "last", "--output", str(workspace / "page.html")).exit == 0
    page = (workspace / "page.html").read_text()
    assert here(workspace, "matrix", "--report", str(workspace / "matrix.html")).exit == 0
    matrix = (workspace / "matrix.html").read_text()

    assert json.loads(document)["advice"] == [f"{chosen}: there is nothing to choose between.", named]
    assert [one["measured"] for one in json.loads(document)["versions"]] == [True, False]
    assert all(chosen in " ".join(text.split()) for text in (terminal, page))
    assert "Only this version on this model was measured" in matrix  # it is about its first column, v1
    assert all(named in " ".join(text.split()) for text in (terminal, page, matrix))
    assert "6 of 20 samples ungraded" in markdown
    assert page.count('<span class="chip">not measured</span>') == 2  # the choice, and the history
    assert f"triage@v2 on small is not measured: {TOLD}" in matrix
    assert "triage@v1 on small is good most often" not in matrix  # of one measured column, none is


def test_the_list_of_the_viewer_says_it(workspace: Path) -> None:
    here(workspace, "run", "--prompt", "v1")

    with viewing(workspace) as site:
        page = site.get().text

    assert f'title="{TOLD}">complete, not measured' in page
