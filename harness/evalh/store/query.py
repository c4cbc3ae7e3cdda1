"""A user's SQL, which can read everything and change nothing.

Also ids for a shell's completion: the newest first, read without waiting for a lock.
"""

import re
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, TypeAlias

from evalh.core.errors import EvalhError, UsageError, is_typo, nearest
from evalh.store.columns import restored
from evalh.store.database import FILE, connect_reading, explained

Rows: TypeAlias = Iterator[tuple[Any, ...]]

_CHECK_EVERY = 20_000  # steps of SQLite's machine: well under a millisecond
_READS = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE})
_SCHEMA_PRAGMAS = frozenset(
    {"table_info", "table_xinfo", "table_list", "index_list", "index_info", "index_xinfo", "foreign_key_list"}
)
_NOT_THE_QUERYS_FAULT = frozenset(
    {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN}
)


class Query:
    """One statement on a connection of its own, which refuses everything but reading."""

    def __init__(self, path: Path, sql: str, deadline_s: float | None) -> None:
        self._path = path
        self._sql = sql
        self._deadline_s = deadline_s
        self._until = None if deadline_s is None else time.monotonic() + deadline_s
        self._connection = connect_reading(path)
        # Text that another tool wrote may not be UTF-8: show replacements instead of failing the query.
        self._connection.text_factory = lambda data: data.decode("utf-8", "replace")
        self._connection.set_authorizer(_authorize)
        # This also allows Ctrl-C: Python handles signals only between bytecodes, and SQLite can run for hours.
        self._connection.set_progress_handler(self._overdue, _CHECK_EVERY)
        self._cursor = self._connection.cursor()

    def start(self) -> tuple[str, ...]:
        try:
            self._cursor.execute(self._sql)
        except (sqlite3.Error, sqlite3.Warning, ValueError) as exc:
            self._connection.close()
            raise self._refusal(exc) from exc
        if self._cursor.description is None:
            self._connection.close()
            example = "'select * from runs'" if self._path.name == FILE else "--production 'select * from workflows'"
            raise UsageError("this SQL returns no rows", hint=f"evalh sql {example}")
        return tuple(column[0] for column in self._cursor.description)

    def rows(self) -> Rows:
        try:
            yield from self._cursor
        except sqlite3.Error as exc:
            raise self._refusal(exc) from exc
        finally:
            self._connection.close()

    def _overdue(self) -> bool:
        return self._until is not None and time.monotonic() > self._until

    def _refusal(self, exc: Exception) -> EvalhError:
        """Distinguish a wrong query from a damaged file. Raises KeyboardInterrupt if that was the reason."""
        code = getattr(exc, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_INTERRUPT:
            if not self._overdue():
                raise KeyboardInterrupt from exc
            return UsageError(
                f"the query took longer than {self._deadline_s:g} s", hint="narrow the query: where run_id = …"
            )
        if isinstance(exc, sqlite3.Error) and code in _NOT_THE_QUERYS_FAULT:
            return explained(exc, self._path)
        if code in {sqlite3.SQLITE_AUTH, sqlite3.SQLITE_READONLY}:
            return UsageError(f"SQL: {exc}", hint="the log can be read here, not changed: one select")
        return UsageError(f"SQL: {exc}", hint=self._what_there_is(str(exc)))

    @property
    def _page(self) -> str:
        return f"docs/reference/{'log' if self._path.name == FILE else 'production'}.md"

    def _what_there_is(self, told: str) -> str:
        """Name the tables and views, or the columns that an unknown one resembles."""
        with suppress(sqlite3.Error), closing(connect_reading(self._path)) as connection:
            sql = "select name from sqlite_master where type in ('table', 'view') and name not glob '*sqlite_*'"
            tables = sorted(name for (name,) in connection.execute(sql))
            kind, _, name = told.partition(": ")
            if kind == "no such column":
                columns = {
                    table: [row[1] for row in connection.execute(f"pragma table_info({table})")] for table in tables
                }
                if (where := self._column(name.rpartition(".")[2], columns)) is not None:
                    return where
            return f"tables and views: {', '.join(tables)}; columns: {self._page}"
        return f"tables and columns: {self._page}"

    def _column(self, name: str, columns: Mapping[str, Sequence[str]]) -> str | None:
        """Say where a column is, or the one that an unknown name resembles: first in the tables that the query names.

        A column of just this name in another table is meant rather than one that only resembles it.
        """
        words = set(re.findall(r"\w+", self._sql.casefold()))
        named = {table: found for table, found in columns.items() if table.casefold() in words}
        elsewhere = any(name in found for found in columns.values())
        for tables in (named, columns):
            found = nearest(name, sorted({one for names in tables.values() for one in names}))
            if found is None or (tables is named and elsewhere and not is_typo(name, found)):
                continue
            told = f"did you mean {found!r}? It" if found != name else repr(name)
            return f"{told} is in {', '.join(table for table, names in tables.items() if found in names)}"
        return None


def _authorize(action: int, name: str | None, *_: str | None) -> int:
    """Allow reading. Refused: writing, ATTACH (other files), VACUUM INTO, PRAGMAs that change something."""
    # SQLite asks this for `pragma_table_info(…)`, a table that it declares itself. Nothing is written.
    declares = action == sqlite3.SQLITE_UPDATE and name == "sqlite_master"
    reads_schema = (action == sqlite3.SQLITE_PRAGMA and name in _SCHEMA_PRAGMAS) or declares
    return sqlite3.SQLITE_OK if action in _READS or reads_schema else sqlite3.SQLITE_DENY


_WAIT_S = 0.2
_IDS = """select id, what from (
  select id, prompt || ' on ' || model as what, started_at as at, kind not in ('run', 'compare') as made_by_others
    from runs
  union all select id, base || ' · ' || head, at, 0 from comparisons
  union all select id, decision, at, 0 from gates)
where substr(id, 1, length(:begins)) = :begins order by made_by_others, at desc limit :most"""
_CASES = "select distinct id from cases where substr(id, 1, length(:begins)) = :begins order by id limit :most"


def recent_ids(folder: Path, begins: str, most: int) -> Iterator[tuple[str, str]]:
    """Yield the ids of runs, comparisons and gates that begin with the text, and what each is about."""
    yield from ((name, restored(what)) for name, what in _rows(folder, _IDS, begins, most))


def case_ids(folder: Path, begins: str, most: int) -> Iterator[str]:
    """Yield the ids of cases in runs that begin with the text."""
    yield from (restored(name) for (name,) in _rows(folder, _CASES, begins, most))


def _rows(folder: Path, query: str, begins: str, most: int) -> list[tuple[str, ...]]:
    if not (folder / FILE).is_file():
        return []
    try:
        with closing(connect_reading(folder / FILE, _WAIT_S)) as connection:
            return connection.execute(query, {"begins": begins, "most": most}).fetchall()
    except sqlite3.Error:  # an older schema, a lock, no database: no completions
        return []
