import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from evalh.core.errors import ExitCode, NotFound, WorkspaceError
from evalh.store import StoreError, open_reader, open_store
from evalh.store.schema import SCHEMA, library
from unit.store.playing import FixedClock

SCHEMA_OF = "select type, name, tbl_name, sql from sqlite_master order by rowid"
DOORS = "import sys; from pathlib import Path; from evalh.api.event_loop import SystemClock; from evalh.store import *;"


def _open(folder: Path) -> None:
    open_store(folder, clock=FixedClock()).close()


def test_the_schemas_number_is_the_number_of_migrations() -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        database, history = library(connection)

        assert len(history.pending(database)) == SCHEMA


def test_a_new_store_is_made_with_its_folder_and_kept_out_of_git(tmp_path: Path) -> None:
    _open(tmp_path / "deep" / ".evalh")

    assert (tmp_path / "deep/.evalh/evalh.db").exists()
    assert (tmp_path / "deep/.evalh/.gitignore").read_text() == "*\n"


def test_a_folder_with_a_persons_own_files_stays_visible_to_git(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")

    _open(tmp_path)

    assert (tmp_path / "evalh.db").exists()
    assert not (tmp_path / ".gitignore").exists()


def test_a_second_start_imports_neither_sqlite_utils_nor_filelock(folder: Path) -> None:
    _open(folder)
    program = (
        f"{DOORS} open_store(Path(sys.argv[1]), clock=SystemClock()).close(); open_reader(Path(sys.argv[1])).close();"
        "print([name for name in ('sqlite_utils', 'filelock', 'numpy') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", program, folder], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_an_older_store_is_brought_up_to_date_and_keeps_its_rows(folder: Path) -> None:
    folder.mkdir()
    with closing(sqlite3.connect(folder / "evalh.db")) as connection:
        database, history = library(connection)
        history.apply(database, stop_before="m002_questions")
        connection.execute("PRAGMA user_version = 1")
        connection.execute("insert into versions values ('triage@v1', 'sha256:p', '{}', '2026-01-01T00:00:00.000Z')")
        connection.commit()

    reader = open_reader(folder)

    _, rows = reader.query("select prompt, (select count(*) from failures) from versions")
    assert list(rows) == [("triage@v1", 0)]
    reader.close()


def test_a_migration_that_was_cut_off_is_completed(folder: Path) -> None:
    """The migrations are in, the number is not: a crash between the two."""
    _open(folder)
    with closing(sqlite3.connect(folder / "evalh.db")) as connection:
        connection.execute("PRAGMA user_version = 0")

    _open(folder)

    with closing(sqlite3.connect(folder / "evalh.db")) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA,)


def test_a_newer_evalhs_store_is_refused_and_left_alone(folder: Path) -> None:
    _open(folder)
    database = folder / "evalh.db"
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA + 7}")
    before = database.read_bytes()

    for opening in (lambda: open_store(folder, clock=FixedClock()), lambda: open_reader(folder)):
        with pytest.raises(WorkspaceError, match="newer evalh") as told:
            opening()
        assert told.value.exit_code is ExitCode.USAGE
        assert "upgrade" in (told.value.hint or "")

    assert database.read_bytes() == before


@pytest.mark.parametrize("content", [b"this is not a database" * 100, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_file_that_is_no_database_is_refused_and_left_alone(folder: Path, content: bytes) -> None:
    folder.mkdir()
    (folder / "evalh.db").write_bytes(content)

    for opening in (lambda: open_store(folder, clock=FixedClock()), lambda: open_reader(folder)):
        with pytest.raises(WorkspaceError, match="not a database") as told:
            opening()
        assert told.value.where == str(folder / "evalh.db")

    assert (folder / "evalh.db").read_bytes() == content


def test_someone_elses_database_is_refused_and_left_alone(folder: Path) -> None:
    folder.mkdir()
    with closing(sqlite3.connect(folder / "evalh.db")) as connection:
        connection.execute("create table customers (name text)")
    before = (folder / "evalh.db").read_bytes()

    for opening in (lambda: open_store(folder, clock=FixedClock()), lambda: open_reader(folder)):
        with pytest.raises(WorkspaceError, match="not made by evalh"):
            opening()

    assert (folder / "evalh.db").read_bytes() == before


def test_an_empty_file_becomes_a_store(folder: Path) -> None:
    folder.mkdir()
    (folder / "evalh.db").touch()

    _open(folder)


def test_reading_where_nothing_was_run_says_what_to_type(folder: Path) -> None:
    with pytest.raises(NotFound, match="no runs yet") as told:
        open_reader(folder)

    assert told.value.hint == "evalh run"
    assert not folder.exists(), "asking makes no files"


def test_a_folder_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / ".evalh").write_text("")

    with pytest.raises(StoreError, match="cannot create the store"):
        _open(tmp_path / ".evalh")


def test_eight_first_starts_at_once_all_succeed(folder: Path) -> None:
    program = f"{DOORS} open_store(Path(sys.argv[1]), clock=SystemClock()).close()"
    starts = [
        subprocess.Popen([sys.executable, "-c", program, folder], stderr=subprocess.PIPE, text=True) for _ in range(8)
    ]

    for start in starts:
        _, problem = start.communicate(timeout=60)
        assert (start.returncode, problem) == (0, "")
    with closing(sqlite3.connect(folder / "evalh.db")) as connection:
        assert connection.execute("select count(*) from _sqlite_migrations").fetchone() == (SCHEMA,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_first_start_loads_neither_sqlite_utils_nor_numpy(folder: Path) -> None:
    program = (
        f"{DOORS} open_store(Path(sys.argv[1]), clock=SystemClock()).close();"
        "print([name for name in ('sqlite_utils', 'numpy', 'pandas', 'dateutil') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", program, folder / "new"], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"


def test_an_older_stores_migrations_leave_numpy_as_it_was(folder: Path) -> None:
    folder.mkdir()
    with closing(sqlite3.connect(folder / "evalh.db")) as connection:
        connection.execute("create table _sqlite_migrations_of_another (x)")
    program = (
        f"{DOORS} open_store(Path(sys.argv[1]), clock=SystemClock()).close();"
        "assert 'sqlite_utils' in sys.modules and 'numpy' not in sys.modules;"
        "import numpy; print(numpy.array([1, 2]).sum())"
    )

    done = subprocess.run([sys.executable, "-c", program, folder], capture_output=True, text=True, check=True)

    assert done.stdout == "3\n"


def test_a_new_store_has_the_schema_that_the_library_makes(folder: Path) -> None:
    _open(folder)
    with closing(sqlite3.connect(folder / "evalh.db")) as connection:
        made = connection.execute(SCHEMA_OF).fetchall()
        applied = connection.execute("select id, migration_set, name from _sqlite_migrations").fetchall()

    with closing(sqlite3.connect(":memory:")) as connection:
        database, history = library(connection)
        history.apply(database)
        assert made == connection.execute(SCHEMA_OF).fetchall()
        assert applied == connection.execute("select id, migration_set, name from _sqlite_migrations").fetchall()


def test_a_store_that_another_evalh_is_making_is_not_a_foreign_one(folder: Path) -> None:
    """Between the library's own table, which is committed first, and ours."""
    folder.mkdir(exist_ok=True)
    with closing(sqlite3.connect(folder / "evalh.db")) as connection:
        database, history = library(connection)
        history.ensure_migrations_table(database)
        connection.commit()

    with closing(open_store(folder, clock=FixedClock())):
        pass
