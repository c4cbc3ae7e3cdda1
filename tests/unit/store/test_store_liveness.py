import os
from collections.abc import Callable
from pathlib import Path

import pytest

from evalh.core.run import RunStatus
from evalh.store import open_reader, open_store
from evalh.store.liveness import RunLock, lock_path
from unit.store.playing import FixedClock, Play

Ask = Callable[..., list[tuple]]


@pytest.fixture
def dead(play: Play, folder: Path) -> Play:
    """A run as `kill -9` leaves it: its row says running, an attempt says sent, and no process holds its lock."""
    play.start()
    play.good("t-1")
    play.begin(play.call("t-2"))
    play.store.flush()
    play.store._locks.pop("r1").release()
    return play


def test_a_dead_processs_run_is_interrupted_at_the_next_start(dead: Play, folder: Path, rows: Ask) -> None:
    open_store(folder, clock=FixedClock()).close()

    assert rows("select status, reason, finished_at from runs") == [
        ("interrupted", "the process ended before the run did", None)
    ]
    assert rows("select case_id, status, error_kind from attempts order by case_id") == [
        ("t-1", "ok", None),
        ("t-2", "interrupted", "interrupted"),
    ]


def test_a_dead_processs_run_is_interrupted_for_readers_too(dead: Play, folder: Path) -> None:
    reader = open_reader(folder)

    assert reader.run("r1").status is RunStatus.INTERRUPTED
    reader.close()


def test_a_live_run_of_another_process_is_left_alone(play: Play, folder: Path, rows: Ask) -> None:
    play.start()
    play.begin(play.call())
    play.store.flush()

    open_store(folder, clock=FixedClock()).close()
    open_reader(folder).close()

    assert rows("select status from runs union all select status from attempts") == [("running",), ("sent",)]
    assert lock_path(folder / "live", "r1").exists()


def test_only_the_dead_runs_attempts_are_touched(playing: Callable[[str], Play], folder: Path, rows: Ask) -> None:
    for run_id in ("r1", "r10", "r1x"):
        run = playing(run_id)
        run.start()
        run.begin(run.call())
        run.store.flush()
    playing("r1").store._locks.pop("r1").release()

    open_store(folder, clock=FixedClock()).close()

    assert rows("select run_id, status from attempts order by run_id") == [
        ("r1", "interrupted"),
        ("r10", "sent"),
        ("r1x", "sent"),
    ]


def test_a_finished_run_leaves_no_lock_behind(play: Play, folder: Path) -> None:
    play.start()
    assert lock_path(folder / "live", "r1").exists()

    play.finish()

    assert list((folder / "live").iterdir()) == []


def test_a_lock_file_that_nobody_holds_is_swept_away(folder: Path) -> None:
    open_store(folder, clock=FixedClock()).close()
    lock_path(folder / "live", "killed-before-its-first-commit").touch()

    open_store(folder, clock=FixedClock()).close()

    assert list((folder / "live").iterdir()) == []


def test_a_lock_whose_file_was_swept_away_is_taken_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between opening the file and locking it, another process may find it unlocked and remove it."""
    import fcntl

    path = tmp_path / "r1.lock"
    take, sweeps = fcntl.flock, iter([True])

    def swept_once(file: int, how: int) -> None:
        if next(sweeps, False):
            path.unlink()
        take(file, how)

    monkeypatch.setattr(fcntl, "flock", swept_once)
    lock = RunLock(path)

    assert path.stat().st_ino == os.fstat(lock._file).st_ino
    lock.release()
    assert not path.exists()


def test_two_processes_may_settle_the_same_dead_run(dead: Play, folder: Path, rows: Ask) -> None:
    first, second = (open_store(folder, clock=FixedClock()) for _ in range(2))
    first.close()
    second.close()

    assert rows("select status from runs") == [("interrupted",)]
