"""OTLP in protobuf, by the messages that OpenTelemetry publishes (the extra `otel`)."""

from base64 import b64encode
from collections.abc import Sequence
from typing import Any

from google.protobuf.json_format import ParseDict
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage

from evalh.interop.otel_values import Origin, Rejected, Span

_IDS = ("traceId", "spanId", "parentSpanId")


class ProtobufEncoding:
    """OTLP's protobuf. One description of a span serves both: it is read from OTLP's JSON."""

    content_type = "application/x-protobuf"

    def __init__(self, origin: Origin) -> None:
        self._origin = origin

    def span(self, span: Span) -> bytes:
        document = span.document()
        # OTLP's JSON writes ids in hex, protobuf's own JSON any bytes in base 64.
        for one in (document, *document.get("links", ())):
            one.update({name: b64encode(bytes.fromhex(one[name])).decode() for name in _IDS if name in one})
        encoded: bytes = ParseDict(document, SpanMessage()).SerializeToString()
        return encoded

    def request(self, spans: Sequence[bytes]) -> bytes:
        request = ParseDict({"resourceSpans": [self._origin.document()]}, ExportTraceServiceRequest())
        target: Any = request.resource_spans[0].scope_spans[0].spans
        for span in spans:
            target.add().ParseFromString(span)
        encoded: bytes = request.SerializeToString()
        return encoded

    def rejected(self, body: bytes) -> Rejected:
        try:
            partial = ExportTraceServiceResponse.FromString(body).partial_success
        except DecodeError as exc:
            raise ValueError(str(exc)) from exc
        return Rejected(partial.rejected_spans, partial.error_message)
