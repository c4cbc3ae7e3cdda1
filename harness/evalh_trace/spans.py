"""Workflows and steps while they run: which one is open here, and what is known of it."""

import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from evalh_trace import values
from evalh_trace.tracer import TRACER

_MOST_ERROR = 4_000  # characters of an exception's text
_MOST_NOTE = 10_000
_MOST_NAME = 500


class Span:
    """An open workflow or step. Set its `output`; pass its `id` to `feedback`."""

    __slots__ = (
        "_output",
        "attributes",
        "auto",
        "ended_at",
        "error",
        "error_text",
        "generation",
        "inputs",
        "kind",
        "name",
        "output_bytes",
        "parent_id",
        "previous",
        "record_id",
        "session",
        "started",
        "started_at",
        "status",
        "tags",
        "user",
        "workflow",
        "workflow_id",
    )

    def __init__(self, name: str, kind: str, parent: "Span | None") -> None:
        self.name = name[:_MOST_NAME]
        self.kind = kind  # workflow, or a step's kind
        self.record_id: str = TRACER.new_id()
        self.previous = parent
        self.workflow = parent is None  # a workflow inside another one is a step of it
        self.workflow_id: str = self.record_id if parent is None else parent.workflow_id
        self.parent_id = None if parent is None or parent.workflow else parent.record_id
        self.generation = TRACER.generation
        self.started_at, self.started = time.time(), time.perf_counter()
        self.auto = False  # made for a call that stands alone
        self.inputs: bytes | None = None
        self.session: str | None = None
        self.user: str | None = None
        self.tags: tuple[str, ...] = ()
        self.attributes: dict[str, Any] = {}
        self.ended_at: float | None = None
        self.status: str | None = None
        self.error: str | None = None
        self.error_text: str | None = None
        self._output: Any = _NOTHING
        self.output_bytes: bytes | None = None

    @property
    def id(self) -> str:
        """The workflow's id, for `feedback`. For a step, the step's own id."""
        return self.workflow_id if self.kind == "workflow" else self.record_id

    @property
    def output(self) -> Any:
        """The output of the workflow or step, as the program set it."""
        return None if self._output is _NOTHING else self._output

    @output.setter
    def output(self, value: Any) -> None:
        self._output = value

    def check(self, name: str, passed: bool, note: str | None = None) -> None:  # noqa: FBT001 (it reads as a sentence)
        """Record a check of this workflow or step. A failed check keeps the workflow if `sample` has "check"."""
        attempted(_check, self, name, passed, note)


def _check(span: Span, name: str, passed: bool, note: Any) -> None:  # noqa: FBT001 (see above)
    told = None if note is None else str(note)[:_MOST_NOTE]
    TRACER.put("score", (span, str(name)[:_MOST_NAME], bool(passed), told, time.time()), 400 + len(told or ""))


_NOTHING = object()
CURRENT: ContextVar[Span | None] = ContextVar("evalh_trace_span", default=None)


def attempted(work: Callable[..., Any], *given: Any) -> Any:
    """Do something of ours on the program's path: a bug of ours is counted, and not the program's."""
    try:
        return work(*given)
    except Exception:  # noqa: BLE001 (see above)
        TRACER.lose("bug")
        return None


def begin(name: str, kind: str, inputs: Any, options: dict[str, Any]) -> Span:
    """Open a workflow or step here; it is the current one until `end`."""
    span = Span(name if isinstance(name, str) else values.type_name(name), kind, CURRENT.get())
    CURRENT.set(span)
    attempted(_describe, span, inputs, options)
    return span


def _describe(span: Span, inputs: Any, options: dict[str, Any]) -> None:
    if inputs is not None and not TRACER.content_off:
        span.inputs = values.encode(inputs)
    if options:
        span.session, span.user = _text(options.get("session")), _text(options.get("user"))
        span.tags = tuple(str(tag)[:200] for tag in options.get("tags") or ())[:50]
    TRACER.put("begin", span, 400 + len(span.inputs or b""), counted=False)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)[:_MOST_NAME]


def leave(span: Span) -> None:
    """Make the one before the current one."""
    CURRENT.set(span.previous)


def end(span: Span, error: BaseException | None = None) -> None:
    """Close a workflow or step."""
    attempted(_end, span, error)


def _end(span: Span, error: BaseException | None) -> None:
    if span.ended_at is not None or span.generation != TRACER.generation:
        return  # a parent process ends what it began
    span.ended_at = span.started_at + time.perf_counter() - span.started
    span.status = "ok" if error is None else "error"
    if not TRACER.content_off and span._output is not _NOTHING and span.output_bytes is None:  # noqa: SLF001 (its own)
        span.output_bytes = values.encode(span._output)  # noqa: SLF001 (its own)
    span._output = _NOTHING  # noqa: SLF001 (it is the program's, and may be large)
    span.previous = None
    if error is not None:
        span.error = type(error).__qualname__
        if not TRACER.content_off:
            span.error_text = attempted(lambda: str(error)[:_MOST_ERROR])
    TRACER.put("end", span, 400 + len(span.output_bytes or b"") + len(span.inputs or b""))


class Context:
    """The open workflow and step, for a thread: `pool.submit(trace.context().run, work, argument)`."""

    __slots__ = ("_span",)

    def __init__(self, span: Span | None) -> None:
        self._span = span

    def run(self, work: Callable[..., Any], *given: Any, **named: Any) -> Any:
        """Call `work` inside the workflow and step that were open when this context was taken."""
        before = CURRENT.get()
        CURRENT.set(self._span)
        try:
            return work(*given, **named)
        finally:
            CURRENT.set(before)
