"""Anthropic's Messages API, also where Google's Vertex serves it."""

from collections.abc import Iterable

from evalh_trace.records import Json
from evalh_trace.wires.reading import (
    Fields,
    added,
    at,
    count,
    dicts_at,
    finish,
    media,
    media_at,
    message,
    rest_of,
    settings,
    text_at,
    tool,
    tool_call,
    tool_result,
    usage,
)

_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "refusal",
}
_NOT_PARAMS = ("model", "messages", "system", "tools", "stream", "output_config", "output_format", "anthropic_version")


def request_fields(body: Json, path: str = "") -> Fields:
    """Return `settings` and `messages` of a Call."""
    params = rest_of(body, _NOT_PARAMS)
    if "stop_sequences" in params:
        params["stop"] = params.pop("stop_sequences")
    output = at(body, "output_config")
    if isinstance(output, dict) and (other := rest_of(output, ("format",))):
        params["output_config"] = other
    schema = at(output, "format", "schema") or at(body, "output_format", "schema")
    return {
        "settings": settings(
            model=at(body, "model") or (path.rpartition("/")[2].partition(":")[0] if ":" in path else None),
            params=params,
            tools=[
                tool(one.get("name"), one.get("description"), one.get("input_schema"))
                for one in dicts_at(body, "tools")
            ],
            stream=at(body, "stream") is True,
            json_output=schema is not None,
            output_schema=schema,
        ),
        "messages": [*_system(body), *_messages(body)],
    }


def _system(body: Json) -> list[Json]:
    system = at(body, "system")
    if isinstance(system, str):
        return [message("system", [system])]
    return [message("system", [text]) for one in dicts_at(body, "system") if (text := text_at(one, "text"))]


def _messages(body: Json) -> list[Json]:
    """Return the conversation; results of tools, which stand in a user's message there, are messages of their own."""
    said: list[Json] = []
    names: dict[str, Json] = {}  # of called tools, by id
    for one in dicts_at(body, "messages"):
        role = "assistant" if one.get("role") == "assistant" else "user"
        if isinstance(one.get("content"), str):
            said.append(message(role, [one["content"]]))
            continue
        parts: list[Json] = []
        results: list[Json] = []
        for block in dicts_at(one, "content"):
            if block.get("type") == "tool_result":
                id_ = block.get("tool_use_id")
                name = names.get(id_) if isinstance(id_, str) else None
                results.append(tool_result(id_, name, block.get("content")))
            elif (part := _part(block)) is not None:
                parts.append(part)
                if isinstance(part, dict) and "tool_call" in part:
                    names[part["tool_call"]["id"]] = part["tool_call"]["name"]
        said += [message("tool", results)] if results else []
        said += [message(role, parts)] if parts or not results else []
    return said


def _part(block: Json) -> Json:
    kind, source = text_at(block, "type"), block.get("source")
    if kind == "text":
        return text_at(block, "text")
    if kind == "tool_use":
        return {"tool_call": tool_call(block.get("id"), block.get("name"), block.get("input"))}
    if kind in {"thinking", "redacted_thinking"}:
        return None
    if kind not in {"image", "document"}:
        return {"media": {"content_type": kind}}
    if at(source, "type") == "text":
        return text_at(source, "data")
    url = at(source, "url")
    return media_at(url) if isinstance(url, str) else media(at(source, "data"), at(source, "media_type"))


def answer_fields(body: Json) -> Fields:
    """Return the fields of an Attempt. Anthropic's `input_tokens` leaves out the cache's: here all are counted."""
    blocks = dicts_at(body, "content")
    calls = [
        tool_call(one.get("id"), one.get("name"), one.get("input")) for one in blocks if one.get("type") == "tool_use"
    ]
    thoughts = [text for one in blocks if (text := text_at(one, "thinking"))]
    counts = at(body, "usage")
    fresh, read = at(counts, "input_tokens"), at(counts, "cache_read_input_tokens")
    taken = None if fresh is None else added(fresh, read, at(counts, "cache_creation_input_tokens"))
    return {
        "model_answered": text_at(body, "model"),
        "finish": finish(_FINISH, at(body, "stop_reason"), called=False),
        "text": "".join(text for one in blocks if one.get("type") == "text" and (text := text_at(one, "text"))),
        "tool_calls": calls or None,
        "reasoning": "".join(thoughts) or None,
        **usage(
            taken,
            count(at(counts, "output_tokens")),
            count(read),
            count(at(counts, "output_tokens_details", "thinking_tokens")),
        ),
    }


def speaks(event: Json) -> bool:
    """Whether an event holds a piece of the answer."""
    delta = at(event, "delta")
    return at(event, "type") == "content_block_delta" and any(
        at(delta, name) for name in ("text", "partial_json", "thinking")
    )


def fold(events: Iterable[Json]) -> Json:
    """Put events together to the body of a whole answer."""
    body: Fields = {"content": []}
    blocks: dict[int, Fields] = {}
    pieces: dict[int, dict[str, list[str]]] = {}
    counts: Fields = {}
    counted = False  # the output's count at the beginning is but a start
    for event in events:
        index = count(at(event, "index")) or 0
        match at(event, "type"):
            case "message_start" if isinstance(at(event, "message"), dict):
                body |= event["message"]
                counts |= body["usage"] if isinstance(body.get("usage"), dict) else {}
            case "content_block_start" if isinstance(at(event, "content_block"), dict):
                blocks[index] = {**event["content_block"]}
            case "content_block_delta":
                _gather(pieces.setdefault(index, {}), at(event, "delta"))
            case "message_delta":
                body["stop_reason"] = at(event, "delta", "stop_reason") or body.get("stop_reason")
                if isinstance(latest := at(event, "usage"), dict):
                    counts |= {name: value for name, value in latest.items() if value is not None}
                    counted = counted or latest.get("output_tokens") is not None
            case "error":
                body["error"] = at(event, "error")
    body["usage"] = counts if counted else {**counts, "output_tokens": None}
    _fill(blocks, pieces)
    return {**body, "content": [blocks[index] for index in sorted(blocks)]}


def _gather(pieces: dict[str, list[str]], delta: Json) -> None:
    for name in ("text", "partial_json", "thinking"):
        if isinstance(piece := at(delta, name), str):
            pieces.setdefault(name, []).append(piece)


def _fill(blocks: dict[int, Fields], pieces: dict[int, dict[str, list[str]]]) -> None:
    """Put what has come in pieces into its blocks."""
    for index, said in pieces.items():
        block = blocks.setdefault(index, {"type": "text"})
        for name, texts in said.items():
            whole = "".join(texts)
            if name == "partial_json":
                block["input"] = whole
            else:
                block[name] = (text_at(block, name) or "") + whole
