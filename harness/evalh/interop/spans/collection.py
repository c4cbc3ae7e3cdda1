"""What arrives, kept until it is known how it belongs together, then written.

Spans of one trace come in any order and in several batches; a parent comes after its children, or never. A trace is
written when nothing came for a moment, and again when something does: records have the ids of their spans, so the
second time completes the first. What is held is bounded; a trace that is dropped was written before.
"""

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from hashlib import blake2b

from msgspec import Struct, field
from msgspec.structs import replace

from evalh.core.errors import EvalhError
from evalh.core.strict_json import JsonValue
from evalh.interop.otel_values import EVALUATION
from evalh.interop.spans.genai import is_part
from evalh.interop.spans.privacy import Keep, without_content
from evalh.interop.spans.received import Received, ReceivedEvent, ReceivedLog, ReceivedSpan
from evalh.interop.spans.trace_records import TraceRecords, slim
from evalh_trace.records import AnyRecord, Attempt, Call, Feedback, Loss, Score, Step, Workflow, encode

QUIET_S = 1.0
"""A trace is written when nothing came for it so long."""

_PATIENT_S = 5.0  # or when it has waited so long
_SPANS_A_SECOND = 2_000  # a large trace is put together less often
_FORGET_S = 300.0  # a trace whose root came, or that is not of GenAI
_WAIT_S = 6 * 3600.0  # another one: its root comes when the last step has ended
_MOST_BYTES = 96 << 20
_MOST_TRACES = 20_000
_FILLED = 0.8  # room is made until so much of it is taken
_MOST_PENDING = 1_000
_MOST_RESPONSES = 100_000
_OVERHEAD = 400  # bytes of a span beside its texts
_NOT_JSON = (TypeError, ValueError, OverflowError, RecursionError)


class Tally(Struct):
    """What arrived, in numbers."""

    workflows: int = 0
    steps: int = 0
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    uncounted: int = 0  # calls that do not say their tokens
    cost_usd: Decimal = Decimal(0)  # of the calls whose cost is known
    unpriced: int = 0
    feedback: int = 0
    scores: int = 0
    dropped: int = 0  # spans that are neither GenAI nor above one

    def add(self, other: "Tally") -> None:
        """Add another's numbers."""
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class _Trace(Struct):
    """One trace as far as it is known."""

    first_at: float
    last_at: float
    waits_since: float | None = None  # None: all of it is written
    spans: dict[str, ReceivedSpan] = field(default_factory=dict)
    events: dict[str | None, dict[tuple[object, ...], ReceivedEvent]] = field(default_factory=dict)
    counted: set[str] = field(default_factory=set)  # spans that were written as calls
    written: dict[tuple[str, str], bytes] = field(default_factory=dict)  # digests of records
    size: int = 0
    open: bool = False  # it is of GenAI, and its root has not come
    tally: Tally = field(default_factory=Tally)


PriceOf = Callable[[Attempt, JsonValue], float | None]


class Collection(Struct, kw_only=True):
    """Takes what arrives and writes records. One thread at a time may use it."""

    write: Callable[[list[AnyRecord]], object]  # raises EvalhError
    price: PriceOf
    keep: Keep  # leaves content out, or redacts it
    process: str  # what losses are counted under
    most_bytes: int = _MOST_BYTES
    losses: dict[str, int] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)  # dialects whose calls came without content
    talking: set[str] = field(default_factory=set)  # dialects whose calls came with content
    trouble: str | None = None  # why the last write failed
    _traces: dict[str, _Trace] = field(default_factory=dict)  # the one that changed last is the last
    _pending: list[ReceivedLog] = field(default_factory=list)  # they name an answer, not a trace
    _responses: dict[str, tuple[str, str]] = field(default_factory=dict)
    _gone: Tally = field(default_factory=Tally)
    _told_losses: dict[str, int] = field(default_factory=dict)

    # -- what arrives

    def add(self, received: Received, now: float) -> None:
        """Take what one request held."""
        self.lose("unreadable", received.unreadable)
        self.lose("too large", received.cut)
        for span in map(slim, received.spans):
            trace = self._trace(span.trace, now)
            before = trace.spans.get(span.span)
            if before == span:
                continue
            if trace.size > self.most_bytes // 2:  # one trace may not take the room of all others
                self.lose("full", 1)
                continue
            self._change(trace, now, span.size - (before.size if before else -_OVERHEAD))
            trace.spans[span.span] = span
        repeated: dict[tuple[object, ...], int] = {}
        for log in received.logs:
            key = (log.trace, log.span, log.event.name, log.event.at, repr(log.event.body), repr(log.event.attributes))
            repeated[key] = repeated.get(key, 0) + 1
            self._take(log, (*key[2:], repeated[key]), now)
        self._make_room(now)

    def _take(self, log: ReceivedLog, key: tuple[object, ...], now: float) -> None:
        if not is_part(log.event) and log.event.name != EVALUATION:
            return
        if log.trace is None:
            if len(self._pending) < _MOST_PENDING:
                self._pending.append(log)
            else:
                self.lose("full", 1)
            return
        trace = self._trace(log.trace, now)
        events = trace.events.setdefault(log.span, {})
        if key not in events and trace.size <= self.most_bytes // 2:
            events[key] = log.event
            self._change(trace, now, 3 * log.size + _OVERHEAD)

    def judge(self, said: Sequence[Feedback | Score]) -> None:
        """Take what users did with answers, and scores of workflows whose spans came before."""
        if not said:
            return
        if not self._write([self._kept(one) for one in said]):
            self.lose("disk", len(said))
            return
        votes = sum(isinstance(one, Feedback) for one in said)
        self._gone.feedback += votes
        self._gone.scores += len(said) - votes

    def lose(self, why: str, count: int) -> None:
        """Count what is not recorded."""
        if count:
            self.losses[why] = self.losses.get(why, 0) + count

    def _trace(self, name: str, now: float) -> _Trace:
        trace = self._traces.get(name)
        if trace is None:
            trace = self._traces[name] = _Trace(first_at=now, last_at=now)
        return trace

    def _change(self, trace: _Trace, now: float, grown: int) -> None:
        trace.size += grown
        trace.last_at = now
        if trace.waits_since is None:
            trace.waits_since = now

    # -- what is written

    def settle(self, now: float) -> None:
        """Write the traces for which nothing came for a moment, and forget those for which nothing came for long."""
        self._place_pending(now)
        for name, trace in list(self._traces.items()):
            if trace.waits_since is not None:
                patience = _PATIENT_S + len(trace.spans) / _SPANS_A_SECOND
                if now - trace.last_at >= QUIET_S or now - trace.waits_since >= patience:
                    self._put(trace, ended=False)
            if now - trace.last_at >= (_WAIT_S if trace.open else _FORGET_S):
                self._forget(name)
        self._tell_losses(now)

    def close(self, now: float) -> None:
        """Write everything: nothing more will come."""
        if self._pending:  # only when everything is read every answer's id is known
            self._put_all()
            self._place_pending(now)
        self.lose("unreadable", len(self._pending))
        self._pending.clear()
        for name in list(self._traces):
            self._forget(name)
        self._tell_losses(now)

    def _put_all(self) -> None:
        for trace in self._traces.values():
            if trace.waits_since is not None:
                self._put(trace, ended=False)

    def tally(self) -> Tally:
        """Return what arrived so far."""
        whole = Tally()
        whole.add(self._gone)
        for trace in self._traces.values():
            whole.add(trace.tally)
        return whole

    def _put(self, trace: _Trace, *, ended: bool) -> bool:
        events = {span: list(found.values()) for span, found in trace.events.items()}
        made = TraceRecords(trace.spans, events, counted=trace.counted, seen_at=trace.first_at)
        fresh: list[AnyRecord] = []
        digests: dict[tuple[str, str], bytes] = {}
        records: list[AnyRecord] = []
        for record in made.records(ended=ended):
            kept = self._kept(record)
            key = (type(kept).__name__, kept.id)
            try:
                digests[key] = blake2b(encode(kept), digest_size=8).digest()
            except _NOT_JSON:
                self.lose("unreadable", 1)
                continue
            records.append(kept)
            if trace.written.get(key) != digests[key]:
                fresh.append(kept)
        trace.tally = self._tally_of(records, len(trace.spans))
        self._remember(made)
        if fresh and not self._write(fresh):
            return False
        trace.written.update(digests)
        trace.counted.update(one.id.partition(".")[2] for one in records if isinstance(one, Call))
        trace.waits_since = None
        trace.open = made.tree is not None and not made.tree.whole
        return True

    def _kept(self, record: AnyRecord) -> AnyRecord:
        try:
            return self.keep(record)
        except Exception:  # noqa: BLE001 (whatever stops a redactor: what it did not read is not written)
            self.lose("redaction", 1)
            return without_content(record)

    def _remember(self, made: TraceRecords) -> None:
        if made.tree is None:
            return
        for span in made.tree.calls:
            told = made.told[span]
            if told.response_id is not None and len(self._responses) < _MOST_RESPONSES:
                self._responses[told.response_id] = (made.trace, span)
            if told.messages is not None or told.answer.text is not None:
                self.talking.add(told.dialect)
            elif not told.references and told.operation != "embedding":
                self.silent.add(told.dialect)

    def _tally_of(self, records: Iterable[AnyRecord], spans: int) -> Tally:
        tally, settings = Tally(), {}
        kept = set()
        for record in records:
            match record:
                case Workflow():
                    tally.workflows += 1
                case Step():
                    tally.steps += 1
                    kept.add(record.id)
                case Score():
                    tally.scores += 1
                case Call():
                    tally.calls += 1
                    kept.add(record.id)
                    settings[record.id] = record.settings
                case Attempt():
                    tally.input_tokens += record.input_tokens or 0
                    tally.output_tokens += record.output_tokens or 0
                    tally.uncounted += record.input_tokens is None and record.output_tokens is None
                    cost = record.cost_usd
                    if cost is None and record.input_tokens is not None:
                        cost = self.price(record, settings.get(record.call_id))
                    tally.cost_usd += Decimal(str(cost or 0))
                    tally.unpriced += cost is None
        tally.dropped = max(0, spans - len(kept) - tally.workflows)
        return tally

    def _write(self, records: list[AnyRecord]) -> bool:
        try:
            self.write(records)
        except EvalhError as exc:
            self.trouble = str(exc)
            return False
        return True

    def _forget(self, name: str) -> None:
        trace = self._traces.pop(name)
        is_written = trace.waits_since is None and not trace.open
        if not is_written and not self._put(trace, ended=True):
            self.lose("disk", len(trace.spans))
        self._gone.add(trace.tally)

    def _make_room(self, now: float) -> None:
        size = sum(trace.size for trace in self._traces.values())
        if size <= self.most_bytes and len(self._traces) <= _MOST_TRACES:
            return
        # First those that are written and need nothing more, then those for which nothing came for the longest time.
        order = sorted(self._traces.items(), key=lambda one: (one[1].open or _waits(one[1]), one[1].last_at))
        for name, trace in order[:-1]:
            if size <= self.most_bytes * _FILLED and len(self._traces) <= _MOST_TRACES * _FILLED:
                break
            size -= trace.size
            self._forget(name)
        self._tell_losses(now)

    def _place_pending(self, now: float) -> None:
        waiting, self._pending = self._pending, []
        for log in waiting:
            answer = log.event.attributes.get("gen_ai.response.id")
            place = self._responses.get(answer) if isinstance(answer, str) else None
            if place is None:
                self._pending.append(log)
            else:
                key = (log.event.name, log.event.at, repr(log.event.attributes), 0)
                self._take(replace(log, trace=place[0], span=place[1]), key, now)

    def _tell_losses(self, now: float) -> None:
        fresh = {why: count for why, count in self.losses.items() if self._told_losses.get(why) != count}
        records: list[AnyRecord] = [
            Loss(id=f"{self.process}.{why}", count=count, why=why, at=now, process=self.process)
            for why, count in fresh.items()
        ]
        if records and self._write(records):
            self._told_losses.update(fresh)


def _waits(trace: _Trace) -> bool:
    return trace.waits_since is not None
