"""An ask inside a traced workflow is a step of it."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import evalh
from evalh import trace
from evalh.api.asking.service import service_of
from evalh.api.workspace import Workspace
from evalh.core.production import WorkflowDetail
from evalh_trace.tracer import TRACER
from faults.dialects import OPENAI
from faults.fault_server import Act, Asked
from faults.running import served
from stepping import mail, step_server, write_pipeline

TICKET = {"ticket": "order 3"}
CONTENT = "\n[trace]\ncontent = true\n"


@pytest.fixture(autouse=True)
def _apart() -> Iterator[None]:
    yield
    trace.flush(20)
    TRACER.options = {}


def traced(folder: Path) -> None:
    """Let the tracer write where the workspace's asks do."""
    with (folder / "evalh.toml").open("a") as config:
        config.write(CONTENT)
    trace.configure(store=folder / ".evalh", content=True)


def only(folder: Path) -> WorkflowDetail:
    """Return the one workflow that there is."""
    assert trace.flush(20)
    service_of(folder).flush()
    reader = Workspace.open(folder).production
    (found,) = reader.workflows()
    return reader.detail(found.id)


def test_an_ask_is_a_step_of_the_workflow_that_asks(tmp_path: Path) -> None:
    with served(tmp_path, OPENAI.right, cases=1) as (_, folder):
        traced(folder)
        with trace.workflow("refund") as workflow, trace.step("sort"):
            reply = evalh.ask("triage", TICKET, whole=True, workspace=folder)

    found = only(folder)
    sort, asked = (next(one for one in found.steps if one.name == name) for name in ("sort", "triage"))
    assert (found.workflow.name, found.workflow.door, reply.id) == ("refund", "trace", workflow.id)
    assert (asked.parent_id, asked.status, asked.inputs, asked.output) == (sort.id, "ok", TICKET, {"label": "billing"})
    assert asked.attributes["version"] == "triage@v1"
    assert sort.started_at is not None
    assert sort.ended_at is not None
    assert asked.started_at is not None
    assert asked.ended_at is not None
    assert sort.started_at <= asked.started_at <= asked.ended_at <= sort.ended_at + 1
    (call,), (attempt,) = found.calls, found.attempts
    assert (call.step_id, call.prompt, attempt.text) == (asked.id, "triage@v1", '{"label": "billing"}')


def test_feedback_by_the_replys_id_is_the_workflows(tmp_path: Path) -> None:
    with served(tmp_path, OPENAI.right, cases=1) as (_, folder):
        traced(folder)
        with trace.workflow("refund"):
            reply = evalh.ask("triage", TICKET, whole=True, workspace=folder)
        trace.feedback(reply.id, good=False)

    assert [one.good for one in only(folder).feedback] == [False]


def test_pipelines_steps_are_steps_of_the_ask_and_have_times(tmp_path: Path) -> None:
    with step_server() as (_, port):
        folder = write_pipeline(tmp_path, port)
        traced(folder)

        @trace.workflow("refund")
        def refund(email: str) -> str:
            return str(evalh.ask("refund", {"email": email}, workspace=folder, version="draft"))

        refund(mail(3))

    found = only(folder)
    own = next(one for one in found.steps if one.parent_id is None)
    steps = [one for one in found.steps if one.parent_id == own.id]
    assert [one.name for one in steps] == ["extract", "order", "reply"]
    times = [one.started_at for one in steps]
    assert None not in times
    assert times == sorted(times, key=lambda one: one or 0.0)
    assert all(one.ended_at is not None and one.ended_at >= (one.started_at or 0.0) for one in steps)
    assert {call.step_id for call in found.calls} == {steps[0].id, steps[2].id}


def test_a_pipelines_steps_alone_have_times_and_positions(tmp_path: Path) -> None:
    with step_server() as (_, port):
        folder = write_pipeline(tmp_path, port)
        traced(folder)
        evalh.ask("refund", {"email": mail(3)}, workspace=folder, version="draft")

    steps = only(folder).steps
    assert [(one.name, one.position) for one in steps] == [("extract", 0), ("order", 1), ("reply", 2)]
    assert all(one.started_at is not None and one.ended_at is not None for one in steps)


async def test_asks_of_several_tasks_stay_in_their_own_workflows(tmp_path: Path) -> None:
    with served(tmp_path, OPENAI.right, cases=1) as (_, folder):
        traced(folder)

        @trace.workflow("refund")
        async def refund(number: int) -> object:
            return await evalh.ask_async("triage", {"ticket": f"order {number}"}, workspace=folder)

        await asyncio.gather(*(refund(number) for number in range(8)))
        await evalh.ask_async("triage", TICKET, workspace=folder)
        assert await asyncio.to_thread(trace.flush, 20)
        service_of(folder).flush()

    reader = Workspace.open(folder).production
    details = [reader.detail(one.id) for one in reader.workflows()]
    inner = [one for one in details if one.workflow.name == "refund"]
    assert len(details) == 9
    assert [(len(one.steps), len(one.calls)) for one in inner] == [(1, 1)] * 8
    for one in inner:
        assert one.steps[0].inputs == {"ticket": f"order {one.workflow.inputs['number']}"}


def test_an_ask_that_fails_inside_is_a_failed_step(tmp_path: Path) -> None:
    with served(tmp_path, OPENAI.always("auth"), cases=1) as (_, folder):
        traced(folder)
        with trace.workflow("refund") as workflow, pytest.raises(evalh.NoAnswer) as failed:
            evalh.ask("triage", TICKET, workspace=folder)

    (step,) = only(folder).steps
    assert (step.status, failed.value.id) == ("error", workflow.id)
    assert (step.error or "").startswith("no_answer: auth")


def test_a_workflow_whose_ask_failed_is_kept_where_errors_are(tmp_path: Path) -> None:
    def answers(asked: Asked) -> Act:
        return OPENAI.right(asked) if asked.nth == 1 else OPENAI.error("auth")

    with served(tmp_path, answers, cases=1) as (_, folder):
        traced(folder)
        trace.configure(store=folder / ".evalh", content=True, sample={"rate": 0.0, "always": ["error"]})
        with trace.workflow("right"):
            evalh.ask("triage", TICKET, workspace=folder)
        with trace.workflow("default"):
            evalh.ask("triage", TICKET, default={"label": "bug"}, workspace=folder)
        with trace.workflow("caught"), suppress(evalh.NoAnswer):
            evalh.ask("triage", TICKET, workspace=folder)
        assert trace.flush(20)
        service_of(folder).flush()

    reader = Workspace.open(folder).production
    assert {one.name: one.kept for one in reader.workflows()} == {"default": "error", "caught": "error"}


def test_an_answer_inside_another_processes_workflow_is_an_earlier_one(tmp_path: Path) -> None:
    with served(tmp_path, OPENAI.right, cases=1) as (server, folder):
        traced(folder)
        with trace.workflow("refund"):
            evalh.ask("triage", TICKET, workspace=folder)
        only(folder)  # reading takes the lines over
        evalh.ask("triage", TICKET, reuse=True, workspace=folder)

    assert server.count() == 1
