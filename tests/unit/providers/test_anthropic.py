"""Anthropic's messages: what is theirs alone."""

from typing import Any

import pytest

from evalh.core.attempt import ErrorKind, FinishReason, Usage
from evalh.core.request import Media, Message, Role, Text, Tool, ToolCall, ToolResult
from wire.anthropic_service import ANTHROPIC, message, message_events
from wire.service import Reply, event
from wire.talking import settings_of, talking

SEARCH = Tool("search", "Find.", {"type": "object", "properties": {"q": {"type": "string"}}})


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", FinishReason.STOP),
        ("stop_sequence", FinishReason.STOP),
        ("max_tokens", FinishReason.LENGTH),
        ("model_context_window_exceeded", FinishReason.LENGTH),
        ("refusal", FinishReason.REFUSAL),
        ("pause_turn", FinishReason.OTHER),
    ],
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_why_the_model_stopped(reason: str, finish: FinishReason, stream: bool) -> None:
    deltas = [{"type": "text_delta", "text": "partly"}]
    chunks = message_events([({"type": "text", "text": ""}, deltas)], finish=reason)
    async with talking(ANTHROPIC, Reply(chunks=chunks) if stream else Reply(message("partly", finish=reason))) as talk:
        answer = await talk.ask(stream=stream)

    assert (answer.text, answer.finish) == ("partly", finish)


async def test_a_missing_bound_is_told_before_anything_is_sent() -> None:
    async with talking(ANTHROPIC) as talk:
        error = await talk.failing(params={"max_tokens": None})

        assert talk.server.seen == []
    assert error.kind is ErrorKind.BAD_REQUEST
    assert "requires max_tokens" in error.message


@pytest.mark.parametrize("name", ["seed", "frequency_penalty", "presence_penalty", "logprobs", "top_logprobs"])
async def test_a_parameter_that_the_api_lacks_is_refused_by_name_with_the_way_out(name: str) -> None:
    async with talking(ANTHROPIC) as talk:
        error = await talk.failing(params={name: 1})

        assert talk.server.seen == []
    assert error.kind is ErrorKind.UNSUPPORTED
    assert f'params = {{{name} = "null"}}' in error.message


async def test_the_input_is_all_of_the_input_and_what_was_written_to_the_cache_is_told_apart() -> None:
    async with talking(ANTHROPIC) as talk:
        answer = await talk.ask()

    assert answer.usage == Usage(20, 9, 12, 4, cache_write_tokens=5, cache_write_1h_tokens=4)


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        ({"input_tokens": 3, "output_tokens": 9}, Usage(3, 9)),
        ({"input_tokens": 3, "output_tokens": 9, "cache_read_input_tokens": 0}, Usage(3, 9, 0)),
        ({"output_tokens": 9}, Usage(None, 9)),
        (None, Usage()),
    ],
    ids=["plain", "cache not hit", "half", "none"],
)
async def test_usage_is_what_was_said_and_unknown_where_nothing_was(usage: Any, counted: Usage) -> None:
    async with talking(ANTHROPIC, Reply(message("hi") | {"usage": usage})) as talk:
        assert (await talk.ask()).usage == counted


async def test_system_texts_stand_apart_and_empty_ones_are_left_out() -> None:
    async with talking(ANTHROPIC) as talk:
        hello = Message.of(Role.USER, "hello")
        await talk.ask(Message.of(Role.SYSTEM, "one"), hello)
        assert talk.sent["system"] == "one"
        await talk.ask(
            Message.of(Role.SYSTEM, "one"), Message.of(Role.SYSTEM, ""), Message.of(Role.SYSTEM, "two"), hello
        )
        assert [block["text"] for block in talk.sent["system"]] == ["one", "two"]
        await talk.ask(Message.of(Role.SYSTEM, ""), hello)
        assert "system" not in talk.sent


async def test_a_system_message_amid_the_conversation_is_refused_by_name() -> None:
    async with talking(ANTHROPIC) as talk:
        error = await talk.failing(Message.of(Role.USER, "hello"), Message.of(Role.SYSTEM, "Now be brief."))

    assert error.kind is ErrorKind.UNSUPPORTED
    assert "a system message after the conversation has begun" in error.message


async def test_all_results_of_one_round_stand_in_one_message_with_what_the_user_adds() -> None:
    asked = (
        Message.of(Role.USER, "Where?"),
        Message(Role.ASSISTANT, (ToolCall("c1", "search", "{}"), ToolCall("c2", "search", ""))),
        Message(Role.TOOL, (ToolResult("c1", "search", "a"),)),
        Message(Role.TOOL, (ToolResult("c2", "search", "b"),)),
        Message(Role.USER, (Text(""), Text("So?"))),
    )
    async with talking(ANTHROPIC) as talk:
        await talk.ask(*asked, tools=(SEARCH,))

    assert [turn["role"] for turn in talk.sent["messages"]] == ["user", "assistant", "user"]
    assert [block["type"] for block in talk.sent["messages"][2]["content"]] == ["tool_result", "tool_result", "text"]


@pytest.mark.parametrize("arguments", ["{broken", "[1]", '"text"'])
async def test_arguments_in_the_history_that_are_no_object_are_refused_by_name(arguments: str) -> None:
    async with talking(ANTHROPIC) as talk:
        error = await talk.failing(Message(Role.ASSISTANT, (ToolCall("c1", "search", arguments),)))

    assert error.kind is ErrorKind.UNSUPPORTED
    assert "the call of tool 'search' in the history" in error.message


async def test_an_empty_text_beside_an_image_is_left_out() -> None:
    async with talking(ANTHROPIC) as talk:
        await talk.ask(Message(Role.USER, (Text(""), Media.of(b"GIF89a", "image/gif"))))

    assert [block["type"] for block in talk.sent["messages"][0]["content"]] == ["image"]


async def test_a_plain_text_file_goes_as_a_document() -> None:
    async with talking(ANTHROPIC) as talk:
        await talk.ask(Message(Role.USER, (Media.of("Grüße".encode(), "text/plain"), Text("Sum it up."))))

    source = talk.sent["messages"][0]["content"][0]["source"]
    assert source == {"type": "text", "media_type": "text/plain", "data": "Grüße"}


@pytest.mark.parametrize("content_type", ["image/tiff", "video/mp4", "audio/wav"])
async def test_media_that_messages_lack_are_refused_by_name(content_type: str) -> None:
    async with talking(ANTHROPIC) as talk:
        error = await talk.failing(Message(Role.USER, (Media.of(b"x", content_type),)))

    assert error.kind is ErrorKind.UNSUPPORTED
    assert repr(content_type) in error.message


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_thinking_is_not_the_answer_nor_its_first_token(stream: bool) -> None:
    thought = {"type": "thinking", "thinking": "hm", "signature": "c2ln"}
    blocks: list[Any] = [
        ({"type": "thinking", "thinking": ""}, [{"type": "thinking_delta", "thinking": "hm"}] * 3),
        ({"type": "redacted_thinking", "data": "x"}, []),
        ({"type": "text", "text": ""}, [{"type": "text_delta", "text": "bug"}]),
    ]
    reply = Reply(chunks=message_events(blocks), pause_s=0.02) if stream else Reply(message(thought, "bug"))
    async with talking(ANTHROPIC, reply) as talk:
        answer = await talk.ask(stream=stream)

    assert answer.text == "bug"
    assert answer.usage.reasoning_tokens == 4
    assert answer.ttft_ms is None if not stream else (answer.ttft_ms or 0.0) >= 160.0


async def test_a_tool_without_arguments_is_called_with_an_empty_object() -> None:
    blocks = [({"type": "tool_use", "id": "t1", "name": "now", "input": {}}, [])]
    async with talking(ANTHROPIC, Reply(chunks=message_events(blocks, finish="tool_use"))) as talk:
        answer = await talk.ask(stream=True, tools=(Tool("now", "The time.", {"type": "object"}),))

    assert answer.tool_calls == (ToolCall("t1", "now", "{}"),)


async def test_text_with_which_a_block_begins_belongs_to_the_answer() -> None:
    blocks = [({"type": "text", "text": "a "}, [{"type": "text_delta", "text": "bug"}])]
    async with talking(ANTHROPIC, Reply(chunks=message_events(blocks))) as talk:
        assert (await talk.ask(stream=True)).text == "a bug"


async def test_events_that_are_yet_to_come_are_let_through() -> None:
    chunks = ANTHROPIC.events(["hi"])
    chunks.insert(1, event({"type": "weather", "sunny": True}, "weather"))
    async with talking(ANTHROPIC, Reply(chunks=chunks)) as talk:
        assert (await talk.ask(stream=True)).text == "hi"


async def test_a_schema_as_a_tool_and_other_tools_are_refused_by_name() -> None:
    async with talking(ANTHROPIC, options={"schema": "tool"}) as talk:
        error = await talk.failing(tools=(SEARCH,), output_schema={"type": "object", "properties": {}})
        assert talk.server.seen == []

    assert error.kind is ErrorKind.UNSUPPORTED


async def test_an_answer_tool_that_is_streamed_is_the_text() -> None:
    deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in ('{"label"', ': "bug"}')]
    blocks = [({"type": "tool_use", "id": "t1", "name": "output", "input": {}}, deltas)]
    schema = {"type": "object", "properties": {"label": {"type": "string"}}}
    async with talking(
        ANTHROPIC, Reply(chunks=message_events(blocks, finish="tool_use")), options={"schema": "tool"}
    ) as talk:
        answer = await talk.ask(stream=True, output_schema=schema)

    assert (answer.text, answer.finish, answer.tool_calls) == ('{"label": "bug"}', FinishReason.STOP, ())


async def test_a_deprecated_parameter_is_told_with_the_way_out() -> None:
    told = ANTHROPIC.error(400, "invalid_request_error", "`temperature` is deprecated for this model.")
    async with talking(ANTHROPIC, Reply(told, 400)) as talk:
        error = await talk.failing()

    assert error.kind is ErrorKind.BAD_REQUEST
    assert '"null"' in error.message


async def test_a_users_beta_header_goes_beside_the_version() -> None:
    async with talking(ANTHROPIC, headers={"anthropic-beta": "context-1m-2025-08-07"}) as talk:
        await talk.ask()

        headers = talk.server.seen[0].headers
    assert (headers["anthropic-version"], headers["anthropic-beta"]) == ("2023-06-01", "context-1m-2025-08-07")
    assert settings_of(talk.model).sent_to["api"] == "messages 2023-06-01"
