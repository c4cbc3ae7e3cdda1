"""Odd machines: git that is broken or distrusted, damaged logs, folders that cannot be written."""

import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from command_line import CommandLine
from faults.running import start
from workspaces import document, write_workspace


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, timeout=60)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A workspace of two commits, the second one checked out without a branch."""
    folder = write_workspace(tmp_path / "w", cases=2)
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "one")
    git(folder, "commit", "-q", "--allow-empty", "-m", "two \x1b[31m evil")
    git(folder, "checkout", "-q", "--detach")
    return folder


def test_a_detached_head_runs_and_reads_other_revisions(repository: Path, evalh: CommandLine) -> None:
    assert evalh(repository, "run").code == 0
    assert evalh(repository, "run", "--prompt", "HEAD~1:triage@v1").code == 0


def test_a_shallow_clone_says_how_to_get_the_rest(repository: Path, evalh: CommandLine, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{repository}", "shallow")

    done = evalh(tmp_path / "shallow", "run", "--prompt", "HEAD~1:triage@v1")

    assert done.code == 2
    assert done.err == (
        "error: git does not know the revision 'HEAD~1'\n"
        "  this clone is shallow: git fetch --unshallow (in CI: fetch-depth: 0)\n"
    )


def _break_head(folder: Path) -> None:
    (folder / ".git/HEAD").write_text("garbage")


def _distrust(folder: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can give a folder away")
    for path in (folder, *folder.rglob("*")):
        os.chown(path, 1234, 1234)


@pytest.mark.parametrize(
    ("spoil", "path", "reason", "hint"),
    [
        (lambda folder: shutil.rmtree(folder / ".git"), None, "this folder is not in a git repository", "git init"),
        (lambda _: None, "/nowhere", "the git command is not on PATH", "install git"),
        (_break_head, None, "the git repository cannot be read", "git fsck"),
        (_distrust, None, "git refuses this repository: detected dubious ownership", "safe.directory"),
    ],
    ids=["none", "no command", "broken", "distrusted"],
)
def test_without_a_usable_git_a_run_works_and_what_needs_it_says_why(
    repository: Path, evalh: CommandLine, spoil: object, path: str | None, reason: str, hint: str
) -> None:
    assert callable(spoil)
    spoil(repository)
    env = {**os.environ, **({"PATH": path} if path else {})}

    assert evalh(repository, "run", env=env).code == 0
    for verb in (["run", "--prompt", "HEAD:v1"], ["prompt", "log", "triage"]):
        done = evalh(repository, *verb, env=env)
        assert done.code == 2
        assert reason in done.err.split("\n")[0]
        assert hint in done.err.split("\n", 1)[1]
    check = evalh(repository, "check", env=env)
    there = (repository / ".git").exists()  # then frozen versions may have been edited unnoticed
    said = check.out if there else check.err
    assert (check.code, reason in said, hint in said) == (4 if there else 0, True, True)


def test_a_repository_that_lost_its_objects_is_told_by_every_verb(repository: Path, evalh: CommandLine) -> None:
    shutil.rmtree(repository / ".git/objects")
    (repository / ".git/objects").mkdir()

    run, doctor = evalh(repository, "run"), evalh(repository, "doctor", "--json")

    assert (run.code, "git fsck" in run.err) == (2, True)
    assert {"wrong": "git"}.items() <= {one["state"]: one["subject"] for one in doctor.document["findings"]}.items()


def _foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("create table theirs (a)")


def _newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("pragma user_version = 99")
        db.execute(f"pragma application_id = {0x65766C68}")


@pytest.mark.parametrize(
    ("spoil", "what", "hint"),
    [
        (lambda path: path.write_bytes(os.urandom(5000)), "not a database, or a damaged one", "move it away"),
        (_foreign, "this database was not made by evalh", "move it away"),
        (_newer, "this store was written by a newer evalh (schema 99", "pip install --upgrade evalh"),
    ],
    ids=["damaged", "foreign", "newer"],
)
def test_a_log_that_is_not_ours_is_left_as_it_is(
    tmp_path: Path, evalh: CommandLine, spoil: object, what: str, hint: str
) -> None:
    folder = write_workspace(tmp_path, cases=2)
    path = folder / ".evalh/evalh.db"
    path.parent.mkdir()
    assert callable(spoil)
    spoil(path)
    before = path.read_bytes()

    for verb in (
        ["run"],
        ["run", "--dry-run"],
        ["show"],
        ["calls"],
        ["sql", "select 1"],
        ["export", "recorded", "-o", "x"],
    ):
        done = evalh(folder, *verb, "--json")
        assert done.code == 2, (verb, done)
        assert done.document["error"]["where"] == str(path)
        assert what in done.document["error"]["what"]
        assert hint in done.document["error"]["hint"]
    doctor = evalh(folder, "doctor", "--json")
    assert (doctor.code, doctor.document["findings"][-1]["state"]) == (2, "wrong")
    assert path.read_bytes() == before


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A folder that another user may enter, as pytest's own are not."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        yield Path(made)


def test_a_folder_that_may_not_be_written_is_told_and_read_all_the_same(evalh: CommandLine, open_to_all: Path) -> None:
    folder = write_workspace(open_to_all / "w", cases=2)
    nobody = {"uid": 65534} if os.getuid() == 0 else {}
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)

    run = evalh(folder, "run", **nobody)
    written = [evalh(folder, *verb, **nobody) for verb in (["prompt", "new", "other"], ["init", "sub"])]
    check = evalh(folder, "check", **nobody)
    folder.chmod(0o755)

    assert (run.code, check.code) == (4, 0)
    assert run.err.startswith(f"error: {folder}/.evalh: cannot create the store: Permission denied\n  make this folder")
    for done, place in zip(written, ("prompts/other/draft.prompt", "sub/"), strict=True):
        assert done.code == 2
        assert done.err.startswith(f"error: {folder}/{place}")
        assert ": cannot write: " in done.err
        assert "Permission denied" in done.err


def test_files_that_may_not_be_read_are_told(evalh: CommandLine, open_to_all: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("a user may read what is theirs")
    folder = write_workspace(open_to_all / "w", cases=2)
    for path in ("evals/triage.yaml", "datasets/triage.jsonl", "prompts/triage/v1.prompt", "evalh.toml"):
        (folder / path).chmod(0o600)
        done = evalh(folder, "run", uid=65534)
        (folder / path).chmod(0o644)

        assert done.code == 2
        assert done.err.startswith(f"error: {path}: cannot be read: Permission denied"), done


def test_processes_that_start_at_once_on_a_new_workspace_all_finish(tmp_path: Path) -> None:
    folder = write_workspace(tmp_path, cases=150)

    started = [start(folder, "run", "--json") for _ in range(3)]
    ended = [(*process.communicate(timeout=60), process.returncode) for process in started]

    for out, err, code in ended:
        run = document(subprocess.CompletedProcess([], code, out, err))["results"][0]
        assert (code, run["samples"], run["good"]) == (0, 150, 129), err
        assert "locked" not in err
    with closing(sqlite3.connect(folder / ".evalh/evalh.db")) as db:
        assert db.execute("select count(*) from runs where status = 'complete'").fetchone() == (3,)
        assert db.execute("select run_id from samples group by 1 having count(*) <> 150").fetchall() == []
        assert db.execute("pragma integrity_check").fetchone() == ("ok",)


def test_init_makes_a_workspace_that_is_sound_and_touches_nothing_that_is_there(
    tmp_path: Path, evalh: CommandLine
) -> None:
    (tmp_path / "README.md").write_text("mine")
    before = evalh.run(["init", str(tmp_path), "--json"])
    assert (before.code, evalh(tmp_path, "check").code) == (0, 0)
    assert evalh(tmp_path, "run", "--dry-run").code == 0
    (tmp_path / "evalh.toml").write_text((tmp_path / "evalh.toml").read_text() + "# mine\n")

    again = evalh.run(["init", str(tmp_path), "--json"])

    assert again.code == 2
    assert again.document["error"]["what"] == "the folder is a workspace already"
    assert (tmp_path / "evalh.toml").read_text().endswith("# mine\n")
    assert (tmp_path / "README.md").read_text() == "mine"


def test_init_overwrites_no_file_and_writes_none_then(tmp_path: Path, evalh: CommandLine) -> None:
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets/sentiment.jsonl").write_text("mine")

    done = evalh.run(["init", str(tmp_path)])

    assert done.code == 2
    assert f"{tmp_path}/datasets/sentiment.jsonl: would overwrite a file" in done.err
    assert "evalh init NAME" in done.err
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["datasets", "sentiment.jsonl"]


def test_init_works_in_a_repository_that_ignores_files_already(tmp_path: Path, evalh: CommandLine) -> None:
    (tmp_path / ".gitignore").write_text("mine\n")

    done = evalh.run(["init", str(tmp_path), "--json"])

    assert done.code == 0
    assert ".gitignore" not in done.document["written"]
    assert (tmp_path / ".gitignore").read_text() == "mine\n"
