"""Servers that close their connections, in each way they have: every case is answered, and nothing is bought twice."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from faults.dialects import DIALECTS, OPENAI, Dialect
from faults.fault_server import Act, Asked, How
from faults.running import decisions, rows, run, served

CLOSING: dict[str, Callable[[Asked, Act], Act]] = {
    "after each answer, and says so": lambda _, answer: replace(answer, how=How.LAST, headers={"Connection": "close"}),
    "after each answer, unsaid": lambda _, answer: replace(answer, how=How.LAST),
    "after two answers": lambda asked, answer: replace(answer, how=How.LAST if asked.of_connection == 2 else How.WHOLE),
    "after seven answers": lambda asked, answer: replace(
        answer, how=How.LAST if asked.of_connection == 7 else How.WHOLE
    ),
}


@pytest.mark.parametrize("concurrency", ["1", "32"])
@pytest.mark.parametrize("closing", CLOSING)
def test_a_server_that_closes_its_connections_answers_everything_once(
    tmp_path: Path, closing: str, concurrency: str
) -> None:
    with served(tmp_path, lambda asked: CLOSING[closing](asked, OPENAI.right(asked)), cases=150) as (server, folder):
        done = run(folder, "--concurrency", concurrency, model="small")

    assert (done.exit, done.result["status"], done.result["errors"]) == (0, "complete", {})
    assert (done.result["samples"], done.result["ungraded"]) == (150, 0)
    assert set(server.cases().values()) == {1}
    assert rows(folder, "select count(*) as n from attempts") == [{"n": len(server.asked)}]
    assert decisions(folder) == []


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_a_connection_closed_under_a_request_is_no_failure_of_the_provider(tmp_path: Path, dialect: Dialect) -> None:
    """The server closes each connection at its second request: half of all, with defaults that allow for none of it."""

    def script(asked: Asked) -> Act:
        return dialect.right(asked) if asked.of_connection == 1 else Act(how=How.SHUT)

    route = 'model = "small"\nretry = {attempts = 1, share = 0}'
    with served(tmp_path, script, route, cases=100, dialect=dialect) as (server, folder):
        done = run(folder, "--concurrency", "8")

    assert (done.exit, done.result["errors"], done.result["ungraded"]) == (0, {}, 0)
    assert rows(folder, "select count(*) as n from attempts") == [{"n": len(server.asked)}]
    assert rows(folder, "select distinct error_kind as kind from attempts where status = 'error'") == [
        {"kind": "network"}
    ]
    assert max(server.cases().values()) == 2
    assert {one["kind"] for one in decisions(folder)} == {"retry"}


def test_a_reset_is_a_failure_and_is_retried_as_one(tmp_path: Path) -> None:
    """It may come from a server that has read the request, and worked on it."""

    def script(asked: Asked) -> Act:
        return OPENAI.right(asked) if asked.of_connection % 8 else Act(how=How.RESET)

    with served(tmp_path, script, cases=40) as (server, folder):
        done = run(folder, "--concurrency", "4", model="small")

    assert (done.exit, done.result["errors"], done.result["ungraded"]) == (0, {}, 0)
    assert rows(folder, "select count(*) as n from attempts") == [{"n": len(server.asked)}]


def test_a_provider_that_hangs_up_on_everybody_is_down(tmp_path: Path) -> None:
    def script(asked: Asked) -> Act:
        return OPENAI.right(asked) if asked.number <= 40 else Act(how=How.SHUT)

    route = 'model = "small"\nretry = {attempts = 2, base_s = 0.01}\nbreaker = {cooldown_s = 0.2, window_s = 3}'
    with served(tmp_path, script, route, cases=400) as (server, folder):
        done = run(folder)

    assert (done.exit, done.result["status"]) == (4, "stopped")
    assert "small is down" in done.result["stopped_because"]
    assert rows(folder, "select count(*) as n from attempts") == [{"n": len(server.asked)}]
