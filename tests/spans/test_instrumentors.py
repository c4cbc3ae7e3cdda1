"""Programs that packages of others instrument, through a real `evalh collect`: what each dialect says is recorded."""

import sys
from pathlib import Path
from typing import Any

import pytest

from evalh.core.production import WorkflowDetail
from spans.collecting import collect, model_server, workspace_in

pytest.importorskip("opentelemetry.sdk")
PROGRAM = str(Path(__file__).with_name("instrumented.py"))
CONTENT = {"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "true"}
NEWEST = {
    "OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_latest_experimental",
    "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "span_only",
}
BY_EVENT = {**NEWEST, "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "event_only"}
BY_EVENT["OTEL_INSTRUMENTATION_GENAI_EMIT_EVENT"] = "true"
EACH = {
    "genai up to 1.36": ("genai", CONTENT),
    "genai from 1.37": ("genai", NEWEST),
    "genai from 1.37, on an event": ("genai", BY_EVENT),
    "openllmetry": ("openllmetry", {}),
    "openinference": ("openinference", {}),
}


def traced(folder: Path, dialects: str, *options: str, env: dict[str, str]) -> tuple[WorkflowDetail, Any]:
    workspace = workspace_in(folder)
    with model_server() as server:
        done = collect(folder, *options, "--", sys.executable, PROGRAM, server, dialects, **env)
    assert (done.returncode, done.stdout) == (0, "no such model\n"), done.stderr
    found = workspace.production.find("last")
    assert isinstance(found, WorkflowDetail)
    return found, done


@pytest.mark.parametrize("case", EACH)
def test_a_workflow_its_step_and_its_calls_are_recorded(tmp_path: Path, case: str) -> None:
    dialect, env = EACH[case]

    found, done = traced(tmp_path, dialect, "--content", env=env)

    workflow = found.workflow
    assert (workflow.name, workflow.door, workflow.dialect, workflow.status) == ("refund", "otel", dialect, "ok")
    assert [(step.name, step.parent_id, step.status) for step in found.steps] == [("look up", None, "ok")]
    assert [call.step_id for call in found.calls] == [found.steps[0].id, None, None, None, None]
    assert {call.attempts for call in found.calls} == {None}, "a span covers its client's retries"
    attempts = {one.call_id: one for one in found.attempts}
    first, second, streamed, retried, failed = (attempts[call.id] for call in found.calls)
    for one in (first, second, streamed, retried):
        told = (one.number, one.status, one.input_tokens, one.output_tokens, one.model_answered)
        assert told == (None, "ok", 20, 9, "gpt-5-mini-2025-08-07")
    assert first.tool_calls[0]["name"] == "order"
    assert first.finish == "tool_calls"
    assert (second.text, streamed.text) == ("It has shipped.", "On its way.")
    assert (failed.status, failed.model, failed.input_tokens) == ("error", "bad", None)
    assert failed.error_kind == "bad_request"
    asked = found.calls[1].messages
    assert [one["role"] for one in asked] == ["system", "user", "assistant", "tool"]
    assert asked[1]["parts"] == ["Where is order 7?"]
    assert asked[2]["parts"][0]["tool_call"]["id"] == "call_1"
    assert asked[3]["parts"][0]["tool_result"]["content"] == "shipped"
    assert found.calls[0].settings["params"]["temperature"] == 0.5
    assert "collected 1 workflow, 1 step, 5 calls, 80 tokens in, 36 out" in done.stderr
    assert "1 span did not concern models" in done.stderr


@pytest.mark.parametrize("order", ["openllmetry+openinference", "genai+openinference"])
def test_two_instrumentors_at_once_count_a_call_once(tmp_path: Path, order: str) -> None:
    found, _ = traced(tmp_path, order, env={})

    assert len(found.calls) == len(found.attempts) == 5
    assert sum(one.input_tokens or 0 for one in found.attempts) == 80
    outer = {step.id for step in found.steps if step.name != "look up"}
    assert {call.step_id for call in found.calls} == outer, "the outer spans are steps around the calls"


@pytest.mark.parametrize("case", EACH)
def test_no_byte_of_content_is_written_unless_it_is_asked_for(tmp_path: Path, case: str) -> None:
    dialect, env = EACH[case]

    found, done = traced(tmp_path, dialect, env=env)

    written = b"".join(file.read_bytes() for file in (tmp_path / ".evalh").rglob("*") if file.is_file())
    for said in (b"Where is order", b"It has shipped", b"Be brief", b"shipped", b"s3cret", b"Look up an order"):
        assert said not in written
    assert all(call.messages is None for call in found.calls)
    assert [one.error for one in found.attempts if one.error] != []
    assert "content was left out: evalh collect --content" in done.stderr


@pytest.mark.parametrize(
    ("dialect", "env", "switch"),
    [
        ("genai", {}, "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=true"),
        ("openllmetry", {"TRACELOOP_TRACE_CONTENT": "false"}, "TRACELOOP_TRACE_CONTENT=true"),
        (
            "openinference",
            {"OPENINFERENCE_HIDE_INPUTS": "true", "OPENINFERENCE_HIDE_OUTPUTS": "true"},
            "OPENINFERENCE_HIDE_INPUTS=false",
        ),
    ],
)
def test_where_content_is_off_its_switch_is_named(
    tmp_path: Path, dialect: str, env: dict[str, str], switch: str
) -> None:
    found, done = traced(tmp_path, dialect, "--content", env=env)

    assert f"{dialect} spans came without content: {switch}" in done.stderr
    assert all(call.messages is None for call in found.calls)
    assert all(one.text is None for one in found.attempts)
    assert sum(one.input_tokens or 0 for one in found.attempts) == 80
