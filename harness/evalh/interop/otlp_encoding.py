"""Requests and answers of OTLP/HTTP: JSON, which needs no library, or protobuf by OpenTelemetry's own messages."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import orjson

from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.interop.otel_values import SCHEMA_URL, Span, attributes


class Rejected(Value):
    """What a collector did not take of a request that it answered well."""

    spans: int
    message: str


class Encoding(Protocol):
    """How a body is written and an answer read."""

    content_type: str

    def span(self, span: Span) -> bytes:
        """Encode one span."""

    def request(self, spans: Sequence[bytes]) -> bytes:
        """Put encoded spans into one request."""

    def rejected(self, body: bytes) -> Rejected:
        """Read an answer. Raises ValueError for what is none."""


class Origin(Value):
    """Who sends: the resource's attributes, and evalh's own version."""

    resource: Mapping[str, JsonValue]
    version: str

    def document(self) -> dict[str, JsonValue]:
        """Return a request's head as OTLP's JSON, without spans."""
        scope = {"scope": {"name": "evalh", "version": self.version}, "schemaUrl": SCHEMA_URL}
        return {"resource": {"attributes": attributes(self.resource)}, "scopeSpans": [scope]}


class JsonEncoding:
    """OTLP's JSON."""

    content_type = "application/json"

    def __init__(self, origin: Origin) -> None:
        self._head = orjson.dumps({"resourceSpans": [origin.document()]}).removesuffix(b"}]}]}") + b',"spans":['

    def span(self, span: Span) -> bytes:
        return orjson.dumps(span.document())

    def request(self, spans: Sequence[bytes]) -> bytes:
        return b"%b%b]}]}]}" % (self._head, b",".join(spans))

    def rejected(self, body: bytes) -> Rejected:
        answer = orjson.loads(body) if body.strip() else {}
        partial = (answer.get("partialSuccess") if isinstance(answer, dict) else None) or {}
        if not isinstance(partial, dict):
            raise ValueError("partialSuccess is no object")  # noqa: TRY004 (what was read is wrong, not its caller)
        return Rejected(int(partial.get("rejectedSpans") or 0), str(partial.get("errorMessage") or ""))
