"""A log that another program changed, cut or wrote over: every verb that reads it says so, and none calls it a bug."""

import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from command_line import CommandLine
from workspaces import write_workspace

VERBS = [
    ["run"],
    ["compare", "v1", "v2"],
    ["power"],
    ["show"],
    ["show", "t-0001"],
    ["calls", "--errors"],
    ["explain"],
    ["cost"],
    ["report", "-o", "x.html"],
    ["report", "--format", "csv"],
    ["report", "--figure", "tradeoff.svg"],
    ["sql", "select * from runs"],
    ["export", "recorded", "-o", "x.jsonl"],
    ["export", "otel", "--endpoint", "http://127.0.0.1:9"],
    ["baseline", "accept", "v1"],
    ["label", "triage", "--author", "ada", "--json"],
    ["calibrate", "equals"],
    ["doctor"],
    ["check"],
    ["grader", "test", "triage", "equals"],
]
TABLES = ("runs", "versions", "cases", "samples", "calls", "attempts", "verdicts", "decisions", "comparisons", "gates")
Damage = Callable[[Path], object]


def changed(statement: str) -> Damage:
    def change(file: Path) -> None:
        with closing(sqlite3.connect(file)) as db:
            db.execute("pragma foreign_keys = off")
            db.execute("pragma legacy_alter_table = on")
            db.execute(statement)
            db.commit()
            db.execute("pragma wal_checkpoint(truncate)")

    return change


def flipped(seed: int) -> Damage:
    def flip(file: Path) -> None:
        held, rng = bytearray(file.read_bytes()), random.Random(seed)
        for _ in range(300):
            held[rng.randrange(100, len(held))] = rng.randrange(256)
        file.write_bytes(held)

    return flip


DAMAGES: dict[str, Damage] = {
    **{f"no table {name}": changed(f"drop table {name}") for name in TABLES},
    "a column of samples is gone": changed("alter table samples rename column trial to other"),
    "a column of calls is gone": changed("alter table calls rename column case_id to other"),
    "a column of attempts is gone": changed("alter table attempts rename column run_id to other"),
    "a column of verdicts is gone": changed("alter table verdicts rename column outcome to other"),
    "a summary is not JSON": changed("update runs set summary = '{cut'"),
    "graders are not JSON": changed("update runs set graders = '{cut'"),
    "a standing is none": changed("update samples set standing = 'fine'"),
    "an outcome is none": changed("update verdicts set outcome = 'fine'"),
    "garbage": lambda file: file.write_bytes(random.Random(1).randbytes(50_000)),
    "empty": lambda file: file.write_bytes(b""),
    "a folder": lambda file: (file.unlink(), file.mkdir()),
    **{
        f"cut after {size}": lambda file, size=size: file.write_bytes(file.read_bytes()[:size])
        for size in (100, 4096, 5000, 20_000)
    },
    **{f"bytes flipped, {seed}": flipped(seed) for seed in range(3)},
}


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory, evalh: CommandLine) -> Path:
    """A workspace with runs and a comparison, its log in one file."""
    folder = write_workspace(tmp_path_factory.mktemp("used"), cases=6)
    other = (folder / "prompts/triage/v1.prompt").read_text().replace("Sort", "Rank")
    (folder / "prompts/triage/v2.prompt").write_text(other)
    assert evalh(folder, "run", "--prompt", "v1", "--prompt", "v2").code == 0
    assert evalh(folder, "compare", "v1", "v2").code in {0, 3}
    changed("select 1")(folder / ".evalh/evalh.db")
    return folder


@pytest.mark.parametrize("damage", DAMAGES)
def test_no_verb_calls_a_damaged_log_a_bug(used: Path, evalh: CommandLine, tmp_path: Path, damage: str) -> None:
    for number, verb in enumerate(VERBS):
        folder = tmp_path / str(number)
        shutil.copytree(used, folder)
        DAMAGES[damage](folder / ".evalh/evalh.db")

        done = evalh(folder, *verb, cwd=str(folder))

        assert done.code in {0, 1, 2, 3, 4}, (verb, done)
        assert "Traceback" not in done.err, (verb, done)
        if done.code in {2, 4}:
            assert any(word in done.err + done.out for word in ("error", "problem", "move it away")), (verb, done)
        shutil.rmtree(folder)


def test_what_is_wrong_is_told_with_the_file_and_the_next_step(used: Path, evalh: CommandLine, tmp_path: Path) -> None:
    folder = tmp_path / "w"
    shutil.copytree(used, folder)
    changed("update samples set standing = 'fine'")(folder / ".evalh/evalh.db")

    done = evalh(folder, "show")

    assert done.code == 2
    assert f"{folder}/.evalh/evalh.db: the log is damaged" in done.err
    assert "evalh sql" in done.err
