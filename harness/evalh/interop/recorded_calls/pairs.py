"""One recorded call: a request and what came back, as records, in one form whatever program wrote the line."""

from collections.abc import Mapping
from datetime import UTC, datetime
from math import isfinite
from typing import Any

from evalh.core.values import Value
from evalh.interop.recorded_calls.lines import NotRead, Row
from evalh_trace.records import Attempt, Call
from evalh_trace.wires import OPENAI_CHAT, OPENAI_COMPLETION, Wire, error_fields, find

_UNITS = (1e11, 1e14, 1e17)  # a number from there on is in milliseconds, microseconds, nanoseconds
_LATEST = 253_402_300_799.0  # the year 9999


class RecordedPair(Value, kw_only=True):
    """A request and its answer. What the line does not say is None."""

    request: Row | None
    answer: Row | None
    path: str | None = None  # of the URL
    provider: str | None = None
    started_at: float | None = None
    ended_at: float | None = None
    http_status: int | None = None
    request_id: str | None = None
    failed: bool = False
    fields: Mapping[str, Any] = {}  # of the attempt, where the line itself says them: they count before the answer's

    def records(self, call_id: str, workflow_id: str) -> tuple[Call, Attempt | None]:
        """Return the call, and its attempt if anything came back. How often it was sent is unknown."""
        wire = self._wire()
        asked = {} if self.request is None else wire.request_fields(self.request, self.path or "")
        attempt = None if self.answer is None and not self.failed else self._attempt(wire, asked, call_id, workflow_id)
        call = Call(
            id=call_id,
            workflow_id=workflow_id,
            operation=wire.operation,
            provider=self.provider or wire.provider,
            started_at=self.started_at,
            latency_ms=self.latency_ms,
            answered_by=None if attempt is None or self.failed else attempt.id,
            settings=asked.get("settings"),
            messages=asked.get("messages"),
        )
        return call, attempt

    @property
    def latency_ms(self) -> float | None:
        """How long it took; None if unknown, as where its end lies before its beginning."""
        if self.started_at is None or self.ended_at is None or self.ended_at < self.started_at:
            return None
        return (self.ended_at - self.started_at) * 1000

    def _wire(self) -> Wire:
        """Find the API by the URL, by the answer, by the request: an answer of one looks least like another's."""
        by_request, by_answer = find(None, self.request), find(None, self.answer)
        found = (None if self.path is None else find(self.path)) or by_answer or by_request
        if found is None and self.failed:
            return OPENAI_CHAT  # whatever it was, no answer came of it
        if found is None:
            raise NotRead("holds no request and no answer of an API that is known")
        if found is OPENAI_CHAT and by_request is OPENAI_COMPLETION:
            return OPENAI_COMPLETION
        return found

    def _attempt(self, wire: Wire, asked: Mapping[str, Any], call_id: str, workflow_id: str) -> Attempt:
        told = error_fields(self.http_status, self.answer) if self.failed else wire.answer_fields(self.answer)
        fields = {**told, **{name: value for name, value in self.fields.items() if value is not None}}
        return Attempt(
            id=f"{call_id}.1",
            workflow_id=workflow_id,
            call_id=call_id,
            provider=self.provider or wire.provider,
            model=(asked.get("settings") or {}).get("model"),
            started_at=self.started_at,
            status="error" if self.failed else "ok",
            latency_ms=self.latency_ms,
            http_status=self.http_status,
            request_id=self.request_id,
            **fields,
        )


def instant(value: Any) -> float | None:
    """Read a time: ISO 8601, or a number of seconds, milli-, micro- or nanoseconds since 1970; None for no time."""
    if isinstance(value, str):
        try:
            read = datetime.fromisoformat(value.strip())
        except ValueError:
            return None
        return (read if read.tzinfo is not None else read.replace(tzinfo=UTC)).timestamp()
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        seconds = float(value)
    except OverflowError:
        return None
    seconds /= 1000.0 ** sum(abs(seconds) >= unit for unit in _UNITS)
    return seconds if isfinite(seconds) and 0 <= seconds <= _LATEST else None
