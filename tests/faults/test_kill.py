"""Nothing paid for is lost or bought twice (promise 1), shown with kill -9 on the real command."""

import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from workspaces import chat_server, document, evalh, without_ids_and_times, write_workspace

CASES = 240


@pytest.mark.parametrize("kills", [6, pytest.param(20, marks=pytest.mark.slow)])
def test_a_run_killed_again_and_again_asks_for_no_stored_answer_again_and_ends_as_if_unbroken(
    tmp_path: Path, kills: int
) -> None:
    rng = Random(20261124)
    with chat_server(delay_s=0.05) as (server, model):
        broken = write_workspace(tmp_path / "broken", cases=CASES, model=model)
        for _ in range(kills // 2):
            _run_and_kill(broken, rng.uniform(0.25, 0.9))
            known = _answered(broken)
            asked_so_far = len(server.asked)
            _run_and_kill(broken, rng.uniform(0.0, 0.4), begun=lambda: len(server.asked) > asked_so_far)  # noqa: B023
            again = known.intersection(_case_ids(server.asked[asked_so_far:]))
            assert not again, f"asked again: {sorted(again)[:5]}"
            if len(known) == CASES:
                break
        known = _answered(broken)
        asked_so_far = len(server.asked)
        finished = document(evalh(broken, "run", "--concurrency", "4", "--json"))["results"][0]
        assert not known.intersection(_case_ids(server.asked[asked_so_far:]))

        unbroken = write_workspace(tmp_path / "unbroken", cases=CASES, model=model)
        evalh(unbroken, "run", "--concurrency", "4", "--json")

    repeated = document(evalh(broken, "run", "--json"))["results"][0]
    reference = document(evalh(unbroken, "run", "--json"))["results"][0]
    for part in ("samples", "good", "bad", "ungraded", "good_rate", "graders", "fingerprint"):
        assert finished[part] == reference[part]
    assert repeated["cache_hits"] == CASES
    assert repeated["cached_cost_usd"] == reference["cached_cost_usd"]
    assert without_ids_and_times(repeated)["cost_per_good_usd"] == reference["cost_per_good_usd"]


def test_what_was_in_flight_when_the_process_died_is_told_as_interrupted(tmp_path: Path) -> None:
    with chat_server(delay_s=1.0) as (server, model):
        folder = write_workspace(tmp_path, cases=CASES, model=model)
        _run_and_kill(folder, 0.5, begun=lambda: bool(server.asked))
        evalh(folder, "run", "--limit", "1", "--json")

    with closing(sqlite3.connect(folder / ".evalh/evalh.db")) as db:
        statuses = dict(db.execute("select status, count(*) from attempts group by status"))
        runs = [status for (status,) in db.execute("select status from runs order by started_at")]
    assert statuses.get("interrupted", 0) >= 1
    assert "sent" not in statuses
    assert runs == ["interrupted", "complete"]


def _run_and_kill(folder: Path, after_s: float, *, begun: Callable[[], bool] = lambda: True) -> None:
    command = [sys.executable, "-m", "evalh", "-C", str(folder), "run", "--concurrency", "4", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not begun() and process.poll() is None:
        time.sleep(0.01)
    time.sleep(after_s)
    process.kill()
    process.wait(10)


def _answered(folder: Path) -> set[str]:
    if not (folder / ".evalh/evalh.db").exists():
        return set()
    with closing(sqlite3.connect(folder / ".evalh/evalh.db")) as db:
        try:
            return {case_id for (case_id,) in db.execute("select case_id from attempts where status = 'ok'")}
        except sqlite3.OperationalError:  # killed before the first migration
            return set()


def _case_ids(tickets: list[str]) -> set[str]:
    return {f"t-{int(ticket.split()[1]):04d}" for ticket in tickets}
