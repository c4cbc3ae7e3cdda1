"""`provider = "python"`: what a function is handed, what it may return, and that it can neither hang nor end a run."""

import asyncio
import json
import threading
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from applications.applying import application, ask, failing, opened
from evalh.core.attempt import CallError, Completion, ErrorKind, Usage
from evalh.core.errors import WorkspaceError
from evalh.core.request import Message, Role
from workspaces import evalh, write_workspace


def calling(function: Callable[..., object], **options: Any) -> Any:
    return opened("python", call="app/flow.py:handle", load=lambda _: function, **options)


async def test_a_function_is_handed_what_its_parameters_name() -> None:
    def handle(prompt: str, system: str, user: dict[str, str], case_id: str, trial: int, tone: str = "plain") -> object:
        return [prompt, system, user, case_id, trial, tone]

    async with calling(handle) as it:
        before = (Message.of(Role.SYSTEM, "be brief"),)
        plain = await ask(it, "why?", before=before, inputs={"user": {"name": "Ada"}}, case_id="c", trial=1)
        kind = await ask(it, "why?", before=before, inputs={"user": {}, "tone": "kind"}, case_id="c", trial=1)

    assert json.loads(plain.text) == ["why?", "be brief", {"name": "Ada"}, "c", 1, "plain"]
    assert json.loads(kind.text)[-1] == "kind"


async def test_keywords_take_everything_and_the_traceparent_is_the_calls() -> None:
    def handle(**handed: Any) -> object:
        return handed

    async with calling(handle) as it:
        answer = await ask(it, inputs={"a": 1})

    told = json.loads(answer.text)
    assert sorted(told) == ["case_id", "inputs", "messages", "params", "prompt", "system", "traceparent", "trial"]
    assert told["traceparent"].split("-")[1] == answer.request_id


async def test_async_functions_share_a_loop_and_run_at_once() -> None:
    meeting, loops = asyncio.Barrier(2), set()

    async def handle(prompt: str) -> str:
        loops.add(asyncio.get_running_loop())
        await meeting.wait()
        return prompt

    async with calling(handle) as it:
        answers = await asyncio.gather(ask(it, "a"), ask(it, "b"))

    assert [one.text for one in answers] == ["a", "b"]
    assert len(loops) == 1
    assert asyncio.get_running_loop() not in loops


async def test_what_it_returns_is_read_as_an_answer_over_http_is() -> None:
    returns: list[Any] = [
        {"answer": "42", "n": {"in": 3, "out": 1}, "usd": 0.5},
        {"answer": {"label": "é"}},
        {"error": "no index"},
        Completion(text="own", usage=Usage(1, 1), cost_usd=Decimal(2)),
    ]
    options = {
        "output": "answer",
        "usage": {"input_tokens": "n.in", "output_tokens": "n.out"},
        "cost_from": "usd",
        "error_if": [{"path": "error", "kind": "overload"}],
    }
    async with calling(lambda: returns.pop(0), **options) as it:
        told, label, error, own = await ask(it), await ask(it), await failing(it), await ask(it)

    assert (told.text, told.usage, told.cost_usd) == ("42", Usage(3, 1), Decimal("0.5"))
    assert label.text == '{"label": "é"}'
    assert error.kind is ErrorKind.OVERLOAD
    assert (own.text, own.cost_usd) == ("own", 2)
    assert own.latency_ms is not None


class Unshowable(Exception):
    def __str__(self) -> str:
        raise RuntimeError


def raising(error: BaseException) -> Callable[[], object]:
    def handle() -> object:
        raise error

    return handle


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (raising(ValueError("no\nindex")), "ValueError: no index"),
        (raising(SystemExit(3)), "SystemExit: 3"),
        (raising(KeyboardInterrupt()), "KeyboardInterrupt"),
        (raising(TimeoutError("theirs")), "TimeoutError: theirs"),
        (raising(asyncio.CancelledError()), "CancelledError"),
        (raising(Unshowable()), "it cannot be shown"),
        (lambda: None, "returned nothing"),
        (object, "object that is not JSON"),
        (lambda: {"a": float("nan")}, "dict that is not JSON"),
        (lambda: "x" * (16 * 2**20 + 1), "more than 16 MiB"),
    ],
)
@pytest.mark.parametrize("is_async", [False, True])
async def test_what_it_raises_is_a_bad_response(function: Callable[[], object], words: str, is_async: bool) -> None:
    async def later() -> object:
        return function()

    async with calling(later if is_async else function) as it:
        error = await failing(it)

    assert error.kind is ErrorKind.BAD_RESPONSE
    assert words in error.message


async def test_it_may_say_itself_what_failed() -> None:
    async with calling(raising(CallError(ErrorKind.RATE_LIMIT, "later", retry_after_s=3.0))) as it:
        error = await failing(it)

    assert (error.kind, error.retry_after_s) == (ErrorKind.RATE_LIMIT, 3.0)


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_function_that_hangs_costs_its_own_call(is_async: bool) -> None:
    released = threading.Event()

    def handle(prompt: str) -> str:
        return prompt if prompt == "quick" or released.wait() else ""

    async def patient(prompt: str) -> str:
        return prompt if prompt == "quick" or await asyncio.Event().wait() else ""

    async with calling(patient if is_async else handle, timeout_s=0.2) as it:
        error, answer = await failing(it, "slow"), await ask(it, "quick")
        released.set()

    assert (error.kind, answer.text) == (ErrorKind.TIMEOUT, "quick")


async def test_an_input_that_the_case_lacks_is_named() -> None:
    async with calling(lambda question: question) as it:
        error = await failing(it, inputs={"query": "x"})

    assert error.kind is ErrorKind.UNSUPPORTED
    assert "'t-1'" in error.message
    assert "inputs.question" in error.message


def test_a_function_that_is_not_there_is_refused_at_the_models_line() -> None:
    def missing(path: str) -> Callable[..., object]:
        raise WorkspaceError(f"no function {path}")

    for options, words in (
        ({"call": "app/flow.py:handle"}, "no function app/flow.py:handle"),
        ({"call": "app/flow.py"}, "FILE.py:FUNCTION"),
        ({}, "'call' is missing"),
    ):
        with pytest.raises(WorkspaceError, match=words) as caught:
            application("python", options, load=missing)
        assert caught.value.where == "evalh.toml:3"

    with pytest.raises(WorkspaceError, match="by position only"):
        application("python", {"call": "a:b"}, load=lambda _: lambda x, /: x)


def test_a_flow_of_several_files_is_tested_like_a_model(tmp_path: Path) -> None:
    write_workspace(tmp_path, cases=3, model='provider = "python"\ncall = "app/flow.py:handle"\n')
    (tmp_path / "app").mkdir()
    (tmp_path / "app/flow.py").write_text(
        "from app.labels import LABEL\n\n\n"
        "async def handle(ticket):\n    from app.late import checked\n    return {'label': checked(LABEL)}\n"
    )
    (tmp_path / "app/labels.py").write_text("LABEL = 'billing'\n")
    (tmp_path / "app/late.py").write_text("def checked(label):\n    return label\n")

    checked = evalh(tmp_path, "check")
    done = evalh(tmp_path, "run", "triage", "--json")

    assert checked.returncode == 0, checked.stdout
    assert json.loads(done.stdout)["results"][0]["good"] == 3, done.stdout
