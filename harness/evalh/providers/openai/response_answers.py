"""Responses as they come back: whole, or in events. Items of other kinds, such as searches, are let through."""

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Raw, Struct

from evalh.core.attempt import FinishReason, Usage
from evalh.core.request import ToolCall
from evalh.providers.answer_parts import (
    NOTHING,
    Assembler,
    Reading,
    count,
    finish_of,
    id_of,
    name_of_tier,
    usage_of,
)
from evalh.providers.http.errors import at
from evalh.providers.logprobs import LogprobSum
from evalh.providers.repaired_json import RepairedJson, empty

_FINISH = {
    "completed": FinishReason.STOP,
    "max_output_tokens": FinishReason.LENGTH,
    "content_filter": FinishReason.CONTENT_FILTER,
}
_ENDED = frozenset({"completed", "incomplete"})
_LAST = frozenset({"response.completed", "response.incomplete"})
_BROKE_OFF = frozenset({"error", "response.failed", "response.cancelled"})
_COMMENTARY = "commentary"
"""The phase of a message in which the model says what it is doing. The answer is another message."""
_DONE = b"[DONE]"


class _ContentPart(Struct):
    type: str = ""
    text: Any = None
    refusal: Any = None
    logprobs: Any = None


class _Item(Struct):
    type: str = ""
    content: Raw = NOTHING
    summary: Any = None
    phase: Any = None
    call_id: Any = None
    name: Any = None
    arguments: Any = None


class _Response(Struct):
    output: Raw = NOTHING
    status: Any = None
    incomplete_details: Any = None
    error: Raw = NOTHING
    usage: Any = None
    model: Any = None
    id: Any = None
    service_tier: Any = None


class _ResponseEvent(Struct):
    type: str
    response: Raw = NOTHING
    item: Raw = NOTHING
    output_index: Any = None
    delta: Any = None


_response = msgspec.json.Decoder(_Response).decode
_event = msgspec.json.Decoder(_ResponseEvent).decode
_item = msgspec.json.Decoder(_Item).decode
_items = msgspec.json.Decoder(list[_Item | None]).decode
_parts = msgspec.json.Decoder(list[_ContentPart | None]).decode


class ResponseAssembler(Assembler):
    """Reads the response that the last event holds, or its items where a server leaves them out there.

    The pieces before it are only what may be handed on while it arrives.
    """

    def __init__(self) -> None:
        super().__init__()
        self._response: _Response | None = None
        self._beside: set[int | None] = set()  # places of messages that are not the answer
        self._done: list[Raw] = []
        self._pieces: list[tuple[int | None, str]] = []
        self._said = False

    @property
    def started(self) -> bool:
        return self._said or self._response is not None

    @property
    def finished(self) -> bool:
        return self._response is not None

    def take_whole(self, body: bytes) -> None:
        self._end(self._json.read(_response, body), ended=False)

    def _take(self, event: bytes) -> None:
        if event.strip() == _DONE:
            return
        told = self._json.read(_event, event)
        place, piece = count(told.output_index), told.delta if isinstance(told.delta, str) else ""
        match told.type:
            case kind if kind in _BROKE_OFF:
                raise ValueError("an error")
            case kind if kind in _LAST:
                self._end(self._json.read(_response, told.response), ended=True)
            case "response.output_item.added":
                if at(_lenient(self._json, told.item), "phase") == _COMMENTARY:
                    self._beside.add(place)
            case "response.output_item.done":
                self._done.append(told.item)
            case "response.output_text.delta":
                self._pieces.append((place, piece))
                self._said = self._said or bool(piece)
            case "response.refusal.delta" | "response.function_call_arguments.delta":
                self._said = self._said or bool(piece)
            case _:  # the beginnings and ends of parts, reasoning, and kinds that are yet to come
                pass

    def _end(self, response: _Response, *, ended: bool) -> None:
        """Take the whole response. Raises ValueError for one that failed, or is not over."""
        if response.status not in _ENDED and not ended:
            if not empty(response.error):
                raise ValueError("an error")
            if isinstance(response.status, str):
                raise ValueError(f"a response that is {response.status}")
            if empty(response.output):
                raise ValueError("no output")
        self._describe(response.model, response.id)
        self._response = response
        self._ended = True

    def _pieces_so_far(self) -> Iterable[str]:
        return (text for place, text in self._pieces if place not in self._beside)

    def reading(self) -> Reading:
        response = self._response
        if response is None:
            raise ValueError("the stream ended before the answer")
        told = self._json.items(_items, response.output)
        items = [item for item in told if item is not None]
        items = items or [self._json.read(_item, raw) for raw in self._done if not empty(raw)]
        messages = [item for item in items if item.type == "message"]
        answers = [item for item in messages if item.phase != _COMMENTARY] or messages
        beside = [item for item in items if item.type == "reasoning" or (item in messages and item not in answers)]
        parts = [part for item in answers for part in self._parts(item)]
        text = "".join(_text(part.text) for part in parts if part.type == "output_text")
        refusal = "".join(_text(part.refusal) for part in parts if part.type == "refusal")
        calls = [_call(item) for item in items if item.type == "function_call"]
        tally = LogprobSum()
        for part in parts:
            _add_logprobs(tally, part)
        finish = finish_of(_FINISH, _reason(response), called=bool(calls))
        return self._reading(
            text or refusal,
            FinishReason.REFUSAL if refusal and not text else finish,
            calls,
            _usage(response, said=bool(text or refusal or calls)),
            logprobs=tally.value(),
            reasoning="\n\n".join(filter(None, map(self._thought, beside))),
        )

    def _parts(self, item: _Item) -> list[_ContentPart]:
        text = bytes(item.content)
        if text.startswith(b'"'):  # some servers write the text alone
            return [_ContentPart("output_text", self._json.read(msgspec.json.decode, item.content))]
        return [part for part in self._json.items(_parts, item.content) if part is not None]

    def _thought(self, item: _Item) -> str:
        """Return what the model said beside its answer: its own words, or else their summary."""
        return _words(_lenient(self._json, item.content)) or _words(item.summary)


def _lenient(json: RepairedJson, raw: Raw) -> Any:
    """Read what decides nothing."""
    try:
        return None if empty(raw) else json.read(msgspec.json.decode, raw)
    except (ValueError, RecursionError):
        return None


def _words(parts: Any) -> str:
    texts = [at(part, "text") for part in parts] if isinstance(parts, list) else []
    return "\n\n".join(text for text in texts if isinstance(text, str) and text)


def _call(item: _Item) -> ToolCall:
    return ToolCall(id_of(item.call_id) or "", _text(item.name), _text(item.arguments))


def _text(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError("what is not text")  # noqa: TRY004 (as the reader's own refusals)
    return value


def _reason(response: _Response) -> str:
    """Return why it ended: of an answer that is not whole, the cause."""
    if response.status == "incomplete":
        cause = at(response.incomplete_details, "reason")
        return cause if isinstance(cause, str) else "incomplete"
    return "completed"  # also where a server does not say


def _add_logprobs(tally: LogprobSum, part: _ContentPart) -> None:
    if part.type != "output_text" or part.logprobs in (None, []):
        return
    for token in part.logprobs if isinstance(part.logprobs, list) else [None]:
        tally.add(at(token, "logprob"))


def _usage(response: _Response, *, said: bool) -> Usage:
    usage = response.usage
    if not isinstance(usage, dict):
        return Usage()
    details = usage.get("input_tokens_details")
    written = at(details, "cache_write_tokens")
    parts = Usage(
        input_tokens=count(usage.get("input_tokens")) if written is None or count(written) is not None else None,
        output_tokens=count(usage.get("output_tokens")),
        cached_tokens=count(at(details, "cached_tokens")),
        reasoning_tokens=count(at(usage.get("output_tokens_details"), "reasoning_tokens")),
        cache_write_tokens=count(written) or 0,
        tier=name_of_tier(response.service_tier),
    )
    return usage_of(parts, usage.get("total_tokens"), said=said)
