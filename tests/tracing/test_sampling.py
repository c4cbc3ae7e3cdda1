"""A workflow is kept or dropped as a whole, at its end; what is kept says how likely that was."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from evalh import trace
from evalh_trace import sampling
from evalh_trace.tracer import TRACER
from tracing.model_server import ModelServer, Recorded, Reply, completion

Read = Callable[[], Recorded]


def sample(store: Path, rate: float, *always: str) -> None:
    TRACER.options = {}
    trace.configure(store=store, content=True, sample={"rate": rate, "always": list(always)})


def run(*, fails: bool = False) -> str:
    with trace.workflow("w", inputs={"fails": fails}, user="u") as w, trace.step("s"):
        trace.call(model="m", messages=[{"role": "user", "content": "2 + 2?"}], text="4")
        if fails:
            raise ZeroDivisionError
    return w.id


def test_all_errors_and_a_rate_give_the_true_number_by_their_weights(recorded: Read, store: Path) -> None:
    sample(store, 0.2, "error")
    for number in range(1000):
        if number % 20:
            run()
        else:
            with pytest.raises(ZeroDivisionError):
                run(fails=True)

    found = recorded()
    kept = Counter(one.kept for one in found.workflows)
    assert kept["error"] == 50
    assert sum(kept.values()) == 1000
    assert {(one.kept, one.probability) for one in found.workflows} == {("error", 1.0), ("rate", 0.2), ("stub", 0.2)}
    weighted = sum(1 / one.probability for one in found.workflows if one.kept != "stub")
    assert abs(weighted - 1000) < 5 * (950 * (1 - 0.2) / 0.2) ** 0.5  # five standard errors of that estimate
    by_id = {one.id: one.kept for one in found.workflows}
    whole = Counter(by_id[one.workflow_id] for one in [*found.steps, *found.calls, *found.attempts])
    assert whole == {"error": 150, "rate": 3 * kept["rate"]}  # each with all that belongs to it


def test_a_dropped_workflow_is_a_stub_without_content_that_late_feedback_finds(recorded: Read, store: Path) -> None:
    sample(store, 0.0)
    id_ = run()
    trace.flush(20)

    trace.feedback(id_, good=False)

    (stub,) = recorded().workflows
    assert (stub.id, stub.kept, stub.inputs, stub.user, stub.status) == (id_, "stub", None, "u", "ok")
    assert not recorded().calls
    assert recorded().feedback[0].workflow_id == id_
    assert b"2 + 2" not in recorded().raw


def checked(w: Any) -> None:
    w.check("c", passed=False)


def voted(w: Any) -> None:
    trace.feedback(w.id, good=True)


@pytest.mark.parametrize(("always", "does"), [("check", checked), ("feedback", voted), ("slow:0s", len)])
def test_each_reason_keeps_its_workflows_for_certain(always: str, does: Any, recorded: Read, store: Path) -> None:
    sample(store, 0.0, always)
    with trace.workflow("plain") as w:
        does(w if does is not len else [])

    (workflow,) = recorded().workflows
    assert (workflow.kept, workflow.probability) == (always.partition(":")[0], 1.0)


def test_a_failed_call_makes_a_workflow_an_error_and_one_that_was_retried_well_does_not(
    server: ModelServer, recorded: Read, store: Path
) -> None:
    sample(store, 0.0, "error")
    down, limited = Reply(400, {"error": {"message": "x"}}), Reply(429, {"error": {}})
    server.plan(down, limited, Reply(body=completion()), limited, Reply(body=completion()))
    with trace.client(httpx.Client()) as client:

        def ask(name: str) -> None:
            client.post(f"{server.url}/v1/chat/completions", json={"model": name, "messages": []})

        with trace.workflow("failed"):
            ask("a")
        with trace.workflow("recovered"):
            ask("b")
            ask("b")
        ask("alone")
        ask("alone")

    assert {one.name: one.kept for one in recorded().workflows} == {
        "failed": "error",
        "recovered": "stub",
        "chat alone": "stub",
    }


def test_a_workflow_that_waits_is_bounded_and_what_did_not_fit_is_counted(
    recorded: Read, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "_MOST_RECORDS", 10)
    sample(store, 0.5, "error")

    @trace.workflow
    def long() -> None:
        for _ in range(25):
            with trace.step("s"):
                pass
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        long()

    assert len(recorded().steps) == 10
    assert recorded().losses == {"full": 15}


def test_a_sample_holds_for_what_begins_after_it(recorded: Read, store: Path) -> None:
    with trace.workflow("before") as before:
        sample(store, 0.0)
        with trace.workflow("beside"):
            pass
    run()

    assert [one.kept for one in recorded().workflows] == ["all", "stub"]
    assert [one.workflow_id for one in recorded().steps] == [before.id]


def test_what_is_open_when_the_program_ends_is_decided_then(recorded: Read, store: Path) -> None:
    sample(store, 1e-9, "error")
    TRACER.options["sample"] = {"rate": 1e-9}
    opened = trace.workflow("open")
    opened.__enter__()
    with trace.step("done"):
        pass
    trace.flush(20)
    assert recorded().workflows[0].kept is None  # until then it is seen to run

    assert TRACER.recorder is not None
    TRACER.recorder.end()
    opened.__exit__(None, None, None)

    assert recorded().workflows[0].kept == "stub"
