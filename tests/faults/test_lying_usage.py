"""Money through the whole program: a server that lies about its tokens cannot outspend a budget."""

import json
import socket
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from faults.dialects import ANSWER_USD, DIALECTS, OPENAI, Dialect, act
from faults.fault_server import Act, Asked, How, fault_server
from faults.running import here, rows, run, served, workspace
from workspaces import label_of

CASES = 400
BUDGET = 0.004
CACHED = "price = {input = 0.25, output = 2.0, cached_input = 0.025}\n"
COUNTS: dict[str, tuple[str, ...]] = {
    "openai": ("prompt_tokens", "completion_tokens", "total_tokens"),
    "anthropic": ("input_tokens", "output_tokens", "total"),
    "gemini": ("promptTokenCount", "candidatesTokenCount", "totalTokenCount"),
    "responses": ("input_tokens", "output_tokens", "total_tokens"),
}
LIES: dict[str, dict[str, Any]] = {
    "more cached than read": {"cached": 20_000},
    "nothing read": {"read": 0, "total": 8},
    "nothing written": {"written": 0, "total": 20},
    "below nothing": {"read": -20_000, "written": -8000, "total": -28_000},
    "a part of a token": {"read": 0.9, "written": 0.9, "total": 1.8},
    "text": {"read": "20", "written": "8", "total": "28"},
    "more than there is": {"read": 1e30, "total": 1e30},
    "nothing at all": {"read": None, "written": None, "total": None},
}


def lying(dialect: Dialect, lie: dict[str, Any], asked: Asked) -> Act:
    document = dialect.said(label_of(asked.case), "stop")
    name = "usageMetadata" if dialect.kind == "gemini" else "usage"
    usage = dict(document[name])
    for key, field in zip(("read", "written", "total"), COUNTS[dialect.name], strict=True):
        if key in lie:
            usage[field] = lie[key]
    if "cached" in lie:
        usage |= {
            "openai": {"prompt_tokens_details": {"cached_tokens": lie["cached"]}},
            "anthropic": {
                "cache_creation": {"ephemeral_1h_input_tokens": lie["cached"]},
                "cache_creation_input_tokens": 1,
            },
            "gemini": {"cachedContentTokenCount": lie["cached"]},
            "responses": {"input_tokens_details": {"cached_tokens": lie["cached"]}},
        }[dialect.name]
    return act({**document, name: usage})


def config(dialect: Dialect, port: int) -> str:
    return dialect.config(port).replace("price = {input = 0.25, output = 2.0}\n", CACHED)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
@pytest.mark.parametrize("name", LIES)
def test_a_budget_trips_whatever_the_server_says_of_its_tokens(tmp_path: Path, dialect: Dialect, name: str) -> None:
    with fault_server(lambda asked: lying(dialect, LIES[name], asked)) as server:
        folder = workspace(tmp_path, {"small": config(dialect, server.port)}, {}, cases=CASES)
        done = run(folder, "--budget", str(BUDGET), model="small")
        told = here(folder, "cost", "--json")
        report = here(folder, "report", "-o", str(tmp_path / "report.html"))

    attempts = rows(folder, "select cost_usd, estimated, input_tokens, output_tokens from attempts")
    assert (done.exit, done.result["status"]) == (4, "stopped")
    assert "budget" in done.result["stopped_because"]
    assert 0 < len(server.asked) == len(attempts) < CASES
    assert done.result["good"] > 0  # the answers are kept
    assert {attempt["cost_usd"] for attempt in attempts} == {None}
    assert not any((attempt["input_tokens"] or 1) < 0 or (attempt["output_tokens"] or 1) < 0 for attempt in attempts)
    assert done.result["cost_usd"] is None
    (line,) = json.loads(told.out)["lines"]
    assert (line["total_usd"], line["unpriced"]) == (None, len(attempts))
    assert report.exit == 0


def test_reasoning_that_only_the_total_counts_is_paid_for(tmp_path: Path) -> None:
    def script(asked: Asked) -> Act:
        document = OPENAI.said(label_of(asked.case), "stop")
        return act(document | {"usage": {"prompt_tokens": 20, "completion_tokens": 8, "total_tokens": 1020}})

    with served(tmp_path, script, cases=4) as (_, folder):
        done = run(folder, model="small")

    assert done.result["cost_usd"] == pytest.approx(4 * (20 * 0.25e-6 + 1000 * 2.0e-6))
    assert rows(folder, "select distinct output_tokens from attempts") == [{"output_tokens": 1000}]


def nobody() -> int:
    """A port of this machine without a listener."""
    with closing(socket.socket()) as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@pytest.mark.parametrize("priced", [True, False], ids=["priced", "unpriced"])
def test_a_request_that_found_nobody_costs_nothing(tmp_path: Path, priced: bool) -> None:
    settings = OPENAI.config(nobody())
    folder = workspace(tmp_path, {"small": settings if priced else settings.replace("price", "# price")}, {}, cases=3)
    done = run(folder, model="small")

    attempts = rows(folder, "select error_kind, cost_usd, estimated from attempts")
    assert {attempt["error_kind"] for attempt in attempts} == {"network"}
    assert {(attempt["cost_usd"], attempt["estimated"]) for attempt in attempts} == {(0.0, 0)}
    assert done.result["cost_usd"] == 0.0


def test_one_failed_connection_does_not_make_a_run_unpriced(tmp_path: Path) -> None:
    """The fallback has a price; the model that never answers has none."""
    with fault_server(OPENAI.right) as server:
        models = {
            "small": OPENAI.config(server.port),
            "gone": OPENAI.config(nobody()).replace("price", "# price"),
        }
        routes = {"careful": 'model = "gone"\nretry = {attempts = 1}\nfallback = ["small"]\n'}
        folder = workspace(tmp_path, models, routes, cases=3)
        done = run(folder)

    assert (done.exit, done.result["good"]) == (0, 3)
    assert done.result["cost_usd"] == pytest.approx(3 * ANSWER_USD)


def test_what_broke_after_the_request_left_is_still_paid_for(tmp_path: Path) -> None:
    with served(tmp_path, lambda _: Act(how=How.RESET), cases=2) as (_, folder):
        done = run(folder, model="small")

    attempts = rows(folder, "select cost_usd, estimated from attempts")
    assert {attempt["estimated"] for attempt in attempts} == {1}
    assert min(attempt["cost_usd"] for attempt in attempts) > 0
    assert done.result["cost_usd"] > 0


def test_a_gateways_word_on_its_cost_goes_into_the_log_and_the_budget(tmp_path: Path) -> None:
    def script(asked: Asked) -> Act:
        document = OPENAI.said(label_of(asked.case), "stop")
        return act(document | {"usage": document["usage"] | {"cost": 0.001}})

    with fault_server(script) as server:
        settings = OPENAI.config(server.port, more='cost_from = "usage.cost"\n')
        folder = workspace(tmp_path, {"small": settings}, {}, cases=CASES)
        done = run(folder, "--budget", "0.02", "--concurrency", "1", model="small")

    assert done.exit == 4
    assert 15 <= len(server.asked) <= 20
    assert {row["cost_usd"] for row in rows(folder, "select cost_usd from attempts")} == {0.001}
    assert done.result["cost_usd"] == pytest.approx(0.001 * len(server.asked))


def test_null_takes_out_what_evalh_adds_itself(tmp_path: Path) -> None:
    with fault_server(OPENAI.right) as server:
        settings = OPENAI.config(server.port, more='params = {stream = true, stream_options = "null"}\n')
        folder = workspace(tmp_path, {"small": settings}, {}, cases=2)
        run(folder, model="small")

    assert [one.document.get("stream") for one in server.asked] == [True, True]
    assert not any("stream_options" in one.document for one in server.asked)


@pytest.mark.parametrize(
    "key",
    [
        '"sk-live-0123456789"',
        "'sk-live-0123456789'",
        "sk-live 0123456789",
        "sk-live\n0123456789",
        '"sk-live-0123456789',
        "sk-live-0123456789'",
        "${REAL_KEY}",
    ],
)
def test_a_key_with_more_than_the_key_in_it_is_refused_before_anything_leaves(tmp_path: Path, key: str) -> None:
    with fault_server(OPENAI.right) as server:
        settings = OPENAI.config(server.port, more='api_key_env = "TEST_KEY"\n')
        folder = workspace(tmp_path, {"small": settings}, {}, cases=2)
        done = here(folder, "run", "--model", "small", env={"TEST_KEY": key})

    assert done.exit == 2
    assert server.asked == []
    assert "TEST_KEY has" in done.err
    assert "set TEST_KEY to the key alone" in done.err
    assert "0123456789" not in done.err + done.out
