"""What a pipeline's run leaves in the log: a recording that replays, and money that adds up."""

from pathlib import Path
from typing import Any

import pytest

from pipelines.test_runs import run
from stepping import PIPELINE, step_server, write_pipeline
from workspaces import document, evalh

ASKING = '''import json


async def find(order_id, ctx):
    """Ask `reply` for two drafts, one of them twice, and for another draw."""
    said = []
    for state, draw in (("sent", 0), ("late", 0), ("sent", 0), ("sent", 1)):
        order = {"id": order_id, "state": state}
        said.append(await ctx.ask("reply", {"email": f"order {order_id}", "order": order}, draw=draw))
    return {"id": order_id, "state": "late", "said": said}
'''


def rows(folder: Path, sql: str) -> list[list[Any]]:
    """Return what a person's SQL finds."""
    found: list[list[Any]] = document(evalh(folder, "sql", sql, "--json"))["rows"]
    return found


def test_a_recorded_pipeline_replays_with_all_that_its_functions_asked(tmp_path: Path) -> None:
    with step_server() as (server, port):
        server.wrong_extracts = frozenset({3})
        folder = write_pipeline(tmp_path, port, cases=6)
        (folder / "steps/orders.py").write_text(ASKING)
        bought = run(folder)
        asked = len(server.asked)
    done = evalh(folder, "export", "recorded", "-o", str(folder / "recorded/refund.jsonl"))
    config = (folder / "evalh.toml").read_text()
    recorded = '\n[models.recorded]\nprovider = "replay"\npath = "recorded/refund.jsonl"\n'
    (folder / "evalh.toml").write_text(config + recorded)

    replayed = run(folder, "--model", "recorded")

    assert (bought["good"], bought["bad"]) == (5, 1)
    assert asked == 5 * 6, "extract, three of the function's four questions, reply"
    assert f"{asked} answers" in done.stdout
    for key in ("good", "bad", "ungraded", "steps", "samples_by_word"):
        mine, theirs = replayed[key], bought[key]
        if key == "steps":
            mine, theirs = ([[one["step"], one["good"], one["bad"]] for one in each] for each in (mine, theirs))
        assert mine == theirs, key
    outputs = rows(folder, "select step, case_id, output, count(*) from steps group by 1, 2, 3")
    assert {count for *_, count in outputs} == {2}, "both runs handed on the same"


def test_money_spent_after_bad_steps_adds_up_to_the_runs_total(tmp_path: Path) -> None:
    with step_server() as (server, port):
        server.wrong_extracts = frozenset({2, 5, 7})
        server.wrong_replies = frozenset({8})
        folder = write_pipeline(tmp_path, port, cases=10)
        told = run(folder)

    ((summed, samples),) = rows(folder, "select sum(downstream_usd), count(*) from poisoned_samples")
    words = rows(folder, "select word, count(*) from poisoned_samples group by 1 order by 1")

    assert summed == pytest.approx(told["faults"]["after_bad"]["usd"])
    assert summed > 0
    assert samples == 4
    assert words == [["failed at the end", 1], ["poisoned", 3]]


def test_a_real_run_has_a_waterfall_and_its_document(tmp_path: Path) -> None:
    with step_server() as (server, port):
        server.wrong_extracts = frozenset({2})
        folder = write_pipeline(tmp_path, port, cases=3, pipeline=PIPELINE)
        told = run(folder)

    shown = evalh(folder, "show", "r-0002").stdout
    one = document(evalh(folder, "show", f"{told['run']}/r-0002/0", "--json"))["sample"]

    assert "poisoned: `extract` was bad first" in shown
    assert "handed in  order_id  1002" in shown
    assert [step["step"] for step in one["sample"]["steps"]] == ["extract", "order", "reply"]
    assert [step["reads"] for step in one["asked"]] == [[], ["extract"], ["order"]]
