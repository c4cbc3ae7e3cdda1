"""Which runs are alive, told by a lock that the operating system lets go of when a process dies, however it dies.

A process id would lie: ids are used again, and mean nothing in a container that shares the folder.
"""

import os
import sqlite3
from contextlib import suppress
from pathlib import Path

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
            if still_there(self._file, path):
                return
            os.close(self._file)  # swept away between our open and our lock

    def release(self) -> None:
        """Let go, and leave no file behind."""
        with suppress(PermissionError):  # on Windows no open file can be removed: the next start sweeps it away
            self._path.unlink(missing_ok=True)
        os.close(self._file)


def lock_path(folder: Path, run_id: str) -> Path:
    """Return where a run's lock lies; `folder` holds the locks of all live runs."""
    return folder / f"{run_id}.lock"


def settle(connection: sqlite3.Connection, folder: Path) -> None:
    """Close the runs whose process is gone: they and what they had in flight become `interrupted`.

    Raises sqlite3.Error and OSError. Harmless where several processes do it at once.
    """
    running = {run_id for (run_id,) in connection.execute("select id from runs where status = 'running'")}
    for run_id in running:
        if not _alive(lock_path(folder, run_id)):
            _interrupt(connection, run_id)
    for path in folder.glob("*.lock"):
        _sweep(path)


def alive(folder: Path, run_id: str) -> bool:
    """Tell whether the process that executes a run lives."""
    return _alive(lock_path(folder, run_id))


def any_lost(connection: sqlite3.Connection, folder: Path) -> bool:
    """Tell whether `settle` has work."""
    running = connection.execute("select id from runs where status = 'running'").fetchall()
    return any(not _alive(lock_path(folder, run_id)) for (run_id,) in running)


def _interrupt(connection: sqlite3.Connection, run_id: str) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        # An attempt's id begins with its run's: the range is read from the primary key, no index is needed.
        connection.execute(
            "update attempts set status = 'interrupted', error_kind = 'interrupted', error = ?"
            " where id > ? || ':' and id < ? || ';' and status = 'sent'",
            (LOST, run_id, run_id),
        )
        connection.execute(
            "update runs set status = 'interrupted', reason = ? where id = ? and status = 'running'", (LOST, run_id)
        )
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _alive(path: Path) -> bool:
    try:
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        return held(file)
    finally:
        os.close(file)


def _sweep(path: Path) -> None:
    """Remove a lock file that nobody holds."""
    try:
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return
    try:
        lock(file, wait=False)
        if still_there(file, path):
            with suppress(PermissionError):
                path.unlink(missing_ok=True)
    except BlockingIOError:
        return  # alive
    finally:
        os.close(file)


def still_there(file: int, path: Path) -> bool:
    """Whether an open file is still the one at its path."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return False
    held = os.fstat(file)
    return (found.st_dev, found.st_ino) == (held.st_dev, held.st_ino)
