"""Gemini's contents as they come back: whole, or in pieces of the same shape. Thoughts are let through."""

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
    name_of_tier,
    usage_of,
)
from evalh.providers.http.errors import at, text_at
from evalh.providers.logprobs import LogprobSum, average
from evalh.providers.repaired_json import empty

_FINISH = {
    "STOP": FinishReason.STOP,
    "MAX_TOKENS": FinishReason.LENGTH,
    **dict.fromkeys(("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"), FinishReason.CONTENT_FILTER),
    **dict.fromkeys(("IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION"), FinishReason.CONTENT_FILTER),
}


class _FunctionCall(Struct):
    name: str | None = None
    id: Any = None
    args: Raw = NOTHING


class _Part(Struct, rename="camel"):
    text: str | None = None
    thought: Any = None
    function_call: Raw = NOTHING


class _Content(Struct):
    parts: Raw = NOTHING


class _Candidate(Struct, rename="camel"):
    content: Raw = NOTHING
    finish_reason: str | None = None
    logprobs_result: Any = None
    avg_logprobs: Any = None


class _Answer(Struct, rename="camel"):
    candidates: Raw = NOTHING
    prompt_feedback: Any = None
    usage_metadata: Any = None
    model_version: Any = None
    response_id: Any = None
    error: Raw = NOTHING


_decode = msgspec.json.Decoder(_Answer).decode
_decode_candidates = msgspec.json.Decoder(list[_Candidate]).decode
_decode_content = msgspec.json.Decoder(_Content).decode
_decode_parts = msgspec.json.Decoder(list[_Part]).decode
_decode_call = msgspec.json.Decoder(_FunctionCall).decode


class ContentAssembler(Assembler):
    """Puts pieces together; a whole answer is one piece. It is whole when a finish reason or a block has come."""

    def __init__(self) -> None:
        super().__init__()
        self._texts: list[str] = []
        self._calls: list[ToolCall] = []
        self._finish: str | None = None
        self._blocked = False
        self._tally = LogprobSum()
        self._average: object = None
        self._pieces = 0

    @property
    def started(self) -> bool:
        """Whether text or a function call has come; thoughts are not the answer."""
        return bool(self._texts or self._calls)

    @property
    def finished(self) -> bool:
        return self._finish is not None or self._blocked

    def _take(self, event: bytes) -> None:
        answer = self._json.read(_decode, event)
        if not empty(answer.error):
            raise ValueError("an error")
        self._usage = self._usage if answer.usage_metadata is None else answer.usage_metadata
        self._describe(answer.model_version, answer.response_id)
        if text_at(answer.prompt_feedback, "blockReason"):
            self._blocked = True
        for candidate in self._json.items(_decode_candidates, answer.candidates)[:1]:
            self._take_candidate(candidate)

    def _take_candidate(self, candidate: _Candidate) -> None:
        self._finish = candidate.finish_reason or self._finish
        self._average = None if self._pieces else candidate.avg_logprobs  # of a whole answer, not of a piece
        self._pieces += 1
        tokens = at(candidate.logprobs_result, "chosenCandidates")
        for token in tokens if isinstance(tokens, list) else ():
            self._tally.add(at(token, "logProbability"))
        parts = NOTHING if empty(candidate.content) else self._json.read(_decode_content, candidate.content).parts
        for part in self._json.items(_decode_parts, parts):
            if part.thought:
                continue
            if part.text:
                self._texts.append(part.text)
            if not empty(part.function_call):
                call = self._json.read(_decode_call, part.function_call)
                # Not every model names its calls; results are paired by the id that stands here.
                name = id_of(call.id) or f"call_{len(self._calls)}"
                self._calls.append(ToolCall(name, call.name or "", arguments_of(call.args)))

    def _pieces_so_far(self) -> list[str]:
        return self._texts

    def reading(self) -> Reading:
        """Return the whole answer. Raises ValueError where nothing was generated, or the stream ended before."""
        if not self.finished:
            raise ValueError("no candidates" if not self.started else "the stream ended before the answer")
        finish = finish_of(_FINISH, self._finish, called=bool(self._calls))
        return self._reading(
            "".join(self._texts),
            FinishReason.CONTENT_FILTER if self._finish is None else finish,
            self._calls,
            _usage(self._usage, said=self.started),
            logprobs=self._tally.value() or average(self._average),
        )


def _usage(usage: Any, *, said: bool) -> Usage:
    """Count as evalh does: thoughts are output, results of server tools are input. A count of 0 is left out there."""
    prompt, tools = at(usage, "promptTokenCount"), at(usage, "toolUsePromptTokenCount")
    written, thoughts = at(usage, "candidatesTokenCount"), at(usage, "thoughtsTokenCount")
    if prompt is None:
        return Usage()
    parts = Usage(
        input_tokens=added(prompt, tools),
        output_tokens=added(written, thoughts),
        cached_tokens=added(at(usage, "cachedContentTokenCount")),
        reasoning_tokens=count(thoughts),
        tier=name_of_tier(at(usage, "serviceTier")) or _traffic(at(usage, "trafficType")),
    )
    total, sums = at(usage, "totalTokenCount"), added(prompt, tools, written, thoughts)
    known = count(total)
    if known is not None and sums is not None and known < sums and known + (count(tools) or 0) >= sums:
        total = None  # it leaves the tools' tokens out, as documented for one of Google's two doors
    return usage_of(parts, total, said=said)


def _traffic(value: object) -> str | None:
    """Read the tier that Vertex names: `ON_DEMAND_PRIORITY` is the `priority` of elsewhere."""
    name = name_of_tier(value)
    return None if name == "traffic_type_unspecified" else name and name.removeprefix("on_demand_")
