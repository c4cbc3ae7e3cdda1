"""Recorded workflows are judged as samples of a pipeline: steps by name, the first bad one, the money behind it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from evalh.api.workspace import Workspace
from evalh_trace.records import AnyRecord, Attempt, Call, Step, Workflow
from stepping import write_pipeline
from viewing import viewing
from workspaces import evalh

NOW = 1_800_000_000.0
SUITE = """prompt: refund
dataset: refunds
model: small
step_graders:
  extract: [schema, {equals: {path: order_id, expected: order_id}}]
graders:
  - regex: 'order \\d+ is'
"""


def ran(number: int, extract: Any, reply: str | None) -> list[AnyRecord]:
    """Return a workflow of a program: `extract` and `reply` asked a model, `order` looked something up."""
    name = f"w-{number}"
    begun = NOW + number
    records: list[AnyRecord] = [
        Workflow(id=name, name="refund", door="trace", started_at=begun, ended_at=begun + 3, inputs={"email": "?"})
    ]
    for place, (step, output) in enumerate({"extract": extract, "order": {"id": number}, "reply": reply}.items()):
        if output is None:
            continue
        key = {"id": f"{name}.{step}", "workflow_id": name}
        at = begun + place
        records.append(Step(**key, name=step, started_at=at, ended_at=at + 1, output=output))
        if step != "order":
            records.append(Call(id=f"{name}.{step}.c", workflow_id=name, step_id=key["id"], attempts=1))
            asked = {"workflow_id": name, "call_id": f"{name}.{step}.c", "status": "ok", "cost_usd": 0.01}
            records.append(Attempt(id=f"{name}.{step}.a", **asked))
    return records


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.open(write_pipeline(tmp_path, 1, cases=1, suite=SUITE))


def graded(workspace: Workspace, *records: list[AnyRecord]) -> dict[str, Any]:
    with workspace.production_writer() as production:
        production.write(one for group in records for one in group)
    done = evalh(workspace.root, "grade", "refund", "--production", "--json")
    assert done.returncode == 0, done.stderr
    (version,) = json.loads(done.stdout)["versions"]
    found: dict[str, Any] = version
    return found


GOOD = {"order_id": 7, "topic": "order"}


def test_each_workflow_is_clean_poisoned_or_recovered(workspace: Workspace) -> None:
    found = graded(
        workspace,
        *(ran(number, GOOD, "Your order 7 is late") for number in range(5)),
        *(ran(10 + number, {"order_id": "7"}, "I cannot say") for number in range(3)),
        *(ran(20 + number, {"order_id": "7"}, "Your order 7 is late") for number in range(2)),
        ran(30, GOOD, "I cannot say"),
    )
    words = found["samples_by_word"]
    assert {word: count for word, count in words.items() if count} == {
        "clean": 5,
        "poisoned": 3,
        "recovered": 2,
        "failed at the end": 1,
    }
    steps = {one["step"]: one for one in found["steps"]}
    assert (steps["extract"]["first_bad"], steps["reply"]["first_bad"]) == (5, 1)
    assert (found["good"], found["bad"]) == (7, 4)


def test_poisoned_workflows_are_a_list_by_their_newest_grading(workspace: Workspace) -> None:
    graded(
        workspace,
        ran(1, GOOD, "Your order 7 is late"),
        *(ran(number, {"order_id": "7"}, "I cannot say") for number in (2, 3)),
    )

    found = json.loads(evalh(workspace.root, "trace", "list", "--poisoned", "--json").stdout)

    assert sorted(one["id"] for one in found["workflows"]) == ["w-2", "w-3"]
    assert (found["counts"]["poisoned"], found["counts"]["all"]) == (2, 3)
    graded(workspace, ran(2, GOOD, "Your order 7 is late"))  # it came again, and is graded again
    again = json.loads(evalh(workspace.root, "trace", "list", "--poisoned", "--json").stdout)
    assert [one["id"] for one in again["workflows"]] == ["w-3"]
    with viewing(workspace.root) as viewer:
        page = viewer.get("production?kind=poisoned").text
    assert re.findall(r'<th scope="row"><a href="production/([^"]*)"', page) == ["w-3"]
    assert '<i id="n-poisoned">1</i>' in page


def test_a_workflow_says_what_its_newest_grading_found(workspace: Workspace) -> None:
    graded(workspace, *(ran(number, {"order_id": "7"}, "I cannot say") for number in (1, 2)))
    before = evalh(workspace.root, "show", "w-2").stdout
    graded(workspace, ran(2, GOOD, "Your order 7 is late"))

    (poisoned,) = json.loads(evalh(workspace.root, "show", "w-1", "--json").stdout)["workflow"]["grades"]
    shown = {name: evalh(workspace.root, "show", name).stdout for name in ("w-1", "w-2")}
    sample = evalh(workspace.root, "show", poisoned["sample_id"])
    with viewing(workspace.root) as viewer:
        pages = {name: viewer.get(f"production/{name}").text for name in ("w-1", "w-2")}

    assert (poisoned["suite"], poisoned["standing"]) == ("refund", "bad")
    assert poisoned["story"] == {"word": "poisoned", "first_bad": "extract", "responsible": ["extract"]}
    bad = "poisoned: `extract` was bad first; the output is bad because of `extract`"
    assert bad in shown["w-1"]
    assert bad in before
    assert f"graded good  by {poisoned['prompt']} in suite refund  clean: no step was bad" in shown["w-2"]
    assert f"evalh show {poisoned['sample_id']}" in shown["w-1"]
    assert sample.returncode == 0
    assert bad in sample.stdout
    assert "poisoned: “extract” was bad first" in pages["w-1"]
    assert "clean: no step was bad" in pages["w-2"]


def test_a_workflow_that_no_suite_graded_has_no_grades(workspace: Workspace) -> None:
    graded(workspace, ran(1, GOOD, "Your order 7 is late"))
    with workspace.production_writer() as production:
        production.write(ran(11, GOOD, "x"))  # its id begins like the other's

    shown = evalh(workspace.root, "show", "w-11")

    assert json.loads(evalh(workspace.root, "show", "w-11", "--json").stdout)["workflow"]["grades"] == []
    assert "graded" not in shown.stdout


def test_nothing_is_poisoned_before_anything_was_graded(workspace: Workspace) -> None:
    with workspace.production_writer() as production:
        production.write(ran(1, GOOD, "x"))

    done = evalh(workspace.root, "trace", "list", "--poisoned", "--json")
    both = evalh(workspace.root, "trace", "list", "--poisoned", "--failed")

    assert json.loads(done.stdout)["workflows"] == []
    assert both.returncode == 2
    assert "exclude each other" in both.stderr


def test_the_money_behind_the_first_bad_step_is_productions(workspace: Workspace) -> None:
    found = graded(workspace, *(ran(number, {"order_id": "7"}, "I cannot say") for number in range(4)))
    assert found["cost_usd"] == pytest.approx(0.08)
    log = Workspace.open(workspace.root).log
    rows = list(log.query("select word, first_bad, downstream_usd from poisoned_samples")[1])
    assert rows == [("poisoned", "extract", pytest.approx(0.01))] * 4
    assert list(log.query("select count(*) from attempts")[1]) == [(0,)]


def test_a_step_that_the_program_did_not_run_is_skipped(workspace: Workspace) -> None:
    found = graded(workspace, ran(1, GOOD, None))
    steps = {one["step"]: one for one in found["steps"]}
    assert (steps["reply"]["ran"], steps["reply"]["skipped"]) == (0, 1)


def test_what_the_next_step_cannot_take_is_bad_though_the_program_went_on(workspace: Workspace) -> None:
    found = graded(workspace, ran(1, "it is order 7", "Your order 7 is late"))
    steps = {one["step"]: one for one in found["steps"]}
    assert steps["extract"]["first_bad"] == 1
