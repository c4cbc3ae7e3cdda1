"""Graders of a pipeline: what they see of its steps, who asks for them, what that costs, and what is refused."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from stepping import CONFIG, PIPELINE, row, step_server, write_pipeline
from workspaces import document, evalh, write_workspace

STRONG = """
[models.strong]
provider = "scripted"
model = "judge-1"
function = "evals/strong.py:answer"
price = {input = 2.0, output = 2.0}
"""
JUDGING = """import json
from pathlib import Path


def answer(request, messages, case_id, trial, step, draw):
    with Path(__file__).with_name("asked.jsonl").open("a") as file:
        file.write(json.dumps([case_id, step, messages[-1]["content"]]) + "\\n")
    return json.dumps({"reason": "as it reads", "verdict": VERDICT})
"""
SUITE = """prompt: refund
dataset: refunds
model: small
graders:
"""
BRANCH = """steps:
  extract:
    inputs: {email: inputs.email}
  order:
    when: extract.order_id % 2 == 1
    python: steps/orders.py:find
    inputs: {order_id: extract.order_id}
  reply:
    inputs: {email: inputs.email, order: {first: [order, extract]}}
"""


def workspace(folder: Path, port: int, suite: str, *, pipeline: str = PIPELINE, verdict: str = '"pass"') -> Path:
    """Write a pipeline's workspace with a model that judges; `suite`: its graders and what follows."""
    write_pipeline(folder, port, cases=4, pipeline=pipeline, suite=SUITE + suite)
    (folder / "evalh.toml").write_text(CONFIG.format(port=port) + STRONG)
    (folder / "evals/strong.py").write_text(JUDGING.replace("VERDICT", verdict))
    return folder


def questions(folder: Path) -> list[tuple[str, str, str]]:
    """Return what the judge was asked: case, step and text."""
    file = folder / "evals/asked.jsonl"
    return [tuple(json.loads(line)) for line in file.read_text().splitlines()] if file.exists() else []


def run(folder: Path, *options: str) -> dict[str, Any]:
    result: dict[str, Any] = document(evalh(folder, "run", "--json", *options))["results"][0]
    return result


def asked_log(folder: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(folder / ".evalh/evalh.db")) as db:
        return db.execute(query).fetchall()


CHECKS = """from evalh import GradeContext, Verdict, grader


def sees(ctx):
    told = {name: [step.inputs, step.output] for name, step in ctx.steps.items()}
    return Verdict.check(ctx.step == "reply", __import__("json").dumps([ctx.inputs, told]))


@grader("state")
def state(ctx: GradeContext, *, want: str) -> Verdict:
    order = ctx.steps.get("order")
    if order is None:
        return Verdict.abstain("no order was looked up")
    return Verdict.check(order.output["state"] == want, f"the order is {order.output['state']}")


def handed(ctx):
    return Verdict.check(ctx.steps == {}, __import__("json").dumps([ctx.step, ctx.inputs, ctx.expected]))
"""


def test_a_function_and_a_plugin_see_what_each_step_that_ran_was_handed_and_gave(tmp_path: Path) -> None:
    suite = """  - python: evals/checks.py:sees
  - state: {want: late, required: false}
step_graders:
  extract: [{python: evals/checks.py:handed}]
"""
    with step_server() as (_, port):
        folder = workspace(tmp_path, port, suite, pipeline=BRANCH)
        (folder / "evals/checks.py").write_text(CHECKS)
        config = (folder / "evalh.toml").read_text()
        (folder / "evalh.toml").write_text(config.replace("[workspace]\n", '[workspace]\nplugins = ["evals/checks.py"]\n'))
        result = run(folder)

    assert (result["good"], result["ungraded"]) == (4, 0)
    rows = asked_log(folder, "select s.case_id, v.grader, v.outcome, v.reason from verdicts v join samples s using (sample_id)")
    told = {(case, grader): (outcome, reason) for case, grader, outcome, reason in rows}
    inputs, steps = json.loads(told["r-0001", "python"][1])
    assert inputs == {"email": "Where is order 1?"}
    assert steps["order"] == [{"order_id": 1}, {"id": 1, "state": "late"}]
    assert steps["extract"][1] == {"order_id": 1, "topic": "order"}
    assert steps["reply"][1] == "Your order 1 is late"
    assert set(json.loads(told["r-0002", "python"][1])[1]) == {"extract", "reply"}
    assert told["r-0001", "state"] == ("pass", "the order is late")
    assert told["r-0002", "state"][0] == "abstain"
    (of_step,) = asked_log(folder, "select reason from step_verdicts v join step_results r using (step_result_id)") [:1]
    assert json.loads(of_step[0]) == ["extract", {"email": "Where is order 1?"}, {"order_id": 1}]
