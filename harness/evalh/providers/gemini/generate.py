"""Google's Gemini API: `generateContent` and `streamGenerateContent`."""

import re
from collections.abc import Mapping, Sequence
from typing import Literal
from urllib.parse import quote

import orjson
from pydantic import Field

from evalh.core.attempt import ErrorKind
from evalh.core.model import ModelSpec, Traits
from evalh.core.request import Media, Message, Part, Role, Settings, Text, ToolCall, ToolResult
from evalh.core.strict_json import JsonValue
from evalh.providers.endpoint import Home, HostedOptions
from evalh.providers.gemini.answers import ContentAssembler
from evalh.providers.hosted import Hosted
from evalh.providers.http.errors import WireError, at, kind_of_status, retry_info_s, text_at
from evalh.providers.http.transport import OK
from evalh.providers.logprobs import PARAM
from evalh.providers.registry import ProviderContext, read_options
from evalh.providers.request_parts import (
    AsWritten,
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
    kind="gemini",
    base_url="https://generativelanguage.googleapis.com/v1beta",
    api="generateContent",
    key_variables=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    key_header="x-goog-api-key",
    tier_header="x-gemini-service-tier",
)

TRAITS = Traits(
    reads_files=False,
    holds_schema=True,
    logprobs_by=(PARAM, "responseLogprobs"),
    price_table="google",
    otel_name="gcp.gemini",
)

_CONFIG_NAMES = {
    "max_tokens": "maxOutputTokens",
    "stop": "stopSequences",
    "top_p": "topP",
    "top_k": "topK",
    "frequency_penalty": "frequencyPenalty",
    "presence_penalty": "presencePenalty",
}
_BESIDE_CONFIG = frozenset({"safetySettings", "toolConfig", "cachedContent", "serviceTier", "tools", "labels"})
_IMAGES = frozenset({"image/png", "image/jpeg", "image/webp", "image/heic", "image/heif"})
_FAMILIES = ("audio/", "video/", "text/")

_UNSIGNED = "skip_thought_signature_validator"
"""What Google documents for a function call that the model did not make itself: a case's history holds no signature."""
_SIGNING = re.compile(r"(models/)?gemini-([3-9]|[1-9][0-9]|.*latest$)")
"""Models that refuse an unsigned call; `gemini-flash-latest` and its like are names of theirs."""

_BY_STATUS: Mapping[str, ErrorKind] = {
    **dict.fromkeys(("INVALID_ARGUMENT", "FAILED_PRECONDITION", "OUT_OF_RANGE", "NOT_FOUND"), ErrorKind.BAD_REQUEST),
    **dict.fromkeys(("UNAUTHENTICATED", "PERMISSION_DENIED"), ErrorKind.AUTH),
    "RESOURCE_EXHAUSTED": ErrorKind.RATE_LIMIT,
    **dict.fromkeys(("INTERNAL", "UNKNOWN", "UNAVAILABLE", "ABORTED"), ErrorKind.OVERLOAD),
    "DEADLINE_EXCEEDED": ErrorKind.TIMEOUT,
}
_BY_WORDS: tuple[tuple[str, ErrorKind], ...] = (
    ("exceeds the maximum number of tokens", ErrorKind.CONTEXT_LENGTH),
    ("enable billing", ErrorKind.QUOTA),  # no free tier in that country
    ("location is not supported", ErrorKind.AUTH),
)
"""What an INVALID_ARGUMENT or FAILED_PRECONDITION is about is said in words only."""
_PAYMENT_REQUIRED = 402


class Options(HostedOptions):
    """The keys of a Gemini model."""

    ends_in = re.compile(r"(/models(/[^/]*)?|/tunedModels/[^/]*)$")

    schema_: Literal["json_schema", "none"] = Field(
        "json_schema", alias="schema", description="How JSON is requested: by its schema, or in words."
    )


def build(spec: ModelSpec, context: ProviderContext) -> Hosted:
    """Build from `[models.<name>]`. Raises WorkspaceError with its file and line."""
    return Hosted(spec, context.env, GenerateContent(spec, read_options(spec, Options)), root=context.root)


class GenerateContent:
    """`hosted.Wire` for `POST /models/<model>:generateContent`."""

    home = HOME

    def __init__(self, spec: ModelSpec, options: Options) -> None:
        self._schema = options.schema_
        self._signing = _SIGNING.match(spec.model) is not None

    def path(self, settings: Settings) -> tuple[str, str]:
        """Return the model's path; `tunedModels/…` is taken as it is."""
        model = settings.model if "/" in settings.model else f"models/{settings.model}"
        place = quote(model, safe="/-._~")
        return (f"/{place}:streamGenerateContent", "alt=sse") if settings.stream else (f"/{place}:generateContent", "")

    def head(self, settings: Settings) -> dict[str, JsonValue]:
        params = params_of(settings, HOME.kind, count="candidateCount")
        beside = {name: params.pop(name) for name in tuple(params) if name in _BESIDE_CONFIG}
        config: dict[str, JsonValue] = {}
        if isinstance(params.get(PARAM), bool) and params.pop(PARAM):  # a number is Gemini's own: how many others
            config["responseLogprobs"] = True
        for name in tuple(params):
            if name in _CONFIG_NAMES:
                config[_CONFIG_NAMES[name]] = params.pop(name)
        if isinstance(config.get("stopSequences"), str):
            config["stopSequences"] = [config["stopSequences"]]
        if (settings.json_output or settings.output_schema is not None) and self._schema != "none":
            config["responseMimeType"] = "application/json"
            if settings.output_schema is not None:
                config["responseJsonSchema"] = typed(settings.output_schema)
        refuse_collisions(params, {**config, "contents": None, "systemInstruction": None})
        config.update(params)
        own: dict[str, JsonValue] = {"generationConfig": config} if config else {}
        if settings.tools:
            declared = [
                {"name": tool.name, "description": tool.description, "parametersJsonSchema": typed(tool.parameters)}
                for tool in settings.tools
            ]
            own["tools"] = [{"functionDeclarations": declared}]
        refuse_collisions(beside, own)
        return {**own, **beside}

    def tail(self, messages: tuple[Message, ...], settings: Settings) -> dict[str, JsonValue]:  # noqa: ARG002 (the protocol's)
        system, rest = system_first(messages, HOME.kind)
        said = {"contents": self._contents(rest)}
        return {"systemInstruction": {"parts": [{"text": text} for text in system]}, **said} if system else said

    def _contents(self, messages: Sequence[Message]) -> list[JsonValue]:
        """Return the turns; all results of one round of function calls stand in one turn."""
        turns: list[dict[str, JsonValue]] = []
        previous: Role | None = None
        for message in messages:
            if message.role is Role.ASSISTANT:
                turns.append({"role": "model", "parts": self._said(message)})
            elif message.role is Role.TOOL:
                if previous is not Role.TOOL:
                    turns.append({"role": "user", "parts": []})
                turns[-1]["parts"] += [
                    {"functionResponse": _function_response(result)} for result in results_of(message, HOME.kind)
                ]
            else:
                turns.append({"role": "user", "parts": [_user_part(part) for part in message.parts]})
            previous = message.role
        return turns

    def _said(self, message: Message) -> list[JsonValue]:
        parts: list[JsonValue] = []
        called = False
        for part in message.parts:
            match part:
                case Text():
                    parts.append({"text": part.text})
                case ToolCall():
                    call = {"name": part.name, "args": arguments_object(part, HOME.kind)}
                    said: dict[str, JsonValue] = {"functionCall": {"id": part.id, **call} if part.id else call}
                    if self._signing and not called:
                        said["thoughtSignature"] = _UNSIGNED
                    called = True
                    parts.append(said)
                case _:
                    raise unsupported(HOME.kind, f"{name_of(part)} in an assistant message")
        return parts

    def assembler(self, settings: Settings) -> ContentAssembler:  # noqa: ARG002 (the protocol's)
        return ContentAssembler()

    def refusal(self, status: int, document: JsonValue) -> WireError | None:
        """Read `{"error": {"code", "message", "status", "details": [{"@type": …}]}}`."""
        if isinstance(document, list):
            document = at(document, 0)
        error = at(document, "error")
        name, message = text_at(error, "status"), text_at(error, "message")
        if not name and not message:
            return None
        code = at(error, "code")
        if status == OK and isinstance(code, int):  # an event of a stream
            status = code
        details = at(error, "details")
        found = [detail for detail in details if isinstance(detail, dict)] if isinstance(details, list) else []
        return WireError(_kind(status, name, message, found), message or name, retry_info_s(error))

    def request_id(self, headers: Mapping[str, str], document: JsonValue) -> str | None:  # noqa: ARG002 (the protocol's)
        return None


def _kind(status: int, name: str, message: str, details: Sequence[Mapping[str, JsonValue]]) -> ErrorKind:
    kind = _BY_STATUS.get(name)
    if kind is None:
        kind = kind_of_status(status)
    if any(detail.get("reason") == "API_KEY_INVALID" for detail in details):
        return ErrorKind.AUTH  # a 400 there
    if kind is ErrorKind.RATE_LIMIT and (status == _PAYMENT_REQUIRED or _is_spent(message, details)):
        return ErrorKind.QUOTA
    if kind is ErrorKind.BAD_REQUEST:
        signs = (sign_kind for sign, sign_kind in _BY_WORDS if sign in message)
        return next(signs, kind)
    return kind


def _is_spent(message: str, details: Sequence[Mapping[str, JsonValue]]) -> bool:
    """Distinguish a day's or an account's limit from a minute's: waiting helps only with the latter."""
    for detail in details:
        violations = detail.get("violations")
        limits = [text_at(violation, "quotaId") for violation in violations] if isinstance(violations, list) else []
        limits.append(text_at(detail, "metadata", "quota_limit"))
        if any("PerDay" in limit for limit in limits):
            return True
    return "credits are depleted" in message or "spend" in message.lower()


def _user_part(part: Part) -> JsonValue:
    match part:
        case Text():
            return {"text": part.text}
        case Media(content_type=kind) if kind in _IMAGES or kind.startswith(_FAMILIES) or kind == "application/pdf":
            return {"inlineData": {"mimeType": kind, "data": base64_of(part)}}
        case _:
            raise unsupported(HOME.kind, f"{name_of(part)} in a user message")


def _function_response(result: ToolResult) -> JsonValue:
    """Say a result as the object that is asked for; what is none stands under `output`, as documented."""
    try:
        value = orjson.loads(result.content)
    except orjson.JSONDecodeError:
        value = None
    content = AsWritten(result.content) if isinstance(value, dict) else {"output": result.content}
    said = {"name": result.name, "response": content}
    return {"id": result.call_id, **said} if result.call_id else said
