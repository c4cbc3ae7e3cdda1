"""Traced workflows to look at: one of each kind that a person meets."""

from collections.abc import Iterator
from pathlib import Path

from evalh.api.workspace import Workspace
from evalh_trace.records import AnyRecord, Attempt, Call, Feedback, Score, Step, Workflow

BEGAN = 1_764_000_000.0


def refund(id_: str, at: float = BEGAN, **changed: object) -> Iterator[AnyRecord]:
    """Yield a workflow that ended: two steps, the second with a step inside; a call that was refused once."""
    whole: dict[str, object] = {"status": "ok", "session": "s-1", "user": "u-1", "kept": "all", "ended_at": at + 2.0}
    whole |= {"inputs": {"message": "charged twice"}, "output": {"decision": "refund"}}
    yield Workflow(id=id_, door="trace", started_at=at, **({"name": "refund"} | whole | changed))  # type: ignore[arg-type]
    times = {"started_at": at + 0.1, "ended_at": at + 0.4}
    yield Step(id=f"{id_}.a", workflow_id=id_, name="classify", status="ok", output={"label": "billing"}, **times)
    for name, parent in (("decide", None), ("ask", f"{id_}.decide")):
        span = {"started_at": at + 0.5, "ended_at": at + 1.9}
        yield Step(id=f"{id_}.{name}", workflow_id=id_, name=name, parent_id=parent, status="ok", **span)
    said = [{"role": "system", "parts": ["Decide."]}, {"role": "user", "parts": ["charged twice"]}]
    settings = {"model": "gpt-4o-mini"}
    call = {"step_id": f"{id_}.ask", "provider": "openai", "started_at": at + 0.6, "latency_ms": 1200.0, "attempts": 2}
    yield Call(id=f"{id_}.c", workflow_id=id_, settings=settings, messages=said, prompt="triage@v3", **call)  # type: ignore[arg-type]
    of = {"workflow_id": id_, "call_id": f"{id_}.c", "provider": "openai", "model": "gpt-4o-mini"}
    refused = {"status": "error", "error_kind": "rate_limit", "error": "slow down", "http_status": 429}
    yield Attempt(id=f"{id_}.1", number=1, started_at=at + 0.6, latency_ms=100.0, **of, **refused)  # type: ignore[arg-type]
    answer = {"status": "ok", "input_tokens": 400, "output_tokens": 9, "text": "I refund one.", "cost_usd": 0.002}
    yield Attempt(id=f"{id_}.2", number=2, started_at=at + 1.1, latency_ms=700.0, **of, **answer)  # type: ignore[arg-type]


def every_kind() -> Iterator[AnyRecord]:
    """Yield a workflow of each kind, the newest last."""
    yield from refund("clean", BEGAN)
    yield from refund("disliked", BEGAN + 10, session="s-2")
    yield Feedback(id="f1", workflow_id="disliked", at=BEGAN + 20, good=False, note="not what I asked", user="u-9")
    yield from refund("quiet", BEGAN + 20, name="triage")
    mistake = {"outcome": "fail", "source": "people", "text": "it is a refund"}
    yield Score(id="m1", workflow_id="quiet", step_id="quiet.a", name="first_mistake", **mistake)  # type: ignore[arg-type]
    yield from refund("broken", BEGAN + 30, status="error", error="Refused: three times", output=None)
    for name in ("decide", "ask"):
        yield Step(id=f"broken.{name}", workflow_id="broken", name=name, status="error", error="Refused: three times")
    yield Workflow(id="running", name="refund", door="trace", started_at=BEGAN + 40)
    yield Step(id="running.a", workflow_id="running", name="classify", started_at=BEGAN + 40.1)
    yield Workflow(id="untimed", name="team", door="whowhen", started_at=BEGAN + 50, status="ok", kept="all")
    for place in range(3):
        told = f"turn {place}"
        yield Step(
            id=f"untimed.{place}", workflow_id="untimed", name="Expert", kind="agent", position=place, output=told
        )


def keep(folder: Path, records: Iterator[AnyRecord]) -> None:
    """Store records in a workspace's production.db."""
    with Workspace.open(folder).production_writer() as production:
        production.write(records)
