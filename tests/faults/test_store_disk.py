"""Disks that are full, locked or read-only: a message for people, and nothing lost that was committed."""

import os
import resource
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from evalh.core.errors import EvalhError, ExitCode
from evalh.store import SqliteStore, StoreError, open_store
from unit.store.playing import FixedClock, Play
from workspaces import write_workspace

CHILD = Path(__file__).with_name("store_child.py")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / ".evalh"


@pytest.fixture
def store(folder: Path) -> Iterator[SqliteStore]:
    opened = open_store(folder, clock=FixedClock(), gather_s=0.001, busy_timeout_s=0.1, patience_s=0.1)
    yield opened
    opened.close()


def _answers(folder: Path) -> set[str]:
    with closing(sqlite3.connect(folder / "evalh.db")) as connection:
        assert connection.execute("pragma integrity_check").fetchall() == [("ok",)]
        return {case for (case,) in connection.execute("select case_id from attempts where status = 'ok'")}


def _write_on(play: Play) -> None:
    for number in range(10_000):
        play.good(f"t-{number}", "x" * 2000)
    play.store.flush()


def test_a_full_disk_stops_the_run_and_keeps_what_was_committed(store: SqliteStore, folder: Path) -> None:
    play = Play(store)
    play.start()
    play.good("kept")
    store.flush()
    (pages,) = store._connection.execute("pragma page_count").fetchone()
    store._connection.execute(f"pragma max_page_count = {pages}")

    with pytest.raises(StoreError, match="the disk is full") as told:
        _write_on(play)

    assert told.value.exit_code is ExitCode.CANNOT_MEASURE
    assert told.value.where == str(folder / "evalh.db")
    assert "not asked twice" in (told.value.hint or "")
    assert store.failed is told.value
    with pytest.raises(StoreError, match="the disk is full"):
        play.finish()
    store.close()
    assert "kept" in _answers(folder)


def test_a_full_disk_that_gets_room_again_loses_nothing(folder: Path) -> None:
    with closing(open_store(folder, clock=FixedClock(), gather_s=0.001)) as store:
        play = Play(store)
        play.start()
        store.flush()
        connection = store._connection
        (pages,) = connection.execute("pragma page_count").fetchone()
        connection.execute(f"pragma max_page_count = {pages}")
        for number in range(300):
            play.good(f"t-{number}", "x" * 2000)
        while store.blocked() is None:
            time.sleep(0.05)

        assert store.blocked() == "the log's disk is full"
        assert store.waits_in is not None
        connection.execute("pragma max_page_count = 1000000")
        store.flush()

        assert store.blocked() is None
        assert len(_answers(folder)) == 300
        assert not list((folder / "waiting").iterdir())


def test_a_disk_that_refuses_to_grow_a_file_ends_the_process_with_a_message(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, CHILD, folder, "r1", "100000"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000)),
    )

    assert done.returncode == ExitCode.CANNOT_MEASURE
    assert "StoreError" in done.stderr
    assert "evalh.db" in done.stderr
    assert "Traceback" not in done.stderr
    promised = [int(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("durable")]
    assert promised
    assert {f"r1-{number}" for number in range(max(promised) + 1)} <= _answers(folder)


def test_a_lock_that_another_program_lets_go_of_is_waited_for(folder: Path) -> None:
    with (
        closing(open_store(folder, clock=FixedClock(), gather_s=0.001, busy_timeout_s=30)) as store,
        closing(sqlite3.connect(folder / "evalh.db", isolation_level=None, check_same_thread=False)) as other,
    ):
        play = Play(store)
        play.start()
        other.execute("begin immediate")
        play.good("t-1")
        threading.Timer(0.3, other.execute, ["rollback"]).start()
        store.flush()

        assert _answers(folder) == {"t-1"}


def test_a_lock_that_is_never_let_go_of_is_told(store: SqliteStore, folder: Path) -> None:
    with closing(sqlite3.connect(folder / "evalh.db", isolation_level=None)) as other:
        other.execute("begin immediate")

        with pytest.raises(StoreError, match="keeps the database locked") as told:
            Play(store).start()

    assert "close the program" in (told.value.hint or "")
    assert "waits in" in (told.value.hint or "")


def test_a_file_that_breaks_while_it_is_written_is_told(store: SqliteStore, folder: Path) -> None:
    play = Play(store)
    play.start()
    play.good("t-1")
    store.flush()
    with sqlite3.connect(folder / "evalh.db") as other:
        other.execute("drop table verdicts")
    other.close()

    play.good("t-2")
    with pytest.raises(EvalhError, match="no such table"):
        store.flush()


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A folder that another user may enter, as pytest's own are not."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        yield Path(made)


def _as_nobody(program: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a program as a user who cannot write to the folder. Root can write anywhere, so it becomes another user."""
    prelude = (
        "import os, sys; from pathlib import Path; import evalh.store.migrations, msgspec.json;"
        "from evalh.core.errors import *;"
        "from evalh.store import *; from evalh.api.event_loop import SystemClock; folder = Path(sys.argv[1])\n"
        "if os.getuid() == 0: os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
    )
    return subprocess.run(
        [sys.executable, "-c", prelude + program, folder], capture_output=True, text=True, timeout=60, check=True
    )


TELL = "try: {}\nexcept EvalhError as told: print(type(told).__name__, told)"


def test_a_store_cannot_be_made_in_a_read_only_folder(open_to_all: Path) -> None:
    open_to_all.chmod(0o555)

    done = _as_nobody(TELL.format("open_store(folder / '.evalh', clock=SystemClock())"), open_to_all)

    assert done.stdout.startswith("StoreError")
    assert "cannot create the store: Permission denied" in done.stdout
    open_to_all.chmod(0o755)


def test_a_read_only_store_can_be_read_and_says_why_it_cannot_be_written(open_to_all: Path) -> None:
    folder = open_to_all / ".evalh"
    with closing(open_store(folder, clock=FixedClock())) as store:
        play = Play(store)
        play.start()
        play.good()
        play.finish()
    for path in (folder, *folder.rglob("*")):
        path.chmod(path.stat().st_mode & ~0o222)

    reading = _as_nobody("print([run.record.id for run in open_reader(folder).runs()])", folder)
    writing = _as_nobody(TELL.format("open_store(folder, clock=SystemClock())"), folder)

    assert reading.stdout == "['r1']\n"
    assert writing.stdout.startswith("StoreError")
    assert "writable" in writing.stdout
    for path in (folder, folder / "live"):
        os.chmod(path, 0o755)  # noqa: PTH101


def test_a_run_that_is_over_before_a_full_disk_shows_waits_for_room_and_does_not_promise_what_it_cannot_keep(
    tmp_path: Path,
) -> None:
    folder = write_workspace(tmp_path, cases=300)
    run = subprocess.Popen(
        [sys.executable, "-m", "evalh", "run"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (250_000, 250_000)),  # noqa: PLW1509 (one thread)
    )
    assert run.stderr is not None
    told = run.stderr.readline()
    while "no requests until the log can be written" not in told:
        assert run.poll() is None, told
        told = run.stderr.readline()
    run.send_signal(signal.SIGINT)
    _, rest = run.communicate(timeout=60)

    assert run.returncode == ExitCode.INTERRUPTED
    assert "could not be kept beside it either, and is asked again" in rest
