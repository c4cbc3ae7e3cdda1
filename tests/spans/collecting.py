"""What the tests of spans share: a model's server, a running `evalh collect`, OTLP by hand. Not a test itself."""

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from evalh.api.workspace import Workspace
from loopback import Handler, http_server

TRACE = "0af7651916cd43dd8448eb211c80319c"
NOW = 1_790_000_000
"""When spans by hand begin, in seconds."""

USAGE = {
    "prompt_tokens": 20,
    "completion_tokens": 9,
    "total_tokens": 29,
    "prompt_tokens_details": {"cached_tokens": 12},
    "completion_tokens_details": {"reasoning_tokens": 4},
}


@contextmanager
def model_server() -> Iterator[str]:
    """Answer as OpenAI's chat completions do: a tool's call first, 404 for the model `bad`, 429 twice for `flaky`."""
    asked: list[str] = []

    class Chat(Handler):
        def answer(self) -> None:
            body = json.loads(self.body())
            asked.append(body["model"])
            if body["model"] == "bad":
                self.reply(404, {"error": {"message": "no such model: s3cret", "type": "invalid_request_error"}})
            elif body["model"] == "flaky" and asked.count("flaky") < 3:
                self.reply(429, {"error": {"message": "slower", "type": "rate_limit"}}, {"Retry-After-Ms": "1"})
            elif body.get("stream"):
                self.reply(200, _streamed(), {"Content-Type": "text/event-stream"})
            else:
                self.reply(200, _whole(body))

    with http_server(Chat) as port:
        yield f"http://127.0.0.1:{port}/v1"


def _whole(body: Mapping[str, Any]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": "It has shipped."}
    calls = body.get("tools") and body["messages"][-1]["role"] != "tool"
    if calls:
        called = {"name": "order", "arguments": '{"id": 7}'}
        message = {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "call_1", "type": "function", "function": called}],
        }
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if calls else "stop"}
    head = {"id": "c-1", "object": "chat.completion", "created": 1, "model": "gpt-5-mini-2025-08-07"}
    return {**head, "choices": [choice], "usage": USAGE}


def _streamed() -> bytes:
    head = {"id": "c-2", "object": "chat.completion.chunk", "created": 1, "model": "gpt-5-mini-2025-08-07"}
    deltas = [({"role": "assistant", "content": "On its "}, None), ({"content": "way."}, None), ({}, "stop")]
    chunks: list[dict[str, Any]] = [
        {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]} for delta, finish in deltas
    ]
    chunks.append({**head, "choices": [], "usage": USAGE})
    return b"".join(f"data: {json.dumps(one)}\n\n".encode() for one in chunks) + b"data: [DONE]\n\n"


# -- evalh collect


def workspace_in(folder: Path, toml: str = "") -> Workspace:
    folder.mkdir(exist_ok=True)
    (folder / "evalh.toml").write_text(toml)
    return Workspace.open(folder)


def environment(**more: str) -> dict[str, str]:
    """Return a process's environment without the user's own collector."""
    return {**{key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}, **more}


def collect(folder: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run `evalh collect` to its end."""
    line = [sys.executable, "-m", "evalh", "-C", str(folder), "collect", *arguments]
    return subprocess.run(line, capture_output=True, text=True, timeout=120, env=environment(**env), check=False)


@dataclass
class Running:
    """An `evalh collect` without a command, and what it told at its end."""

    url: str
    process: subprocess.Popen[str]
    told: dict[str, Any] = field(default_factory=dict)
    code: int | None = None

    def post(self, path: str, body: bytes | Any, kind: str = "application/json", **headers: str) -> tuple[int, bytes]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        parts = urlsplit(self.url)
        connection = HTTPConnection(str(parts.hostname), parts.port, timeout=60)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request("POST", path, data, {"Content-Type": kind, **named})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


@contextmanager
def collecting(folder: Path, *arguments: str, most_file_bytes: int | None = None) -> Iterator[Running]:
    """Run `evalh collect` while the block lasts, then interrupt it; no file may be larger than `most_file_bytes`."""
    line = [sys.executable, "-m", "evalh", "-C", str(folder), "collect", "--json", *arguments]
    if "--port" not in arguments:
        line += ["--port", "0"]
    process = subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(), start_new_session=True
    )
    assert process.stderr is not None
    first = process.stderr.readline()
    assert first.startswith("http"), first + process.stderr.read()
    if most_file_bytes is not None:
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (most_file_bytes, most_file_bytes))
    running = Running(first.partition("/v1/")[0], process)
    try:
        yield running
    finally:
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
        running.code = process.returncode
        running.told = json.loads(out)


# -- OTLP by hand


def value(told: Any) -> dict[str, Any]:
    match told:
        case bool():
            return {"boolValue": told}
        case int():
            return {"intValue": str(told)}
        case float():
            return {"doubleValue": told}
        case list():
            return {"arrayValue": {"values": [value(one) for one in told]}}
        case dict():
            return {"kvlistValue": {"values": attributes(told)}}
        case _:
            return {"stringValue": told}


def attributes(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": value(one)} for key, one in told.items()]


def span(number: int, parent: int | None = None, *, trace: str = TRACE, name: str = "", **told: Any) -> dict[str, Any]:
    """Return a span that begins `number` seconds after NOW; what `told` has no field for is an attribute."""
    began = told.pop("began", NOW + number)
    made: dict[str, Any] = {
        "traceId": trace,
        "spanId": f"{number:016x}",
        "name": name or f"span {number}",
        "startTimeUnixNano": str(int(began * 1e9)),
        "endTimeUnixNano": str(int(told.pop("ended", began + 0.5) * 1e9)),
        "attributes": attributes(told.pop("attributes", {})),
        **told,
    }
    if parent is not None:
        made["parentSpanId"] = f"{parent:016x}"
    return made


def chat(number: int, parent: int | None = None, *, tokens: int = 10, **told: Any) -> dict[str, Any]:
    """Return the span of a model call."""
    said = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-5-mini",
        "gen_ai.usage.input_tokens": tokens,
        "gen_ai.usage.output_tokens": 1,
        **told.pop("attributes", {}),
    }
    return span(number, parent, attributes=said, **told)


def request(*spans: dict[str, Any]) -> dict[str, Any]:
    resource = {"attributes": attributes({"service.name": "shop"})}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": {}, "spans": list(spans)}]}]}


def log(name: str, told: Mapping[str, Any], *, number: int = 1, at: float = NOW, **more: Any) -> dict[str, Any]:
    """Return a log record that belongs to span `number`."""
    return {
        "traceId": TRACE,
        "spanId": f"{number:016x}",
        "timeUnixNano": str(int(at * 1e9)),
        "eventName": name,
        "attributes": attributes(more.pop("attributes", {})),
        "body": value(dict(told)),
        **more,
    }


def logs(*records: dict[str, Any]) -> dict[str, Any]:
    return {"resourceLogs": [{"resource": {}, "scopeLogs": [{"logRecords": list(records)}]}]}


RECORDED_KEYS = (
    "gen_ai.operation.name gen_ai.request.model gen_ai.provider.name gen_ai.usage.input_tokens gen_ai.input.messages"
    " gen_ai.output.messages gen_ai.system_instructions gen_ai.tool.definitions gen_ai.response.finish_reasons"
    " gen_ai.tool.call.arguments gen_ai.response.id gen_ai.response.time_to_first_chunk gen_ai.input.messages_ref"
    " gen_ai.request.temperature gen_ai.request.stop_sequences gen_ai.event.content gen_ai.prompt.0.role"
    " gen_ai.prompt.0.content gen_ai.prompt.0.tool_calls.0.name gen_ai.completion.0.content traceloop.span.kind"
    " gen_ai.completion.0.finish_reason traceloop.entity.input traceloop.prompt.key traceloop.prompt.version"
    " llm.request.type llm.request.functions.0.parameters openinference.span.kind llm.input_messages.0.message.role"
    " llm.input_messages.0.message.content llm.input_messages.0.message.contents.0.message_content.text"
    " llm.output_messages.0.message.tool_calls.0.tool_call.function.name llm.invocation_parameters llm.cost.total"
    " llm.token_count.prompt llm.tools.0.tool.json_schema input.value input.mime_type retrieval.documents.0.document.id"
    " server.address server.port error.type exception.type tag.tags session.id gen_ai.evaluation.score.value"
    " gen_ai.evaluation.score.label gen_ai.evaluation.name content tool_calls message index"
)
"""Names of attributes and fields that the readers look for, separated by blanks."""
