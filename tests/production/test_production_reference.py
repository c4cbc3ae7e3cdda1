"""docs/reference/production.md names every table, view and column of `production.db`, in order, and its SQL runs."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from evalh.store.production.schema import ensure_schema

PAGE = Path(__file__).parents[2] / "docs/reference/production.md"
TEXT = PAGE.read_text(encoding="utf-8")
INTERNAL = {"notes", "spool"}  # named on the page, without their columns
EXAMPLES = [
    statement.strip()
    for block in re.findall(r"```sql\n(.*?)```", TEXT, re.DOTALL)
    for statement in block.split(";\n")
    if statement.strip()
]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    path = tmp_path / "production.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        ensure_schema(connection, path)
        yield connection


def columns(database: sqlite3.Connection, kind: str) -> dict[str, list[str]]:
    names = [name for (name,) in database.execute("select name from sqlite_master where type = ?", (kind,))]
    return {name: [row[1] for row in database.execute(f"pragma table_info({name})")] for name in names}


def test_every_table_has_its_section_and_its_columns(database: sqlite3.Connection) -> None:
    sections = re.findall(r"^## `(\w+)`\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    described = {name: re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) for name, section in sections}

    there = columns(database, "table")
    assert described == {name: found for name, found in there.items() if name not in INTERNAL}
    assert set(there) - set(described) == INTERNAL
    assert "\n## `notes`, `spool`\n" in TEXT


def test_every_view_has_its_line_and_its_columns(database: sqlite3.Connection) -> None:
    _, _, section = TEXT.partition("\n## Views\n")
    lines = re.findall(r"^\| `(\w+)` \| (.*) \|$", section, re.MULTILINE)
    described = {name: sorted(re.findall(r"`(\w+)`", re.sub(r"\([^)]*\)", "", line))) for name, line in lines}

    assert described == {name: sorted(found) for name, found in columns(database, "view").items()}


@pytest.mark.parametrize("sql", EXAMPLES, ids=lambda sql: sql.splitlines()[0].strip("- "))
def test_the_examples_run(database: sqlite3.Connection, sql: str) -> None:
    assert database.execute(sql).description


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 5
