"""OpenAI's chat completions, and every server that speaks them: vLLM, Ollama, llama-server, gateways."""

from collections.abc import Iterable, Iterator

from evalh.core.model import EMBEDDINGS, ModelSpec, Traits
from evalh.core.request import Media, Message, Role, Settings, Text, ToolCall
from evalh.core.strict_json import JsonValue
from evalh.providers.endpoint import Endpoint
from evalh.providers.hosted import Hosted
from evalh.providers.logprobs import PARAM
from evalh.providers.openai.answers import ChatAssembler
from evalh.providers.openai.schema import fits_strict
from evalh.providers.openai.service import HOME, IMAGES, RESPONSES, Options, refusal_of, request_id_of
from evalh.providers.registry import ProviderContext, read_options
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

TRAITS = Traits(reads_files=False, holds_schema=True, logprobs_by=(PARAM,), price_table="openai")

_AUDIO = {"audio/wav": "wav", "audio/x-wav": "wav", "audio/mpeg": "mp3", "audio/mp3": "mp3"}


def build(spec: ModelSpec, context: ProviderContext) -> Hosted:
    """Build from `[models.<name>]`. Raises WorkspaceError with its file and line."""
    options = read_options(spec, Options)
    if options.api == EMBEDDINGS:
        from evalh.providers.openai.embeddings import Embeddings

        return Hosted(spec, context.env, Embeddings(), root=context.root)
    if options.api == RESPONSES:
        from evalh.providers.openai.responses import Responses

        return Hosted(spec, context.env, Responses(options), root=context.root)
    return Hosted(spec, context.env, ChatCompletions(spec, options), root=context.root)


class ChatCompletions:
    """`hosted.Wire` for `POST /chat/completions`."""

    home = HOME

    def __init__(self, spec: ModelSpec, options: Options) -> None:
        # OpenAI calls `max_tokens` deprecated, and its reasoning models refuse it; other servers may not know the
        # newer name.
        usual = "max_completion_tokens" if Endpoint.of(spec, HOME).is_home else "max_tokens"
        self._max_tokens = options.max_tokens_name or usual
        self._schema = options.schema_
        self._uncounted = spec.params.get("stream_options", self) is None  # null takes out what evalh adds, too

    def path(self, settings: Settings) -> tuple[str, str]:  # noqa: ARG002 (the protocol's)
        return "/chat/completions", ""

    def head(self, settings: Settings) -> dict[str, JsonValue]:
        params = params_of(settings, HOME.kind)
        own: dict[str, JsonValue] = {"model": settings.model, "messages": None}
        if "max_tokens" in params:
            own[self._max_tokens] = params.pop("max_tokens")
        if settings.tools:
            own["tools"] = [{"type": "function", "function": tool.document()} for tool in settings.tools]
        response_format = self._response_format(settings)
        if response_format is not None:
            own["response_format"] = response_format
        if settings.stream:
            own["stream"] = True
            if not self._uncounted:
                params.setdefault("stream_options", {"include_usage": True})
        refuse_collisions(params, own)
        del own["messages"]
        return {**own, **params}

    def _response_format(self, settings: Settings) -> JsonValue:
        if not (settings.json_output or settings.output_schema is not None) or self._schema == "none":
            return None
        if settings.output_schema is None or self._schema == "json_object":
            return {"type": "json_object"}
        schema = typed(settings.output_schema)
        return {
            "type": "json_schema",
            "json_schema": {"name": "output", "schema": schema, "strict": fits_strict(schema)},
        }

    def tail(self, messages: tuple[Message, ...], settings: Settings) -> dict[str, JsonValue]:  # noqa: ARG002 (the protocol's)
        return {"messages": chat_messages(messages)}

    def assembler(self, settings: Settings) -> ChatAssembler:  # noqa: ARG002 (the protocol's)
        return ChatAssembler()

    refusal = staticmethod(refusal_of)
    request_id = staticmethod(request_id_of)


def chat_messages(messages: Iterable[Message]) -> list[dict[str, JsonValue]]:
    """Return messages in the form of chat completions. Raises CallError for what it cannot carry."""
    return [said for message in messages for said in _messages(message)]


def _messages(message: Message) -> Iterator[dict[str, JsonValue]]:
    match message.role:
        case Role.SYSTEM:
            yield {"role": "system", "content": only_text(message, HOME.kind)}
        case Role.USER:
            plain = all(isinstance(part, Text) for part in message.parts)
            yield {"role": "user", "content": message.text if plain else [_user_part(part) for part in message.parts]}
        case Role.ASSISTANT:
            yield _assistant(message)
        case Role.TOOL:
            for result in results_of(message, HOME.kind):
                yield {"role": "tool", "tool_call_id": result.call_id, "content": result.content}


def _user_part(part: object) -> dict[str, JsonValue]:
    match part:
        case Text():
            return {"type": "text", "text": part.text}
        case Media(content_type=kind) if kind in IMAGES:
            return {"type": "image_url", "image_url": {"url": f"data:{kind};base64,{base64_of(part)}"}}
        case Media(content_type=kind) if kind in _AUDIO:
            return {"type": "input_audio", "input_audio": {"data": base64_of(part), "format": _AUDIO[kind]}}
        case Media(content_type="application/pdf"):
            data = f"data:application/pdf;base64,{base64_of(part)}"
            return {"type": "file", "file": {"filename": f"{part.sha256[:12]}.pdf", "file_data": data}}
        case _:
            raise unsupported(HOME.kind, f"{name_of(part)} in a user message")


def _assistant(message: Message) -> dict[str, JsonValue]:
    calls: list[JsonValue] = []
    for part in message.parts:
        match part:
            case ToolCall():
                function = {"name": part.name, "arguments": part.arguments}
                calls.append({"id": part.id, "type": "function", "function": function})
            case Text():
                pass
            case _:
                raise unsupported(HOME.kind, f"{name_of(part)} in an assistant message")
    if not calls:
        return {"role": "assistant", "content": message.text}
    return {"role": "assistant", "content": message.text or None, "tool_calls": calls}
