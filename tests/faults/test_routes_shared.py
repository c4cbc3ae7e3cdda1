"""What all models of a run share: its retries, its deadline, what was refused, and the window that a person sees."""

from pathlib import Path

from evalh.cli.progress import Line
from faults.dialects import OPENAI, slow
from faults.fault_server import Act, Asked
from faults.running import here, rows, run, two_models
from hanging import WAIT_S, comes_back

CASES = 30
CHAIN = 'model = "small"\nfallback = ["strong"]\nretry = {attempts = 2, base_s = 0.002, cap_s = 0.01}\n'


def asked_of(folder: Path, model: str) -> int:
    return rows(folder, f"select count(*) as n from attempts where model = '{model}'")[0]["n"]


def test_a_first_model_that_refuses_its_key_is_asked_once_and_the_run_goes_on(tmp_path: Path) -> None:
    with two_models(tmp_path, OPENAI.unless("cheap-1", OPENAI.error("auth")), CHAIN, cases=CASES) as (_, folder):
        done = run(folder, "--concurrency", "1")

    assert done.exit == 0
    assert (asked_of(folder, "small"), asked_of(folder, "strong")) == (1, CASES)


def test_a_last_model_that_refuses_its_key_does_not_end_a_run_whose_first_is_well(tmp_path: Path) -> None:
    def script(asked: Asked) -> Act:
        if asked.model == "strong-1":
            return OPENAI.error("auth")
        return OPENAI.error("overload") if asked.case == "t-0002" else OPENAI.right(asked)

    with two_models(tmp_path, script, CHAIN, cases=CASES) as (_, folder):
        done = run(folder, "--concurrency", "1")

    assert done.result["samples"] == CASES
    assert done.result["ungraded"] == 1


def test_a_chain_whose_models_all_refuse_ends_the_run(tmp_path: Path) -> None:
    with two_models(tmp_path, OPENAI.always("auth"), CHAIN, cases=CASES) as (server, folder):
        done = run(folder, "--concurrency", "1")

    assert done.exit == 4
    assert len(server.asked) == 2


def test_retries_are_counted_over_all_models_of_a_run(tmp_path: Path) -> None:
    route = CHAIN.replace("attempts = 2", "attempts = 2, share = 0.0") + "breaker = false\n"
    with two_models(tmp_path, OPENAI.always("overload"), route, cases=CASES) as (_, folder):
        run(folder, "--concurrency", "1")

    retries = rows(folder, "select count(*) as n from attempts where reason = 'retry'")[0]["n"]
    assert retries == 10


def test_a_deadline_cuts_off_what_is_in_flight_and_counts_it_as_reserved(tmp_path: Path) -> None:
    route = 'model = "small"\nbudget = {deadline_s = 0.5}\n'
    with two_models(tmp_path, slow(OPENAI.right, 2 * WAIT_S), route, cases=CASES) as (_, folder), comes_back():
        done = run(folder, "--concurrency", "4")

    assert done.exit == 4
    cut = rows(folder, "select status, estimated, cost_usd from attempts")
    assert [(row["status"], row["estimated"], row["cost_usd"] > 0) for row in cut] == [("interrupted", 1, True)] * 4


def test_a_window_that_shrinks_and_recovers_is_told_once_each(tmp_path: Path) -> None:
    def script(asked: Asked) -> Act:
        return OPENAI.error("rate_limit") if asked.number in {5, 90} else OPENAI.right(asked)

    with two_models(tmp_path, script, {}, cases=150) as (_, folder):
        done = here(folder, "run", "--model", "small", "--concurrency", "4")

    told = [line for line in done.err.splitlines() if "window" in line]
    assert told == ["small: window 2 of 4: 429 from openai", "small: window 4 of 4 again"]


def test_the_live_line_shows_what_is_waited_for_while_it_is() -> None:
    line = Line(live=True)
    line.start("triage", 10)
    line.waiting(0.0, "rate limit of openai:other")
    line.waiting(3.7, "rate limit of openai:gpt-5\x1b[2J")
    shown = line.text(1.0)
    line.waiting(125.0, "rate limit of openai:gpt-5")

    assert "waiting 4 s: rate limit of openai:gpt-5" in shown
    assert "\x1b" not in shown
    assert "waiting 2:05: rate limit" in line.text(1.0)
    assert "other" not in shown


def test_the_live_line_shows_the_window_and_why_it_shrank() -> None:
    line = Line(live=True)
    line.start("triage", 10)
    line.window("small", 64, 256, "429 from openai")
    narrow = line.text(1.0)
    line.window("small", 256, 256, "429 from openai")

    assert "window 64 of 256 (429 from openai 0 s ago)" in narrow
    assert "window" not in line.text(1.0)
