"""OpenAI's chat completions as documented. It reads a request as strictly as the real service, and refuses in its shape."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from evalh.providers.openai import chat as openai
from evalh.providers.registry import read_options
from wire.service import Service, at_path, event, inner_schemas, is_base64, keyed, unknown
from wire.serving import Seen

_CHAT = (
    "model messages max_completion_tokens max_tokens temperature top_p stop seed tools tool_choice response_format stream"
    " stream_options reasoning_effort frequency_penalty presence_penalty service_tier logprobs"
)


def _wrong_chat(seen: Seen) -> Iterator[str]:
    yield from keyed(seen, "authorization", "Bearer ")
    yield from at_path(seen, "/v1/chat/completions")
    yield from wrong_chat_body(seen.body)


def wrong_chat_body(body: Any) -> Iterator[str]:
    """Say what the service would refuse a body for."""
    yield from unknown(body, _CHAT, "body")
    if not isinstance(body.get("model"), str) or not body.get("messages"):
        yield "you must provide a model parameter, and messages"
    if "stream_options" in body and body.get("stream") is not True:
        yield "stream_options without stream"
    called: set[str] = set()
    for message in body["messages"]:
        yield from _wrong_chat_message(message, called)
    for tool in body.get("tools", ()):
        if tool["type"] != "function" or not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", tool["function"]["name"]):
            yield "a tool that is none"
    if "response_format" in body:
        yield from _wrong_format(body["response_format"])


def _wrong_format(wanted: Any) -> Iterator[str]:
    match wanted:
        case {"type": "json_object"}:
            pass
        case {"type": "json_schema", "json_schema": {"name": name, "schema": schema, "strict": strict}}:
            if not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name):
                yield "response_format.json_schema.name"
            if strict and (schema.get("type") != "object" or "anyOf" in schema):
                yield "schema must be a JSON Schema of 'type: \"object\"'"
            if strict:
                yield from not_strict(schema)
        case _:
            yield "response_format.type"


def _wrong_chat_message(message: Any, called: set[str]) -> Iterator[str]:
    match message:
        case {"role": "system" | "user" | "assistant", "content": str(), **rest} if not rest:
            pass
        case {"role": "user", "content": [*parts]} if parts:
            for part in parts:
                yield from _wrong_chat_part(part)
        case {"role": "assistant", "tool_calls": [*calls]} if calls:
            called.clear()
            called.update(call["id"] for call in calls)
            if not all(c["type"] == "function" and isinstance(c["function"]["arguments"], str) for c in calls):
                yield "a tool call that is none"
        case {"role": "tool", "tool_call_id": identifier, "content": str()}:
            if identifier not in called:
                yield f"tool_call_id {identifier} not found in the preceding tool_calls"
        case _:
            yield f"a message that is none: {message}"


def _wrong_chat_part(part: Any) -> Iterator[str]:
    match part:
        case {"type": "text", "text": str()}:
            pass
        case {"type": "image_url", "image_url": {"url": url}} if found := re.fullmatch(
            r"data:image/(?:png|jpeg|gif|webp);base64,(.+)", url
        ):
            if not is_base64(found[1]):
                yield "an image that is not base64"
        case {"type": "input_audio", "input_audio": {"data": data, "format": "wav" | "mp3"}} if is_base64(data):
            pass
        case {"type": "file", "file": {"filename": str(), "file_data": data}} if data.startswith(
            "data:application/pdf;base64,"
        ):
            pass
        case _:
            yield f"a part that is none: {part}"


_NOT_PERMITTED = "allOf oneOf not dependentRequired if then else minLength maxLength default uniqueItems"


def not_strict(schema: Any) -> Iterator[str]:
    """The rules of structured outputs: everything typed, objects closed, all required, no unknown keyword."""
    if "$ref" in schema:
        if len(schema) > 1:
            yield "$ref cannot have keywords"
        return
    if not {"type", "anyOf"} & set(schema):
        yield f"schema must have a 'type' key: {schema}"
    yield from [f"'{word}' is not permitted" for word in _NOT_PERMITTED.split() if word in schema]
    if "object" in schema.get("type", ""):
        if schema.get("additionalProperties") is not False:
            yield "'additionalProperties' is required to be supplied and to be false"
        if sorted(schema.get("required", [])) != sorted(schema.get("properties", {})):
            yield "'required' is required to include every key in properties"
    for inner in inner_schemas(schema):
        yield from not_strict(inner)


def chat(text: str | None, *, finish: str = "stop", usage: Any = None, **message: Any) -> Any:
    """A chat completion as documented."""
    counted = {
        "prompt_tokens": 20,
        "completion_tokens": 9,
        "total_tokens": 29,
        "prompt_tokens_details": {"cached_tokens": 12, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 4, "audio_tokens": 0, "accepted_prediction_tokens": 0},
    }
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1741569952,
        "model": "gpt-5-mini-2025-08-07",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text, "refusal": None, "annotations": [], **message},
                "logprobs": None,
                "finish_reason": finish,
            }
        ],
        "usage": counted if usage is None else usage,
        "service_tier": "default",
        "system_fingerprint": "fp_1",
    }


def chat_chunk(delta: Any, *, finish: str | None = None, **top: Any) -> bytes:
    return event(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "model": "gpt-5-mini-2025-08-07",
            "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}],
            "usage": None,
            **top,
        }
    )


def _chat_events(pieces: Sequence[str]) -> list[bytes]:
    return [
        b": keep-alive\n\n",
        chat_chunk({"role": "assistant", "content": "", "refusal": None}),
        *[chat_chunk({"content": piece}) for piece in pieces],
        chat_chunk({}, finish="stop"),
        chat_chunk({}, choices=[], usage=chat("")["usage"]),
        event("[DONE]"),
    ]


OPENAI = Service(
    kind="openai",
    name="openai",
    model="gpt-5-mini",
    base="/v1",
    wire=lambda spec: openai.ChatCompletions(spec, read_options(spec, openai.Options)),
    key_headers=("authorization", "Bearer "),
    wrong=_wrong_chat,
    error=lambda status, kind, text: {"error": {"message": text, "type": kind, "param": None, "code": None}},
    answer=chat,
    events=_chat_events,
)
