"""Ids for a shell's completion: the newest first, read without waiting for anybody."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from evalh.store.columns import restored
from evalh.store.database import FILE, connect_reading

_WAIT_S = 0.2
_IDS = """select id, what from (
  select id, prompt || ' on ' || model as what, started_at as at from runs
  union all select id, base || ' · ' || head, at from comparisons
  union all select id, decision, at from gates)
where substr(id, 1, length(:begins)) = :begins order by at desc limit :most"""
_CASES = "select distinct id from cases where substr(id, 1, length(:begins)) = :begins order by id limit :most"


def recent_ids(folder: Path, begins: str, most: int) -> Iterator[tuple[str, str]]:
    """Yield the ids of runs, comparisons and gates that begin so, and what each is about."""
    yield from ((name, restored(what)) for name, what in _rows(folder, _IDS, begins, most))


def case_ids(folder: Path, begins: str, most: int) -> Iterator[str]:
    """Yield the ids of cases that were run and begin so."""
    yield from (restored(name) for (name,) in _rows(folder, _CASES, begins, most))


def _rows(folder: Path, query: str, begins: str, most: int) -> list[tuple[str, ...]]:
    if not (folder / FILE).is_file():
        return []
    try:
        with closing(connect_reading(folder / FILE, _WAIT_S)) as connection:
            return connection.execute(query, {"begins": begins, "most": most}).fetchall()
    except sqlite3.Error:  # an older schema, a lock, no database: there is nothing to offer
        return []
