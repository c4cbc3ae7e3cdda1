"""Whole runs against servers that fail: how they end, what they keep, what they pay."""

import threading
import time
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from faults.dialects import ANSWER_USD, OPENAI, slow
from faults.fault_server import Act, Asked, FaultServer, How, fault_server
from faults.running import EVERY_KIND, decisions, rows, run, served, two_models, workspace
from workspaces import label_of

DIRECT = 'model = "small"\nretry = {attempts = 3, base_s = 0.01}'
PERSISTENT = f'model = "small"\nretry = {{attempts = 14, base_s = 0.002, cap_s = 0.02, share = 2.0, on = {EVERY_KIND}}}'


def good_of(cases: int) -> int:
    """Count the cases that `label_of` gets right."""
    return sum("billing" in label_of(str(number)) for number in range(1, cases + 1))


def flaky(share: float) -> Any:
    """Fail a share of all requests, each by its own dice: the same run meets the same faults."""

    def script(asked: Asked) -> Act:
        dice = Random(f"{asked.case}/{asked.nth}")
        if dice.random() >= share:
            return OPENAI.right(asked)
        half = replace(OPENAI.right(asked), body=OPENAI.right(asked).body[:-9])
        return dice.choice([OPENAI.error("rate_limit"), OPENAI.error("overload"), Act(how=How.RESET), half])

    return script


def _answered(folder: Path, model: str = "small") -> set[str]:
    return {
        row["case_id"]
        for row in rows(folder, f"select case_id from attempts where status = 'ok' and model = '{model}'")
    }


def test_a_third_of_all_requests_may_fail_and_the_numbers_are_those_of_a_day_without_faults(tmp_path: Path) -> None:
    cases = 2000
    with served(tmp_path, flaky(0.3), PERSISTENT, cases=cases) as (server, folder):
        done = run(folder)

    result = done.result
    (lost,) = rows(folder, "select count(*) as n, sum(cost_usd) as usd from attempts where status = 'error'")
    assert (done.exit, result["status"], result["errors"]) == (0, "complete", {})
    assert (result["samples"], result["good"], result["ungraded"]) == (cases, good_of(cases), 0)
    assert decisions(folder, "open") == []
    assert result["attempts"] == len(server.asked) == cases + lost["n"]
    assert 0.25 < lost["n"] / len(server.asked) < 0.35
    assert result["cost_usd"] == pytest.approx(cases * ANSWER_USD + lost["usd"], rel=1e-9)


@pytest.mark.parametrize("how", ["resets", pytest.param("refuses", marks=pytest.mark.slow)])
def test_an_outage_ends_the_run_saved_and_the_same_command_asks_for_no_stored_answer_again(
    tmp_path: Path, how: str
) -> None:
    cases, begins = 400, 150
    with served(tmp_path, OPENAI.right, DIRECT, cases=cases) as (server, folder):
        if how == "resets":
            server.script = lambda asked: OPENAI.right(asked) if asked.number <= begins else Act(how=How.RESET)
            stopped, seconds = _timed(folder)
            server.script = OPENAI.right
        else:
            server.script = slow(OPENAI.right, 0.02)
            stop = threading.Thread(target=_stop_at, args=(server, begins))
            stop.start()
            stopped, seconds = _timed(folder)
            stop.join()
            server.start()
        stored, so_far = _answered(folder), len(server.asked)
        finished = run(folder)

    assert (stopped.exit, stopped.result["status"]) == (4, "stopped")
    assert seconds < 30.0
    assert "small is down" in stopped.result["stopped_because"]
    assert len(stored) >= begins - 32  # at most what was in flight is lost
    assert stopped.result["good"] + stopped.result["bad"] == len(stored)
    assert [run_["status"] for run_ in rows(folder, "select status from runs order by id")] == ["stopped", "complete"]
    assert not stored & set(server.cases(since=so_far))
    assert (finished.exit, finished.result["samples"], finished.result["good"]) == (0, cases, good_of(cases))
    assert finished.result["cache_hits"] == len(stored)


@pytest.mark.parametrize(
    ("concurrency", "begins"),
    [
        pytest.param("32", 0, id="at once", marks=pytest.mark.slow),
        pytest.param("1", 0, id="one by one", marks=pytest.mark.slow),
        pytest.param("32", 1500, id="after a good stretch", marks=pytest.mark.slow),
    ],
)
def test_a_black_hole_ends_the_run_within_its_timeout_and_half_a_minute(
    tmp_path: Path, concurrency: str, begins: int
) -> None:
    began: list[float] = []

    def script(asked: Asked) -> Act:
        if asked.number <= begins:
            return OPENAI.right(asked)
        began.append(asked.at)
        return Act(how=How.HANG)

    with fault_server(script) as server:
        config = OPENAI.config(server.port, more="timeout_s = 2\n")
        folder = workspace(tmp_path, {"small": config}, {"careful": 'model = "small"'}, cases=begins + 200)
        done = run(folder, "--concurrency", concurrency)
        seconds = time.monotonic() - began[0]

    assert (done.exit, done.result["status"]) == (4, "stopped")
    assert seconds < 2 + 30
    assert len(_answered(folder)) == begins
    assert len(began) < 200


@pytest.mark.slow
@pytest.mark.parametrize("concurrency", ["32", "1"])
def test_an_outage_after_a_good_stretch_ends_the_run_within_half_a_minute(tmp_path: Path, concurrency: str) -> None:
    cases, begins = 3000, 1500
    began: list[float] = []

    def script(asked: Asked) -> Act:
        if asked.number <= begins:
            return OPENAI.right(asked)
        began.append(asked.at)
        return OPENAI.error("overload")

    with served(tmp_path, script, 'model = "small"', cases=cases) as (_, folder):
        done = run(folder, "--concurrency", concurrency)
        seconds = time.monotonic() - began[0]

    assert (done.exit, done.result["status"]) == (4, "stopped")
    assert seconds < 30.0
    assert len(_answered(folder)) == begins


def test_each_hop_of_nested_routes_is_a_decision_and_the_result_remembers_who_answered(tmp_path: Path) -> None:
    def script(asked: Asked) -> Act:
        match asked.model:
            case "cheap-1":
                return OPENAI.error("overload")
            case "middle-1":
                return Act(how=How.RESET)
            case _:
                return OPENAI.right(asked)

    with fault_server(script) as server:
        folder = workspace(
            tmp_path,
            {
                "small": OPENAI.config(server.port, model="cheap-1"),
                "middle": OPENAI.config(server.port, model="middle-1"),
                "strong": OPENAI.config(server.port, model="strong-1"),
            },
            {
                "inner": 'model = "middle"\nfallback = ["strong"]\nretry = {attempts = 2, base_s = 0.01}',
                "careful": 'model = "small"\nfallback = ["inner"]\nretry = {attempts = 1}',
            },
            cases=5,
        )
        done = run(folder)

    hops = [(one["reason"], one["detail"]["from"], one["detail"]["to"]) for one in decisions(folder, "fallback")]
    assert sorted(hops) == sorted([("overload", "small", "middle"), ("network", "middle", "strong")] * 5)
    (who,) = rows(folder, "select distinct a.model from samples s join attempts a on a.id = s.answered_by")
    assert who == {"model": "strong"}
    assert [server.count(model=model) for model in ("cheap-1", "middle-1", "strong-1")] == [5, 10, 5]
    (lost,) = rows(folder, "select sum(cost_usd) as usd from attempts where model = 'middle'")
    assert done.result["cost_usd"] == pytest.approx(5 * ANSWER_USD + lost["usd"], rel=1e-9)
    assert (done.exit, done.result["good"], done.result["attempts"]) == (0, good_of(5), 20)


def test_a_dead_first_model_is_left_alone_and_the_second_answers_everything(tmp_path: Path) -> None:
    cases = 400
    route = 'model = "small"\nfallback = ["strong"]\nretry = {attempts = 2, base_s = 0.01}'
    dead = OPENAI.unless("cheap-1", OPENAI.error("overload"))
    with two_models(tmp_path, dead, route, cases=cases) as (server, folder):
        done = run(folder, "--concurrency", "8")

    assert (done.exit, done.result["good"], done.result["errors"]) == (0, good_of(cases), {})
    assert server.count(model="strong-1") == cases
    assert server.count(model="cheap-1") < 60
    assert decisions(folder, "open")[0]["detail"] == {"model": "small"}
    reasons = {one["reason"] for one in decisions(folder, "fallback")}
    assert reasons == {"overload", "breaker_open"}


def test_a_refused_key_is_tried_no_more_by_those_that_waited_for_a_place(tmp_path: Path) -> None:
    route = 'model = "small"\nlimit = {concurrency = 2}'
    with served(tmp_path, lambda _: OPENAI.error("auth", delay_s=0.05), route, cases=100) as (server, folder):
        done = run(folder)

    assert (done.exit, done.result["status"]) == (4, "stopped")
    assert len(server.asked) <= 4


def test_no_more_requests_are_in_flight_than_the_route_allows(tmp_path: Path) -> None:
    route = f"{PERSISTENT}\nlimit = {{concurrency = 3}}"
    with served(tmp_path, slow(flaky(0.3), 0.01), route, cases=150) as (server, folder):
        done = run(folder)

    assert (done.exit, done.result["good"]) == (0, good_of(150))
    assert server.most_in_flight == 3


def test_requests_leave_no_faster_than_the_rate_retries_included(tmp_path: Path) -> None:
    def script(asked: Asked) -> Act:
        refuses = asked.nth == 1 and int(asked.case[2:]) % 2
        return OPENAI.error("rate_limit") if refuses else OPENAI.right(asked)

    route = 'model = "small"\nretry = {attempts = 3, base_s = 0.01, share = 2.0}\nlimit = {rpm = 600}'
    with served(tmp_path, script, route, cases=30) as (server, folder):
        done = run(folder)

    assert (done.exit, done.result["good"], len(server.asked)) == (0, good_of(30), 45)
    # A second's worth at once, then ten a second; 45 in all.
    assert server.asked[-1].at - server.asked[0].at > 3.0
    assert server.most_in_a(1.0) <= 10 + 10 + 2


def test_a_deadline_ends_the_run_saved(tmp_path: Path) -> None:
    route = 'model = "small"\nbudget = {deadline_s = 1}'
    with served(tmp_path, slow(OPENAI.right, 0.1), route, cases=500) as (_, folder):
        done, seconds = _timed(folder, "--concurrency", "2")

    assert (done.exit, done.result["status"]) == (4, "stopped")
    assert "deadline" in done.result["stopped_because"]
    assert 0 < done.result["samples"] == len(_answered(folder)) < 500
    assert seconds < 30.0


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_a_budget_is_never_exceeded_at_the_servers_own_count(tmp_path: Path, share: float) -> None:
    budget = 0.002
    with served(tmp_path, flaky(share), PERSISTENT, cases=500) as (server, folder):
        done = run(folder, "--budget", str(budget))

    # Whatever was sent may have been billed, but for what the server says it did not do.
    worked = sum(flaky(share)(one).status == 200 for one in server.asked)
    assert (done.exit, done.result["status"]) == (4, "stopped")
    assert "budget" in done.result["stopped_because"]
    assert worked * ANSWER_USD <= done.result["cost_usd"] <= budget
    assert done.result["cost_usd"] > 0.8 * budget


def test_the_routes_own_budget_holds_over_all_its_models(tmp_path: Path) -> None:
    budget = 0.002
    route = 'model = "small"\ncascade = {checks = ["schema"], escalate_to = "strong"}\n'
    route += f"budget = {{usd_per_run = {budget}}}"
    with two_models(tmp_path, OPENAI.unless("cheap-1", OPENAI.answer("maybe")), route, cases=500) as (server, folder):
        done = run(folder)

    assert (done.exit, done.result["status"]) == (4, "stopped")
    assert 0.8 * budget < len(server.asked) * ANSWER_USD <= budget
    assert server.count(model="strong-1") > 5


def _timed(folder: Path, *arguments: str) -> Any:
    began = time.monotonic()
    done = run(folder, *arguments)
    return done, time.monotonic() - began


def _stop_at(server: FaultServer, number: int) -> None:
    give_up = time.monotonic() + 60
    while len(server.asked) < number and time.monotonic() < give_up:
        time.sleep(0.005)
    server.stop()
