"""`evalh matrix`: which runs are its columns, what it prints, and what it says of names that it does not know."""

import json
import re
from pathlib import Path

import pytest

from faults.running import here
from workspaces import PROMPT, write_workspace

MODELS = """provider = "scripted"
model = "one-1"
function = "evals/answers.py:one"

[models.large]
provider = "scripted"
model = "two-1"
function = "evals/answers.py:two"
"""
ANSWERS = """import json


def one(request, case_id, trial):
    number = int(case_id.split("-")[-1])
    return json.dumps({"label": "bug" if number % 3 == 0 or number == 5 and trial else "billing"})


def two(request, case_id, trial):
    return json.dumps({"label": "bug" if int(case_id.split("-")[-1]) % 4 == 0 else "billing"})
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = write_workspace(tmp_path, cases=12, model=MODELS)
    (made / "prompts/triage/v2.prompt").write_text(PROMPT.replace("Sort the", "Please sort the"))
    (made / "evals/answers.py").write_text(ANSWERS)
    assert here(made, "run", "-p", "v1", "-p", "v2", "-m", "small", "-m", "large").exit == 0
    return made


def test_versions_stand_in_the_order_of_their_numbers_with_the_draft_last(folder: Path) -> None:
    for version in ("v10", "draft"):
        (folder / f"prompts/triage/{version}.prompt").write_text(PROMPT.replace("Sort the", f"In {version} sort the"))
    assert here(folder, "run", "-p", "draft", "-p", "v10", "-m", "small").exit == 0

    told = json.loads(here(folder, "matrix", "-m", "small", "--json").out)

    assert [column["prompt"] for column in told["columns"]] == [f"triage@{one}" for one in ("v1", "v2", "v10", "draft")]


def test_the_line_below_a_case_is_named_as_what_it_expects(folder: Path) -> None:
    head = here(folder, "matrix").out.splitlines()[2:8]

    assert any(line.startswith("case ") for line in head)
    assert any(line.startswith("expected ") for line in head)


def test_a_suites_newest_versions_and_models_are_the_columns(folder: Path) -> None:
    assert here(folder, "run", "-p", "v1", "-m", "small").exit == 0
    assert here(folder, "run", "-p", "v1", "--limit", "3").exit == 0  # a part of the dataset is not the suite

    told = json.loads(here(folder, "matrix", "--json").out)

    assert [(column["prompt"], column["model"]) for column in told["columns"]] == [
        (f"triage@{version}", model) for version in ("v1", "v2") for model in ("large", "small")
    ]
    assert (told["cases"], told["differ"]) == (12, 5)
    assert [row["case"] for row in told["rows"]] == ["t-0003", "t-0004", "t-0006", "t-0008", "t-0009"]
    cell = told["rows"][0]["cells"][1]
    assert (cell["standing"], cell["output"], cell["reason"]) == (
        "bad",
        '{"label": "bug"}',
        'equals: label is "bug"; expected "billing"',
    )


def test_the_terminal_shows_labels_and_verdicts_side_by_side(folder: Path) -> None:
    done = here(folder, "matrix", "--limit", "2")

    assert "triage: 12 cases; on 5 one is good and another is not" in done.out
    assert re.search(r"t-0003 +✓ billing +✗ bug +✓ billing +✗ bug", done.out)
    assert "and 3 more cases: --limit 5" in done.out
    assert "next: evalh matrix --report matrix.html" in done.err
    chosen = here(folder, "matrix", "triage", "-p", "v1", "-p", "v2", "-m", "small")
    assert "next: evalh matrix triage -p v1 -p v2 -m small --report matrix.html" in chosen.err


def test_versions_models_words_and_order_choose_what_is_shown(folder: Path) -> None:
    told = json.loads(here(folder, "matrix", "-p", "v2", "-m", "small", "-m", "large", "--all", "--json").out)
    assert len(told["columns"]) == 2
    assert len(told["rows"]) == 12
    assert [row["case"] for row in told["rows"]][:2] == ["t-0003", "t-0004"]
    found = json.loads(here(folder, "matrix", "--all", "--search", "ORDER 7", "--json").out)["rows"]
    assert [row["case"] for row in found] == ["t-0007"]
    worst = json.loads(here(folder, "matrix", "--sort", "worst", "--all", "--json").out)["rows"]
    assert worst[0]["case"] == "t-0012"
    none = here(folder, "matrix", "--search", "nothing has this")
    assert "no case fits" in none.out
    assert "next: evalh matrix --all" in none.err
    assert "next: evalh matrix --all" not in here(folder, "matrix", "--all", "--search", "nothing has this").err


def test_named_runs_of_several_trials_show_the_trial_that_missed(folder: Path) -> None:
    done = json.loads(here(folder, "run", "-p", "v1", "-m", "small", "--trials", "3", "--json").out)
    run = done["results"][0]["run"]

    told = json.loads(here(folder, "matrix", run, "--all", "--json").out)
    cell = next(row for row in told["rows"] if row["case"] == "t-0005")["cells"][0]

    assert (cell["trials"], cell["good"], cell["standing"]) == (3, 1, "bad")
    assert cell["output"] == '{"label": "bug"}'
    assert "1 of 3" in here(folder, "matrix", run, "--all").out


def test_several_runs_of_a_suite_are_reported_as_one_page(folder: Path) -> None:
    told = json.loads(here(folder, "matrix", "--json").out)
    runs = [column["run"] for column in told["columns"]]
    both, alone = folder / "both.html", folder / "alone.html"
    assert here(folder, "report", *runs, "-o", str(both)).exit == 0
    assert here(folder, "matrix", *runs, "--report", str(alone)).exit == 0

    page = both.read_text()
    assert page == alone.read_text()
    assert "triage: 4 versions and models over 12 cases" in page
    assert page.count("<h1>") == 1


def test_columns_that_measured_something_else_are_told(folder: Path) -> None:
    whole = json.loads(here(folder, "run", "-p", "v1", "--json").out)["results"][0]["run"]
    part = json.loads(here(folder, "run", "-p", "v2", "--limit", "5", "--trials", "2", "--json").out)["results"][0][
        "run"
    ]
    page = folder / "matrix.html"
    assert here(folder, "matrix", whole, part, "--report", str(page)).exit == 0

    text = page.read_text()
    assert "triage@v2 on small has other cases than the first column: do not compare their rates" in text
    assert "triage@v2 on small has another number of trials than the first column" in text


@pytest.mark.parametrize(
    ("arguments", "what", "hint"),
    [
        (("nosuch",), "no suite or run 'nosuch'", "have: triage"),
        (("-p", "v9"), "no column has that version and model", "triage@v1 on large"),
        (("--step", "read"), "no step 'read'", "they have no steps"),
        (("r1", "r2"), "no run 'r1'", "have: r"),
    ],
)
def test_what_is_not_there_is_told_with_what_is(folder: Path, arguments: tuple[str, ...], what: str, hint: str) -> None:
    done = here(folder, "matrix", *arguments)

    assert done.exit == 2
    assert what in done.err
    assert hint in done.err


def test_a_suite_without_a_run_says_what_to_type(tmp_path: Path) -> None:
    folder = write_workspace(tmp_path, cases=3)
    assert here(folder, "matrix").exit == 2
    assert here(folder, "run", "--limit", "1").exit == 0
    (folder / "evals/other.yaml").write_text((folder / "evals/triage.yaml").read_text())

    done = here(folder, "matrix", "other")

    assert done.exit == 2
    assert "suite 'other' has no run" in done.err
    assert "evalh run other" in done.err


def test_runs_of_two_suites_are_not_put_into_one_matrix(folder: Path) -> None:
    (folder / "evals/other.yaml").write_text((folder / "evals/triage.yaml").read_text())
    first = json.loads(here(folder, "run", "triage", "--json").out)["results"][0]["run"]
    second = json.loads(here(folder, "run", "other", "--json").out)["results"][0]["run"]

    done = here(folder, "matrix", first, second)

    assert done.exit == 2
    assert "these runs are of several suites: other, triage" in done.err
    page = folder / "two.html"
    assert here(folder, "report", first, second, "-o", str(page)).exit == 0
    assert page.read_text().count("<h1>") == 2


def test_the_view_holds_the_cells_of_the_newest_runs(folder: Path) -> None:
    assert here(folder, "run", "-p", "v1", "-m", "small").exit == 0
    sql = "select case_id from matrix where suite = 'triage' group by case_id having count(distinct standing) > 1"

    rows = json.loads(here(folder, "sql", sql, "--json").out)["rows"]
    cells = json.loads(here(folder, "sql", "select count(*) from matrix", "--json").out)["rows"]

    assert [case_id for (case_id,) in rows] == ["t-0003", "t-0004", "t-0006", "t-0008", "t-0009"]
    assert cells == [[48]]


def test_two_columns_of_one_version_and_model_have_two_names(folder: Path) -> None:
    text = (folder / "evalh.toml").read_text()
    (folder / "evalh.toml").write_text(text.replace('model = "one-1"', 'model = "one-2"'))
    assert here(folder, "run", "-p", "v1", "-m", "small").exit == 0

    columns = json.loads(here(folder, "matrix", "-p", "v1", "-m", "small", "--json").out)["columns"]
    done = here(folder, "matrix", "-p", "v1", "-m", "small", "--report", str(folder / "matrix.html"))
    page = (folder / "matrix.html").read_text()
    tags = [column["run"].rpartition("-")[2] for column in columns]

    assert len(set(tags)) == 2
    for tag in tags:
        assert f"small ({tag})" in done.out
        assert f'<th scope="row">triage@v1 on small ({tag})</th>' in page
        assert f'"m":"small ({tag})"' in page
    assert "triage@v1 on small<" not in page


@pytest.mark.parametrize("width", [60, 160])
def test_ids_that_differ_at_their_end_can_be_told_apart(folder: Path, width: int) -> None:
    path = folder / "datasets/triage.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for number, row in enumerate(rows):
        row["id"] = f"banking-test-of-many-questions-{number:05}"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert here(folder, "run", "-p", "v1", "-p", "v2", "-m", "small").exit == 0

    told = here(folder, "matrix", "--all", "-m", "small", env={"COLUMNS": str(width)}).out

    assert len(set(re.findall(r"^bank\S*(?=000\d\d )", told, re.MULTILINE))) == 1
    assert len(re.findall(r"^bank\S*000\d\d ", told, re.MULTILINE)) == 12
    assert ("banking-test-of-many-questions-00003" in told) == (width == 160)
    assert max(map(len, told.splitlines())) <= width
