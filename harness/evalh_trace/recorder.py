"""What the tracer's thread does: it reads what the program's path took, leaves out what may not be kept, and writes."""

import os
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from evalh_trace import values
from evalh_trace.config import Sample, find_place, problems, read_config
from evalh_trace.http_answers import read_answer, read_json
from evalh_trace.manual import read_manual
from evalh_trace.privacy import Policy
from evalh_trace.records import AnyRecord, Attempt, Call, Feedback, Loss, Score, Step, Workflow, encode
from evalh_trace.sampling import Workflows
from evalh_trace.spool import FOLDER, Spool, read_salt
from evalh_trace.wires import provider_of

if TYPE_CHECKING:
    from evalh_trace.spans import Span
    from evalh_trace.tracer import Tracer
    from evalh_trace.transport import Exchange

DOOR = "trace"
_RETRIED_S = 120.0  # a call that stands alone may be sent again as long
_MOST_CALLS = 1_000
_TOLD_S = 1.0
_LONGEST_NAME = 200


class Recorder:
    """The state of the tracer's thread. `take` an event, then `tick` writes what came of it."""

    def __init__(self, tracer: "Tracer") -> None:
        self._tracer = tracer
        self._process = f"{int(time.time() * 1000):013d}-{os.getpid()}-{os.urandom(4).hex()}"
        self._lines: list[bytes] = []
        self._losses: dict[str, int] = {}
        self._told = 0.0
        self._refused = False  # by the disk
        self._calls: OrderedDict[str, Call] = OrderedDict()  # that are not answered
        self._folder = _current_folder()
        self._workflows = Workflows(Sample(), self._write, self._lose)
        self._spool: Spool | None = None
        self._loaded: Policy | None = None
        self._takes: dict[str, Callable[[Any], None]] = {
            "begin": self._begin,
            "end": self._end,
            "sent": self._sent,
            "answered": self._answered,
            "call": self._called,
            "feedback": self._feedback,
            "score": self._score,
            "mark": lambda event: self._workflows.mark(*event),
        }

    def was_written(self) -> bool:
        """Whether all that came since the last time could be written."""
        written, self._refused = not (self._refused or self._lines), False
        return written

    def take(self, kind: str, event: Any) -> None:
        """Take what the program's path handed over."""
        if kind == "configure":
            self._load(event)
            return
        if self._loaded is None:
            self._load(self._tracer.inherited)
        self._takes[kind](event)

    def tick(self, *, tell: bool = False) -> None:
        """Write what is there, and now and then what was lost: at once if asked to `tell`."""
        now = time.time()
        self._workflows.tick(now)
        for why, count in self._tracer.taken_losses().items():
            self._losses[why] = self._losses.get(why, 0) + count
        self._flush()
        if self._losses and (tell or now - self._told >= _TOLD_S):
            self._tell(now)

    def end(self) -> None:
        """Write what is left, as the process ends."""
        self._workflows.end_all()
        self.tick(tell=True)

    def abandon(self) -> None:
        """Let go of a parent's file, in its child."""
        if self._spool is not None:
            self._spool.close()

    @property
    def _policy(self) -> Policy:
        assert self._loaded is not None, "`take` loads it"
        return self._loaded

    def _load(self, options: dict[str, Any]) -> None:
        """Read the configuration that holds for what comes now."""
        place = find_place(options, os.environ, self._folder)
        table = {**place.table, **{key: value for key, value in options.items() if key != "store"}}
        wrong = [*place.wrong, *problems(table)]
        config = read_config(table)
        if wrong:
            config = replace(config, content=False)
        for one in wrong[:20]:
            self._lose(f"config: {one}"[:300])
        try:
            salt = read_salt(place.store / FOLDER)
        except OSError:
            salt = os.urandom(32)  # digests can be compared within this process alone
        self._flush()
        if self._spool is None or self._spool.store != place.store:
            if self._spool is not None:
                self._spool.close()
            self._spool = Spool(place.store, self._process)
        self._loaded = Policy(config, salt, self._lose)
        self._workflows.sample = config.sample
        if options is self._tracer.options or not self._tracer.options:  # nothing newer is on its way
            self._tracer.content_off = not self._loaded.keeps_content

    def _write(self, record: AnyRecord) -> None:
        try:
            self._lines.append(encode(record))
        except (TypeError, ValueError, OverflowError, RecursionError):
            self._lose("unreadable")

    def _lose(self, why: str) -> None:
        self._losses[why] = self._losses.get(why, 0) + 1

    def _flush(self) -> None:
        if self._spool is None or not self._lines:
            return
        lines, self._lines = self._lines, []
        if missing := len(lines) - self._spool.write(lines):
            self._refused = True
            self._losses["disk"] = self._losses.get("disk", 0) + missing

    def _tell(self, now: float) -> None:
        """Write what was lost; what cannot be told is told later."""
        assert self._spool is not None
        self._told = now
        for why, count in list(self._losses.items()):
            loss = Loss(id=self._tracer.new_id(), count=count, why=why, at=now, process=self._process)
            if self._spool.write([encode(loss)]) != 1:
                return
            del self._losses[why]

    def _begin(self, span: "Span") -> None:
        if span.workflow:
            self._workflows.begin(self._workflow(span))
        else:
            self._workflows.take(self._step(span, ended=False), len(span.inputs or b""), final=False)

    def _end(self, span: "Span") -> None:
        if span.workflow:
            self._workflows.end(self._ended(span))
        else:
            self._workflows.take(self._step(span, ended=True), len(span.inputs or b"") + len(span.output_bytes or b""))

    def _workflow(self, span: "Span") -> Workflow:
        return Workflow(
            id=span.record_id,
            name=span.name,
            door=DOOR,
            started_at=span.started_at,
            inputs=self._policy.value(span.inputs),
            session=span.session,
            user=span.user,
            tags=span.tags,
            process=self._process,
        )

    def _ended(self, span: "Span") -> Workflow:
        begun = self._workflows.known(span.record_id) or self._workflow(span)
        output, attributes = self._output(span)
        return replace(
            begun,
            ended_at=span.ended_at,
            status=span.status,
            error=self._error(span),
            output=output,
            attributes=attributes,
        )

    def _step(self, span: "Span", *, ended: bool) -> Step:
        output, attributes = self._output(span) if ended else (None, {})
        return Step(
            id=span.record_id,
            workflow_id=span.workflow_id,
            name=span.name,
            kind="step" if span.kind == "workflow" else span.kind,
            parent_id=span.parent_id,
            started_at=span.started_at,
            ended_at=span.ended_at if ended else None,
            status=span.status if ended else None,
            error=self._error(span) if ended else None,
            inputs=self._policy.value(span.inputs),
            output=output,
            attributes=attributes,
        )

    def _output(self, span: "Span") -> tuple[Any, dict[str, Any]]:
        """Return what a span gave; a generator's texts are one text."""
        attributes = dict(span.attributes)
        output = self._policy.value(joined(span.output_bytes) if attributes.pop("items", False) else span.output_bytes)
        return output, attributes

    def _error(self, span: "Span") -> str | None:
        text = self._policy.text(span.error_text)
        return f"{span.error}: {text}" if span.error and text else span.error

    def _sent(self, exchange: "Exchange") -> None:
        call = self._call(exchange)
        if call is None:
            return
        if exchange.number == 1:
            self._workflows.take(replace(call, messages=None), 500, final=False)
        attempt = Attempt(
            id=f"{call.id}.{exchange.number}",
            workflow_id=call.workflow_id,
            call_id=call.id,
            number=exchange.number,
            provider=call.provider,
            model=None if call.settings is None else call.settings["model"],
            started_at=exchange.started_at,
            reason=exchange.reason,
        )
        self._workflows.take(attempt, 500, final=False)

    def _call(self, exchange: "Exchange") -> Call | None:
        """Return the call of an exchange, read when it is first seen; None if it is not a model's."""
        logical = exchange.call
        if (known := self._calls.get(logical.id)) is not None:
            return known
        provider, known_host = provider_of(exchange.host, exchange.wire)
        sent_to = {} if known_host else {"sent_to": {"base_url": exchange.host[:_LONGEST_NAME]}}
        call = Call(
            id=logical.id,
            workflow_id=logical.span.workflow_id,
            step_id=logical.step_id,
            operation=exchange.wire.operation,
            provider=provider,
            started_at=logical.started_at,
        )
        if exchange.body is None or len(exchange.body) > values.MOST_PARSED:
            self._lose("unreadable" if exchange.body is None else "too large")  # of the call what it asked
            name = call.operation
        else:
            document = read_json(exchange.body)
            asked = exchange.wire.request_fields(document, exchange.path)
            model = asked["settings"]["model"]
            if not isinstance(document, dict) or not (model or "/deployments/" in exchange.path):
                return None
            call = self._asked(call, asked["settings"], asked["messages"])
            call = replace(call, settings={**(call.settings or {}), **sent_to})
            name = f"{call.operation} {model or ''}".strip()
        if logical.span.auto:
            logical.span.name = name
            self._workflows.begin(self._workflow(logical.span))
        self._calls[call.id] = call
        if len(self._calls) > _MOST_CALLS:
            self._calls.popitem(last=False)
        return call

    def _asked(self, call: Call, settings: dict[str, Any], messages: Any) -> Call:
        """Return a call with what it asked, as far as it may be kept."""
        return replace(
            call,
            request_digest=self._policy.digest([settings, messages]),
            settings=self._policy.settings(settings),
            messages=self._policy.structure(messages),
        )

    def _answered(self, exchange: "Exchange") -> None:
        call = self._call(exchange)
        if call is None:
            return
        if exchange.too_large:
            self._lose("too large")
        fields = self._kept(read_answer(exchange))
        attempt = Attempt(
            id=f"{call.id}.{exchange.number}",
            workflow_id=call.workflow_id,
            call_id=call.id,
            number=exchange.number,
            provider=call.provider,
            model=None if call.settings is None else call.settings["model"],
            started_at=exchange.started_at,
            reason=exchange.reason,
            **fields,
        )
        answered = attempt.status == "ok"
        call = replace(
            call,
            attempts=exchange.number,
            answered_by=attempt.id if answered else None,
            latency_ms=round((exchange.ended - exchange.call.began) * 1000.0, 3),
        )
        size = len(exchange.body or b"") + exchange.size
        self._workflows.take(attempt, size)
        self._workflows.take(call, size)
        again = exchange.retryable and not answered
        if not again:
            self._calls.pop(call.id, None)
        if exchange.call.span.auto:
            self._end_auto(exchange, attempt, again=again)

    def _end_auto(self, exchange: "Exchange", attempt: Attempt, *, again: bool) -> None:
        """End the workflow of a call that stands alone; the client may send it again."""
        span = exchange.call.span
        begun = self._workflows.known(span.record_id) or self._workflow(span)
        ended_at = exchange.call.started_at + exchange.ended - exchange.call.began
        record = replace(begun, ended_at=ended_at, status=attempt.status, error=attempt.error_kind)
        self._workflows.end(record, time.time() + _RETRIED_S if again else None)

    def _kept(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Return an attempt's fields, with of its content what may be kept."""
        error_class = fields.pop("error_class", None)
        for name in ("model_answered", "finish", "error_kind", "request_id"):
            if isinstance(said := fields.get(name), str):
                fields[name] = values.whole_text(said[:_LONGEST_NAME])
        for name in ("text", "reasoning", "error"):
            if name in fields:
                fields[name] = self._policy.text(fields[name])
        fields["error"] = fields.get("error") or error_class
        fields["tool_calls"] = self._policy.structure(fields.get("tool_calls"))
        return fields

    def _called(self, event: Any) -> None:
        span, step_id, encoded = event
        read = read_manual(span, step_id, read_json(encoded))
        if read is None:
            self._lose("unreadable")
            return
        settings, fields = read.settings, self._kept(read.fields)
        call = self._asked(read.call, settings, read.messages)
        if span.auto:
            span.name = f"{call.operation} {settings['model'] or ''}".strip()[:200]
            self._workflows.begin(self._workflow(span))
        attempt = Attempt(
            id=f"{call.id}.1",
            workflow_id=call.workflow_id,
            call_id=call.id,
            provider=call.provider,
            model=settings["model"],
            started_at=call.started_at,
            **fields,
        )
        answered_by = attempt.id if attempt.status == "ok" else None
        self._workflows.take(attempt, len(encoded))
        self._workflows.take(replace(call, answered_by=answered_by), len(encoded))
        if span.auto:
            begun = self._workflows.known(span.record_id) or self._workflow(span)
            ended = replace(begun, ended_at=span.ended_at, status=attempt.status, error=attempt.error_kind)
            self._workflows.end(ended)

    def _feedback(self, event: dict[str, Any]) -> None:
        self._workflows.mark(event["workflow_id"], "feedback")
        note = self._policy.text(event["note"])
        self._write(Feedback(**{**event, "note": note}))

    def _score(self, event: Any) -> None:
        span, name, passed, note, at = event
        if not passed:
            self._workflows.mark(span.workflow_id, "check")
        self._write(
            Score(
                id=self._tracer.new_id(),
                workflow_id=span.workflow_id,
                step_id=None if span.workflow else span.record_id,
                name=name,
                outcome="pass" if passed else "fail",
                text=self._policy.text(note),
                source=DOOR,
                at=at,
            )
        )


def _current_folder() -> Path:
    try:
        return Path.cwd()
    except OSError:  # it is gone
        return Path("/")


def joined(encoded: bytes | None) -> bytes | None:
    """Return a generator's items as JSON: one text if all of them are texts, else a list."""
    items = read_json(encoded)
    if isinstance(items, list) and items and all(isinstance(one, str) for one in items):
        return values.encode("".join(items))
    return encoded
