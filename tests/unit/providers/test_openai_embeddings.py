"""`POST /embeddings` over a real socket: what is sent, what comes back, and what is refused."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web

from evalh.core.attempt import Call, CallError, CallKey, Completion, ErrorKind, Usage
from evalh.core.errors import WorkspaceError
from evalh.core.model import ModelSpec
from evalh.core.request import Message, Request, Role, Settings
from evalh.providers.openai import chat as openai
from wire.serving import Seen, serving

WHOLE = {
    "object": "list",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.25, -0.5, 1e-7]}],
    "model": "text-embedding-3-small",
    "usage": {"prompt_tokens": 3, "total_tokens": 3},
}


def asked(
    document: Any, *, status: int = 200, text: str = "Hello", params: Any = None, **options: Any
) -> tuple[Any, Completion | CallError]:
    """Ask for one text's embedding; return what was sent and what came of it."""

    async def answer(request: web.Request, seen: Seen) -> web.Response:
        return web.Response(status=status, body=json.dumps(document), content_type="application/json")

    async def ask() -> tuple[Any, Completion | CallError]:
        async with serving(answer) as served:
            spec = ModelSpec(
                name="embed",
                provider="openai",
                model="text-embedding-3-small",
                base_url=f"{served.url}/v1",
                options={"api": "embeddings", **options},
            )
            provider = openai.build(spec, SimpleNamespace(env={}, root=None))
            await provider.open()
            sent = {"max_tokens": 0} if params is None else params
            settings = Settings(model=spec.model, sent_to=provider.identity, params=sent)
            request = Request((Message.of(Role.USER, text),), settings)
            try:
                came: Completion | CallError = await provider.send(
                    request, Call(id="r1:1", run_id="r1", key=CallKey("t-1"), request=request)
                )
            except CallError as error:
                came = error
            finally:
                await provider.close()
            return [(one.path, one.body) for one in served.seen], came

    return asyncio.run(ask())


def test_a_text_is_sent_and_its_vector_is_the_answer() -> None:
    sent, came = asked(WHOLE, text="a\ud800\x00 text", params={"max_tokens": 0, "dimensions": 3})

    (one,) = sent
    body = {"model": "text-embedding-3-small", "encoding_format": "float", "dimensions": 3, "input": "a\ud800\x00 text"}
    assert one == ("/v1/embeddings", body)
    assert isinstance(came, Completion)
    assert json.loads(came.text) == [0.25, -0.5, 1e-7]
    assert (came.usage, came.model) == (Usage(3, 0), "text-embedding-3-small")


@pytest.mark.parametrize(
    "document",
    [
        {**WHOLE, "data": []},
        {**WHOLE, "data": WHOLE["data"] * 2},
        {**WHOLE, "data": [{"embedding": []}]},
        {**WHOLE, "data": [{"embedding": ["1"]}]},
        {**WHOLE, "data": [{"embedding": [None]}]},
        {"choices": []},
        [],
    ],
)
def test_what_is_no_embedding_is_a_bad_response(document: Any) -> None:
    _, came = asked(document)

    assert isinstance(came, CallError)
    assert came.kind is ErrorKind.BAD_RESPONSE


def test_refusals_are_read_as_those_of_chat() -> None:
    error = {"error": {"message": "maximum context length is 8192", "type": "x", "code": "context_length_exceeded"}}
    _, came = asked(error, status=400)

    assert isinstance(came, CallError)
    assert came.kind is ErrorKind.CONTEXT_LENGTH


@pytest.mark.parametrize("params", [{}, {"max_tokens": 100}, {"max_tokens": 0, "n": 2}])
def test_a_prompt_is_refused_and_nothing_is_sent(params: Any) -> None:
    sent, came = asked(WHOLE, params=params)

    assert isinstance(came, CallError)
    assert (came.kind, sent) == (ErrorKind.UNSUPPORTED, [])


def test_what_the_api_does_not_know_is_refused_at_the_door() -> None:
    for options in ({"schema": "none"}, {"api": "completions"}):
        with pytest.raises(WorkspaceError, match=r"schema|api"):
            asked(WHOLE, **options)
