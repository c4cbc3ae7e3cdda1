"""OpenAI's Responses API, and every server that speaks it. Nothing is kept there: `store` is always false."""

from collections.abc import Iterable, Iterator, Mapping

from msgspec.structs import replace

from evalh.core.attempt import ErrorKind
from evalh.core.request import Media, Message, Role, Settings, Text, Tool, ToolCall
from evalh.core.strict_json import JsonValue
from evalh.providers.endpoint import Home
from evalh.providers.http.errors import WireError, at, text_at
from evalh.providers.http.transport import OK
from evalh.providers.logprobs import PARAM
from evalh.providers.openai.response_answers import ResponseAssembler
from evalh.providers.openai.schema import fits_strict
from evalh.providers.openai.service import HOME as CHAT
from evalh.providers.openai.service import IMAGES, Options, refusal_of, request_id_of
from evalh.providers.request_parts import (
    base64_of,
    name_of,
    only_text,
    params_of,
    refuse_collisions,
    results_of,
    typed,
    unsupported,
)

HOME = replace(CHAT, api="responses")

_NOT_THERE = ("seed", "stop", "top_k", "frequency_penalty", "presence_penalty", "logit_bias", "response_format")
_KEPT_THERE = ("previous_response_id", "conversation", "background")
"""Params that make an answer depend on what the service remembers, which no request shows."""
_NESTED = {"reasoning_effort": ("reasoning", "effort"), "verbosity": ("text", "verbosity")}
"""Params of chat completions that stand inside others here."""
_LOGPROBS = "message.output_text.logprobs"

_BY_CODE: Mapping[str, ErrorKind] = {
    "bio_policy": ErrorKind.CONTENT_FILTER,
    "image_content_policy_violation": ErrorKind.CONTENT_FILTER,
    "data_residency_mismatch": ErrorKind.BAD_REQUEST,
    "vector_store_timeout": ErrorKind.TIMEOUT,
}


class Responses:
    """`hosted.Wire` for `POST /responses`."""

    home: Home = HOME

    def __init__(self, options: Options) -> None:
        self._schema = options.schema_

    def path(self, settings: Settings) -> tuple[str, str]:  # noqa: ARG002 (the protocol's)
        return "/responses", ""

    def head(self, settings: Settings) -> dict[str, JsonValue]:
        """Say the model, the params, the tools and the format. Raises CallError, by name, for what is not there."""
        params = params_of(settings, HOME.kind)
        for name in (*_NOT_THERE, *_KEPT_THERE):
            if name in params:
                hint = f'params = {{{name} = "null"}} leaves it out'
                raise unsupported(HOME.kind, f'the parameter {name!r} with api = "responses" ({hint})')
        own: dict[str, JsonValue] = {"model": settings.model, "input": None, "store": False}
        if "max_tokens" in params:
            own["max_output_tokens"] = params.pop("max_tokens")
        if settings.tools:
            own["tools"] = [_tool(tool) for tool in settings.tools]
        if settings.stream:
            own["stream"] = True
        refuse_collisions(params, own)
        _nest(params)
        form = self._format(settings)
        if form is not None:
            params["text"] = {**_table(params.get("text")), "format": form}
        if params.pop(PARAM, False) is True:
            params["include"] = [*_list(params.get("include")), _LOGPROBS]
        del own["input"]
        return {**own, **params}

    def _format(self, settings: Settings) -> JsonValue:
        if not (settings.json_output or settings.output_schema is not None) or self._schema == "none":
            return None
        if settings.output_schema is None or self._schema == "json_object":
            return {"type": "json_object"}
        schema = typed(settings.output_schema)
        return {"type": "json_schema", "name": "output", "schema": schema, "strict": fits_strict(schema)}

    def tail(self, messages: tuple[Message, ...], settings: Settings) -> dict[str, JsonValue]:  # noqa: ARG002 (the protocol's)
        return {"input": [item for message in messages for item in _items(message)]}

    def assembler(self, settings: Settings) -> ResponseAssembler:  # noqa: ARG002 (the protocol's)
        return ResponseAssembler()

    def refusal(self, status: int, document: JsonValue) -> WireError | None:
        """Read an error's body, an event of a stream, or an answer that failed inside a 200."""
        inner = at(document, "response")
        document = inner if isinstance(inner, dict) else document
        error = refusal_of(status, document)
        code = text_at(document, "error", "code") or text_at(document, "code")
        if error is None or status != OK:
            return error
        kind = _BY_CODE.get(code, ErrorKind.BAD_REQUEST if "image" in code else error.kind)
        return replace(error, kind=kind)

    request_id = staticmethod(request_id_of)


def _tool(tool: Tool) -> dict[str, JsonValue]:
    # This API takes a schema as strict unless it says otherwise; chat completions do not, and the model may not differ.
    return {"type": "function", **tool.document(), "strict": False}


def _nest(params: dict[str, JsonValue]) -> None:
    for name, (outer, inner) in _NESTED.items():
        if name in params:
            params[outer] = {**_table(params.get(outer)), inner: params.pop(name)}


def _table(value: JsonValue) -> Mapping[str, JsonValue]:
    return value if isinstance(value, Mapping) else {}


def _list(value: JsonValue) -> Iterable[JsonValue]:
    return value if isinstance(value, list | tuple) else ()


def _items(message: Message) -> Iterator[dict[str, JsonValue]]:
    """Return a message as items of the input. Raises CallError for what it cannot carry."""
    match message.role:
        case Role.SYSTEM:
            yield _said("system", only_text(message, HOME.kind))
        case Role.USER:
            plain = all(isinstance(part, Text) for part in message.parts)
            yield _said("user", message.text if plain else [_user_part(part) for part in message.parts])
        case Role.ASSISTANT:
            yield from _assistant(message)
        case Role.TOOL:
            for result in results_of(message, HOME.kind):
                yield {"type": "function_call_output", "call_id": result.call_id, "output": result.content}


def _said(role: str, content: JsonValue) -> dict[str, JsonValue]:
    return {"type": "message", "role": role, "content": content}


def _assistant(message: Message) -> Iterator[dict[str, JsonValue]]:
    """Return what the model said and called, in its order."""
    for part in message.parts:
        match part:
            case Text():
                if part.text or len(message.parts) == 1:
                    yield _said("assistant", part.text)
            case ToolCall():
                yield {
                    "type": "function_call",
                    "call_id": part.id,
                    "name": part.name,
                    "arguments": part.arguments,
                }
            case _:
                raise unsupported(HOME.kind, f"{name_of(part)} in an assistant message")


def _user_part(part: object) -> dict[str, JsonValue]:
    match part:
        case Text():
            return {"type": "input_text", "text": part.text}
        case Media(content_type=kind) if kind in IMAGES:
            url = f"data:{kind};base64,{base64_of(part)}"
            return {"type": "input_image", "image_url": url, "detail": "auto"}
        case Media(content_type="application/pdf"):
            data = f"data:application/pdf;base64,{base64_of(part)}"
            return {"type": "input_file", "filename": f"{part.sha256[:12]}.pdf", "file_data": data}
        case _:
            raise unsupported(HOME.kind, f"{name_of(part)} in a user message")
