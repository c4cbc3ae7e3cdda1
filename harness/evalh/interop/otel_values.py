"""Spans as values, and as OTLP's JSON spells them: 64-bit integers are text, times nanoseconds since the epoch.

The names that OpenTelemetry gives to what a span says; the only place where they are written.

Revision: GenAI semantic conventions 1.42.0 (status: development), `open-telemetry/semantic-conventions-genai` as of
commit 002c8a6e; general conventions 1.44.0. What the conventions have no name for is called `evalh.*`.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final

import orjson
from msgspec import Struct, field

from evalh.core.strict_json import JsonValue
from evalh.core.values import Value

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/gen-ai/1.42.0"

# -- general conventions

ERROR_TYPE: Final = "error.type"
HTTP_STATUS: Final = "http.response.status_code"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"
RECORD_UID: Final = "log.record.uid"
SERVICE_NAME: Final = "service.name"
SERVICE_VERSION: Final = "service.version"

# -- GenAI: an inference

OPERATION: Final = "gen_ai.operation.name"
CHAT: Final = "chat"
EMBEDDINGS: Final = "embeddings"
PROVIDER: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
REQUEST_STREAM: Final = "gen_ai.request.stream"
OUTPUT_TYPE: Final = "gen_ai.output.type"
RESPONSE_MODEL: Final = "gen_ai.response.model"
RESPONSE_FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
TIME_TO_FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"  # seconds
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
CACHE_READ_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
REASONING_TOKENS: Final = "gen_ai.usage.reasoning.output_tokens"

DOUBLES: Final[Mapping[str, str]] = {
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "top_k": "gen_ai.request.top_k",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "presence_penalty": "gen_ai.request.presence_penalty",
}
"""Sampling parameters that are doubles there, by their names here."""

INTEGERS: Final[Mapping[str, str]] = {"max_tokens": "gen_ai.request.max_tokens", "seed": "gen_ai.request.seed"}
"""Sampling parameters that are integers."""

STOP_SEQUENCES: Final = "gen_ai.request.stop_sequences"

# -- GenAI: content, opt-in

INPUT_MESSAGES: Final = "gen_ai.input.messages"
OUTPUT_MESSAGES: Final = "gen_ai.output.messages"
FINISH_IN_MESSAGES: Final[Mapping[str, str]] = {
    "tool_calls": "tool_call",
    "refusal": "content_filter",
    "other": "error",
}
"""How the messages' schema spells a finish reason; `stop`, `length` and `content_filter` are the same."""

# -- GenAI: a verdict is an event

EVALUATION: Final = "gen_ai.evaluation.result"
EVALUATION_NAME: Final = "gen_ai.evaluation.name"
EVALUATION_SCORE: Final = "gen_ai.evaluation.score.value"
EVALUATION_LABEL: Final = "gen_ai.evaluation.score.label"
EVALUATION_EXPLANATION: Final = "gen_ai.evaluation.explanation"


INTERNAL, CLIENT = 1, 3
"""Span kinds."""

_INFO = 9  # a log record's severity


class OtlpSignal(StrEnum):
    """What is sent: each has an address and a form of its own."""

    TRACES = "traces"
    LOGS = "logs"


_FAILED = 2


class SpanPlace(Value):
    """Where a span stands. Made from names by digest: the same names are the same place on any machine."""

    trace: str  # 32 hex digits
    span: str  # 16 hex digits

    @classmethod
    def of(cls, trace: str, span: str) -> "SpanPlace":
        """Place a span by the names of its trace and its own."""
        return cls(_digest(f"trace {trace}")[:32], _digest(f"span {span}")[:16])


class Period(Struct):
    """From when to when, in seconds since the epoch; empty until something happened."""

    began: float | None = None
    ended: float | None = None

    def include(self, began: float, ended: float) -> None:
        """Widen it."""
        self.began = began if self.began is None else min(self.began, began)
        self.ended = ended if self.ended is None else max(self.ended, ended)

    def within(self, default: float) -> tuple[float, float]:
        """Return both ends; the default where nothing happened."""
        began = default if self.began is None else self.began
        return began, began if self.ended is None else self.ended


class Event(Value):
    """Something that happened at one moment of a span."""

    at: float  # seconds since the epoch
    name: str
    attributes: Mapping[str, JsonValue]

    def document(self) -> dict[str, Any]:
        """Return it as OTLP's JSON."""
        return {"timeUnixNano": nanoseconds(self.at), "name": self.name, "attributes": attributes(self.attributes)}


class Link(Value):
    """Another span that a span has to do with, such as the attempt that bought an answer."""

    place: SpanPlace
    why: str

    def document(self) -> dict[str, Any]:
        """Return it as OTLP's JSON."""
        values = attributes({"evalh.link": self.why})
        return {"traceId": self.place.trace, "spanId": self.place.span, "attributes": values}


class Span(Value, kw_only=True):
    """One span. Attributes that are None are left out."""

    place: SpanPlace
    parent: SpanPlace | None  # of the same trace
    name: str
    period: tuple[float, float]  # seconds since the epoch
    kind: int = INTERNAL
    attributes: Mapping[str, JsonValue] = field(default_factory=dict)
    events: Sequence[Event] = ()
    links: Sequence[Link] = ()
    error: str | None = None  # its class; None: it ended well
    error_text: str | None = None

    def document(self) -> dict[str, Any]:
        """Return it as OTLP's JSON."""
        began, ended = self.period
        values = self.attributes if self.error is None else {**self.attributes, ERROR_TYPE: self.error}
        document: dict[str, Any] = {
            "traceId": self.place.trace,
            "spanId": self.place.span,
            "name": _clean(self.name),
            "kind": self.kind,
            "startTimeUnixNano": nanoseconds(began),
            "endTimeUnixNano": nanoseconds(max(began, ended)),
            "attributes": attributes(values),
        }
        if self.parent is not None:
            document["parentSpanId"] = self.parent.span
        if self.events:
            document["events"] = [event.document() for event in self.events]
        if self.links:
            document["links"] = [link.document() for link in self.links]
        if self.error is not None:
            message = {} if self.error_text is None else {"message": _clean(self.error_text)}
            document["status"] = {"code": _FAILED, **message}
        return document


class LogRecord(Value, kw_only=True):
    """One event as a log record that belongs to a span. Sent twice, it has the same `log.record.uid`."""

    place: SpanPlace  # of its span
    uid: str
    event: Event

    def document(self) -> dict[str, Any]:
        """Return it as OTLP's JSON."""
        at = nanoseconds(self.event.at)
        return {
            "timeUnixNano": at,
            "observedTimeUnixNano": at,
            "severityNumber": _INFO,
            "eventName": self.event.name,
            "attributes": attributes({**self.event.attributes, RECORD_UID: _digest(f"log {self.uid}")[:32]}),
            "traceId": self.place.trace,
            "spanId": self.place.span,
        }


def attributes(values: Mapping[str, JsonValue]) -> list[dict[str, Any]]:
    """Return key-value pairs as OTLP's JSON; None is left out: unknown is not zero."""
    return [{"key": key, "value": _value(value)} for key, value in values.items() if value is not None]


def nanoseconds(seconds: float) -> str:
    """Return an instant as OTLP's JSON. The log's instants are exact to a microsecond: finer digits would be noise."""
    return f"{round(seconds * 1e6)}000"


def _value(value: JsonValue) -> dict[str, Any]:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)} if -(2**63) <= value < 2**63 else {"stringValue": str(value)}
        case float():
            return {"doubleValue": value}
        case str():
            return {"stringValue": _clean(value)}
        case list() | tuple():
            return {"arrayValue": {"values": [_value(one) for one in value]}}
        case _:
            return {"stringValue": _clean(str(value))}


def _clean(text: str) -> str:
    """Return the text as UTF-8 can carry it: a model may say lone surrogates."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _digest(name: str) -> str:
    return sha256(name.encode("utf-8", "surrogatepass")).hexdigest()


# -- requests and answers in OTLP's JSON; `otlp_protobuf` writes the same in protobuf


_FORMS: Final = {
    OtlpSignal.TRACES: ("resourceSpans", "scopeSpans", "spans", "rejectedSpans"),
    OtlpSignal.LOGS: ("resourceLogs", "scopeLogs", "logRecords", "rejectedLogRecords"),
}
"""How OTLP's JSON names the parts of a request, and of its answer."""


class Rejected(Value):
    """What a collector did not take of a request that it answered well."""

    count: int
    message: str


class Origin(Value):
    """Who sends: the resource's attributes, and evalh's own version."""

    resource: Mapping[str, JsonValue]
    version: str

    def request(self, signal: OtlpSignal) -> dict[str, JsonValue]:
        """Return a request as OTLP's JSON, without spans or records."""
        resources, scopes, _, _ = _FORMS[signal]
        scope = {"scope": {"name": "evalh", "version": self.version}, "schemaUrl": SCHEMA_URL}
        return {resources: [{"resource": {"attributes": attributes(self.resource)}, scopes: [scope]}]}


class JsonEncoding:
    """OTLP's JSON of one signal."""

    content_type = "application/json"

    def __init__(self, origin: Origin, signal: OtlpSignal) -> None:
        _, _, items, self._rejected = _FORMS[signal]
        self._head = orjson.dumps(origin.request(signal)).removesuffix(b"}]}]}") + b',"%b":[' % items.encode()

    def item(self, item: Span | LogRecord) -> bytes:
        return orjson.dumps(item.document())

    def request(self, items: Sequence[bytes]) -> bytes:
        return b"%b%b]}]}]}" % (self._head, b",".join(items))

    def rejected(self, body: bytes) -> Rejected:
        answer = orjson.loads(body) if body.strip() else {}
        partial = (answer.get("partialSuccess") if isinstance(answer, dict) else None) or {}
        if not isinstance(partial, dict):
            raise ValueError("partialSuccess is not an object")  # noqa: TRY004 (what was read is wrong, not its caller)
        return Rejected(int(partial.get(self._rejected) or 0), str(partial.get("errorMessage") or ""))
