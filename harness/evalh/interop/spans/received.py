"""Spans and events as they were received, whatever their encoding: plain values, sizes bounded, nonsense left out.

What cannot be told is None: a time of 0, a name of no characters, a number that is not finite.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec
import orjson

from evalh.core.strict_json import JsonValue
from evalh.core.values import Value

LONGEST_NAME = 500  # characters of a name or an id
MOST_TEXT = 4 << 20  # characters of one span's attributes; what is longer is left out and counted
DEEPEST = 60  # levels of a structured attribute
_LATEST_S = 253_402_300_799  # the end of the year 9999
_FAILED = 2
_INTEGERS = range(-(2**63), 2**63)

TRACE_DIGITS, SPAN_DIGITS = 32, 16
_HEX = frozenset("0123456789abcdef")


class ReceivedEvent(Value, kw_only=True):
    """An event of a span, or a log record that belongs to one."""

    name: str
    at: float | None  # seconds since the epoch
    attributes: Mapping[str, JsonValue] = {}
    body: JsonValue = None


class ReceivedSpan(Value, kw_only=True):
    """One span. Ids are lower-case hex digits."""

    trace: str
    span: str
    parent: str | None = None
    name: str = "span"
    started_at: float | None = None
    ended_at: float | None = None
    failed: bool = False
    message: str | None = None  # of its status
    attributes: Mapping[str, JsonValue] = {}
    events: tuple[ReceivedEvent, ...] = ()
    service: str | None = None
    size: int = 0  # characters, roughly
    whole: bool = False  # it stands for its trace, whatever else has no parent


class ReceivedLog(Value, kw_only=True):
    """An event that came apart from its span; `trace` is None where it names none."""

    trace: str | None
    span: str | None
    event: ReceivedEvent
    service: str | None = None
    size: int = 0


class Received(msgspec.Struct):
    """What one request or file held."""

    spans: list[ReceivedSpan] = []
    logs: list[ReceivedLog] = []
    unreadable: int = 0  # spans and logs that are not ones
    cut: int = 0  # those whose attributes are too long: they are without

    def add(self, made: ReceivedSpan | ReceivedLog | None) -> None:
        """Add what was read; None counts as unreadable."""
        if isinstance(made, ReceivedSpan):
            self.spans.append(made)
        elif isinstance(made, ReceivedLog):
            self.logs.append(made)
        else:
            self.unreadable += 1
        self.cut += made is not None and made.size > MOST_TEXT


class NotOtlp(ValueError):
    """A body is not OTLP; the message says why."""


# -- one value at a time, from either encoding


def hex_id(text: Any, digits: int) -> str | None:
    """Return an id in lower case; None for one that is not an id, and for the id of nothing."""
    if not isinstance(text, str) or len(text) != digits:
        return None
    lower = text.lower()
    return lower if _HEX.issuperset(lower) and lower.strip("0") else None


def seconds(nanoseconds: Any) -> float | None:
    """Return an instant in seconds since the epoch."""
    try:
        value = int(nanoseconds) / 1e9
    except (TypeError, ValueError, OverflowError):
        return None
    return value if 0 < value <= _LATEST_S else None


def short(text: Any, default: str = "") -> str:
    """Return a name, of bounded length."""
    return text[:LONGEST_NAME] if isinstance(text, str) and text.strip() else default


def finite(number: Any) -> float | None:
    """Return a number that JSON can carry; OTLP's JSON writes the others as words."""
    try:
        value = float(number)
    except (TypeError, ValueError, OverflowError):
        return None
    return value if math.isfinite(value) else None


def size_of(value: JsonValue) -> int:
    """Return about how many characters a value has. Values are at most `DEEPEST` levels deep."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Mapping):
        return sum(len(key) + size_of(one) for key, one in value.items())
    if isinstance(value, list):
        return sum(map(size_of, value)) + len(value)
    return 8


class SpanParts(Value, kw_only=True):
    """What both encodings say of a span before it is checked."""

    ids: tuple[Any, Any, Any]  # trace, span, parent
    name: Any
    times: tuple[Any, Any]  # nanoseconds
    status: tuple[Any, Any]  # code, message
    attributes: Mapping[str, JsonValue]
    events: tuple[ReceivedEvent, ...]
    service: str | None


def span_of(parts: SpanParts) -> ReceivedSpan | None:
    """Return the span; None for one without ids."""
    trace, span = hex_id(parts.ids[0], TRACE_DIGITS), hex_id(parts.ids[1], SPAN_DIGITS)
    if trace is None or span is None:
        return None
    size = size_of(parts.attributes) + sum(size_of(one.attributes) + size_of(one.body) for one in parts.events)
    fits = size <= MOST_TEXT
    parent = hex_id(parts.ids[2], SPAN_DIGITS)
    code, message = parts.status
    return ReceivedSpan(
        trace=trace,
        span=span,
        parent=None if parent == span else parent,
        name=short(parts.name, "span"),
        started_at=seconds(parts.times[0]),
        ended_at=seconds(parts.times[1]),
        failed=code in {_FAILED, "STATUS_CODE_ERROR"},
        message=short(message) or None,
        attributes=parts.attributes if fits else _within(parts.attributes),
        events=parts.events if fits else (),
        service=parts.service,
        size=size,
    )


def log_of(trace: Any, span: Any, event: ReceivedEvent, service: str | None) -> ReceivedLog | None:
    """Return a log record; None for one that is not an event."""
    name = event.name or short(event.attributes.get("event.name"))
    if not name:
        return None
    size = size_of(event.attributes) + size_of(event.body)
    if size > MOST_TEXT:
        event = msgspec.structs.replace(event, attributes=_within(event.attributes), body=None)
    return ReceivedLog(
        trace=hex_id(trace, TRACE_DIGITS),
        span=hex_id(span, SPAN_DIGITS),
        event=msgspec.structs.replace(event, name=name),
        service=service,
        size=size,
    )


def _within(attributes: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Leave out what is long: tokens and names of a span that is too large are still known."""
    return dict([(key, value) for key, value in attributes.items() if size_of(value) <= LONGEST_NAME][:1000])


# -- OTLP's JSON


def read_json(body: bytes) -> Received:
    """Read a document of traces or logs, or a mix of both. Raises NotOtlp."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise NotOtlp(f"not JSON: {exc}") from None
    if not isinstance(document, dict):
        raise NotOtlp("not an object")
    if not {"resourceSpans", "resourceLogs", "resourceMetrics"} & set(document) and document:
        raise NotOtlp("neither 'resourceSpans' nor 'resourceLogs'")
    received = Received()
    for service, span in _leaves(document, "resourceSpans", ("scopeSpans", "instrumentationLibrarySpans"), "spans"):
        received.add(_json_span(span, service))
    for service, log in _leaves(document, "resourceLogs", ("scopeLogs",), "logRecords"):
        received.add(_json_log(log, service))
    return received


def _leaves(
    document: Mapping[str, Any], top: str, middle: Iterable[str], leaf: str
) -> Iterator[tuple[str | None, dict[str, Any]]]:
    for resource in _objects(document.get(top)):
        about = resource.get("resource")
        told = _attributes(about.get("attributes") if isinstance(about, dict) else None)
        service = short(told.get("service.name")) or None
        for name in middle:
            for scope in _objects(resource.get(name)):
                for one in scope.get(leaf) or () if isinstance(scope.get(leaf), list) else ():
                    yield service, one if isinstance(one, dict) else {}


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    return (one for one in value if isinstance(one, dict)) if isinstance(value, list) else iter(())


def _json_span(span: Mapping[str, Any], service: str | None) -> ReceivedSpan | None:
    status = span.get("status")
    status = status if isinstance(status, dict) else {}
    return span_of(
        SpanParts(
            ids=(span.get("traceId"), span.get("spanId"), span.get("parentSpanId")),
            name=span.get("name"),
            times=(span.get("startTimeUnixNano"), span.get("endTimeUnixNano")),
            status=(status.get("code") if isinstance(status.get("code"), int | str) else 0, status.get("message")),
            attributes=_attributes(span.get("attributes")),
            events=tuple(_json_event(one, "name") for one in _objects(span.get("events"))),
            service=service,
        )
    )


def _json_log(log: Mapping[str, Any], service: str | None) -> ReceivedLog | None:
    return log_of(log.get("traceId"), log.get("spanId"), _json_event(log, "eventName"), service)


def _json_event(event: Mapping[str, Any], name: str) -> ReceivedEvent:
    return ReceivedEvent(
        name=short(event.get(name)),
        at=seconds(event.get("timeUnixNano")) or seconds(event.get("observedTimeUnixNano")),
        attributes=_attributes(event.get("attributes")),
        body=_json_value(event.get("body"), DEEPEST),
    )


def _attributes(pairs: Any) -> dict[str, JsonValue]:
    return {
        key: value
        for pair in _objects(pairs)
        if isinstance(key := pair.get("key"), str) and (value := _json_value(pair.get("value"), DEEPEST)) is not None
    }


def _json_value(value: Any, deepest: int) -> JsonValue:
    if not isinstance(value, dict) or not value or deepest == 0:
        return None
    kind, held = next(iter(value.items()))
    return _KINDS[kind](held, deepest - 1) if kind in _KINDS else None


def _json_integer(held: Any, _: int) -> JsonValue:
    if isinstance(held, str) and len(held) <= 20:  # noqa: PLR2004 (digits of a 64-bit integer, and its sign)
        try:
            held = int(held)
        except ValueError:
            return None
    return held if type(held) is int and held in _INTEGERS else None


def _json_list(held: Any, deepest: int) -> JsonValue:
    values = held.get("values") if isinstance(held, dict) else None
    return [_json_value(one, deepest) for one in values] if isinstance(values, list) else []


def _json_map(held: Any, deepest: int) -> JsonValue:
    pairs = held.get("values") if isinstance(held, dict) else None
    return {
        key: _json_value(pair.get("value"), deepest)
        for pair in _objects(pairs)
        if isinstance(key := pair.get("key"), str)
    }


_KINDS: Mapping[str, Callable[[Any, int], JsonValue]] = {
    "stringValue": lambda held, _: held if isinstance(held, str) else None,
    "boolValue": lambda held, _: held if isinstance(held, bool) else None,
    "intValue": _json_integer,
    "doubleValue": lambda held, _: finite(held),
    "arrayValue": _json_list,
    "kvlistValue": _json_map,
}
