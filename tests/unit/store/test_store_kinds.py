"""What people ran is listed; what a gate, a baseline, drift or blame asked is found only where it is meant."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from evalh.core.log import CaseDetail, RunRow
from evalh.core.run import RunKind
from evalh.store import Reader, SqliteStore, open_reader
from evalh.store.query import recent_ids
from evalh.store.schema import library
from unit.store.playing import Play

OTHERS = [kind for kind in RunKind if kind not in (RunKind.RUN, RunKind.COMPARE)]


def finished(play: Play, kind: RunKind, at: float) -> None:
    play.start(kind=kind, started_at=at)
    play.good()
    play.finish()


@pytest.fixture
def reader(store: SqliteStore, playing: Callable[[str], Play], folder: Path) -> Reader:
    """A log in which a person's run is the oldest."""
    for number, kind in enumerate(RunKind):
        finished(playing(f"r{number}-{kind}"), kind, 1_785_300_000.0 + number)
    return open_reader(folder)


def test_every_kind_comes_back(reader: Reader) -> None:
    for number, kind in enumerate(RunKind):
        assert reader.run(f"r{number}-{kind}").record.kind is kind


def test_lists_histories_and_the_newest_run_are_of_what_people_ran(reader: Reader) -> None:
    mine = ["r1-compare", "r0-run"]

    assert [run.record.id for run in reader.runs()] == mine
    assert [run.record.id for run in reader.suite_runs("triage")] == mine
    assert reader.run("last").record.id == "r1-compare"
    shown = reader.show("last")
    assert isinstance(shown, RunRow)
    assert shown.record.id == "r1-compare"


def test_an_overview_tells_asked_runs_from_those_that_other_verbs_added(reader: Reader) -> None:
    found = reader.overview(10)

    assert [run.record.id for run in found.runs] == ["r1-compare", "r0-run"]
    assert found.runs_in_all == 2
    assert [run.record.kind.value for run in found.added] == ["blame", "drift", "baseline", "gate"]


def test_a_case_is_shown_as_a_person_ran_it_last(reader: Reader) -> None:
    shown = reader.show("t-1")

    assert isinstance(shown, CaseDetail)
    assert shown.run.record.id == "r1-compare"


def test_outputs_are_taken_from_every_kind_but_blame(reader: Reader) -> None:
    """A gate's and production's outputs can be labelled; blame's were changed."""
    assert reader.runs_of("triage", 10) == [
        "r5-production",
        "r4-drift",
        "r3-baseline",
        "r2-gate",
        "r1-compare",
        "r0-run",
    ]


def test_how_often_a_route_decides_is_counted_where_it_was_asked(reader: Reader) -> None:
    assert reader.last_runs("small", "triage", 10) == ["r4-drift", "r3-baseline", "r2-gate", "r1-compare", "r0-run"]


def test_what_people_ran_is_completed_first(reader: Reader, folder: Path) -> None:
    del reader

    assert [name for name, _ in recent_ids(folder, "r", 3)] == ["r1-compare", "r0-run", "r6-blame"]


@pytest.mark.parametrize("kind", OTHERS)
def test_where_nobody_ran_anything_the_newest_run_and_a_case_are_of_another_kind(
    store: SqliteStore, playing: Callable[[str], Play], folder: Path, kind: RunKind
) -> None:
    """In CI there are only gates: `show last` and `show CASE` must not find an empty log."""
    finished(playing("r1"), kind, 1_785_300_000.0)
    store.flush()

    with closing(open_reader(folder)) as reader:
        assert reader.run("last").record.id == "r1"
        assert isinstance(reader.show("t-1"), CaseDetail)
        assert reader.runs() == []


def test_a_log_of_schema_10_is_brought_up_to_date_and_its_runs_are_peoples(folder: Path) -> None:
    folder.mkdir()
    with closing(sqlite3.connect(folder / "evalh.db")) as connection:
        database, history = library(connection)
        history.apply(database, stop_before="m011_steps")
        connection.execute("PRAGMA user_version = 10")
        for table, known in ROWS.items():
            columns = {row[1]: row[2] for row in connection.execute(f"pragma table_info({table})") if row[3]}
            values = {name: known.get(name, 0 if kind != "TEXT" else "{}") for name, kind in columns.items()} | known
            slots = ", ".join("?" * len(values))
            connection.execute(f"insert into {table} ({', '.join(values)}) values ({slots})", [*values.values()])
        connection.commit()

    with closing(open_reader(folder)) as reader:
        run = reader.run("last")
        assert (run.record.id, run.record.kind, run.record.steps) == ("r1", RunKind.RUN, ())
        (sample,) = reader.samples("r1")
        assert (sample.story, sample.steps, sample.step_output) == (None, (), None)
        (story,) = reader.stories("r1")
        assert (story.output, story.case.given) == ("no", {})
        _, rows = reader.query("select output from failures")
        assert list(rows) == [("no",)]
        _, rows = reader.query("select count(*) from poisoned_samples")
        assert list(rows) == [(0,)]


AT = "2026-07-28T10:15:00.123Z"
ROWS: dict[str, dict[str, Any]] = {
    "runs": {"id": "r1", "suite": "triage", "status": "complete", "started_at": AT, "finished_at": AT},
    "cases": {"id": "t-1", "digest": "d", "tags": "[]"},
    "attempts": {"id": "r1:1.1", "call_id": "r1:1", "status": "ok", "started_at": AT, "text": "no", "finish": "stop"},
    "samples": {
        "id": "r1/t-1/0",
        "run_id": "r1",
        "case_id": "t-1",
        "case_digest": "d",
        "standing": "bad",
        "call_id": "r1:1",
        "answered_by": "r1:1.1",
    },
}
