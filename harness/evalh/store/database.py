"""The database file: its path, opening it, transactions, and the meaning of its errors."""

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from evalh.core.errors import CannotMeasure, EvalhError, NotFound, WorkspaceError
from evalh.store.batch import Statement
from evalh.store.rows import together

FILE = "evalh.db"
LIVE = "live"  # the folder of the live runs' locks
APPLICATION = 0x65766C68  # `PRAGMA application_id`: "evlh"
BUSY_TIMEOUT_S = 15.0
SLOW = "the log's disk is slow"
_PASSES = {  # temporary: the writer tries again
    sqlite3.SQLITE_BUSY: "the log is locked by another process",
    sqlite3.SQLITE_LOCKED: "the log is locked by another process",
    sqlite3.SQLITE_FULL: "the log's disk is full",
    sqlite3.SQLITE_IOERR: "the log's disk fails",
}


_WHERE = "EVALH_STORE names the folder of the log; without it, that is .evalh in the workspace"


class StoreError(CannotMeasure):
    """The store cannot be written or read now: a full disk, a lock, a read-only folder."""


def existing(folder: Path) -> Path:
    """Return the database's path. Raises NotFound if there is none, StoreError if the folder cannot be read."""
    path = folder / FILE
    try:
        if path.exists():
            return path
    except OSError as exc:
        raise StoreError(f"the folder of the log cannot be read: {exc.strerror}", where=str(path), hint=_WHERE) from exc
    raise NotFound("no runs yet", where=str(path), hint="evalh run")


def prepare(folder: Path) -> Path:
    """Create the store's folder, kept out of git, and return the database's path. Raises StoreError.

    A folder with other files gets no `.gitignore`: EVALH_STORE may name any folder.
    """
    try:
        ours = not folder.exists() or not any(folder.iterdir())
        (folder / LIVE).mkdir(parents=True, exist_ok=True)
        if ours:
            (folder / ".gitignore").write_text("*\n", encoding="utf-8")
    except OSError as exc:
        raise StoreError(
            f"cannot create the store: {exc.strerror}", where=str(folder), hint="make this folder writable"
        ) from exc
    return folder / FILE


def connect(path: Path, busy_timeout_s: float = BUSY_TIMEOUT_S) -> sqlite3.Connection:
    """Open the database for writing; create it if there is none. Raises sqlite3.Error.

    Every statement commits by itself unless a transaction was begun.
    """
    connection = _connect(path, "mode=rwc", busy_timeout_s)
    connection.execute("PRAGMA synchronous = normal")
    connection.execute(
        "PRAGMA secure_delete = off"
    )  # Debian's SQLite turns it on: every changed page would be zeroed first
    return connection


def connect_reading(path: Path, busy_timeout_s: float = BUSY_TIMEOUT_S) -> sqlite3.Connection:
    """Open an existing database for reading. Raises sqlite3.Error."""
    connection = _connect(path, "mode=ro", busy_timeout_s)
    try:
        connection.execute("select 1 from sqlite_master").fetchone()
    except sqlite3.OperationalError:
        connection.close()
        # WAL creates files beside the database. If the folder forbids that, no other process writes either.
        if path.with_name(f"{path.name}-wal").exists() or os.access(path.parent, os.W_OK):
            raise
        connection = _connect(path, "mode=ro&immutable=1", busy_timeout_s)
    connection.execute("PRAGMA query_only = on")
    return connection


def _connect(path: Path, mode: str, busy_timeout_s: float) -> sqlite3.Connection:
    # One connection is used by one thread at a time, though not always by the thread that opened it.
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?{mode}",
        uri=True,
        timeout=busy_timeout_s,
        isolation_level=None,
        check_same_thread=False,
    )


def why_blocked(exc: sqlite3.Error) -> str | None:
    """Say why the log cannot be written now; None if waiting would not help."""
    return _PASSES.get(_code(exc))


def _code(exc: sqlite3.Error) -> int:
    return int(getattr(exc, "sqlite_errorcode", 0)) & 0xFF


def explained(exc: sqlite3.Error, path: Path) -> EvalhError:
    """Say what SQLite's error means, and what to do next."""
    where = str(path)
    match _code(exc):
        case sqlite3.SQLITE_NOTADB | sqlite3.SQLITE_CORRUPT:
            hint = f"move it away ({made_again(path)}), or rescue what is in it: sqlite3 FILE .recover"
            return WorkspaceError(f"not a database, or a damaged one ({exc})", where=where, hint=hint)
        case sqlite3.SQLITE_FULL:
            hint = "make room and run the same command again: what is stored is not asked twice"
            return StoreError("the disk is full; what was stored before is kept", where=where, hint=hint)
        case sqlite3.SQLITE_IOERR:
            hint = "make room or repair the disk, and run the same command again: what is stored is not asked twice"
            return StoreError(f"the disk failed ({exc}); what was stored before is kept", where=where, hint=hint)
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            hint = "close the program that holds it (an SQLite shell with an open transaction?) and run again"
            return StoreError("another program keeps the database locked", where=where, hint=hint)
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            hint = f"make {path.parent} and what is in it readable and writable"
            return StoreError(f"cannot open the database ({exc})", where=where, hint=hint)
        case _:
            return _changed(exc, path)


def _changed(exc: sqlite3.Error, path: Path) -> EvalhError:
    if "no such" not in str(exc):
        return StoreError(f"the database failed: {exc}", where=str(path), hint="evalh doctor")
    return damaged(path, str(exc))


def damaged(path: Path, why: str) -> WorkspaceError:
    """Return the error of a file that does not hold what it should."""
    log = path.name == FILE
    hint = f"move it away ({made_again(path)}); `evalh sql{'' if log else ' --production'}` still reads what is in it"
    what = f"{'the log' if log else 'the file'} is damaged, or another program changed it ({why})"
    return WorkspaceError(what, where=str(path), hint=hint)


def made_again(path: Path) -> str:
    """Say what makes a new file in place of one that is moved away."""
    return "evalh run makes a new one" if path.name == FILE else "the next workflow makes a new one"


def stamp(folder: Path) -> object:
    """Return a stamp that changes with every write: the times and sizes of the store's files."""
    found = {}
    for name in (FILE, f"{FILE}-wal"):
        with suppress(OSError):
            state = (folder / name).stat()
            found[name] = (state.st_ino, state.st_mtime_ns, state.st_size)
    return found


def purge(connection: sqlite3.Connection, path: Path) -> None:
    """Write the file again, so that nothing of what was deleted is left in it or beside it.

    Raises StoreError where another program still reads what was there before, and sqlite3.Error.
    """
    connection.execute("vacuum")
    busy, *_ = connection.execute("PRAGMA wal_checkpoint(truncate)").fetchone()
    if busy:
        what = "another program reads the database: bytes of what was deleted are still there"
        raise StoreError(what, where=str(path), hint="close it, and run the same command again")


REFUSALS = (
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    sqlite3.DataError,
    OverflowError,
    UnicodeError,
)
"""Raised by SQLite for a value that no column can hold; the transaction continues."""


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Lock the log for writing; all statements inside are stored, or none. Raises sqlite3.Error."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def transact(
    connection: sqlite3.Connection, statements: Iterable[Statement], refused: list[Exception] | None = None
) -> None:
    """Execute in one transaction. With `refused`, collect what cannot be stored and store the rest.

    Raises sqlite3.Error; without `refused` one of REFUSALS too.
    """
    with transaction(connection):
        for sql, rows in statements:
            try:
                for statement, parameters in together(sql, rows) if refused is None else ((sql, rows),):
                    connection.executemany(statement, parameters)
            except REFUSALS as exc:
                if refused is None:
                    raise
                refused.append(exc)
