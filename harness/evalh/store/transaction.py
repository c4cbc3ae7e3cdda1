"""One transaction: all of what is handed over, or nothing."""

import sqlite3
from collections.abc import Iterable

from evalh.store.batch import Statement
from evalh.store.rows import together

REFUSALS = (
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    sqlite3.DataError,
    OverflowError,
    UnicodeError,
)
"""What SQLite says of a value that no column can hold; the transaction goes on."""


def transact(
    connection: sqlite3.Connection, statements: Iterable[Statement], refused: list[Exception] | None = None
) -> None:
    """Execute in one transaction; with `refused`, collect what cannot be stored and store the rest.

    Raises sqlite3.Error; without `refused` one of REFUSALS too.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        for sql, rows in statements:
            try:
                for statement, parameters in together(sql, rows) if refused is None else ((sql, rows),):
                    connection.executemany(statement, parameters)
            except REFUSALS as exc:
                if refused is None:
                    raise
                refused.append(exc)
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
