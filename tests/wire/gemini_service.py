"""Gemini's generateContent as documented. It reads a request as strictly as the real service, and refuses in its shape."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from evalh.providers.gemini import generate as gemini
from evalh.providers.registry import read_options
from wire.service import Service, event, is_base64, keyed, unknown
from wire.serving import Seen

_CONTENT = "contents systemInstruction generationConfig tools toolConfig safetySettings cachedContent serviceTier"
_CONFIG = (
    "temperature topP topK maxOutputTokens stopSequences seed responseMimeType responseJsonSchema thinkingConfig"
    " frequencyPenalty presencePenalty responseLogprobs"
)


def _wrong_content(seen: Seen) -> Iterator[str]:
    body = seen.body
    yield from keyed(seen, "x-goog-api-key")
    path = re.fullmatch(r"/v1beta/models/[a-z0-9.-]+:(generateContent|streamGenerateContent)", seen.path)
    if path is None or (path[1] == "streamGenerateContent") != (seen.query == "alt=sse"):
        yield f"no such path {seen.path}?{seen.query}"
    yield from wrong_content_body(body, signed="gemini-3" in seen.path or "latest" in seen.path)


def wrong_content_body(body: Any, *, signed: bool = False) -> Iterator[str]:
    """Say what the service would refuse a body for."""
    yield from unknown(body, _CONTENT, "Unknown name")
    config = body.get("generationConfig", {})
    yield from unknown(config, _CONFIG, "Unknown name at generation_config")
    if "responseJsonSchema" in config and config.get("responseMimeType") != "application/json":
        yield "response_mime_type must be application/json"
    if not isinstance(config.get("stopSequences", []), list):
        yield "stopSequences is not a list"
    if not body.get("contents"):
        yield "contents is not specified"
    called: list[str] = []
    for turn in body["contents"]:
        yield from _wrong_content_turn(turn, called, signed=signed)
    for tool in body.get("tools", ()):
        for declared in tool["functionDeclarations"]:
            yield from unknown(declared, "name description parametersJsonSchema", "function_declarations")
    for part in body.get("systemInstruction", {}).get("parts", ()):
        if set(part) != {"text"}:
            yield "a system instruction is text"


def _wrong_content_turn(turn: Any, called: list[str], *, signed: bool) -> Iterator[str]:
    calls: list[str] = []
    results: list[str] = []
    for part in turn["parts"]:
        match turn["role"], part:
            case "user" | "model", {"text": str()}:
                pass
            case "user", {"inlineData": {"mimeType": str(), "data": data}} if is_base64(data):
                pass
            case "user", {"functionResponse": {"name": name, "response": dict()}}:
                results.append(name)
            case "model", {"functionCall": {"name": name, "args": dict()}}:
                if signed and not calls and "thoughtSignature" not in part:
                    yield "Function call is missing a thought_signature in functionCall parts"
                calls.append(name)
            case _:
                yield f"contents: {turn['role']}: {part}"
    if not turn["parts"]:
        yield "contents.parts must not be empty"
    if results != called:
        yield "the number of function response parts is not equal to the number of function call parts"
    called[:] = calls


def content(*parts: Any, finish: str | None = "STOP", usage: Any = None, **top: Any) -> Any:
    """A generated content as documented."""
    said = [{"text": part} if isinstance(part, str) else part for part in parts]
    counted = {
        "promptTokenCount": 20,
        "cachedContentTokenCount": 12,
        "candidatesTokenCount": 5,
        "thoughtsTokenCount": 4,
        "totalTokenCount": 29,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 20}],
    }
    candidate = {"content": {"parts": said, "role": "model"}, "index": 0}
    return {
        "candidates": [candidate | ({"finishReason": finish} if finish else {})],
        "usageMetadata": counted if usage is None else usage,
        "modelVersion": "gemini-2.5-flash",
        "responseId": "resp-1",
        **top,
    }


def _content_events(pieces: Sequence[str]) -> list[bytes]:
    last = len(pieces) - 1
    early = {"promptTokenCount": 20, "totalTokenCount": 20}
    return [
        event(content({"text": "thinking", "thought": True}, finish=None, usage=early)),
        *[
            event(content(piece, finish="STOP" if i == last else None, usage=None if i == last else early))
            for i, piece in enumerate(pieces)
        ],
    ]


GEMINI = Service(
    kind="gemini",
    name="gemini",
    model="gemini-2.5-flash",
    base="/v1beta",
    wire=lambda spec: gemini.GenerateContent(spec, read_options(spec, gemini.Options)),
    key_headers=("x-goog-api-key", ""),
    wrong=_wrong_content,
    error=lambda status, kind, text: {"error": {"code": status, "message": text, "status": kind}},
    answer=content,
    events=_content_events,
)
