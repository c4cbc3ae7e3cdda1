"""Which runs are alive: each holds a lock, which the operating system releases when the process ends in any way.

A process id is not enough: ids are reused, and mean nothing in a container that shares the folder.
"""

import os
import sqlite3
from contextlib import suppress
from pathlib import Path

from evalh.store.database import transaction
from evalh.store.locking import held, lock

LOST = "the process ended before the run did"


class RunLock:
    """Held by the process that executes a run, from before the run's row exists until after it is closed."""

    def __init__(self, path: Path) -> None:
        """Take the lock. Raises OSError."""
        self._path = path
        while True:
            self._file = os.open(path, os.O_CREAT | os.O_RDWR, 0o644)
            lock(self._file)
            if _still_there(self._file, path):
                return
            os.close(self._file)  # removed between our open and our lock

    def release(self) -> None:
        """Release the lock and remove its file."""
        with suppress(PermissionError):  # Windows removes no open file: the next start does
            self._path.unlink(missing_ok=True)
        os.close(self._file)


def lock_path(folder: Path, run_id: str) -> Path:
    """Return the path of a run's lock; `folder` contains the locks of all live runs."""
    return folder / f"{run_id}.lock"


def settle(connection: sqlite3.Connection, folder: Path) -> None:
    """Close the runs whose process is gone: they and their attempts in flight become `interrupted`.

    Raises sqlite3.Error and OSError. Several processes may do this at once.
    """
    for run_id in lost(connection, folder):
        _interrupt(connection, run_id)
    for path in folder.glob("*.lock"):
        if (file := take(path)) is not None:
            with suppress(PermissionError):
                path.unlink(missing_ok=True)
            os.close(file)


def lost(connection: sqlite3.Connection, folder: Path) -> list[str]:
    """Return the runs whose process is gone although their rows say `running`."""
    running = connection.execute("select id from runs where status = 'running'").fetchall()
    return [run_id for (run_id,) in running if not alive(folder, run_id)]


def alive(folder: Path, run_id: str) -> bool:
    """Whether the process that executes a run is alive."""
    try:
        file = os.open(lock_path(folder, run_id), os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        return held(file)
    finally:
        os.close(file)


def _interrupt(connection: sqlite3.Connection, run_id: str) -> None:
    with transaction(connection):
        # An attempt's id begins with its run's: the range is read from the primary key, no index is needed.
        connection.execute(
            "update attempts set status = 'interrupted', error_kind = 'interrupted', error = ?"
            " where id > ? || ':' and id < ? || ';' and status = 'sent'",
            (LOST, run_id, run_id),
        )
        connection.execute(
            "update runs set status = 'interrupted', reason = ? where id = ? and status = 'running'", (LOST, run_id)
        )


def take(path: Path) -> int | None:
    """Open and lock a file that a dead process left; None if it is gone or its process lives. Raises OSError."""
    try:
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        lock(file, wait=False)
        if _still_there(file, path):
            return file
    except BlockingIOError:
        pass  # alive
    os.close(file)
    return None


def _still_there(file: int, path: Path) -> bool:
    """Whether an open file is still the one at its path."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return False
    opened = os.fstat(file)
    return (found.st_dev, found.st_ino) == (opened.st_dev, opened.st_ino)
