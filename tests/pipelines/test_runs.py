"""A pipeline is run over a real server: what is asked, what is handed on, what is bad, what is reused."""

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from stepping import PIPELINE, SUITE, row, step_server, write_pipeline
from workspaces import document, evalh


def run(folder: Path, *options: str) -> dict[str, Any]:
    """Return the document of a run's only result."""
    result: dict[str, Any] = document(evalh(folder, "run", "--json", *options))["results"][0]
    return result


def steps_of(folder: Path, case: str) -> dict[str, dict[str, Any]]:
    """Return the newest run's steps of a case, from the log."""
    with closing(sqlite3.connect(folder / ".evalh/evalh.db")) as db:
        db.row_factory = sqlite3.Row
        rows = db.execute(
            "select * from steps where case_id = ? and run_id = (select max(id) from runs) order by position", (case,)
        )
        return {one["step"]: dict(one) for one in rows}


def test_each_step_is_asked_once_and_the_second_run_asks_nothing(tmp_path: Path) -> None:
    with step_server() as (server, port):
        folder = write_pipeline(tmp_path, port, cases=20)
        first = run(folder)
        asked = list(server.asked)
        second = run(folder)
    assert (first["good"], first["bad"], first["ungraded"]) == (20, 0, 0)
    assert (server.count("extract"), server.count("reply")) == (20, 20)
    assert server.asked == asked
    assert second["cost_usd"] == 0.0
    assert second["cached_cost_usd"] == pytest.approx(first["cost_usd"])
    assert second["good_rate"] == first["good_rate"]


def test_the_first_bad_step_and_the_steps_that_it_poisoned_are_named(tmp_path: Path) -> None:
    with step_server() as (server, port):
        server.wrong_extracts = frozenset({3, 5})
        server.wrong_replies = frozenset({7})
        result = run(write_pipeline(tmp_path, port, cases=10))
    by_step = {one["step"]: one for one in result["steps"]}
    assert (by_step["extract"]["bad"], by_step["extract"]["first_bad"]) == (2, 2)
    assert by_step["reply"]["first_bad"] == 1
    words = result["samples_by_word"]
    assert (words["clean"], words["poisoned"], words["failed at the end"]) == (7, 2, 1)


def test_what_the_next_step_cannot_take_is_the_producers_failure_and_ends_the_path(tmp_path: Path) -> None:
    typed = PIPELINE.replace("  order:\n", "  order:\n    when: extract.order_id > 0\n")
    with step_server() as (server, port):
        server.no_json = frozenset({4})
        folder = write_pipeline(tmp_path, port, cases=6, pipeline=typed)
        result = run(folder)
    assert (result["good"], result["bad"], result["ungraded"]) == (5, 1, 0)
    assert server.count("reply") == 5
    steps = steps_of(folder, "r-0004")
    assert steps["extract"]["grade"] == "bad"
    assert (steps["order"]["state"], steps["reply"]["state"]) == ("stopped", "stopped")


STOPPING = PIPELINE.replace(
    "    inputs: {email: inputs.email}\n  order",
    "    inputs: {email: inputs.email}\n    checks: [{not: {contains: '10'}}]\n    on_bad: POLICY\n  order",
)


@pytest.mark.parametrize(("policy", "replies", "bad"), [("stop", 9, 1), ("continue", 10, 1), ("review", 10, 1)])
def test_a_bad_step_does_what_its_policy_says(tmp_path: Path, policy: str, replies: int, bad: int) -> None:
    with step_server() as (server, port):
        server.wrong_extracts = frozenset({3})  # 1003
        pipeline = STOPPING.replace("POLICY", policy)
        folder = write_pipeline(tmp_path, port, cases=9, pipeline=pipeline)
        result = run(folder)
    assert server.count("extract") == 9
    assert server.count("reply") == replies - 1
    assert result["bad"] == bad
    explained = evalh(folder, "explain", env={**os.environ, "COLUMNS": "100"}).stdout
    stated = explained[explained.index("extract fails a check: not") :].splitlines()
    assert stated[2].strip() == "1 time"


def test_a_function_that_raises_makes_the_sample_ungraded_at_its_line(tmp_path: Path) -> None:
    with step_server() as (_, port):
        folder = write_pipeline(tmp_path, port, cases=4)
        (folder / "steps/orders.py").write_text("def find(order_id):\n    return {'id': order_id}['state']\n")
        done = evalh(folder, "run", "--json")
    assert done.returncode == 4
    assert document(done)["results"][0]["ungraded"] == 4
    assert "orders.py:2" in steps_of(folder, "r-0001")["order"]["reason"]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("return {1, 2}", "returned a value of type set"),
        ("return float('nan')", "returned nan"),
        ("return {'a': [object()]}", "returned a value of type object at a[0]"),
        ("return {1: 2}", "a key that is not text"),
        ("return 'x' * 30_000", "max_chars"),
        ("import time; time.sleep(20)", "no answer within 0.5 s"),
        ("raise SystemExit(3)", "SystemExit"),
        ("return 10**5000", "cannot be read as JSON: ValueError"),
        ("return type('D', (dict,), {'items': lambda self: 1 / 0})(a=1)", "JSON: ZeroDivisionError: division by zero"),
        ("raise type('E', (Exception,), {'__str__': lambda self: 1 / 0})", "orders.py:find: E (orders.py:2)"),
    ],
)
def test_a_result_that_is_not_json_or_never_returns_is_reported(tmp_path: Path, body: str, told: str) -> None:
    pipeline = PIPELINE.replace("orders.py:find\n", "orders.py:find\n    timeout_s: 0.5\n")
    with step_server() as (_, port):
        folder = write_pipeline(tmp_path, port, cases=1, pipeline=pipeline)
        (folder / "steps/orders.py").write_text(f"def find(order_id):\n    {body}\n")
        done = evalh(folder, "run", "--json")
    assert done.returncode == 4
    assert told in steps_of(folder, "r-0001")["order"]["reason"]


def test_a_step_that_failed_is_not_listed_as_never_reached(tmp_path: Path) -> None:
    with step_server() as (_, port):
        folder = write_pipeline(tmp_path, port, cases=1)
        (folder / "steps/orders.py").write_text("def find(order_id):\n    raise KeyError(order_id)\n")
        failed = evalh(folder, "run")
        (folder / "steps/orders.py").write_text("def find(order_id):\n    return {'id': order_id, 'state': ''}\n")
        edited = PIPELINE.replace("  reply:\n", "  reply:\n    when: order.state == 'late'\n")
        (folder / "prompts/refund/draft.pipeline.yaml").write_text(edited)
        skipped = evalh(folder, "run")
    assert failed.returncode == 4
    assert "never ran" not in failed.stdout
    assert "never ran" in skipped.stdout
    assert "reply: no case reached it" in skipped.stdout


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--model", "extract="], "--model 'extract=' has no value"),
        (["--given", "=expected"], "--given '=expected' has no step"),
        (["--step", "reply=v1", "--step", "reply=draft"], "--step names the step 'reply' twice: v1 and draft"),
        (["--model", "order=small"], "draft.pipeline.yaml:4: --model: 'order' is a function that does not ask a model"),
        (["--given", "order=expected"], "--given order=expected: no case has gold for 'order'"),
    ],
)
def test_options_that_do_not_fit_a_step_are_refused(tmp_path: Path, options: list[str], told: str) -> None:
    with step_server() as (server, port):
        done = evalh(write_pipeline(tmp_path, port, cases=1), "run", *options)
    assert (done.returncode, server.asked) == (2, [])
    assert told in done.stderr


def test_a_double_replaces_an_output_and_steps_that_only_it_reads_do_not_run(tmp_path: Path) -> None:
    with step_server() as (server, port):
        folder = write_pipeline(tmp_path, port, cases=4)
        lines = [row(1, given={"order": {"id": 1, "state": "lost"}}), row(2)]
        (folder / "datasets/refunds.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
        run(folder)
    assert server.count("extract") == 1
    assert any("lost" in said for step, said in server.asked if step == "reply")
    assert steps_of(folder, "r-0001")["order"]["state"] == "given"


def test_gold_and_another_run_can_be_given(tmp_path: Path) -> None:
    with step_server() as (server, port):
        server.wrong_extracts = frozenset(range(1, 5))
        folder = write_pipeline(tmp_path, port, cases=4)
        wrong = run(folder)
        gold = run(folder, "--given", "extract=expected")
        again = run(folder, "--given", f"extract={wrong['run']}")
    assert [one["good"] for one in (wrong, gold, again)] == [0, 4, 0]
    assert server.count("extract") == 4
    assert gold["fingerprint"] != wrong["fingerprint"]


def test_a_version_with_another_step_and_a_prompt_that_became_a_pipeline_can_be_compared(tmp_path: Path) -> None:
    suite = SUITE.replace("step_graders:\n  extract: [{equals: {path: order_id, expected: order_id}}]\n", "")
    with step_server() as (_, port):
        folder = write_pipeline(tmp_path, port, cases=4, suite=suite)
        prompts = folder / "prompts"
        (prompts / "refund/v1.prompt").write_text((prompts / "extract/v1.prompt").read_text())
        pinned = PIPELINE.replace("inputs: {email: inputs", "prompt: extract@v1\n    inputs: {email: inputs", 1)
        shorter = pinned.partition("  reply:")[0]
        (prompts / "refund/v2.pipeline.yaml").write_text(shorter)
        became = evalh(folder, "compare", "--json", "refund@v1", "refund@draft")
        longer = evalh(folder, "compare", "--json", "refund@v2", "refund@draft")
    for done in (became, longer):
        assert "not comparable" not in done.stdout + done.stderr
        assert document(done)["mismatches"] == []


def test_the_version_and_model_of_one_step_can_be_replaced(tmp_path: Path) -> None:
    with step_server() as (server, port):
        folder = write_pipeline(tmp_path, port, cases=2)
        (folder / "prompts/reply/v2.prompt").write_text(
            (folder / "prompts/reply/v1.prompt").read_text().replace("Answer the mail", "Answer it")
        )
        config = (folder / "evalh.toml").read_text()
        (folder / "evalh.toml").write_text(config + config.partition("\n\n")[2].replace("small", "strong"))
        run(folder, "--step", "reply=v1")
        done = run(folder, "--step", "reply=v2", "--model", "reply=strong")
    assert done["prompt"] == "refund@draft[reply@v2]"
    assert (server.count("extract"), server.count("reply")) == (2, 4)


@pytest.mark.parametrize("policy", ["continue", "stop", "review"])
def test_no_byte_of_what_is_expected_is_in_any_request(tmp_path: Path, policy: str) -> None:
    bodies: list[list[bytes]] = []
    for secret in ("zebra-quartz", "violet-anvil"):
        with step_server() as (server, port):
            pipeline = STOPPING.replace("POLICY", policy)
            server.wrong_extracts = frozenset({2})
            folder = write_pipeline(tmp_path / secret, port, cases=1, pipeline=pipeline)
            rows = [row(number) for number in range(1, 4)]
            for one in rows:
                one["expected"] = {"says": secret, "steps": {"extract": {"order_id": secret}, "reply": secret}}
            (folder / "datasets/refunds.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
            run(folder, "--concurrency", "1")
            bodies.append(sorted(server.bodies))
            assert not any(secret.encode() in body for body in server.bodies)
    assert bodies[0] == bodies[1]


def test_samples_that_began_are_finished_before_others_begin(tmp_path: Path) -> None:
    with step_server() as (server, port):
        run(write_pipeline(tmp_path, port, cases=20), "--concurrency", "2")
    steps = [step for step, _ in server.asked]
    assert steps.index("reply") < 6  # not all of `extract` first


def test_graders_cost_nothing_if_a_run_ends_within_a_sample(tmp_path: Path) -> None:
    with step_server() as (server, port):
        folder = write_pipeline(tmp_path, port, cases=3)
        result = run(folder, "--budget", "0.0003")
        assert len(server.asked) == 1
    assert result["cost_usd"] > 0
    assert result["judge_cost_usd"] == 0


def test_versions_with_other_steps_share_a_suite(tmp_path: Path) -> None:
    with step_server() as (_, port):
        folder = write_pipeline(tmp_path, port, cases=4)
        (folder / "prompts/refund/v1.prompt").write_text("STEP reply. {{email}} -- {}")
        short = (
            "steps:\n  reply: {prompt: reply@v1, inputs: {email: inputs.email, order: {value: {id: 1, state: late}}}}\n"
        )
        (folder / "prompts/refund/v2.pipeline.yaml").write_text(short)
        done = evalh(folder, "compare", "refund@v2", "refund@draft", "--json")
    assert done.returncode in (0, 3, 4), done.stderr
    assert document(done)["comparable"] is True
