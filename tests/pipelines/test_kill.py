"""A pipeline that is killed again and again is resumed step by step: nothing that was stored is asked again."""

import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from pipelines.test_runs import run
from stepping import step_server, write_pipeline

CASES = 80


@pytest.mark.parametrize("kills", [4, pytest.param(20, marks=pytest.mark.slow)])
def test_a_killed_run_continues_at_the_step_where_it_ended(tmp_path: Path, kills: int) -> None:
    rng = Random(20261129)
    with step_server(delay_s=0.05) as (server, port):
        folder = write_pipeline(tmp_path, port, cases=CASES)
        for _ in range(kills):
            known, so_far = answered(folder), len(server.asked)
            run_and_kill(folder, rng.uniform(0.5, 1.4))
            asked = {(step, said.partition(" -- ")[0]) for step, said in server.asked[so_far:]}
            assert not known & asked
        known, so_far = answered(folder), len(server.asked)
        finished = run(folder, "--concurrency", "4")
        assert not known & {(step, said.partition(" -- ")[0]) for step, said in server.asked[so_far:]}
    assert (finished["good"], finished["samples"]) == (CASES, CASES)


def answered(folder: Path) -> set[tuple[str, str]]:
    """Return the step and the mail of each answer in the log."""
    if not (folder / ".evalh/evalh.db").exists():
        return set()
    with closing(sqlite3.connect(folder / ".evalh/evalh.db")) as db:
        try:
            rows = db.execute("select step, case_id from attempts where status = 'ok'").fetchall()
        except sqlite3.OperationalError:
            return set()
    return {(step, f"Where is order {int(case.split('-')[1])}?") for step, case in rows}


def run_and_kill(folder: Path, after_s: float) -> None:
    command = [sys.executable, "-m", "evalh", "-C", str(folder), "run", "--concurrency", "4", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(after_s)
    process.kill()
    process.wait(10)
