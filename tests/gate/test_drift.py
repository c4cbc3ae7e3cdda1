"""`evalh drift`: the same prompt, the same model's name, another day."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evalh.workspace.files import WorkTree
from evalh.workspace.kept.baselines import Baseline, read_baseline, write_baseline
from faults.fault_server import FaultServer
from faults.running import Done, here, rows
from moving import Moving, accepted, moving

BASELINE = "reports/baselines/triage/draft.small.jsonl"


@pytest.fixture
def model() -> Iterator[tuple[Moving, FaultServer]]:
    with moving() as both:
        yield both


def drift(folder: Path, *arguments: str, code: int) -> tuple[dict[str, Any], Done]:
    done = here(folder, "drift", "--json", *arguments)
    assert done.exit == code, done.out + done.err
    document = json.loads(done.out)
    return document, done


def test_a_model_that_stayed_is_not_shown_to_have_moved(tmp_path: Path, model: tuple[Moving, FaultServer]) -> None:
    repo = accepted(tmp_path, model[1])

    document, _ = drift(repo.folder, "triage", code=0)

    (suite,) = document["suites"]
    assert suite["verdict"] == document["verdict"] == "not_shown"
    assert (suite["wins"], suite["losses"], len(suite["cases"]), suite["of"]) == (0, 0, 100, 100)
    assert suite["answering_models"] == {"then": ["sorter-2026-01-01"], "now": ["sorter-2026-01-01"]}
    assert 0.09 < suite["smallest_move"] < 0.11
    assert suite["cost_usd"] == pytest.approx(100 * (20 * 0.25 + 8 * 2.0) / 1e6)
    assert model[0].count(10) == 200


def test_a_model_that_became_worse_is_told_with_its_cases(tmp_path: Path, model: tuple[Moving, FaultServer]) -> None:
    repo = accepted(tmp_path, model[1])
    model[0].also = 7

    document, _ = drift(repo.folder, code=1)
    said = here(repo.folder, "drift")

    (suite,) = document["suites"]
    assert suite["verdict"] == "moved"
    assert suite["losses"] == 13  # of 14 sevenths, one was wrong before
    assert {int(case[2:]) % 7 for case in suite["worse"]} == {0}
    assert suite["newcomers"] == []
    assert suite["p_value"] == pytest.approx(2 / 2**13)
    assert said.exit == 1
    assert "moved" in said.out
    assert "13 of 100 cases got worse, 0 better" in said.out
    assert "100 of them earlier today · $0" in said.out  # the second time the log answers
    assert model[0].count(10) == 200


def test_another_name_is_a_move_whatever_it_answers(tmp_path: Path, model: tuple[Moving, FaultServer]) -> None:
    repo = accepted(tmp_path, model[1])
    model[0].name = "sorter-2026-06-01"

    document, _ = drift(repo.folder, "--cases", "20", code=1)
    status = here(repo.folder, "baseline", "status")

    (suite,) = document["suites"]
    assert suite["newcomers"] == ["sorter-2026-06-01"]
    assert suite["losses"] == 0
    assert len(suite["cases"]) == 20
    assert model[0].count(10) == 120
    assert "stale: sorter-2026-06-01 answers now, sorter-2026-01-01 then" in status.out
    assert status.err.count("next: evalh baseline accept ") == 1


def test_the_cases_are_the_same_ones_each_time(tmp_path: Path, model: tuple[Moving, FaultServer]) -> None:
    repo = accepted(tmp_path, model[1])

    first, _ = drift(repo.folder, "--cases", "15", code=0)
    again, _ = drift(repo.folder, "--cases", "15", "--fresh", code=0)

    assert first["suites"][0]["cases"] == again["suites"][0]["cases"]
    assert first["suites"][0]["cases"] != sorted(first["suites"][0]["cases"])
    assert again["suites"][0]["asked"] == 15


def test_accepting_anew_asks_the_model_of_today(tmp_path: Path, model: tuple[Moving, FaultServer]) -> None:
    repo = accepted(tmp_path, model[1])
    model[0].name, model[0].also = "sorter-2026-06-01", 7
    drift(repo.folder, code=1)

    assert here(repo.folder, "baseline", "accept", "--fresh").exit == 0

    header = json.loads((repo.folder / BASELINE).read_text().splitlines()[0])
    assert header["answering_models"] == ["sorter-2026-06-01"]
    drift(repo.folder, code=0)


def test_without_outputs_the_results_are_held_against(tmp_path: Path, model: tuple[Moving, FaultServer]) -> None:
    repo = accepted(tmp_path, model[1], more="baseline: {outputs: false}\n")
    model[0].also = 7

    document, _ = drift(repo.folder, code=1)

    assert not list((repo.folder / "reports").rglob("*.gz"))
    assert document["suites"][0]["losses"] == 13
    repo.write("evals/triage.yaml", (repo.folder / "evals/triage.yaml").read_text().replace("- schema", "- json"))
    assert "the graders changed, and no outputs are kept" in here(repo.folder, "drift").err


def test_other_graders_grade_both_sides_anew(tmp_path: Path, model: tuple[Moving, FaultServer]) -> None:
    repo = accepted(tmp_path, model[1])
    repo.write(
        "evals/triage.yaml", (repo.folder / "evals/triage.yaml").read_text() + "  - length: {max_chars: 17}\n"
    )  # which only the wrong answer keeps

    document, _ = drift(repo.folder, code=0)

    assert document["suites"][0]["good_rate"]["then"]["value"] == 0.0
    assert any("today's graders judge both" in one for one in document["suites"][0]["notices"])
    assert model[0].count(10) == 200


def edit_by_hand(folder: Path) -> None:
    text = (folder / BASELINE).read_text()
    (folder / BASELINE).write_text(text.replace('"good"', '"bad"', 1))


def edit_prompt(folder: Path) -> None:
    file = folder / "prompts/triage/draft.prompt"
    file.write_text(file.read_text().replace("Sort the", "Sort this"))


def rewrite_rows(folder: Path) -> None:
    file = folder / "datasets/triage.jsonl"
    file.write_text(file.read_text().replace("order ", "order no. "))


@pytest.mark.parametrize(
    ("spoil", "code", "says"),
    [
        (edit_by_hand, 2, "were edited"),
        (lambda folder: (folder / BASELINE).write_text("{}"), 2, "is not a baseline"),
        (lambda folder: (folder / BASELINE).write_text(""), 2, "is not a baseline"),
        (lambda folder: (folder / BASELINE).unlink(), 2, "there is no baseline"),
        (lambda folder: (folder / BASELINE).with_suffix(".outputs.jsonl.gz").write_bytes(b"no"), 2, "cannot be read"),
        (lambda folder: (folder / BASELINE).with_suffix(".outputs.jsonl.gz").unlink(), 2, "were edited"),
        (edit_prompt, 3, "the prompt changed since this was accepted"),
        (rewrite_rows, 3, "nothing to ask again"),
        (lambda folder: (folder / "datasets/triage.jsonl").write_text(""), 2, "has no rows"),
        (lambda folder: (folder / "evals/triage.yaml").unlink(), 2, "write evals/triage.yaml"),
    ],
)
def test_a_baseline_that_cannot_be_asked_says_why(
    tmp_path: Path, model: tuple[Moving, FaultServer], spoil: Any, code: int, says: str
) -> None:
    repo = accepted(tmp_path, model[1], cases=6)
    asked = len(model[0].tickets)
    spoil(repo.folder)

    done = here(repo.folder, "drift")

    assert (done.exit, says in done.err) == (code, True), done.out + done.err
    assert len(model[0].tickets) == asked


def test_a_model_that_is_gone_is_not_measured(tmp_path: Path, model: tuple[Moving, FaultServer]) -> None:
    repo = accepted(tmp_path, model[1], cases=30)
    model[0].broken = True

    done = here(repo.folder, "drift")

    assert done.exit == 4
    assert "ended early: auth" in done.err
    assert rows(repo.folder, "select distinct status from runs") == [{"status": "stopped"}]


def forged(folder: Path, **changes: Any) -> None:
    """Write a baseline of another content, whose digest fits: `row_…` and `out_…` are keys of the first of these."""
    baseline = read_baseline(WorkTree(folder), BASELINE)
    assert baseline is not None
    parts = {"row": dict(baseline.rows[0]), "out": dict(baseline.outputs[0]), "": dict(baseline.header)}
    for name, value in changes.items():
        part, _, key = name.partition("_") if name.startswith(("row_", "out_")) else ("", "", name)
        parts[part][key] = value
    rows, outputs = [parts["row"], *baseline.rows[1:]], [parts["out"], *baseline.outputs[1:]]
    write_baseline(folder, Baseline(path=BASELINE, header=parts[""], rows=rows, outputs=outputs))


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"trials": 1e308}, ":1: is not a baseline"),
        ({"fingerprint": [1]}, ":1: is not a baseline"),
        ({"answering_models": "gpt"}, ":1: is not a baseline"),
        ({"date": "yesterday"}, ":1: is not a baseline"),
        ({"row_standing": "splendid"}, ":2: is not a baseline"),
        ({"row_cost_usd": "1e99999"}, ":2: is not a baseline"),
        ({"row_latency_ms": -1}, ":2: is not a baseline"),
        ({"row_id": "t-0002"}, "has trial 0 twice"),
        ({"out_usage": None}, ": output 1: is not a baseline"),
        ({"out_finish": "\x1b[2J"}, ": output 1: is not a baseline"),
    ],
)
def test_a_forged_baseline_is_refused_with_its_line(
    tmp_path: Path, model: tuple[Moving, FaultServer], changes: dict[str, Any], where: str
) -> None:
    repo = accepted(tmp_path, model[1], cases=4)
    forged(repo.folder, **changes)

    for verb in (["drift"], ["baseline", "status"]):
        done = here(repo.folder, *verb)
        assert done.exit == (2 if verb == ["drift"] else 0)
        assert "Traceback" not in done.err
    assert where in here(repo.folder, "drift").err


@pytest.mark.slow  # two processes
@pytest.mark.parametrize("verb", [["drift"], ["gate", "--base", "main"]], ids=["drift", "gate"])
def test_what_an_interrupted_one_paid_for_is_kept(
    tmp_path: Path, model: tuple[Moving, FaultServer], verb: list[str]
) -> None:
    repo = accepted(tmp_path, model[1], cases=60)
    if verb[0] == "gate":
        repo.prompt(wrong=11)
    paid = len(model[0].tickets)
    model[1].script = lambda asked: replace(model[0].answer(asked), delay_s=0.2)
    process = subprocess.Popen([sys.executable, "-m", "evalh", "-C", str(repo.folder), *verb, "--concurrency", "4"])
    while len(model[0].tickets) < paid + 20 and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    model[1].script = model[0].answer
    interrupted = len(model[0].tickets) - paid

    assert here(repo.folder, *verb).exit == 0

    (ok,) = rows(repo.folder, "select count(*) as n from attempts where status = 'ok'")
    assert len(model[0].tickets) - paid <= ok["n"] + 12  # in flight: 4 a side, and the canary's 4
    assert interrupted >= 20


def test_a_dry_run_says_what_would_be_asked_and_asks_nothing(tmp_path: Path, model: tuple[Moving, FaultServer]) -> None:
    repo = accepted(tmp_path, model[1])
    asked = model[0].count(10)

    document, _ = drift(repo.folder, "--dry-run", "--cases", "20", code=0)
    table = here(repo.folder, "drift", "--dry-run")
    nowhere = here(repo.folder, "drift", "nosuch", "--dry-run")

    assert document["schema"] == "evalh.plan/1"
    (plan,) = document["plans"]
    assert (plan["suite"], plan["samples"], plan["to_ask"], plan["answered"]) == ("triage", 20, 20, 0)
    assert 0 < plan["worst_case_usd"] < 0.01
    assert (table.exit, "100" in table.out) == (0, True)
    assert nowhere.exit == 2
    assert model[0].count(10) == asked
