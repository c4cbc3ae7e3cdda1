"""The bill adds up to what the server answered, whatever it is split by."""

import json
from pathlib import Path
from typing import Any

import pytest

from faults.dialects import ANSWER_USD, OPENAI
from faults.fault_server import Act, Asked, fault_server
from faults.running import Done, here, rows, run, served, two_models, workspace

CASES = 12
PATIENT = 'model = "small"\nretry = {attempts = 3, on = ["bad_response"], base_s = 0.01, share = 2.0}\n'


def half_once(asked: Asked) -> Act:
    """Break off the first answer for every third case: it was written, so it is paid for."""
    right = OPENAI.right(asked)
    cut = Act(body=right.body[:-9])
    return cut if asked.nth == 1 and int(asked.case.partition("-")[2]) % 3 == 0 else right


@pytest.fixture
def billed(tmp_path: Path) -> Path:
    with served(tmp_path, half_once, PATIENT, cases=CASES) as (_, folder):
        assert run(folder).exit == 0
        assert run(folder).exit == 0  # answered from the log
    return folder


def lines(done: Done) -> list[dict[str, Any]]:
    assert done.exit == 0, done.err
    told: list[dict[str, Any]] = json.loads(done.out)["lines"]
    return told


@pytest.mark.parametrize(
    ("by", "group"),
    [("suite", "triage"), ("owner", "(no owner)"), ("model", "small"), ("purpose", "task"), ("version", "triage@v1")],
)
def test_however_it_is_split_it_is_the_same_bill(billed: Path, by: str, group: str) -> None:
    (line,) = lines(here(billed, "cost", "--by", by, "--json"))
    (spent,) = rows(billed, "select sum(cost_usd) as usd, count(*) as n from attempts")

    assert line["group"] == group
    assert line["attempts"] == spent["n"] == CASES + 4
    assert line["total_usd"] == line["by_purpose"]["task"] == pytest.approx(spent["usd"])
    assert line["retries_usd"] == line["by_reason"]["retry"] == pytest.approx(4 * ANSWER_USD)  # as many answers
    assert sum(line["by_reason"].values()) == pytest.approx(spent["usd"])
    assert line["from_log"] == CASES
    assert line["saved_usd"] == pytest.approx(spent["usd"])


def test_an_escalation_is_no_retry(tmp_path: Path) -> None:
    route = 'model = "small"\ncascade = {checks = ["schema"], escalate_to = "strong"}\n'
    with two_models(tmp_path, OPENAI.unless("cheap-1", OPENAI.answer("maybe")), route, cases=CASES) as (_, folder):
        assert run(folder).exit == 0
    (line,) = lines(here(folder, "cost", "--json"))
    (head, _) = here(folder, "cost").out.splitlines()
    (spent,) = rows(folder, "select sum(cost_usd) as usd from attempts where reason = 'escalation'")

    assert line["retries_usd"] == 0
    assert line["by_reason"].keys() == {"first", "escalation"}
    assert line["by_reason"]["escalation"] == pytest.approx(spent["usd"])
    assert head.split() == ["suite", "total", "escalations", "saved", "by", "the", "log", "attempts"]


def test_what_has_no_price_is_never_a_zero(tmp_path: Path) -> None:
    with fault_server(OPENAI.right) as server:
        config = OPENAI.config(server.port, model="nobody-knows").replace("price", "# price")
        folder = workspace(tmp_path, {"small": config}, {}, cases=CASES)
        assert run(folder, model="small").exit == 0
    (line,) = lines(here(folder, "cost", "--json"))

    assert (line["total_usd"], line["unpriced"]) == (None, CASES)
    assert "not priced" in here(folder, "cost").out
    assert f"{CASES} attempts have no price" in here(folder, "cost").out


def test_time_bounds_the_bill(billed: Path) -> None:
    for age in ("1h", "99999w"):
        assert len(lines(here(billed, "cost", "--since", age, "--json"))) == 1
    assert lines(here(billed, "cost", "--since", "2999-01-01", "--json")) == []


@pytest.mark.parametrize("since", ["a while", "30", "2026-13-01", "999999d"])
def test_a_time_that_is_none_says_how_to_write_one(billed: Path, since: str) -> None:
    done = here(billed, "cost", "--since", since)

    assert done.exit == 2
    assert "write 30d" in done.err
