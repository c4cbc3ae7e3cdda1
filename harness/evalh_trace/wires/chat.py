"""OpenAI's chat completions and its older completions, and every server that speaks them."""

from collections.abc import Iterable

from evalh_trace.records import Json
from evalh_trace.wires.reading import (
    Fields,
    at,
    count,
    dicts_at,
    finish,
    list_at,
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
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
_ROLES = {"system": "system", "developer": "system", "assistant": "assistant", "tool": "tool", "function": "tool"}
_NOT_PARAMS = ("model", "messages", "prompt", "tools", "functions", "stream", "stream_options", "response_format")
_MOST_CALLS = 1024  # tool calls of one answer: an index beyond is not one


def request_fields(body: Json, path: str = "") -> Fields:  # noqa: ARG001 (every wire's)
    """Return `settings` and `messages` of a Call."""
    params = rest_of(body, _NOT_PARAMS)
    if "max_completion_tokens" in params:
        params["max_tokens"] = params.pop("max_completion_tokens")
    tools = [
        tool(at(one, "function", "name"), at(one, "function", "description"), at(one, "function", "parameters"))
        for one in dicts_at(body, "tools")
        if isinstance(one.get("function"), dict)
    ] + [tool(one.get("name"), one.get("description"), one.get("parameters")) for one in dicts_at(body, "functions")]
    form = text_at(body, "response_format", "type")
    return {
        "settings": settings(
            model=at(body, "model"),
            params=params,
            tools=list(tools),
            stream=at(body, "stream") is True,
            json_output=form in {"json_object", "json_schema"},
            output_schema=at(body, "response_format", "json_schema", "schema"),
        ),
        "messages": _messages(body),
    }


def _messages(body: Json) -> list[Json]:
    if not isinstance(at(body, "messages"), list):
        prompts = at(body, "prompt")
        texts = prompts if isinstance(prompts, list) else [prompts]
        return [message("user", [text]) for text in texts if isinstance(text, str)]
    said: list[Json] = []
    names: dict[str, Json] = {}  # of called tools, by id
    for one in dicts_at(body, "messages"):
        role = _ROLES.get(text_at(one, "role") or "", "user")
        if role == "tool":
            id_ = one.get("tool_call_id")
            name = one.get("name") or (names.get(id_) if isinstance(id_, str) else None)
            said.append(message("tool", [tool_result(id_, name, one.get("content"))]))
            continue
        calls = _calls(one)
        names |= {call["id"]: call["name"] for call in calls}
        said.append(message(role, [*_parts(one.get("content")), *({"tool_call": call} for call in calls)]))
    return said


def _parts(content: Json) -> list[Json]:
    if isinstance(content, str):
        return [content]
    parts: list[Json] = []
    for part in content if isinstance(content, list) else []:
        if isinstance(part, str):
            parts.append(part)
        elif isinstance(text := at(part, "text"), str) or isinstance(text := at(part, "refusal"), str):
            parts.append(text)
        elif at(part, "type") == "image_url":
            image = at(part, "image_url")
            parts.append(media_at(at(image, "url") if isinstance(image, dict) else image))
        elif at(part, "type") == "input_audio":
            kind = text_at(part, "input_audio", "format")
            parts.append(media(at(part, "input_audio", "data"), kind and f"audio/{kind}"))
        elif isinstance(at(part, "file"), dict):
            parts.append(media_at(at(part, "file", "file_data")))
        elif isinstance(part, dict):
            parts.append({"media": {"content_type": text_at(part, "type")}})
    return parts


def _calls(said: Json) -> list[Fields]:
    calls = [
        tool_call(one.get("id"), at(one, "function", "name"), at(one, "function", "arguments"))
        for one in dicts_at(said, "tool_calls")
        if isinstance(one.get("function"), dict)
    ]
    old = at(said, "function_call")
    if not calls and isinstance(old, dict):
        calls.append(tool_call(None, old.get("name"), old.get("arguments")))
    return calls


def answer_fields(body: Json) -> Fields:
    """Return the fields of an Attempt: the first choice that says something."""
    choices = dicts_at(body, "choices")
    choice = next((one for one in choices if _says(one)), choices[0] if choices else {})
    said = at(choice, "message")
    text = (
        text_at(choice, "text") if said is None else "".join(p for p in _parts(at(said, "content")) if type(p) is str)
    )
    calls = _calls(said)
    end = finish(_FINISH, choice.get("finish_reason"), called=bool(calls))
    refusal = text_at(said, "refusal")
    if refusal and not text:
        text, end = refusal, "refusal"
    counts = at(body, "usage")
    return {
        "model_answered": text_at(body, "model"),
        "finish": end,
        "text": text,
        "tool_calls": calls or None,
        "reasoning": text_at(said, "reasoning_content") or text_at(said, "reasoning"),
        **usage(
            count(at(counts, "prompt_tokens")),
            count(at(counts, "completion_tokens")),
            count(at(counts, "prompt_tokens_details", "cached_tokens")),
            count(at(counts, "completion_tokens_details", "reasoning_tokens")),
        ),
    }


def _says(choice: Json) -> bool:
    said = at(choice, "message")
    return any((at(said, "content"), at(said, "refusal"), at(said, "tool_calls"), at(choice, "text")))


def speaks(event: Json) -> bool:
    """Whether a chunk holds a piece of the answer."""
    for choice in list_at(event, "choices"):
        delta = at(choice, "delta")
        names = ("content", "refusal", "tool_calls", "function_call", "reasoning_content", "reasoning")
        if any(at(delta, name) for name in names) or at(choice, "text"):
            return True
    return False


def fold(events: Iterable[Json]) -> Json:
    """Put chunks together to the body of a whole answer."""
    body: Fields = {"choices": []}
    growing: dict[int, _Growing] = {}
    for event in events:
        for name in ("model", "id", "usage", "error"):
            if at(event, name) is not None:
                body[name] = event[name]
        for choice in dicts_at(event, "choices"):
            growing.setdefault(count(choice.get("index")) or 0, _Growing()).add(choice)
    body["choices"] = [growing[index].choice() for index in sorted(growing)]
    return body


class _Growing:
    """One choice whose pieces are still arriving."""

    def __init__(self) -> None:
        self._texts: dict[str, list[str]] = {}
        self._calls: dict[int, dict[str, list[str]]] = {}
        self._finish: Json = None

    def add(self, choice: Json) -> None:
        delta = choice.get("delta") or choice.get("message") or {}
        for name in ("content", "refusal", "reasoning_content", "reasoning"):
            if isinstance(piece := at(delta, name), str):
                self._texts.setdefault(name, []).append(piece)
        if isinstance(piece := choice.get("text"), str):
            self._texts.setdefault("content", []).append(piece)
        for position, call in enumerate(dicts_at(delta, "tool_calls")):
            index = count(call.get("index"))
            index = position if index is None else index
            if index < _MOST_CALLS:
                self._add_call(index, call)
        if isinstance(old := at(delta, "function_call"), dict):
            self._add_call(0, {"function": old})
        self._finish = choice.get("finish_reason") or self._finish

    def _add_call(self, index: int, call: Json) -> None:
        pieces = self._calls.setdefault(index, {"id": [], "name": [], "arguments": []})
        if isinstance(id_ := call.get("id"), str) and id_:
            pieces["id"] = [id_]
        if isinstance(name := at(call, "function", "name"), str) and name:
            pieces["name"] = [name]
        if isinstance(piece := at(call, "function", "arguments"), str):
            pieces["arguments"].append(piece)

    def choice(self) -> Json:
        calls = [
            {
                "id": "".join(one["id"]),
                "function": {"name": "".join(one["name"]), "arguments": "".join(one["arguments"])},
            }
            for _, one in sorted(self._calls.items())
        ]
        said: Fields = {name: "".join(pieces) for name, pieces in self._texts.items()}
        return {"message": {**said, "tool_calls": calls}, "finish_reason": self._finish}
