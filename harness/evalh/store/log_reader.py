"""The base of readers of the log: rows, and one error for a log that another program changed.

SQLite does not notice a missing column, or text instead of JSON; turning rows into values does.
"""

import functools
import inspect
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from evalh.store.database import damaged, explained

# Raised when a row that evalh did not write is turned into a value.
_UNREADABLE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, msgspec.MsgspecError)


class LogReader:
    """Reads one log. Every public method of a subclass raises WorkspaceError for a damaged log."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    def __init_subclass__(cls) -> None:
        for name, method in list(vars(cls).items()):
            if inspect.isfunction(method) and not name.startswith("_"):
                setattr(cls, name, _telling(method))

    def close(self) -> None:
        self._connection.close()

    def interrupt(self) -> None:
        """Make reads of other threads end with an error at once."""
        self._connection.interrupt()

    def _rows(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        return list(self._stream(sql, *values))

    def _first(self, sql: str, *values: Any) -> sqlite3.Row | None:
        return next(iter(self._rows(sql, *values)), None)

    def _stream(self, sql: str, *values: Any) -> Iterator[sqlite3.Row]:
        try:
            cursor = self._connection.cursor()
            cursor.row_factory = sqlite3.Row
            yield from cursor.execute(sql, values[0] if values and isinstance(values[0], dict) else values)
        except sqlite3.Error as exc:
            raise explained(exc, self._path) from exc


def _telling(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def called(self: LogReader, *arguments: Any, **named: Any) -> Any:
        with _told(self._path):
            answer = method(self, *arguments, **named)
        return _iterated(answer, self._path) if isinstance(answer, Iterator) else answer

    return called


def _iterated(rows: Iterator[Any], path: Path) -> Iterator[Any]:
    with _told(path):
        yield from rows


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except _UNREADABLE as exc:
        raise damaged(path, f"{type(exc).__name__}: {exc}") from exc
