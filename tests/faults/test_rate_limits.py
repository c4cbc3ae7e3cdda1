"""A provider that takes so many requests in so long, and names the wait: nothing is lost, nothing is hammered."""

import signal
import time
from collections import deque
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from faults.dialects import DIALECTS, OPENAI, Dialect, act
from faults.fault_server import Act, Asked, FaultServer, fault_server
from faults.running import decisions, here, rows, run, served, start, two_models, workspace
from faults.test_bad_input_interrupts import interrupted


class Taking:
    """A script: `answers` in any `window_s`; what comes above is refused with the time until the next is taken."""

    def __init__(self, dialect: Dialect, answers: int, window_s: float, **more: Any) -> None:
        self._dialect = dialect
        self._answers = answers
        self._window_s = window_s
        self._refuse = more.get("refuse", refusing)
        self._taken: deque[float] = deque()
        self.refused = 0

    def __call__(self, asked: Asked) -> Act:
        taken, now = self._taken, asked.at
        while taken and taken[0] <= now - self._window_s:
            taken.popleft()
        if len(taken) < self._answers:
            taken.append(now)
            return self._dialect.right(asked)
        self.refused += 1
        return self._refuse(self._dialect, taken[0] + self._window_s - now)


def refusing(dialect: Dialect, wait_s: float) -> Act:
    """Refuse in the service's own words, and name the wait as the service does."""
    if dialect.kind != "gemini":
        return dialect.error("rate_limit", after=f"{wait_s:.3f}")
    status, document = dialect.errors["rate_limit"]
    detail = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{wait_s:.3f}s"}
    return act({"error": {**document["error"], "details": [detail]}}, status=status)


def answered(server: FaultServer, script: Taking) -> int:
    return len(server.asked) - script.refused


def assert_all_answered(folder: Path, done: Any, cases: int) -> None:
    result = done.result
    assert (done.exit, result["status"], result["errors"]) == (0, "complete", {})
    assert (result["samples"], result["ungraded"]) == (cases, 0)
    assert rows(folder, "select case_id from attempts where status = 'ok' group by case_id having count(*) > 1") == []


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_ten_answers_in_so_long_answer_all_of_eighty_cases_with_the_defaults(tmp_path: Path, dialect: Dialect) -> None:
    script = Taking(dialect, 10, 0.6)
    with served(tmp_path, script, cases=80, dialect=dialect) as (server, folder):
        done = run(folder, model="small")

    assert_all_answered(folder, done, 80)
    assert answered(server, script) == 80
    assert rows(folder, "select count(*) as n from attempts") == [{"n": len(server.asked)}]
    assert script.refused < 80
    assert done.result["cost_usd"] == pytest.approx(sum(one["usd"] for one in rows(folder, COST)))


COST = "select coalesce(sum(cost_usd), 0) as usd from attempts where status = 'ok'"


@pytest.mark.slow
@pytest.mark.parametrize(("concurrency", "cases"), [("32", 40), ("256", 80)])
def test_ten_answers_in_six_seconds_answer_all_cases_with_the_defaults(
    tmp_path: Path, concurrency: str, cases: int
) -> None:
    """Some requests wait longer than any one wait that is named: 18 s, and 42 s with all 80 in flight."""
    script = Taking(DIALECTS[2], 10, 6.0)
    with served(tmp_path, script, cases=cases, dialect=DIALECTS[2]) as (server, folder):
        done = run(folder, "--concurrency", concurrency, model="small")

    assert_all_answered(folder, done, cases)
    assert answered(server, script) == cases
    assert script.refused < cases + int(concurrency)


def once_refused(refuse: Callable[[], Act]) -> Callable[[Asked], Act]:
    """Refuse each case's first request."""
    return lambda asked: refuse() if asked.nth == 1 else OPENAI.right(asked)


@pytest.mark.parametrize("said", ["0.2", "0.2s", "200ms", "0.2 seconds", "0.2sec", "0.2, 7", "date"])
def test_a_wait_is_read_in_each_of_its_spellings(tmp_path: Path, said: str) -> None:
    def refuse() -> Act:
        # A date has whole seconds, and counts from the server's own clock, an hour behind ours.
        headers = {"Retry-After": said}
        if said == "date":
            now = time.time() - 3600
            headers = {"Retry-After": formatdate(now + 1, usegmt=True), "Date": formatdate(now, usegmt=True)}
        return OPENAI.error("rate_limit", headers=headers)

    with served(tmp_path, once_refused(refuse), cases=3) as (server, folder):
        done = run(folder, "--concurrency", "1", model="small")

    assert_all_answered(folder, done, 3)
    least_s = 0.95 if said == "date" else 0.2
    assert server.asked[1].at - server.asked[0].at >= least_s
    assert rows(folder, "select min(retry_after_s) >= 0.2 as named from attempts where status = 'error'") == [
        {"named": 1}
    ]


def in_whole_seconds(dialect: Dialect, wait_s: float) -> Act:
    return dialect.error("rate_limit", after=str(int(wait_s)))


def as_a_date(dialect: Dialect, wait_s: float) -> Act:
    now = time.time()
    headers = {"Retry-After": formatdate(now + wait_s, usegmt=True), "Date": formatdate(now, usegmt=True)}
    return dialect.error("rate_limit", headers=headers)


def in_googles_compatible_words(dialect: Dialect, wait_s: float) -> Act:
    detail = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{wait_s:.3f}s"}
    error = {"code": 429, "message": "Resource exhausted", "status": "RESOURCE_EXHAUSTED", "details": [detail]}
    return act([{"error": error}], status=429)


@pytest.mark.parametrize("refuse", [in_whole_seconds, as_a_date, in_googles_compatible_words])
@pytest.mark.parametrize("window_s", [0.6, 1.4])
def test_a_wait_that_is_named_less_than_well_loses_no_case(
    tmp_path: Path, refuse: Callable[[Dialect, float], Act], window_s: float
) -> None:
    script = Taking(OPENAI, 10, window_s, refuse=refuse)
    with served(tmp_path, script, cases=60) as (server, folder):
        done = run(folder, model="small")

    assert_all_answered(folder, done, 60)
    assert answered(server, script) == 60
    assert rows(folder, "select count(*) as n from attempts") == [{"n": len(server.asked)}]


def test_a_server_that_always_says_at_once_is_not_asked_for_ever(tmp_path: Path) -> None:
    route = 'model = "small"\nlimit = {max_wait_s = 1}'
    with served(tmp_path, OPENAI.always("rate_limit", after="0"), route, cases=50) as (server, folder):
        done = run(folder, "--concurrency", "4")

    assert (done.exit, done.result["errors"]) == (4, {"rate_limit": 50})
    assert len(server.asked) < 100


def unnamed(dialect: Dialect, _wait_s: float) -> Act:
    return dialect.error("rate_limit")


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_a_limit_without_a_wait_loses_no_case_either(tmp_path: Path, dialect: Dialect) -> None:
    script = Taking(dialect, 10, 0.6, refuse=unnamed)
    with served(tmp_path, script, cases=60, dialect=dialect) as (server, folder):
        done = run(folder, model="small")

    assert_all_answered(folder, done, 60)
    assert answered(server, script) == 60
    assert rows(folder, "select count(*) as n from attempts") == [{"n": len(server.asked)}]
    assert script.refused < 120
    assert {one["reason"] for one in decisions(folder, "retry")} == {"rate_limit"}


@pytest.mark.parametrize("said", [None, "-5", "soon", "nan", "inf", "1_0", "٠".encode().decode("latin-1")])
def test_a_limit_that_says_no_wait_takes_none_of_the_attempts(tmp_path: Path, said: str | None) -> None:
    headers = {} if said is None else {"Retry-After": said}

    def script(asked: Asked) -> Act:
        return OPENAI.error("rate_limit", headers=headers) if asked.nth <= 3 else OPENAI.right(asked)

    route = 'model = "small"\nretry = {attempts = 1, base_s = 0.01, share = 0}'
    with served(tmp_path, script, route, cases=2) as (server, folder):
        done = run(folder, "--concurrency", "1")

    assert_all_answered(folder, done, 2)
    assert len(decisions(folder, "retry")) == 6
    assert server.asked[3].at - server.asked[0].at >= 0.3  # a tenth of a second each at least


def test_limits_without_a_wait_end_at_the_most_that_is_waited_and_the_log_says_so(tmp_path: Path) -> None:
    route = 'model = "small"\nretry = {base_s = 0.05}\nlimit = {max_wait_s = 1}'
    with served(tmp_path, OPENAI.always("rate_limit"), route, cases=50) as (server, folder):
        done = run(folder, "--concurrency", "4")

    assert (done.exit, done.result["errors"]) == (4, {"rate_limit": 50})
    assert len(server.asked) < 60
    whys = {one["detail"]["why"].partition("; ")[2] for one in decisions(folder, "give_up")}
    assert whys <= {"1 s is the most", "a call waits 1 s at most"}


TWICE = 'model = "small"\nfallback = ["strong"]\nretry = {attempts = 2, base_s = 0.01}'


def test_a_limit_without_a_wait_is_an_attempt_where_another_model_is_ready(tmp_path: Path) -> None:
    with two_models(tmp_path, OPENAI.unless("cheap-1", OPENAI.error("rate_limit")), TWICE, cases=4) as (server, folder):
        done = run(folder)

    assert_all_answered(folder, done, 4)
    assert set(server.cases(model="cheap-1").values()) == {2}


def test_a_deadline_ends_a_wait_that_nobody_named(tmp_path: Path) -> None:
    route = 'model = "small"\nbudget = {deadline_s = 1}'
    with served(tmp_path, OPENAI.always("rate_limit"), route, cases=5) as (_, folder):
        done = run(folder)

    assert (done.exit, done.result["status"]) == (4, "stopped")
    assert "deadline" in done.result["stopped_because"]


@pytest.mark.parametrize("said", ["7200", "1e300"])
def test_a_wait_that_is_too_long_is_not_waited_for_and_the_others_are_not_sent(tmp_path: Path, said: str) -> None:
    with served(tmp_path, OPENAI.always("rate_limit", after=said), cases=50) as (server, folder):
        began = time.monotonic()
        done = run(folder, "--concurrency", "4", model="small")
        seconds = time.monotonic() - began

    assert (done.exit, done.result["status"], done.result["errors"]) == (4, "complete", {"rate_limit": 50})
    assert len(server.asked) == 4
    assert seconds < 60.0
    whys = {one["detail"]["why"] for one in decisions(folder, "give_up")}
    assert f"the provider asks to wait {float(said):g} s, more than 600 s" in whys
    assert any("is at its rate limit for another" in why and "600 s at most" in why for why in whys)


def test_show_and_calls_say_why_a_call_was_given_up(tmp_path: Path) -> None:
    with served(tmp_path, OPENAI.always("rate_limit", after="7200"), cases=1) as (_, folder):
        run(folder, model="small")
        calls, case = here(folder, "calls"), here(folder, "show", "t-0001")

    assert "the provider asks to wait 7200 s, more than 600 s" in " ".join(calls.out.split())
    assert "given up: rate_limit · the provider asks to wait 7200 s, more than 600 s" in " ".join(case.out.split())


def test_a_provider_that_never_takes_anything_again_is_waited_for_no_longer_than_the_limit(tmp_path: Path) -> None:
    route = 'model = "small"\nlimit = {max_wait_s = 1}'
    with served(tmp_path, OPENAI.always("rate_limit", after="0.2"), route, cases=200) as (server, folder):
        began = time.monotonic()
        done = run(folder)
        seconds = time.monotonic() - began

    assert (done.exit, done.result["errors"]) == (4, {"rate_limit": 200})
    assert len(server.asked) < 200
    assert seconds < 60.0


def test_a_limited_model_does_not_hold_up_another_of_the_same_provider(tmp_path: Path) -> None:
    script = Taking(OPENAI, 2, 30.0)

    def answer(asked: Asked) -> Act:
        return script(asked) if asked.model == "cheap-1" else OPENAI.right(asked)

    route = 'model = "small"\nfallback = ["strong"]\nretry = {max_wait_s = 1}'
    with two_models(tmp_path, answer, route, cases=40) as (server, folder):
        began = time.monotonic()
        done = run(folder)
        seconds = time.monotonic() - began

    assert_all_answered(folder, done, 40)
    assert (server.count(model="strong-1"), answered(server, script)) == (38, 40)
    assert seconds < 25.0


@pytest.mark.parametrize("keys", ["one key", "two keys"])
def test_a_pause_holds_for_all_names_of_one_model_and_key(tmp_path: Path, keys: str) -> None:
    """A judge under another name: with the same key it is refused too, with its own it need not wait."""
    script = Taking(OPENAI, 1, 20.0)

    def answer(asked: Asked) -> Act:
        return script(asked) if asked.headers["authorization"] == "Bearer first" else OPENAI.right(asked)

    with fault_server(answer) as server:
        other = "KEY_1" if keys == "one key" else "KEY_2"
        models = {
            "small": OPENAI.config(server.port, more='api_key_env = "KEY_1"\n'),
            "other": OPENAI.config(server.port, more=f'api_key_env = "{other}"\n'),
        }
        route = 'model = "small"\nfallback = ["other"]\nretry = {max_wait_s = 1}\nlimit = {max_wait_s = 1}'
        folder = workspace(tmp_path, models, {"careful": route}, cases=10)
        env = {"KEY_1": "first", "KEY_2": "second"}
        done = here(folder, "run", "--json", "--model", "careful", "--concurrency", "1", env=env)

    assert done.result["good"] == (1 if keys == "one key" else 9)  # one of ten is answered wrongly
    assert len(server.asked) == (2 if keys == "one key" else 11)


def test_a_fallback_is_asked_after_the_attempts_that_are_declared(tmp_path: Path) -> None:
    script = OPENAI.unless("cheap-1", OPENAI.error("rate_limit", after="0.05"))
    with two_models(tmp_path, script, TWICE, cases=4) as (server, folder):
        done = run(folder)

    assert_all_answered(folder, done, 4)
    assert set(server.cases(model="cheap-1").values()) == {2}


def test_an_unavailable_provider_that_names_a_wait_is_an_outage_all_the_same(tmp_path: Path) -> None:
    route = 'model = "small"\nretry = {attempts = 3, base_s = 0.01}'
    with served(tmp_path, OPENAI.always("overload", after="0.05"), route, cases=3) as (server, folder):
        done = run(folder)

    assert (done.exit, done.result["errors"]) == (4, {"overload": 3})
    assert set(server.cases().values()) == {3}


def test_a_spent_quota_that_names_a_wait_is_not_waited_for(tmp_path: Path) -> None:
    with served(tmp_path, OPENAI.always("quota", after="1"), cases=20) as (server, folder):
        done = run(folder, "--concurrency", "1", model="small")

    assert (done.exit, done.result["status"], len(server.asked)) == (4, "stopped", 1)


def test_a_deadline_ends_a_wait_and_the_same_command_goes_on(tmp_path: Path) -> None:
    script = Taking(OPENAI, 5, 60.0)
    with served(tmp_path, script, 'model = "small"\nbudget = {deadline_s = 1}', cases=20) as (server, folder):
        began = time.monotonic()
        stopped = run(folder)
        seconds = time.monotonic() - began
        server.script = OPENAI.right
        finished = run(folder)

    assert (stopped.exit, stopped.result["status"], stopped.result["samples"]) == (4, "stopped", 5)
    assert "deadline" in stopped.result["stopped_because"]
    assert seconds < 30.0
    assert_all_answered(folder, finished, 20)
    assert finished.result["cache_hits"] == 5


def test_waits_are_not_billed_and_take_nothing_from_a_budget(tmp_path: Path) -> None:
    script = Taking(OPENAI, 5, 0.3)
    with served(tmp_path, script, cases=30) as (_, folder):
        done = run(folder, "--budget", "0.01", model="small")

    assert_all_answered(folder, done, 30)
    assert rows(folder, "select sum(cost_usd) as usd from attempts where status = 'error'") == [{"usd": 0.0}]


def test_ctrl_c_ends_a_wait_at_once_and_the_same_command_goes_on(tmp_path: Path) -> None:
    script = Taking(OPENAI, 5, 300.0)
    with served(tmp_path, script, cases=20) as (server, folder):
        process = start(folder, "run", "--model", "small", "--concurrency", "4")
        while not script.refused:
            time.sleep(0.02)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        interrupted(process)
        server.script = OPENAI.right
        finished = run(folder, model="small")

    assert_all_answered(folder, finished, 20)
    assert finished.result["cache_hits"] == 5


def test_the_plain_line_says_what_is_waited_for(tmp_path: Path) -> None:
    script = Taking(OPENAI, 3, 1.5)
    with served(tmp_path, script, cases=6) as (_, folder):
        done = here(folder, "run", "--model", "small")

    assert "waiting 2 s: rate limit of openai:test-1" in done.err
