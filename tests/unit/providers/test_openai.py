"""OpenAI's chat completions, and what other servers make of them."""

import json
from typing import Any

import pytest
from aiohttp import web

from evalh.core.attempt import ErrorKind, FinishReason, Logprobs, Usage
from evalh.core.request import Media, Message, Role, Text, ToolCall
from wire.openai_service import OPENAI, chat, chat_chunk
from wire.service import Reply, event
from wire.serving import Seen, serving
from wire.talking import Talk, at_home, opened, talking


def streamed(*deltas: Any, finish: str = "stop") -> Reply:
    return Reply(chunks=[*map(chat_chunk, deltas), chat_chunk({}, finish=finish), event("[DONE]")])


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("stop", FinishReason.STOP),
        ("length", FinishReason.LENGTH),
        ("content_filter", FinishReason.CONTENT_FILTER),
        ("tool_calls", FinishReason.TOOL_CALLS),
        ("abort", FinishReason.OTHER),
        (None, FinishReason.OTHER),
    ],
)
async def test_why_the_model_stopped(reason: str | None, finish: FinishReason) -> None:
    async with talking(OPENAI, Reply(chat("partly", finish=reason))) as talk:  # type: ignore[arg-type]
        answer = await talk.ask()

    assert (answer.text, answer.finish) == ("partly", finish)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_a_refusal_is_an_answer_of_its_own_kind(stream: bool) -> None:
    said = "I'm sorry, I can't."
    reply = streamed({"refusal": said[:5]}, {"refusal": said[5:]}) if stream else Reply(chat(None, refusal=said))
    async with talking(OPENAI, reply) as talk:
        answer = await talk.ask(stream=stream)

    assert (answer.text, answer.finish) == (said, FinishReason.REFUSAL)


async def test_a_forced_tool_call_that_ends_with_stop_is_a_tool_call() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "search", "arguments": "{}"}}
    async with talking(OPENAI, Reply(chat(None, tool_calls=[call]))) as talk:
        answer = await talk.ask()

    assert answer.finish is FinishReason.TOOL_CALLS
    assert answer.tool_calls == (ToolCall("c1", "search", "{}"),)


OLD_CALL = {"name": "search", "arguments": '{"q": "a"}'}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("finish", ["function_call", "stop"])
async def test_a_call_in_the_old_way_is_a_tool_call(stream: bool, finish: Any) -> None:
    pieces = [{"name": "search", "arguments": ""}, {"arguments": '{"q": '}, {"arguments": '"a"}'}]
    whole = Reply(chat(None, finish=finish, function_call=OLD_CALL))
    reply = streamed(*({"content": None, "function_call": one} for one in pieces), finish=finish) if stream else whole
    async with talking(OPENAI, reply) as talk:
        answer = await talk.ask(stream=stream)

    assert (answer.text, answer.finish) == ("", FinishReason.TOOL_CALLS)
    assert answer.tool_calls == (ToolCall("", "search", '{"q": "a"}'),)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_a_call_that_a_server_says_in_both_ways_is_one(stream: bool) -> None:
    both: dict[str, Any] = {"tool_calls": [{"index": 0, "id": "c1", "function": OLD_CALL}], "function_call": OLD_CALL}
    reply = streamed(both, finish="tool_calls") if stream else Reply(chat(None, finish="tool_calls", **both))
    async with talking(OPENAI, reply) as talk:
        answer = await talk.ask(stream=stream)

    assert answer.tool_calls == (ToolCall("c1", "search", '{"q": "a"}'),)


@pytest.mark.parametrize("said", [None, {}, "", "auto", []])
async def test_an_old_field_that_holds_no_call_costs_no_answer(said: Any) -> None:
    async with talking(OPENAI, Reply(chat("hi", function_call=said))) as talk:
        answer = await talk.ask()

    assert (answer.text, answer.tool_calls, answer.finish) == ("hi", (), FinishReason.STOP)


async def test_an_old_call_that_cannot_be_read_is_a_broken_answer() -> None:
    async with talking(OPENAI, Reply(chat(None, function_call={"name": 7, "arguments": "{}"}))) as talk:
        error = await talk.failing()

    assert error.kind is ErrorKind.BAD_RESPONSE


async def test_wrong_arguments_stay_as_the_model_wrote_them() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "search", "arguments": '{"q": unquoted'}}
    async with talking(OPENAI, Reply(chat(None, finish="tool_calls", tool_calls=[call]))) as talk:
        answer = await talk.ask()
        again = await talk.ask(Message(Role.ASSISTANT, answer.tool_calls))

    assert answer.tool_calls[0].arguments == '{"q": unquoted'
    assert again.text == ""
    assert talk.sent["messages"][0]["tool_calls"][0]["function"]["arguments"] == '{"q": unquoted'


async def test_arguments_that_a_server_sends_as_an_object_keep_their_digits() -> None:
    body = json.dumps(
        chat(None, finish="tool_calls", tool_calls=[{"id": "c", "function": {"name": "s", "arguments": "@"}}])
    )
    body = body.replace('"@"', '{"n":12345678901234567890.10}')
    async with talking(OPENAI, Reply(body.encode())) as talk:
        answer = await talk.ask()

    assert answer.tool_calls[0].arguments == '{"n":12345678901234567890.10}'


async def test_streamed_tool_calls_without_an_index_are_told_apart_by_their_ids() -> None:
    calls = [{"id": f"c{i}", "function": {"name": "s", "arguments": f"[{i}]"}} for i in range(2)]
    async with talking(OPENAI, streamed(*({"tool_calls": [call]} for call in calls), finish="tool_calls")) as talk:
        answer = await talk.ask(stream=True)

    assert [(call.id, call.arguments) for call in answer.tool_calls] == [("c0", "[0]"), ("c1", "[1]")]


async def test_thoughts_beside_the_text_are_not_the_answer() -> None:
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "bug"}]
    async with talking(OPENAI, Reply(chat(None, content=parts, reasoning_content="hm"))) as talk:  # Mistral, DeepSeek
        assert (await talk.ask()).text == "bug"


async def test_the_first_token_is_text_and_not_the_role() -> None:
    chunks = [
        chat_chunk({"role": "assistant", "content": ""}),
        chat_chunk({"content": "a"}),
        chat_chunk({}, finish="stop"),
    ]
    async with talking(OPENAI, Reply(chunks=chunks, pause_s=0.05)) as talk:
        answer = await talk.ask(stream=True)

    assert answer.ttft_ms is not None
    assert answer.latency_ms is not None
    assert 50.0 <= answer.ttft_ms < answer.latency_ms - 50.0


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        ({"prompt_tokens": 20, "completion_tokens": 9}, Usage(20, 9)),
        ({"prompt_tokens": 20, "completion_tokens": 9, "prompt_tokens_details": None}, Usage(20, 9)),
        ({"prompt_tokens": 20.0, "completion_tokens": 9.0}, Usage(20, 9)),
        ({"prompt_tokens": -1, "completion_tokens": 9}, Usage(None, 9)),
        ({"completion_tokens": 9}, Usage(None, 9)),
        ({}, Usage()),
        (
            {
                "prompt_tokens": 20,
                "completion_tokens": 9,
                "prompt_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 8},
            },
            Usage(20, 9, 5, None, cache_write_tokens=8),
        ),
    ],
    ids=["plain", "null details", "floats", "negative", "half", "empty", "cache written"],
)
async def test_usage_is_what_was_said_and_unknown_where_nothing_was(usage: Any, counted: Usage) -> None:
    async with talking(OPENAI, Reply(chat("hi", usage=usage))) as talk:
        assert (await talk.ask()).usage == counted


async def test_no_usage_at_all_is_unknown_and_not_nothing() -> None:
    body = chat("hi")
    del body["usage"]
    async with talking(OPENAI, Reply(body)) as talk:
        assert (await talk.ask()).usage == Usage()
    async with talking(OPENAI, streamed({"content": "hi"})) as talk:
        assert (await talk.ask(stream=True)).usage == Usage()


async def test_a_stream_is_asked_to_count_and_a_whole_answer_is_not() -> None:
    async with talking(OPENAI) as talk:
        await talk.ask()
        assert "stream_options" not in talk.sent
        await talk.ask(stream=True, params={"stream": True})
        assert talk.sent["stream_options"] == {"include_usage": True}


async def test_the_bound_goes_under_the_newer_name_at_home_only() -> None:
    async with at_home(OPENAI) as (talk, _):
        await talk.ask(params={"max_tokens": 9})
        assert talk.sent["max_completion_tokens"] == 9
        assert "max_tokens" not in talk.sent
    async with talking(OPENAI) as talk:
        await talk.ask(params={"max_tokens": 9})
        assert talk.sent["max_tokens"] == 9
        assert "max_completion_tokens" not in talk.sent
    async with talking(OPENAI, options={"max_tokens_name": "max_completion_tokens"}) as talk:
        await talk.ask(params={"max_tokens": 9})
        assert talk.sent["max_completion_tokens"] == 9
        assert "max_tokens" not in talk.sent


async def test_a_seed_goes_along() -> None:
    async with talking(OPENAI) as talk:
        await talk.ask(params={"seed": 7})

    assert talk.sent["seed"] == 7


async def test_a_text_of_several_parts_is_one_text() -> None:
    async with talking(OPENAI) as talk:
        await talk.ask(Message(Role.USER, (Text("one "), Text("two"))))

    assert talk.sent["messages"] == [{"role": "user", "content": "one two"}]


@pytest.mark.parametrize(("content_type", "format_"), [("audio/wav", "wav"), ("audio/mpeg", "mp3")])
async def test_audio_goes_along(content_type: str, format_: str) -> None:
    async with talking(OPENAI) as talk:
        await talk.ask(Message(Role.USER, (Media.of(b"sound", content_type),)))

    assert talk.sent["messages"][0]["content"] == [
        {"type": "input_audio", "input_audio": {"data": "c291bmQ=", "format": format_}}
    ]


@pytest.mark.parametrize("content_type", ["image/tiff", "video/mp4", "text/plain", "audio/flac"])
async def test_media_that_chat_completions_lack_are_refused_by_name(content_type: str) -> None:
    async with talking(OPENAI) as talk:
        error = await talk.failing(Message(Role.USER, (Media.of(b"x", content_type),)))

    assert error.kind is ErrorKind.UNSUPPORTED
    assert error.message == f"openai cannot carry media of type '{content_type}' in a user message; nothing was sent"


async def test_a_server_without_a_key_gets_none() -> None:
    async def answer(request: web.Request, seen: Seen) -> web.StreamResponse:
        return web.json_response(chat("hi"))

    async with serving(answer) as server:
        spec = {"api_key_env": None, "base_url": f"{server.url}/openai/deployments/x/?api-version=2024-10-21"}
        async with opened(OPENAI, server.url, env={"OPENAI_API_KEY": "sk-elsewhere"}, **spec) as model:
            assert (await Talk(model, server).ask()).text == "hi"

        (seen,) = server.seen
    assert "authorization" not in seen.headers
    assert (seen.path, seen.query) == ("/openai/deployments/x/chat/completions", "api-version=2024-10-21")


async def test_azures_first_chunk_of_filter_results_is_no_answer_and_no_end() -> None:
    filtered = {"choices": [], "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}]}
    chunks = [event(filtered), chat_chunk({"content": "hi"}), chat_chunk({}, finish="stop"), event("[DONE]")]
    async with talking(OPENAI, Reply(chunks=chunks)) as talk:
        answer = await talk.ask(stream=True)

    assert (answer.text, answer.finish) == ("hi", FinishReason.STOP)


async def test_a_second_choice_does_not_mix_into_the_first() -> None:
    second = {"index": 1, "delta": {"content": "other"}, "finish_reason": "length"}
    reply = streamed({"content": "first"})
    async with talking(OPENAI, Reply(chunks=[chat_chunk({}, choices=[second]), *reply.chunks])) as talk:
        answer = await talk.ask(stream=True)

    assert (answer.text, answer.finish) == ("first", FinishReason.STOP)


def likely(*values: object) -> dict[str, object]:
    return {"content": [{"token": "x", "bytes": [120], "logprob": value, "top_logprobs": []} for value in values]}


def told(logprobs: object) -> Any:
    document = chat("ab")
    document["choices"][0]["logprobs"] = logprobs
    return document


def told_in_pieces() -> list[bytes]:
    def piece(text: str, *values: float) -> bytes:
        choice = {"index": 0, "delta": {"content": text}, "logprobs": likely(*values), "finish_reason": None}
        return chat_chunk({}, choices=[choice])

    return [piece("a", -0.5), piece("b", -0.25, -1.5), chat_chunk({}, finish="stop"), event("[DONE]")]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_log_probabilities_are_asked_for_and_kept_as_one_small_value(stream: bool) -> None:
    reply = Reply(chunks=told_in_pieces()) if stream else Reply(told(likely(-0.5, -0.25, -1.5)))
    async with talking(OPENAI, reply) as talk:
        answer = await talk.ask(stream=stream, params={"logprobs": True})
        sent = talk.sent

    assert sent["logprobs"] is True
    assert answer.text == "ab"
    assert answer.logprobs == Logprobs(-0.75, -1.5, 3)


@pytest.mark.parametrize(
    "odd", [None, {"content": None}, likely(), likely(-0.5, None), {"tokens": ["a"], "token_logprobs": [-0.5]}, [], 7]
)
async def test_log_probabilities_that_cannot_be_read_are_unknown_and_lose_no_answer(odd: object) -> None:
    async with talking(OPENAI, Reply(told(odd))) as talk:
        answer = await talk.ask(params={"logprobs": True})

    assert (answer.text, answer.logprobs) == ("ab", None)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
async def test_reasoning_that_the_server_parted_from_the_answer_is_kept_beside_it(field: str, stream: bool) -> None:
    pieces = streamed({field: "let "}, {field: "me see"}, {field: None, "content": "yes"})
    whole = Reply(chat("yes", **{field: "let me see"}))
    async with talking(OPENAI, pieces if stream else whole) as talk:
        answer = await talk.ask(stream=stream)

    assert (answer.text, answer.reasoning) == ("yes", "let me see")


@pytest.mark.parametrize("odd", [None, {}, [], 7, True, {"text": "x"}])
async def test_reasoning_in_another_shape_spoils_no_answer(odd: Any) -> None:
    async with talking(OPENAI, Reply(chat("yes", reasoning=odd, reasoning_content=odd))) as talk:
        answer = await talk.ask()

    assert (answer.text, answer.reasoning) == ("yes", None)


async def test_magistrals_thinking_is_no_part_of_the_answer() -> None:
    content = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "let me see"}]},
        {"type": "text", "text": "yes"},
    ]
    async with talking(OPENAI, Reply(chat(content))) as talk:  # type: ignore[arg-type]
        answer = await talk.ask()

    assert (answer.text, answer.reasoning) == ("yes", "let me see")
