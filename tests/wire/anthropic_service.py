"""Anthropic's messages as documented. It reads a request as strictly as the real service, and refuses in its shape."""

from collections.abc import Iterator, Sequence
from typing import Any

from evalh.providers.anthropic import messages as anthropic
from evalh.providers.registry import read_options
from wire.service import Service, at_path, event, inner_schemas, is_base64, keyed, unknown
from wire.serving import Seen

_MESSAGES = (
    "model messages max_tokens system temperature top_p top_k stop_sequences tools tool_choice stream output_config"
    " thinking metadata service_tier"
)


def _wrong_messages(seen: Seen) -> Iterator[str]:
    body = seen.body
    yield from keyed(seen, "x-api-key")
    if seen.headers.get("anthropic-version") != "2023-06-01":
        yield "anthropic-version: header is required"
    yield from at_path(seen, "/v1/messages")
    yield from unknown(body, _MESSAGES, "body")
    if not isinstance(body.get("max_tokens"), int):
        yield "max_tokens: Field required"
    if not body.get("messages"):
        yield "messages: at least one message is required"
    system = body.get("system", "")
    if not isinstance(system, str) and not all(block["type"] == "text" and block["text"] for block in system):
        yield "system: text content blocks must be non-empty"
    called: set[str] = set()
    for message in body["messages"]:
        yield from _wrong_turn(message, called)
    yield from _wrong_output(body)


def _wrong_output(body: Any) -> Iterator[str]:
    for tool in body.get("tools", ()):
        yield from unknown(tool, "name description input_schema", "tools")
        if tool["input_schema"].get("type") != "object":
            yield "tools.0.input_schema.type: Input should be 'object'"
    output = body.get("output_config", {}).get("format")
    if output is not None:
        if output["type"] != "json_schema":
            yield "output_config.format.type"
        yield from _not_narrow(output["schema"])


def _wrong_turn(message: Any, called: set[str]) -> Iterator[str]:
    content = message["content"]
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    used: set[str] = set()
    given: set[str] = set()
    for block in blocks:
        match message["role"], block:
            case "user" | "assistant", {"type": "text", "text": str() as text} if text:
                pass
            case "user", {"type": "image", "source": {"type": "base64", "media_type": kind, "data": data}} if kind in (
                "image/png",
                "image/jpeg",
                "image/gif",
                "image/webp",
            ) and is_base64(data):
                pass
            case "user", {"type": "document", "source": {"type": "base64", "media_type": "application/pdf"}}:
                pass
            case "user", {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": str()}}:
                pass
            case "user", {"type": "tool_result", "tool_use_id": identifier, "content": str()}:
                given.add(identifier)
            case "assistant", {"type": "tool_use", "id": identifier, "name": str(), "input": dict()}:
                used.add(identifier)
            case _:
                yield f"messages: {message['role']}: {block}"
    if not blocks:
        yield "messages: content must not be empty"
    if given != called:
        yield f"each tool_use must have a single result in the next message: {sorted(called ^ given)}"
    called.clear()
    called.update(used)


def _not_narrow(schema: Any) -> Iterator[str]:
    """The limits of structured output."""
    if not {"type", "anyOf", "allOf", "$ref"} & set(schema):
        yield f"a schema without a type: {schema}"
    if not isinstance(schema.get("type", ""), str):
        yield "a list of types"
    if schema.get("type") == "object" and schema.get("additionalProperties") is not False:
        yield "For 'object' type, 'additionalProperties' must be explicitly set to false"
    known = "type enum const title default required anyOf allOf $ref $defs definitions properties items format"
    yield from unknown(schema, f"{known} additionalProperties minItems description", "output_config.format.schema")
    if schema.get("minItems", 0) > 1:
        yield "minItems: only 0 and 1 are supported"
    for inner in inner_schemas(schema):
        yield from _not_narrow(inner)


def message(*blocks: Any, finish: str = "end_turn", **usage: Any) -> Any:
    """A message as documented."""
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5-20250929",
        "content": [{"type": "text", "text": block} if isinstance(block, str) else block for block in blocks],
        "stop_reason": finish,
        "stop_sequence": None,
        "usage": {
            "input_tokens": 3,
            "cache_creation_input_tokens": 5,
            "cache_read_input_tokens": 12,
            "cache_creation": {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 4},
            "output_tokens": 9,
            "output_tokens_details": {"thinking_tokens": 4},
            "service_tier": "standard",
            **usage,
        },
    }


def message_events(blocks: Sequence[tuple[Any, Sequence[Any]]], *, finish: str = "end_turn") -> list[bytes]:
    """A message's events: each block as it starts, with its deltas."""
    begun = message(finish="end_turn") | {"content": [], "stop_reason": None}
    begun["usage"] = {**begun["usage"], "output_tokens": 1, "output_tokens_details": None}
    out = [event({"type": "message_start", "message": begun}, "message_start"), event({"type": "ping"}, "ping")]
    for index, (start, deltas) in enumerate(blocks):
        out.append(event({"type": "content_block_start", "index": index, "content_block": start}))
        out += [event({"type": "content_block_delta", "index": index, "delta": delta}) for delta in deltas]
        out.append(event({"type": "content_block_stop", "index": index}))
    usage = {"output_tokens": 9, "output_tokens_details": {"thinking_tokens": 4}}
    ended = {"type": "message_delta", "delta": {"stop_reason": finish, "stop_sequence": None}, "usage": usage}
    return [*out, event(ended, "message_delta"), event({"type": "message_stop"}, "message_stop")]


def _text_events(pieces: Sequence[str]) -> list[bytes]:
    deltas = [{"type": "text_delta", "text": piece} for piece in pieces]
    return message_events([({"type": "text", "text": ""}, deltas)])


ANTHROPIC = Service(
    kind="anthropic",
    name="anthropic",
    model="claude-sonnet-4-5",
    base="",
    wire=lambda spec: anthropic.Messages(read_options(spec, anthropic.Options)),
    key_headers=("x-api-key", ""),
    wrong=_wrong_messages,
    error=lambda status, kind, text: {
        "type": "error",
        "error": {"type": kind, "message": text},
        "request_id": "req_body",
    },
    answer=message,
    events=_text_events,
)
