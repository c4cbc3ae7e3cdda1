"""Moves the log of changes (WAL) into the database without making the writer wait for the disk.

SQLite's own automatic checkpoint runs inside a commit and syncs two files: on a laptop's disk 20 to 100 ms, in which
no answer becomes durable. So a second connection copies and syncs while commits go on. What they add meanwhile keeps
the WAL from beginning anew; now and then the writer itself copies that little rest between two batches.
"""

import sqlite3
import threading
from contextlib import closing, suppress
from pathlib import Path

from evalh.store.database import connect

_COPY_ROWS = 20_000  # about 15 MB of WAL
_FINISH_ROWS = 80_000
_NET_PAGES = 64_000  # SQLite's own threshold, 256 MB: for rows so large that counting them is not enough
_COPY = "PRAGMA wal_checkpoint(passive)"


class Checkpoints:
    """Decides when to checkpoint; spoken to by the writer's thread only."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._to_copy = 0
        self._to_finish = 0
        self._thread: threading.Thread | None = None
        connection.execute(f"PRAGMA wal_autocheckpoint = {_NET_PAGES}")

    def wrote(self, rows: int) -> None:
        """Count what was committed; copy in the background, and finish, where it is time."""
        self._to_copy += rows
        self._to_finish += rows
        if self._thread is not None and not self._thread.is_alive():
            self._thread = None
            if self._to_finish >= _FINISH_ROWS:
                self._to_finish = 0
                with suppress(sqlite3.Error):  # nothing is lost while the WAL lives; a full disk shows at a commit
                    self._connection.execute(_COPY)
        elif self._to_copy >= _COPY_ROWS and self._thread is None:
            self._to_copy = 0
            self._thread = threading.Thread(target=self._copy, name="evalh-checkpoint", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Wait for a copy that is under way."""
        if self._thread is not None:
            self._thread.join()

    def _copy(self) -> None:
        with suppress(sqlite3.Error), closing(connect(self._path)) as connection:
            connection.execute(_COPY)
