"""No number says 0 where nothing is known, and none counts what was not done."""

import json
from pathlib import Path
from typing import Any

import pytest

from evalh.api.workspace import Workspace
from evalh.core.errors import ExitCode
from faults.dialects import OPENAI
from faults.fault_server import Act, Asked
from faults.running import here, rows, run, served, workspace
from gating import Repo
from stepping import step_server, write_pipeline
from workspaces import chat_server, write_workspace

CASCADE = """model = "small"
cascade = {checks = [{contains = {value = "never said"}}], escalate_to = "strong"}
"""
BILLING = 'provider = "scripted"\nmodel = "{name}-1"\ndefault = \'{{"label": "billing"}}\'\nprice = {{input = 1, output = 2}}\n'


@pytest.fixture
def routed(tmp_path: Path) -> Path:
    models = {name: BILLING.format(name=name) for name in ("small", "strong")}
    return workspace(tmp_path, models, {"careful": CASCADE}, cases=6)


def explained(folder: Path) -> dict[str, Any]:
    decisions = json.loads(here(folder, "explain", "careful", "--json").out)["routes"][0]["decisions"]
    (found,) = (one for one in decisions if one["then"].startswith("strong "))
    return dict(found)


def test_a_route_whose_parts_the_log_answered_asked_nobody(routed: Path) -> None:
    run(routed, model="small")
    run(routed, model="strong")
    done = here(routed, "run", "--model", "careful")

    assert "6: 0 asked, 6 answered by the log · 0 attempts" in done.out
    assert "the log's answers cost $0.000" in done.out
    shown = here(routed, "explain", "careful").out
    assert "last 1 run: 0 calls sent, 6 answered by the log" in " ".join(shown.split())


def test_escalations_that_the_log_answered_are_told_at_what_they_had_cost(routed: Path) -> None:
    bought = run(routed, model="careful").result["cost_usd"]
    first = explained(routed)
    for name in ("small", "strong"):
        run(routed, model=name)
    spent = rows(routed, "select sum(cost_usd) as usd from attempts where reason = 'escalation'")[0]["usd"]
    assert (first["taken"], first["replayed"]) == (6, 0)
    assert first["cost_usd"] == pytest.approx(spent)
    assert bought > spent

    other = (routed / "evalh.toml").read_text() + CASCADE.replace("never said", "nor this").join(
        ("[routes.again]\n", "")
    )
    (routed / "evalh.toml").write_text(other)
    run(routed, model="again")
    decisions = json.loads(here(routed, "explain", "again", "--json").out)["routes"][0]["decisions"]
    (replayed,) = (one for one in decisions if one["then"].startswith("strong "))

    assert (replayed["taken"], replayed["replayed"]) == (6, 6)
    assert replayed["replayed_usd"] == pytest.approx(spent)
    told = " ".join(here(routed, "explain", "again").out.split())
    assert "6 times · all answered by the log, $0.000" in told
    assert "6 times · $0.00 " not in told


def test_of_a_run_in_which_nothing_was_graded_no_rate_is_known(tmp_path: Path) -> None:
    with served(tmp_path, lambda _: Act(status=400, body=b"{}"), cases=2) as (_, folder):
        done = run(folder, "--at-least", "0.5", model="small")
        told = here(folder, "run", "--model", "small")
        runs = [row["id"] for row in rows(folder, "select id from runs order by started_at")]
        compared = here(folder, "compare", *runs[-2:], "--json")

    assert done.exit == ExitCode.CANNOT_MEASURE
    assert done.result["good_rate"] == {"value": None, "low": None, "high": None, "method": "ungraded"}
    assert "unknown: no sample was graded" in told.out
    assert "0.0 %" not in told.out
    assert rows(folder, "select good_rate, good from cost_per_good")[0] == {"good_rate": None, "good": 0}
    assert json.loads(compared.out)["sides"]["head"]["good_rate"]["value"] is None
    assert here(folder, "report", "last", "-o", str(folder / "page.html")).exit == 0


def test_a_run_without_an_answer_says_nothing_of_what_a_side_costs(tmp_path: Path) -> None:
    folder = write_workspace(tmp_path, cases=20)
    priced = BILLING.format(name="small")
    config = (folder / "evalh.toml").read_text().partition("[models.small]")[0] + f"[models.small]\n{priced}"
    dead = config.replace('default = \'{"label": "billing"}\'', 'function = "evals/answers.py:down"')
    (folder / "evals/answers.py").write_text("def down(request, case_id, trial):\n    raise ValueError('down')\n")
    told = []
    for text in (dead, config, dead):
        (folder / "evalh.toml").write_text(text)
        here(folder, "run", "--fresh")
        told.append(json.loads(here(folder, "power", "--json").out)["cost_usd"])

    assert told[0] is None
    assert told[1] > 0
    assert told[2] == told[1]


def test_one_graded_sample_makes_a_rate_with_the_ungraded_in_its_denominator(tmp_path: Path) -> None:
    def once(asked: Asked) -> Act:
        return OPENAI.right(asked) if asked.case.endswith("1") else Act(status=400, body=b"{}")

    with served(tmp_path, once, cases=2) as (_, folder):
        result = run(folder, model="small").result

    assert result["ungraded"] == 1
    assert result["good_rate"]["value"] == 0.5


def test_what_stopping_early_saved_leaves_out_what_the_log_holds(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo")
    repo.prompt(wrong=2)
    repo.commit()
    (first,) = repo.gate().suites
    assert first.saved == 2 * (first.of - first.stopped_at)

    Workspace.open(repo.folder).run("triage", prompt="main:triage")
    repo.prompt(wrong=3)
    repo.commit()
    (second,) = repo.gate().suites

    assert second.saved == second.of - second.stopped_at > 0


def test_a_stored_runs_numbers_stay_whatever_is_asked_again(routed: Path) -> None:
    result = run(routed, model="strong").result
    stored = here(routed, "show", result["run"]).out
    view = rows(routed, f"select * from cost_per_good where run_id = '{result['run']}'")

    (routed / "evalh.toml").write_text((routed / "evalh.toml").read_text().replace("input = 1,", "input = 50,"))
    run(routed, "--fresh", model="careful")
    replayed = run(routed, model="strong").result

    assert here(routed, "show", result["run"]).out == stored
    assert rows(routed, f"select * from cost_per_good where run_id = '{result['run']}'") == view
    # A replay takes the newest answers, and counts those: text, cost and latency of one and the same call.
    used = rows(
        routed,
        "select sum(a.cost_usd) as usd from samples s join attempts a on a.id = s.answered_by"
        f" where s.run_id = '{replayed['run']}'",
    )
    assert replayed["cached_cost_usd"] == pytest.approx(used[0]["usd"])


def test_a_budget_that_lets_nothing_through_says_so(tmp_path: Path) -> None:
    with chat_server() as (server, model):
        folder = write_workspace(tmp_path, cases=3, model=model)
        done = here(folder, "run", "--budget", "0.00002")

    assert done.exit == ExitCode.CANNOT_MEASURE
    assert "$0.00 of $0.00002 spent, and another attempt could cost $0.000" in " ".join(done.out.split())
    assert "with an answer as long as max_tokens allows" in " ".join(done.out.split())
    assert server.asked == []


def test_a_plan_says_why_its_costs_are_upper_bounds(tmp_path: Path) -> None:
    told = "upper bounds: a token for each byte, answers as long as max_tokens allows"
    with chat_server() as (_, model):
        folder = write_workspace(tmp_path / "plain", cases=3, model=model)
        planned = here(folder, "run", "--dry-run")
        assert here(folder, "run").exit == ExitCode.YES
        answered = here(folder, "run", "--dry-run")
    with step_server() as (_, port):
        steps = here(write_pipeline(tmp_path / "steps", port, cases=3), "run", "--dry-run")

    assert f"{told}; at most: every retry, too" in " ".join(planned.out.split())
    assert "upper bounds" not in answered.out  # nothing is left to ask, at no cost
    assert f"{told}, outputs of functions as long as max_chars allows; at most:" in " ".join(steps.out.split())


def test_a_purpose_without_a_price_is_no_zero_on_the_bill(tmp_path: Path) -> None:
    with chat_server() as (_, model):
        folder = write_workspace(tmp_path, cases=3, model=model.split("price")[0])
        suite = folder / "evals/triage.yaml"
        suite.write_text(suite.read_text() + "  - self_critique: {critics: 1, required: false, model: small}\n")
        here(folder, "run", "--json")
    (line,) = json.loads(here(folder, "cost", "--json").out)["lines"]

    assert set(line["by_purpose"].values()) == {None}
    assert "$0.00 " not in here(folder, "cost").out.splitlines()[1].rpartition("not priced")[0]
