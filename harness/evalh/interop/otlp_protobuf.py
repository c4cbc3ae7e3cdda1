"""OTLP in protobuf, by the messages that OpenTelemetry publishes (the extra `otel`)."""

from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from google.protobuf.json_format import ParseDict
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord as RecordMessage
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage

from evalh.core.strict_json import JsonValue
from evalh.interop.otel_values import LogRecord, Origin, OtlpSignal, Rejected, Span
from evalh.interop.spans.received import (
    DEEPEST,
    NotOtlp,
    Received,
    ReceivedEvent,
    SpanParts,
    finite,
    log_of,
    seconds,
    short,
    span_of,
)

_IDS = ("traceId", "spanId", "parentSpanId")


class ProtobufEncoding:
    """OTLP's protobuf of one signal. One description of a span serves both: it is read from OTLP's JSON."""

    content_type = "application/x-protobuf"

    def __init__(self, origin: Origin, signal: OtlpSignal) -> None:
        self._origin, self._signal = origin, signal

    def item(self, item: Span | LogRecord) -> bytes:
        document = item.document()
        # OTLP's JSON writes ids in hex, protobuf's own JSON any bytes in base 64.
        for one in (document, *document.get("links", ())):
            one.update({name: b64encode(bytes.fromhex(one[name])).decode() for name in _IDS if name in one})
        message = SpanMessage() if self._signal is OtlpSignal.TRACES else RecordMessage()
        encoded: bytes = ParseDict(document, message).SerializeToString()
        return encoded

    def request(self, items: Sequence[bytes]) -> bytes:
        document = self._origin.request(self._signal)
        target: Any
        if self._signal is OtlpSignal.TRACES:
            request = ParseDict(document, ExportTraceServiceRequest())
            target = request.resource_spans[0].scope_spans[0].spans
        else:
            request = ParseDict(document, ExportLogsServiceRequest())
            target = request.resource_logs[0].scope_logs[0].log_records
        for item in items:
            target.add().ParseFromString(item)
        encoded: bytes = request.SerializeToString()
        return encoded

    def rejected(self, body: bytes) -> Rejected:
        try:
            if self._signal is OtlpSignal.TRACES:
                spans = ExportTraceServiceResponse.FromString(body).partial_success
                return Rejected(spans.rejected_spans, spans.error_message)
            logs = ExportLogsServiceResponse.FromString(body).partial_success
            return Rejected(logs.rejected_log_records, logs.error_message)
        except DecodeError as exc:
            raise ValueError(str(exc)) from exc


# -- reading what other programs send


def read_traces(body: bytes) -> Received:
    """Read a request of traces. Raises NotOtlp."""
    received = Received()
    for resource in _parsed(ExportTraceServiceRequest, body).resource_spans:
        service = _service(resource.resource)
        for scope in resource.scope_spans:
            for span in scope.spans:
                parts = SpanParts(
                    ids=(span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex()),
                    name=span.name,
                    times=(span.start_time_unix_nano, span.end_time_unix_nano),
                    status=(span.status.code, span.status.message),
                    attributes=_attributes(span.attributes),
                    events=tuple(
                        ReceivedEvent(
                            name=short(event.name),
                            at=seconds(event.time_unix_nano),
                            attributes=_attributes(event.attributes),
                        )
                        for event in span.events
                    ),
                    service=service,
                )
                received.add(span_of(parts))
    return received


def read_logs(body: bytes) -> Received:
    """Read a request of logs. Raises NotOtlp."""
    received = Received()
    for resource in _parsed(ExportLogsServiceRequest, body).resource_logs:
        service = _service(resource.resource)
        for scope in resource.scope_logs:
            for log in scope.log_records:
                event = ReceivedEvent(
                    name=short(log.event_name),
                    at=seconds(log.time_unix_nano) or seconds(log.observed_time_unix_nano),
                    attributes=_attributes(log.attributes),
                    body=_value(log.body, DEEPEST),
                )
                received.add(log_of(log.trace_id.hex(), log.span_id.hex(), event, service))
    return received


def _parsed(kind: Any, body: bytes) -> Any:
    try:
        return kind.FromString(body)
    except DecodeError as exc:
        raise NotOtlp(f"not OTLP's protobuf: {exc}") from None


def _service(resource: Any) -> str | None:
    return short(_attributes(resource.attributes).get("service.name")) or None


def _attributes(pairs: Iterable[Any]) -> dict[str, JsonValue]:
    return dict(_known(pairs, DEEPEST))


def _known(pairs: Iterable[Any], deepest: int) -> Iterator[tuple[str, JsonValue]]:
    for pair in pairs:
        value = _value(pair.value, deepest)
        if value is not None:
            yield pair.key, value


def _value(value: Any, deepest: int) -> JsonValue:
    kind = value.WhichOneof("value")
    if kind is None or deepest == 0:
        return None
    held = getattr(value, kind)
    match kind:
        case "array_value":
            return [_value(one, deepest - 1) for one in held.values]
        case "kvlist_value":
            return dict(_known(held.values, deepest - 1))
        case "double_value":
            return finite(held)
        case "string_value" | "bool_value" | "int_value":
            return held
        case _:
            return None
