"""Answers of each service that call two tools, whole and streamed."""

import json
from typing import Any

from wire.anthropic_service import message, message_events
from wire.gemini_service import content
from wire.openai_service import chat, chat_chunk
from wire.responses_service import called, response, response_events
from wire.service import Reply, Service, event


def calling(service: Service, *, stream: bool) -> Reply:
    first, second = '{"q": "7"}', '{"n": 12345678901234567890}'
    match service.name:
        case "openai":
            calls = [
                {"id": f"call_{i}", "type": "function", "function": {"name": name, "arguments": text}}
                for i, (name, text) in enumerate((("search", first), ("track", second)))
            ]
            return (
                Reply(chunks=_chat_calls(calls)) if stream else Reply(chat(None, finish="tool_calls", tool_calls=calls))
            )
        case "responses":
            calls = [called("search", first, "call_0"), called("track", second, "call_1")]
            return Reply(chunks=response_events([], *calls)) if stream else Reply(response(*calls))
        case "anthropic":
            blocks = [("toolu_1", "search", first), ("toolu_2", "track", second)]
            if stream:
                return Reply(chunks=_message_calls(blocks))
            uses = [{"type": "tool_use", "id": i, "name": n, "input": json.loads(text)} for i, n, text in blocks]
            return Reply(message("Looking.", *uses, finish="tool_use"))
        case _:
            parts = [
                {"functionCall": {"name": "search", "args": json.loads(first)}, "thoughtSignature": "c2lnbmF0dXJl"},
                {"functionCall": {"name": "track", "args": json.loads(second)}},
            ]
            if not stream:
                return Reply(content(*parts))
            return Reply(chunks=[event(content(parts[0], finish=None)), event(content(parts[1]))])


def _chat_calls(calls: list[Any]) -> list[bytes]:
    chunks = [chat_chunk({"role": "assistant", "content": None})]
    for index, call in enumerate(calls):
        begun = {**call, "function": {**call["function"], "arguments": ""}, "index": index}
        chunks.append(chat_chunk({"tool_calls": [begun]}))
        chunks += [
            chat_chunk({"tool_calls": [{"index": index, "function": {"arguments": letter}}]})
            for letter in call["function"]["arguments"]
        ]
    return [*chunks, chat_chunk({}, finish="tool_calls"), event("[DONE]")]


def _message_calls(blocks: list[tuple[str, str, str]]) -> list[bytes]:
    starts = [({"type": "tool_use", "id": i, "name": name, "input": {}}, text) for i, name, text in blocks]
    deltas = [
        (start, [{"type": "input_json_delta", "partial_json": piece} for piece in ("", text[:4], text[4:])])
        for start, text in starts
    ]
    return message_events([({"type": "text", "text": ""}, []), *deltas], finish="tool_use")
