"""Judges among the graders that rows bring: asked, priced, bounded and logged as a suite's are."""

import json
from pathlib import Path

import pytest

from faults.dialects import ANSWER_USD, OPENAI
from faults.fault_server import Act, Asked, fault_server
from faults.running import here, rows, workspace

SUITE = "prompt: triage\ndataset: triage\nmodel: small\ngraders:\n  - case: {none: pass}\n"


def court(asked: Asked) -> Act:
    """Answer the task, and as a judge pass whatever is asked about money."""
    if asked.model != "judge-1":
        return OPENAI.right(asked)
    text: str = asked.document["messages"][-1]["content"]
    verdict = "pass" if "about money" in text else "fail"
    return OPENAI.answer(json.dumps({"reason": "it is what I think", "verdict": verdict}))


def judged(folder: Path, port: int, *, every: int = 1, cases: int = 6, **more: object) -> Path:
    """Write a workspace in which every n-th row brings a judge with a rubric of its own."""
    models = {"small": OPENAI.config(port, model="task-1"), "strong": OPENAI.config(port, model="judge-1")}
    folder = workspace(folder, models, {}, cases=cases)
    (folder / "evals/triage.yaml").write_text(SUITE)
    found = [json.loads(line) for line in (folder / "datasets/triage.jsonl").read_text().splitlines()]
    for number, row in enumerate(found):
        about = "money" if number % 2 == 0 else "gold"
        judge = {"rubric": f"Row {number} is about {about}.", "model": "strong", "scale": "pass/fail", **more}
        row["graders"] = [{"judge": judge}] if number % every == 0 else ["json"]
    (folder / "datasets/triage.jsonl").write_text("".join(json.dumps(row) + "\n" for row in found))
    return folder


def test_the_judge_of_each_row_is_asked_by_its_own_rubric_and_found_in_the_log_again(tmp_path: Path) -> None:
    with fault_server(court) as server:
        folder = judged(tmp_path, server.port)
        first = here(folder, "run", "--json").result
        asked = len(server.asked)
        second = here(folder, "run", "--json").result
        assert len(server.asked) == asked == 12

    assert (first["good"], first["bad"], first["ungraded"]) == (3, 3, 0)
    assert first["judge_cost_usd"] == pytest.approx(6 * ANSWER_USD)
    assert (second["good"], second["bad"], second["judge_cost_usd"]) == (3, 3, 0.0)
    assert rows(folder, "select count(*) as n from attempts where purpose = 'judge'") == [{"n": 6}]


def test_a_dry_run_counts_only_the_rows_that_bring_a_judge(tmp_path: Path) -> None:
    with fault_server(court) as server:
        folder = judged(tmp_path, server.port, every=3)
        plan = json.loads(here(folder, "run", "--dry-run", "--json").out)["plans"][0]
        everything = json.loads(here(judged(tmp_path, server.port), "run", "--dry-run", "--json").out)["plans"][0]
        spent = here(judged(tmp_path, server.port, every=3), "run", "--json").result

    assert 0 < spent["judge_cost_usd"] <= plan["judges_usd"]
    assert plan["judges_usd"] < everything["judges_usd"]


def test_a_budget_holds_for_the_judges_of_rows(tmp_path: Path) -> None:
    with fault_server(court) as server:
        folder = judged(tmp_path, server.port, cases=20)
        stopped = here(folder, "run", "--json", "--budget", "0.0029", "--concurrency", "2")

    spent = stopped.result["cost_usd"] + stopped.result["judge_cost_usd"]
    assert (stopped.exit, stopped.result["status"]) == (4, "stopped")
    assert 0 < spent <= 0.0029


def test_a_judge_of_a_row_without_a_price_cannot_be_bounded(tmp_path: Path) -> None:
    folder = judged(tmp_path, 1)
    config = folder / "evalh.toml"
    head, tail = config.read_text().split("[models.strong]")
    config.write_text(head + "[models.strong]" + tail.replace("price = {input = 0.25, output = 2.0}\n", "", 1))

    done = here(folder, "run", "--budget", "1")

    assert done.exit == 2
    assert "a budget in USD cannot bound 'strong': it has no price per token" in done.err


def test_the_check_says_that_judges_of_rows_are_calibrated_together(tmp_path: Path) -> None:
    done = here(judged(tmp_path, 1), "check")

    assert done.exit == 0
    assert "judges in rows are calibrated together, as case" in done.err


def test_judges_that_are_asked_in_too_many_ways_are_refused_before_anything_is_sent(tmp_path: Path) -> None:
    with fault_server(court) as server:
        folder = judged(tmp_path, server.port, cases=120)
        found = [json.loads(line) for line in (folder / "datasets/triage.jsonl").read_text().splitlines()]
        for number, row in enumerate(found):
            row["graders"][0]["judge"]["max_tokens"] = 100 + number
        (folder / "datasets/triage.jsonl").write_text("".join(json.dumps(row) + "\n" for row in found))

        done = here(folder, "run")

        assert len(server.asked) == 0
    assert done.exit == 2
    assert "datasets/triage.jsonl:101: " in done.err
    assert "asks a model in a new way, and the rows of a dataset may have 100 in all" in done.err


def test_a_rubric_file_that_changed_changes_the_graders_digest(tmp_path: Path) -> None:
    with fault_server(court) as server:
        folder = judged(tmp_path, server.port, rubric="evals/rubric.md")
        (folder / "evals/rubric.md").write_text("It is about money.\n")
        before = here(folder, "run", "--json").result
        (folder / "evals/rubric.md").write_text("It is about gold.\n")
        after = here(folder, "run", "--json").result

    changed = [part for part in before["fingerprint"] if before["fingerprint"][part] != after["fingerprint"][part]]
    assert changed == ["graders"]
    assert (before["good"], after["good"]) == (6, 0)
