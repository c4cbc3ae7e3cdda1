"""`compare` with a judge of two outputs over real sockets: asked once, in both orders, and never in the way."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from faults.dialects import ANSWER_USD, OPENAI
from faults.fault_server import Act, Asked, How, fault_server
from faults.running import Done, here, rows, two_versions

CASES = 21
SAME = 3  # every seventh output is the same in both versions
DIFFER = CASES - SAME
SUITE = """prompt: triage
dataset: triage
model: small
graders:
  - json
compare:
  - prefer: {rubric: The one that gives its reason., model: strong}
"""
ANSWERS = """import json


def answer(request, case_id, trial):
    label = {"label": "billing"}
    if "carefully" in request.messages[0].text and int(case_id.split("-")[1]) % 7:
        label["why"] = "an order"
    return json.dumps(label)
"""


def says(word: str) -> Act:
    return OPENAI.answer(json.dumps({"reason": "I read both.", "better": word}))


def reasoned_first(asked: Asked) -> bool:
    """Whether the output with a reason comes first."""
    text: str = asked.document["messages"][-1]["content"]
    return "why" in text[text.index("Output (a):") : text.index("Output (b):")]


def discerning(asked: Asked) -> Act:
    """Prefer the output with a reason, wherever it stands."""
    return says("a" if reasoned_first(asked) else "b")


def folder_for(tmp_path: Path, port: int, model: str = "") -> Path:
    return two_versions(tmp_path, SUITE, ANSWERS, model or OPENAI.config(port), cases=CASES)


def test_a_comparison_says_how_far_its_judge_of_two_outputs_is_held_against_people(tmp_path: Path) -> None:
    with fault_server(discerning) as server:
        folder = folder_for(tmp_path, server.port)
        never = json.loads(here(folder, "compare", "v1", "v2", "--json").out)
        assert here(folder, "calibrate", "prefer").exit == 0
        few = json.loads(here(folder, "compare", "v1", "v2", "--json").out)
        without = json.loads(here(folder, "compare", "v1", "v2", "--json", "--no-prefer").out)

    (one,), (other,) = never["judges"], few["judges"]
    assert (one["judge"], one["required"], one["calibration"]) == ("prefer", False, "never")
    assert one["relative"] == "prefer: this judge is not calibrated (evalh label triage; evalh calibrate prefer)"
    assert other["calibration"] == "few labels"
    assert never["judge_relative"] == without["judges"] == []


def told(done: Done) -> Any:
    assert done.exit == 0, done.err
    (one,) = json.loads(done.out)["preferred"]
    return one


def test_every_pair_that_differs_is_judged_in_both_orders_and_never_again(tmp_path: Path) -> None:
    with fault_server(discerning) as server:
        folder = folder_for(tmp_path, server.port)
        first = told(here(folder, "compare", "v1", "v2", "--json"))
        asked = len(server.asked)
        again = here(folder, "compare", "v1", "v2", "--json")
        assert len(server.asked) == asked == 2 * DIFFER

    assert (first["head"], first["base"], first["ties"], first["unjudged"]) == (DIFFER, 0, SAME, 0)
    assert (first["first"], first["second"], first["consistency"], first["position_p"]) == (0, 0, 1.0, None)
    assert first["p_value"] == pytest.approx(2 * 0.5**DIFFER)
    assert first["win_rate"] == pytest.approx((DIFFER + SAME / 2) / CASES)
    assert len(first["head_cases"]) == DIFFER
    assert first["judge_cost_usd"] == pytest.approx(asked * ANSWER_USD)
    second = told(again)
    assert (second["judge_cost_usd"], second["cached_cost_usd"]) == (0.0, pytest.approx(asked * ANSWER_USD))
    assert {**second, "judge_cost_usd": 0, "cached_cost_usd": 0} == {
        **first,
        "judge_cost_usd": 0,
        "cached_cost_usd": 0,
    }
    assert told(here(folder, "show", json.loads(again.out)["id"], "--json")) == second
    bought = rows(folder, "select count(*) as n, sum(cost_usd) as usd from attempts where purpose = 'judge'")[0]
    assert (bought["n"], bought["usd"]) == (asked, pytest.approx(asked * ANSWER_USD))
    lines = json.loads(here(folder, "cost", "--json").out)["lines"]
    assert sum(line["by_purpose"].get("judge") or 0 for line in lines) == pytest.approx(asked * ANSWER_USD)


def test_a_judge_that_goes_by_the_place_prefers_nothing_and_is_shown_to(tmp_path: Path) -> None:
    with fault_server(lambda _: says("a")) as server:
        folder = folder_for(tmp_path, server.port)
        one = told(here(folder, "compare", "v1", "v2", "--json"))
        shown = here(folder, "compare", "v1", "v2", "--examples", "0").out
        page = tmp_path / "page.html"
        compared = json.loads(here(folder, "compare", "v1", "v2", "--json").out)["id"]
        assert here(folder, "report", compared, "-o", str(page)).exit == 0

    assert (one["head"], one["base"], one["ties"]) == (0, 0, CASES)
    assert (one["first"], one["second"], one["consistency"]) == (DIFFER, 0, 0.0)
    assert (one["p_value"], one["unsteady"]) == (None, True)
    assert one["position_p"] == pytest.approx(2 * 0.5**DIFFER)
    assert f"the order decided on {DIFFER}: first {DIFFER}, second 0 · p < 0.0001" in shown
    assert "warning: the order of the outputs decides too often" in shown
    assert f"first {DIFFER}, second 0" in page.read_text()


OUTAGES: dict[str, Callable[[Asked], Act]] = {
    "reset": lambda _: Act(how=How.RESET),
    "refused key": lambda _: OPENAI.error("auth"),
    "says nothing readable": lambda _: OPENAI.answer("Both are nice."),
    "one order alone": lambda asked: says("a") if reasoned_first(asked) else OPENAI.error("overload"),
}


@pytest.mark.parametrize("outage", OUTAGES)
def test_a_judges_outage_leaves_pairs_unjudged_and_the_comparison_stands(tmp_path: Path, outage: str) -> None:
    with fault_server(OUTAGES[outage]) as server:
        folder = folder_for(tmp_path, server.port)
        done = here(folder, "compare", "v1", "v2", "--json", "--concurrency", "1")

    document, one = json.loads(done.out), told(done)
    assert (document["n"], document["comparable"], document["measured"]) == (CASES, True, True)
    assert (one["head"], one["base"], one["ties"], one["unjudged"]) == (0, 0, SAME, DIFFER)
    assert len(one["unjudged_cases"]) == DIFFER
    assert "strong" in one["why_unjudged"]
    assert "Traceback" not in done.err


def test_a_budget_bounds_the_judge_and_what_is_left_is_judged_later(tmp_path: Path) -> None:
    with fault_server(discerning) as server:
        folder = folder_for(tmp_path, server.port)
        config = folder / "evalh.toml"
        scripted = 'function = "evals/answers.py:answer"\n'
        config.write_text(
            config.read_text().replace(scripted, f"{scripted}price = {{input = 0.0001, output = 0.0001}}\n")
        )
        bounded = told(here(folder, "compare", "v1", "v2", "--json", "--budget", "0.0026", "--concurrency", "1"))
        assert 0 < bounded["unjudged"] < DIFFER
        assert bounded["judge_cost_usd"] <= 0.0026
        assert "was not asked" in bounded["why_unjudged"]
        whole = told(here(folder, "compare", "v1", "v2", "--json"))
        assert len(server.asked) == 2 * DIFFER
    assert (whole["head"], whole["unjudged"]) == (DIFFER, 0)


def test_no_prefer_asks_nobody_and_a_judge_that_cannot_be_bounded_is_refused_before_anything_is_asked(
    tmp_path: Path,
) -> None:
    with fault_server(discerning) as server:
        folder = folder_for(tmp_path, server.port, OPENAI.config(server.port).replace("price = ", "# price = "))
        refused = here(folder, "compare", "v1", "v2", "--budget", "1")
        assert (refused.exit, rows_or_none(folder)) == (2, 0)
        assert "cannot bound 'strong'" in refused.err
        assert json.loads(here(folder, "compare", "v1", "v2", "--json", "--no-prefer").out)["preferred"] == []
        assert not server.asked


def rows_or_none(folder: Path) -> int:
    return len(rows(folder, "select 1 from attempts")) if (folder / ".evalh/evalh.db").exists() else 0


def test_trials_of_one_case_are_one_case(tmp_path: Path) -> None:
    with fault_server(discerning) as server:
        folder = folder_for(tmp_path, server.port)
        one = told(here(folder, "compare", "v1", "v2", "--json", "--trials", "2"))
    assert (one["head"], one["ties"], one["unjudged"]) == (DIFFER, SAME, 0)
