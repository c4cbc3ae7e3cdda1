"""Gemini's generateContent, of Google's two doors."""

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
    "STOP": "stop",
    "MAX_TOKENS": "length",
    **dict.fromkeys(("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"), "content_filter"),
    **dict.fromkeys(("IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION"), "content_filter"),
}
_NOT_PARAMS = ("contents", "systemInstruction", "system_instruction", "tools", "generationConfig", "model")
_PARAMS = {
    "maxOutputTokens": "max_tokens",
    "topP": "top_p",
    "topK": "top_k",
    "stopSequences": "stop",
    "candidateCount": "n",
    "presencePenalty": "presence_penalty",
    "frequencyPenalty": "frequency_penalty",
}
_FORM = ("responseMimeType", "responseJsonSchema", "responseSchema")


def request_fields(body: Json, path: str = "") -> Fields:
    """Return `settings` and `messages` of a Call. The model's name, and whether it streams, stand in the path."""
    config = at(body, "generationConfig")
    params = rest_of(body, _NOT_PARAMS)
    params |= {_PARAMS.get(name, name): value for name, value in rest_of(config, _FORM).items()}
    model, _, method = path.rpartition("/")[2].partition(":")
    schema = at(config, "responseJsonSchema") or at(config, "responseSchema")
    return {
        "settings": settings(
            model=model or text_at(body, "model"),
            params=params,
            tools=[
                tool(one.get("name"), one.get("description"), one.get("parametersJsonSchema") or one.get("parameters"))
                for group in dicts_at(body, "tools")
                for one in dicts_at(group, "functionDeclarations")
            ],
            stream=method.startswith("stream"),
            json_output=at(config, "responseMimeType") == "application/json",
            output_schema=schema,
        ),
        "messages": [*_system(body), *_messages(body)],
    }


def _system(body: Json) -> list[Json]:
    system = at(body, "systemInstruction") or at(body, "system_instruction")
    return [message("system", [text]) for one in dicts_at(system, "parts") if (text := text_at(one, "text"))]


def _messages(body: Json) -> list[Json]:
    said: list[Json] = []
    for one in dicts_at(body, "contents"):
        parts: list[Json] = []
        results: list[Json] = []
        for part in dicts_at(one, "parts"):
            given = part.get("functionResponse")
            if isinstance(given, dict):
                results.append(tool_result(given.get("id"), given.get("name"), given.get("response")))
            elif (read := _part(part)) is not None:
                parts.append(read)
        said += [message("tool", results)] if results else []
        if parts or not results:
            said.append(message("assistant" if one.get("role") == "model" else "user", parts))
    return said


def _part(part: Json) -> Json:
    if part.get("thought"):
        return None
    if isinstance(text := part.get("text"), str):
        return text
    if isinstance(call := part.get("functionCall"), dict):
        return {"tool_call": tool_call(call.get("id"), call.get("name"), call.get("args"))}
    if isinstance(data := part.get("inlineData"), dict):
        return media(data.get("data"), data.get("mimeType"))
    if isinstance(file := part.get("fileData"), dict):
        return media_at(file.get("fileUri"), text_at(file, "mimeType"))
    return None


def answer_fields(body: Json) -> Fields:
    """Return the fields of an Attempt: thoughts are output, results of server tools are input."""
    candidate = at(body, "candidates", 0)
    parts = dicts_at(candidate, "content", "parts")
    calls = [
        tool_call(at(part, "functionCall", "id") or f"call_{number}", call.get("name"), call.get("args"))
        for number, part in enumerate(one for one in parts if isinstance(one.get("functionCall"), dict))
        if isinstance(call := part["functionCall"], dict)
    ]
    end = finish(_FINISH, at(candidate, "finishReason"), called=bool(calls))
    if end is None and text_at(body, "promptFeedback", "blockReason"):
        end = "content_filter"
    counts = at(body, "usageMetadata")
    prompt, thoughts = at(counts, "promptTokenCount"), at(counts, "thoughtsTokenCount")
    return {
        "model_answered": text_at(body, "modelVersion"),
        "finish": end,
        "text": "".join(text for part in parts if not part.get("thought") and (text := text_at(part, "text"))),
        "tool_calls": calls or None,
        "reasoning": "".join(text for part in parts if part.get("thought") and (text := text_at(part, "text"))) or None,
        **usage(
            None if prompt is None else added(prompt, at(counts, "toolUsePromptTokenCount")),
            added(at(counts, "candidatesTokenCount"), thoughts),
            count(at(counts, "cachedContentTokenCount")),
            count(thoughts),
        ),
    }


def speaks(event: Json) -> bool:
    """Whether a piece holds some of the answer."""
    parts = dicts_at(event, "candidates", 0, "content", "parts")
    return any(part.get("text") or part.get("functionCall") for part in parts)


def fold(events: Iterable[Json]) -> Json:
    """Put the pieces of a stream together. Without `alt=sse` they come as one JSON list."""
    body: Fields = {}
    candidate: Fields = {}
    parts: list[Json] = []
    for event in events:
        for piece in event if isinstance(event, list) else (event,):
            if not isinstance(piece, dict):
                continue
            body |= {name: value for name, value in piece.items() if value is not None}
            if isinstance(first := at(piece, "candidates", 0), dict):
                candidate |= {name: value for name, value in first.items() if value is not None}
                parts += dicts_at(first, "content", "parts")
    if candidate:
        body["candidates"] = [{**candidate, "content": {"parts": parts}}]
    return body
