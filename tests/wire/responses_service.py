"""OpenAI's Responses as documented. It reads a request as strictly as the real service, and refuses in its shape."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from evalh.providers.openai import chat as openai
from evalh.providers.openai.responses import Responses
from evalh.providers.registry import read_options
from wire.openai_service import OPENAI, not_strict
from wire.service import Service, at_path, event, is_base64, keyed, unknown
from wire.serving import Seen

_KNOWN = (
    "model input store max_output_tokens temperature top_p text tools tool_choice parallel_tool_calls reasoning include"
    " top_logprobs service_tier instructions metadata truncation stream stream_options prompt_cache_key"
)


def _wrong(seen: Seen) -> Iterator[str]:
    body = seen.body
    yield from keyed(seen, "authorization", "Bearer ")
    yield from at_path(seen, "/v1/responses")
    yield from wrong_body(body)


def wrong_body(body: Any) -> Iterator[str]:
    """Say what the service would refuse a body for; and one that it would keep, which evalh never asks for."""
    yield from unknown(body, _KNOWN, "body")
    if body.get("store") is not False:
        yield "store: the answer would be kept"
    if not isinstance(body.get("model"), str) or not body.get("input"):
        yield "you must provide a model parameter, and input"
    called: set[str] = set()
    for item in body["input"]:
        yield from _wrong_item(item, called)
    for tool in body.get("tools", ()):
        yield from unknown(tool, "type name description parameters strict", "tool")
        if tool["type"] != "function" or not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", tool["name"]):
            yield "a tool that is none"
        if tool.get("strict", True):
            yield from not_strict(tool["parameters"])
    yield from unknown(body.get("text", {}), "format verbosity", "text")
    yield from unknown(body.get("reasoning", {}), "effort summary", "reasoning")
    if "format" in body.get("text", {}):
        yield from _wrong_format(body["text"]["format"])


def _wrong_format(wanted: Any) -> Iterator[str]:
    match wanted:
        case {"type": "json_object", **rest} if not rest:
            pass
        case {"type": "json_schema", "name": name, "schema": schema, "strict": strict, **rest} if not rest:
            if not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name):
                yield "text.format.name"
            if strict:
                yield from not_strict(schema)
        case _:
            yield f"text.format: {wanted}"


def _wrong_item(item: Any, called: set[str]) -> Iterator[str]:
    match item:
        case {"type": "message", "role": "system" | "user" | "assistant", "content": str(), **rest} if not rest:
            pass
        case {"type": "message", "role": "user", "content": [*parts], **rest} if parts and not rest:
            for part in parts:
                yield from _wrong_part(part)
        case {"type": "function_call", "call_id": str(id_), "name": str(), "arguments": str(), **rest} if not rest:
            called.add(id_)
        case {"type": "function_call_output", "call_id": id_, "output": str(), **rest} if not rest:
            if id_ not in called:
                yield f"no tool call found for function call output with call_id {id_}"
        case _:
            yield f"an item that is none: {item}"


def _wrong_part(part: Any) -> Iterator[str]:
    match part:
        case {"type": "input_text", "text": str(), **rest} if not rest:
            pass
        case {"type": "input_image", "image_url": url, "detail": "auto", **rest} if not rest:
            found = re.fullmatch(r"data:image/(?:png|jpeg|gif|webp);base64,(.+)", url)
            if found is None or not is_base64(found[1]):
                yield "an image that is not base64"
        case {"type": "input_file", "filename": str(), "file_data": data, **rest} if not rest:
            if not data.startswith("data:application/pdf;base64,"):
                yield "a file that is none"
        case _:
            yield f"a part that is none: {part}"


def said(text: str, **more: Any) -> dict[str, Any]:
    """A message of an answer."""
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [part], **more}


def called(name: str, arguments: str, id_: str = "call_1") -> dict[str, Any]:
    """A tool call of an answer."""
    return {
        "type": "function_call",
        "id": f"fc_{id_}",
        "call_id": id_,
        "name": name,
        "arguments": arguments,
        "status": "completed",
    }


def refused(text: str) -> dict[str, Any]:
    """A refusal of an answer."""
    return said("") | {"content": [{"type": "refusal", "refusal": text}]}


THOUGHT = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAAB"}


def response(*output: Any, usage: Any = None, **top: Any) -> Any:
    """A response as documented, after some reasoning."""
    counted = {
        "input_tokens": 20,
        "input_tokens_details": {"cached_tokens": 12, "cache_write_tokens": 0},
        "output_tokens": 9,
        "output_tokens_details": {"reasoning_tokens": 4},
        "total_tokens": 29,
    }
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1741569952,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "model": "gpt-5-mini-2025-08-07",
        "output": [THOUGHT, *output],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "store": False,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "usage": counted if usage is None else usage,
        "service_tier": "default",
        "metadata": {},
        **top,
    }


def response_events(pieces: Sequence[str], *items: Any, last: Any = None) -> list[bytes]:
    """A streamed response: a text in pieces, and items that come whole after it; `last`: the end, if another."""
    begun = response(status="in_progress", output=[], usage=None) | {"usage": None, "service_tier": "auto"}
    whole = [*([said("".join(pieces))] if pieces else []), *items]
    events: list[Any] = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
        {"type": "response.output_item.added", "output_index": 0, "item": THOUGHT},
        {"type": "response.output_item.done", "output_index": 0, "item": THOUGHT},
    ]
    for index, item in enumerate(whole, 1):
        place = {"output_index": index, "item_id": item["id"]}
        if item["type"] == "message":
            events.append({"type": "response.output_item.added", "output_index": index, "item": item | {"content": []}})
            events.append(
                {"type": "response.content_part.added", **place, "content_index": 0, "part": said("")["content"][0]}
            )
            events += [
                {"type": "response.output_text.delta", **place, "content_index": 0, "delta": piece, "logprobs": []}
                for piece in (pieces if index == 1 and pieces else [item["content"][0].get("text", "")])
            ]
        else:
            events.append(
                {"type": "response.output_item.added", "output_index": index, "item": item | {"arguments": ""}}
            )
            events += [
                {"type": "response.function_call_arguments.delta", **place, "delta": letter}
                for letter in item["arguments"]
            ]
        events.append({"type": "response.output_item.done", "output_index": index, "item": item})
    events.append(last or {"type": "response.completed", "response": response(*whole)})
    return [event(one | {"sequence_number": number}, one["type"]) for number, one in enumerate(events)]


RESPONSES = Service(
    kind="openai",
    name="responses",
    model="gpt-5-mini",
    base="/v1",
    wire=lambda spec: Responses(read_options(spec, openai.Options)),
    key_headers=("authorization", "Bearer "),
    wrong=_wrong,
    error=OPENAI.error,
    answer=lambda text: response(said(text)),
    events=response_events,
)
