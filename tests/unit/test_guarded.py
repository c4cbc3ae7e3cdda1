"""A plugin's provider that breaks is a failed attempt with its own line, not a bug of evalh."""

import asyncio

import pytest

from evalh.core.attempt import Call, CallError, CallKey, ErrorKind
from evalh.core.model import Traits
from evalh.core.request import Message, Request, Role, Settings
from evalh.providers.registry import Guarded

REQUEST = Request((Message.of(Role.USER, "hello"),), Settings(model="m", sent_to={}))
CALL = Call(id="r:1", run_id="r", key=CallKey("t-1"), request=REQUEST)


class Plugin:
    kind = "mine"

    def __init__(self, answer: object) -> None:
        self.answer = answer

    async def send(self, request: Request, call: Call) -> object:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def failing(answer: object) -> CallError:
    with pytest.raises(CallError) as caught:
        asyncio.run(Guarded(Plugin(answer), Traits()).send(REQUEST, CALL))
    return caught.value


def test_what_it_raises_is_told_with_its_line() -> None:
    error = failing(KeyError("choices"))

    assert error.kind is ErrorKind.BAD_RESPONSE
    assert "test_guarded.py:" in error.message
    assert "KeyError: 'choices'" in error.message


def test_what_it_says_of_a_call_stands() -> None:
    assert failing(CallError(ErrorKind.RATE_LIMIT, "slow down")).kind is ErrorKind.RATE_LIMIT


def test_an_answer_of_another_type_is_refused_by_name() -> None:
    assert "gave a str, not a Completion" in failing("text").message


def test_everything_else_is_the_plugins_own() -> None:
    assert Guarded(Plugin("x"), Traits()).kind == "mine"
