"""Workflows and steps around functions of every sort, `with` blocks, tasks and threads."""

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any

import pydantic
import pytest

from evalh import trace
from evalh_trace.tracer import TRACER
from tracing.model_server import Recorded

Read = Callable[[], Recorded]


class Refused(Exception):
    """A program's own error."""


def test_a_functions_arguments_are_its_inputs_by_name_and_its_result_is_the_output(recorded: Read) -> None:
    @trace.workflow("refund", session="s1", user="u1", tags=("beta",))
    def refund(ticket: str, /, amount: int = 3, *more: int, currency: str = "EUR", **rest: Any) -> dict[str, Any]:
        """Pay back."""
        return {"paid": amount, "more": more, "currency": currency, **rest}

    assert refund("T7", 4, 5, note="x") == {"paid": 4, "more": (5,), "currency": "EUR", "note": "x"}
    assert (refund.__name__, refund.__doc__) == ("refund", "Pay back.")

    (workflow,) = recorded().workflows
    assert workflow.inputs == {"ticket": "T7", "amount": 4, "more": [5], "currency": "EUR", "note": "x"}
    assert workflow.output == {"paid": 4, "more": [5], "currency": "EUR", "note": "x"}
    assert (workflow.name, workflow.session, workflow.user, workflow.tags) == ("refund", "s1", "u1", ("beta",))
    assert (workflow.status, workflow.kept, workflow.probability) == ("ok", "all", 1.0)
    assert workflow.ended_at is not None
    assert workflow.ended_at >= workflow.started_at


def test_a_methods_self_is_not_an_input(recorded: Read) -> None:
    class Shop:
        @trace.step
        def price(self, item: str) -> int:
            return len(item)

    Shop().price("book")

    assert (recorded().workflows[0].name, recorded().workflows[0].inputs) == ("price", {"item": "book"})


def test_steps_nest_and_an_error_passes_through_all_of_them_unchanged(recorded: Read) -> None:
    error = Refused("not today")

    @trace.step("look up", kind="tool")
    def look_up() -> None:
        raise error

    def refund() -> None:
        with trace.workflow("refund", inputs={"id": 7}), trace.step("decide", inputs=["a"]) as s:
            s.output = "maybe"
            look_up()

    with pytest.raises(Refused) as raised:
        refund()

    assert raised.value is error
    found = recorded()
    (workflow,), (inner, outer) = found.workflows, sorted(found.steps, key=lambda one: one.name, reverse=True)
    assert (workflow.status, workflow.error, workflow.inputs) == ("error", "Refused: not today", {"id": 7})
    assert (inner.name, inner.kind, inner.parent_id, inner.status) == ("look up", "tool", outer.id, "error")
    assert (outer.parent_id, outer.inputs, outer.output) == (None, ["a"], "maybe")


def test_a_workflow_inside_another_is_a_step_of_it_with_the_workflows_id(recorded: Read) -> None:
    @trace.workflow("inner")
    def inner() -> int:
        return 1

    with trace.workflow("outer") as outer, trace.workflow("middle") as middle:
        inner()

    assert middle.id == outer.id
    assert [one.name for one in recorded().workflows] == ["outer"]
    assert {one.name: one.kind for one in recorded().steps} == {"middle": "step", "inner": "step"}


def test_a_generators_workflow_is_open_until_it_is_consumed_and_current_only_while_it_runs(recorded: Read) -> None:
    inside = []

    @trace.workflow("stream")
    def stream(count: int) -> Iterator[str]:
        for number in range(count):
            with trace.step("part"):
                inside.append(number)
            yield str(number)
        return

    items = stream(3)
    assert next(items) == "0"
    with trace.workflow("beside"):
        pass  # the consumer is not inside the generator's workflow
    assert list(items) == ["1", "2"]

    found = recorded()
    by_name = {one.name: one for one in found.workflows}
    assert set(by_name) == {"stream", "beside"}
    assert (by_name["stream"].inputs, by_name["stream"].output) == ({"count": 3}, "012")
    assert {one.workflow_id for one in found.steps} == {by_name["stream"].id}
    assert len(found.steps) == 3


def test_a_generator_may_be_consumed_in_another_context_each_time(recorded: Read) -> None:
    """As a web framework does with a response that it streams from a pool of threads."""

    @trace.workflow("stream")
    def stream() -> Iterator[str]:
        for number in range(3):
            with trace.step("part"):
                yield str(number)

    items = stream()
    with ThreadPoolExecutor(2) as pool:
        got = [pool.submit(copy_context().run, next, items).result() for _ in range(2)]
        pool.submit(copy_context().run, items.close).result()

    assert got == ["0", "1"]
    assert [(one.output, one.attributes) for one in recorded().workflows] == [("01", {"closed_early": True})]
    assert {one.workflow_id for one in recorded().steps} == {recorded().workflows[0].id}


def test_a_generator_keeps_its_protocol(recorded: Read) -> None:
    @trace.step
    def talk() -> Iterator[Any]:
        try:
            heard = yield 1
        except Refused:
            heard = "refused"
        got = yield heard
        return got

    assert inspect.isgeneratorfunction(talk)
    one: Any = talk()
    assert (next(one), one.send("hello")) == (1, "hello")
    with pytest.raises(StopIteration) as stop:
        one.send("end")
    two: Any = talk()
    next(two)

    assert stop.value.value == "end"
    assert two.throw(Refused()) == "refused"
    two.close()
    assert [one.attributes for one in recorded().workflows] == [{}, {"closed_early": True}]


async def test_an_async_generator_is_open_until_it_is_closed(recorded: Read) -> None:
    closed = []

    @trace.workflow("answer")
    async def answer() -> AsyncIterator[dict[str, int]]:
        try:
            for number in range(9):
                await asyncio.sleep(0)
                yield {"number": number}
        finally:
            closed.append(True)

    assert inspect.isasyncgenfunction(answer)
    items: Any = answer()
    assert [await anext(items), await anext(items)] == [{"number": 0}, {"number": 1}]
    await items.aclose()
    assert [one async for one in answer()] == [{"number": number} for number in range(9)]

    first, second = recorded().workflows
    assert (first.output, first.attributes) == ([{"number": 0}, {"number": 1}], {"closed_early": True})
    assert (len(second.output), second.attributes, closed) == (9, {}, [True, True])


async def test_coroutines_are_steps_of_the_task_that_awaits_them(recorded: Read) -> None:
    @trace.step
    async def leaf(number: int) -> int:
        await asyncio.sleep(0)
        return number

    @trace.step
    async def branch(number: int) -> list[int]:
        return await asyncio.gather(leaf(number), leaf(number + 1))

    async with trace.workflow("tree") as w:
        w.output = await asyncio.gather(branch(0), branch(10))

    assert inspect.iscoroutinefunction(leaf)
    found = recorded()
    branches = {one.id: one.inputs["number"] for one in found.steps if one.name == "branch"}
    leaves = [(branches[one.parent_id or ""], one.inputs["number"]) for one in found.steps if one.name == "leaf"]
    assert sorted(leaves) == [(0, 0), (0, 1), (10, 10), (10, 11)]
    assert found.workflows[0].output == [[0, 1], [10, 11]]


async def test_a_background_task_belongs_to_the_workflow_that_started_it(recorded: Read) -> None:
    go = asyncio.Event()

    async def later() -> None:
        await go.wait()
        with trace.step("cleanup"):
            pass

    with trace.workflow("request") as w:
        task = asyncio.create_task(later())
    go.set()
    await task

    assert [(one.name, one.workflow_id) for one in recorded().steps] == [("cleanup", w.id)]


def test_a_plain_function_that_hands_out_a_coroutine_is_open_until_it_was_awaited(recorded: Read) -> None:
    async def inner() -> str:
        with trace.step("inner"):
            await asyncio.sleep(0)
        return "done"

    @trace.workflow("outer")
    def outer() -> Any:
        return inner()

    assert asyncio.run(outer()) == "done"
    assert recorded().workflows[0].output == "done"
    assert recorded().steps[0].workflow_id == recorded().workflows[0].id


def test_a_thread_pool_works_inside_the_workflow_by_its_context(recorded: Read) -> None:
    both = threading.Barrier(2)

    @trace.step
    def work(number: int) -> int:
        both.wait(20)  # two threads are in the same context at once
        return number * 2

    with ThreadPoolExecutor(2) as pool, trace.workflow("pooled") as w:
        carried = trace.context()
        with trace.step("later"):
            assert list(pool.map(lambda number: carried.run(work, number), range(2))) == [0, 2]
        pool.submit(lambda: trace.context().run(str)).result()

    steps = [one for one in recorded().steps if one.name == "work"]
    assert {(one.workflow_id, one.parent_id) for one in steps} == {(w.id, None)}
    assert len(steps) == 2


def test_a_call_by_hand_is_read_like_one_that_was_seen(recorded: Read) -> None:
    request = {"model": "small", "temperature": 0, "messages": [{"role": "user", "content": "2 + 2?"}]}
    answer = {
        "model": "small-1",
        "choices": [{"message": {"content": "four"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 1},
    }

    with trace.workflow("w"), trace.step("s"):
        trace.call(request, answer, latency_ms=12.5, prompt="sum@v3")
    trace.call(model="other", messages=request["messages"], text="4", input_tokens=5, provider="own")
    trace.call(request, error="it is down", error_kind="overload")

    found = recorded()
    first, second, third = found.calls
    assert (first.prompt, first.latency_ms, first.attempts, first.provider) == ("sum@v3", 12.5, None, "openai")
    assert first.step_id == found.steps[0].id
    assert first.messages == second.messages == [{"role": "user", "parts": ["2 + 2?"]}]
    texts = {one.call_id: (one.text, one.number, one.input_tokens, one.status) for one in found.attempts}
    assert texts[first.id] == ("four", None, 5, "ok")
    assert texts[second.id] == ("4", None, 5, "ok")
    assert texts[third.id] == (None, None, None, "error")
    assert [one.name for one in found.workflows] == ["w", "chat other", "chat small"]


def test_feedback_and_checks_name_their_workflow(recorded: Read) -> None:
    with trace.workflow("w") as w, trace.step("s") as s:
        s.check("is JSON", passed=False, note="a comma too many")
    trace.feedback(w.id, good=False, note="wrong", user="u")
    trace.feedback(w, kind="copied")

    found = recorded()
    assert [(one.workflow_id, one.good, one.kind, one.note) for one in found.feedback] == [
        (w.id, False, "vote", "wrong"),
        (w.id, None, "copied", None),
    ]
    (score,) = found.scores
    assert (score.workflow_id, score.step_id, score.name, score.outcome) == (w.id, s.id, "is JSON", "fail")


@dataclass
class Order:
    id: int


class Customer(pydantic.BaseModel):
    name: str


class Broken:
    def __repr__(self) -> str:
        raise Refused

    def __str__(self) -> str:
        raise Refused


def test_values_that_json_cannot_hold_are_named_by_their_type(recorded: Read) -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    inputs = {
        "order": Order(7),
        "customer": Customer(name="Ada"),
        "lock": threading.Lock(),
        "broken": Broken(),
        "bytes": b"raw",
        "set": {1},
        "huge": 10**30,
        "nan": float("nan"),
        "half": "\ud800",
        (1, 2): "a key",
        "cycle": cycle,
    }

    with trace.workflow("w", inputs=inputs):
        pass

    found = recorded().workflows[0].inputs
    assert found["order"] == f"<{__name__}.Order>" or found["order"] == {"id": 7}
    assert found["customer"] == {"name": "Ada"}
    assert (found["lock"], found["broken"]) == ("<_thread.lock>", f"<{__name__}.Broken>")
    assert (found["bytes"], found["set"], found["nan"]) == ("<builtins.bytes>", [1], None)
    assert (found["half"], found["(1, 2)"], found["huge"]) == ("\ufffd", "a key", "<builtins.int>")


def test_values_are_bounded_in_size_and_depth_and_say_so(recorded: Read) -> None:
    deep: Any = "bottom"
    for _ in range(500):
        deep = [deep]

    with trace.workflow("w", inputs={"deep": deep, "long": "x" * 2_000_000, "many": list(range(500_000))}) as w:
        w.output = "y" * 20_000_000

    workflow = recorded().workflows[0]
    assert "too deep" in str(workflow.inputs["deep"])
    assert workflow.inputs["long"].endswith("[cut: 2,000,000 bytes]")
    assert workflow.output == "[cut: 20,000,000 bytes]"
    assert len(recorded().raw) < 5_000_000


def test_a_bug_of_the_tracers_own_is_counted_and_not_the_programs(
    recorded: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object, **__: object) -> None:
        raise RuntimeError("a bug of ours")

    with monkeypatch.context() as broken:
        broken.setattr(TRACER, "put", failing)

        @trace.workflow("w")
        def work() -> int:
            with trace.step("s") as s:
                s.output = 1
            trace.feedback("x", good=True)
            trace.call(text="x")
            return 7

        assert work() == 7
    trace.feedback("y", good=True)

    assert recorded().losses == {"bug": 6}
