"""What was traced lies in a file of its own: records of every door, lines of running programs, prices, deletion."""

import fcntl
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

from evalh.api.workspace import Workspace
from evalh.core.errors import EvalhError, UsageError
from evalh.store.production import ProductionWriter
from evalh_trace.records import AnyRecord, Attempt, Call, Feedback, Loss, Step, Workflow, decode, encode

NOW = 1_800_000_000.0
DAY_S = 86_400.0


def workflow(name: str = "w-1", **fields: Any) -> Workflow:
    return Workflow(**{"id": name, "name": "refund", "door": "trace", "started_at": NOW, **fields})


def call(name: str = "w-1.c", **fields: Any) -> list[AnyRecord]:
    """Return a call of `w-1` with one attempt of 1,000 tokens in and 500 out."""
    tokens = {"input_tokens": 1000, "output_tokens": 500}
    asked = {
        "provider": "openai",
        "model": "gpt-5-mini",
        "started_at": NOW,
        "status": "ok",
        "number": 1,
        **tokens,
        **fields,
    }
    settings = asked.pop("settings", {"model": asked["model"]})
    return [
        Call(id=name, workflow_id="w-1", provider=asked["provider"], settings=settings, attempts=1),
        Attempt(id=f"{name}.1", workflow_id="w-1", call_id=name, **asked),
    ]


REFUSED = {
    "status": "error",
    "error_kind": "rate_limit",
    "http_status": 429,
    "input_tokens": None,
    "output_tokens": None,
}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "evalh.toml").write_text("")
    return Workspace.open(tmp_path)


def rows(workspace: Workspace, sql: str) -> list[tuple[Any, ...]]:
    return list(workspace.production.query(sql)[1])


def write(workspace: Workspace, *records: AnyRecord) -> None:
    with workspace.production_writer() as production:
        production.write(records)


def lines_of(workspace: Workspace, *records: AnyRecord, process: str = "p-1") -> Path:
    """Write the lines of a program that has ended."""
    file = workspace.store_folder / "production" / f"{process}.jsonl"
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("ab") as lines:
        lines.write(b"".join(map(encode, records)))
    return file


@contextmanager
def running(file: Path) -> Iterator[IO[bytes]]:
    """Hold a file of lines as a program does that still runs."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("ab", buffering=0) as lines:
        fcntl.flock(lines, fcntl.LOCK_EX)
        yield lines


def test_a_record_that_comes_later_completes_the_first_and_makes_nothing_unknown(workspace: Workspace) -> None:
    write(workspace, workflow(inputs={"ticket": "x"}, session="s"), workflow(status="ok", ended_at=NOW + 2))
    write(workspace, workflow(status="ok", ended_at=NOW + 2, output="y"))
    whole = workspace.production.detail("w-1").workflow
    assert (whole.inputs, whole.output, whole.session, whole.ended_at) == ({"ticket": "x"}, "y", "s", NOW + 2)


def test_the_same_batch_twice_is_the_same_rows(workspace: Workspace) -> None:
    batch = [workflow(), Step(id="w-1.s", workflow_id="w-1", name="read", started_at=NOW), *call()]
    write(workspace, *batch)
    before = {table: rows(workspace, f"select * from {table}") for table in ("workflows", "workflow_steps", "attempts")}
    write(workspace, *batch)
    assert before == {table: rows(workspace, f"select * from {table}") for table in before}


@pytest.mark.parametrize(
    ("fields", "cost", "by"),
    [
        ({}, 0.00125, "prices"),  # 1,000 x 0.25 + 500 x 2.00 per million
        ({"cost_usd": 0.5}, 0.5, "door"),
        ({"model": "no-such-model"}, None, None),
        ({"output_tokens": None}, None, None),
        ({"provider": "somebody"}, None, None),
        (REFUSED, 0.0, "refused"),
        ({**REFUSED, "number": None}, None, None),  # the last of how many?
        ({**REFUSED, "error_kind": "timeout", "http_status": 504}, None, None),  # it may have worked for us
        ({**REFUSED, "error_kind": "network", "http_status": None}, None, None),
        ({"settings": {"model": "gpt-5-mini", "sent_to": {"base_url": "http://127.0.0.1/v1"}}}, None, None),
    ],
)
def test_an_attempt_costs_what_the_door_says_or_its_tokens_cost_and_otherwise_nobody_knows(
    workspace: Workspace, fields: dict[str, Any], cost: float | None, by: str | None
) -> None:
    write(workspace, workflow(), *call(**fields))
    assert rows(workspace, "select cost_usd, cost_from from attempts") == [(pytest.approx(cost), by)]
    assert rows(workspace, "select cost_usd from calls") == [(pytest.approx(cost),)]
    assert rows(workspace, "select cost_usd from workflow_costs") == [(pytest.approx(cost),)]


def test_a_price_of_the_workspace_counts_before_the_tables(tmp_path: Path) -> None:
    (tmp_path / "evalh.toml").write_text(
        '[models.m]\nprovider = "openai"\nmodel = "gpt-5-mini"\nprice = {input = 1.0, output = 10.0}\n'
    )
    workspace = Workspace.open(tmp_path)
    write(workspace, workflow(), *call())
    assert rows(workspace, "select cost_usd from attempts") == [(pytest.approx(0.006),)]


def test_attempts_that_nobody_could_see_are_unknown_and_not_none(workspace: Workspace) -> None:
    span = [Call(id="c", workflow_id="w-1", provider="openai"), Attempt(id="a", workflow_id="w-1", call_id="c")]
    write(workspace, workflow(), *span)
    assert rows(workspace, "select attempts from calls") == [(None,)]
    assert rows(workspace, "select attempts, calls from workflow_costs") == [(None, 1)]


def test_lines_of_a_program_that_ended_are_taken_over_and_its_file_is_gone(workspace: Workspace) -> None:
    file = lines_of(workspace, workflow(status="ok"), *call())
    assert workspace.production.detail("w-1").workflow.status == "ok"
    assert not file.exists()


def test_lines_of_a_running_program_are_read_as_far_as_they_are_whole(workspace: Workspace) -> None:
    file = workspace.store_folder / "production" / "p-1.jsonl"
    with running(file) as lines:
        lines.write(encode(workflow(process="p-1")) + encode(workflow("w-2", process="p-1"))[:-9])
        assert rows(workspace, "select id, status from workflows") == [("w-1", None)]
        lines.write(encode(workflow("w-2", process="p-1"))[-9:])
        assert rows(workspace, "select id, status from workflows order by id") == [("w-1", None), ("w-2", None)]
    assert rows(workspace, "select distinct status from workflows") == [("interrupted",)]
    assert rows(workspace, "select count(*) from losses") == [(0,)]


def test_a_line_that_was_cut_off_and_one_that_is_rubbish_are_counted(workspace: Workspace) -> None:
    file = lines_of(workspace, workflow())
    with file.open("ab") as lines:
        lines.write(b'{"record": "nonsense"}\n\xff\xfe\n[]\n' + encode(workflow("w-2"))[:-5])
    assert rows(workspace, "select id from workflows") == [("w-1",)]
    assert rows(workspace, "select why, sum(count) from losses group by why") == [("unreadable", 4)]


def test_two_readers_at_once_take_every_line_once(workspace: Workspace) -> None:
    for number in range(20):
        lines_of(workspace, *(workflow(f"w-{number}-{one}") for one in range(200)), process=f"p-{number}")
    failures: list[BaseException] = []

    def read() -> None:
        try:
            with Workspace.open(workspace.root).production_writer() as production:
                production.merge()
        except BaseException as exc:  # noqa: BLE001 (told below)
            failures.append(exc)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert rows(workspace, "select count(*) from workflows") == [(4000,)]
    assert rows(workspace, "select count(*) from losses") == [(0,)]


def test_what_is_forgotten_leaves_no_byte_in_any_file(workspace: Workspace) -> None:
    write(workspace, workflow(user="ann", output="s3cret-one"), workflow("w-2", user="bob", output="kept"), *call())
    file = workspace.store_folder / "production" / "p-1.jsonl"
    with running(file) as lines:
        lines.write(encode(workflow("w-3", user="ann", output="s3cret-two")))
        lines.write(encode(Step(id="s", workflow_id="w-3", name="s3cret-three")))
        lines.write(encode(Feedback(id="f", workflow_id="w-2", at=NOW, note="s3cret-four", user="ann")))
        with workspace.production_writer() as production:
            assert production.forget("user", "ann") == 2
        lines.write(encode(workflow("w-4", output="later")))
        everything = b"".join(one.read_bytes() for one in workspace.store_folder.rglob("*") if one.is_file())
        assert b"s3cret" not in everything
        assert b"ann" not in everything
    assert rows(workspace, "select id from workflows order by id") == [("w-2",), ("w-4",)]
    assert rows(workspace, "select count(*) from losses") == [(0,)]


def test_what_is_too_old_is_deleted_and_a_stub_after_a_week(tmp_path: Path) -> None:
    ages = {"new": 0.0, "old": 40 * DAY_S}
    stubs = {"new stub": 6 * DAY_S, "old stub": 8 * DAY_S}
    with ProductionWriter(tmp_path, lambda *_: None, keep_s=30 * DAY_S) as production:
        production.write(workflow(name, started_at=NOW - age) for name, age in ages.items())
        production.write(workflow(name, started_at=NOW - age, kept="stub") for name, age in stubs.items())
        production.write([Step(id="s", workflow_id="old", name="read")])
        production.merge(NOW)
    with closing(sqlite3.connect(tmp_path / "production.db")) as db:
        assert {name for (name,) in db.execute("select id from workflows")} == {"new", "new stub"}
        assert db.execute("select count(*) from workflow_steps").fetchone() == (0,)


def test_the_log_of_tests_and_production_share_nothing(workspace: Workspace) -> None:
    write(workspace, workflow(), *call())
    assert not (workspace.store_folder / "evalh.db").exists()
    with pytest.raises(EvalhError, match="no runs yet"):
        _ = workspace.log


def test_a_query_reads_and_changes_nothing(workspace: Workspace) -> None:
    write(workspace, workflow())
    for sql in ("delete from workflows", "attach 'x' as y", "pragma user_version = 9"):
        with pytest.raises(UsageError):
            rows(workspace, sql)


def test_a_file_that_is_not_ours_is_told_and_left_alone(workspace: Workspace) -> None:
    file = workspace.store_folder / "production.db"
    file.parent.mkdir()
    with closing(sqlite3.connect(file)) as db:
        db.execute("create table t (x)")
    before = file.read_bytes()
    with pytest.raises(EvalhError, match="not made by evalh"):
        write(workspace, workflow())
    assert file.read_bytes() == before


@pytest.mark.parametrize("text", ["\0", "\ud800", "\x1b[2J", "a" * 2_000_000, "\u202e"])
def test_any_text_comes_back_as_it_was(workspace: Workspace, text: str) -> None:
    write(workspace, workflow(output=[text], error=text))
    whole = workspace.production.detail("w-1").workflow
    assert (whole.output, whole.error) == ([text], text)


@pytest.mark.parametrize(
    "record",
    [
        workflow(started_at=-1e300),
        workflow(started_at=1e300),
        workflow(started_at=NOW, ended_at=NOW - 50),
        Attempt(id="a", workflow_id="w-1", call_id="c", input_tokens=2**80, output_tokens=-1),
        Loss(id="l", count=2**70, why="full", at=NOW),
    ],
)
def test_impossible_numbers_are_stored_as_unknown_or_at_the_edge(workspace: Workspace, record: AnyRecord) -> None:
    write(workspace, workflow("w-0"), record)
    assert len(rows(workspace, "select * from workflows")) >= 1


def test_a_line_comes_back_as_the_record_it_was() -> None:
    records = [workflow(tags=("a", "b"), attributes={"x": 1}), *call(), Feedback(id="f", workflow_id="w-1", at=NOW)]
    assert list(decode(b"".join(map(encode, records)))) == records
