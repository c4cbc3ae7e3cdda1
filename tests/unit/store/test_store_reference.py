"""docs/reference/log.md names every table, column and view, nothing else, and its SQL runs."""

import re
from pathlib import Path

import pytest

from evalh.store import Reader
from unit.store.playing import Play

PAGE = Path(__file__).parents[3] / "docs/reference/log.md"
TEXT = PAGE.read_text(encoding="utf-8")
EXAMPLES = [
    statement.strip()
    for block in re.findall(r"```sql\n(.*?)```", TEXT, re.DOTALL)
    for statement in block.split(";\n")
    if statement.strip()
]


def _section(name: str) -> str:
    _, _, rest = TEXT.partition(f"\n### {name}\n")
    return re.split(r"\n##+ ", rest)[0]


def _columns(reader: Reader) -> dict[str, list[str]]:
    _, rows = reader.query(
        "select m.name, c.name from sqlite_master m, pragma_table_info(m.name) c"
        " where m.type in ('table', 'view') and m.name not like '%sqlite%' order by m.rowid, c.cid"
    )
    found: dict[str, list[str]] = {}
    for table, column in rows:
        found.setdefault(table, []).append(column)
    return found


def test_every_table_and_view_has_its_section(reader: Reader) -> None:
    assert sorted(re.findall(r"^### (\w+)$", TEXT, re.MULTILINE)) == sorted(_columns(reader))


def test_every_column_is_described_and_no_other(reader: Reader) -> None:
    for table, columns in _columns(reader).items():
        section = _section(table)
        first_cells = "".join(re.findall(r"^\| (`[^|]*)\|", section, re.MULTILINE)) or re.sub(
            r"\(.*?\)", "", section, flags=re.DOTALL
        )
        assert sorted(re.findall(r"`(\w+)`", first_cells)) == sorted(columns), table


@pytest.mark.parametrize("sql", EXAMPLES, ids=lambda sql: sql.splitlines()[0].strip("- "))
def test_the_examples_run(play: Play, reader: Reader, sql: str) -> None:
    play.start()
    call = play.call()
    play.fail(call)
    play.answer(call)
    play.finish()

    columns, rows = reader.query(sql)

    assert columns
    list(rows)


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 8
