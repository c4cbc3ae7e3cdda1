import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from evalh.store import Reader, SqliteStore, open_reader, open_store
from unit.store.playing import FixedClock, Play


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / ".evalh"


@pytest.fixture
def store(folder: Path) -> Iterator[SqliteStore]:
    opened = open_store(folder, clock=FixedClock(), gather_s=0.001)
    yield opened
    opened.close()


@pytest.fixture
def play(store: SqliteStore) -> Play:
    return Play(store)


@pytest.fixture
def playing(store: SqliteStore) -> Callable[[str], Play]:
    """Further runs on the same store."""
    return lambda run_id: Play(store, run_id, at=1_785_300_000.0)


@pytest.fixture
def reader(store: SqliteStore, folder: Path) -> Iterator[Reader]:
    opened = open_reader(folder)
    yield opened
    opened.close()


@pytest.fixture
def rows(store: SqliteStore, folder: Path) -> Callable[..., list[tuple[Any, ...]]]:
    """What a person's SQL sees, on a connection of its own."""

    def ask(sql: str, *values: Any) -> list[tuple[Any, ...]]:
        store.flush()
        with closing(sqlite3.connect(folder / "evalh.db")) as connection:
            return connection.execute(sql, values).fetchall()

    return ask
