"""Gemini's generateContent: what is its alone."""

import json
from typing import Any

import pytest

from evalh.core.attempt import ErrorKind, FinishReason, Logprobs, Usage
from evalh.core.errors import UsageError
from evalh.core.request import Media, Message, Role, Text, Tool, ToolCall, ToolResult
from wire.gemini_service import GEMINI, content
from wire.service import Reply, event
from wire.talking import at_home, spec_of, talking

ROUND = (
    Message.of(Role.USER, "Where?"),
    Message(Role.ASSISTANT, (Text("Hm."), ToolCall("c1", "search", '{"q": "7"}'), ToolCall("c2", "track", ""))),
    Message(Role.TOOL, (ToolResult("c1", "search", '{"found": 12345678901234567890}'),)),
    Message(Role.TOOL, (ToolResult("c2", "track", "[1]"),)),
)


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("STOP", FinishReason.STOP),
        ("MAX_TOKENS", FinishReason.LENGTH),
        ("SAFETY", FinishReason.CONTENT_FILTER),
        ("RECITATION", FinishReason.CONTENT_FILTER),
        ("BLOCKLIST", FinishReason.CONTENT_FILTER),
        ("PROHIBITED_CONTENT", FinishReason.CONTENT_FILTER),
        ("SPII", FinishReason.CONTENT_FILTER),
        ("IMAGE_SAFETY", FinishReason.CONTENT_FILTER),
        ("IMAGE_RECITATION", FinishReason.CONTENT_FILTER),
        ("LANGUAGE", FinishReason.OTHER),
        ("MALFORMED_FUNCTION_CALL", FinishReason.OTHER),
        ("OTHER", FinishReason.OTHER),
    ],
)
async def test_why_the_model_stopped(reason: str, finish: FinishReason) -> None:
    async with talking(GEMINI, Reply(content("partly", finish=reason))) as talk:
        answer = await talk.ask()

    assert (answer.text, answer.finish) == ("partly", finish)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_a_blocked_prompt_is_a_filtered_answer_with_its_price(stream: bool) -> None:
    blocked = {
        "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"},
        "usageMetadata": {"promptTokenCount": 20, "totalTokenCount": 20},
        "modelVersion": "gemini-2.5-flash",
    }
    async with talking(GEMINI, Reply(chunks=[event(blocked)]) if stream else Reply(blocked)) as talk:
        answer = await talk.ask(stream=stream)

    assert (answer.text, answer.finish) == ("", FinishReason.CONTENT_FILTER)
    assert answer.usage == Usage(20, 0, 0)


async def test_a_filtered_answer_without_content_is_an_answer() -> None:
    body = {"candidates": [{"finishReason": "SAFETY", "index": 0, "safetyRatings": []}], "usageMetadata": {}}
    async with talking(GEMINI, Reply(body)) as talk:
        answer = await talk.ask()

    assert (answer.text, answer.finish, answer.usage) == ("", FinishReason.CONTENT_FILTER, Usage())


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        ({"promptTokenCount": 20, "candidatesTokenCount": 5}, Usage(20, 5, 0)),
        ({"promptTokenCount": 20, "candidatesTokenCount": 5, "thoughtsTokenCount": 4}, Usage(20, 9, 0, 4)),
        ({"promptTokenCount": 20, "thoughtsTokenCount": 4}, Usage(20, 4, 0, 4)),
        ({"promptTokenCount": 20, "candidatesTokenCount": 5, "toolUsePromptTokenCount": 30}, Usage(50, 5, 0)),
        ({"promptTokenCount": 20, "candidatesTokenCount": 5, "cachedContentTokenCount": 8}, Usage(20, 5, 8)),
        ({}, Usage()),
    ],
    ids=["plain", "thoughts", "thoughts only", "tools", "cached", "none"],
)
async def test_thoughts_are_output_and_what_is_left_out_is_nothing(usage: Any, counted: Usage) -> None:
    async with talking(GEMINI, Reply(content("hi", usage=usage))) as talk:
        assert (await talk.ask()).usage == counted


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_thoughts_are_not_the_answer_nor_its_first_token(stream: bool) -> None:
    thought = {"text": "hm", "thought": True}
    chunks = [event(content(thought, finish=None)), event(content(thought, finish=None)), event(content("bug"))]
    async with talking(
        GEMINI, Reply(chunks=chunks, pause_s=0.05) if stream else Reply(content(thought, "bug"))
    ) as talk:
        answer = await talk.ask(stream=stream)

    assert answer.text == "bug"
    assert answer.ttft_ms is None if not stream else (answer.ttft_ms or 0.0) >= 100.0


async def test_streaming_has_a_path_and_a_query_of_its_own() -> None:
    async with talking(GEMINI) as talk:
        await talk.ask()
        await talk.ask(stream=True)

        asked = [(seen.path, seen.query) for seen in talk.server.seen]
    assert asked == [
        ("/v1beta/models/gemini-2.5-flash:generateContent", ""),
        ("/v1beta/models/gemini-2.5-flash:streamGenerateContent", "alt=sse"),
    ]


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("models/gemini_2.5_pro", "/models/gemini_2.5_pro:generateContent"),
        ("tunedModels/mine-1", "/tunedModels/mine-1:generateContent"),
        ("odd?name#x", "/models/odd%3Fname%23x:generateContent"),
    ],
)
async def test_a_models_name_is_a_path_and_nothing_more(model: str, path: str) -> None:
    async with at_home(GEMINI, model=model) as (talk, urls):
        await talk.failing()

    assert urls == [f"https://generativelanguage.googleapis.com/v1beta{path}"]


async def test_params_beside_the_generation_config_go_there() -> None:
    safety = [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]
    async with talking(GEMINI) as talk:
        await talk.ask(params={"safetySettings": safety, "seed": 7, "top_k": 3, "presence_penalty": 0.5})

    assert talk.sent["safetySettings"] == safety
    assert talk.sent["generationConfig"] == {"maxOutputTokens": 50, "seed": 7, "topK": 3, "presencePenalty": 0.5}


async def test_several_candidates_are_refused_by_name() -> None:
    async with talking(GEMINI) as talk:
        error = await talk.failing(params={"candidateCount": 2})
        assert talk.server.seen == []

    assert error.kind is ErrorKind.UNSUPPORTED
    assert "candidateCount" in error.message


async def test_system_texts_stand_apart() -> None:
    async with talking(GEMINI) as talk:
        await talk.ask(Message.of(Role.SYSTEM, "one"), Message.of(Role.SYSTEM, "two"), Message.of(Role.USER, "hello"))

    assert talk.sent["systemInstruction"] == {"parts": [{"text": "one"}, {"text": "two"}]}
    assert talk.sent["contents"] == [{"role": "user", "parts": [{"text": "hello"}]}]


async def test_all_results_of_one_round_stand_in_one_turn_as_objects() -> None:
    async with talking(GEMINI) as talk:
        await talk.ask(*ROUND)

    assert [turn["role"] for turn in talk.sent["contents"]] == ["user", "model", "user"]
    assert [part["functionResponse"] for part in talk.sent["contents"][2]["parts"]] == [
        {"id": "c1", "name": "search", "response": {"found": 12345678901234567890}},
        {"id": "c2", "name": "track", "response": {"output": "[1]"}},
    ]


@pytest.mark.parametrize("model", ["gemini-3-pro-preview", "gemini-3.5-flash", "gemini-flash-latest"])
async def test_calls_in_the_history_are_signed_for_models_that_refuse_them_unsigned(model: str) -> None:
    async with talking(GEMINI, model=model) as talk:
        assert (await talk.ask(*ROUND)).text == "hi"

    parts = talk.sent["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in parts] == [None, "skip_thought_signature_validator", None]


async def test_older_models_get_calls_as_they_were() -> None:
    async with talking(GEMINI) as talk:
        await talk.ask(*ROUND)

    assert "thoughtSignature" not in json.dumps(talk.sent)


async def test_calls_without_ids_get_ones_that_differ() -> None:
    calls = [{"functionCall": {"name": "now"}}, {"functionCall": {"name": "now", "args": {}}}]
    async with talking(GEMINI, Reply(content(*calls))) as talk:
        answer = await talk.ask(tools=(Tool("now", "The time.", {"type": "object"}),))

    assert answer.tool_calls == (ToolCall("call_0", "now", "{}"), ToolCall("call_1", "now", "{}"))


async def test_a_tools_listed_values_say_their_type() -> None:
    tool = Tool("sort", "Sort.", {"type": "object", "properties": {"by": {"enum": ["date", "size"]}}})
    async with talking(GEMINI) as talk:
        await talk.ask(tools=(tool,))

    declared = talk.sent["tools"][0]["functionDeclarations"][0]
    assert declared["parametersJsonSchema"]["properties"]["by"]["type"] == "string"


@pytest.mark.parametrize("content_type", ["image/heic", "audio/wav", "video/mp4", "text/csv", "application/pdf"])
async def test_media_of_many_kinds_go_along(content_type: str) -> None:
    async with talking(GEMINI) as talk:
        await talk.ask(Message(Role.USER, (Media.of(b"sound", content_type),)))

    assert talk.sent["contents"][0]["parts"] == [{"inlineData": {"mimeType": content_type, "data": "c291bmQ="}}]


async def test_a_system_message_amid_the_conversation_is_refused_by_name() -> None:
    async with talking(GEMINI) as talk:
        error = await talk.failing(Message.of(Role.USER, "hello"), Message.of(Role.SYSTEM, "Now be brief."))

    assert error.kind is ErrorKind.UNSUPPORTED
    assert "a system message after the conversation has begun" in error.message


async def test_either_of_googles_two_variables_holds_the_key() -> None:
    for variable in ("GEMINI_API_KEY", "GOOGLE_API_KEY"):
        model = GEMINI.build(spec_of(GEMINI, None, api_key_env=None), {variable: "AIza-0123456789"})
        await model.open()
        await model.close()
    with pytest.raises(UsageError, match="GEMINI_API_KEY or GOOGLE_API_KEY is not set"):
        await GEMINI.build(spec_of(GEMINI, None, api_key_env=None), {}).open()


def likely(text: str, *values: float, finish: str | None = "STOP", **more: Any) -> Any:
    document = content(text, finish=finish)
    chosen = [{"token": "x", "tokenId": 1, "logProbability": value} for value in values]
    document["candidates"][0] |= ({"logprobsResult": {"chosenCandidates": chosen}} if values else {}) | more
    return document


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_log_probabilities_are_asked_for_by_geminis_own_name(stream: bool) -> None:
    pieces = [event(likely("a", -0.5, finish=None)), event(likely("b", -0.25, -1.5))]
    reply = Reply(chunks=pieces) if stream else Reply(likely("ab", -0.5, -0.25, -1.5, avgLogprobs=-0.75))
    async with talking(GEMINI, reply) as talk:
        answer = await talk.ask(stream=stream, params={"logprobs": True})
        sent = talk.sent

    assert sent["generationConfig"]["responseLogprobs"] is True
    assert "logprobs" not in sent["generationConfig"]
    assert answer.text == "ab"
    assert answer.logprobs == Logprobs(-0.75, -1.5, 3)


async def test_an_average_alone_is_taken_as_the_mean() -> None:
    async with talking(GEMINI, Reply(likely("ab", avgLogprobs=-0.75))) as talk:
        answer = await talk.ask()

    assert answer.logprobs == Logprobs(-0.75)
