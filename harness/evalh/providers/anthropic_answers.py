"""Anthropic's messages as they come back: whole, or in events.

Only what evalh reads is declared; thinking and the blocks of server tools are let through.
"""

import msgspec
from msgspec import Raw, Struct

from evalh.core.attempt import FinishReason, Usage
from evalh.core.request import ToolCall
from evalh.providers.hosted import Reading
from evalh.providers.speech import count
from evalh.providers.usage import usage_of

_FINISH = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    "refusal": FinishReason.REFUSAL,
}
_NOTHING = Raw(b"")


class _Lifetimes(Struct):
    ephemeral_1h_input_tokens: int | float | None = None


class _Reasoned(Struct):
    thinking_tokens: int | float | None = None


class _Usage(Struct):
    input_tokens: int | float | None = None
    output_tokens: int | float | None = None
    cache_creation_input_tokens: int | float | None = None
    cache_read_input_tokens: int | float | None = None
    cache_creation: _Lifetimes | None = None
    output_tokens_details: _Reasoned | None = None


class _Block(Struct):
    type: str = ""
    text: str | None = None
    id: str | None = None
    name: str | None = None
    input: Raw = _NOTHING


class _Message(Struct):
    content: list[_Block]
    type: str = "message"
    stop_reason: str | None = None
    usage: _Usage | None = None
    model: str | None = None
    id: str | None = None


class _Delta(Struct):
    type: str = ""
    text: str | None = None
    partial_json: str | None = None
    stop_reason: str | None = None


class _Event(Struct):
    type: str
    message: _Message | None = None
    index: int = 0
    content_block: _Block | None = None
    delta: _Delta | None = None
    usage: _Usage | None = None


_message = msgspec.json.Decoder(_Message).decode
_event = msgspec.json.Decoder(_Event).decode


def read_message(body: bytes, answer_tool: str | None) -> Reading:
    """Read a whole message; the call of `answer_tool` is the answer's text. Raises ValueError."""
    message = _message(body)
    if message.type != "message":
        raise ValueError(f"a {message.type}, not a message")
    text = "".join(block.text or "" for block in message.content if block.type == "text")
    calls = [
        ToolCall(block.id or "", block.name or "", bytes(block.input).decode() or "{}")
        for block in message.content
        if block.type == "tool_use"
    ]
    return _reading(text, calls, message, answer_tool)


class MessageAssembler:
    """Puts a message's events together. The answer is whole when a stop reason has come."""

    def __init__(self, answer_tool: str | None) -> None:
        self._answer_tool = answer_tool
        self._message = _Message(content=[])
        self._texts: dict[int, list[str]] = {}
        self._calls: dict[int, tuple[_Block, list[str]]] = {}
        self.started = False

    def add(self, event: bytes) -> None:
        """Take one event. Raises ValueError for an error event and for what is no event."""
        told = _event(event)
        match told.type:
            case "message_start" if told.message is not None:
                self._message = told.message
            case "content_block_start" if told.content_block is not None:
                self._begin(told.index, told.content_block)
            case "content_block_delta" if told.delta is not None:
                self._grow(told.index, told.delta)
            case "message_delta":
                if told.delta is not None:
                    self._message.stop_reason = told.delta.stop_reason or self._message.stop_reason
                self._count(told.usage)
            case "error":
                raise ValueError("an error")
            case _:  # ping, the ends of blocks, and kinds that are yet to come
                pass

    def _begin(self, index: int, block: _Block) -> None:
        if block.type == "text":
            self._texts[index] = [block.text or ""]
            self.started = self.started or bool(block.text)
        elif block.type == "tool_use":
            self._calls[index] = (block, [])
            self.started = True

    def _grow(self, index: int, delta: _Delta) -> None:
        if delta.type == "text_delta" and delta.text:
            self._texts.setdefault(index, []).append(delta.text)
            self.started = True
        elif delta.type == "input_json_delta" and index in self._calls:
            self._calls[index][1].append(delta.partial_json or "")

    def _count(self, usage: _Usage | None) -> None:
        """Lay the cumulative counts over those of the beginning."""
        known = self._message.usage
        if usage is None or known is None:
            self._message.usage = usage or known
            return
        for name in usage.__struct_fields__:
            value = getattr(usage, name)
            if value is not None:
                setattr(known, name, value)

    def reading(self) -> Reading:
        """Return the whole answer. Raises ValueError where the stream ended before it."""
        if self._message.stop_reason is None:
            raise ValueError("the stream ended before the answer")
        text = "".join("".join(self._texts[index]) for index in sorted(self._texts))
        calls = [
            ToolCall(block.id or "", block.name or "", "".join(pieces) or bytes(block.input).decode() or "{}")
            for _, (block, pieces) in sorted(self._calls.items(), key=lambda item: item[0])
        ]
        return _reading(text, calls, self._message, self._answer_tool)


def _reading(text: str, calls: list[ToolCall], message: _Message, answer_tool: str | None) -> Reading:
    finish = _FINISH.get(message.stop_reason or "", FinishReason.OTHER)
    answer = next((call for call in calls if call.name == answer_tool), None)
    if answer is not None:
        text, calls = answer.arguments, []
        finish = FinishReason.STOP if finish is FinishReason.TOOL_CALLS else finish
    return Reading(
        text=text,
        finish=finish,
        tool_calls=tuple(calls),
        usage=_usage(message.usage),
        model=message.model,
        id=message.id,
    )


def _usage(usage: _Usage | None) -> Usage:
    """Count as evalh does: Anthropic's `input_tokens` leaves out what was read from and written to the cache."""
    if usage is None:
        return Usage()
    fresh, read = count(usage.input_tokens), count(usage.cache_read_input_tokens)
    written = count(usage.cache_creation_input_tokens)
    reasoned, lifetimes = usage.output_tokens_details, usage.cache_creation
    plain = Usage(
        input_tokens=None if fresh is None else fresh + (read or 0) + (written or 0),
        output_tokens=count(usage.output_tokens),
        cached_tokens=read,
        reasoning_tokens=None if reasoned is None else count(reasoned.thinking_tokens),
    )
    return usage_of(plain, written, None if lifetimes is None else count(lifetimes.ephemeral_1h_input_tokens))
