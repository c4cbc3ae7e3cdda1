"""Chat completions as they come back: whole, or in chunks.

Only what evalh reads is declared; other fields, and fields of other servers, are let through.
"""

import msgspec
from msgspec import Raw, Struct

from evalh.core.attempt import FinishReason, Usage
from evalh.core.request import ToolCall
from evalh.providers.hosted import Reading
from evalh.providers.likelihood import Tally, add_choice
from evalh.providers.speech import count
from evalh.providers.usage import usage_of

_FINISH = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
}
_NOTHING = Raw(b"")
_DONE = b"[DONE]"
_BROKE_OFF = "error"
"""OpenRouter's finish reason where the model behind it failed; what came before is half an answer."""
_NO_ERROR = frozenset((b"", b"null", b"{}", b'""', b"false"))


class _Cached(Struct):
    cached_tokens: int | float | None = None
    cache_write_tokens: int | float | None = None


class _Reasoned(Struct):
    reasoning_tokens: int | float | None = None


class _Usage(Struct):
    prompt_tokens: int | float | None = None
    completion_tokens: int | float | None = None
    prompt_tokens_details: _Cached | None = None
    completion_tokens_details: _Reasoned | None = None


class _Function(Struct):
    name: str | None = None
    arguments: Raw = _NOTHING


class _ToolCall(Struct):
    function: _Function | None = None
    id: str | None = None
    index: int | None = None  # of chunks


class _Part(Struct):
    type: str = ""
    text: str | None = None


class _Message(Struct):
    content: str | list[_Part] | None = None
    refusal: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Choice(Struct):
    message: _Message | None = None
    delta: _Message | None = None  # of chunks
    finish_reason: str | None = None
    index: int = 0
    logprobs: Raw = _NOTHING
    error: Raw = _NOTHING

    @property
    def broke_off(self) -> bool:
        """Whether the model behind a gateway failed."""
        return self.finish_reason == _BROKE_OFF or bytes(self.error) not in _NO_ERROR


class _Completion(Struct):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    model: str | None = None
    id: str | None = None
    error: Raw = _NOTHING


_decode = msgspec.json.Decoder(_Completion).decode


def read_chat(body: bytes) -> Reading:
    """Read a whole chat completion. Raises ValueError."""
    answer = _decode(body)
    if bytes(answer.error) not in _NO_ERROR:
        raise ValueError("an error")
    if not answer.choices or answer.choices[0].message is None:
        raise ValueError("no choices")
    choice = answer.choices[0]
    if choice.broke_off:
        raise ValueError("the model broke off")
    message = choice.message
    assert message is not None
    calls = tuple(
        ToolCall(call.id or "", call.function.name or "", _arguments(call.function.arguments))
        for call in message.tool_calls or ()
        if call.function is not None
    )
    content = _content(message)
    tally = Tally()
    add_choice(tally, choice.logprobs)
    return Reading(
        text=content or message.refusal or "",
        finish=_finish(choice.finish_reason, refused=bool(message.refusal) and not content, called=bool(calls)),
        tool_calls=calls,
        usage=_usage(answer.usage),
        model=answer.model,
        id=answer.id,
        logprobs=tally.value(),
    )


class ChatAssembler:
    """Puts chunks together. The answer is whole when a finish reason or `[DONE]` has come."""

    def __init__(self) -> None:
        self._content: list[str] = []
        self._refusal: list[str] = []
        self._calls: dict[int, _Growing] = {}
        self._finish: str | None = None
        self._done = False
        self._usage: _Usage | None = None
        self._model: str | None = None
        self._id: str | None = None
        self._tally = Tally()

    @property
    def started(self) -> bool:
        """Whether content, a refusal or a tool call has begun."""
        return bool(self._content or self._refusal or self._calls)

    def add(self, event: bytes) -> None:
        """Take one chunk. Raises ValueError for an error event and for what is no chunk."""
        if event.strip() == _DONE:
            self._done = True
            return
        chunk = _decode(event)
        if bytes(chunk.error) not in _NO_ERROR:
            raise ValueError("an error")
        self._model = chunk.model or self._model
        self._id = chunk.id or self._id
        self._usage = chunk.usage or self._usage
        for choice in chunk.choices or ():
            if choice.index == 0:
                self._take(choice)

    def _take(self, choice: _Choice) -> None:
        if choice.broke_off:
            raise ValueError("the model broke off")
        self._finish = choice.finish_reason or self._finish
        add_choice(self._tally, choice.logprobs)
        delta = choice.delta
        if delta is None:
            return
        content = _content(delta)
        if content:
            self._content.append(content)
        if delta.refusal:
            self._refusal.append(delta.refusal)
        for call in delta.tool_calls or ():
            place = call.index if call.index is not None else len(self._calls) - (0 if call.id else 1)
            self._calls.setdefault(place, _Growing()).add(call)

    def reading(self) -> Reading:
        """Return the whole answer. Raises ValueError where the stream ended before it."""
        if self._finish is None and not (self._done and self.started):
            raise ValueError("the stream ended before the answer")
        content, refusal = "".join(self._content), "".join(self._refusal)
        calls = tuple(self._calls[place].value() for place in sorted(self._calls))
        return Reading(
            text=content or refusal,
            finish=_finish(self._finish, refused=bool(refusal) and not content, called=bool(calls)),
            tool_calls=calls,
            usage=_usage(self._usage),
            model=self._model,
            id=self._id,
            logprobs=self._tally.value(),
        )


class _Growing:
    """A tool call whose arguments are still arriving."""

    def __init__(self) -> None:
        self._id = ""
        self._name = ""
        self._arguments: list[str] = []

    def add(self, call: _ToolCall) -> None:
        self._id = call.id or self._id
        if call.function is not None:
            self._name = call.function.name or self._name
            self._arguments.append(_arguments(call.function.arguments))

    def value(self) -> ToolCall:
        return ToolCall(self._id, self._name, "".join(self._arguments))


def _content(message: _Message) -> str:
    if isinstance(message.content, list):
        return "".join(part.text or "" for part in message.content if part.type == "text")
    return message.content or ""


def _arguments(raw: Raw) -> str:
    """Return arguments as the model wrote them. Some servers send the object instead of its text."""
    text = bytes(raw)
    if text.startswith(b'"'):
        return msgspec.json.decode(text, type=str)
    return "" if text == b"null" else text.decode()


def _finish(reason: str | None, *, refused: bool, called: bool) -> FinishReason:
    if refused:
        return FinishReason.REFUSAL
    finish = FinishReason.OTHER if reason is None else _FINISH.get(reason, FinishReason.OTHER)
    # A forced tool call ends with `stop`.
    return FinishReason.TOOL_CALLS if called and finish is FinishReason.STOP else finish


def _usage(usage: _Usage | None) -> Usage:
    if usage is None:
        return Usage()
    cached, reasoned = usage.prompt_tokens_details, usage.completion_tokens_details
    plain = Usage(
        input_tokens=count(usage.prompt_tokens),
        output_tokens=count(usage.completion_tokens),
        cached_tokens=None if cached is None else count(cached.cached_tokens),
        reasoning_tokens=None if reasoned is None else count(reasoned.reasoning_tokens),
    )
    return usage_of(plain, None if cached is None else count(cached.cache_write_tokens))
