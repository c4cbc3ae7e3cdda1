"""A mistake in a grader is named with the line of the key that is wrong, however deep it stands."""

from pathlib import Path

import pytest

from faults.running import here
from workspaces import document, evalh, write_workspace

BEGINNING = "prompt: triage\ndataset: triage\nmodel: small\ngraders:\n  - schema\n"  # five lines


def places(folder: Path) -> list[tuple[str, str]]:
    return [(one["where"], one["what"]) for one in document(evalh(folder, "check", "--json"))["problems"]]


@pytest.mark.parametrize(
    ("entry", "line", "what"),
    [
        ("judge:\n      rubric: x\n      model: small\n      scale: 1..5", 9, "has a scale that cannot be read"),
        ("judge:\n      rubric: x\n      model: small\n      scale: 1-5\n      pass_mark: 9", 10, "needs a pass_mark"),
        ("judge:\n      rubric: x\n      scale: pass/fail\n      model: smal", 9, "'smal'"),
        ("judge:\n      scale: pass/fail\n      models:\n        - small\n        - smal", 10, "'smal'"),
        ("judge:\n      model: small\n      scale: 1-5\n      rubric: rubrics/none.md", 9, "no rubric"),
        (
            "judge:\n      rubric: x\n      scale: pass/fail\n      model: small\n      criteria:\n        kind: ''",
            11,
            "'kind'",
        ),
        ("judge:\n      model: small\n      rubric: x\n      sclae: 1-5", 9, "unknown key 'sclae'"),
        (
            "any_of:\n      - schema\n      - equals:\n          path: label\n          expcted: label",
            10,
            "unknown key",
        ),
        ("any_of:\n      graders:\n        - schema\n        - equals:\n            expcted: label", 10, "unknown key"),
        ("not:\n      equals:\n        path: label\n        expcted: label", 9, "unknown key 'expcted'"),
        ("not:\n      regex:\n        path: label\n        pattern: (", 9, "RE2 does not accept"),
        ("all_of:\n      - schema\n      - any_of:\n          - not:\n              contains: ''", 10, "an empty text"),
        (
            "weighted:\n      threshold: 0.5\n      graders:\n        - contains:\n            value: x\n            weight: -1",
            11,
            "weight",
        ),
        ("regex:\n      ignore_case: true\n      pattern: (", 8, "RE2 does not accept"),
        ("equals:\n      expected: label\n      path: label[", 8, "cannot use this path"),
        (
            "json_fields:\n      fields:\n        label: 1\n        order:\n          expected: id[",
            10,
            "cannot use this path",
        ),
        ("length:\n      max_words: 3\n      min_words: 4", 8, "can never pass"),
    ],
)
def test_a_mistake_has_the_line_of_its_key(tmp_path: Path, entry: str, line: int, what: str) -> None:
    write_workspace(tmp_path, cases=2)
    if "rubric" not in entry and "judge" in entry:
        entry += "\n      rubric: x"
    (tmp_path / "evals/triage.yaml").write_text(f"{BEGINNING}  - {entry}\n")

    ((where, told),) = places(tmp_path)

    assert where == f"evals/triage.yaml:{line}"
    assert what in told


def test_a_scale_in_a_rubrics_file_is_named_there(tmp_path: Path) -> None:
    write_workspace(tmp_path, cases=2)
    (tmp_path / "rubrics").mkdir()
    (tmp_path / "rubrics/tone.md").write_text("---\nscale: 1-5\npass_mark: 9\n---\nIt is polite.\n")
    (tmp_path / "evals/triage.yaml").write_text(BEGINNING + "  - judge: {rubric: rubrics/tone.md, model: small}\n")

    assert places(tmp_path) == [("rubrics/tone.md:3", "grader 'judge' needs a pass_mark above 1 and up to 5")]


def test_the_mistakes_of_all_graders_are_told_at_once(tmp_path: Path) -> None:
    write_workspace(tmp_path, cases=2)
    suite = tmp_path / "evals/triage.yaml"
    suite.write_text(BEGINNING + "  - equals:\n      pth: label\n  - regex: (\n  - any_of:\n      - contains: ''\n")

    assert [where for where, _ in places(tmp_path)] == [f"evals/triage.yaml:{line}" for line in (7, 8, 10)]


def test_a_routes_and_a_comparisons_graders_have_their_lines_too(tmp_path: Path) -> None:
    write_workspace(tmp_path, cases=2)
    repair = '[routes.safe.repair]\nattempts = 1\nchecks = ["schema", {regex = "("}]\n'
    with (tmp_path / "evalh.toml").open("a") as config:
        config.write(f'\n[routes.safe]\nmodel = "small"\n\n{repair}')
    suite = tmp_path / "evals/triage.yaml"
    suite.write_text(BEGINNING + "compare:\n  - prefer:\n      rubric: x\n      model: smal\n")

    found = dict(places(tmp_path))

    assert any(where == "evals/triage.yaml:9" for where in found), found
    assert any(where.startswith("evalh.toml:") and "RE2" in what for where, what in found.items()), found
    assert here(tmp_path, "check").exit == 2


def test_weights_that_evalh_does_not_know_are_named_with_their_line(tmp_path: Path) -> None:
    write_workspace(tmp_path, cases=2)
    config = tmp_path / "evalh.toml"
    line = config.read_text().count("\n") + 1
    config.write_text(config.read_text() + '[models.tiny]\nprovider = "local"\nmodel = "smollm2-135m"\n')

    check = evalh(tmp_path, "check")
    run = evalh(tmp_path, "run", "--model", "tiny")

    told = (
        f"evalh.toml:{line}: model 'tiny': no known weights for 'smollm2-135m'\n  did you mean 'smollm2-135m-instruct'?"
    )
    assert (check.returncode, run.returncode) == (2, 2)
    assert told in check.stdout
    assert told in run.stderr
    assert "no known weights for 'smollm2-135m'" in evalh(tmp_path, "doctor").stdout


def test_a_file_of_weights_is_not_looked_for(tmp_path: Path) -> None:
    write_workspace(tmp_path, cases=2)
    with (tmp_path / "evalh.toml").open("a") as config:
        config.write('[models.tiny]\nprovider = "local"\nmodel = "mine"\npath = "mine.gguf"\n')

    assert evalh(tmp_path, "check").returncode == 0
