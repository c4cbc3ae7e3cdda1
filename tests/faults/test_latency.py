"""A route's latency is that of everything it did, in the log and wherever a number of it is shown."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from evalh.core.errors import ExitCode
from faults.running import here, rows
from telling import found, repo, tell
from workspaces import write_workspace

ANSWERS = """import json
from evalh.core.attempt import Completion


def quick(request):
    return Completion(text=json.dumps({"label": "billing"}), latency_ms=50)


def slow(request):
    return Completion(text=json.dumps({"label": "billing"}), latency_ms=900)
"""
ROUTE = """
[models.strong]
provider = "scripted"
model = "strong-1"
function = "evals/timed.py:quick"

[models.other]
provider = "scripted"
model = "other-1"
function = "evals/timed.py:quick"

[routes.careful]
model = "small"
cascade = {checks = [{contains = {value = "never said"}}], escalate_to = "strong"}
"""
SMALL = 'provider = "scripted"\nmodel = "small-1"\nfunction = "evals/timed.py:slow"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = write_workspace(tmp_path, cases=6, model=SMALL + ROUTE)
    (made / "evals/timed.py").write_text(ANSWERS)
    return made


def measured(folder: Path, *arguments: str, model: str = "careful") -> dict[str, Any]:
    return here(folder, "run", "--json", "--model", model, *arguments).result["latency_ms"]


def forget(folder: Path) -> None:
    """Leave of every latency what a log before schema 9 held."""
    with closing(sqlite3.connect(folder / ".evalh/evalh.db")) as db, db:
        db.execute("update attempts set waited_ms = null")
        db.execute("update calls set latency_ms = null, waited_ms = null, checks_ms = null")
        db.execute(
            "update samples set waited_ms = null, checks_ms = null,"
            " latency_ms = (select latency_ms from attempts where id = answered_by)"
        )
        db.execute("update runs set summary = json_remove(summary, '$.latency_parts_ms', '$.last_attempts')")


def test_a_slow_model_that_escalates_to_a_quick_one_is_slow(folder: Path) -> None:
    first = measured(folder)
    again = measured(folder)

    assert 950.0 <= first["p50"] < 980.0
    assert first["parts"]["attempts"] == pytest.approx(950.0)
    assert first["parts"]["waiting"] == 0.0
    assert again["p50"] == pytest.approx(first["p50"], rel=1e-9), "an answer from the log counts as when it was asked"
    assert again["parts"] == pytest.approx(first["parts"], rel=1e-6)
    for row in rows(
        folder,
        "select latency_ms, waited_ms, checks_ms from samples union all select latency_ms, waited_ms, checks_ms from calls",
    ):
        assert row["latency_ms"] == pytest.approx(950.0 + row["waited_ms"] + row["checks_ms"])


def test_a_part_that_the_log_answers_counts_as_when_it_was_asked(folder: Path) -> None:
    assert measured(folder, model="small")["p50"] == 900.0
    routed = measured(folder)

    assert routed["parts"]["attempts"] == pytest.approx(950.0)
    assert rows(folder, "select count(*) as n from attempts")[0]["n"] == 12


def test_compare_the_report_and_a_recording_show_the_same_number(folder: Path) -> None:
    measured(folder)
    here(folder, "export", "recorded", "last", "-o", str(folder / "kept.jsonl"))
    compared = json.loads(here(folder, "compare", "v1", "--model", "strong", "--model", "careful", "--json").out)

    assert compared["sides"]["base"]["latency_ms"]["p50"] == 50.0
    assert 950.0 <= compared["sides"]["head"]["latency_ms"]["p50"] < 980.0
    assert 900.0 <= compared["latency_ms"]["difference"]["value"] < 930.0
    recorded = [json.loads(line)["latency_ms"] for line in (folder / "kept.jsonl").read_text().splitlines()]
    assert min(recorded) >= 950.0


def test_an_older_logs_latencies_are_marked_and_not_compared_with_whole_ones(folder: Path) -> None:
    measured(folder)
    forget(folder)
    told = here(folder, "run", "--model", "careful")
    mixed = here(folder, "compare", "v1", "--model", "careful", "--model", "other")

    assert "p50 50 ms" in told.out
    assert "of the last attempt only, from the log of an older version" in " ".join(told.out.split())
    assert measured(folder)["last_attempts"] == 6
    assert "not compared" in mixed.out, mixed.err
    assert here(folder, "show", "last").exit == 0


def test_the_gate_sees_the_model_that_escalates(tmp_path: Path) -> None:
    made = repo(tmp_path / "repo", "latency_p95: {may_rise: 0.1}", told="ms=500")
    with made.on_main("Ask twice"):
        made.write("evals/timed.py", ANSWERS)
        made.write("evalh.toml", (made.folder / "evalh.toml").read_text() + ROUTE)
        suite = made.folder / "evals/triage.yaml"
        made.write("evals/triage.yaml", suite.read_text().replace("model: small", "model: careful"))
    tell(made, "ms=900")

    decision = made.gate()

    assert found(decision, "latency_p95").exit is ExitCode.NO


def test_a_shown_sample_and_its_call_have_the_logs_columns(folder: Path) -> None:
    measured(folder)
    shown = json.loads(here(folder, "show", rows(folder, "select id from samples limit 1")[0]["id"], "--json").out)

    (call,) = shown["sample"]["calls"]
    sample = shown["sample"]["sample"]
    assert sample["latency_ms"] == call["latency_ms"] == pytest.approx(950.0 + call["checks_ms"])
    assert sample["waited_ms"] == call["waited_ms"] == 0.0
    assert [attempt["latency_ms"] for attempt in call["attempts"]] == [900.0, 50.0]
    assert "950 ms" in here(folder, "calls").out
