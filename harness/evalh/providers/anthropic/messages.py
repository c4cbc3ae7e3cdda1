"""Anthropic's Messages API."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from pydantic import Field

from evalh.core.attempt import CallError, ErrorKind
from evalh.core.model import ModelSpec, Traits
from evalh.core.request import Media, Message, Part, Role, Settings, Text, ToolCall
from evalh.core.strict_json import JsonValue
from evalh.providers.anthropic.answers import MessageAssembler
from evalh.providers.anthropic.schema import narrowed
from evalh.providers.endpoint import Home, HostedOptions
from evalh.providers.hosted import Hosted
from evalh.providers.http.errors import WireError, kind_of_status, text_at
from evalh.providers.registry import ProviderContext, read_options
from evalh.providers.request_parts import (
    arguments_object,
    base64_of,
    name_of,
    params_of,
    refuse_collisions,
    results_of,
    system_first,
    typed,
    unsupported,
)

HOME = Home(
    kind="anthropic",
    base_url="https://api.anthropic.com",
    api="messages 2023-06-01",
    key_variables=("ANTHROPIC_API_KEY",),
    key_header="x-api-key",
    headers={"anthropic-version": "2023-06-01"},
)

TRAITS = Traits(reads_files=False, holds_schema=True, logprobs_by=(), price_table="anthropic")

OUTPUT_TOOL = "output"
"""The tool that carries the answer where a model has no structured output of its own (`schema = "tool"`)."""

_IMAGES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
_NOT_THERE = ("seed", "frequency_penalty", "presence_penalty", "logprobs", "top_logprobs")

_BY_TYPE: Mapping[str, ErrorKind] = {
    **dict.fromkeys(("authentication_error", "permission_error"), ErrorKind.AUTH),
    "billing_error": ErrorKind.QUOTA,
    "rate_limit_error": ErrorKind.RATE_LIMIT,
    **dict.fromkeys(("overloaded_error", "api_error"), ErrorKind.OVERLOAD),
    "timeout_error": ErrorKind.TIMEOUT,
    **dict.fromkeys(("not_found_error", "request_too_large", "invalid_request_error"), ErrorKind.BAD_REQUEST),
}
_BY_WORDS: tuple[tuple[ErrorKind, tuple[str, ...]], ...] = (
    (ErrorKind.QUOTA, ("credit balance is too low", "api usage limits")),
    (ErrorKind.CONTEXT_LENGTH, ("prompt is too long", "exceed context limit", "context window")),
    (ErrorKind.CONTENT_FILTER, ("content filtering policy",)),
)
"""What an `invalid_request_error` is about is said in words only."""


class Options(HostedOptions):
    """The keys of an Anthropic model."""

    ends_in = re.compile(r"(/v1)?(/messages|/complete)$|/v1$")

    schema_: Literal["output_config", "tool", "none"] = Field(
        "output_config",
        alias="schema",
        description="How JSON is requested: by its schema, as a tool, or only by the prompt's words.",
    )


def build(spec: ModelSpec, context: ProviderContext) -> Hosted:
    """Build from `[models.<name>]`. Raises WorkspaceError with its file and line."""
    return Hosted(spec, context.env, Messages(read_options(spec, Options)), root=context.root)


class Messages:
    """`hosted.Wire` for `POST /v1/messages`."""

    home = HOME

    def __init__(self, options: Options) -> None:
        self._schema = options.schema_

    def path(self, settings: Settings) -> tuple[str, str]:  # noqa: ARG002 (the protocol's)
        return "/v1/messages", ""

    def head(self, settings: Settings) -> dict[str, JsonValue]:
        """Say the model, the params, the tools and the format. Raises CallError, by name, for what is not there."""
        params = params_of(settings, HOME.kind)
        for name in _NOT_THERE:
            if name in params:
                raise unsupported(HOME.kind, f'the parameter {name!r} (params = {{{name} = "null"}} leaves it out)')
        if "max_tokens" not in params:
            raise CallError(
                ErrorKind.BAD_REQUEST,
                "anthropic requires max_tokens; set it in the prompt's config or the model's params; nothing was sent",
            )
        own: dict[str, JsonValue] = {"model": settings.model, "messages": None, "system": None}
        stop = params.pop("stop", None)
        if stop is not None:
            own["stop_sequences"] = [stop] if isinstance(stop, str) else list(stop)
        if settings.tools:
            own["tools"] = [
                {"name": tool.name, "description": tool.description, "input_schema": tool.parameters}
                for tool in settings.tools
            ]
        if settings.output_schema is not None:
            own.update(self._output(settings.output_schema, settings, params))
        elif settings.json_output and self._schema != "none":
            raise unsupported(
                HOME.kind, 'JSON output without a schema (schema = "none" on the model sends the prompt alone)'
            )
        if settings.stream:
            own["stream"] = True
        refuse_collisions(params, own)
        del own["messages"], own["system"]
        return {**own, **params}

    def _output(
        self, schema: Mapping[str, JsonValue], settings: Settings, params: dict[str, JsonValue]
    ) -> dict[str, JsonValue]:
        if self._schema == "none":
            return {}
        if self._schema == "output_config":
            given = params.pop("output_config", None)  # it holds `effort` too
            format_ = {"type": "json_schema", "schema": narrowed(typed(schema))}
            return {"output_config": {**(given if isinstance(given, Mapping) else {}), "format": format_}}
        if settings.tools or schema.get("type") != "object":
            raise unsupported(HOME.kind, 'a schema as a tool beside other tools, or one whose root is not an "object"')
        tool = {"name": OUTPUT_TOOL, "description": "Give the answer.", "input_schema": schema}
        return {"tools": [tool], "tool_choice": {"type": "tool", "name": OUTPUT_TOOL}}

    def tail(self, messages: tuple[Message, ...], settings: Settings) -> dict[str, JsonValue]:  # noqa: ARG002 (the protocol's)
        system, rest = system_first(messages, HOME.kind)
        system = [text for text in system if text]  # an empty text block is an error there
        said = {"messages": _turns(rest)}
        if not system:
            return said
        return {"system": system[0] if len(system) == 1 else [_text(text) for text in system], **said}

    def assembler(self, settings: Settings) -> MessageAssembler:
        as_tool = self._schema == "tool" and settings.output_schema is not None
        return MessageAssembler(OUTPUT_TOOL if as_tool else None)

    def refusal(self, status: int, document: JsonValue) -> WireError | None:
        """Read `{"type": "error", "error": {"type", "message"}, "request_id"}`."""
        name, message = text_at(document, "error", "type"), text_at(document, "error", "message")
        if not name and not message:
            return None
        kind = _BY_TYPE.get(name)
        if kind is None:
            kind = kind_of_status(status)
        if text_at(document, "error", "details", "error_code") == "enforced_spend_limit_reached":
            kind = ErrorKind.QUOTA  # a 429 that waiting does not help
        elif kind is ErrorKind.BAD_REQUEST:
            words = message.lower()
            kind = next((other for other, signs in _BY_WORDS if any(sign in words for sign in signs)), kind)
        advice = ""
        if "is deprecated for this model" in message:
            advice = ' (evalh: params = {… = "null"} on the model leaves it out)'
        return WireError(kind, (message or name) + advice)

    def request_id(self, headers: Mapping[str, str], document: JsonValue) -> str | None:
        """Read the header that Anthropic's support asks for; errors repeat it in their body."""
        return headers.get("request-id") or text_at(document, "request_id") or None


def _turns(messages: Sequence[Message]) -> list[JsonValue]:
    """Return the conversation; all results of one round of tool calls are in one user message."""
    turns: list[dict[str, JsonValue]] = []
    previous: Role | None = None
    for message in messages:
        if message.role is Role.ASSISTANT:
            turns.append({"role": "assistant", "content": _content(message, _assistant_block)})
        elif message.role is Role.TOOL or previous is Role.TOOL:
            if previous is not Role.TOOL:
                turns.append({"role": "user", "content": []})
            if message.role is Role.TOOL:
                turns[-1]["content"] += [
                    {"type": "tool_result", "tool_use_id": result.call_id, "content": result.content}
                    for result in results_of(message, HOME.kind)
                ]
            else:
                turns[-1]["content"] += _blocks(message, _user_block)
        else:
            turns.append({"role": "user", "content": _content(message, _user_block)})
        previous = message.role
    return turns


def _content(message: Message, block: Callable[[Part], JsonValue]) -> JsonValue:
    if all(isinstance(part, Text) for part in message.parts):
        return message.text
    return _blocks(message, block)


def _blocks(message: Message, block: Callable[[Part], JsonValue]) -> list[JsonValue]:
    # An empty text block is an error of its own there, and a slot may well be empty.
    return [block(part) for part in message.parts if not (isinstance(part, Text) and not part.text)]


def _text(text: str) -> JsonValue:
    return {"type": "text", "text": text}


def _user_block(part: Part) -> JsonValue:
    match part:
        case Text():
            return _text(part.text)
        case Media(content_type=kind) if kind in _IMAGES:
            return {"type": "image", "source": _base64(part)}
        case Media(content_type="application/pdf"):
            return {"type": "document", "source": _base64(part)}
        case Media(content_type="text/plain"):
            text = part.data.decode("utf-8", "replace")
            return {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": text}}
        case _:
            raise unsupported(HOME.kind, f"{name_of(part)} in a user message")


def _assistant_block(part: Part) -> JsonValue:
    match part:
        case Text():
            return _text(part.text)
        case ToolCall():
            arguments = arguments_object(part, HOME.kind)
            return {"type": "tool_use", "id": part.id, "name": part.name, "input": arguments}
        case _:
            raise unsupported(HOME.kind, f"{name_of(part)} in an assistant message")


def _base64(media: Media) -> JsonValue:
    return {"type": "base64", "media_type": media.content_type, "data": base64_of(media)}
