"""Graders that rows bring of their own, from the file to the log, the table and the page."""

import gc
import json
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from evalh.api.workspace import Workspace
from evalh.core.case import Case
from evalh.core.digest import digest
from evalh.graders.kinds import Grader
from evalh.workspace.dataset.dataset import Dataset
from evalh.workspace.files import WorkTree
from faults.running import here

CONFIG = """[workspace]
default_suite = "s"

[models.small]
provider = "scripted"
model = "script-1"
function = "evals/answers.py:answer"
"""
SUITE = """prompt: p
dataset: d
model: small
graders:
  - case
"""
ANSWERS = 'def answer(request, case_id, trial):\n    return "It is 220, thank you."\n'
THREE = [
    {"id": "a", "inputs": {"q": "1"}, "graders": [{"contains": "220"}]},
    {"id": "b", "inputs": {"q": "2"}, "graders": [{"contains": "221"}]},
    {"id": "c", "inputs": {"q": "3"}, "graders": [{"not": {"contains": "sorry"}}, {"length": {"max_words": 9}}]},
]


def workspace(folder: Path, rows: Sequence[Mapping[str, Any]] = THREE, suite: str = SUITE) -> Path:
    for path, text in {
        "evalh.toml": CONFIG,
        "prompts/p/v1.prompt": "{{q}}\n",
        "evals/s.yaml": suite,
        "evals/answers.py": ANSWERS,
        "datasets/d.jsonl": "".join(json.dumps(row) + "\n" for row in rows),
    }.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


def row(number: int, *graders: object) -> dict[str, object]:
    return {"id": f"r{number}", "inputs": {"q": str(number)}, "graders": list(graders)}


def test_graders_that_stand_in_one_row_each_give_good_and_bad_and_nothing_ungraded(tmp_path: Path) -> None:
    done = here(workspace(tmp_path), "run", "--json")

    assert (done.exit, done.result["good"], done.result["bad"], done.result["ungraded"]) == (0, 2, 1, 0)


def test_an_unknown_kind_and_a_wrong_parameter_fail_the_check_with_their_lines(tmp_path: Path) -> None:
    rows = [THREE[0], row(1, {"containz": "220"}), row(2, {"length": {"max_wordz": 3}}), row(3, {"regex": "("})]
    folder = workspace(tmp_path, rows)

    check, run = here(folder, "check"), here(folder, "run")

    assert check.exit == run.exit == 2
    for told in (check.out, run.err):
        assert "datasets/d.jsonl:2: case 'r1': no grader 'containz'" in told
        assert "did you mean 'contains'?" in told
        assert "datasets/d.jsonl:3: case 'r2': grader 'length': unknown key 'max_wordz'" in told
        assert "datasets/d.jsonl:4: case 'r3': grader 'regex'" in told
    assert not (folder / ".evalh/evalh.db").exists()  # nothing was sent


def test_a_named_part_is_a_line_of_the_table_and_a_gate_may_name_it(tmp_path: Path) -> None:
    rows = [
        row(1, {"contains": {"value": "thank", "name": "polite"}}),
        row(2, {"weighted": {"graders": [{"contains": {"value": "sorry", "name": "sorry"}}], "threshold": 0}}),
        row(3, "truncation"),
    ]
    folder = workspace(tmp_path, rows, SUITE + "gate:\n  never: [sorry]\n")

    run = here(folder, "run", "--json").result

    counts = {one["grader"]: (one["pass"], one["fail"], one["required"]) for one in run["graders"]}
    assert counts == {"case": (3, 0, True), "polite": (1, 0, False), "sorry": (0, 1, False)}
    assert here(folder, "check").exit == 0


def test_a_name_that_no_row_has_cannot_be_named_by_a_gate(tmp_path: Path) -> None:
    rows = [row(1, {"contains": {"value": "thank", "name": "polite"}})]
    folder = workspace(tmp_path, rows, SUITE + "gate:\n  never: [polit]\n")

    done = here(folder, "check")

    assert done.exit == 2
    assert "evals/s.yaml:7: the suite has no grader 'polit', and no part of a grader has this name" in done.out
    assert "did you mean 'polite'?" in done.out


def test_show_the_page_and_the_log_list_every_part(tmp_path: Path) -> None:
    rows = [
        row(1, {"weighted": {"graders": ["json", {"contains": {"value": "220", "weight": 2}}]}}, {"contains": "221"})
    ]
    folder = workspace(tmp_path, rows)
    here(folder, "run")

    shown = here(folder, "show", "r1").out
    here(folder, "report", "--output", str(folder / "page.html"))
    with sqlite3.connect(folder / ".evalh/evalh.db") as log:
        ((detail,),) = log.execute("select detail from verdicts")
        ((kept,),) = log.execute("select graders from cases")

    assert "fail    case  weighted: json: the output is not JSON" in shown
    assert "\n  fail    weighted  " in shown
    assert '\n    pass    contains ×2  contains "220"' in shown
    assert '\n  fail    contains  does not contain "221"' in shown
    assert [part["grader"] for part in json.loads(detail)["parts"]] == ["weighted", "contains"]
    assert json.loads(kept) == rows[0]["graders"]
    page = (folder / "page.html").read_text()
    assert "contains ×2" in page
    assert 'does not contain \\"221\\"' in page


def test_grader_test_tries_a_grader_that_stands_in_rows_with_the_rows_parameters(tmp_path: Path) -> None:
    folder = workspace(tmp_path, [row(1, {"any_of": ["json", {"max_words": {"limit": 3}}]})])
    (folder / "evals/own.py").write_text(
        "from evalh import Verdict, grader\nfrom evalh.core.verdict import Outcome\n\n\n"
        '@grader("max_words")\ndef max_words(ctx, *, limit: int) -> Verdict:\n'
        '    parts = [{"grader": "words", "outcome": "fail", "score": 0.0, "reason": "too many", "weight": 1.0}]\n'
        '    return Verdict(Outcome.FAIL, 0.0, f"more than {limit}", {"parts": parts})\n'
    )
    (folder / "evalh.toml").write_text(CONFIG.replace("[workspace]\n", '[workspace]\nplugins = ["evals/own.py"]\n'))
    here(folder, "run")

    done = here(folder, "grader", "test", "evals/own.py")

    assert 'max_words  {"limit":3}  datasets/d.jsonl:1' in done.out.replace(": ", ":")
    assert "more than 3" in done.out
    assert "words  too many" in done.out


def test_a_csv_file_cannot_hold_graders_and_says_what_can(tmp_path: Path) -> None:
    folder = workspace(tmp_path)
    (folder / "datasets/d.jsonl").unlink()
    (folder / "datasets/d.csv").write_text('id,q,graders:json\na,1,"[""json""]"\n')

    done = here(folder, "check")

    assert done.exit == 2
    assert "datasets/d.csv:1: a CSV file cannot hold graders" in done.out
    assert "JSON Lines" in done.out


@pytest.mark.parametrize(
    ("graders", "told"),
    [
        (["json"] * 10_000, "at most 200 graders"),
        ([{"any_of": ["json"] * 100_000}], "at most 20,000 values"),
        ({"contains": "a"}, "must be a list of graders, not a"),
        ("json", "must be a list of graders, not"),
        ([1], "an entry is a number"),
        ([""], "an entry is empty"),
        ([{}], "an entry is empty"),
        ([None], "an entry is null"),
        ([["json"]], "an entry is a list"),
        ([{"json": {}, "schema": {}}], "holds an entry with 2 names"),
        (["case"], "stands for the graders of a row"),
        ([{"any_of": ["case"]}], "stands for the graders of a row"),
        ([{"json": {"name": "a"}}, {"schema": {"name": "a"}}], "has 2 parts called 'a'"),
        ([{"json": {"name": "case"}}], "has a part called 'case', a name that the suite has already given"),
        ([{"json": {"weight": -1}}], "must be a number from 0 to 1,000,000"),
        ([{"json": {"required": "no"}}], "'required' of 'json' must be true or false"),
        ([{"judge": {"rubric": "x", "model": "nobody", "scale": "pass/fail"}}], "nobody"),
        ([{"contains": "\x1b[31m", "\u202e": 1}], "holds an entry with 2 names"),
        (["\x1b[31m\u202e"], "no grader"),
    ],
    ids=lambda value: value if isinstance(value, str) else json.dumps(value)[:30],
)
def test_hostile_graders_of_a_row_are_refused_at_its_line(tmp_path: Path, graders: object, told: str) -> None:
    folder = workspace(tmp_path, [THREE[0], {"id": "h", "inputs": {"q": "1"}, "graders": graders}])

    done = here(folder, "check")

    assert done.exit == 2
    assert "datasets/d.jsonl:2: " in done.out
    assert told in done.out
    assert "\x1b" not in done.out
    assert "Traceback" not in done.out + done.err


@pytest.mark.parametrize("levels", [39, 45, 190, 5000])
def test_a_grader_in_a_grader_is_judged_or_refused_and_never_breaks(tmp_path: Path, levels: int) -> None:
    inside = '{"not":' * levels + '"json"' + "}" * levels
    folder = workspace(tmp_path)
    (folder / "datasets/d.jsonl").write_text(f'{{"id": "a", "inputs": {{"q": "1"}}, "graders": [{inside}]}}\n')

    done = here(folder, "run", "--json")

    if levels < 40:
        assert (done.exit, done.result["good"]) == (0, 1)  # an odd number: what is not JSON passes
    else:
        assert done.exit == 2
        error = json.loads(done.out)["error"]
        assert error["where"] == "datasets/d.jsonl:1"
        assert "nested" in error["what"]


def test_a_suite_that_does_not_count_the_graders_of_its_rows_says_so(tmp_path: Path) -> None:
    done = here(workspace(tmp_path, suite=SUITE.replace("- case", "- truncation")), "check")

    assert done.exit == 0
    assert "suite s: 3 rows of d bring graders that this suite does not count (graders: [case])" in done.err


@pytest.mark.parametrize(
    ("suite", "told"),
    [
        (SUITE + "  - case: {name: twice}\n", "'case' is given twice"),
        (SUITE + "step_graders:\n  one: [case]\n", "'case' judges a sample's output"),
        (SUITE.replace("- case", "- any_of: [case]"), "stands for the graders of a row"),
        (SUITE.replace("- case", "- case: {none: fail}"), "'none' must be abstain or pass"),
    ],
)
def test_case_stands_once_among_the_graders_of_a_suite(tmp_path: Path, suite: str, told: str) -> None:
    done = here(workspace(tmp_path, suite=suite), "check")

    assert done.exit == 2
    assert told in done.out


def test_a_row_without_graders_keeps_its_digest() -> None:
    case = Case("a", {"q": "1"})

    assert case.document() == {"id": "a", "inputs": {"q": "1"}}
    assert digest(case.document()) != digest(Case("a", {"q": "1"}, graders=["json"]).document())


def test_a_dataset_of_another_assertion_is_another_dataset(tmp_path: Path) -> None:
    digests = []
    for value in ("220", "221"):
        workspace(tmp_path, [row(1, {"contains": value})])
        digests.append(Dataset(WorkTree(tmp_path), "datasets/d.jsonl").digest)

    assert digests[0] != digests[1]


def test_graders_with_gold_read_the_rows_own(tmp_path: Path) -> None:
    gold = {**row(1, {"contains": {"expected": "amount"}}), "expected": {"amount": "220"}}
    folder = workspace(tmp_path, [gold, row(2, {"contains": {"expected": "amount"}})])

    run = here(folder, "run", "--json").result

    assert (run["good"], run["ungraded"]) == (1, 1)


def test_a_second_run_grades_answers_of_the_log_by_what_the_row_asks_now(tmp_path: Path) -> None:
    folder = workspace(tmp_path, [row(1, {"contains": "221"})])
    first = here(folder, "run", "--json").result
    workspace(folder, [row(1, {"contains": "220"})])

    second = here(folder, "run", "--json").result

    assert (first["bad"], second["good"], second["cache_hits"]) == (1, 1, 1)
    assert first["fingerprint"]["dataset"] != second["fingerprint"]["dataset"]
    assert first["fingerprint"]["graders"] == second["fingerprint"]["graders"]


def test_rows_with_as_many_graders_as_rows_do_not_stay_in_memory(tmp_path: Path) -> None:
    rows = [row(number, {"contains": f"n{number}"}) for number in range(6000)]
    opened = Workspace.open(workspace(tmp_path, rows))

    graders = opened.graders_of(opened.suite("s"))

    alive = sum(isinstance(one, Grader) and one.kind.name == "contains" for one in gc.get_objects())
    assert graders
    assert 1000 < alive <= 4200
