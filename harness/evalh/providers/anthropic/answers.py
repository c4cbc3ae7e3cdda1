"""Anthropic's messages as they come back: whole, or in events. Thinking and server tools' blocks are let through."""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from evalh.core.attempt import FinishReason, Usage
from evalh.core.request import ToolCall
from evalh.providers.answer_parts import (
    NOTHING,
    Assembler,
    Reading,
    added,
    arguments_of,
    count,
    finish_of,
    id_of,
    in_order,
    name_of_tier,
    usage_of,
)
from evalh.providers.http.errors import at
from evalh.providers.repaired_json import empty

_FINISH = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    "refusal": FinishReason.REFUSAL,
}


class _Block(Struct):
    type: str = ""
    text: Any = None
    id: Any = None
    name: Any = None
    input: Raw = NOTHING


class _Message(Struct):
    content: Raw = NOTHING
    type: Any = None
    stop_reason: str | None = None
    usage: Any = None
    model: Any = None
    id: Any = None


class _Delta(Struct):
    type: str = ""
    text: Any = None
    partial_json: Any = None


class _Stop(Struct):
    stop_reason: str | None = None


class _Event(Struct):
    type: str
    message: Any = None
    index: Any = None
    content_block: Raw = NOTHING
    delta: Raw = NOTHING
    usage: Any = None


_message = msgspec.json.Decoder(_Message).decode
_event = msgspec.json.Decoder(_Event).decode
_block = msgspec.json.Decoder(_Block).decode
_delta = msgspec.json.Decoder(_Delta).decode
_stop = msgspec.json.Decoder(_Stop).decode
_blocks = msgspec.json.Decoder(list[_Block]).decode


class MessageAssembler(Assembler):
    """Puts a message's events together. The answer is whole when a stop reason has come.

    The call of `answer_tool` is the answer's text.
    """

    def __init__(self, answer_tool: str | None) -> None:
        super().__init__()
        self._answer_tool = answer_tool
        self._blocks: list[_Growing] = []
        self._stop: str | None = None
        self._whole = False  # not streamed
        self._usage: dict[str, Any] = {}
        self._counted = False  # the count of the output has come

    @property
    def started(self) -> bool:
        return any(block.begun for block in self._blocks)

    @property
    def finished(self) -> bool:
        return self._stop is not None

    def take_whole(self, body: bytes) -> None:
        message = self._json.read(_message, body)
        self._stop = message.stop_reason
        if message.type != "message" and (self._stop is None or message.type == "error"):
            raise ValueError("not a message")
        if empty(message.content) and bytes(message.content) != b"[]" and self._stop is None:
            raise ValueError("no content")
        self._blocks = [_Growing(block, None) for block in self._json.items(_blocks, message.content)]
        self._describe(message.model, message.id)
        self._count(message.usage, final=True)
        self._whole = True

    def _take(self, event: bytes) -> None:
        message = self._json.read(_event, event)
        match message.type:
            case "message_start":
                self._describe(at(message.message, "model"), at(message.message, "id"))
                self._count(at(message.message, "usage"), final=False)
            case "content_block_start" if not empty(message.content_block):
                block = self._json.read(_block, message.content_block)
                self._blocks.append(_Growing(block, count(message.index)))
            case "content_block_delta" if not empty(message.delta):
                self._grow(count(message.index), self._json.read(_delta, message.delta))
            case "message_delta":
                stop = None if empty(message.delta) else self._json.read(_stop, message.delta).stop_reason
                self._stop = stop or self._stop
                self._count(message.usage, final=True)
            case "message_stop":
                self._ended = True
            case "error":
                raise ValueError("an error")
            case _:  # ping, the ends of blocks, and kinds that are yet to come
                pass

    def _count(self, usage: Any, *, final: bool) -> None:
        """Lay the cumulative counts over those of the beginning, where the output's is but a start."""
        if usage is None:
            return
        known = usage if isinstance(usage, dict) else {"input_tokens": "unreadable"}
        self._usage.update({name: value for name, value in known.items() if value is not None})
        self._counted = self._counted or (final and known.get("output_tokens") is not None)

    def _grow(self, index: int | None, delta: _Delta) -> None:
        block = next((one for one in reversed(self._blocks) if index is None or one.index in {index, None}), None)
        if delta.type == "text_delta":
            if block is None or block.type != "text":
                block = _Growing(_Block("text"), index)
                self._blocks.append(block)
            block.pieces.append(_text(delta.text))
        elif delta.type == "input_json_delta" and block is not None and block.type == "tool_use":
            block.pieces.append(_text(delta.partial_json))

    def _pieces_so_far(self) -> list[str]:
        if self._answer_tool is not None:
            return []  # the answer is what a tool is handed, and text beside it is none
        return [piece for block in in_order(self._blocks) if block.type == "text" for piece in block.pieces]

    def reading(self) -> Reading:
        if self._stop is None and not self._whole:
            raise ValueError("the stream ended before the answer")
        blocks = in_order(self._blocks)
        text = "".join("".join(block.pieces) for block in blocks if block.type == "text")
        calls = [block.call() for block in blocks if block.type == "tool_use"]
        usage = _usage(self._usage, counted=self._counted, said=bool(text or calls))
        finish = finish_of(_FINISH, self._stop, called=False)
        answer = next((call for call in calls if call.name == self._answer_tool), None)
        if answer is not None:
            text, calls = answer.arguments, []
            finish = FinishReason.STOP if finish is FinishReason.TOOL_CALLS else finish
        return self._reading(text, finish, calls, usage)


class _Growing:
    """A block that is still arriving. Raises ValueError where what decides in it cannot be read."""

    def __init__(self, block: _Block, index: int | None) -> None:
        self.index = index
        self.type = block.type
        self.pieces: list[str] = []
        self._block = block
        if block.type == "text" and block.text:
            self.pieces.append(_text(block.text))
        elif block.type == "tool_use":
            self._name = _text(block.name)

    @property
    def begun(self) -> bool:
        return self.type == "tool_use" or any(self.pieces)

    def call(self) -> ToolCall:
        arguments = "".join(self.pieces) or arguments_of(self._block.input)
        return ToolCall(id_of(self._block.id) or "", self._name, "{}" if arguments == "null" else arguments)


def _text(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError("what is not text")  # noqa: TRY004 (as the reader's own refusals)
    return value


def _usage(usage: dict[str, Any], *, counted: bool, said: bool) -> Usage:
    """Count as evalh does: Anthropic's `input_tokens` leaves out what was read from and written to the cache."""
    fresh, read = usage.get("input_tokens"), usage.get("cache_read_input_tokens")
    written, lifetimes = usage.get("cache_creation_input_tokens"), usage.get("cache_creation") or {}
    briefly, hourly = at(lifetimes, "ephemeral_5m_input_tokens"), at(lifetimes, "ephemeral_1h_input_tokens")
    by_lifetime = added(briefly, hourly) if isinstance(lifetimes, dict) else None
    if written is None:
        written = by_lifetime
    elif briefly is not None and hourly is not None and by_lifetime != count(written):
        return Usage()  # the sum is not the sum
    parts = Usage(
        input_tokens=None if fresh is None or by_lifetime is None else added(fresh, read, written),
        output_tokens=count(usage.get("output_tokens")) if counted else None,
        cached_tokens=count(read),
        reasoning_tokens=count(at(usage, "output_tokens_details", "thinking_tokens")),
        cache_write_tokens=count(written) or 0,
        cache_write_1h_tokens=count(hourly) or 0,
        tier=name_of_tier(usage.get("service_tier")),
        speed=name_of_tier(usage.get("speed")),
        region=name_of_tier(usage.get("inference_geo")),
    )
    return usage_of(parts, said=said)
