"""What lies in the folder of programs' files may be wrong or hostile: nothing outside is touched, and nothing stops."""

import fcntl
import json
import os
import sqlite3
import subprocess
import sys
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from evalh.api.workspace import Workspace
from evalh.core.errors import CannotMeasure
from evalh.core.production import TracedItem, WorkflowDetail, WorkflowKind, WorkflowQuery
from evalh.store.database import StoreError
from evalh_trace.records import AnyRecord, Attempt, Call, Score, Step, Workflow, encode
from workspaces import evalh

NOW = 1_800_000_000.0


def workflow(name: str = "w-1", **fields: Any) -> Workflow:
    given = {"id": name, "name": "refund", "door": "trace", "started_at": NOW, "status": "ok", "kept": "all"}
    return Workflow(**{**given, **fields})


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    root = tmp_path / "workspace"
    root.mkdir()
    (root / "evalh.toml").write_text("")
    return Workspace.open(root)


@pytest.fixture
def folder(workspace: Workspace) -> Path:
    folder = workspace.store_folder / "production"
    folder.mkdir(parents=True)
    (folder / "p-1.jsonl").write_bytes(encode(workflow()))
    return folder


def write(workspace: Workspace, *records: AnyRecord) -> None:
    with workspace.production_writer() as production:
        production.write(records)


def rows(workspace: Workspace, sql: str) -> list[tuple[Any, ...]]:
    return list(workspace.production.query(sql)[1])


# -- files that are none of the tracer's


def test_a_link_is_neither_read_nor_emptied(workspace: Workspace, folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.jsonl"
    outside.write_bytes(encode(workflow("outside", user="bob")))
    before = outside.read_bytes()
    (folder / "p-2.jsonl").symlink_to(outside)
    (folder / "p-3.jsonl").symlink_to("p-3.jsonl")
    with workspace.production_writer() as production:
        assert production.forget("user", "bob") == 0
    assert rows(workspace, "select id from workflows") == [("w-1",)]
    assert outside.read_bytes() == before


def test_a_folder_that_is_a_link_is_refused_and_what_lies_there_stays(workspace: Workspace, tmp_path: Path) -> None:
    datasets = tmp_path / "datasets"
    datasets.mkdir()
    (datasets / "cases.jsonl").write_bytes(encode(workflow()))
    workspace.store_folder.mkdir()
    (workspace.store_folder / "production").symlink_to(datasets)
    with pytest.raises(CannotMeasure, match="is a symbolic link"):
        _ = workspace.production
    assert (datasets / "cases.jsonl").exists()


def test_a_file_that_no_program_wrote_is_not_deleted(workspace: Workspace, folder: Path) -> None:
    (folder / "cases.jsonl").write_text('{"id": "1", "inputs": {}}\n')
    assert rows(workspace, "select id from workflows") == [("w-1",)]
    assert (folder / "cases.jsonl").read_text() == '{"id": "1", "inputs": {}}\n'
    assert not (folder / "p-1.jsonl").exists()


def test_a_pipe_and_a_folder_among_the_files_hold_nothing_up(workspace: Workspace, folder: Path) -> None:
    os.mkfifo(folder / "p-2.jsonl")
    (folder / "p-3.jsonl").mkdir()
    assert rows(workspace, "select id from workflows") == [("w-1",)]


def test_a_file_may_have_any_name(workspace: Workspace, folder: Path) -> None:
    (folder / os.fsdecode(b"a\n\xff\x1b[31m.jsonl")).write_bytes(encode(workflow("w-2")) + b"rubbish\n")
    assert rows(workspace, "select id from workflows order by id") == [("w-1",), ("w-2",)]
    assert rows(workspace, "select count from losses") == [(1,)]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_named_and_the_others_are_taken(workspace: Workspace, folder: Path) -> None:
    (folder / "p-0.jsonl").write_bytes(encode(workflow("w-0")))
    (folder / "p-0.jsonl").chmod(0)
    with pytest.raises(CannotMeasure, match="Permission denied") as refused, workspace.production_writer() as writer:
        writer.merge()
    assert refused.value.where == str(folder / "p-0.jsonl")
    assert not (folder / "p-1.jsonl").exists()
    (folder / "p-0.jsonl").chmod(0o600)
    assert rows(workspace, "select id from workflows order by id") == [("w-0",), ("w-1",)]


def test_a_disk_that_takes_nothing_is_not_told_as_nothing_traced(workspace: Workspace, folder: Path) -> None:
    listing = f"ulimit -f 0; exec {sys.executable} -m evalh trace list"  # no file may grow
    done = subprocess.run(["sh", "-c", listing], cwd=workspace.root, capture_output=True, text=True, check=False)
    assert done.returncode == 4, done.stderr
    assert "what was stored before is kept" in done.stderr
    assert (folder / "p-1.jsonl").exists()


# -- values


def test_a_value_that_is_very_deep_is_cut_and_shown(workspace: Workspace, folder: Path) -> None:
    for depth in (900, 100_000):
        text = b"[" * depth + b"]" * depth
        line = b'{"record":"call","id":"c%d","workflow_id":"w-1","messages":%s}\n' % (depth, text)
        (folder / f"p-{depth}.jsonl").write_bytes(line)
    for verb in (("show", "w-1", "--json"), ("calls", "--production", "--json")):
        done = evalh(workspace.root, *verb)
        assert done.returncode == 0, done.stderr
        assert "too deep" in done.stdout


def test_impossible_amounts_are_unknown_and_spoil_no_sum(workspace: Workspace) -> None:
    write(workspace, workflow("good"), Call(id="c", workflow_id="good"))
    write(workspace, Attempt(id="a", workflow_id="good", call_id="c", input_tokens=10, cost_usd=0.5))
    for number, wrong in enumerate((1e300, 1e308, -5.0, float("inf"), float("nan"))):
        write(workspace, Call(id=f"c{number}", workflow_id="bad", attempts=-3, latency_ms=-1.0))
        count = 2**63 - 1 if wrong > 0 else -7
        of = f"c{number}"
        write(workspace, Attempt(id=of, workflow_id="bad", call_id=of, input_tokens=count, cost_usd=wrong))
    write(workspace, workflow("bad"), Score(id="s", workflow_id="bad", name="x", score=float("nan")))
    found = json.loads(evalh(workspace.root, "cost", "--json").stdout)["production"]
    assert [(one["usd"], one["unpriced"]) for one in found] == [(0.5, 1)]
    assert rows(workspace, "select sum(input_tokens), min(cost_usd), max(cost_usd) from attempts") == [(10, 0.5, 0.5)]
    assert workspace.production.listed(WorkflowQuery(), limit=10).lines[0].uncounted == 5


@pytest.mark.parametrize("probability", [0.0, -1.0, 1e-300, 5.0, float("nan"), float("inf")])
def test_a_probability_that_no_sample_has_is_unknown(workspace: Workspace, probability: float) -> None:
    write(workspace, workflow(probability=probability, kept="rate"), workflow("w-2", probability=0.5, kept="rate"))
    assert rows(workspace, "select probability from workflows order by id") == [(None,), (0.5,)]
    assert [one.stands_for for one in workspace.production.spending()] == [3.0]


# -- names


def test_an_id_of_several_kinds_is_the_workflows(workspace: Workspace) -> None:
    write(workspace, workflow(), Step(id="w-1", workflow_id="gone", name="x"), Call(id="w-1", workflow_id="gone"))
    assert isinstance(workspace.production.find("w-1"), WorkflowDetail)


@pytest.mark.parametrize("name", ["a\0b", "\udcff", "␀", "--x", "e\u0301"])
def test_a_workflow_of_any_name_is_found_and_forgotten_and_no_other_one(workspace: Workspace, name: str) -> None:
    other = {"e\u0301": "\u00e9"}.get(name, name[:-1] or "x")  # looks the same, or is a part of it
    write(workspace, workflow(name, user=name), workflow(f"of {other}", user=other))
    write(workspace, Step(id=f"step {name}", workflow_id=name, name=name))
    found, step = workspace.production.find(name), workspace.production.find(f"step {name}")
    assert isinstance(found, WorkflowDetail)
    assert isinstance(step, TracedItem)
    assert [workspace.production.detail(one.id).workflow for one in workspace.production.workflows(limit=9)]
    with workspace.production_writer() as production:
        assert production.forget("user", name) == 1
    assert [one.user for one in workspace.production.workflows()] == [other]


def test_of_a_workflow_that_still_runs_nothing_comes_after_it_is_forgotten(workspace: Workspace, folder: Path) -> None:
    file = folder / "p-2.jsonl"
    begun = [workflow("runs", user="ann", status=None), workflow("other", user="bob", session="ann", status=None)]
    later = [Step(id=f"{name}.s", workflow_id=name, name="s", output=f"said in {name}") for name in ("runs", "other")]
    with file.open("ab", buffering=0) as lines:
        fcntl.flock(lines, fcntl.LOCK_EX)
        lines.write(b"".join(map(encode, begun)))
        with workspace.production_writer() as production:
            assert production.forget("user", "ann") == 1
        lines.write(b"".join(map(encode, [*later, workflow("runs", user="ann", output="said at last")])))
        lines.flush()
    assert rows(workspace, "select id from workflow_steps") == [("other.s",)]
    assert rows(workspace, "select id from workflows order by id") == [("other",), ("w-1",)]
    whole = b"".join(one.read_bytes() for one in workspace.store_folder.rglob("*") if one.is_file())
    assert b"said in other" in whole
    assert b"said in runs" not in whole
    assert b"said at last" not in whole


def test_bytes_that_another_reader_holds_are_told_and_gone_once_it_ends(workspace: Workspace) -> None:
    write(workspace, workflow(user="ann", output="only ann says this"))
    file = workspace.store_folder / "production.db"
    reader = sqlite3.connect(file)
    reader.execute("begin")
    reader.execute("select * from workflows").fetchall()
    with workspace.production_writer() as production:
        production._connection.execute("PRAGMA busy_timeout = 1")
        with pytest.raises(StoreError, match="bytes of what was deleted are still there"):
            production.forget("user", "ann")
        reader.close()
        assert production.forget("user", "ann") == 0
    assert b"only ann says this" not in b"".join(one.read_bytes() for one in file.parent.glob("production.db*"))


# -- sizes


def test_a_workflow_of_very_many_steps_is_shown_in_part_and_says_so(workspace: Workspace, folder: Path) -> None:
    steps = (Step(id=f"s{n}", workflow_id="w-1", name="s", parent_id=f"s{n - 1}") for n in range(20_000))
    (folder / "p-2.jsonl").write_bytes(b"".join(map(encode, steps)))
    done = evalh(workspace.root, "show", "w-1")
    assert done.returncode == 0, done.stderr
    assert "the first 1,000 of 20,000 steps and calls" in done.stdout
    assert len(done.stdout.splitlines()) < 1_100


def test_the_list_is_linear_in_the_steps_of_a_workflow(workspace: Workspace) -> None:
    steps = 4_000
    for n in range(2):
        write(workspace, workflow(f"w-{n}"))
        status = ("ok", "error")[n]
        names = [f"w-{n}.{number}" for number in range(steps)]
        write(workspace, *(Step(id=one, workflow_id=f"w-{n}", name="s", status=status) for one in names))
        failed = {"workflow_id": f"w-{n}", "name": "x", "outcome": "fail"}
        write(workspace, *(Score(id=f"{one}.s", step_id=one, **failed) for one in names))
    reader = workspace.production
    hundreds = count()
    reader._connection.set_progress_handler(lambda: int(next(hundreds) > 10 * steps), 100)  # stops after 1,000 a step
    for kind in (WorkflowKind.ALL, WorkflowKind.QUIET):
        found = reader.listed(WorkflowQuery(kind=kind), limit=10).lines
        assert [line.first_failure is not None for line in found] == [True, True]
