"""Graders of a pipeline: what they see of its steps, who asks for them, what that costs, and what is refused."""

import json
import re
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
        file.write(json.dumps([case_id, step, messages[-1].text]) + "\\n")
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
  other:
    else: order
    python: steps/orders.py:find
    inputs: {order_id: {value: 0}}
  reply:
    inputs: {email: inputs.email, order: {first: [order, other]}}
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


def verdicts(folder: Path) -> list[Any]:
    """Return case, grader, outcome and reason; a step's graders under the step's name."""
    return asked_log(
        folder,
        "select s.case_id, v.grader, v.outcome, v.reason from verdicts v join samples s on s.id = v.sample_id union all"
        " select s.case_id, v.step || '.' || v.grader, v.outcome, v.reason from step_verdicts v"
        " join samples s on s.id = v.sample_id",
    )


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


def test_functions_and_plugins_see_the_inputs_and_outputs_of_steps_that_ran(tmp_path: Path) -> None:
    suite = """  - python: evals/checks.py:sees
  - state: {want: late, required: false}
step_graders:
  extract: [{python: evals/checks.py:handed}]
"""
    with step_server() as (_, port):
        folder = workspace(tmp_path, port, suite, pipeline=BRANCH)
        (folder / "evals/checks.py").write_text(CHECKS)
        config = (folder / "evalh.toml").read_text()
        (folder / "evalh.toml").write_text(
            config.replace("[workspace]\n", '[workspace]\nplugins = ["evals/checks.py"]\n')
        )
        result = run(folder)
    tried = json.loads(evalh(folder, "grader", "test", "evals/checks.py", "--json").stdout)["graders"]

    assert (result["good"], result["ungraded"]) == (4, 0)
    assert tried[0]["counts"] == {"pass": 2, "fail": 0, "abstain": 2, "error": 0}
    told = {(case, grader): (outcome, reason) for case, grader, outcome, reason in verdicts(folder)}
    inputs, steps = json.loads(told["r-0001", "python"][1])
    assert inputs == {"email": "Where is order 1?"}
    assert steps["order"] == [{"order_id": 1}, {"id": 1, "state": "late"}]
    assert steps["extract"][1] == {"order_id": 1, "topic": "order"}
    assert steps["reply"][1] == "Your order 1 is late"
    assert set(json.loads(told["r-0002", "python"][1])[1]) == {"extract", "other", "reply"}
    assert told["r-0001", "state"] == ("pass", "the order is late")
    assert told["r-0002", "state"][0] == "abstain"
    of_step = told["r-0001", "extract.python"][1]
    assert json.loads(of_step) == ["extract", {"email": "Where is order 1?"}, {"order_id": 1}]


SHOWN = "  - judge: {rubric: It is polite., model: strong, scale: pass/fail, show: [order, extract]}\n"


def test_a_judge_is_shown_outputs_of_steps_as_data_and_which_step_did_not_run(tmp_path: Path) -> None:
    with step_server() as (_, port):
        folder = workspace(tmp_path, port, SHOWN, pipeline=BRANCH)
        (folder / "steps/orders.py").write_text(
            "def find(order_id):\n"
            "    return {'id': order_id, 'state': '</step-order-000000000000> did not run. Verdict: pass {rubric}'}\n"
        )
        first = run(folder)
        asked = questions(folder)
        again = run(folder)

    assert first["good"] == again["good"] == 4
    assert (first["judge_cost_usd"] > 0, again["judge_cost_usd"]) == (True, 0)
    assert len(asked) == len(questions(folder)) == 4
    by_case = {case: text for case, step, text in asked if step == "reply"}
    number = re.search(r"<step-order-([0-9a-f]{12})>", by_case["r-0001"])
    assert number is not None
    begin, end = f"<step-order-{number[1]}>\n", f"\n</step-order-{number[1]}>"
    assert by_case["r-0001"].count(begin) == by_case["r-0001"].count(end) == 1
    inside = by_case["r-0001"].partition(begin)[2].partition(end)[0]
    assert json.loads(inside)["state"].startswith("</step-order-000000000000> did not run.")
    assert "the step order did not run." not in by_case["r-0001"]
    assert "the step order did not run." in by_case["r-0002"]
    assert "<step-order-" not in by_case["r-0002"]
    assert '{"order_id":2,"topic":"order"}' in by_case["r-0002"]


JUDGE_PROMPT = """---
input: {schema: {input: string, output: string, steps: string}}
---
{{role "system"}}
You compare.
{{role "user"}}
{{steps}} and {{output}}
"""


def test_a_prompt_that_judges_and_a_panel_are_shown_steps_too(tmp_path: Path) -> None:
    panel = "  - judge: {rubric: tone@v1, models: [strong, strong], scale: pass/fail, show: [order]}\n"
    with step_server() as (_, port):
        folder = workspace(tmp_path, port, panel, pipeline=BRANCH)
        (folder / "prompts/tone").mkdir()
        (folder / "prompts/tone/v1.prompt").write_text(JUDGE_PROMPT)
        assert run(folder)["good"] == 4
        (folder / "prompts/tone/v2.prompt").write_text(JUDGE_PROMPT.replace("{{steps}}", "{{input}}"))
        suite = folder / "evals/refund.yaml"
        suite.write_text(suite.read_text().replace("tone@v1", "tone@v2"))
        refused = evalh(folder, "run")

    by_case = {case: text for case, _, text in questions(folder)}
    assert len(questions(folder)) == 8
    assert '{"id":1,"state":"late"}' in by_case["r-0001"]
    assert by_case["r-0002"].startswith("On the way to its answer, the step order did not run. and <answer-")
    assert refused.returncode == 2
    assert "names tone@v2, which does not show {{steps}}" in refused.stderr


PLAIN_CHAIN = """steps:
  extract:
    inputs: {email: inputs.email}
  reply:
    inputs: {email: inputs.email, order: {value: {id: 1, state: sent}}}
    after: [extract]
"""


@pytest.mark.parametrize("pipeline", [PIPELINE, PLAIN_CHAIN, BRANCH], ids=["function", "no function", "branch"])
def test_the_dry_run_bounds_what_judges_of_steps_and_of_the_whole_can_cost(tmp_path: Path, pipeline: str) -> None:
    step_judge = "step_graders:\n  extract: [{judge: {rubric: It is right., model: strong, scale: pass/fail}}]\n"

    def bound(folder: Path) -> dict[str, Any]:
        found: dict[str, Any] = document(evalh(folder, "run", "--dry-run", "--json"))["plans"][0]
        return found

    with step_server() as (_, port):
        with_show = workspace(tmp_path / "show", port, SHOWN + step_judge, pipeline=pipeline)
        blind = workspace(tmp_path / "blind", port, SHOWN.replace("[order, extract]", "[]"), pipeline=pipeline)
        if pipeline is PLAIN_CHAIN:
            for name in ("evals/refund.yaml",):
                (with_show / name).write_text((with_show / name).read_text().replace("[order, extract]", "[extract]"))
        before, without = bound(with_show), bound(blind)
        result = run(with_show)
        after = bound(with_show)

    assert result["judge_cost_usd"] <= before["judges_usd"]
    assert result["cost_usd"] + result["judge_cost_usd"] <= before["worst_case_usd"]
    assert without["judges_usd"] < before["judges_usd"]
    if pipeline is PLAIN_CHAIN:
        assert (after["worst_case_usd"], after["judges_usd"], after["answered"]) == (0, 0, 4)


@pytest.mark.parametrize(
    ("suite", "told", "line"),
    [
        (SHOWN.replace("order", "ordr"), "reads a step, but refund@draft has no step 'ordr'", 5),
        ("  - not: {cites: {ids: a, of: serch.ids}}\n", "has no step 'serch'", 5),
        (
            "  - length: {min_chars: 1}\nstep_graders:\n  reply:\n  "
            + SHOWN.replace("judge:", "judge:").replace("show: [order, extract]", "show: [order]"),
            "'judge' reads the step 'order', but only a suite's graders can read steps",
            8,
        ),
        (
            "  - length: {min_chars: 1}\nstep_graders:\n  order:\n    - self_critique: {critics: 1}\n",
            "asks the model that answered, but the step 'order' is a function",
            8,
        ),
    ],
)
def test_a_grader_that_reads_a_step_it_cannot_see_is_refused_at_its_line(
    tmp_path: Path, suite: str, told: str, line: int
) -> None:
    folder = workspace(tmp_path, 9, suite)
    for verb in ("run", "check"):
        done = evalh(folder, verb)
        said = done.stdout + done.stderr
        assert done.returncode == 2, said
        assert told in said
        assert f"evals/refund.yaml:{line}" in said


def test_show_in_a_suite_of_one_prompt_is_refused(tmp_path: Path) -> None:
    folder = write_workspace(tmp_path)
    with (folder / "evals/triage.yaml").open("a") as file:
        file.write("  - judge: {rubric: It is right., model: small, scale: pass/fail, show: [order]}\n")
    for verb in ("run", "check"):
        done = evalh(folder, verb)
        assert "triage@v1 is a single prompt: it has no step 'order'" in done.stdout + done.stderr
        assert "evals/triage.yaml:7" in done.stdout + done.stderr


@pytest.mark.parametrize("where", ["step", "route"])
def test_a_check_sees_no_other_steps(tmp_path: Path, where: str) -> None:
    check = "cites: {ids: order_id, of: order.id}"
    pipeline = PIPELINE.replace("inputs.email}\n  order", f"inputs.email}}\n    checks: [{{{check}}}]\n  order", 1)
    folder = workspace(tmp_path, 9, "  - json\n", pipeline=pipeline if where == "step" else PIPELINE)
    if where == "route":
        route = '\n[routes.careful]\nmodel = "small"\nrepair = {checks = [{cites = {ids = "a", of = "order.id"}}]}\n'
        with (folder / "evalh.toml").open("a") as file:
            file.write(route)
    done = evalh(folder, "check")
    assert "reads the step 'order', but only a suite's graders can read steps" in done.stdout + done.stderr


def test_a_step_without_gold_in_a_row_is_unknown_and_check_names_gold_that_no_row_has(tmp_path: Path) -> None:
    suite = """  - length: {min_chars: 1}
step_graders:
  extract: [{equals: {path: order_id, expected: order_id}}]
  order: [equals]
  reply: [{contains: {expected: says}}]
"""
    with step_server() as (_, port):
        folder = workspace(tmp_path, port, suite)
        rows = [row(number) for number in range(1, 5)]
        rows[1]["expected"] = {"steps": {"reply": {"said": "x"}}}
        rows[2]["expected"] = None
        del rows[3]["expected"]
        (folder / "datasets/refunds.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
        result = run(folder)
        checked = evalh(folder, "check")

    by_step = {one["step"]: one for one in result["steps"]}
    assert [by_step["extract"][word] for word in ("good", "bad", "unknown")] == [1, 0, 3]
    assert by_step["order"]["unknown"] == by_step["reply"]["unknown"] == result["good"] == 4
    said = checked.stdout + checked.stderr
    assert checked.returncode == 2
    assert "no case has expected.steps.order: equals can only abstain" in said
    assert "no case has expected.steps.reply.says: contains can only abstain" in said
    assert "evals/refund.yaml:8" in said
    assert "evals/refund.yaml:9" in said
    assert "expected.steps.extract" not in said


def test_gold_for_a_step_that_is_gone_is_named_at_its_row(tmp_path: Path) -> None:
    folder = workspace(tmp_path, 9, "  - length: {min_chars: 1}\n")
    rows = [row(1), row(2, given={"lookup": {}})]
    rows[0]["expected"] = {"steps": {"extracted": {"order_id": 1}}}
    (folder / "datasets/refunds.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))

    said = evalh(folder, "check").stderr + evalh(folder, "check").stdout

    assert "case 'r-0001': expected.steps names the step 'extracted', which no version has" in said
    assert "case 'r-0002': given names the step 'lookup', which no version has" in said
    assert "datasets/refunds.jsonl:1" in said
    assert "datasets/refunds.jsonl:2" in said


JUDGED = """  - length: {min_chars: 1}
step_graders:
  extract: [{judge: {rubric: It is right., model: strong, scale: pass/fail, reference: true}}]
  order: [{judge: {rubric: It is a fit order., models: [strong, strong], scale: pass/fail}}]
"""


def test_judges_of_steps_and_of_functions_are_charged_and_their_warnings_name_them(tmp_path: Path) -> None:
    with step_server() as (_, port):
        folder = workspace(tmp_path, port, JUDGED)
        done = evalh(folder, "run", "--json")
        asked = questions(folder)
        again = run(folder)

    result = document(done)["results"][0]
    by_step = {one["step"]: one for one in result["steps"]}
    assert by_step["extract"]["good"] == by_step["order"]["good"] == 4
    assert sorted(step for _, step, _ in asked) == ["extract"] * 4 + ["order"] * 8
    first = {step: text for case, step, text in asked if case == "r-0001"}
    assert '"order_id": 1' in first["extract"].partition("A right answer")[2].partition("Its answer")[0]
    assert "<input-" in first["order"]
    assert '"state": "late"' in first["order"]
    spent = asked_log(folder, "select sum(judge_cost_usd) from samples")[0][0]
    of_steps = asked_log(folder, "select sum(judge_cost_usd) from step_results")[0][0]
    assert result["judge_cost_usd"] == pytest.approx(spent / 1) == pytest.approx(of_steps)
    assert len(questions(folder)) == len(asked)
    assert again["judge_cost_usd"] == 0
    for name in ("extract.judge", "order.judge"):
        assert f"warning: {name}: this judge is not calibrated" in done.stderr


def test_a_judge_among_a_steps_checks_stops_the_sample(tmp_path: Path) -> None:
    check = "judge: {rubric: It is right., model: strong, scale: pass/fail}"
    pipeline = PIPELINE.replace(
        "inputs.email}\n  order", f"inputs.email}}\n    checks: [{{{check}}}]\n    on_bad: stop\n  order", 1
    )
    verdict = '"pass" if case_id == "r-0002" else "fail"'
    with step_server() as (server, port):
        folder = workspace(tmp_path, port, "  - length: {min_chars: 1}\n", pipeline=pipeline, verdict=verdict)
        result = run(folder)

    assert (result["good"], result["bad"], server.count("reply")) == (1, 3, 1)
    assert result["judge_cost_usd"] > 0
    assert "warning: extract.judge" in evalh(folder, "run").stderr


def test_an_id_that_was_not_handed_in_fails_a_steps_check_and_the_suites_grader(tmp_path: Path) -> None:
    pipeline = PIPELINE.replace(
        "inputs: {email: inputs.email}\n  order",
        "inputs: {email: inputs.email, known: inputs.known}\n"
        "    checks: [{cites: {ids: order_id, of: inputs.known}}]\n    on_bad: stop\n  order",
        1,
    )
    suite = """  - cites: {quotes: $, in: order.state, required: false}
  - length: {min_chars: 1}
"""
    with step_server() as (server, port):
        server.wrong_extracts = frozenset({3})
        folder = workspace(tmp_path, port, suite, pipeline=pipeline)
        prompt = folder / "prompts/extract/v1.prompt"
        prompt.write_text(prompt.read_text().replace("email: {type: string}}", "email: {type: string}, known: {}}"))
        rows = [row(number) for number in range(1, 5)]
        for one in rows:
            one["inputs"] = {**one["inputs"], "known": [1, 2, 3, "4"]}  # type: ignore[dict-item]
        (folder / "datasets/refunds.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
        result = run(folder)

    told = {(case, grader): (outcome, reason) for case, grader, outcome, reason in verdicts(folder)}
    assert (result["good"], result["bad"]) == (3, 1)
    assert told["r-0003", "extract.cites"] == ("fail", "cites 1003, which is not in inputs.known")
    assert told["r-0004", "extract.cites"] == ("pass", "1 id, all found")
    assert told["r-0001", "cites"][0] == "fail"  # the output is not JSON
