"""What all wires share: reading hostile JSON field by field. What cannot be read is unknown, and never an error."""

from base64 import b64decode
from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from typing import TypeAlias

import msgspec

from evalh_trace.records import Json

Fields: TypeAlias = dict[str, Json]
"""Values of a record by the names of its fields."""

MOST_TOKENS = 10**9
"""No request takes more tokens; a larger number is not a count."""


class Wire(msgspec.Struct, frozen=True, kw_only=True):
    """One API: how its bodies become the fields of records. All functions take any JSON, and never raise for it."""

    name: str
    provider: str
    operation: str  # chat, completion, embedding
    request_fields: Callable[[Json, str], Fields]  # body and URL path -> settings and messages of a Call
    answer_fields: Callable[[Json], Fields]  # body -> fields of an Attempt
    fold: Callable[[Iterable[Json]], Json]  # the events of a stream -> the body that the same answer would have
    speaks: Callable[[Json], bool]  # whether an event holds a piece of the answer: time to first token

    def stream_fields(self, events: Iterable[Json]) -> Fields:
        """Return the fields of an Attempt from the events of a stream."""
        return self.answer_fields(self.fold(events))


def at(document: Json, *path: str | int) -> Json:
    """Return what stands at a path of a JSON value; None where nothing does."""
    for step in path:
        if isinstance(document, dict):
            document = document.get(step)
        elif isinstance(document, list) and isinstance(step, int) and -len(document) <= step < len(document):
            document = document[step]
        else:
            return None
    return document


def text_at(document: Json, *path: str | int) -> str | None:
    """Return the text at a path; None where there is none."""
    value = at(document, *path)
    return value if isinstance(value, str) else None


def list_at(document: Json, *path: str | int) -> list[Json]:
    """Return the list at a path; empty where there is none."""
    value = at(document, *path)
    return value if isinstance(value, list) else []


def dicts_at(document: Json, *path: str | int) -> list[dict[str, Json]]:
    """Return the objects of the list at a path."""
    return [one for one in list_at(document, *path) if isinstance(one, dict)]


def count(value: Json) -> int | None:
    """Read a number of tokens; None for what is not a whole number that can be."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MOST_TOKENS:
        return None
    return int(value) if value == int(value) else None


def added(*values: Json) -> int | None:
    """Add up counts, where what is left out is 0; None if none is there or one cannot be read."""
    said = [value for value in values if value is not None]
    counts = [one for one in map(count, said) if one is not None]
    return sum(counts) if said and len(counts) == len(said) else None


def usage(taken: int | None, given: int | None, cached: int | None, reasoned: int | None) -> Fields:
    """Return the counts as fields; all unknown where they contradict each other, since half of it would read as cheap.

    `taken` has the cached ones in it, `given` those of reasoning.
    """
    if (taken is not None and (cached or 0) > taken) or (given is not None and (reasoned or 0) > given):
        taken = given = cached = reasoned = None
    return {
        "input_tokens": taken,
        "output_tokens": given,
        "cached_tokens": cached,
        "reasoning_tokens": reasoned,
    }


def settings(
    *,
    model: Json,
    params: Mapping[str, Json],
    tools: list[Json],
    stream: bool,
    json_output: bool = False,
    output_schema: Json = None,
) -> Fields:
    """Return a request's settings in the log's form."""
    return {
        "model": model[:200] if isinstance(model, str) else None,
        "params": dict(params),
        "tools": tools,
        "json_output": json_output,
        "output_schema": output_schema,
        "stream": stream,
    }


def tool(name: Json, description: Json, parameters: Json) -> Fields:
    """Return a tool that the model may call, in the log's form."""
    return {
        "name": name if isinstance(name, str) else "",
        "description": description if isinstance(description, str) else "",
        "parameters": parameters if isinstance(parameters, dict) else {},
    }


def tool_call(id_: Json, name: Json, arguments: Json) -> Fields:
    """Return a call of a tool; arguments that are sent as an object become their JSON text."""
    if not isinstance(arguments, str):
        arguments = "{}" if arguments is None else msgspec.json.encode(arguments).decode()
    return {
        "id": id_ if isinstance(id_, str) else "",
        "name": name if isinstance(name, str) else "",
        "arguments": arguments,
    }


def tool_result(call_id: Json, name: Json, content: Json) -> Fields:
    """Return what a tool gave, as a part of a message; content that is not text becomes its JSON text."""
    if isinstance(content, list) and content and all(isinstance(text_at(part, "text"), str) for part in content):
        content = "".join(part["text"] for part in content)
    elif not isinstance(content, str):
        content = "" if content is None else msgspec.json.encode(content).decode()
    return {
        "tool_result": {
            "call_id": call_id if isinstance(call_id, str) else "",
            "name": name if isinstance(name, str) else "",
            "content": content,
        }
    }


def media(data: Json, content_type: Json) -> Fields:
    """Return an image or a file as its digest and type: its bytes are never kept."""
    text = data if isinstance(data, str) else ""
    try:
        raw = b64decode(text)
    except ValueError:
        raw = text.encode("utf-8", "replace")
    kind = content_type if isinstance(content_type, str) else None
    return {"media": {"sha256": sha256(raw).hexdigest(), "content_type": kind}}


def media_at(url: Json, content_type: str | None = None) -> Fields:
    """Return media that a URL names: a data URL holds it; of any other the query is left out, for it may be signed."""
    text = url if isinstance(url, str) else ""
    if text.startswith("data:"):
        head, _, data = text[5:].partition(",")
        return media(data, head.partition(";")[0] or content_type)
    scheme, mark, rest = text.partition("?")[0].partition("#")[0].partition("://")
    host, slash, path = rest.partition("/")
    return {"media": {"url": scheme + mark + host.rpartition("@")[2] + slash + path, "content_type": content_type}}


def message(role: str, parts: Iterable[Json]) -> Fields:
    """Return one message in the log's form."""
    return {"role": role, "parts": list(parts)}


def finish(words: Mapping[str, str], word: Json, *, called: bool) -> str | None:
    """Read an API's finish reason; None where it says none. A forced tool call ends like any answer there."""
    if not isinstance(word, str):
        return None
    known = words.get(word, "other")
    return "tool_calls" if called and known == "stop" else known


def rest_of(body: Json, known: Iterable[str]) -> Fields:
    """Return the fields of a body that are none of these: its params."""
    names = frozenset(known)
    return {name: value for name, value in body.items() if name not in names} if isinstance(body, dict) else {}
