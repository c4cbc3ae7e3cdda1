"""Promise 1 at the store: nothing that was recorded in time is lost, at whatever moment the process is killed."""

import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from evalh.store import open_store
from unit.store.playing import FixedClock

CHILD = Path(__file__).with_name("store_child.py")
MARGIN_S = 0.25  # promised are 0.05; a machine that is busy with other things stalls a thread for longer than that


@pytest.mark.parametrize("seed", range(4))
def test_after_kill_9_everything_handed_over_in_time_is_there(tmp_path: Path, seed: int) -> None:
    folder = tmp_path / ".evalh"
    lines = _run_and_kill(folder, Random(seed).uniform(0.4, 0.9))

    handed = {int(words[1]): float(words[2]) for words in lines if words[0] == "handed"}
    promised = [int(words[1]) for words in lines if words[0] == "durable"]
    in_time = [number for number, at in handed.items() if at < max(handed.values()) - MARGIN_S]
    assert in_time, "the child was killed before it had written enough to tell"

    open_store(folder, clock=FixedClock()).close()
    with closing(sqlite3.connect(folder / "evalh.db")) as connection:
        answered = {case for (case,) in connection.execute("select case_id from attempts where status = 'ok'")}
        lost = {case for (case,) in connection.execute("select case_id from attempts where status = 'interrupted'")}
        assert connection.execute("pragma integrity_check").fetchall() == [("ok",)]
        assert connection.execute("select count(*) from attempts where status = 'sent'").fetchone() == (0,)
        assert connection.execute("select status from runs").fetchall() == [("interrupted",)]
    durable = set(in_time) | set(range(max(promised, default=-1) + 1))
    assert {f"r1-{number}" for number in durable} <= answered
    assert {f"lost-{number}" for number in durable if number % 10 == 9} <= lost


def _run_and_kill(folder: Path, after_s: float) -> list[list[str]]:
    """Start the child, let it write for a while, kill it; return what it said, word by word."""
    child = subprocess.Popen(
        [sys.executable, CHILD, folder, "r1", "100000"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    first = child.stdout.readline()
    time.sleep(after_s)
    child.kill()
    said, problem = child.communicate(timeout=30)
    assert problem == ""
    whole_lines = (first + said).rpartition("\n")[0].splitlines()
    return [line.split() for line in whole_lines]
