"""What holds of every provider, whatever it asks: one set of claims, over real sockets, processes and files.

`EXPECTED` says what each word makes of each situation. A provider that is not in it fails the first test.
"""

import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from evalh.api.files import cache_dir_of
from evalh.core.attempt import Call, CallError, CallKey, Completion, ErrorKind, FinishReason
from evalh.core.errors import EvalhError
from evalh.core.model import ADDRESS, ModelSpec
from evalh.core.ports import Provider
from evalh.core.request import Message, Request, Role, Settings, Tool, ToolCall
from evalh.providers import weights
from evalh.providers.registry import _BUILT_IN, ProviderContext, build
from evalh.workspace.files import WorkTree
from wire.anthropic_service import ANTHROPIC
from wire.calling import calling
from wire.gemini_service import GEMINI
from wire.openai_service import OPENAI
from wire.responses_service import RESPONSES
from wire.service import Reply, Service, event
from wire.serving import Seen, framed, raw, serving

KEY = "sk-live-4f9c2a7e8b1d"
TEXT = "Grüße, 世界"
JSON = {"label": "bug"}
SCHEMA = {"type": "object", "properties": {"label": {"enum": ["bug", "billing"]}}, "required": ["label"]}
SEARCH = Tool("search", "Find orders.", {"type": "object", "properties": {"q": {"type": "string"}}})
SITUATIONS = ("text", "json", "stream", "tools", "429", "500", "cut", "redirect", "echo")
K = ErrorKind
WAIT_S = 7.0

HOSTED: dict[str, ErrorKind | None] = {
    **dict.fromkeys(("text", "json", "stream", "tools", "echo")),
    "429": K.RATE_LIMIT,
    "500": K.OVERLOAD,
    "cut": K.BAD_RESPONSE,
    "redirect": K.BAD_REQUEST,
}
"""None: it answers."""

EXPECTED: dict[str, dict[str, ErrorKind | None]] = {
    "openai": HOSTED,
    "responses": HOSTED,
    "anthropic": HOSTED,
    "gemini": HOSTED,
    "http": {**HOSTED, "tools": K.UNSUPPORTED},
    # A program has no status: it says in its answer that it is busy, and fails by its exit code.
    "command": {
        **{name: kind for name, kind in HOSTED.items() if name != "redirect"},
        "tools": K.UNSUPPORTED,
        "500": K.BAD_RESPONSE,
    },
    # It runs inside evalh: nothing is sent, so nothing is echoed.
    "python": {
        **dict.fromkeys(("text", "json", "stream")),
        "tools": K.UNSUPPORTED,
        "429": K.RATE_LIMIT,
        "500": K.BAD_RESPONSE,
        "cut": K.BAD_RESPONSE,
    },
    "scripted": {
        **dict.fromkeys(("text", "json", "stream", "tools")),
        "429": K.RATE_LIMIT,
        "500": K.BAD_RESPONSE,
        "cut": K.BAD_RESPONSE,
    },
    # A recording does not fail; what it lacks it does not answer.
    "replay": {**dict.fromkeys(("text", "json", "stream", "tools")), "500": K.NOT_RECORDED},
    "local": {**dict.fromkeys(("text", "json", "stream")), "tools": K.UNSUPPORTED},
}
"""What a word makes of a situation; a situation that is not there cannot arise."""

OVER_HTTP = ("openai", "responses", "anthropic", "gemini", "http")
_MARKS = {"local": pytest.mark.model}
each_case = pytest.mark.parametrize(
    ("word", "situation"),
    [
        pytest.param(word, situation, marks=_MARKS.get(word, ()), id=f"{word}-{situation}")
        for word, told in EXPECTED.items()
        for situation in SITUATIONS
        if situation in told
    ],
)
Opened = AsyncIterator[Provider]


@asynccontextmanager
async def opened(kind: str, root: Path, options: Mapping[str, Any], load: Callable[..., Any] = print) -> Opened:
    """Build as the workspace does, open, and close."""
    own = {name: value for name, value in options.items() if name not in ADDRESS}
    stated = {name: value for name, value in options.items() if name in ADDRESS}
    spec = ModelSpec(
        name="m", provider=kind, model="model-1", timeout_s=30.0, options=own, where="evalh.toml:3", **stated
    )
    context = ProviderContext(
        prompt="p",
        version="v1",
        tree=WorkTree(root),
        root=root,
        env={**os.environ, "TEST_KEY": KEY},
        cache_dir=cache_dir_of(os.environ),
        load_function=lambda _: load,
    )
    provider = build(spec, context)
    await provider.open()
    try:
        yield provider
    finally:
        await provider.close()


async def ask(provider: Provider, situation: str) -> tuple[Completion | CallError, list[str]]:
    """Ask once, as the situation wants it; return the answer or the error, and what was handed on."""
    more: dict[str, Any] = {
        "json": {"json_output": True, "output_schema": SCHEMA},
        "stream": {"stream": True},
        "tools": {"tools": (SEARCH,)},
    }.get(situation, {})
    settings = Settings(model=provider.model, sent_to=provider.identity, params={"max_tokens": 24}, **more)
    request = Request((Message.of(Role.USER, "hello"),), settings, inputs={})
    heard: list[str] = []
    on_text = heard.append if situation == "stream" else None
    call = Call(id="r:1", run_id="r", key=CallKey(situation), request=request, on_text=on_text)
    try:
        return await provider.send(request, call), heard
    except CallError as error:
        return error, heard


# -- how each word is brought into each situation


@asynccontextmanager
async def hosted(service: Service, situation: str, root: Path) -> Opened:
    api = {"api": "responses"} if service is RESPONSES else {}
    async with replying(service, situation) as url:
        options = {"base_url": f"{url}{service.base}", "api_key_env": "TEST_KEY", **api}
        async with opened(service.kind, root, options) as provider:
            yield provider


@asynccontextmanager
async def replying(service: Service, situation: str) -> AsyncIterator[str]:
    """Play a service; hand out its address."""
    replies = {
        "text": Reply(service.answer(TEXT)),
        "json": Reply(service.answer(json.dumps(JSON))),
        "stream": Reply(chunks=service.events(["Grüße, ", "世界"])),
        "tools": calling(service, stream=False)
        if service.name in {"openai", "responses", "anthropic", "gemini"}
        else None,
        "429": Reply(service.error(429, "rate_limit_error", f"slow down, {KEY}"), 429, {"Retry-After": str(WAIT_S)}),
        "500": Reply(f"oops, {KEY}".encode(), 500),
        "redirect": Reply(b"", 307, {"Location": f"https://elsewhere.example/{KEY}"}),
        "echo": Reply(service.answer(f"you sent {KEY}")),
    }
    if situation == "cut":
        body = json.dumps(service.answer(TEXT)).encode()
        async with raw(framed(body)[:-10]) as server:
            yield server.url
        return

    async def handle(request: web.Request, seen: Seen) -> web.StreamResponse:
        wrong = next(service.wrong(seen), None)
        if wrong is not None:
            return await Reply(service.error(400, "invalid", f"refused: {wrong}"), 400).send(request)
        reply = replies[situation]
        assert reply is not None
        return await reply.send(request)

    async with serving(handle) as server:
        yield server.url


def _wrong_question(seen: Seen) -> Any:
    if seen.body != {"question": "hello"} or seen.headers.get("authorization") != KEY:
        yield f"what is that: {seen.body}"


APPLICATION = Service(
    kind="http",
    name="http",
    model="",
    base="",
    wire=lambda _: None,  # type: ignore[arg-type,return-value]
    key_headers=("authorization", ""),
    wrong=_wrong_question,
    error=lambda status, kind, text: {"detail": text},
    answer=lambda text: {"answer": text},
    events=lambda pieces: [*(event({"delta": piece}) for piece in pieces), event("[DONE]")],
)


@asynccontextmanager
async def http(situation: str, root: Path) -> Opened:
    async with replying(APPLICATION, situation) as url:
        place = {"stream": "sse:delta"} if situation == "stream" else {"output": "answer"}
        body = {"question": "{{prompt}}"}
        options = {"url": url, "body": body, "headers_env": {"Authorization": "TEST_KEY"}, **place}
        async with opened("http", root, options) as provider:
            yield provider


PROGRAM = f"""
import json, os, sys
asked = json.load(sys.stdin)
assert asked["messages"][-1]["content"] == "hello", asked
does = {{
    "text": lambda: print(json.dumps({{"answer": {TEXT!r}}})),
    "stream": lambda: print(json.dumps({{"answer": {TEXT!r}}})),
    "json": lambda: print(json.dumps({{"answer": {JSON!r}}})),
    "429": lambda: print(json.dumps({{"busy": "slow down, " + os.environ["TEST_KEY"]}})),
    "500": lambda: sys.exit("broken with " + os.environ["TEST_KEY"]),
    "cut": lambda: print(json.dumps({{"answer": {TEXT!r}}})[:-4]),
    "echo": lambda: print(json.dumps({{"answer": "you sent " + os.environ["TEST_KEY"]}})),
}}
does.get(asked["case_id"], does["text"])()
"""
BUSY = [{"path": "busy", "kind": "rate_limit"}]


@asynccontextmanager
async def command(situation: str, root: Path) -> Opened:
    (root / "agent.py").write_text(PROGRAM, encoding="utf-8")
    options = {
        "command": [sys.executable, "./agent.py"],
        "output": "answer",
        "error_if": BUSY,
        "env_allow": ["TEST_KEY"],
    }
    async with opened("command", root, options) as provider:
        yield provider


def raising(error: Exception) -> Any:
    raise error


@asynccontextmanager
async def python(situation: str, root: Path) -> Opened:
    does: dict[str, Callable[[], Any]] = {
        "json": lambda: {"answer": JSON},
        "429": lambda: {"busy": "slow down"},
        "500": lambda: raising(RuntimeError("broken")),
        "cut": lambda: {"half": "an answer"},
    }

    def handle(prompt: str) -> Any:
        assert prompt == "hello"
        return does.get(situation, lambda: {"answer": TEXT})()

    async with opened(
        "python", root, {"call": "app.py:handle", "output": "answer", "error_if": BUSY}, handle
    ) as provider:
        yield provider


@asynccontextmanager
async def scripted(situation: str, root: Path) -> Opened:
    called = Completion(text="", tool_calls=(ToolCall("c1", "search", '{"q": "7"}'),), finish=FinishReason.TOOL_CALLS)
    does: dict[str, Callable[[], Any]] = {
        "json": lambda: JSON,
        "tools": lambda: called,
        "429": lambda: raising(CallError(K.RATE_LIMIT, "slow down")),
        "500": lambda: raising(RuntimeError("broken")),
        "cut": lambda: b"half",
    }
    async with opened(
        "scripted", root, {"function": "answers.py:answer"}, does.get(situation, lambda: TEXT)
    ) as provider:
        yield provider


@asynccontextmanager
async def replay(situation: str, root: Path) -> Opened:
    call = {"id": "c1", "name": "search", "arguments": '{"q": "7"}'}
    lines = [
        {"id": "text", "output": TEXT},
        {"id": "stream", "output": TEXT},
        {"id": "json", "output": json.dumps(JSON)},
        {"id": "tools", "output": "", "tool_calls": [call], "finish": "tool_calls"},
    ]
    (root / "recorded.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    async with opened("replay", root, {"path": "recorded.jsonl"}) as provider:
        yield provider


@asynccontextmanager
async def local(situation: str, root: Path) -> Opened:
    path = weights.pull("smollm2-135m-instruct", cache_dir_of(os.environ))
    (root / "weights").symlink_to(path.parent)
    async with opened("local", root, {"path": f"weights/{path.name}", "slots": 1}) as provider:
        yield provider


@dataclass(frozen=True)
class Word:
    """One word of evalh.toml, or one API of a word."""

    kind: str
    play: Callable[[str, Path], Any]


def _of(service: Service) -> Word:
    return Word(service.kind, lambda situation, root: hosted(service, situation, root))


WORDS = {
    **{service.name: _of(service) for service in (OPENAI, RESPONSES, ANTHROPIC, GEMINI)},
    "http": Word("http", http),
    "command": Word("command", command),
    "python": Word("python", python),
    "scripted": Word("scripted", scripted),
    "replay": Word("replay", replay),
    "local": Word("local", local),
}


def test_every_provider_is_here() -> None:
    assert {word.kind for word in WORDS.values()} == set(_BUILT_IN)
    assert set(WORDS) == set(EXPECTED)


@each_case
async def test_each_situation_ends_as_stated_and_shows_no_key(word: str, situation: str, tmp_path: Path) -> None:
    async with WORDS[word].play(situation, tmp_path) as provider:
        told, heard = await ask(provider, situation)

    expected = EXPECTED[word][situation]
    if isinstance(told, CallError):
        assert told.kind is expected, told
        assert KEY not in f"{told}{told.request_id}{vars(told)}"
        if situation == "429" and word in OVER_HTTP:
            assert told.retry_after_s == WAIT_S
        if situation == "redirect":
            assert "elsewhere.example" in told.message
        return
    assert expected is None, told
    assert KEY not in repr(told)
    assert KEY not in json.dumps(dict(provider.identity), default=str)
    real = word == "local"
    match situation:
        case "text" | "stream":
            assert told.text == TEXT or (real and told.text)
            assert "".join(heard) in {"", told.text}
            assert told.finish in {FinishReason.STOP, FinishReason.LENGTH}
        case "json":
            assert json.loads(told.text)["label"] in SCHEMA["properties"]["label"]["enum"]  # type: ignore[index]
        case "tools":
            assert told.finish is FinishReason.TOOL_CALLS
            assert (told.tool_calls[0].name, json.loads(told.tool_calls[0].arguments)) == ("search", {"q": "7"})
        case "echo":
            assert told.text == "you sent [key]"


@pytest.mark.parametrize("word", OVER_HTTP)
async def test_what_is_sent_over_a_network_is_handed_on_while_it_arrives(word: str, tmp_path: Path) -> None:
    async with WORDS[word].play("stream", tmp_path) as provider:
        told, heard = await ask(provider, "stream")

    assert isinstance(told, Completion)
    assert "".join(heard) == told.text
    assert told.ttft_ms is not None


@pytest.mark.parametrize("word", [*OVER_HTTP, "command"])
async def test_a_key_that_is_not_set_is_named_before_anything_is_asked(
    word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "KEY", "")
    with pytest.raises(EvalhError, match="TEST_KEY"):
        async with WORDS[word].play("text", tmp_path):
            pass
