"""Routes that are cut off, repeated and shared: what was bought once is never bought again."""

import os
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from faults.dialects import ANSWER_USD, OPENAI, slow
from faults.fault_server import Act, Asked, How
from faults.running import EVERY_KIND, KEY, decisions, rows, run, served, until
from workspaces import label_of

RETRY = f"retry = {{attempts = 3, base_s = 0.01, on = {EVERY_KIND}}}"
CASCADE = f'model = "small"\n{RETRY}\ncascade = {{checks = ["schema"], escalate_to = "strong"}}'
ROUTES = {
    "direct": f'model = "small"\n{RETRY}',
    "repair": f'model = "small"\n{RETRY}\nrepair = {{checks = ["schema"], attempts = 2}}',
    "vary": f'model = "small"\n{RETRY}\nrepair = {{checks = ["schema"], by = "vary", attempts = 2}}',
    "fallback": 'model = "down"\nretry = {attempts = 2, base_s = 0.01}\nfallback = ["strong"]',
    "cascade": CASCADE,
    "verify": CASCADE.replace("escalate_to", 'by = "verify", escalate_to'),
    "nested": f'model = "cascade"\n{RETRY}\nfallback = ["strong"]',
    "deep": 'model = "down"\nretry = {attempts = 1}\nfallback = ["verify"]',
}
TIMES_AND_SPEND = {
    "run", "started_at", "finished_at", "cost_usd", "cached_cost_usd", "attempts", "cache_hits",
}  # fmt: skip
three_models = partial(served, models={"small": "cheap-1", "strong": "strong-1", "down": "down-1"})


def doubtful(asked: Asked) -> Act:
    """The cheap model's answer fits for every third case only, and its first request is lost now and then."""
    number = int(asked.case[2:])
    if asked.model == "down-1":
        return OPENAI.error("overload")
    if asked.model == "strong-1":
        return OPENAI.right(asked)
    if number % 5 == 0 and asked.nth == 1:
        return Act(how=How.RESET)
    return OPENAI.right(asked) if number % 3 == 0 else OPENAI.answer(f"maybe {asked.nth}")


@pytest.mark.parametrize("route", ROUTES)
def test_a_second_run_of_any_route_asks_nothing_and_says_the_same(tmp_path: Path, route: str) -> None:
    with three_models(tmp_path, doubtful, ROUTES, cases=30) as (server, folder):
        first = run(folder, model=route).result
        asked = len(server.asked)
        second = run(folder, model=route).result
        assert len(server.asked) == asked

    same = first.keys() - TIMES_AND_SPEND
    assert {name: second[name] for name in same} == {name: first[name] for name in same}
    assert (first["samples"], first["status"], first["errors"]) == (30, "complete", {})
    assert (second["cost_usd"], second["attempts"], second["cache_hits"]) == (0.0, 0, 30)
    assert second["cached_cost_usd"] == pytest.approx(first["cost_usd"], rel=1e-9)
    assert first["attempts"] == asked


def test_a_cascade_killed_between_its_answers_buys_the_second_and_not_the_first_again(tmp_path: Path) -> None:
    def script(asked: Asked) -> Act:
        return OPENAI.answer("maybe") if asked.model == "cheap-1" else Act(how=How.HANG)

    cases = 8
    with three_models(tmp_path, script, CASCADE, cases=cases) as (server, folder):
        process = _process(folder)
        until(lambda: server.count(model="strong-1") == cases)
        until(lambda: _stored(folder) == cases)
        process.kill()
        process.communicate(timeout=10)
        server.script = OPENAI.right
        resumed = run(folder)
        repeated = run(folder)

    assert server.cases(model="cheap-1") == {f"t-{number:04d}": 1 for number in range(1, cases + 1)}
    assert set(server.cases(model="strong-1").values()) == {2}  # the one in flight at the kill, and its answer
    assert (resumed.exit, resumed.result["samples"], resumed.result["attempts"]) == (0, cases, cases)
    assert resumed.result["cost_usd"] == pytest.approx(cases * ANSWER_USD, rel=1e-9)
    assert resumed.result["cached_cost_usd"] == pytest.approx(cases * ANSWER_USD, rel=1e-9)
    assert repeated.result["cache_hits"] == cases
    answered = rows(folder, "select distinct a.model from samples s join attempts a on a.id = s.answered_by")
    assert answered == [{"model": "strong"}]


def test_a_doubted_answer_is_not_taken_when_the_stronger_model_failed(tmp_path: Path) -> None:
    with three_models(
        tmp_path,
        lambda asked: OPENAI.answer("maybe") if asked.model == "cheap-1" else Act(status=500),
        CASCADE,
        cases=3,
    ) as (server, folder):
        failed = run(folder)
        server.script = OPENAI.right
        finished = run(folder)

    assert (failed.exit, failed.result["ungraded"]) == (4, 3)
    assert (finished.exit, finished.result["good"], finished.result["ungraded"]) == (0, 3, 0)
    assert server.count(model="cheap-1") == 3
    assert {one["kind"] for one in decisions(folder, "keep", "escalate")} == {"escalate"}


def test_what_the_first_model_answered_alone_serves_the_route_and_the_other_way_round(tmp_path: Path) -> None:
    with three_models(tmp_path, doubtful, CASCADE, cases=9) as (server, folder):
        run(folder, model="small")
        alone = server.count(model="cheap-1")
        run(folder)
        strong = server.count(model="strong-1")
        last = run(folder, model="strong").result

    assert server.count(model="cheap-1") == alone
    assert last["cache_hits"] == strong == 6
    assert server.count(model="strong-1") == 9


def test_two_processes_share_a_route_on_one_workspace(tmp_path: Path) -> None:
    cases = 40
    with three_models(tmp_path, slow(doubtful, 0.03), CASCADE, cases=cases) as (server, folder):
        both = [_process(folder) for _ in range(2)]
        told = [process.communicate(timeout=90) for process in both]
        asked = len(server.asked)
        third = run(folder)

    assert [process.returncode for process in both] == [0, 0], told
    assert len(server.asked) == asked
    assert (third.result["cache_hits"], third.result["samples"]) == (cases, cases)
    good = sum("billing" in label_of(str(n)) for n in range(1, cases + 1))
    assert third.result["good"] == good
    unfinished = rows(folder, "select * from attempts where status not in ('ok', 'error')")
    assert unfinished == []


def test_a_killed_run_leaves_no_key_in_the_log(tmp_path: Path) -> None:
    def script(asked: Asked) -> Act:
        if asked.model == "cheap-1":
            answer = OPENAI.answer(f"your key is {KEY}")
            return replace(answer, headers={"x-request-id": KEY})
        return Act(how=How.HANG)

    with three_models(tmp_path, script, CASCADE, cases=4, more='api_key_env = "TEST_KEY"\n') as (server, folder):
        process = _process(folder)
        until(lambda: server.count(model="strong-1") == 4)
        until(lambda: _stored(folder) == 4)
        process.kill()
        told = process.communicate(timeout=10)

    assert KEY in str([dict(one.headers) for one in server.asked])
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.name.endswith("-wal") for path in written)
    assert any(b"[key]" in path.read_bytes() for path in written)
    for path in written:
        assert KEY.encode() not in path.read_bytes(), path
    assert KEY not in str(told)


def _process(folder: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "evalh", "-C", str(folder), "run", "--model", "careful", "--json"]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "TEST_KEY": KEY}
    )


def _stored(folder: Path) -> int:
    (answers,) = rows(folder, "select count(*) as n from attempts where status = 'ok'")
    return int(answers["n"])
