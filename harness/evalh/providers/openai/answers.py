"""Chat completions as they come back: whole, or in chunks. Fields of other servers are let through."""

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
    in_order,
    name_of_tier,
    usage_of,
)
from evalh.providers.http.errors import at
from evalh.providers.logprobs import LogprobSum, add_choice
from evalh.providers.repaired_json import RepairedJson, empty

_FINISH = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
}
_TEXTS = frozenset({"text", "output_text", None})  # types of a part that holds text; None: it says no type
_DONE = b"[DONE]"
_BROKE_OFF = "error"
"""OpenRouter's finish reason where the model behind it failed; what came before is half an answer."""


class _Function(Struct):
    name: str | None = None
    arguments: Raw = NOTHING


class _ToolCall(Struct):
    function: _Function | None = None
    id: Any = None
    index: Any = None  # of chunks


class _Message(Struct):
    content: Any = None
    refusal: Any = None
    tool_calls: Raw = NOTHING
    function_call: Raw = NOTHING  # what tool calls were before there could be several
    reasoning_content: Any = None  # DeepSeek, SGLang, llama.cpp, vLLM until 0.11
    reasoning: Any = None  # vLLM since, OpenRouter, Groq, Ollama


class _Choice(Struct):
    message: Raw = NOTHING  # of a whole answer
    delta: Raw = NOTHING  # of a chunk
    finish_reason: str | None = None
    index: Any = None
    error: Raw = NOTHING
    logprobs: Raw = NOTHING


class _Completion(Struct):
    choices: Raw = NOTHING
    usage: Any = None
    model: Any = None
    id: Any = None
    service_tier: Any = None
    error: Raw = NOTHING


_decode = msgspec.json.Decoder(_Completion).decode
_decode_choices = msgspec.json.Decoder(list[_Choice | None]).decode
_decode_message = msgspec.json.Decoder(_Message).decode
_decode_text = msgspec.json.Decoder(str).decode
_decode_function = msgspec.json.Decoder(_Function).decode
_decode_calls = msgspec.json.Decoder(list[_ToolCall | None]).decode


class ChatAssembler(Assembler):
    """Puts chunks together; a whole answer is one. It is whole when a finish reason or `[DONE]` has come.

    An answer may stand in several choices, its text in one and its tool calls in another: we ask for one answer, so
    the first that holds either gives it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[int, _Said] = {}
        self._whole = False
        self._tier: str | None = None

    @property
    def started(self) -> bool:
        return any(said.begun for said in self._said.values())

    @property
    def finished(self) -> bool:
        return any(said.finish for said in self._said.values())

    def _take(self, event: bytes) -> None:
        if event.strip() == _DONE:
            self._ended = True
        else:
            self._take_chunk(self._json.read(_decode, event), whole=False)

    def take_whole(self, body: bytes) -> None:
        if not self._take_chunk(self._json.read(_decode, body), whole=True):
            raise ValueError("no choices")
        self._ended = self._whole = True

    def _take_chunk(self, chunk: _Completion, *, whole: bool) -> int:
        """Take what was told; return how many choices said something."""
        if not empty(chunk.error):
            raise ValueError("an error")
        self._describe(chunk.model, chunk.id)
        self._tier = name_of_tier(chunk.service_tier) or self._tier
        self._usage = self._usage if chunk.usage is None else chunk.usage
        messages = 0
        for position, choice in enumerate(self._json.items(_decode_choices, chunk.choices)):
            if choice is None:
                continue
            if choice.finish_reason == _BROKE_OFF or not empty(choice.error):
                raise ValueError("the model broke off")
            place = position if whole or count(choice.index) is None else choice.index
            one = self._said.setdefault(place, _Said(self._json))
            # Some servers put a whole message into their last event; beside pieces it repeats them.
            whole_message = whole or (bool(choice.finish_reason) and empty(choice.delta) and not one.begun)
            raw = choice.message if whole_message else choice.delta
            message = None if empty(raw) else self._json.read(_decode_message, raw)
            messages += message is not None
            one.add(choice, message, whole=whole_message)
        return messages

    def _pieces_so_far(self) -> list[str]:
        return next((self._said[place].content for place in sorted(self._said) if self._said[place].content), [])

    def reading(self) -> Reading:
        choices = [self._said[place] for place in sorted(self._said)]
        whole = choices if self._whole else self._ended and self.started  # `[DONE]` alone is not an answer
        if not self.finished and not whole:
            raise ValueError("the stream ended before the answer")
        spoken = next((said for said in choices if said.content), None)
        spoken = spoken or next((said for said in choices if said.refusal), choices[0])
        calling = next((said for said in choices if said.made), spoken)
        calls = in_order(calling.made)
        content, refusal = "".join(spoken.content), "".join(spoken.refusal)
        finish = finish_of(_FINISH, spoken.finish or calling.finish, called=bool(calls))
        return self._reading(
            content or refusal,
            FinishReason.REFUSAL if refusal and not content else finish,
            (call.value() for call in calls),
            _usage(self._usage, self._tier, said=bool(content or refusal or calls)),
            logprobs=spoken.tally.value(),
            reasoning="".join(spoken.reasoning),
        )


class _Said:
    """What one choice has said so far."""

    def __init__(self, json: RepairedJson) -> None:
        self._json = json
        self.content: list[str] = []
        self.refusal: list[str] = []
        self.reasoning: list[str] = []
        self.calls: list[_Growing] = []
        self.old_call: _Growing | None = None
        self.finish: str | None = None
        self.tally = LogprobSum()

    @property
    def begun(self) -> bool:
        return bool(self.content or self.refusal or self.made)

    @property
    def made(self) -> "list[_Growing]":
        """The tool calls. A server that says the first of them in the old way too says it twice."""
        return self.calls or ([] if self.old_call is None else [self.old_call])

    def add(self, choice: _Choice, message: _Message | None, *, whole: bool) -> None:
        self.finish = choice.finish_reason or self.finish
        add_choice(self.tally, choice.logprobs)
        if message is None:
            return
        self.reasoning.append(_reasoning(message))
        content = _content(message.content)
        if content:
            self.content.append(content)
        if isinstance(message.refusal, str) and message.refusal:
            self.refusal.append(message.refusal)
        for call in self._json.items(_decode_calls, message.tool_calls):
            if call is not None and (call.function is not None or not whole):
                self._call(call, new=whole).add(self._json, call)
        if bytes(message.function_call).startswith(b"{") and not empty(message.function_call):
            self.old_call = self.old_call or _Growing(None)
            function = self._json.read(_decode_function, message.function_call)
            self.old_call.add(self._json, _ToolCall(function))

    def _call(self, call: _ToolCall, *, new: bool) -> "_Growing":
        """Find the call that a piece belongs to: by its index and id, else it is the newest one's.

        Another id begins another call, and so does another name. Not every server numbers its calls apart, and some
        give each piece an id of its own: a call begins by its name.
        """
        id_, index = id_of(call.id), count(call.index)
        name = None if call.function is None else call.function.name
        same = [one for one in self.calls if index is None or one.index == index]
        if name:
            same = [one for one in same if one.name in ("", name)]
        if id_ and name:
            same = [one for one in same if one.id == id_ or (index is not None and not one.id)]
        elif id_:
            same = [one for one in same if one.id == id_] or same
        elif not (same or id_ or name):
            same = self.calls[-1:]
        if new or not same:
            self.calls.append(_Growing(index))
            return self.calls[-1]
        return same[-1]


class _Growing:
    """A tool call whose arguments are still arriving."""

    def __init__(self, index: int | None) -> None:
        self.index = index
        self.id: str | None = None
        self.name = ""
        self._arguments: list[str] = []

    def add(self, json: RepairedJson, call: _ToolCall) -> None:
        self.id = id_of(call.id) or self.id
        if call.function is not None:
            self.name = call.function.name or self.name
            self._arguments.append(_arguments(json, call.function.arguments))

    def value(self) -> ToolCall:
        return ToolCall(self.id or "", self.name, "".join(self._arguments))


def _content(content: Any) -> str:
    """Return the text of a message's content. Raises ValueError where it cannot be read."""
    if isinstance(content, str):
        return content
    if content is None or content == {}:
        return ""
    if not isinstance(content, list):
        raise ValueError("content that is not text")  # noqa: TRY004 (as the reader's own refusals)
    texts = [
        part if isinstance(part, str) else part.get("text") or ""
        for part in content
        if isinstance(part, str) or (isinstance(part, dict) and part.get("type") in _TEXTS)
    ]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("a part of the content that is not text")
    return "".join(texts)


def _reasoning(message: _Message) -> str:
    """Return what a server parted from the answer itself. Some send it under both names."""
    for told in (message.reasoning_content, message.reasoning):
        if isinstance(told, str) and told:
            return told
    if not isinstance(message.content, list):
        return ""
    wholes = [part.get("thinking") for part in message.content if isinstance(part, dict)]  # Mistral's chunks
    parts = [part for whole in wholes if isinstance(whole, list) for part in whole if isinstance(part, dict)]
    return "".join(text for part in parts if isinstance(text := part.get("text"), str))


def _arguments(json: RepairedJson, raw: Raw) -> str:
    """Return arguments as the model wrote them. Some servers send the object instead of its text."""
    text = bytes(raw)
    if text.startswith(b'"'):
        return json.read(_decode_text, text)
    return "" if text == b"null" else text.decode("utf-8", "replace")


def _usage(usage: Any, tier: str | None, *, said: bool) -> Usage:
    if not isinstance(usage, dict):
        return Usage()
    taken, details = count(usage.get("prompt_tokens")), usage.get("prompt_tokens_details")
    written = at(details, "cache_write_tokens")
    parts = Usage(
        input_tokens=taken if written is None or count(written) is not None else None,
        output_tokens=count(usage.get("completion_tokens")),
        cached_tokens=count(at(details, "cached_tokens")),
        reasoning_tokens=count(at(usage.get("completion_tokens_details"), "reasoning_tokens")),
        cache_write_tokens=count(written) or 0,
        tier=tier or name_of_tier(usage.get("service_tier")),
    )
    return usage_of(parts, usage.get("total_tokens"), said=said)
