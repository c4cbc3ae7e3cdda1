"""One application through each of the doors: the same where a door can see it, and NULL where it cannot."""

import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from doors.seeing import TEXTS, TOKENS, TOML, SeenCall, SeenStep, calls, costs, model_server, run, steps, workflows
from evalh.api.workspace import Workspace

pytest.importorskip("fastapi")
pytest.importorskip("openai")
SHOP = str(Path(__file__).with_name("shop.py"))
Through = Callable[[str], Path]
SPANS = ("genai", "openllmetry", "openinference")
SWITCHED_ON = {
    "OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_latest_experimental",
    "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "span_only",
}
CACHED_UNKNOWN = {"genai"}
"""Doors that do not say how many tokens came from the cache: the price is then the one without a cache."""
STEPS = [SeenStep("extract", "step", "ok"), SeenStep("look up", "tool", "ok"), SeenStep("reply", "step", "ok")]
COSTS = {"gpt-5-mini": 60e-6 + 40 * 0.5e-6 + 9 * 10e-6, "gpt-5": 50 * 4e-6 + 6 * 20e-6}
"""By the prices that the workspace states."""


NOT_IN_SPANS = {
    "workflows": ["process", "probability", "kept"],
    "workflow_steps": ["position"],
    "calls": ["attempts", "request_digest", "route"],
    "attempts": ["number", "reason", "request_id", "retry_after_s", "http_status", "error_kind"],
}
NOT_SEEN = {
    "trace": {"workflows": ["dialect"], "workflow_steps": ["position"], "calls": ["route"], "attempts": []},
    "genai": {**NOT_IN_SPANS, "attempts": [*NOT_IN_SPANS["attempts"], "cached_tokens"]},
    "openllmetry": NOT_IN_SPANS,
    "openinference": NOT_IN_SPANS,
    "pairs": {
        "workflows": ["ended_at", "inputs"],
        "calls": ["step_id", "latency_ms", "attempts", "request_digest", "route"],
        "attempts": ["number", "reason", "latency_ms", "ttft_ms", "error_kind", "http_status", "request_id"],
    },
}
"""Columns that are NULL behind a door, by table."""


@pytest.fixture(name="through", scope="module")
def _through(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return what runs the application once behind a door, whose second model is busy twice, and gives the folder."""
    return cache(lambda door: run_behind(door, tmp_path_factory.mktemp(door)))


def run_behind(door: str, folder: Path) -> Path:
    if door in SPANS:
        pytest.importorskip("opentelemetry.sdk.trace")
    (folder / "evalh.toml").write_text(TOML)
    env = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "EVALH_"))} | SWITCHED_ON
    with model_server(limited=2) as server:
        program = [SHOP, server, door, "pairs.jsonl"]
        if door in SPANS:
            program = ["-m", "evalh", "collect", "--", sys.executable, *program]
        told = run(*program, cwd=folder, env=env)
    assert told == '200 {"reply":"Your kettle was sent."}\n'
    if door == "pairs":
        run("-m", "evalh", "import", "calls", "pairs.jsonl", cwd=folder, env=env)
    return folder


def expected(step: str | None, model: str, *, cached_unknown: bool = False) -> SeenCall:
    sent, got, cached = TOKENS[model]
    cost = COSTS[model] + (cached * 0.5e-6 if cached_unknown else 0)
    return SeenCall(step, model, TEXTS[model], sent, got, None if cached_unknown else cached, pytest.approx(cost))


@pytest.mark.parametrize("door", ["trace", *SPANS])
def test_the_workflow_its_steps_tokens_and_costs_are_the_same(through: Through, door: str) -> None:
    (found,) = workflows(through(door))

    assert (found.workflow.name, found.workflow.status) == ("refund", "ok")
    assert steps(found) == STEPS
    unknown = door in CACHED_UNKNOWN
    assert calls(found) == [
        expected("extract", "gpt-5-mini", cached_unknown=unknown),
        expected("reply", "gpt-5", cached_unknown=unknown),
    ]


def test_pairs_are_the_same_calls_and_no_steps_are_seen(through: Through) -> None:
    found = workflows(through("pairs"))

    assert [one.workflow.name for one in found] == ["refund", "refund"], "nothing in a file says what belongs together"
    assert len({one.workflow.session for one in found}) == 1
    assert [one.steps for one in found] == [(), ()]
    seen = sorted((one for detail in found for one in calls(detail)), key=lambda one: str(one.model))
    assert seen == [expected(None, "gpt-5"), expected(None, "gpt-5-mini")]
    assert [call.attempts for detail in found for call in detail.calls] == [None, None]


@pytest.mark.parametrize("door", ["trace", "openllmetry", "openinference"])
def test_what_went_into_each_step_and_came_out_is_the_same(through: Through, door: str) -> None:
    (found,) = workflows(through(door))

    order = {"item": "kettle", "state": "sent"}
    mail = {"mail": "Where is my order number 7?"}
    assert (found.workflow.inputs, found.workflow.output) == (mail, "Your kettle was sent.")
    assert [(one.inputs, one.output) for one in found.steps] == [
        (mail, {"order": 7}),
        ({"order": 7}, order),
        (order, "Your kettle was sent."),
    ]


def test_the_conventions_library_says_no_inputs_of_steps_and_they_are_null(through: Through) -> None:
    (found,) = workflows(through("genai"))

    assert (found.workflow.inputs, found.workflow.output) == (None, None)
    assert {(one.inputs, one.output) for one in found.steps} == {(None, None)}


def test_retries_inside_the_client_are_three_attempts_at_its_transport(through: Through) -> None:
    (found,) = workflows(through("trace"))

    extracted, replied = found.calls
    attempts = [one for one in found.attempts if one.call_id == replied.id]
    assert [(one.number, one.reason, one.http_status, one.error_kind) for one in attempts] == [
        (1, "first", 429, "rate_limit"),
        (2, "retry", 429, "rate_limit"),
        (3, "retry", 200, None),
    ]
    assert (extracted.attempts, replied.attempts) == (1, 3)
    cost, number = costs(through("trace"))
    assert (cost, number) == (pytest.approx(sum(COSTS.values())), 4), "what was refused costs nothing"


@pytest.mark.parametrize("door", [*SPANS, "pairs"])
def test_retries_inside_the_client_are_unknown_to_spans_and_pairs(through: Through, door: str) -> None:
    found = workflows(through(door))

    assert [call.attempts for detail in found for call in detail.calls] == [None, None]
    attempts = [one for detail in found for one in detail.attempts]
    assert [(one.number, one.reason, one.status) for one in attempts] == [(None, None, "ok")] * 2
    assert costs(through(door))[1] is None


@pytest.mark.parametrize("door", NOT_SEEN)
def test_what_a_door_cannot_see_is_null(through: Through, door: str) -> None:
    production = Workspace.open(through(door)).production

    for table, names in NOT_SEEN[door].items():
        counted = ", ".join(["count(*)", *(f"count({name})" for name in names)])
        ((rows, *seen),) = production.query(f"select {counted} from {table}")[1]
        assert rows
        assert dict(zip(names, seen, strict=True)) == dict.fromkeys(names, 0)
