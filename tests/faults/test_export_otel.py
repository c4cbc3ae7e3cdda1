"""`evalh export otel`: what a collector receives, and the message when there is none."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from evalh.interop import otel_spans
from faults.dialects import OPENAI
from faults.fault_server import Act, Asked, fault_server
from faults.running import Done, here, rows, run, until, workspace
from hanging import comes_back
from wire.otlp_receiver import OK, Receiver, otlp_receiver
from workspaces import write_workspace

CASES = 6
ROUTE = """model = "small"
retry = {attempts = 2, base_s = 0.002, cap_s = 0.02, on = ["rate_limit", "overload"]}
fallback = ["strong"]
"""
SECRET = "tok-5d0c7be91f3a77"
ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_PROTOCOL")


@pytest.fixture(autouse=True)
def _no_collector_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)


def trouble(asked: Asked) -> Act:
    """Case 1 is answered the second time, case 2 by the other model, case 3 by nobody."""
    number = int(asked.case[2:])
    if number == 3 or (number == 2 and asked.model == "cheap-1"):
        return OPENAI.error("overload")
    if number == 1 and asked.nth == 1:
        return OPENAI.error("rate_limit")
    return OPENAI.right(asked)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with fault_server(trouble) as server:
        models = {name: OPENAI.config(server.port, model=name) for name in ("cheap-1", "strong-1")}
        named = {"small": models["cheap-1"], "strong": models["strong-1"]}
        made = workspace(tmp_path, named, {"careful": ROUTE}, cases=CASES)
        run(made, "--concurrency", "1")
    return made


def export(folder: Path, receiver: Receiver | None, *arguments: str, env: dict[str, str] | None = None) -> Done:
    endpoint = () if receiver is None else ("--endpoint", receiver.url)
    return here(folder, "export", "otel", *endpoint, *arguments, env=env)


def told(span: Any) -> dict[str, Any]:
    found = {}
    for pair in span.attributes:
        kind = pair.value.WhichOneof("value")
        value = getattr(pair.value, kind)
        found[pair.key] = [one.string_value for one in value.values] if kind == "array_value" else value
    return found


def named(spans: list[Span], name: str) -> list[Span]:
    return [span for span in spans if span.name == name]


def test_a_run_is_one_tree_of_samples_calls_and_attempts_with_the_logs_own_times(folder: Path) -> None:
    with otlp_receiver() as receiver:
        done = export(folder, receiver, "--json")
    spans = receiver.spans
    parents = {span.span_id: span for span in spans}
    (root,) = [span for span in spans if not span.parent_span_id]
    attempts = [span for span in spans if span.kind == Span.SPAN_KIND_CLIENT]

    assert (done.exit, json.loads(done.out)["spans"]) == (0, len(spans))
    assert root.name == "evalh.run triage"
    assert len({span.trace_id for span in spans}) == 1
    assert len(parents) == len(spans)
    assert Counter(span.name for span in spans)["evalh.sample"] == CASES
    for span in attempts:
        call = parents[span.parent_span_id]
        sample = parents[call.parent_span_id]
        assert (call.name, sample.name, sample.parent_span_id) == ("evalh.call", "evalh.sample", root.span_id)
        assert sample.start_time_unix_nano <= call.start_time_unix_nano <= span.start_time_unix_nano
        assert span.end_time_unix_nano <= call.end_time_unix_nano <= sample.end_time_unix_nano
    logged = rows(folder, "select id, latency_ms, started_at from attempts")
    sent = {told(span)["evalh.attempt.id"]: span for span in attempts}
    assert sorted(sent) == sorted(row["id"] for row in logged)
    for row in logged:
        span = sent[row["id"]]
        began = datetime.fromisoformat(row["started_at"]).timestamp()
        assert span.start_time_unix_nano == round(began * 1000) * 1_000_000
        assert (span.end_time_unix_nano - span.start_time_unix_nano) / 1e6 == pytest.approx(row["latency_ms"], abs=0.01)


def test_retries_and_fallbacks_are_events_and_errors_have_their_class(folder: Path) -> None:
    with otlp_receiver() as receiver:
        export(folder, receiver)
    spans = receiver.spans
    calls = {told(span)["evalh.case.id"]: span for span in named(spans, "evalh.call")}
    samples = {told(span)["evalh.case.id"]: span for span in named(spans, "evalh.sample")}
    events = {case: [(event.name, told(event)) for event in call.events] for case, call in calls.items()}

    assert [name for name, _ in events["t-0001"]] == ["evalh.shrink", "evalh.retry"]
    assert events["t-0001"][1][1]["evalh.reason"] == "rate_limit"
    assert ("evalh.fallback", "strong") in [(name, what.get("evalh.to")) for name, what in events["t-0002"]]
    assert calls["t-0002"].status.code == 0
    assert told(calls["t-0003"])["error.type"] == told(samples["t-0003"])["error.type"] == "overload"
    assert calls["t-0003"].status.code == 2
    failed = [told(span) for span in spans if span.name.startswith("chat") and span.status.code == 2]
    assert Counter(one["error.type"] for one in failed) == {"overload": 6, "rate_limit": 1}
    assert {one["http.response.status_code"] for one in failed} == {429, 503}
    labels = {told(event)["gen_ai.evaluation.score.label"] for event in samples["t-0003"].events}
    assert labels == {"error"}


def test_an_attempt_says_model_tokens_and_price_under_the_conventions_names(folder: Path) -> None:
    with otlp_receiver() as receiver:
        export(folder, receiver)
    first = next(told(span) for span in receiver.spans if span.name == "chat cheap-1" and not span.status.code)
    logged = rows(folder, f"select * from attempts where id = '{first['evalh.attempt.id']}'")[0]

    assert first["gen_ai.operation.name"] == "chat"
    assert first["gen_ai.provider.name"] == "openai"
    assert first["gen_ai.request.model"] == "cheap-1"
    assert first["gen_ai.request.max_tokens"] == 24
    assert first["gen_ai.usage.input_tokens"] == logged["input_tokens"] > 0
    assert first["gen_ai.usage.output_tokens"] == logged["output_tokens"] > 0
    assert first["evalh.cost.usd"] == pytest.approx(logged["cost_usd"])
    assert first["gen_ai.response.finish_reasons"] == ["stop"]


def test_content_is_left_out_unless_asked_for(folder: Path) -> None:
    with otlp_receiver() as receiver:
        export(folder, receiver)
        without = str(receiver.requests)
        receiver.requests.clear()
        export(folder, receiver, "--content")
    messages = [told(span).get("gen_ai.input.messages") for span in receiver.spans if span.name.startswith("chat")]

    for piece in ("order 4", "Sort the ticket", "billing"):
        assert piece not in without
    assert "order 4" in str(receiver.requests)
    assert json.loads(messages[0])[1] == {"role": "user", "parts": [{"type": "text", "content": "order 1"}]}


@pytest.mark.parametrize("protocol", ["http/json", "http/protobuf"])
def test_what_is_sent_twice_is_the_same_spans_in_either_encoding(folder: Path, protocol: str) -> None:
    with otlp_receiver() as receiver:
        export(folder, receiver)
        once = receiver.spans
        receiver.requests.clear()
        export(folder, receiver, "--protocol", protocol)

    assert receiver.spans == once
    assert {headers["content-encoding"] for headers in receiver.headers} == {"gzip"}
    assert set(receiver.paths) == {"/v1/traces"}


@pytest.mark.parametrize("protocol", ["http/json", "http/protobuf"])
def test_a_verdict_is_a_log_record_of_its_samples_span(folder: Path, protocol: str) -> None:
    with otlp_receiver() as receiver:
        done = export(folder, receiver, "--protocol", protocol, "--json")
    samples = {(span.trace_id, span.span_id): span for span in named(receiver.spans, "evalh.sample")}
    logged = rows(folder, "select sample_id, grader, outcome from verdicts")

    assert json.loads(done.out)["logs"] == {"taken": len(logged), "rejected": 0, "message": ""}
    assert {record.event_name for record in receiver.records} == {"gen_ai.evaluation.result"}
    found = Counter()
    for record in receiver.records:
        sample, verdict = samples[record.trace_id, record.span_id], told(record)
        assert record.time_unix_nano == record.observed_time_unix_nano == sample.end_time_unix_nano
        label = verdict["gen_ai.evaluation.score.label"]
        assert verdict.get("error.type") == ("_OTHER" if label == "error" else None)
        found[told(sample)["evalh.case.id"], verdict["gen_ai.evaluation.name"], label] += 1
    assert found == Counter((row["sample_id"].split("/")[1], row["grader"], row["outcome"]) for row in logged)


def test_records_that_are_sent_twice_have_the_same_ids(folder: Path) -> None:
    with otlp_receiver() as receiver:
        export(folder, receiver)
        once = receiver.records
        receiver.logs.clear()
        export(folder, receiver, "--protocol", "http/protobuf")

    assert receiver.records == once
    assert len({told(record)["log.record.uid"] for record in once}) == len(once) > 0


@pytest.mark.parametrize(("form", "events", "records"), [("both", 12, 12), ("spans", 12, 0), ("logs", 0, 12)])
def test_verdicts_are_sent_in_the_form_that_is_asked_for(folder: Path, form: str, events: int, records: int) -> None:
    with otlp_receiver() as receiver:
        done = export(folder, receiver, "--verdicts", form)

    assert done.exit == 0
    assert sum(len(span.events) for span in named(receiver.spans, "evalh.sample")) == events
    assert len(receiver.records) == records


def test_reasons_are_in_records_only_if_content_is_asked_for(folder: Path) -> None:
    with otlp_receiver() as receiver:
        export(folder, receiver)
        without = [told(record) for record in receiver.records]
        receiver.logs.clear()
        export(folder, receiver, "--content")

    assert not [one for one in without if "gen_ai.evaluation.explanation" in one]
    assert all(told(record)["gen_ai.evaluation.explanation"] for record in receiver.records)


def test_a_receiver_without_logs_gets_the_spans_with_their_verdicts(folder: Path) -> None:
    with otlp_receiver() as receiver:
        receiver.log_reply = (404, {}, b"not found")
        done = export(folder, receiver)
        only_logs = export(folder, receiver, "--verdicts", "logs")

    assert done.exit == 0
    assert "the spans hold the verdicts too: --verdicts spans" in done.err
    assert only_logs.exit == 4
    assert "HTTP 404" in only_logs.err


def test_records_that_were_not_taken_are_told(folder: Path) -> None:
    with otlp_receiver() as receiver:
        body = b'{"partialSuccess": {"rejectedLogRecords": "5", "errorMessage": "too old"}}'
        receiver.log_reply = (200, {}, body)
        done = export(folder, receiver, "--verdicts", "logs")

    assert done.exit == 4
    assert "5 log records were refused" in done.out
    assert "too old" in done.err


def test_logs_may_have_an_address_and_headers_of_their_own(folder: Path) -> None:
    with otlp_receiver() as traces, otlp_receiver() as logs:
        env = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": traces.url,
            "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": f"{logs.url}/v1/logs",
            "OTEL_EXPORTER_OTLP_LOGS_HEADERS": f"x-api-key={SECRET}",
        }
        done = export(folder, None, env=env)

    assert done.exit == 0, done.err
    assert (len(traces.records), len(logs.records), len(logs.spans)) == (0, 12, 0)
    assert logs.log_headers[0]["x-api-key"] == SECRET
    assert "x-api-key" not in traces.headers[0]


def test_an_answer_of_the_log_links_to_the_attempt_that_bought_it(folder: Path) -> None:
    run(folder)
    with otlp_receiver() as receiver:
        export(folder, receiver)
        links = [link for call in named(receiver.spans, "evalh.call") for link in call.links]
        receiver.requests.clear()
        first = rows(folder, "select id from runs order by started_at limit 1")[0]["id"]
        export(folder, receiver, first)
    bought = {(span.trace_id, span.span_id) for span in receiver.spans if span.kind == Span.SPAN_KIND_CLIENT}

    assert len(links) == CASES - 1
    assert {(link.trace_id, link.span_id) for link in links} <= bought


def test_a_large_run_is_a_trace_for_each_sample(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otel_spans, "ONE_TRACE", CASES - 1)
    with otlp_receiver() as receiver:
        export(folder, receiver)
    (root,) = named(receiver.spans, "evalh.run triage")
    samples = named(receiver.spans, "evalh.sample")

    assert len({span.trace_id for span in samples} - {root.trace_id}) == CASES
    assert [(one.links[0].trace_id, one.links[0].span_id) for one in samples] == [(root.trace_id, root.span_id)] * CASES


def test_a_busy_collector_is_waited_for_as_long_as_it_asks(folder: Path) -> None:
    def busy(number: int) -> Any:
        return [(429, {"Retry-After": "1"}, b"slow down"), (503, {"Retry-After": "0"}, b""), OK][min(number, 3) - 1]

    with otlp_receiver(busy) as receiver:
        began = time.monotonic()
        done = export(folder, receiver, "--json")

    assert done.exit == 0
    assert time.monotonic() - began >= 1.0
    assert json.loads(done.out)["retries"] == 2
    assert len(receiver.headers) == 3


@pytest.mark.parametrize("protocol", ["http/json", "http/protobuf"])
def test_spans_that_were_not_taken_are_told(folder: Path, protocol: str) -> None:
    partial = ExportTraceServiceResponse(
        partial_success=ExportTracePartialSuccess(rejected_spans=3, error_message="too old")
    )
    as_json = b'{"partialSuccess": {"rejectedSpans": "3", "errorMessage": "too old"}}'
    body = as_json if protocol == "http/json" else partial.SerializeToString()
    with otlp_receiver(lambda _: (200, {}, body)) as receiver:
        done = export(folder, receiver, "--protocol", protocol)

    assert done.exit == 4
    assert "3 spans were refused" in done.out
    assert "too old" in done.err


def test_headers_are_sent_and_never_shown(folder: Path) -> None:
    env = {"OTEL_EXPORTER_OTLP_HEADERS": f"x-api-key={SECRET},authorization=Bearer%20{SECRET}"}
    with otlp_receiver(lambda _: (401, {}, f"no such key {SECRET}".encode())) as receiver:
        done = export(folder, receiver, env=env)

    assert (receiver.headers[0]["x-api-key"], receiver.headers[0]["authorization"]) == (SECRET, f"Bearer {SECRET}")
    assert done.exit == 4
    assert "OTEL_EXPORTER_OTLP_HEADERS" in done.err
    assert SECRET not in done.out + done.err
    assert len(receiver.headers) == 1


def test_a_redirect_says_which_option_names_the_new_address(folder: Path) -> None:
    with otlp_receiver(lambda _: (308, {"Location": "https://moved.example/v1/traces"}, b"")) as receiver:
        done = export(folder, receiver)

    assert done.exit == 4
    assert "redirects to https://moved.example" in done.err
    assert "set --endpoint to the new address" in done.err


def test_the_environment_names_the_collector(folder: Path) -> None:
    with otlp_receiver() as receiver:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_SERVICE_NAME": "nightly"}
        done = export(folder, None, env=env)

    assert done.exit == 0
    assert told(receiver.requests[0].resource_spans[0].resource)["service.name"] == "nightly"


def test_without_a_collector_the_exit_is_4_and_says_what_to_type(folder: Path) -> None:
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        with comes_back(within_s=12.0):  # the waits between all tries are 15 s at least
            done = here(folder, "export", "otel", "--endpoint", f"http://127.0.0.1:{taken.getsockname()[1]}")

    assert done.exit == 4
    assert "--endpoint" in done.err


@pytest.mark.parametrize(
    ("env", "arguments", "says"),
    [
        ({}, ["--endpoint", "localhost:4318"], "is not an http or https URL"),
        ({}, ["--endpoint", f"http://me:{SECRET}@localhost"], "holds a login"),
        ({"OTEL_EXPORTER_OTLP_HEADERS": SECRET}, [], "entry 1 is not key=value"),
        ({"OTEL_EXPORTER_OTLP_HEADERS": f"key=a%0A{SECRET}"}, [], "is not allowed in a header"),
        ({"OTEL_EXPORTER_OTLP_HEADERS": f"api-key={SECRET}"}, ["--endpoint", "http://far.example"], "unencrypted"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, [], "not 'grpc'"),
        ({}, ["nowhere"], "no run 'nowhere'"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_sent(
    tmp_path: Path, env: dict[str, str], arguments: list[str], says: str
) -> None:
    folder = write_workspace(tmp_path, cases=1)
    here(folder, "run")
    done = here(folder, "export", "otel", *arguments, env=env)

    assert done.exit == 2
    assert says in done.err
    assert SECRET not in done.err


@pytest.mark.slow
def test_a_collector_that_others_wrote_takes_a_run_and_passes_it_on(folder: Path) -> None:
    rotel = pytest.importorskip("rotel")
    with socket.socket() as first, socket.socket() as second:
        for one in (first, second):
            one.bind(("127.0.0.1", 0))
        ports = [one.getsockname()[1] for one in (first, second)]
    with otlp_receiver() as receiver:
        command = [Path(rotel.__file__).with_name("rotel-agent"), "start", "--exporter", "otlp"]
        command += ["--otlp-http-endpoint", f"127.0.0.1:{ports[0]}", "--otlp-grpc-endpoint", f"127.0.0.1:{ports[1]}"]
        command += ["--otlp-exporter-endpoint", receiver.url, "--otlp-exporter-protocol", "http"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=sys.stderr) as collector:
            try:
                _listening(ports[0])
                done = export(folder, None, "--protocol", "http/protobuf", "--endpoint", f"http://127.0.0.1:{ports[0]}")
                assert done.exit == 0, done.err
                expected = int(done.out.split()[0])
                verdicts = rows(folder, "select count(*) as n from verdicts")[0]["n"]
                until(lambda: len(receiver.spans) >= expected and len(receiver.records) >= verdicts)
            finally:
                collector.send_signal(signal.SIGTERM)
        forwarded, records = receiver.spans, receiver.records
        receiver.requests.clear()
        receiver.logs.clear()
        export(folder, receiver)

    def by_id(span: Span) -> bytes:
        return bytes(span.span_id)

    assert sorted(forwarded, key=by_id) == sorted(receiver.spans, key=by_id)
    uids = [sorted(told(record)["log.record.uid"] for record in some) for some in (records, receiver.records)]
    assert uids[0] == uids[1]


def _listening(port: int) -> None:
    def reached() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    until(reached)
