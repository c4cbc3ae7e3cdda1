"""Routes while things go wrong around them: short outages, slow deaths, interruptions, kills under faults."""

import signal
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from faults.dialects import ANSWER_USD, ANTHROPIC, OPENAI, act, slow
from faults.fault_server import Act, Asked, FaultServer, How, fault_server
from faults.running import EVERY_KIND, decisions, here, rows, run, start, two_models, until, workspace
from hanging import WAIT_S
from workspaces import label_of

CASCADE = 'cascade = {checks = ["schema"], escalate_to = "strong"}'
PATIENT = f"retry = {{attempts = 14, base_s = 0.002, cap_s = 0.02, share = 2.0, on = {EVERY_KIND}}}"
FALLBACK = 'model = "small"\nfallback = ["strong"]'
PATIENT_CASCADE = f'model = "small"\n{PATIENT}\n{CASCADE}'


def good_of(cases: int) -> int:
    return sum("billing" in label_of(str(number)) for number in range(1, cases + 1))


def shaky(asked: Asked) -> Act:
    """Three of ten requests fail; the cheap model answers every third case well."""
    dice = Random(f"{asked.model}/{asked.case}/{asked.nth}")
    if dice.random() < 0.3:
        return dice.choice([OPENAI.error("rate_limit"), OPENAI.error("overload"), Act(how=How.RESET), Act(body=b"{")])
    vague = asked.model == "cheap-1" and int(asked.case[2:]) % 3
    return OPENAI.answer("maybe") if vague else OPENAI.right(asked)


@pytest.mark.parametrize("concurrency", ["32", "2"])
def test_an_outage_of_seconds_is_waited_out_and_nothing_is_missing(tmp_path: Path, concurrency: str) -> None:
    cases = 150
    route = 'model = "small"\nretry = {attempts = 10, share = 5.0}\nbreaker = {min = 5, cooldown_s = 1}'
    with two_models(tmp_path, slow(OPENAI.right, 0.01), route, cases=cases) as (server, folder):
        outage = threading.Thread(target=_outage, args=(server, 50, 1.2))
        outage.start()
        done = run(folder, "--concurrency", concurrency)
        outage.join()

    assert (done.exit, done.result["status"], done.result["errors"]) == (0, "complete", {})
    assert done.result["good"] == good_of(cases)
    assert {one["kind"] for one in decisions(folder)} >= {"retry"}
    assert [one["kind"] for one in decisions(folder, "open", "close")][-1:] != ["open"]


def test_a_black_hole_with_another_model_behind_it_costs_one_timeout_and_no_more(tmp_path: Path) -> None:
    cases = 120
    route = 'model = "small"\nretry = {attempts = 1}\nfallback = ["strong"]'
    dead = OPENAI.unless("cheap-1", Act(how=How.HANG))
    with two_models(tmp_path, dead, route, cases=cases, more="timeout_s = 1\n") as (server, folder):
        began = time.monotonic()
        done = run(folder)
        seconds = time.monotonic() - began

    assert (done.exit, done.result["good"]) == (0, good_of(cases))
    assert server.count(model="cheap-1") < 60
    assert seconds < 30.0
    lost = rows(folder, "select cost_usd, estimated from attempts where model = 'small'")
    assert {row["estimated"] for row in lost} == {1}
    expected = cases * ANSWER_USD + sum(row["cost_usd"] for row in lost)
    assert done.result["cost_usd"] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("kind", ["refusal", "content_filter"])
def test_a_model_that_declines_leads_to_the_next_where_the_route_says_so(tmp_path: Path, kind: str) -> None:
    declined = OPENAI.refusal if kind == "refusal" else OPENAI.said("", "content_filter")
    routes = {"silent": FALLBACK, "careful": f'{FALLBACK}\nfallback_on = ["{kind}"]'}
    with two_models(tmp_path, OPENAI.unless("cheap-1", act(declined)), routes, cases=6) as (server, folder):
        silent = run(folder, model="silent").result
        done = run(folder).result

    assert (silent["good"], silent["bad"]) == (0, 6)
    assert done["good"] == 6
    assert [one["reason"] for one in decisions(folder, "fallback")] == [kind] * 6
    assert server.count(model="cheap-1") == 6  # what was declined for one route is known to the other
    assert done["cached_cost_usd"] == done["cost_usd"] == pytest.approx(6 * ANSWER_USD, rel=1e-9)


def test_a_refused_key_leads_to_the_next_model_and_stops_nothing(tmp_path: Path) -> None:
    with two_models(tmp_path, OPENAI.unless("cheap-1", OPENAI.error("auth")), FALLBACK, cases=20) as (server, folder):
        done = run(folder)

    assert (done.exit, done.result["status"], done.result["good"]) == (0, "complete", good_of(20))
    assert set(server.cases(model="cheap-1").values()) == {1}


@pytest.mark.parametrize(
    ("refused", "temperatures"),
    [('seed = "null"', [0, 0.7, 0.8]), ('seed = "null", temperature = "null"', [None])],
    ids=["no seed", "neither"],
)
def test_a_repair_varies_what_the_model_takes_and_asks_no_more_where_that_is_nothing(
    tmp_path: Path, refused: str, temperatures: list[float | None]
) -> None:
    with fault_server(lambda _: ANTHROPIC.answer("maybe")) as server:
        config = ANTHROPIC.config(server.port, more=f"params = {{{refused}}}\n")
        route = 'model = "small"\nrepair = {checks = ["schema"], by = "vary", attempts = 2}'
        folder = workspace(tmp_path, {"small": config}, {"careful": route}, cases=1)
        done = run(folder)

    assert [one.document.get("temperature") for one in server.asked] == temperatures
    assert (done.exit, done.result["bad"], done.result["errors"]) == (0, 1, {})
    assert decisions(folder)[-1]["kind"] == "unrepaired"


def test_fresh_asks_a_whole_route_again_and_the_newest_answer_counts(tmp_path: Path) -> None:
    with two_models(tmp_path, shaky, PATIENT_CASCADE, cases=12) as (server, folder):
        run(folder)
        first = len(_answers(folder))
        again = run(folder, "--fresh").result
        asked = len(server.asked)
        third = run(folder).result

    (stored,) = rows(folder, "select count(*) as n from attempts where status = 'ok'")
    assert stored["n"] == 2 * first
    assert (again["cache_hits"], third["cache_hits"], len(server.asked)) == (0, 12, asked)
    used = rows(folder, f"select answered_by from samples where run_id = '{third['run']}'")
    assert all(row["answered_by"].startswith(f"{again['run']}:") for row in used)


def test_trials_of_one_case_are_answers_of_their_own(tmp_path: Path) -> None:
    with two_models(tmp_path, shaky, PATIENT_CASCADE, cases=6) as (server, folder):
        one = run(folder).result
        three = run(folder, "--trials", "3").result
        asked = len(server.asked)
        again = run(folder, "--trials", "3").result

    assert (one["samples"], three["samples"], three["cache_hits"]) == (6, 18, 6)
    assert (again["cache_hits"], len(server.asked)) == (18, asked)


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_ends_a_run_that_waits_for_its_provider_and_its_lost_requests_are_paid(
    tmp_path: Path, sign: int
) -> None:
    def script(asked: Asked) -> Act:
        return OPENAI.right(asked) if asked.number <= 10 else Act(how=How.HANG)

    with two_models(tmp_path, script, 'model = "small"', cases=40) as (server, folder):
        process = _process(folder, "--concurrency", "4")
        until(lambda: len(server.asked) >= 14)
        until(lambda: rows(folder, "select 1 from attempts where status = 'ok' limit 10 offset 9"))
        process.send_signal(sign)
        _, err = process.communicate(timeout=WAIT_S)

    assert process.returncode == 130, err
    (paid,) = rows(folder, "select sum(cost_usd) as usd, count(*) as n from attempts")
    (lost,) = rows(folder, "select count(*) as n, min(cost_usd) as usd from attempts where status = 'interrupted'")
    (told,) = rows(
        folder, "select json_extract(summary, '$.cost_usd') as usd, json_extract(summary, '$.attempts') as n from runs"
    )
    assert (lost["n"], paid["n"]) == (4, 14)
    assert lost["usd"] > ANSWER_USD
    assert float(told["usd"]) == pytest.approx(paid["usd"], rel=1e-9)
    assert told["n"] == 14


def test_a_cascade_killed_again_and_again_under_faults_asks_for_no_stored_answer_again(tmp_path: Path) -> None:
    cases, rng = 90, Random(20261124)
    with two_models(tmp_path, slow(shaky, 0.05), PATIENT_CASCADE, cases=cases) as (server, folder):
        for _ in range(6):
            known, so_far = _answers(folder), len(server.asked)
            process = _process(folder, "--concurrency", "4")
            _kill_after(process, server, so_far + 20, rng.uniform(0.0, 0.3))
            process.communicate(timeout=10)
            assert not known & {(one.model, one.case) for one in server.asked[so_far:]}
        known, so_far = _answers(folder), len(server.asked)
        done = run(folder).result
        assert not known & {(one.model, one.case) for one in server.asked[so_far:]}
        asked = len(server.asked)
        again = run(folder).result
        assert len(server.asked) == asked

    assert 20 < len(known) < cases + cases * 2 // 3
    assert (done["samples"], done["good"], done["errors"]) == (cases, good_of(cases), {})
    assert again["cache_hits"] == cases
    assert again["good"] == done["good"]
    who = rows(
        folder,
        f"select s.case_id, a.model from samples s join attempts a on a.id = s.answered_by where s.run_id = '{done['run']}'",
    )
    assert {row["case_id"] for row in who if row["model"] == "small"} == {f"t-{n:04d}" for n in range(3, cases + 1, 3)}


@pytest.mark.parametrize("bound", ["usd_per_case = 0.00015", "tokens_per_run = 4000"])
def test_the_other_budgets_hold_at_the_servers_own_count(tmp_path: Path, bound: str) -> None:
    route = f'model = "small"\n{PATIENT}\n{CASCADE}\nbudget = {{{bound}}}'
    with two_models(tmp_path, shaky, route, cases=200) as (server, folder):
        done = run(folder)

    worked = [one for one in server.asked if shaky(one).status == 200]
    assert done.exit == 4
    if bound.startswith("usd"):
        costs = rows(folder, "select call_id, sum(cost_usd) as usd from attempts group by call_id")
        assert max(row["usd"] for row in costs) <= 0.00015
        assert done.result["status"] == "complete"
        assert set(done.result["errors"]) == {"budget"}
        assert 0 < done.result["errors"]["budget"] < 200
    else:
        assert 0 < len(worked) * 28 <= 4000
        assert done.result["status"] == "stopped"


def test_a_server_that_ends_the_connection_with_every_answer_costs_no_attempt(tmp_path: Path) -> None:
    last = {"Connection": "close"}
    with two_models(
        tmp_path, lambda asked: replace(OPENAI.right(asked), how=How.LAST, headers=last), 'model = "small"', cases=300
    ) as (server, folder):
        done = run(folder)

    assert (done.exit, done.result["good"]) == (0, good_of(300))
    assert (len(server.asked), server.connections) == (300, 300)


def test_what_went_wrong_can_be_asked_for(tmp_path: Path) -> None:
    with two_models(tmp_path, shaky, PATIENT_CASCADE, cases=12) as (_, folder):
        run(folder)
        shown = [here(folder, "calls", which, "--json") for which in ("--errors", "--retried")]
        case = here(folder, "show", "t-0001")
        explained = here(folder, "explain", "careful")

    assert [one.exit for one in shown] == [0, 0]
    assert all('"overload"' in one.out or '"network"' in one.out for one in shown)
    assert (case.exit, explained.exit) == (0, 0)
    assert "or 5 in a row while nothing was answered for 10 s" in " ".join(explained.out.split())


def _answers(folder: Path) -> set[tuple[str, str]]:
    """The answers that are stored, by the model's name on the wire and the case."""
    if not (folder / ".evalh/evalh.db").exists():
        return set()
    wire = {"small": "cheap-1", "strong": "strong-1"}
    found = rows(folder, "select id, model, case_id from attempts where status = 'ok'")
    return {(wire[row["model"]], row["case_id"]) for row in found}


def _outage(server: FaultServer, begins: int, lasts_s: float) -> None:
    until(lambda: len(server.asked) >= begins)
    server.stop()
    time.sleep(lasts_s)
    server.start()


def _process(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    return start(folder, "run", "--model", "careful", "--json", *arguments)


def _kill_after(process: "subprocess.Popen[str]", server: FaultServer, number: int, pause_s: float) -> None:
    until(lambda: len(server.asked) > number or process.poll() is not None)
    time.sleep(pause_s)
    process.kill()
