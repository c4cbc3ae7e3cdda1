"""Hostile spans through a real `evalh collect`: a clear answer, what can be known recorded, never a crash."""

import gzip
import json
import math
import random
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from evalh.core.production import WorkflowDetail
from faults.running import until
from spans.collecting import (
    NOW,
    TRACE,
    Running,
    attributes,
    chat,
    collecting,
    log,
    logs,
    request,
    span,
    workspace_in,
)

PROTOBUF = "application/x-protobuf"


def sent(folder: Path, *bodies: Any, options: tuple[str, ...] = ("--content",)) -> tuple[WorkflowDetail, Running]:
    """Send bodies to a collector, each to where it belongs; return what is known of the trace then."""
    workspace = workspace_in(folder)
    with collecting(folder, *options) as running:
        for body in bodies:
            path = "/v1/logs" if isinstance(body, dict) and "resourceLogs" in body else "/v1/traces"
            status, answer = running.post(path, body)
            assert status == 200, answer
    assert running.code == 130
    return workspace.production.detail(TRACE), running


def snapshot(folder: Path) -> list[Any]:
    """Return every row of production."""
    reader = workspace_in(folder).production
    tables = ("workflows", "workflow_steps", "calls", "attempts", "scores", "feedback")
    return [sorted(map(repr, reader.query(f"select * from {table}")[1])) for table in tables]


def test_spans_may_come_in_any_order_and_in_any_batches(tmp_path: Path) -> None:
    spans = [
        span(1, name="refund"),
        span(2, 1, name="plan", attributes={"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "planner"}),
        chat(3, 2),
        span(4, 2, attributes={"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "order"}),
        span(5, 4, name="select"),
        chat(6, 1),
    ]
    rows = []
    for number in range(4):
        shuffled = random.Random(number).sample(spans, len(spans))
        folder = tmp_path / str(number)
        sent(folder, *(request(one) for one in shuffled))
        rows.append(snapshot(folder))

    assert rows[0] == rows[1] == rows[2] == rows[3]
    found = workspace_in(tmp_path / "0").production.detail(TRACE)
    assert [(one.name, one.kind) for one in found.steps] == [("planner", "agent"), ("order", "tool")]
    assert len(found.calls) == 2


def test_a_batch_that_is_sent_again_changes_nothing(tmp_path: Path) -> None:
    asked = logs(log("gen_ai.user.message", {"content": "Hi"}, number=2), log("gen_ai.choice", {"index": 0}, number=2))
    batch = request(span(1, name="refund"), chat(2, 1))
    sent(tmp_path, batch, asked)
    before = snapshot(tmp_path)

    found, running = sent(tmp_path, batch, batch, asked, asked, batch)

    assert snapshot(tmp_path) == before
    assert found.calls[0].messages == [{"role": "user", "parts": ["Hi"]}]
    assert (running.told["workflows"], running.told["calls"], running.told["input_tokens"]) == (1, 1, 10)


def test_a_parent_that_never_comes_leaves_its_children_their_workflow(tmp_path: Path) -> None:
    found, _ = sent(tmp_path, request(chat(3, 99), span(2, 98, attributes={"gen_ai.operation.name": "execute_tool"})))

    assert (found.workflow.name, found.workflow.status) == ("span 2", "ok")
    assert [(call.step_id, call.workflow_id) for call in found.calls] == [(None, TRACE)]


def test_a_bare_call_is_a_workflow_and_its_call(tmp_path: Path) -> None:
    found, _ = sent(tmp_path, request(chat(1, name="chat gpt-5-mini")))

    assert (found.workflow.name, found.steps, len(found.calls)) == ("chat gpt-5-mini", (), 1)


def test_calls_inside_calls_count_once_the_innermost(tmp_path: Path) -> None:
    found, running = sent(
        tmp_path, request(span(1), chat(2, 1, tokens=30), chat(3, 2, tokens=10), chat(4, 2, tokens=20))
    )

    assert [one.input_tokens for one in found.attempts] == [10, 20]
    assert [step.id for step in found.steps] == [f"{TRACE}.{2:016x}"]
    assert running.told["input_tokens"] == 30


def test_a_call_has_what_only_its_outer_span_says_of_it(tmp_path: Path) -> None:
    outer = chat(2, 1, attributes={"server.address": "10.0.0.7", "gen_ai.request.seed": 3})
    inner = span(
        3,
        2,
        attributes={
            "openinference.span.kind": "LLM",
            "llm.invocation_parameters": '{"model": "small", "temperature": 1}',
            "llm.token_count.prompt": 12,
        },
    )

    found, _ = sent(tmp_path, request(span(1), outer, inner))

    (attempt,) = found.attempts
    assert (attempt.input_tokens, attempt.output_tokens, attempt.cost_usd) == (12, 1, None)
    assert (attempt.provider, attempt.model) == ("openai", "small")
    assert found.calls[0].settings == {
        "model": "small",
        "params": {"seed": 3, "temperature": 1},
        "sent_to": {"base_url": "10.0.0.7"},
    }


def test_an_inner_call_that_comes_after_its_outer_one_was_written_is_not_counted_beside_it(tmp_path: Path) -> None:
    workspace = workspace_in(tmp_path)
    with collecting(tmp_path) as running:
        running.post("/v1/traces", request(span(1), chat(2, 1, tokens=30)))
        until(lambda: list(workspace.production.workflows()))
        running.post("/v1/traces", request(chat(3, 2, tokens=30)))

    found = workspace.production.detail(TRACE)
    assert [one.input_tokens for one in found.attempts] == [30]
    assert running.told["calls"] == 1


@pytest.mark.parametrize("parents", [{1: 2, 2: 1}, {1: 1}, {1: 2, 2: 3, 3: 1}], ids=["two", "itself", "three"])
def test_spans_that_are_their_own_ancestors_end(tmp_path: Path, parents: dict[int, int]) -> None:
    found, _ = sent(tmp_path, request(*(chat(one, parent) for one, parent in parents.items())))

    assert found.workflow.name == "span 1"
    assert len(found.calls) == 1


def test_a_trace_as_deep_as_it_is_long_is_recorded(tmp_path: Path) -> None:
    spans = [span(1), *(span(number, number - 1) for number in range(2, 5000)), chat(5000, 4999)]

    found, _ = sent(tmp_path, request(*spans))

    assert (len(found.steps), len(found.calls)) == (4998, 1)


def test_clocks_that_disagree_are_recorded_as_told_and_nothing_lasts_less_than_nothing(tmp_path: Path) -> None:
    backwards = chat(2, 1, began=NOW - 100, ended=NOW - 200)
    nowhen = {**chat(3, 1), "startTimeUnixNano": "0", "endTimeUnixNano": str(2**64 - 1)}

    found, _ = sent(tmp_path, request(span(1), backwards, nowhen))

    calls = {call.id[-1]: call for call in found.calls}
    assert (calls["2"].started_at, calls["2"].latency_ms) == (NOW - 100, None)
    assert (calls["3"].started_at, calls["3"].latency_ms) == (None, None)


def test_numbers_that_cannot_be_are_unknown(tmp_path: Path) -> None:
    told = {
        "gen_ai.usage.input_tokens": -5,
        "gen_ai.usage.output_tokens": 2**62,
        "gen_ai.usage.cache_read.input_tokens": True,
        "gen_ai.response.time_to_first_chunk": -1.0,
        "gen_ai.request.temperature": "hot",
        "llm.cost.total": -3.0,
    }
    spans = request(chat(1, attributes=told))
    for key, number in (("a", "NaN"), ("gen_ai.request.top_p", "Infinity"), ("gen_ai.request.top_k", math.pi)):
        spans["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["attributes"].append(
            {"key": key, "value": {"doubleValue": number}}
        )

    found, _ = sent(tmp_path, spans)

    (attempt,) = found.attempts
    assert (attempt.input_tokens, attempt.output_tokens, attempt.cached_tokens, attempt.ttft_ms) == (None,) * 4
    assert found.calls[0].settings["params"] == {"top_k": math.pi}


def test_content_that_is_not_what_it_says_stays_as_text_or_is_left_out(tmp_path: Path) -> None:
    deep = "[" * 5000 + "]" * 5000
    told = {
        "gen_ai.input.messages": '[{"role": "user", "parts": [{"type"',
        "gen_ai.output.messages": "{}",
        "gen_ai.system_instructions": 7,
    }
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.call.arguments": deep}
    odd = {"openinference.span.kind": "CHAIN", "input.value": '{"a": ', "input.mime_type": "application/json"}
    spans = [span(1, attributes=odd), chat(2, 1, attributes=told), span(3, 1, attributes=tool)]
    messages = chat(4, 1, attributes={"gen_ai.input.messages": json.dumps([{"role": 7, "parts": 3}, None, "x"])})

    found, running = sent(tmp_path, request(*spans, messages))

    assert found.workflow.inputs == '{"a": '
    assert found.steps[0].inputs == deep
    assert [call.messages for call in found.calls] == [None, [{"role": "user", "parts": []}]]
    assert running.told["losses"] == {}


def test_control_characters_and_odd_names_are_kept_and_do_not_reach_the_terminal(tmp_path: Path) -> None:
    found, _ = sent(tmp_path, request(span(1, name="a\x1b[31m\x00b\u202ec" + "x" * 5000), chat(2, 1)))

    assert found.workflow.name.startswith("a\x1b[31m")
    assert len(found.workflow.name) == 500


def test_a_span_of_ten_megabytes_keeps_its_numbers_and_loses_its_content(tmp_path: Path) -> None:
    told = {
        "gen_ai.input.messages": json.dumps([{"role": "user", "parts": [{"type": "text", "content": "x" * 10**7}]}])
    }

    found, running = sent(tmp_path, request(chat(1, attributes=told), chat(2)))

    assert [one.input_tokens for one in found.attempts] == [10, 10]
    assert found.calls[0].messages is None
    assert running.told["losses"] == {"too large": 1}
    assert [(loss.why, loss.count) for loss in workspace_in(tmp_path).production.losses()] == [("too large", 1)]


def test_fields_that_nobody_knows_are_passed_over(tmp_path: Path) -> None:
    odd = {**chat(1), "flags": 257, "future": {"a": [1, {"b": None}]}, "links": "none", "events": [{"name": 3}, None]}
    body = {**request(odd), "unknown": {"deep": [[[]]]}}

    found, _ = sent(tmp_path, body)

    assert len(found.calls) == 1


def test_what_is_not_a_span_is_counted_and_told_to_its_sender(tmp_path: Path) -> None:
    workspace_in(tmp_path)
    bad = [{}, {"traceId": "0" * 32, "spanId": "1" * 16}, {"traceId": "xyz", "spanId": 3}, None, 7]
    with collecting(tmp_path) as running:
        status, answer = running.post("/v1/traces", request(chat(1), *bad))  # type: ignore[arg-type]
        as_protobuf = ExportTraceServiceRequest()
        as_protobuf.resource_spans.add().scope_spans.add().spans.add().name = "no ids"
        _, binary = running.post("/v1/traces", as_protobuf.SerializeToString(), PROTOBUF)

    assert (status, json.loads(answer)) == (200, {"partialSuccess": {"rejectedSpans": "5"}})
    assert ExportTraceServiceResponse.FromString(binary).partial_success.rejected_spans == 1
    assert running.told["losses"] == {"unreadable": 6}
    assert running.told["calls"] == 1


REFUSED = {
    "streams": (gzip.compress(b"") * 700_000, "application/json", {"Content_Encoding": "gzip"}, 400),
    "bomb": (gzip.compress(bytes(40 << 20)), "application/json", {"Content_Encoding": "gzip"}, 413),
    "large": (bytes(17 << 20), "application/json", {}, 413),
    "not gzip": (b"\x1f\x8bnot gzip", "application/json", {"Content_Encoding": "gzip"}, 400),
    "cut gzip": (gzip.compress(b"{}")[:-3], "application/json", {"Content_Encoding": "gzip"}, 400),
    "other packing": (b"{}", "application/json", {"Content_Encoding": "br"}, 415),
    "other type": (b"{}", "text/plain", {}, 415),
    "no type": (b"", "", {}, 415),
    "cut JSON": (b"{", "application/json", {}, 400),
    "a list": (b"[]", "application/json", {}, 400),
    "other JSON": (b'{"hello": 1}', "application/json", {}, 400),
    "deep": (b"[" * 100_000, "application/json", {}, 400),
    "not UTF-8": (b"\xff\xfe{}", "application/json", {}, 400),
    "not protobuf": (b"not protobuf at all", PROTOBUF, {}, 400),
    "noise": (random.Random(1).randbytes(5000), PROTOBUF, {}, 400),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_body_that_is_not_otlp_is_refused_and_the_next_one_is_taken(tmp_path: Path, case: str) -> None:
    body, kind, headers, status = REFUSED[case]
    workspace_in(tmp_path)
    with collecting(tmp_path) as running:
        told, words = running.post("/v1/traces", body, kind, **headers)
        again, _ = running.post("/v1/traces", request(chat(1)))

    assert told == status, words
    assert b"Traceback" not in words
    assert (again, running.told["calls"]) == (200, 1)


def test_a_bomb_of_packed_bombs_is_refused_within_its_bound(tmp_path: Path) -> None:
    workspace_in(tmp_path)
    members = gzip.compress(bytes(1 << 20)) * 2000  # two gigabytes, in two thousand members
    with collecting(tmp_path) as running:
        status, _ = running.post("/v1/traces", members, Content_Encoding="gzip")

    assert status == 413


def test_protobuf_and_json_say_the_same(tmp_path: Path) -> None:
    from wire.otlp_receiver import decode

    told = {"gen_ai.output.messages": [{"role": "assistant", "parts": [{"type": "text", "content": "Hi"}]}]}
    document = request(span(1, name="refund"), chat(2, 1, attributes=told))
    sent(tmp_path / "json", document)
    workspace_in(tmp_path / "protobuf")
    packed = gzip.compress(
        decode(json.dumps(document).encode(), {"content-type": "application/json"}).SerializeToString()
    )
    with collecting(tmp_path / "protobuf", "--content") as running:
        assert running.post("/v1/traces", packed, PROTOBUF, Content_Encoding="gzip") == (200, b"")

    assert snapshot(tmp_path / "json") == snapshot(tmp_path / "protobuf")
    assert workspace_in(tmp_path / "json").production.detail(TRACE).attempts[0].text == "Hi"


def test_messages_of_one_call_may_come_before_its_span_after_it_or_without_it(tmp_path: Path) -> None:
    asked = log("gen_ai.user.message", {"content": "Hi"}, number=2, at=NOW + 1)
    answered = log("gen_ai.choice", {"index": 0, "finish_reason": "stop", "message": {"content": "Ho"}}, number=2)
    elsewhere = log("gen_ai.user.message", {"content": "lost"}, number=77)

    found, _ = sent(tmp_path, logs(asked, elsewhere), request(span(1), chat(2, 1)), logs(answered))

    assert [call.messages for call in found.calls] == [[{"role": "user", "parts": ["Hi"]}]]
    assert (found.attempts[0].text, found.attempts[0].finish) == ("Ho", "stop")


def test_content_that_lies_elsewhere_is_named_and_not_fetched(tmp_path: Path) -> None:
    told = {"gen_ai.input.messages_ref": "s3://bucket/in.json?signature=s3cret", "gen_ai.output.messages_ref": "/tmp/x"}

    found, running = sent(tmp_path, request(chat(1, attributes=told)))

    assert found.workflow.attributes["by_reference"] == ["s3://bucket/in.json", "/tmp/x"]
    assert found.calls[0].messages is None
    assert running.told["silent"] == []


def test_evaluations_are_scores_of_the_step_that_they_are_about(tmp_path: Path) -> None:
    told = {"gen_ai.evaluation.name": "Relevance", "gen_ai.evaluation.score.value": 0.5}
    bad = {**told, "gen_ai.evaluation.score.label": "fail", "gen_ai.evaluation.explanation": "off topic"}
    step = span(2, 1, attributes={"gen_ai.operation.name": "invoke_agent"})
    step["events"] = [{"name": "gen_ai.evaluation.result", "timeUnixNano": "7", "attributes": attributes(told)}]
    by_answer = log("gen_ai.evaluation.result", {}, attributes={**bad, "gen_ai.response.id": "r-1"})
    del by_answer["traceId"], by_answer["spanId"]
    answer = chat(3, 2, attributes={"gen_ai.response.id": "r-1"})

    found, running = sent(tmp_path, logs(by_answer), request(span(1), step, answer))

    assert running.told["scores"] == 2
    assert {(one.name, one.score, one.outcome, one.text) for one in found.scores} == {
        ("Relevance", 0.5, None, None),
        ("Relevance", 0.5, "fail", "off topic"),
    }
    assert {one.step_id for one in found.scores} == {found.steps[0].id}


def test_sessions_users_and_tags_are_found_wherever_in_the_trace_they_stand(tmp_path: Path) -> None:
    root = span(1, attributes={"openinference.span.kind": "CHAIN", "tag.tags": ["eu", 7], "session.id": "s-1"})

    found, _ = sent(tmp_path, request(root, chat(2, 1, attributes={"user.id": "u-1"})))

    assert (found.workflow.session, found.workflow.user, found.workflow.tags) == ("s-1", "u-1", ("eu",))


def test_a_workflow_of_openllmetry_has_its_name_and_its_arguments(tmp_path: Path) -> None:
    root = {
        "traceloop.span.kind": "workflow",
        "traceloop.entity.name": "refund",
        "traceloop.entity.input": '{"args": [], "kwargs": {"order": 7}}',
        "traceloop.entity.output": '"done"',
    }
    task = {"traceloop.span.kind": "task", "traceloop.entity.name": "look up"}
    asked = {"llm.request.type": "chat", "gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": "Hi"}
    asked |= {
        "gen_ai.prompt.99999999999999.content": "no",
        "traceloop.prompt.key": "triage",
        "traceloop.prompt.version": 3,
    }

    found, _ = sent(
        tmp_path, request(span(1, attributes=root), span(2, 1, attributes=task), chat(3, 2, attributes=asked))
    )

    assert (found.workflow.name, found.workflow.inputs, found.workflow.dialect) == (
        "refund",
        {"order": 7},
        "openllmetry",
    )
    assert found.workflow.output == "done"
    assert found.calls[0].messages == [{"role": "user", "parts": ["Hi"]}]
    assert found.calls[0].prompt == "triage@v3"


def test_only_an_address_of_its_own_has_the_tables_price(tmp_path: Path) -> None:
    home = chat(2, 1, attributes={"server.address": "api.openai.com", "server.port": 443})
    elsewhere = chat(3, 1, attributes={"server.address": "10.0.0.7", "server.port": 8000})

    _, running = sent(tmp_path, request(span(1), home, elsewhere))

    assert running.told["unpriced"] == 1
    assert running.told["cost_usd"] > 0
