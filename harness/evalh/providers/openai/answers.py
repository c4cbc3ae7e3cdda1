"""Chat completions as they come back: whole, or in chunks.

Text, tool calls and the finish reason decide, and are read strictly. Everything else is read field by field: what
cannot be read is unknown, and costs no answer. Other fields, and fields of other servers, are let through.
"""

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

import msgspec
from msgspec import Raw, Struct

from evalh.core.attempt import FinishReason, Usage
from evalh.core.request import ToolCall
from evalh.providers.hosted import Reading
from evalh.providers.http.errors import at
from evalh.providers.logprobs import LogprobSum, add_choice
from evalh.providers.repaired_json import RepairedJson, empty
from evalh.providers.request_parts import count, name_of_tier, usage_of

_FINISH = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
}
_TEXTS = frozenset({"text", "output_text", None})  # types of a part that holds text; None: it says no type
_NOTHING = Raw(b"")
_DONE = b"[DONE]"
_BROKE_OFF = "error"
"""OpenRouter's finish reason where the model behind it failed; what came before is half an answer."""


class _Function(Struct):
    name: str | None = None
    arguments: Raw = _NOTHING


class _ToolCall(Struct):
    function: _Function | None = None
    id: Any = None
    index: Any = None  # of chunks


class _Message(Struct):
    content: Any = None
    refusal: Any = None
    tool_calls: Raw = _NOTHING
    function_call: Raw = _NOTHING  # what tool calls were before there could be several
    reasoning_content: Any = None  # DeepSeek, SGLang, llama.cpp, vLLM until 0.11
    reasoning: Any = None  # vLLM since, OpenRouter, Groq, Ollama


class _Choice(Struct):
    message: Raw = _NOTHING  # of a whole answer
    delta: Raw = _NOTHING  # of a chunk
    finish_reason: str | None = None
    index: Any = None
    error: Raw = _NOTHING
    logprobs: Raw = _NOTHING


class _Completion(Struct):
    choices: Raw = _NOTHING
    usage: Any = None
    model: Any = None
    id: Any = None
    service_tier: Any = None
    error: Raw = _NOTHING


_decode = msgspec.json.Decoder(_Completion).decode
_decode_choices = msgspec.json.Decoder(list[_Choice | None]).decode
_decode_message = msgspec.json.Decoder(_Message).decode
_decode_text = msgspec.json.Decoder(str).decode
_decode_function = msgspec.json.Decoder(_Function).decode
_decode_calls = msgspec.json.Decoder(list[_ToolCall | None]).decode


class ChatAssembler:
    """Puts chunks together; a whole answer is one. It is whole when a finish reason or `[DONE]` has come.

    An answer may stand in several choices, its text in one and its tool calls in another: we ask for one answer, so
    the first that holds either gives it.
    """

    def __init__(self) -> None:
        self._json = RepairedJson()
        self._said: dict[int, _Said] = {}
        self._ended = False
        self._whole = False
        self._usage: Any = None
        self._model: str | None = None
        self._id: str | None = None
        self._tier: str | None = None

    @property
    def started(self) -> bool:
        return any(said.begun for said in self._said.values())

    def add(self, event: bytes) -> None:
        """Take one chunk. Raises ValueError for an error event and for what is not a chunk; after the end, nothing."""
        if self._ended:
            return
        if event.strip() == _DONE:
            self._ended = True
            return
        try:
            self._take(self._json.read(_decode, event), whole=False)
        except (ValueError, RecursionError):
            finished = self._said and all(said.finish for said in self._said.values())
            if not finished:  # what cannot be read beside a whole answer costs no answer
                raise

    def take_whole(self, body: bytes) -> None:
        if not self._take(self._json.read(_decode, body), whole=True):
            raise ValueError("no choices")
        self._ended = self._whole = True

    def _take(self, told: _Completion, *, whole: bool) -> int:
        """Take what was told; return how many choices said something."""
        if not empty(told.error):
            raise ValueError("an error")
        self._model = text_of(told.model) or self._model
        self._id = id_of(told.id) or self._id
        self._tier = name_of_tier(told.service_tier) or self._tier
        self._usage = self._usage if told.usage is None else told.usage
        said = 0
        for position, choice in enumerate(
            [] if empty(told.choices) else self._json.read(_decode_choices, told.choices)
        ):
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
            said += message is not None
            one.add(choice, message, whole=whole_message)
        return said

    def reading(self) -> Reading:
        choices = [self._said[place] for place in sorted(self._said)]
        whole = choices if self._whole else self._ended and self.started  # `[DONE]` alone is no answer
        if not any(said.finish for said in choices) and not whole:
            raise ValueError("the stream ended before the answer")
        spoken = next((said for said in choices if said.content), None)
        spoken = spoken or next((said for said in choices if said.refusal), choices[0])
        calling = next((said for said in choices if said.made), spoken)
        calls = calling.tool_calls()
        content, refusal = "".join(spoken.content), "".join(spoken.refusal)
        reason = spoken.finish or calling.finish
        return Reading(
            text=self._json.text(content or refusal),
            finish=_finish(reason, refused=bool(refusal) and not content, called=bool(calls)),
            tool_calls=calls,
            usage=_usage(self._usage, self._tier, said=bool(content or refusal or calls)),
            model=self._model and self._json.text(self._model),
            id=self._id and self._json.text(self._id),
            logprobs=spoken.tally.value(),
            reasoning=self._json.text("".join(spoken.reasoning)),
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
        for call in [] if empty(message.tool_calls) else self._json.read(_decode_calls, message.tool_calls):
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

    def tool_calls(self) -> tuple[ToolCall, ...]:
        return tuple(call.value(self._json) for call in in_order(self.made)) if self.made else ()


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

    def value(self, json: RepairedJson) -> ToolCall:
        return ToolCall(json.text(self.id or ""), json.text(self.name), json.text("".join(self._arguments)))


class _Placed(Protocol):
    index: int | None


_P = TypeVar("_P", bound=_Placed)


def in_order(parts: Sequence[_P]) -> Sequence[_P]:
    """Sort parts by their index; as they came where one has none. Those that share an index keep their order too."""
    placed = [(part.index, number, part) for number, part in enumerate(parts) if part.index is not None]
    return [part for *_, part in sorted(placed, key=lambda one: one[:2])] if len(placed) == len(parts) else parts


def text_of(value: object) -> str | None:
    """Read a text beside the answer; None where it is not one."""
    return value if isinstance(value, str) else None


def id_of(value: object) -> str | None:
    """Read an id: some servers number theirs."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else text_of(value)


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


def _finish(reason: str | None, *, refused: bool, called: bool) -> FinishReason:
    if refused:
        return FinishReason.REFUSAL
    finish = FinishReason.OTHER if reason is None else _FINISH.get(reason, FinishReason.OTHER)
    # A forced tool call ends with `stop`.
    return FinishReason.TOOL_CALLS if called and finish is FinishReason.STOP else finish


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
