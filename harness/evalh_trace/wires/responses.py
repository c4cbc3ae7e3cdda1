"""OpenAI's Responses API."""

from collections.abc import Iterable

from evalh_trace.records import Json
from evalh_trace.wires.reading import (
    Fields,
    at,
    count,
    dicts_at,
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

_ROLES = {"system": "system", "developer": "system", "assistant": "assistant"}
_NOT_PARAMS = ("model", "input", "instructions", "tools", "stream", "stream_options", "text")
_PIECES = ("response.output_text.delta", "response.function_call_arguments.delta")
_WHOLE = ("response.completed", "response.incomplete", "response.failed")


def request_fields(body: Json, path: str = "") -> Fields:  # noqa: ARG001 (every wire's)
    """Return `settings` and `messages` of a Call."""
    params = rest_of(body, _NOT_PARAMS)
    if "max_output_tokens" in params:
        params["max_tokens"] = params.pop("max_output_tokens")
    form = text_at(body, "text", "format", "type")
    return {
        "settings": settings(
            model=at(body, "model"),
            params=params,
            tools=[
                tool(one.get("name") or one.get("type"), one.get("description"), one.get("parameters"))
                for one in dicts_at(body, "tools")
            ],
            stream=at(body, "stream") is True,
            json_output=form in {"json_object", "json_schema"},
            output_schema=at(body, "text", "format", "schema"),
        ),
        "messages": _messages(body),
    }


def _messages(body: Json) -> list[Json]:
    said: list[Json] = []
    names: dict[str, Json] = {}  # of called tools, by id
    if isinstance(instructions := at(body, "instructions"), str):
        said.append(message("system", [instructions]))
    given = at(body, "input")
    if isinstance(given, str):
        return [*said, message("user", [given])]
    for item in dicts_at(body, "input"):
        kind = item.get("type")
        if kind == "function_call":
            call = tool_call(item.get("call_id"), item.get("name"), item.get("arguments"))
            names[call["id"]] = call["name"]
            said.append(message("assistant", [{"tool_call": call}]))
        elif kind == "function_call_output":
            id_ = item.get("call_id")
            name = names.get(id_) if isinstance(id_, str) else None
            said.append(message("tool", [tool_result(id_, name, item.get("output"))]))
        elif "role" in item:
            role = item["role"]
            said.append(message(_ROLES.get(role, "user") if isinstance(role, str) else "user", _parts(item)))
    return said


def _parts(item: Json) -> list[Json]:
    content = at(item, "content")
    if isinstance(content, str):
        return [content]
    parts: list[Json] = []
    for part in dicts_at(item, "content"):
        if isinstance(text := part.get("text", part.get("refusal")), str):
            parts.append(text)
        elif part.get("type") == "input_image":
            parts.append(media_at(part.get("image_url")))
        elif part.get("type") == "input_file":
            parts.append(media_at(part.get("file_data") or part.get("file_url")))
        elif part.get("type") == "input_audio":
            parts.append(media(at(part, "input_audio", "data"), None))
        else:
            parts.append({"media": {"content_type": text_at(part, "type")}})
    return parts


def answer_fields(body: Json) -> Fields:
    """Return the fields of an Attempt."""
    texts: list[str] = []
    refusals: list[str] = []
    thoughts: list[str] = []
    calls: list[Fields] = []
    for item in dicts_at(body, "output"):
        if item.get("type") == "function_call":
            calls.append(tool_call(item.get("call_id"), item.get("name"), item.get("arguments")))
        elif item.get("type") == "reasoning":
            thoughts += [text for one in dicts_at(item, "summary") if (text := text_at(one, "text"))]
        for part in dicts_at(item, "content") if item.get("type") == "message" else ():
            texts += [text] if (text := text_at(part, "text")) else []
            refusals += [text] if (text := text_at(part, "refusal")) else []
    counts = at(body, "usage")
    return {
        "model_answered": text_at(body, "model"),
        "finish": _finish(body, called=bool(calls), refused=bool(refusals) and not texts),
        "text": "".join(texts or refusals),
        "tool_calls": calls or None,
        "reasoning": "\n\n".join(thoughts) or None,
        **usage(
            count(at(counts, "input_tokens")),
            count(at(counts, "output_tokens")),
            count(at(counts, "input_tokens_details", "cached_tokens")),
            count(at(counts, "output_tokens_details", "reasoning_tokens")),
        ),
    }


def _finish(body: Json, *, called: bool, refused: bool) -> str | None:
    if refused:
        return "refusal"
    match at(body, "status"), at(body, "incomplete_details", "reason"):
        case "completed", _:
            return "tool_calls" if called else "stop"
        case "incomplete", "max_output_tokens":
            return "length"
        case "incomplete", "content_filter":
            return "content_filter"
        case (("incomplete" | "cancelled"), _):
            return "other"
    return None


def speaks(event: Json) -> bool:
    """Whether an event holds a piece of the answer."""
    kind = text_at(event, "type") or ""
    return kind.endswith(".delta") and bool(at(event, "delta"))


def fold(events: Iterable[Json]) -> Json:
    """Return the whole answer that the last event holds; of a stream that broke off, what its pieces say."""
    body: Fields = {}
    items: dict[int, Fields] = {}
    texts: dict[int, list[str]] = {}
    for event in events:
        kind, index = text_at(event, "type") or "", count(at(event, "output_index")) or 0
        response, item, piece = at(event, "response"), at(event, "item"), at(event, "delta")
        if kind in _WHOLE and isinstance(response, dict):
            return response
        if kind == "error":
            body["error"] = event
        elif kind == "response.created" and isinstance(response, dict):
            body = {**response}
        elif kind.startswith("response.output_item.") and isinstance(item, dict):
            items[index] = {**item}
        elif kind in _PIECES and isinstance(piece, str):
            texts.setdefault(index, []).append(piece)
    _fill(items, texts)
    return {**body, "output": [items[index] for index in sorted(items)]}


def _fill(items: dict[int, Fields], texts: dict[int, list[str]]) -> None:
    """Put what has come in pieces into its items, where they did not come whole."""
    for index, pieces in texts.items():
        item = items.setdefault(index, {"type": "message"})
        if item.get("type") == "function_call":
            item["arguments"] = item.get("arguments") or "".join(pieces)
        elif not item.get("content"):
            item["content"] = [{"type": "output_text", "text": "".join(pieces)}]
