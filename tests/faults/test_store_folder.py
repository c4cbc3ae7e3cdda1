"""`EVALH_STORE`: the log is where it says, for every command."""

import os
import shutil
from pathlib import Path

import pytest

from evalh.api.viewing import LiveLog
from evalh.api.workspace import Workspace
from workspaces import evalh, write_workspace


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "EVALH_STORE": str(tmp_path / "elsewhere" / "log")}


def test_every_command_writes_and_reads_the_log_where_the_variable_says(tmp_path: Path, env: dict[str, str]) -> None:
    folder = write_workspace(tmp_path / "workspace", cases=5)

    first = evalh(folder, "run", env=env)
    again = evalh(folder, "run", "--json", env=env)
    read = [evalh(folder, *verb, env=env) for verb in (["show"], ["calls"], ["sql", "select id from runs"], ["report"])]
    doctor = evalh(folder, "doctor", env=env)

    assert first.returncode == 0, first.stderr
    assert again.returncode == 0, again.stderr
    assert [done.returncode for done in read] == [0, 0, 0, 0], [done.stderr for done in read]
    assert (tmp_path / "elsewhere/log/evalh.db").is_file()
    assert (tmp_path / "elsewhere/log/live").is_dir()
    assert not (folder / ".evalh").exists()
    assert str(tmp_path / "elsewhere/log") in doctor.stdout


def test_a_dry_run_counts_what_that_log_answers(tmp_path: Path, env: dict[str, str]) -> None:
    folder = write_workspace(tmp_path / "workspace", cases=5)
    evalh(folder, "run", env=env)

    known, unknown = evalh(folder, "run", "--dry-run", env=env), evalh(folder, "run", "--dry-run")

    assert known.stdout != unknown.stdout
    assert not (folder / ".evalh").exists()


def test_the_viewer_looks_there_too(tmp_path: Path, env: dict[str, str]) -> None:
    folder = write_workspace(tmp_path / "workspace", cases=5)
    evalh(folder, "run", env=env)
    viewing = LiveLog(Workspace.open(folder, env=env))
    before = viewing.stamp()
    runs = len(viewing.overview().runs)

    shutil.rmtree(tmp_path / "elsewhere")

    assert runs == 1
    assert viewing.stamp() != before


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, env: dict[str, str]) -> None:
    folder = write_workspace(tmp_path / "workspace", cases=5)
    (tmp_path / "elsewhere").write_text("a file")

    done = evalh(folder, "run", env=env)

    assert done.returncode == 4
    assert f"{tmp_path}/elsewhere/log: cannot create the store" in done.stderr


def test_an_empty_variable_names_no_folder(tmp_path: Path) -> None:
    folder = write_workspace(tmp_path / "workspace", cases=5)

    evalh(folder, "run", env={**os.environ, "EVALH_STORE": ""})

    assert (folder / ".evalh/evalh.db").is_file()
