"""What an attempt asked and what was answered, under the conventions' names."""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from evalh.core.attempt import Completion, Purpose
from evalh.core.log import AttemptRow, CallRow
from evalh.core.strict_json import JsonValue
from evalh.interop import otel_values as names
from evalh.providers.registry import traits_of


def request_attributes(attempt: AttemptRow, call: CallRow) -> dict[str, JsonValue]:
    """Return what is known of a request. The log keeps a model's settings for the one that a call asks first."""
    attributes: dict[str, JsonValue] = {
        names.OPERATION: names.EMBEDDINGS if call.purpose == Purpose.EMBEDDING else names.CHAT,
        names.PROVIDER: traits_of(attempt.provider).otel_name or attempt.provider,
    }
    first = call.attempts[0]
    if first.reason != "first" or attempt.model != first.model:
        return attributes
    settings = call.settings
    attributes[names.REQUEST_MODEL] = settings.get("model")
    attributes[names.REQUEST_STREAM] = settings.get("stream") or None
    attributes[names.OUTPUT_TYPE] = "json" if settings.get("json_output") or settings.get("output_schema") else None
    attributes.update(_parameters(settings.get("params") or {}))
    attributes.update(_server((settings.get("sent_to") or {}).get("base_url")))
    return attributes


def answer_attributes(attempt: AttemptRow) -> dict[str, JsonValue]:
    """Return how an attempt ended: tokens, price, and what the model calls itself."""
    completion, usage = attempt.completion, attempt.usage
    attributes: dict[str, JsonValue] = {
        "evalh.attempt.id": attempt.id,
        "evalh.attempt.reason": attempt.reason,
        "evalh.model": attempt.model,
        "evalh.request.digest": attempt.request_digest,
        "evalh.provider.request_id": attempt.request_id,
        "evalh.cost.usd": usd(attempt.cost_usd),
        "evalh.cost.estimated": attempt.estimated or None,
        names.HTTP_STATUS: attempt.http_status,
        names.INPUT_TOKENS: usage.input_tokens,
        names.OUTPUT_TOKENS: usage.output_tokens,
        names.CACHE_READ_TOKENS: usage.cached_tokens,
        names.REASONING_TOKENS: usage.reasoning_tokens,
    }
    if completion is not None:
        attributes[names.RESPONSE_MODEL] = completion.model
        attributes[names.RESPONSE_FINISH_REASONS] = [str(completion.finish)]
        attributes[names.TIME_TO_FIRST_CHUNK] = None if completion.ttft_ms is None else completion.ttft_ms / 1000.0
    return attributes


def usd(amount: Decimal | None) -> float | None:
    """Return an amount as a double; None if unknown."""
    return None if amount is None else float(amount)


# -- content: left out unless asked for


def sent_messages(attempt: AttemptRow, call: CallRow) -> str | None:
    """Return what was sent as the conventions' JSON; None if the process died before it was stored."""
    messages = attempt.messages if attempt.messages is not None else call.messages
    if messages is None:
        return None
    asked = [{"role": one["role"], "parts": [_part(part) for part in one["parts"]]} for one in messages]
    return json.dumps(asked, ensure_ascii=False)


def answered_messages(completion: Completion | None) -> str | None:
    """Return what was answered as the conventions' JSON; None: nothing was."""
    if completion is None:
        return None
    parts: list[dict[str, Any]] = [{"type": "text", "content": completion.text}] if completion.text else []
    parts += [_tool_call(call.id, call.name, call.arguments) for call in completion.tool_calls]
    finish = names.FINISH_IN_MESSAGES.get(str(completion.finish), str(completion.finish))
    return json.dumps([{"role": "assistant", "parts": parts, "finish_reason": finish}], ensure_ascii=False)


def _part(part: JsonValue) -> dict[str, Any]:
    match part:
        case str():
            return {"type": "text", "content": part}
        case {"tool_call": call}:
            return _tool_call(call["id"], call["name"], call["arguments"])
        case {"tool_result": result}:
            return {"type": "tool_call_response", "id": result["call_id"], "result": result["content"]}
        case {"media": media}:  # the log knows it by its digest
            return {"type": "media", "sha256": media["sha256"], "mime_type": media["content_type"]}
        case _:
            return {"type": "other", "content": part}


def _tool_call(call_id: str, name: str, arguments: str) -> dict[str, Any]:
    try:
        value = json.loads(arguments)
    except ValueError:
        value = arguments  # what the model wrote, though it is not JSON
    return {"type": "tool_call", "id": call_id, "name": name, "arguments": value}


def _parameters(params: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    attributes: dict[str, JsonValue] = {}
    for name, value in params.items():
        if isinstance(value, bool):
            continue
        if name in names.DOUBLES and isinstance(value, int | float):
            attributes[names.DOUBLES[name]] = float(value)
        elif name in names.INTEGERS and isinstance(value, int):
            attributes[names.INTEGERS[name]] = value
        elif name == "stop" and isinstance(value, list | str):
            attributes[names.STOP_SEQUENCES] = [value] if isinstance(value, str) else value
    return attributes


def _server(base_url: str | None) -> dict[str, JsonValue]:
    try:
        parts = urlsplit(base_url or "")
        port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    except ValueError:
        return {}
    return {names.SERVER_ADDRESS: parts.hostname, names.SERVER_PORT: port} if parts.hostname else {}
