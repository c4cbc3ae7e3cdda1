import signal
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from evalh.core.errors import EvalhError, ExitCode, UsageError
from evalh.store import Reader
from unit.store.playing import Play

FOREVER = "with recursive n(x) as (select 1 union all select x + 1 from n) select max(x) from n"


def test_a_query_gives_columns_and_rows(play: Play, reader: Reader) -> None:
    play.start()
    play.store.flush()

    columns, rows = reader.query("select id, status as now from runs")

    assert columns == ("id", "now")
    assert list(rows) == [("r1", "running")]


@pytest.mark.parametrize(
    "sql",
    [
        "delete from runs",
        "insert into verdicts values ('a', 0, 'g', 1, 'pass', 1, '')",
        "update runs set status = 'complete'",
        "drop table runs",
        "create table x (y)",
        "create temp table x (y)",
        "attach database 'other.db' as other",
        "vacuum",
        "vacuum into 'copy.db'",
        "pragma journal_mode = delete",
        "pragma user_version = 99",
        "pragma writable_schema = on",
        "begin",
        "reindex",
        "update sqlite_master set sql = ''",
    ],
)
def test_only_reading_is_allowed(
    play: Play, reader: Reader, sql: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    play.start()
    play.store.flush()

    with pytest.raises(UsageError) as told:
        reader.query(sql)

    assert told.value.exit_code is ExitCode.USAGE
    assert told.value.hint
    assert {path.name for path in tmp_path.iterdir()} == {".evalh"}
    assert reader.run("r1").status == "running"


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("select * from answers", "no such table: answers"),
        ("selec 1", "syntax error"),
        ("select 1; select 2", "one statement"),
        ("select ?", "binding"),
        ("", "returns no rows"),
        ("-- only a comment", "returns no rows"),
        ("select '\0'", "SQL: "),
        ("select '\ud800'", "SQL: "),
        ("select json('{')", "malformed JSON"),
    ],
)
def test_a_wrong_query_is_told_in_sqlites_words(reader: Reader, sql: str, message: str) -> None:
    with pytest.raises(UsageError) as told:
        list(reader.query(sql)[1])

    assert message in str(told.value)


def test_an_error_in_a_later_row_is_told_too(play: Play, reader: Reader) -> None:
    _, rows = reader.query("select json(value) from (select '1' as value union all select '{')")

    with pytest.raises(UsageError, match="malformed JSON"):
        list(rows)


@pytest.mark.parametrize(
    "sql", ["pragma table_info(runs)", "select name from pragma_table_info('runs')", "explain query plan select 1"]
)
def test_the_schema_can_be_asked_for(reader: Reader, sql: str) -> None:
    _, rows = reader.query(sql)

    assert list(rows)


def test_text_of_another_tool_that_is_no_utf8_is_shown_with_a_replacement(
    play: Play, reader: Reader, folder: Path
) -> None:
    play.start()
    play.store.flush()
    with closing(sqlite3.connect(folder / "evalh.db")) as other:
        other.execute("update runs set owner = cast(x'61ff' as text)")
        other.commit()

    _, rows = reader.query("select owner from runs")

    assert list(rows) == [("a\ufffd",)]


def test_a_query_ends_at_its_deadline(reader: Reader) -> None:
    with pytest.raises(UsageError, match=r"longer than 0\.05 s"):
        list(reader.query(FOREVER, deadline_s=0.05)[1])


def test_ctrl_c_ends_a_query_that_would_run_forever(reader: Reader) -> None:
    threading.Timer(0.1, signal.raise_signal, [signal.SIGINT]).start()

    with pytest.raises(KeyboardInterrupt):
        list(reader.query(FOREVER)[1])


def test_a_reader_that_was_closed_is_an_error_for_people(reader: Reader) -> None:
    reader.close()
    reader.close()

    with pytest.raises(EvalhError):
        reader.runs()


@pytest.mark.parametrize(
    ("sql", "hint"),
    [
        ("select * from answers", "tables and views: attempts, calls, cases,"),
        ("select outcome from samples", "'outcome' is in escalations, step_verdicts, verdicts"),
        ("select stading from samples", "did you mean 'standing'? It is in samples"),
        ("select reson from failures", "did you mean 'reasons'? It is in failures"),
        ("select reason from Failures", "did you mean 'reasons'? It is in failures"),
        ("select s.stading from samples s", "did you mean 'standing'?"),
        ("select qqqq from samples", "tables and views: attempts,"),
    ],
)
def test_a_name_that_is_not_there_is_told_with_those_that_are(reader: Reader, sql: str, hint: str) -> None:
    with pytest.raises(UsageError) as raised:
        reader.query(sql)
    assert (raised.value.hint or "").startswith(hint)
