"""What all of OpenAI's APIs share: the keys of a model, where the service is, and what its refusals mean."""

import re
from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, model_validator

from evalh.core.attempt import ErrorKind
from evalh.core.declared import Refused
from evalh.core.model import EMBEDDINGS
from evalh.core.strict_json import JsonValue
from evalh.providers.endpoint import Home, HostedOptions
from evalh.providers.http.errors import WireError, at, kind_of_status, retry_info_s, text_at
from evalh.providers.http.transport import OK

HOME = Home(
    kind="openai",
    base_url="https://api.openai.com/v1",
    api="chat/completions",
    key_variables=("OPENAI_API_KEY",),
    key_header="Authorization",
    key_prefix="Bearer ",
)

RESPONSES = "responses"
"""The `api` of a model that is asked by Responses."""
IMAGES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})


class Options(HostedOptions):
    """The keys of an OpenAI model, and of every server with the same API."""

    ends_in = re.compile(r"/(chat(/completions)?|completions|embeddings|responses)$")

    api: Literal["chat", "responses", "embeddings"] = Field(
        "chat", description="The API: chat completions, Responses, or embeddings."
    )
    schema_: Literal["json_schema", "json_object", "none"] = Field(
        "json_schema",
        alias="schema",
        description="How JSON is requested: by its schema, as any JSON, or in words.",
    )
    max_tokens_name: Literal["max_tokens", "max_completion_tokens"] | None = Field(
        None, description="The name of max_tokens in requests. Default: the name that the server is known to accept."
    )

    @model_validator(mode="after")
    def _form_fits_the_api(self) -> Self:
        named = {"schema_": "schema", "max_tokens_name": "max_tokens_name"}
        for field, key in named.items():
            if self.api == EMBEDDINGS and field in self.model_fields_set:
                raise Refused(f"{key!r} belongs to a model that answers, not to one of embeddings", at=(key,))
        if self.api == RESPONSES and self.max_tokens_name is not None:
            raise Refused("'max_tokens_name' belongs to chat completions", "leave it out", at=("max_tokens_name",))
        return self


_STATUS = re.compile(r"[1-5][0-9][0-9]")


_BY_CODE: Mapping[str, ErrorKind] = {
    "insufficient_quota": ErrorKind.QUOTA,
    "credit_balance_exhausted": ErrorKind.QUOTA,
    "organization_spend_limit_exceeded": ErrorKind.QUOTA,
    "organization_usage_limit_exceeded": ErrorKind.QUOTA,
    "project_spend_limit_exceeded": ErrorKind.QUOTA,
    "billing_hard_limit_reached": ErrorKind.QUOTA,
    "billing_not_active": ErrorKind.QUOTA,
    "context_length_exceeded": ErrorKind.CONTEXT_LENGTH,
    "exceed_context_size_error": ErrorKind.CONTEXT_LENGTH,
    "content_filter": ErrorKind.CONTENT_FILTER,
    "content_policy_violation": ErrorKind.CONTENT_FILTER,
    "invalid_prompt": ErrorKind.CONTENT_FILTER,
    "moderation_blocked": ErrorKind.CONTENT_FILTER,
    "server_is_overloaded": ErrorKind.OVERLOAD,
    "slow_down": ErrorKind.OVERLOAD,
}


_BY_NAME_IN_STREAM: Mapping[str, ErrorKind] = {
    "authentication_error": ErrorKind.AUTH,
    "invalid_request_error": ErrorKind.BAD_REQUEST,
    "rate_limit_error": ErrorKind.RATE_LIMIT,
    "rate_limit_exceeded": ErrorKind.RATE_LIMIT,
    "server_error": ErrorKind.OVERLOAD,
    "api_error": ErrorKind.OVERLOAD,
    "internal_server_error": ErrorKind.OVERLOAD,
    "service_unavailable_error": ErrorKind.OVERLOAD,
}


_TOO_LONG = ("maximum context length", "context length", "context size", "context window")


def refusal_of(status: int, document: JsonValue) -> WireError | None:
    """Read `{"error": {"message", "type", "param", "code"}}`, and the shapes that other servers make of it."""
    if isinstance(document, list):  # Google's compatible endpoint
        document = at(document, 0)
    error = at(document, "error") or at(
        document, "choices", 0, "error"
    )  # a gateway's, where the model behind it failed
    if isinstance(error, str) and error:  # Ollama
        error = {"message": error}
    elif not isinstance(error, dict):
        error = document if text_at(document, "message") else None  # older vLLM
    if error is None:
        return None
    code = at(error, "code")
    message = text_at(error, "message") or "no reason given"
    if status == OK:  # a gateway's error in a 200, or an event of a stream
        status = int(code) if isinstance(code, int) or (isinstance(code, str) and _STATUS.fullmatch(code)) else status
    return WireError(_kind(status, error, message), message + _advice(error), retry_info_s(error))


def request_id_of(headers: Mapping[str, str], document: JsonValue) -> str | None:  # noqa: ARG001 (the wire's)
    """Read the header that OpenAI's support asks for."""
    return headers.get("x-request-id")


def _kind(status: int, error: JsonValue, message: str) -> ErrorKind:
    for name in (text_at(error, "code"), text_at(error, "type")):
        if name in _BY_CODE:
            return _BY_CODE[name]
    kind = kind_of_status(status)
    if status == OK:
        said = (text_at(error, "code"), text_at(error, "type"))
        return next((_BY_NAME_IN_STREAM[name] for name in said if name in _BY_NAME_IN_STREAM), ErrorKind.BAD_RESPONSE)
    if kind is ErrorKind.BAD_REQUEST and any(words in message.lower() for words in _TOO_LONG):
        return ErrorKind.CONTEXT_LENGTH
    return kind


def _advice(error: JsonValue) -> str:
    param = text_at(error, "param")
    if text_at(error, "code") not in {"unsupported_parameter", "unsupported_value"} or not param:
        return ""
    if param == "max_tokens":
        return ' (evalh: max_tokens_name = "max_completion_tokens" on the model)'
    return f' (evalh: params = {{{param} = "null"}} on the model leaves it out)'
