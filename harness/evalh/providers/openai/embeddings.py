"""OpenAI's embeddings, and every server that speaks them. A text is asked for, and its vector answers: a JSON list."""

from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from evalh.core.attempt import FinishReason, Usage
from evalh.core.request import Message, Role, Settings
from evalh.core.strict_json import JsonValue
from evalh.providers.answer_parts import Assembler, Reading, count, usage_of
from evalh.providers.endpoint import Home
from evalh.providers.http.errors import at
from evalh.providers.openai.service import HOME as CHAT
from evalh.providers.openai.service import refusal_of, request_id_of
from evalh.providers.request_parts import only_text, params_of, refuse_collisions, unsupported

HOME = replace(CHAT, api="embeddings")
_NAME = "an embeddings model"


class _Vector(Struct):
    embedding: list[float]


class _Embeddings(Struct):
    data: list[_Vector]
    model: Any = None
    id: Any = None
    usage: Any = None


_decode = msgspec.json.Decoder(_Embeddings).decode


class Embeddings:
    """`hosted.Wire` for `POST /embeddings`."""

    home: Home = HOME

    def path(self, settings: Settings) -> tuple[str, str]:  # noqa: ARG002 (the protocol's)
        return "/embeddings", ""

    def head(self, settings: Settings) -> dict[str, JsonValue]:
        """Say the model, the params, and that numbers are wanted. Raises CallError for what asks for an answer."""
        params = params_of(settings, _NAME)
        # Who compares texts asks for no output. A prompt asks for some, and would get numbers for its answer.
        if params.pop("max_tokens", None) != 0 or settings.tools or settings.json_output:
            raise unsupported(_NAME, "a prompt: it writes no answer, only embedding_similarity asks it")
        own: dict[str, JsonValue] = {"model": settings.model, "input": None, "encoding_format": "float"}
        refuse_collisions(params, own)
        del own["input"]
        return {**own, **params}

    def tail(self, messages: tuple[Message, ...], settings: Settings) -> dict[str, JsonValue]:  # noqa: ARG002 (the protocol's)
        if len(messages) != 1 or messages[0].role is not Role.USER:
            raise unsupported(_NAME, "a conversation")
        return {"input": only_text(messages[0], _NAME)}

    def assembler(self, settings: Settings) -> "_Vectors":
        """Return what reads the one vector: it comes whole. Raises CallError."""
        if settings.stream:
            raise unsupported(_NAME, "a stream: remove `stream` from its params")
        return _Vectors()

    refusal = staticmethod(refusal_of)
    request_id = staticmethod(request_id_of)


class _Vectors(Assembler):
    started = False
    finished = False
    _vectors: list[_Vector]

    def _take(self, event: bytes) -> None:
        answer = self._json.read(_decode, event)
        self._describe(answer.model, answer.id)
        self._vectors, self._usage = answer.data, answer.usage

    def reading(self) -> Reading:
        if len(self._vectors) != 1 or not self._vectors[0].embedding:
            raise ValueError("one embedding was asked for")
        counted = Usage(input_tokens=count(at(self._usage, "prompt_tokens")), output_tokens=0)
        usage = usage_of(counted, at(self._usage, "total_tokens"), said=False)
        return self._reading(msgspec.json.encode(self._vectors[0].embedding).decode(), FinishReason.STOP, (), usage)
