"""Record what a program's model calls did: workflows, steps, calls, attempts. `evalh.trace` is this package.

from evalh import trace

client = trace.client(OpenAI())

@trace.workflow("refund")
def refund(ticket): ...

Nothing here raises into the program or waits for a disk. What cannot be recorded is counted, and the count is recorded.
"""

import time
from typing import TYPE_CHECKING, Any, TypeVar, overload

from evalh_trace import values
from evalh_trace.functions import F, Opening
from evalh_trace.spans import CURRENT, Context, Span, attempted
from evalh_trace.tracer import TRACER
from evalh_trace.transport import trace_client

if TYPE_CHECKING:
    from typing import Unpack

    from evalh_trace.manual import CallFields

Client = TypeVar("Client")
__version__ = "0.1.0"  # evalh's own

__all__ = ["Span", "call", "client", "configure", "context", "feedback", "flush", "step", "workflow"]


@overload
def workflow(name: F) -> F: ...
@overload
def workflow(
    name: str | None = None, *, inputs: Any = None, session: Any = None, user: Any = None, tags: Any = ()
) -> Opening: ...
def workflow(name: Any = None, **options: Any) -> Any:
    """Trace an execution of the program, as a decorator or a context manager.

    `@workflow("refund")`, or `with workflow("refund", inputs=…) as w:`. Options: inputs (only for a `with` block: a
    function's inputs are its arguments), session, user, tags. A workflow inside another workflow is a step of it.
    """
    if callable(name):
        return Opening(None, "workflow", {})(name)
    return Opening(name, "workflow", options)


@overload
def step(name: F) -> F: ...
@overload
def step(name: str | None = None, *, kind: str = "step", inputs: Any = None) -> Opening: ...
def step(name: Any = None, *, kind: str = "step", inputs: Any = None) -> Any:
    """Trace a part of a workflow, as a decorator or a context manager.

    `@step`, `@step("look up", kind="tool")`, or `with step("look up") as s:`. `kind` is step, tool, agent or retrieval.
    A step outside of a workflow is a workflow of its own.
    """
    if callable(name):
        return Opening(None, kind, {})(name)
    return Opening(name, kind, {"inputs": inputs} if inputs is not None else {})


def client(client: Client) -> Client:
    """Trace every request of a client that uses httpx (openai, anthropic, httpx), sync or async; return the client."""
    attempted(trace_client, client)
    return client


def call(request: Any = None, answer: Any = None, **fields: "Unpack[CallFields]") -> None:
    """Record a call by hand: give request and answer as dicts of the API (the answer may be text), or give fields."""
    attempted(_call, request, answer, fields)


def _call(request: Any, answer: Any, fields: Any) -> None:
    span = CURRENT.get()
    now = time.time()
    if span is None:
        span = Span("", "workflow", None)  # named after the call, when it is read
        span.auto, span.ended_at = True, now
        took = fields.get("latency_ms")
        if isinstance(took, int | float):
            span.started_at = now - took / 1000.0
    said = {"id": TRACER.new_id(), "at": now, "request": request, "answer": answer, "fields": fields}
    encoded = values.encode(said)
    TRACER.put("call", (span, None if span.workflow else span.record_id, encoded), 500 + len(encoded))


def feedback(  # the fields of one vote
    workflow_id: "str | Span",
    *,
    good: bool | None = None,
    note: str | None = None,
    kind: str = "vote",
    user: Any = None,
) -> None:
    """Record what a user did with an answer, by the id of its workflow. The workflow may have ended long ago."""
    attempted(_feedback, workflow_id, good, note, kind, user)


def _feedback(workflow_id: Any, good: Any, note: Any, kind: Any, user: Any) -> None:
    event: dict[str, Any] = {
        "id": TRACER.new_id(),
        "workflow_id": str(getattr(workflow_id, "workflow_id", workflow_id))[:200],
        "at": time.time(),
        "good": None if good is None else bool(good),
        "kind": str(kind)[:100],
        "note": None if note is None else str(note)[:10_000],
        "user": None if user is None else str(user)[:500],
    }
    TRACER.put("feedback", event, 400 + len(event["note"] or ""))


def context() -> Context:
    """Return the open workflow and step for a thread: `pool.submit(trace.context().run, work, argument)`."""
    return Context(CURRENT.get())


def flush(timeout_s: float = 2.0) -> bool:
    """Wait until everything so far is written. False: the time was over, or the disk refused."""
    return bool(attempted(TRACER.flush, timeout_s))


def configure(
    *,
    store: Any = None,
    content: bool | None = None,
    redact: Any = None,
    sample: Any = None,
) -> None:
    """Set where to record and what, before the first call. This overrides `[trace]` of evalh.toml."""
    said = {"store": store, "content": content, "redact": redact, "sample": sample}
    TRACER.options = {**TRACER.options, **{name: value for name, value in said.items() if value is not None}}
    TRACER.content_off = False
    attempted(TRACER.put, "configure", TRACER.options)
