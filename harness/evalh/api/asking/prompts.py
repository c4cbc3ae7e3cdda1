"""`load_prompt`: a version as messages, for a program that keeps its own client."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from evalh.api.asking.service import live_version, service_of
from evalh.core.asking import InvalidInputs
from evalh.core.errors import EvalhError, UsageError
from evalh.core.ports import Template
from evalh.core.prompt import PromptVersion
from evalh.core.strict_json import JsonValue
from evalh.engine.asking.prompts import refuse_inputs
from evalh.pipeline.contracts import Contract
from evalh.workspace.prompt.media import media_from
from evalh.workspace.prompt.templates import compile_version


class LoadedPrompt:
    """One version, read once. Its messages have the form of chat completions, which most clients accept."""

    def __init__(self, version: PromptVersion, template: Template) -> None:
        """Take a version that is one prompt."""
        self._version = version
        self._template = template
        schema = version.input_schema
        self._contract = None if schema is None else Contract(schema, version.input_defaults)

    @property
    def label(self) -> str:
        """`triage@v3`."""
        return self._version.label

    @property
    def params(self) -> dict[str, JsonValue]:
        """The version's own parameters: temperature, max_tokens and others."""
        return dict(self._version.params)

    @property
    def output_schema(self) -> dict[str, JsonValue] | None:
        """The JSON Schema of its answers; None if they are text, or any JSON."""
        schema = self._version.output_schema
        return None if schema is None else dict(schema)

    def render(self, inputs: Mapping[str, Any] | None = None) -> list[dict[str, JsonValue]]:
        """Return the messages. Raises InvalidInputs."""
        from evalh.providers.openai.chat import chat_messages

        inputs = {} if inputs is None else inputs
        if not isinstance(inputs, Mapping):
            raise InvalidInputs(f"inputs must be a mapping of names to values, not {type(inputs).__name__}")
        refuse_inputs(self._version, dict(inputs), self._contract)
        try:
            messages = self._template.render(inputs)
        except EvalhError as exc:
            raise InvalidInputs(f"{self.label}: {exc.what}", where=exc.where, hint=exc.hint) from None
        return chat_messages(messages)


def load_prompt(prompt: str, *, version: str | None = None, workspace: str | Path | None = None) -> LoadedPrompt:
    """Load a version of a prompt, by default the live one. Raises EvalhError."""
    parts = service_of(workspace).parts
    found = live_version(parts, prompt, version)
    if found.pipeline is not None:
        what = f"{found.label} is a pipeline: it has no messages of its own"
        raise UsageError(what, hint="load_prompt for each of its steps' prompts, or evalh.ask")
    return LoadedPrompt(found, compile_version(found, media=partial(media_from, parts.judged)))
