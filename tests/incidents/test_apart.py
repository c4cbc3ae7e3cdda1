"""Incidents were chosen because they failed: no number over cases knows of them."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from evalh.analysis.compare.compare import compare
from evalh.analysis.summary import so_far
from evalh.api.workspace import Workspace
from evalh.core.errors import ExitCode
from faults.running import Done, here
from incidents.suites import PROMPT, SUITE, incident, rows, write_rows, write_suite
from unit.analysis.comparing import sample, side
from viewing import viewing

OTHERS = frozenset({"run", "id", "fingerprint", "planned", "incidents", "calls", "attempts", "cache_hits", "cost_usd"})
"""What two runs of one suite may differ in: what names them, and what was spent, which includes incidents."""


@pytest.fixture(params=[1, 3])
def trials(request: pytest.FixtureRequest) -> int:
    count: int = request.param
    return count


@pytest.fixture
def both(tmp_path: Path) -> tuple[Path, Path]:
    """The suite with ten incidents that all fail, and without them."""
    return write_suite(tmp_path / "with", incidents=10), write_suite(tmp_path / "without")


def told(value: Any) -> Any:
    """Return a document without what may differ."""
    if isinstance(value, dict):
        return {name: told(one) for name, one in value.items() if name not in OTHERS}
    return [told(one) for one in value] if isinstance(value, list) else value


def document(done: Done) -> Any:
    assert done.out, done.err
    return json.loads(done.out)


def test_a_run_has_the_same_numbers_with_ten_incidents_that_fail(both: tuple[Path, Path], trials: int) -> None:
    options = ("run", "--prompt", "v1", "--trials", str(trials), "--json")
    found, bare = (here(folder, *options).result for folder in both)

    assert told(found) == told(bare)
    assert found["incidents"]["samples"] == found["incidents"]["bad"] == 10 * trials
    assert bare["incidents"]["samples"] == 0
    assert found["cost_usd"] == pytest.approx(bare["cost_usd"] + found["incidents"]["cost_usd"])
    assert found["calls"] == bare["calls"] + 10 * trials


def test_a_comparison_is_the_same_and_lists_what_incidents_did(both: tuple[Path, Path], trials: int) -> None:
    options = ("compare", "v1", "v2", "--trials", str(trials), "--json")
    found, bare = (document(here(folder, *options)) for folder in both)

    assert told(found) == told(bare)
    assert [one["case"] for one in found["incidents"]] == [one["id"] for one in rows(60, 10) if one["id"][0] == "i"]
    assert found["incidents"][0]["head"] == {"good": 0, "ungraded": 0, "trials": trials}


def test_a_plan_a_report_and_a_table_are_the_same(both: tuple[Path, Path]) -> None:
    query = "select samples, good, good_rate, task_usd, cost_per_good_usd from cost_per_good"
    for folder in both:
        for version in ("v1", "v2"):
            here(folder, "run", "--prompt", version)
        here(folder, "compare", "v1", "v2")

    powers = [document(here(folder, "power", "--json")) for folder in both]
    reports = [document(here(folder, "report", "last", "--format", "json")) for folder in both]
    tables = [document(here(folder, "sql", query, "--json"))["rows"] for folder in both]

    assert powers[0].pop("cost_per_sample_usd") == pytest.approx(powers[1].pop("cost_per_sample_usd"))
    assert {**powers[0], "discordance_from": ""} == {**powers[1], "discordance_from": ""}
    for name in ("advice", "versions", "history", "reasons", "missed"):
        assert told(reports[0][name]) == told(reports[1][name]), name
    assert tables[0] == tables[1]
    counted = document(here(both[0], "sql", "select incidents, incidents_good from cost_per_good", "--json"))["rows"]
    assert counted[0] == [10, 0]


def test_a_run_under_way_and_an_old_log_count_as_a_finished_run_does(both: tuple[Path, Path], trials: int) -> None:
    result = Workspace.open(both[0]).run("triage", trials=trials)
    log = Workspace.open(both[0]).log

    found = so_far(log.run(result.record.id), log.case_tallies(result.record.id))

    summary = result.summary
    assert (found.samples, found.good, found.bad) == (summary.samples, summary.good, summary.bad)
    assert found.good_rate == summary.good_rate
    assert found.cost_per_good_usd.value == pytest.approx(summary.cost_per_good_usd.value)
    assert found.spent_usd == pytest.approx(summary.cost_usd)
    assert found.incidents.bad == summary.apart.bad == 10 * trials
    assert found.incidents.cost_usd == pytest.approx(summary.apart.cost_usd)
    assert found.evaluated == 70 * trials


def test_a_baseline_states_the_rate_of_the_other_cases(both: tuple[Path, Path]) -> None:
    for folder in both:
        here(folder, "baseline", "accept", "v1")
    heads = [
        json.loads((folder / "reports/baselines/triage/v1.small.jsonl").read_text().splitlines()[0])["summary"]
        for folder in both
    ]

    assert heads[0].pop("incidents") == {"samples": 10, "good": 0}
    assert heads[0] == heads[1]


def test_a_suite_of_incidents_alone_has_no_rate_and_says_so(tmp_path: Path) -> None:
    folder = write_suite(tmp_path, cases=0, incidents=3)

    found = here(folder, "run", "--prompt", "v1", "--json").result
    terminal = here(folder, "run", "--prompt", "v1").out
    compared = here(folder, "compare", "v1", "v2")
    power = here(folder, "power")

    assert (found["samples"], found["good_rate"]["value"], found["incidents"]["bad"]) == (0, None, 3)
    assert "incidents  3: 0 good · 3 bad · 0 ungraded, in no good rate" in " ".join(terminal.split("\n")[2:4])
    assert "good rate  " not in terminal
    assert compared.exit == ExitCode.INCONCLUSIVE
    assert "every case that both sides have is an incident" in compared.out
    assert power.exit == ExitCode.USAGE
    assert "has only incidents" in power.err


def test_at_least_is_about_incidents_where_these_alone_were_selected(tmp_path: Path) -> None:
    folder = write_suite(tmp_path, incidents=4)
    whole = here(folder, "run", "--prompt", "v1", "--at-least", "0.7")
    alone = here(folder, "run", "--prompt", "v1", "--tag", "incident", "--at-least", "1")
    (folder / "prompts/triage/v3.prompt").write_text(PROMPT.replace("TOLD", "wrong=4 keeps=1"))
    green = here(folder, "run", "--prompt", "v3", "--case", "i-0001", "--at-least", "1")

    assert whole.exit == ExitCode.YES
    assert alone.exit == ExitCode.NO
    assert "no: triage@v1 on small: incidents: 0 of 4 good (0.0 %), at least 100 % required" in alone.err
    assert green.exit == ExitCode.YES


def test_incidents_that_nobody_could_grade_cannot_be_measured(tmp_path: Path) -> None:
    folder = write_suite(tmp_path, incidents=2)
    answers = folder / "evals/answers.py"
    answers.write_text(
        answers.read_text().replace("    spread", '    if kind == "i":\n        raise OSError\n    spread', 1)
    )

    done = here(folder, "run", "--prompt", "v1")

    assert done.exit == ExitCode.CANNOT_MEASURE
    assert "2: 0 good · 0 bad · 2 ungraded" in done.out
    assert "without an answer: 2 × " in done.out
    assert "60: " in done.out


def test_a_row_that_is_given_the_tag_is_another_row_and_is_never_compared(tmp_path: Path) -> None:
    folder = write_suite(tmp_path)
    first = here(folder, "run", "--prompt", "v1", "--json").result["run"]
    text = (folder / "datasets/triage.jsonl").read_text()
    (folder / "datasets/triage.jsonl").write_text(text.replace('"urgent"', '"incident"', 1))
    second = here(folder, "run", "--prompt", "v2", "--json").result["run"]

    found = document(here(folder, "compare", first, second, "--intersection", "--json"))

    assert (found["n"], found["incidents"]) == (59, [])
    assert found["mismatches"][0]["cases"] == ["t-0001"]


def test_a_case_that_is_an_incident_on_either_side_is_left_out_of_both() -> None:
    marks = {"t-1": "+", "t-2": "-", "t-3": "+", "t-4": "+"}
    tagged = {"tags": frozenset({"incident"}), "row_digest": None}
    base = side(
        marks, samples=[sample(case, 0, mark, **(tagged if case == "t-2" else {})) for case, mark in marks.items()]
    )
    head = side(
        marks, samples=[sample(case, 0, mark, **(tagged if case == "t-4" else {})) for case, mark in marks.items()]
    )

    found = compare(base, head)

    assert (found.n, found.base.good, found.head.good) == (2, 2, 2)
    assert [(one.case_id, one.base.good, one.head.good) for one in found.incidents] == [("t-2", 0, 0), ("t-4", 1, 1)]


def test_check_names_rows_that_nothing_explains_and_incidents_that_nothing_holds(tmp_path: Path) -> None:
    folder = write_suite(tmp_path, incidents=2)
    odd = incident(9)
    del odd["source"]
    with (folder / "datasets/triage.jsonl").open("a") as file:
        file.write(json.dumps(odd) + "\n")
    found = here(folder, "check")
    (folder / "evals/triage.yaml").write_text(f"{SUITE}gate: {{must_pass: {{tags: [incident]}}}}\n")
    guarded = here(folder, "check")

    said = " ".join((found.out + found.err).split())
    assert "datasets/triage.jsonl:63: 1 row with the tag incident and no source (i-0009)" in said
    assert "suite triage: no rule checks 3 of 3 incidents (i-0001, i-0002, i-0009)" in said
    assert "no rule holds" not in guarded.out + guarded.err


def test_every_report_of_a_run_says_how_incidents_did(tmp_path: Path) -> None:
    folder = write_suite(tmp_path, incidents=10)
    run = here(folder, "run", "--prompt", "v1", "--json").result["run"]
    files = {form: here(folder, "report", run, "--format", form).out for form in ("markdown", "junit", "json")}
    here(folder, "report", run, "-o", str(folder / "page.html"))
    page = (folder / "page.html").read_text()
    with viewing(folder) as viewer:
        pages = viewer.get("").text
    table = here(folder, "run", "--prompt", "v1", "--prompt", "v2").out

    assert "incidents: 0 of 10 samples good, counted apart" in files["markdown"]
    assert 'tests="70" failures="25"' in files["junit"]
    assert "Incidents: 0 of 10 samples good, counted apart." in document(Done(0, files["json"], ""))["verdict"]
    assert "10 of 10 samples of incidents not good" in page
    assert "in no good rate" in page
    assert "60 + 10 of incidents" in pages
    assert table.count(" 0/10") == 2


def test_a_run_that_counted_incidents_in_stays_so_and_is_not_put_beside_newer_ones(tmp_path: Path) -> None:
    folder = write_suite(tmp_path, incidents=10)
    old, new = (here(folder, "run", "--prompt", version, "--json").result["run"] for version in ("v1", "v2"))
    with closing(sqlite3.connect(folder / ".evalh/evalh.db")) as db, db:
        db.execute("update runs set summary = json_remove(summary, '$.incidents') where id = ?", (old,))

    shown = document(here(folder, "show", old, "--json"))["results"][0]
    report = document(here(folder, "report", new, "--format", "json"))
    page = here(folder, "report", new, old, "-o", str(folder / "page.html"))

    assert shown["incidents"] is None
    assert shown["samples"] == 60
    assert [one["run"] for one in report["versions"]] == [new]
    assert page.exit == ExitCode.YES, page.err
    assert "do not both leave incidents out of the rate" in (folder / "page.html").read_text()


def test_rows_that_are_added_each_week_change_no_trend(tmp_path: Path) -> None:
    folder = write_suite(tmp_path)
    rates = []
    for week in range(4):
        write_rows(folder, 60, 5 * week)
        rates.append(here(folder, "run", "--prompt", "v1", "--json").result["good_rate"])

    assert rates == rates[:1] * 4
