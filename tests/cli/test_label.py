"""`evalh label`: answers typed by a person, or piped in by a script."""

import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import pytest

from faults.running import Done, here
from workspaces import write_workspace


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    folder = write_workspace(tmp_path, cases=14)
    assert here(folder, "run").exit == 0
    return folder


def label(folder: Path, typed: str, *arguments: str) -> Done:
    with patch("sys.stdin", io.StringIO(typed)):
        return here(folder, "label", "--author", "ada", *arguments)


def press(folder: Path, keys: bytes, author: str) -> None:
    """Press single keys in a terminal."""
    controller, terminal = pty.openpty()
    command = [sys.executable, "-m", "evalh", "-C", str(folder), "label", "--author", author]
    process = subprocess.Popen(command, stdin=terminal, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.write(controller, keys)
    assert process.wait(60) == 0
    os.close(controller)
    os.close(terminal)


def rows(folder: Path, author: str = "ada") -> list[dict[str, object]]:
    text = (folder / f"datasets/labels/triage/{author}.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def test_answers_are_kept_with_what_was_labelled_and_never_asked_for_twice(labelled: Path) -> None:
    first = label(labelled, "y\nn it is not a bug\ns\nq\n")
    second = label(labelled, "y\n" * 50)
    third = label(labelled, "y\n")

    kept = rows(labelled)
    assert first.exit == second.exit == third.exit == 0, first.err
    assert [row["good"] for row in kept[:2]] == [True, False]
    assert kept[1]["note"] == "it is not a bug"
    assert len({(row["case"], row["output_digest"]) for row in kept}) == len(kept) == 14
    assert "14 of 14 distinct outputs" in third.out


def test_both_sets_of_keys_label_in_lines_and_in_single_keys(labelled: Path) -> None:
    label(labelled, "g\nb it is not a bug\ny\nn\nq\n")
    kept = rows(labelled)
    press(labelled, b"gbynGq", "grace")

    assert [row["good"] for row in kept] == [True, False, True, False]
    assert kept[1]["note"] == "it is not a bug"
    assert [row["good"] for row in rows(labelled, "grace")] == [True, False, True, False, True]


def test_the_person_is_told_neither_version_nor_model_nor_verdict(labelled: Path) -> None:
    asked = label(labelled, "s\n" * 14).out.partition("distinct outputs")[0]
    questions = asked.rpartition("triage · ")[0]

    for told in ("v1", "small", "script-1", "good", "bad", "expected"):
        assert told not in questions
    assert "order" in questions


def test_the_last_answer_can_be_taken_back(labelled: Path) -> None:
    label(labelled, "y\nn\nu\ny\nq\n")

    assert [row["good"] for row in rows(labelled)] == [True, True]


def test_a_line_without_an_end_is_not_glued_to_the_next_answer(labelled: Path) -> None:
    label(labelled, "y\nq\n")
    file = labelled / "datasets/labels/triage/ada.jsonl"
    file.write_text(file.read_text().rstrip("\n"))
    label(labelled, "n\nq\n")

    assert [row["good"] for row in rows(labelled)] == [True, False]


def test_the_status_counts_authors_and_strata(labelled: Path) -> None:
    label(labelled, "y\n" * 4)
    label(labelled, "n\n" * 3, "--author", "grace")

    told = json.loads(here(labelled, "label", "--author", "ada", "--json").out)
    assert told["schema"] == "evalh.labels/1"
    assert told["authors"] == [{"author": "ada", "labels": 4}, {"author": "grace", "labels": 3}]
    assert [row["stratum"] for row in told["strata"]] == ["bad", "good"]
    assert sum(row["outputs"] for row in told["strata"]) == told["outputs"] == 14


def test_a_terminal_takes_single_keys(labelled: Path) -> None:
    press(labelled, b"yynuq", "ada")

    assert len(rows(labelled)) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--author", "../ada"), "is not an author's name"),
        (("--about", "equal"), "did you mean 'equals'"),
        (("triag",), "triage"),
        (("--run", "nope"), "no run"),
    ],
)
def test_what_cannot_be_labelled_says_why(labelled: Path, arguments: tuple[str, ...], said: str) -> None:
    done = label(labelled, "y\n", *arguments)

    assert done.exit == 2
    assert said in done.err


def test_a_damaged_label_is_named_with_its_line(labelled: Path) -> None:
    label(labelled, "y\nq\n")
    file = labelled / "datasets/labels/triage/ada.jsonl"
    file.write_text(file.read_text() + '{"case": "t-0001", "good": "yes"}\n')
    done = label(labelled, "y\n")

    assert done.exit == 2
    assert "datasets/labels/triage/ada.jsonl:2" in done.err


def test_a_person_reads_the_rubric_and_what_each_key_does_before_the_first_output(tmp_path: Path) -> None:
    write_workspace(tmp_path, cases=2)
    with (tmp_path / "evals/triage.yaml").open("a") as suite:
        suite.write("  - judge: {rubric: The answer is a label., model: judge, scale: pass/fail}\n")
    with (tmp_path / "evalh.toml").open("a") as config:
        config.write('\n[models.judge]\nprovider = "scripted"\nfunction = "evals/answers.py:judge"\n')
    with (tmp_path / "evals/answers.py").open("a") as answers:
        answers.write("\n\ndef judge(request, case_id, trial):\n    return 'Verdict: pass'\n")
    assert here(tmp_path, "run").exit == 0

    whole = label(tmp_path, "y\nq\n")
    judge = label(tmp_path, "u\nn\nq\n", "--about", "judge")

    for shown in (whole, judge):
        assert shown.exit == 0, shown.err
        assert shown.out.index("rubric of judge") < shown.out.index("The answer is a label.") < shown.out.index("1 of")
    assert "g  good: you would use it as it is (y does the same)" in whole.err
    assert "b  bad: it should not (n does the same)" in judge.err
    assert "u  undo: take back the last answer, and show that output again" in judge.err


def test_the_lines_of_a_long_input_begin_below_each_other(tmp_path: Path) -> None:
    folder = write_workspace(tmp_path, cases=1)
    path = folder / "datasets/triage.jsonl"
    row = json.loads(path.read_text())
    row["inputs"]["ticket"] = "my card was swallowed by the machine " * 6 + "https://example.com/" + "a" * 100
    path.write_text(json.dumps(row) + "\n")
    assert here(folder, "run").exit == 0
    with patch.dict(os.environ, {"COLUMNS": "80"}):
        shown = label(folder, "q\n").out.splitlines()

    begin = next(at for at, line in enumerate(shown) if line.startswith("ticket  my card"))
    end = next(at for at, line in enumerate(shown) if at > begin and line.startswith("output"))
    following = shown[begin + 1 : end]
    assert len(following) >= 4
    assert all(line.startswith(" " * 8) and line[8] != " " for line in following)
    assert "".join(line.strip() for line in following).endswith("a" * 100)
