"""Rows that could not be written to the log yet, in a file beside it: `.evalh/waiting/<name>.jsonl`.

A line contains one transaction: our statements with their rows. It is written as soon as the
log cannot be written, removed when all is stored, and stored at the next start if the process died before.
Storing it twice does no harm: an existing row with the same id is not changed.
"""

import json
import os
import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from evalh.store.batch import STATEMENTS, Statement
from evalh.store.database import LIVE, StoreError, transact
from evalh.store.liveness import lost, settle, take
from evalh.store.locking import lock

FOLDER = "waiting"


class Waiting:
    """The file of one process, used by the writer's thread. It exists only while the log refuses."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: int | None = None
        self.path: Path | None = None  # None while nothing waits

    def keep(self, statements: Sequence[Statement]) -> None:
        """Append one transaction. Raises OSError."""
        if self._file is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            path = self._folder / f"{secrets.token_hex(8)}.jsonl"
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
            self.path = path
            lock(self._file)  # while it is locked, its process is alive and will store it itself
        # A plugin's bad value must not lose the answers beside it.
        line = memoryview(json.dumps(statements, default=repr).encode() + b"\n")
        whole = os.fstat(self._file).st_size
        try:
            while line:
                line = line[os.write(self._file, line) :]
        except OSError:
            os.ftruncate(self._file, whole)  # half a line would make the next one unreadable
            raise

    def discard(self) -> None:
        """Remove the file: everything is in the log."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)
        self.leave()
        self.path = None

    def leave(self) -> None:
        """Close the file; the next start reads it."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def left_behind(connection: sqlite3.Connection, folder: Path) -> bool:
    """Whether `recover` may have something to do."""
    return any((folder / FOLDER).glob("*.jsonl")) or bool(lost(connection, folder / LIVE))


def recover(connection: sqlite3.Connection, folder: Path) -> None:
    """Store what dead processes could not, and close their runs. Raises sqlite3.Error, OSError, StoreError."""
    for path in sorted((folder / FOLDER).glob("*.jsonl")):
        if (file := take(path)) is not None:
            try:
                transact(connection, list(_statements(path)), refused=[])
                path.unlink(missing_ok=True)
            finally:
                os.close(file)
    settle(connection, folder / LIVE)


def _statements(path: Path) -> Iterator[Statement]:
    """Yield every statement, one for each row: an existing row must not stop its neighbours."""
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines[:-1], 1):  # a last line without its end was cut off by a kill
        try:
            batch = [(sql, [row]) for sql, rows in json.loads(line) for row in rows]
        except (ValueError, TypeError):
            batch = [("", [])]
        if not STATEMENTS.issuperset(sql for sql, _ in batch):
            raise StoreError(
                "answers wait here that this evalh cannot read",
                where=f"{path}:{number}",
                hint="start the version of evalh that wrote them once, or move the file away",
            )
        yield from batch
