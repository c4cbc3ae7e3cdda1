"""Recorded answers of each wire, whole and streamed, and every field beside the answer made odd."""

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from wire.anthropic_service import message, message_events
from wire.gemini_service import content
from wire.openai_service import chat, chat_chunk
from wire.responses_service import called, response, response_events, said
from wire.service import event

ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 0.9, 1e30, 10**30, float("nan"), float("inf"), float("-inf")),
    *("", "n/a", "12", "\ud83d", "\x00", [], {}, [None], [1, "a"], [[]], {"a": {"b": [1]}}, {"code": 1}),
)
"""What may stand anywhere: no field has all of these."""


Place = tuple[int, tuple[str | int, ...]]
"""Which document of an answer, and the path in it."""


@dataclass(frozen=True)
class Recorded:
    """An answer as one service sends it: one document, or one for each event."""

    kind: str
    documents: tuple[Any, ...]
    streamed: bool
    text: str
    calls: tuple[tuple[str, str], ...] = ()  # name, arguments

    def body(self, documents: tuple[Any, ...]) -> bytes:
        """Write the documents as the service would; NaN and lone surrogates as careless ones do."""
        if not self.streamed:
            return json.dumps(documents[0]).encode()
        return b"".join(event(one) for one in documents)

    def sides(self) -> Iterator[Place]:
        """Walk the places of everything that decides nothing: which document, and the path in it."""
        for number, document in enumerate(self.documents):
            for path in _paths(document):
                if not _decides(self.kind, path, document):
                    yield number, path

    def with_odd(self, place: Place, value: Any) -> tuple[Any, ...]:
        """Put a value in a place; the rest stays."""
        number, path = place
        documents = copy.deepcopy(self.documents)
        inner = documents[number]
        for step in path[:-1]:
            inner = inner[step]
        inner[path[-1]] = value
        return documents

    @property
    def name(self) -> str:
        """What it is called in a test's report."""
        return f"{self.kind}-{'streamed' if self.streamed else 'whole'}-{'calls' if self.calls else 'text'}"


def odd_at(place: Place) -> tuple[Any, ...]:
    """Return what is odd in a place: an index that looks right sends a piece elsewhere, and is a lie."""
    if place[1][-1] != "index":
        return ODD
    return tuple(one for one in ODD if isinstance(one, bool) or not (isinstance(one, int | float) and 0 <= one < 1e9))


def _paths(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield (*path, key)
        yield from _paths(one, (*path, key))


_DECIDING = {
    "openai": ("choices", "message", "delta", "content", "tool_calls", "function", "name", "arguments"),
    "responses": ("response", "output", "content", "text", "name", "arguments"),
    "anthropic": ("content", "content_block", "delta", "text", "name", "input", "partial_json"),
    "gemini": ("candidates", "content", "parts", "text", "thought", "functionCall", "name", "args"),
}
_ENDS = ("finish_reason", "stop_reason", "finishReason", "status")


def _decides(kind: str, path: tuple[str | int, ...], document: Any) -> bool:
    """Whether the answer hangs on a place: its text, its calls, why it ended, and the kinds of its parts."""
    last = path[-1]
    if last in _ENDS or last == "refusal" or (last == "type" and _tagged(kind, path)):
        return True
    if {"args", "input"} & set(path):
        return True
    if isinstance(document, str) or document.get("type") in {"ping", "message_stop", "content_block_stop"}:
        return last == "type"
    names = [step for step in path if isinstance(step, str)]
    return all(name in _DECIDING[kind] for name in names)


def _tagged(kind: str, path: tuple[str | int, ...]) -> bool:
    return kind in {"anthropic", "responses"} or (kind == "openai" and "content" in path)


_TALK = ("Grüße, ", "😀 ", "done.")
_CALLS = (("search", '{"q": "a"}'), ("open", '{"id": 12345678901234567890.10}'))
_LOGPROBS = {"content": [{"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}], "refusal": None}


def _chat_call(number: int, arguments: str, *, name: bool = True, index: bool = False) -> Any:
    function = {"name": _CALLS[number][0], "arguments": arguments} if name else {"arguments": arguments}
    begun = {"id": f"call_{number}", "type": "function"} if name else {}
    return {**({"index": number} if index else {}), **begun, "function": function}


def _chat_documents(*, calls: bool) -> tuple[Any, ...]:
    if not calls:
        answer = chat("".join(_TALK))
        answer["choices"][0]["logprobs"] = _LOGPROBS
        return (answer,)
    return (chat(None, finish="tool_calls", tool_calls=[_chat_call(n, text) for n, (_, text) in enumerate(_CALLS)]),)


def _read(events: list[bytes]) -> tuple[Any, ...]:
    datas = [line[6:] for one in events for line in one.decode().splitlines() if line.startswith("data: ")]
    return tuple(one if one == "[DONE]" else json.loads(one) for one in datas)


def _chat_stream(*, calls: bool) -> tuple[Any, ...]:
    deltas: list[Any] = [{"role": "assistant", "content": ""}, *({"content": piece} for piece in _TALK)]
    if calls:
        deltas = [{"role": "assistant", "content": None}]
        for number, (_, text) in enumerate(_CALLS):
            deltas.append({"tool_calls": [_chat_call(number, text[:5], index=True)]})
            deltas.append({"tool_calls": [_chat_call(number, text[5:], name=False, index=True)]})
    finish = "tool_calls" if calls else "stop"
    events = [*map(chat_chunk, deltas), chat_chunk({}, finish=finish)]
    return _read([*events, chat_chunk({}, choices=[], usage=chat("")["usage"]), event("[DONE]")])


def _blocks(*, calls: bool) -> list[Any]:
    if not calls:
        return ["".join(_TALK)]
    return [
        {"type": "tool_use", "id": f"toolu_{n}", "name": name, "input": json.loads(text)}
        for n, (name, text) in enumerate(_CALLS[:1])
    ]


def _message_stream(*, calls: bool) -> tuple[Any, ...]:
    if not calls:
        pieces = [{"type": "text_delta", "text": piece} for piece in _TALK]
        return _read(message_events([({"type": "text", "text": ""}, pieces)]))
    blocks = [
        (
            {"type": "tool_use", "id": f"toolu_{n}", "name": name, "input": {}},
            [{"type": "input_json_delta", "partial_json": piece} for piece in (text[:5], text[5:])],
        )
        for n, (name, text) in enumerate(_CALLS)
    ]
    return _read(message_events(blocks, finish="tool_use"))


def _contents(*, calls: bool, streamed: bool) -> tuple[Any, ...]:
    if calls:
        parts: list[Any] = [{"functionCall": {"name": "search", "args": {"q": "a"}, "id": "f1"}}]
    else:
        parts = list(_TALK)
    if not streamed:
        return (content(*parts),)
    last = len(parts) - 1
    return tuple(content(part, finish="STOP" if n == last else None) for n, part in enumerate(parts))


_ONE = (("search", '{"q": "a"}'),)
_SAID = "".join(_TALK)
_FUNCTIONS = [called(name, text, f"call_{number}") for number, (name, text) in enumerate(_CALLS)]
RECORDED = (
    Recorded("openai", _chat_documents(calls=False), False, _SAID),
    Recorded("openai", _chat_documents(calls=True), False, "", _CALLS),
    Recorded("openai", _chat_stream(calls=False), True, _SAID),
    Recorded("openai", _chat_stream(calls=True), True, "", _CALLS),
    Recorded("responses", (response(said(_SAID)),), False, _SAID),
    Recorded("responses", (response(*_FUNCTIONS),), False, "", _CALLS),
    Recorded("responses", _read(response_events(_TALK)), True, _SAID),
    Recorded("responses", _read(response_events([], *_FUNCTIONS)), True, "", _CALLS),
    Recorded("anthropic", (message(*_blocks(calls=False)),), False, _SAID),
    Recorded("anthropic", (message(*_blocks(calls=True), finish="tool_use"),), False, "", _ONE),
    Recorded("anthropic", _message_stream(calls=False), True, _SAID),
    Recorded("anthropic", _message_stream(calls=True), True, "", _CALLS),
    Recorded("gemini", _contents(calls=False, streamed=False), False, _SAID),
    Recorded("gemini", _contents(calls=True, streamed=False), False, "", _ONE),
    Recorded("gemini", _contents(calls=False, streamed=True), True, _SAID),
    Recorded("gemini", _contents(calls=True, streamed=True), True, "", _ONE),
)
