"""`evalh drift`: the same prompt, the same model's name, another day."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

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
    assert any("graded with today's" in one for one in document["suites"][0]["notices"])
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
        (edit_by_hand, 2, "was edited"),
        (lambda folder: (folder / BASELINE).write_text("{}"), 2, "is no baseline"),
        (lambda folder: (folder / BASELINE).write_text(""), 2, "is no baseline"),
        (lambda folder: (folder / BASELINE).unlink(), 2, "there is no baseline to ask anew"),
        (lambda folder: (folder / BASELINE).with_suffix(".outputs.jsonl.gz").write_bytes(b"no"), 2, "cannot be read"),
        (lambda folder: (folder / BASELINE).with_suffix(".outputs.jsonl.gz").unlink(), 2, "was edited"),
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
