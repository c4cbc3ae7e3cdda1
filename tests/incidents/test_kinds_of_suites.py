"""Incidents in suites of other kinds: pipelines, judges, runs that ended early."""

import json
from pathlib import Path
from typing import Any

import pytest

from cli.test_label import label
from evalh.analysis.summary import so_far
from evalh.api.workspace import Workspace
from evalh.core.errors import ExitCode
from evalh.core.run import RunStatus
from faults.running import here, rows
from stepping import row, step_server, write_pipeline
from workspaces import chat_server, write_workspace

TAGGED = {"tags": ["incident"], "source": {"workflow": "w-1"}}


def write(folder: Path, dataset: str, found: list[dict[str, Any]]) -> None:
    (folder / f"datasets/{dataset}.jsonl").write_text("".join(json.dumps(one) + "\n" for one in found))


def test_the_steps_of_a_pipeline_are_counted_without_its_incidents(tmp_path: Path) -> None:
    found = []
    for incidents in (8, 0):
        with step_server() as (server, port):
            server.wrong_extracts = frozenset({3, 5, *range(900, 908)})
            server.wrong_replies = frozenset({7})
            folder = write_pipeline(tmp_path / str(incidents), port)
            cases = [row(number) for number in range(1, 21)]
            write(folder, "refunds", cases + [row(900 + number, **TAGGED) for number in range(incidents)])
            found.append(here(folder, "run", "--json").result)
    many, bare = found

    assert (many["samples"], many["good"], many["good_rate"]) == (bare["samples"], bare["good"], bare["good_rate"])
    assert many["samples_by_word"] == bare["samples_by_word"]
    assert many["faults"] == bare["faults"]
    assert many["incidents"]["bad"] == 8
    for step, same in zip(many["steps"], bare["steps"], strict=True):
        for name in ("ran", "good", "bad", "first_bad", "responsible", "own_error", "propagation"):
            assert step[name] == same[name], (step["step"], name)
    spent = [sum(step["cost_usd"] for step in one["steps"]) for one in found]
    assert spent == pytest.approx([one["cost_usd"] for one in found])
    assert many["cost_per_good_usd"] == bare["cost_per_good_usd"]


def test_blame_is_about_the_other_cases_and_of_incidents_alone_about_them(tmp_path: Path) -> None:
    with step_server() as (server, port):
        server.wrong_extracts = frozenset({*range(3, 9), 900, 901})
        folder = write_pipeline(tmp_path, port)
        cases = [row(number) for number in range(1, 21)]
        write(folder, "refunds", cases + [row(900 + number, **TAGGED) for number in range(2)])
        here(folder, "run")
        found = json.loads(here(folder, "blame", "--json").out)
        told = here(folder, "blame").out
        here(folder, "run", "--tag", "incident")
        alone = json.loads(here(folder, "blame", "--json").out)

    assert (found["bad"], found["cases"], found["incidents"]) == (6, 6, 2)
    assert "2 bad incidents beside these" in told
    assert (alone["bad"], alone["cases"], alone["incidents"]) == (2, 2, 0)


JUDGED = """prompt: triage
dataset: triage
model: small
graders:
  - judge: {rubric: It is right., scale: pass/fail, model: judge, name: right}
"""
JUDGE = """

[models.judge]
provider = "scripted"
model = "judge-1"
function = "evals/judging.py:answer"
price = {input = 1.0, output = 1.0}
"""
JUDGING = """import json


def answer(request, case_id, trial):
    number = int(case_id.split("-")[1])
    return json.dumps({"reason": "so", "verdict": "fail" if number % 5 == 0 or case_id[0] == "i" else "pass"})
"""


def judged(folder: Path, incidents: int) -> Path:
    folder.mkdir()
    write_workspace(folder)
    (folder / "evals/triage.yaml").write_text(JUDGED)
    (folder / "evals/judging.py").write_text(JUDGING)
    config = folder / "evalh.toml"
    config.write_text(config.read_text() + JUDGE)
    cases = [{"id": f"t-{number:04d}", "inputs": {"ticket": f"order {number}"}} for number in range(1, 41)]
    more = [{"id": f"i-{number:04d}", "inputs": {"ticket": f"again {number}"}, **TAGGED} for number in range(incidents)]
    write(folder, "triage", cases + more)
    return folder


def test_a_judge_counts_and_is_calibrated_without_incidents(tmp_path: Path) -> None:
    both = [judged(tmp_path / str(incidents), incidents) for incidents in (6, 0)]
    many, bare = (here(folder, "run", "--json").result for folder in both)

    assert many["graders"] == bare["graders"]
    assert many["good_rate"] == bare["good_rate"]
    assert many["judge_cost_usd"] > bare["judge_cost_usd"]
    agreed = []
    for folder in both:
        told = label(folder, "y\nn\ny\n" * 40)
        assert "of 40 distinct outputs" in told.out, told.err
        agreed.append(json.loads(here(folder, "calibrate", "right", "--json").out))
    for name in ("outputs", "labelled", "confusion", "agreement"):
        assert agreed[0][name] == agreed[1][name], name
    assert [one["corrected"] for one in agreed[0]["rates"]] == [one["corrected"] for one in agreed[1]["rates"]]


def test_a_run_that_ended_early_has_the_numbers_that_it_had_under_way(tmp_path: Path) -> None:
    with chat_server() as (server, model):
        folder = write_workspace(tmp_path, cases=40, model=model)
        found = [json.loads(line) for line in (folder / "datasets/triage.jsonl").read_text().splitlines()]
        for number in range(12):
            ticket = {"ticket": f"order {7 * (1000 + number)}"}
            found.insert(2 * number, {**found[0], "id": f"i-{number}", "inputs": ticket, **TAGGED})
        write(folder, "triage", found)
        server.fail_after, server.failure = 30, (401, {"error": {"message": "who are you?", "code": "invalid_api_key"}})
        done = here(folder, "run", "--concurrency", "4", "--json", env={"OPENAI_API_KEY": "k"})
    log = Workspace.open(folder).log
    run = log.run("last")
    live = so_far(run, log.case_tallies(run.record.id))

    summary = run.summary
    assert done.exit == ExitCode.CANNOT_MEASURE
    assert summary is not None
    assert run.status is RunStatus.STOPPED
    assert 0 < summary.evaluated < 52
    assert (live.samples, live.good, live.bad) == (summary.samples, summary.good, summary.bad)
    assert (live.incidents.samples, live.incidents.bad) == (summary.apart.samples, summary.apart.bad)
    assert live.good_rate == summary.good_rate
    assert summary.good == summary.samples - sum(
        one["standing"] != "good" for one in rows(folder, "select * from samples where case_id like 't-%'")
    )
    assert f"after {summary.evaluated} of 52 samples" in here(folder, "show", "last").out
