"""How a run ends when things go wrong: the right exit code, everything saved, and what to type next."""

import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from faults.running import start
from workspaces import chat_server, document, evalh, write_workspace

KEYED = 'api_key_env = "TEST_KEY"\n'


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_exits_130_is_saved_and_the_same_command_finishes_it(tmp_path: Path, sign: int) -> None:
    with chat_server(delay_s=0.1) as (server, model):
        folder = write_workspace(tmp_path, cases=120, model=model)
        process = start(folder, "run", "--json", "--concurrency", "4")
        while len(server.asked) < 12:
            time.sleep(0.02)
        process.send_signal(sign)
        out, err = process.communicate(timeout=20)

        assert process.returncode == 130, err
        assert '"status": "interrupted"' in out
        done = evalh(folder, "run", "--json")

    finished = document(done)["results"][0]
    assert (finished["samples"], finished["status"]) == (120, "complete")
    assert finished["cache_hits"] >= 8
    assert len(set(server.asked)) == 120
    assert len(server.asked) <= 120 + 4  # at most what was in flight is asked twice


def test_a_refused_key_stops_the_run_at_once_with_exit_4(tmp_path: Path) -> None:
    with chat_server() as (server, model):
        server.fail_after = 0
        server.failure = (401, {"error": {"message": "Incorrect API key provided", "code": "invalid_api_key"}})
        folder = write_workspace(tmp_path, cases=200, model=model)
        done = evalh(folder, "run", "--concurrency", "4")

    assert done.returncode == 4
    assert "auth" in done.stdout
    assert len(server.asked) <= 8


@pytest.mark.slow
def test_a_provider_that_goes_down_stops_the_run_saved_and_resumable(tmp_path: Path) -> None:
    with chat_server() as (server, model):
        server.fail_after = 60
        folder = write_workspace(tmp_path, cases=300, model=model)
        stopped = evalh(folder, "run", "--concurrency", "4", "--json")
        asked_before = len(server.asked)
        server.fail_after = None
        finished = evalh(folder, "run", "--concurrency", "4", "--json")

    assert stopped.returncode == 4
    assert document(stopped)["results"][0]["status"] == "stopped"
    assert asked_before < 150
    assert document(finished)["results"][0]["samples"] == 300
    assert 60 - 4 <= document(finished)["results"][0]["cache_hits"] <= 60  # what was in flight may be asked again


def test_samples_without_an_answer_stay_in_the_denominator_and_exit_4(tmp_path: Path) -> None:
    with chat_server() as (server, model):
        server.fail_after = 36
        server.failure = (400, {"error": {"message": "no such parameter", "type": "invalid_request_error"}})
        folder = write_workspace(tmp_path, cases=40, model=model)
        done = evalh(folder, "run", "--concurrency", "1", "--json")

    run = document(done)["results"][0]
    assert done.returncode == 4
    assert (run["samples"], run["ungraded"], run["status"]) == (40, 4, "complete")
    assert run["good_rate"]["value"] == run["good"] / 40
    assert run["errors"] == {"bad_request": 4}


def test_no_key_reaches_the_log_or_the_screen(tmp_path: Path) -> None:
    key = "sk-test-4f1d09c2b7"
    with chat_server() as (server, model):
        server.fail_after = 3
        server.failure = (401, {"error": {"message": f"Incorrect API key provided: {key}"}})
        folder = write_workspace(tmp_path, cases=10, model=model + KEYED)
        done = evalh(folder, "run", env={"TEST_KEY": key, "PATH": "/usr/bin:/bin"})
        calls = evalh(folder, "calls", "--errors", "--json")

    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert done.returncode == 4
    for text in (done.stdout, done.stderr, calls.stdout, *map(str, written)):
        assert key not in text


def test_a_price_turns_tokens_into_the_cost_of_a_good_output(tmp_path: Path) -> None:
    with chat_server() as (_, model):
        folder = write_workspace(tmp_path, cases=14, model=model)
        first = document(evalh(folder, "run", "--json"))["results"][0]
        second = document(evalh(folder, "run", "--json"))["results"][0]

    one_call = (20 * 0.25 + 8 * 2.0) / 1e6
    assert first["cost_usd"] == pytest.approx(14 * one_call, rel=1e-12)
    assert first["cost_per_good_usd"]["value"] == pytest.approx(14 * one_call / 12, rel=1e-12)
    assert (second["cost_usd"], second["cached_cost_usd"]) == (0.0, first["cost_usd"])
    assert second["cost_per_good_usd"] == first["cost_per_good_usd"]


def test_at_least_turns_the_good_rate_into_an_exit_code(tmp_path: Path) -> None:
    folder = write_workspace(tmp_path, cases=14)

    assert evalh(folder, "run", "--at-least", "0.8").returncode == 0
    assert evalh(folder, "run", "--at-least", "0.9").returncode == 1


def test_fresh_asks_again_and_the_newest_answer_counts(tmp_path: Path) -> None:
    with chat_server() as (server, model):
        folder = write_workspace(tmp_path, cases=5, model=model)
        evalh(folder, "run", "--json")
        evalh(folder, "run", "--fresh", "--json")
        asked = len(server.asked)
        third = document(evalh(folder, "run", "--json"))["results"][0]

    assert asked == 10
    assert third["cache_hits"] == 5
    with closing(sqlite3.connect(folder / ".evalh/evalh.db")) as db:
        (newest,) = db.execute("select max(id) from attempts").fetchone()
        (used,) = db.execute("select max(answered_by) from samples where run_id = ?", (third["run"],)).fetchone()
    assert used == newest


def test_two_processes_on_one_workspace_share_what_they_store(tmp_path: Path) -> None:
    with chat_server(delay_s=0.05) as (server, model):
        folder = write_workspace(tmp_path, cases=60, model=model)
        both = [start(folder, "run", "--json", "--concurrency", "4") for _ in range(2)]
        results = [process.communicate(timeout=60) for process in both]
        third = document(evalh(folder, "run", "--json"))["results"][0]

    assert [process.returncode for process in both] == [0, 0], [err for _, err in results]
    assert third["cache_hits"] == 60
    assert len(server.asked) <= 120


def test_a_script_uses_the_same_workspace(tmp_path: Path) -> None:
    from evalh import Selection, Workspace

    folder = write_workspace(tmp_path, cases=14)

    result = Workspace.open(folder).run("triage", prompt="v1", selection=Selection(limit=7))

    assert (result.summary.samples, result.summary.good) == (7, 6)
    assert result.summary.cost_per_good is None
