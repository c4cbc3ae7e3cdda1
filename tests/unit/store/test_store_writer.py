import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from evalh.core.attempt import Decision
from evalh.store import open_store
from evalh.store import writer as checkpoint
from unit.store.playing import ANSWER, FixedClock, Play

NOTE = Decision(run_id="r1", kind="wait", reason="rate limit", at=0.0)


def _until(true: Callable[[], bool]) -> None:
    for _ in range(3000):
        if true():
            return
        time.sleep(0.01)
    raise AssertionError("it never came true")


@pytest.mark.parametrize("large", [False, True], ids=["many rows", "large rows"])
def test_a_caller_that_is_faster_than_the_disk_waits_instead_of_filling_memory(folder: Path, *, large: bool) -> None:
    with (
        closing(open_store(folder, clock=FixedClock(), gather_s=0.001, busy_timeout_s=60)) as store,
        closing(sqlite3.connect(folder / "evalh.db", isolation_level=None)) as slow,
    ):
        slow.execute("begin immediate")
        play = Play(store)
        said = replace(ANSWER, text="x" * 4_000_000)

        def hand_over() -> None:
            for _ in range(20 if large else 20_000):
                if large:
                    play.answer(play.call(), said)
                else:
                    store.decide(NOTE)

        caller = threading.Thread(target=hand_over)
        caller.start()
        writer = store
        # The writer may take its first batch after the caller began to wait: half the limit is then what stays.
        _until(lambda: writer._queue.qsize() > 4000 or writer._chars_taken - writer._chars_written > 16_000_000)
        time.sleep(0.3)
        waiting = writer._queue.qsize(), writer._chars_taken - writer._chars_written
        assert caller.is_alive()
        assert waiting[0] <= 8001
        assert waiting[1] <= 24_000_000

        slow.execute("rollback")
        caller.join(60)
        store.flush()

        table, rows = ("attempts", 20) if large else ("decisions", 20_000)
        assert slow.execute(f"select count(*) from {table}").fetchone() == (rows,)


def test_several_threads_may_wait_for_durability_at_once(play: Play) -> None:
    play.start()
    waiting = [threading.Thread(target=play.store.flush) for _ in range(8)]
    for one in waiting:
        one.start()
    for one in waiting:
        one.join(30)

    assert not any(one.is_alive() for one in waiting)


def test_flush_does_not_wait_for_a_batch_to_gather(folder: Path) -> None:
    with closing(open_store(folder, clock=FixedClock(), gather_s=3600.0)) as store:
        store.decide(NOTE)
        store.flush()

        rows = _query(folder, "select count(*) from decisions")
        assert rows == [(1,)]


def test_a_program_that_forgets_to_close_loses_nothing_and_ends(folder: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from evalh.api.event_loop import SystemClock;"
        "from evalh.store import open_store;"
        "from evalh.core.attempt import Decision\n"
        "store = open_store(Path(sys.argv[1]), clock=SystemClock())\n"
        "for n in range(5000): store.decide(Decision(run_id='r1', kind='wait', reason=str(n), at=0.0))"
    )

    subprocess.run([sys.executable, "-c", program, folder], check=True, timeout=60)

    rows = _query(folder, "select count(*) from decisions")
    assert rows == [(5000,)]


def test_the_wal_begins_anew_while_the_run_goes_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "_COPY_ROWS", 40)
    monkeypatch.setattr(checkpoint, "_FINISH_ROWS", 120)
    wal = folder / "evalh.db-wal"
    with closing(open_store(folder, clock=FixedClock(), gather_s=0.001)) as store:
        note = replace(NOTE, reason="x" * 4000)
        sizes = [0] * 10
        while sizes[-1] != sizes[-10] or len(sizes) < 40:
            assert len(sizes) < 2000, "160 MB were written, and the WAL grew all the while"
            for _ in range(20):
                store.decide(note)
            store.flush()
            sizes.append(wal.stat().st_size)  # it never shrinks; what starts again leaves it as it is

        assert (folder / "evalh.db").stat().st_size > 500_000, "copied while the run goes on"


def test_a_store_that_is_closed_leaves_one_file_that_can_be_copied(play: Play, folder: Path) -> None:
    play.start()
    play.good()
    play.finish()
    play.store.close()

    assert {path.name for path in folder.glob("evalh.db*")} == {"evalh.db"}


def _query(folder: Path, sql: str) -> list[tuple]:
    with closing(sqlite3.connect(folder / "evalh.db")) as connection:
        return connection.execute(sql).fetchall()
