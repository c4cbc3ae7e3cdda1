"""The own keys of the built-in providers, until each provider declares its own."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, model_validator

from evalh.core.declared import FileModel, Refused, Text, Words
from evalh.workspace.config import HostedTable
from evalh.workspace.routes import Count


class OpenAI(HostedTable):
    """The keys of an OpenAI model."""

    ends_in = re.compile(r"/(chat(/completions)?|completions|embeddings|responses)$")

    api: Literal["chat", "embeddings"] = "chat"
    schema_: Literal["json_schema", "json_object", "none"] = Field("json_schema", alias="schema")
    max_tokens_name: Literal["max_tokens", "max_completion_tokens"] | None = None


class Anthropic(HostedTable):
    """The keys of an Anthropic model."""

    ends_in = re.compile(r"(/v1)?(/messages|/complete)$|/v1$")

    schema_: Literal["output_config", "tool", "none"] = Field("output_config", alias="schema")


class Gemini(HostedTable):
    """The keys of a Gemini model."""

    ends_in = re.compile(r"(/models(/[^/]*)?|/tunedModels/[^/]*)$")

    schema_: Literal["json_schema", "none"] = Field("json_schema", alias="schema")


class Local(FileModel):
    """The keys of an embedded model."""

    path: Text | None = None
    slots: Count | None = None
    context: Count | None = None
    threads: Count | None = None


class Replay(FileModel):
    """The keys of a recording."""

    path: Annotated[Text, Words(hint='path = "recorded/{version}.jsonl"')]


class Scripted(FileModel):
    """The keys of a scripted model."""

    function: Text | None = None
    table: dict[str, Any] | None = None
    default: Any = None
    latency_ms: Annotated[float, Field(ge=0, le=3_600_000)] = 0.0

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if ("function" in self.model_fields_set) == bool({"table", "default"} & self.model_fields_set):
            raise Refused("a scripted model takes either 'function' or 'table'", 'table = {"case-1" = "the answer"}')
        return self


_BUILT_IN: dict[str, type[BaseModel]] = {
    "openai": OpenAI,
    "anthropic": Anthropic,
    "gemini": Gemini,
    "local": Local,
    "replay": Replay,
    "scripted": Scripted,
}


def options_of(kind: str) -> type[BaseModel] | None:
    """Return the model of a provider's own keys; None: a plugin's."""
    return _BUILT_IN.get(kind)
