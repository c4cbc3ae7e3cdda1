"""Gemini's contents as they come back: whole, or in pieces of the same shape. Thoughts are let through."""

import msgspec
from msgspec import Raw, Struct

from evalh.core.attempt import FinishReason, Usage
from evalh.core.request import ToolCall
from evalh.providers.hosted import Reading
from evalh.providers.likelihood import Tally, average
from evalh.providers.speech import count

_FINISH = {
    "STOP": FinishReason.STOP,
    "MAX_TOKENS": FinishReason.LENGTH,
    **dict.fromkeys(("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"), FinishReason.CONTENT_FILTER),
    **dict.fromkeys(("IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION"), FinishReason.CONTENT_FILTER),
}
_NOTHING = Raw(b"")


class _FunctionCall(Struct):
    name: str | None = None
    id: str | None = None
    args: Raw = _NOTHING


class _Part(Struct, rename="camel"):
    text: str | None = None
    thought: bool | None = None
    function_call: _FunctionCall | None = None


class _Content(Struct):
    parts: list[_Part] | None = None


class _Chosen(Struct, rename="camel"):
    log_probability: float | None = None


class _Logprobs(Struct, rename="camel"):
    chosen_candidates: list[_Chosen] | None = None


class _Candidate(Struct, rename="camel"):
    content: _Content | None = None
    finish_reason: str | None = None
    logprobs_result: _Logprobs | None = None
    avg_logprobs: float | None = None


class _Feedback(Struct, rename="camel"):
    block_reason: str | None = None


class _Usage(Struct, rename="camel"):
    prompt_token_count: int | float | None = None
    candidates_token_count: int | float | None = None
    cached_content_token_count: int | float | None = None
    thoughts_token_count: int | float | None = None
    tool_use_prompt_token_count: int | float | None = None


class _Answer(Struct, rename="camel"):
    candidates: list[_Candidate] | None = None
    prompt_feedback: _Feedback | None = None
    usage_metadata: _Usage | None = None
    model_version: str | None = None
    response_id: str | None = None
    error: Raw = _NOTHING


_decode = msgspec.json.Decoder(_Answer).decode


def read_content(body: bytes) -> Reading:
    """Read a whole answer. Raises ValueError."""
    assembler = ContentAssembler()
    assembler.add(body)
    return assembler.reading()


class ContentAssembler:
    """Puts pieces together; a whole answer is one piece. It is whole when a finish reason or a block has come."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._calls: list[ToolCall] = []
        self._finish: str | None = None
        self._blocked = False
        self._tally = Tally()
        self._average: float | None = None
        self._pieces = 0
        self._last = _Answer()

    @property
    def started(self) -> bool:
        """Whether text or a function call has come; thoughts are not the answer."""
        return bool(self._texts or self._calls)

    def add(self, event: bytes) -> None:
        """Take one piece. Raises ValueError for an error and for what is no piece."""
        answer = _decode(event)
        if bytes(answer.error) not in {b"", b"null"}:
            raise ValueError("an error")
        for name in ("usage_metadata", "model_version", "response_id"):
            value = getattr(answer, name)
            if value is not None:
                setattr(self._last, name, value)
        if answer.prompt_feedback is not None and answer.prompt_feedback.block_reason:
            self._blocked = True
        if answer.candidates:
            self._take(answer.candidates[0])

    def _take(self, candidate: _Candidate) -> None:
        self._finish = candidate.finish_reason or self._finish
        self._average = None if self._pieces else candidate.avg_logprobs  # of a whole answer, not of a piece
        self._pieces += 1
        if candidate.logprobs_result is not None:
            for token in candidate.logprobs_result.chosen_candidates or ():
                self._tally.add(token.log_probability)
        if candidate.content is None:
            return
        for part in candidate.content.parts or ():
            if part.thought:
                continue
            if part.text:
                self._texts.append(part.text)
            if part.function_call is not None:
                call = part.function_call
                arguments = bytes(call.args).decode()
                # Not every model names its calls; results are paired by the id that stands here.
                name = call.id or f"call_{len(self._calls)}"
                self._calls.append(ToolCall(name, call.name or "", "{}" if arguments in {"", "null"} else arguments))

    def reading(self) -> Reading:
        """Return the whole answer. Raises ValueError where nothing was generated, or the stream ended before."""
        if self._finish is None and not self._blocked:
            raise ValueError("no candidates" if not self.started else "the stream ended before the answer")
        finish = FinishReason.CONTENT_FILTER
        if self._finish is not None:
            finish = _FINISH.get(self._finish, FinishReason.OTHER)
        if self._calls and finish is FinishReason.STOP:
            finish = FinishReason.TOOL_CALLS
        return Reading(
            text="".join(self._texts),
            finish=finish,
            tool_calls=tuple(self._calls),
            usage=_usage(self._last.usage_metadata),
            model=self._last.model_version,
            id=self._last.response_id,
            logprobs=self._tally.value() or average(self._average),
        )


def _usage(usage: _Usage | None) -> Usage:
    """Count as evalh does: thoughts are output, results of server tools are input. A count of 0 is left out there."""
    prompt = None if usage is None else count(usage.prompt_token_count)
    if usage is None or prompt is None:
        return Usage()
    thoughts = count(usage.thoughts_token_count)
    return Usage(
        input_tokens=prompt + (count(usage.tool_use_prompt_token_count) or 0),
        output_tokens=(count(usage.candidates_token_count) or 0) + (thoughts or 0),
        cached_tokens=count(usage.cached_content_token_count) or 0,
        reasoning_tokens=thoughts,
    )
