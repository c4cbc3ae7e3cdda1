"""What was read of a service: rows in, spans and judgements out; traces of which only the end was seen are known."""

from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.interop.services.judgements import Judgement
from evalh.interop.services.pages import Row
from evalh.interop.spans.received import LONGEST_NAME, MOST_TEXT, Received, ReceivedLog, ReceivedSpan, size_of
from evalh.interop.spans.told import is_deep

MOST_JUDGEMENTS = 500_000
_LONGEST_ID = 64
_MOST_BYTES = 128 << 20


class OfTrace(Value, kw_only=True):
    """What one row says: a span, a judgement, or what is left out and why."""

    spans: tuple[ReceivedSpan, ...] = ()
    judgements: tuple[Judgement, ...] = ()
    left_out: str | None = None
    unreadable: int = 0


class ServiceReading(Struct, kw_only=True):
    """Sorts what a service's rows say."""

    read: Callable[[Row], OfTrace]
    rooted: set[str] = field(default_factory=set)  # traces whose beginning was seen
    left_out: dict[str, int] = field(default_factory=dict)
    judgements: dict[str, Judgement] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)  # traces
    _whole: dict[str, ReceivedSpan] = field(default_factory=dict)  # they stand for their traces: told when all is seen
    _size: int = 0
    _ends: dict[str, float] = field(default_factory=dict)
    _failures: dict[str, str | None] = field(default_factory=dict)  # of what has no parent

    def take(self, rows: Iterable[Row]) -> Received:
        """Return the spans of rows; judgements wait until all spans were seen."""
        received = Received()
        for row in rows:
            found = self.read(row)
            received.unreadable += found.unreadable
            for span in found.spans:
                self._note(span)
                if span.whole:
                    self._whole[span.trace] = span
                    self._size += span.size
                else:
                    received.add(span)
            for one in found.judgements:
                if len(self.judgements) < MOST_JUDGEMENTS or one.id in self.judgements:
                    self.judgements[one.id] = one
                else:
                    self.leave("scores beyond the first 500,000")
            if found.left_out is not None:
                self.leave(found.left_out)
        if self._size > _MOST_BYTES:
            self._tell(received)
        return received

    def rest(self) -> Received:
        """Return the spans that stand for their traces, which ended when the last of the others did."""
        received = Received()
        self._tell(received)
        return received

    def _note(self, span: ReceivedSpan) -> None:
        trace = span.trace
        self.seen.add(trace)
        if span.ended_at is not None:
            self._ends[trace] = max(span.ended_at, self._ends.get(trace, span.ended_at))
        if span.parent is None:
            self.rooted.add(trace)
            if span.failed:
                self._failures[trace] = span.message

    def _tell(self, received: Received) -> None:
        for trace, span in self._whole.items():
            ended = self._ends.get(trace) if span.ended_at is None else span.ended_at
            failed = span.failed or trace in self._failures
            received.add(
                replace(span, ended_at=ended, failed=failed, message=span.message or self._failures.get(trace))
            )
        self._whole.clear()
        self._size = 0

    def leave(self, what: str, count: int = 1) -> None:
        """Count what is left out."""
        self.left_out[what] = self.left_out.get(what, 0) + count

    def cut_off(self) -> list[str]:
        """Return the traces of which no beginning was seen."""
        return sorted(self.seen - self.rooted)


def log_of(judgement: Judgement) -> ReceivedLog:
    """Return a judgement as a log record of its span."""
    event = judgement.event()
    return ReceivedLog(
        trace=judgement.trace, span=judgement.span, event=event, size=size_of(event.attributes), service=None
    )


def plain_id(native: Any) -> str | None:
    """Return an id that is fit to be typed: the service's own, or a digest of one that is not; None: there is none."""
    if not isinstance(native, str) or not native:
        return None
    if len(native) <= _LONGEST_ID and native.isascii() and native.replace("-", "a").replace("_", "a").isalnum():
        return native
    return sha256(native.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def fitting(span: ReceivedSpan) -> ReceivedSpan:
    """Return a span whose attributes can be kept: what is too deep or too long is left out, and its size says so."""
    attributes = {key: value for key, value in span.attributes.items() if not is_deep(value)}
    size = size_of(attributes)
    if size > MOST_TEXT:
        attributes = {key: value for key, value in attributes.items() if size_of(value) <= LONGEST_NAME}
    return replace(span, attributes=attributes, size=size)


def without_none(attributes: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Leave out what is not said."""
    return {key: value for key, value in attributes.items() if value is not None}
