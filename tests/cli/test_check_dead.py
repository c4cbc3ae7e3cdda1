"""`evalh check` finds graders that decide nothing, and settles conflicts by name."""

import json
import subprocess
from pathlib import Path

import pytest

from workspaces import PROMPT, document, evalh, write_workspace


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_workspace(tmp_path, cases=6)


def graders(folder: Path, *entries: str) -> None:
    (folder / "evals/triage.yaml").write_text(
        "prompt: triage\ndataset: triage\nmodel: small\ngraders:\n" + "".join(f"  - {one}\n" for one in entries)
    )


def labels(folder: Path, *golds: str) -> None:
    rows = [
        {"id": f"t-{place}", "inputs": {"ticket": f"order {place}"}, "expected": {"label": gold}}
        for place, gold in enumerate(golds, 1)
    ]
    (folder / "datasets/triage.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def problems(folder: Path) -> list[tuple[str, str]]:
    return [(one["where"], one["what"]) for one in document(evalh(folder, "check", "--json"))["problems"]]


def notices(folder: Path) -> str:
    return "\n".join(document(evalh(folder, "check", "--json"))["notices"])


@pytest.mark.parametrize(
    "entry",
    [
        "equals: {path: lable, expected: label}",
        "contains: {path: lable, value: bug}",
        "not: {equals: {path: lable, value: bug}}",
        "any_of: [{equals: {path: lable, value: bug}}, schema]",
    ],
)
def test_a_path_that_a_closed_schema_does_not_have_is_named(folder: Path, entry: str) -> None:
    graders(folder, entry)
    done = evalh(folder, "check")

    assert done.returncode == 2
    assert "evals/triage.yaml:5: " in done.stdout
    assert (
        "looks at lable, and triage@v1's output schema has no 'lable': every output gets the same verdict"
        in done.stdout
    )
    assert "did you mean 'label'?" in done.stdout


@pytest.mark.parametrize(
    ("schema", "entry"),
    [
        ("{label(enum): [billing, bug], (*): any}", "equals: {path: other, value: 1}"),  # open: others may come
        ("{label(enum): [billing, bug], inner: any}", "equals: {path: inner.deep, value: 1}"),
        ("{label(enum): [billing, bug], list(array): string}", "equals: {path: 'list[0]', value: x}"),
        ("{label(enum): [billing, bug]}", "equals: {value: {path: lable}}"),  # a literal, not a path
        ("{label(enum): [billing, bug]}", "equals: {path: label, expected: label}"),
    ],
)
def test_a_path_that_an_output_may_have_is_not_named(folder: Path, schema: str, entry: str) -> None:
    (folder / "prompts/triage/v1.prompt").write_text(PROMPT.replace("{label(enum): [billing, bug]}", schema))
    graders(folder, entry)

    assert problems(folder) == []


def test_an_expected_that_no_row_has_is_named_and_one_that_a_row_has_is_not(folder: Path) -> None:
    graders(folder, "equals: {path: label, expected: category}", "contains: {expected: label}")

    assert problems(folder) == [
        ("evals/triage.yaml:5", "no row has expected.category: equals can only abstain"),
    ]


def test_a_grader_that_is_not_required_is_only_noted(folder: Path) -> None:
    graders(folder, "schema", "equals: {path: label, expected: category, required: false}")

    assert problems(folder) == []
    assert "no row has expected.category: equals can only abstain" in notices(folder)


def test_graders_of_rows_need_nothing_that_is_expected(folder: Path) -> None:
    data = folder / "datasets/triage.jsonl"
    rows = [json.loads(line) for line in data.read_text("utf-8").splitlines()]
    for row in rows:
        row.pop("expected", None)
        row["graders"] = [{"contains": "billing"}]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    graders(folder, "case")

    assert problems(folder) == []


def test_gold_that_the_schema_refuses_is_named_with_its_row(folder: Path) -> None:
    labels(folder, "billing", "bug", "billng", "bugs", "bug")
    graders(folder, "equals: {path: label, expected: label}")
    done = evalh(folder, "check")

    assert done.returncode == 2
    told = "case 't-3' expects \"billng\" at label, which triage@v1's output schema refuses (1 more row like it)"
    assert f"datasets/triage.jsonl:3: {told}: equals (evals/triage.yaml:5) can never pass there" in done.stdout
    assert '  correct what the row expects; the schema allows: "billing", "bug"' in done.stdout
    assert "  or allow it in the output schema (prompts/triage/v1.prompt:4 has the frozen one):" in done.stdout
    assert "edit prompts/triage/draft.prompt; evalh prompt release triage" in done.stdout


def test_gold_that_a_drafts_schema_refuses_is_allowed_in_the_draft(folder: Path) -> None:
    labels(folder, "bug", "billng")
    graders(folder, "schema", "equals: {path: label, expected: label}")
    (folder / "prompts/triage/v1.prompt").rename(folder / "prompts/triage/draft.prompt")
    done = evalh(folder, "check")

    assert "equals (evals/triage.yaml:6) can never pass there" in done.stdout
    assert "or allow it in the output schema: prompts/triage/draft.prompt:4" in done.stdout
    assert "evalh prompt release" not in done.stdout


def test_a_text_where_the_schema_has_none_names_the_grader_and_both_ways_out(folder: Path) -> None:
    labels(folder, "bug", "3")
    prompt = folder / "prompts/triage/v1.prompt"
    prompt.write_text(prompt.read_text().replace("label(enum): [billing, bug]", "label: integer"))
    graders(folder, "equals: {path: label, expected: label}")
    done = evalh(folder, "check")

    assert "where triage@v1 answers integer: equals (evals/triage.yaml:5) can never pass" in done.stdout
    assert "  write the value without quotes\n  or allow it in the output schema (prompts/" in done.stdout


def test_gold_that_is_compared_loosely_is_not_held_against_the_schema(folder: Path) -> None:
    labels(folder, "Billing", "bug", "bug", "BUG")
    graders(folder, "equals: {path: label, expected: label, ignore_case: true}")

    assert problems(folder) == []


def test_a_label_that_no_row_expects_is_noted(folder: Path) -> None:
    labels(folder, *["billing"] * 5)
    graders(folder, "equals: {path: label, expected: label}")

    assert problems(folder) == []
    assert 'no row expects "bug" at label, which triage@v1 may answer: nothing tests it' in notices(folder)


def test_the_last_line_says_how_many_cases_of_which_file(folder: Path) -> None:
    graders(folder, "schema")
    one = evalh(folder, "check").stdout
    (folder / "datasets/more.jsonl").write_text('{"id": "m-1", "inputs": {"ticket": "x"}}\n')
    suite = (folder / "evals/triage.yaml").read_text()
    (folder / "evals/again.yaml").write_text(suite)
    (folder / "evals/more.yaml").write_text(suite.replace("dataset: triage", "dataset: more"))
    several = evalh(folder, "check")

    assert one.splitlines()[-1] == "ok: 1 prompt, 1 version, 1 suite, 6 cases in datasets/triage.jsonl"
    assert "7 cases (6 in datasets/triage.jsonl, 1 in datasets/more.jsonl)" in several.stdout
    assert document(evalh(folder, "check", "--json"))["datasets"] == {
        "datasets/triage.jsonl": 6,
        "datasets/more.jsonl": 1,
    }


def test_two_versions_of_one_number_are_settled_by_the_two_commands_that_check_names(folder: Path) -> None:
    def git(*words: str, code: int = 0) -> None:
        author = ["-c", "user.name=Test", "-c", "user.email=test@localhost"]
        done = subprocess.run(["git", *author, *words], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr + done.stdout

    second = folder / "prompts/triage/v2.prompt"
    git("init", "-q", "-b", "main")
    git("add", "-A")
    git("commit", "-q", "-m", "start")
    git("checkout", "-q", "-b", "mine")
    second.write_text(PROMPT.replace("Sort the ticket.", "Sort my ticket."))
    git("add", "-A")
    git("commit", "-q", "-m", "my v2")
    git("checkout", "-q", "main")
    second.write_text(PROMPT.replace("Sort the ticket.", "Sort their ticket."))
    git("add", "-A")
    git("commit", "-q", "-m", "their v2")
    git("checkout", "-q", "mine")
    git("merge", "-q", "main", code=1)
    (problem,) = document(evalh(folder, "check", "--json"))["problems"]
    first, *commands = problem["hint"].splitlines()
    printed = evalh(folder, "check").stdout.splitlines()
    assert [line for line in printed if "git " in line][:2] == [f"  {command}" for command in commands]
    for command in commands:
        subprocess.run(command, shell=True, cwd=folder, check=True)

    assert problem["what"].startswith("a merge conflict is not settled: <<<<<<<")
    assert problem["where"].startswith("prompts/triage/v2.prompt:")
    assert "two branches released v2" in first
    assert len(commands) == 2
    assert "Sort their ticket." in second.read_text()
    assert "Sort my ticket." in (folder / "prompts/triage/v3.prompt").read_text()
    assert problems(folder) == []
