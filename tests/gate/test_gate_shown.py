"""A decision is kept and shown again; the interval that it shows is the one that holds where it stopped."""

from pathlib import Path

import pytest

from evalh.cli import progress
from evalh.core.errors import ExitCode
from faults.running import here
from gating import Repo
from workspaces import document, evalh


def test_a_gates_id_shows_it_again(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo", cases=60)
    repo.prompt(wrong=2)
    printed = evalh(repo.folder, "gate", "--base", "main")
    (kept,) = [line.split()[-1] for line in printed.stdout.splitlines() if "evalh show g" in line]

    again, as_json = evalh(repo.folder, "show", kept), evalh(repo.folder, "show", kept, "--json")

    assert printed.returncode == 1
    assert again.returncode == as_json.returncode == 0, again.stderr
    assert again.stdout == printed.stdout
    assert document(as_json)["schema"] == "evalh.gate/1"
    assert document(as_json)["gate"] == kept
    assert document(as_json)["suites"][0]["evidence"][0]["head_output"] == '{"label": "bug"}'
    assert "gate or case" in evalh(repo.folder, "show", "g20200101-000000-000000").stderr


def test_a_head_without_recorded_answers_could_not_be_measured_and_says_so(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo", cases=60)
    with repo.on_main():
        config = (
            '[workspace]\ndefault_suite = "triage"\n\n[models.small]\nprovider = "replay"\npath = "recorded.jsonl"\n'
        )
        repo.write("evalh.toml", config)
        told = [f'{{"id": "t-{number:04d}", "output": "{{\\"label\\": \\"billing\\"}}"}}\n' for number in range(1, 61)]
        repo.write("recorded.jsonl", "".join(told))
    repo.prompt(wrong=2)
    repo.write("recorded.jsonl", told[0])

    printed = evalh(repo.folder, "gate", "--base", "main", "--comment", str(tmp_path / "comment.md"))
    as_json = document(evalh(repo.folder, "gate", "--base", "main", "--json"))
    (suite,) = as_json["suites"]

    assert printed.returncode == as_json["exit"] == ExitCode.CANNOT_MEASURE
    assert printed.stdout.count("could not be measured") == 2  # the suite and the whole
    assert "inconclusive" not in printed.stdout
    assert "were enough" not in printed.stdout
    assert "on head" in as_json["reasons"][0]
    assert "without an answer: 0 on base, 2" in as_json["reasons"][0]
    assert any("has no row for case" in notice for notice in suite["notices"])
    assert "evalh gate: could not be measured" in (tmp_path / "comment.md").read_text()


def test_over_a_whole_dataset_the_difference_is_counted(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo", cases=60, gate="gate: {target: dataset}\n")
    repo.prompt(wrong=9)

    printed = evalh(repo.folder, "gate", "--base", "main")

    assert "60 of 60 cases" in printed.stdout
    assert "difference: +0.0 points  [+0.0, +0.0], counted over the whole dataset" in printed.stdout


def test_after_an_early_stop_the_interval_is_the_one_that_holds_whenever_one_stops(tmp_path: Path) -> None:
    shown = []
    for name, gate in (("sequential", ""), ("fixed", "gate: {sequential: false}\n")):
        repo = Repo(tmp_path / name, cases=60, gate=gate)
        repo.prompt(wrong=2)
        shown.append(repo.gate().suites[0].comparison)
    sequential, fixed = shown

    assert sequential is not None
    assert fixed is not None
    assert (sequential.difference.method, fixed.difference.method) == ("gate-bets", "tango")
    assert sequential.difference.high is not None
    assert sequential.difference.high < 0  # it agrees with the refusal, by construction
    assert (sequential.p_value, sequential.p_no_worse) == (None, None)  # these would hold for 25 cases fixed beforehand
    assert fixed.p_value is not None


@pytest.mark.parametrize(("gate", "left"), [("", "0:00 left at most"), ("gate: {sequential: false}\n", "0:00 left\n")])
def test_the_time_left_of_a_gate_that_may_end_early_is_at_most_so_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gate: str, left: str
) -> None:
    monkeypatch.setattr(progress, "_PLAIN_TICK_S", 0.0)
    repo = Repo(tmp_path / "repo", cases=60, gate=gate)
    repo.prompt(wrong=2)

    assert left in here(repo.folder, "gate", "--base", "main").err
