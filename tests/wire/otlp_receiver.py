"""An OTLP/HTTP receiver on loopback that reads what arrives with OpenTelemetry's own messages."""

import gzip
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from loopback import Handler, http_server

Reply = tuple[int, dict[str, str], bytes]
OK: Reply = (200, {}, b"")


@dataclass
class Receiver:
    """What arrived, and how the next request is answered. Requests of logs are kept and counted apart."""

    url: str = ""
    reply: Callable[[int], Reply] = lambda _: OK  # by the request's number, from 1
    log_reply: Reply = OK
    logs: list[ExportLogsServiceRequest] = field(default_factory=list)
    log_headers: list[dict[str, str]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    requests: list[ExportTraceServiceRequest] = field(default_factory=list)

    @property
    def spans(self) -> list[Span]:
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    @property
    def records(self) -> list[LogRecord]:
        return [
            record
            for request in self.logs
            for resource in request.resource_logs
            for scope in resource.scope_logs
            for record in scope.log_records
        ]


def decode(body: bytes, headers: dict[str, str], kind: Any = ExportTraceServiceRequest) -> Any:
    """Read a request as a collector does: unknown fields and wrong types are errors."""
    content = gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body
    if headers["content-type"] == "application/x-protobuf":
        return kind.FromString(content)
    assert headers["content-type"] == "application/json"
    return ParseDict(_in_base64(orjson.loads(content)), kind())


def _in_base64(value: Any) -> Any:
    """OTLP's JSON writes ids in hex, where protobuf's own JSON has base 64."""
    if isinstance(value, list):
        return [_in_base64(one) for one in value]
    if not isinstance(value, dict):
        return value
    ids = ("traceId", "spanId", "parentSpanId")
    return {
        key: b64encode(bytes.fromhex(one)).decode() if key in ids else _in_base64(one) for key, one in value.items()
    }


@contextmanager
def otlp_receiver(reply: Callable[[int], Reply] | None = None) -> Iterator[Receiver]:
    """Receive spans until the block ends."""
    receiver = Receiver()
    if reply is not None:
        receiver.reply = reply

    class Spans(Handler):
        def answer(self) -> None:
            body = self.body()
            headers = {name.lower(): value for name, value in self.headers.items()}
            if self.path == "/v1/logs":
                receiver.log_headers.append(headers)
                if receiver.log_reply[0] == 200:
                    receiver.logs.append(decode(body, headers, ExportLogsServiceRequest))
                status, more, answer = receiver.log_reply
                self.reply(status, answer, {"Content-Type": headers["content-type"], **more})
                return
            receiver.headers.append(headers)
            receiver.paths.append(self.path)
            status, more, answer = receiver.reply(len(receiver.headers))
            if status == 200:
                receiver.requests.append(decode(body, headers))
            self.reply(status, answer, {"Content-Type": headers["content-type"], **more})

    with http_server(Spans) as port:
        receiver.url = f"http://127.0.0.1:{port}"
        yield receiver
