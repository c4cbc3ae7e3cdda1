"""Which schema a store has, and how it is migrated to this version's.

sqlite_utils applies pending migrations to an existing store. The same functions create a new store without it, in
one transaction: importing it costs 0.05 to 0.1 s before the first request.
"""

import sqlite3
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalh.core.errors import WorkspaceError
from evalh.store.database import APPLICATION, StoreError, connect, explained, transaction

if TYPE_CHECKING:
    from sqlite_utils import Database, Migrations

SCHEMA = 14  # `PRAGMA user_version`: the number of migrations
_SET = "evalh"  # in sqlite_utils' own table
_WAIT_S = 60.0


def ensure_schema(connection: sqlite3.Connection, path: Path) -> None:
    """Bring the database to this version's schema. Raises EvalhError and sqlite3.Error.

    A normal start only checks: sqlite_utils and filelock are imported if a migration is pending.
    """
    if schema_version(connection, path) != SCHEMA:
        _migrate(path)


def schema_version(connection: sqlite3.Connection, path: Path) -> int:
    """Return the schema's number, 0 for a new file. Raises WorkspaceError for one that this version must not touch."""
    # Tables first: another process may be creating them, and commits them together with the mark. The migrations'
    # own table and its index come before ours, in a separate commit.
    query = "select 1 from sqlite_master where tbl_name not like '\\_sqlite\\_migrations%' escape '\\' limit 1"
    holds_tables = connection.execute(query).fetchone() is not None
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application not in {0, APPLICATION} or (application == 0 and holds_tables):
        raise WorkspaceError(
            "this database was not made by evalh", where=str(path), hint="move it away; evalh run makes a new one"
        )
    if version > SCHEMA:
        raise WorkspaceError(
            f"this store was written by a newer evalh (schema {version}; this one knows {SCHEMA})",
            where=str(path),
            hint="pip install --upgrade evalh",
        )
    return int(version)


def _migrate(path: Path) -> None:
    """Apply pending migrations. Processes that start at the same time take turns. Raises EvalhError."""
    from filelock import FileLock, Timeout

    try:
        with FileLock(path.parent / "migrate.lock", timeout=_WAIT_S), closing(connect(path)) as connection:
            _apply(connection, path)
    except Timeout as exc:
        raise StoreError(
            f"another evalh has been changing the schema for {_WAIT_S:.0f} s", where=str(path), hint="wait, run again"
        ) from exc
    except OSError as exc:
        raise StoreError(f"cannot lock the store: {exc.strerror}", where=str(path.parent)) from exc
    except sqlite3.Error as exc:
        raise explained(exc, path) from exc


def _apply(connection: sqlite3.Connection, path: Path) -> None:
    if schema_version(connection, path) == SCHEMA:
        return  # another process did it while we waited for the lock
    connection.execute("PRAGMA journal_mode = wal")
    if connection.execute("select 1 from sqlite_master").fetchone() is None:
        _create(connection)
        return
    database, history = library(connection)
    history.apply(database)
    # Set last: a process that reads the number without the lock finds everything in place.
    connection.execute(f"PRAGMA user_version = {SCHEMA}")


def library(connection: sqlite3.Connection) -> tuple["Database", "Migrations"]:
    """Return the database and its history as objects of sqlite_utils.

    It imports numpy and pandas if they are installed, to know their types: 0.1 s before the first request, for
    values that our migrations do not contain. So it is imported without them.
    """
    from evalh.store.migrations import MIGRATIONS

    types_only: dict[str, Any] = {name: None for name in ("numpy", "pandas") if name not in sys.modules}
    sys.modules.update(types_only)  # Python's own way to say "not installed"
    try:
        from sqlite_utils import Database, Migrations
    finally:
        for name in types_only:
            del sys.modules[name]
    history = Migrations(_SET)
    for step in MIGRATIONS:
        history()(step)
    return Database(connection, execute_plugins=False), history


def _create(connection: sqlite3.Connection) -> None:
    """Create the tables in an empty database, all or nothing."""
    from evalh.store.migrations import MIGRATIONS

    with transaction(connection):
        for statement in _APPLIED:
            connection.execute(statement)
        now = str(datetime.now(UTC))
        for step in MIGRATIONS:
            step(connection)
            row = (_SET, step.__name__, now)
            connection.execute("insert into _sqlite_migrations (migration_set, name, applied_at) values (?, ?, ?)", row)
        connection.execute(f"PRAGMA user_version = {SCHEMA}")


# As sqlite_utils makes it; a test checks that both ways lead to the same schema.
_APPLIED = (
    """CREATE TABLE "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
)""",
    """CREATE UNIQUE INDEX "idx__sqlite_migrations_migration_set_name"
    ON "_sqlite_migrations" ("migration_set", "name")""",
)
