"""OpenAI's Responses: what is said otherwise than by chat completions, and how an answer ends."""

from decimal import Decimal
from typing import Any

import pytest
from openai.types.responses import ResponseStreamEvent
from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming
from pydantic import TypeAdapter

from evalh.core.attempt import ErrorKind, FinishReason, Logprobs, Usage
from evalh.core.errors import WorkspaceError
from evalh.core.request import Media, Message, Role, Text, Tool, ToolCall, ToolResult
from evalh.providers.openai import chat as openai
from evalh.providers.registry import read_options
from wire.responses_service import RESPONSES, THOUGHT, called, refused, response, response_events, said
from wire.service import Reply, event
from wire.talking import spec_of, talking

K = ErrorKind
INCOMPLETE = "response.incomplete"


def ending(status: str, reason: str | None = None, *output: Any, **top: Any) -> Any:
    return response(*output, status=status, incomplete_details=reason and {"reason": reason}, **top)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_nothing_is_ever_kept_there(stream: bool) -> None:
    reply = Reply(chunks=response_events(["hi"])) if stream else Reply(response(said("hi")))
    async with talking(RESPONSES, reply) as talk:
        await talk.ask(stream=stream)
        error = await talk.failing(params={"store": True})

    assert talk.server.seen[0].body["store"] is False
    assert len(talk.server.seen) == 1
    assert (error.kind, "'store'" in error.message) == (K.BAD_REQUEST, True)


@pytest.mark.parametrize("name", ["previous_response_id", "conversation", "background", "stop", "seed", "logit_bias"])
async def test_a_parameter_that_is_not_there_or_hides_what_was_asked_is_refused_by_name(name: str) -> None:
    async with talking(RESPONSES) as talk:
        error = await talk.failing(params={name: "x"})

        assert talk.server.seen == []
    assert error.kind is K.UNSUPPORTED
    assert f'params = {{{name} = "null"}}' in error.message


async def test_parameters_of_chat_completions_stand_where_this_api_has_them() -> None:
    params = {"reasoning_effort": "low", "verbosity": "low", "logprobs": True, "top_logprobs": 2}
    async with talking(RESPONSES) as talk:
        await talk.ask(params=params, json_output=True)

    assert talk.sent["reasoning"] == {"effort": "low"}
    assert talk.sent["text"] == {"verbosity": "low", "format": {"type": "json_object"}}
    assert talk.sent["include"] == ["message.output_text.logprobs"]
    assert (talk.sent["top_logprobs"], talk.sent["max_output_tokens"]) == (2, 50)


async def test_parameters_in_this_apis_own_words_pass_through() -> None:
    params = {"reasoning": {"effort": "high", "summary": "auto"}, "include": ["reasoning.encrypted_content"]}
    async with talking(RESPONSES) as talk:
        await talk.ask(params={**params, "logprobs": False})

    assert {name: talk.sent[name] for name in params} == params


async def test_a_tool_is_not_asked_for_strictly_as_in_chat_completions() -> None:
    async with talking(RESPONSES) as talk:
        await talk.ask(tools=(Tool("search", "Find.", {"type": "object"}),))

    assert talk.sent["tools"] == [
        {
            "type": "function",
            "name": "search",
            "description": "Find.",
            "parameters": {"type": "object"},
            "strict": False,
        }
    ]


async def test_what_the_model_said_and_called_stays_in_its_order() -> None:
    spoke = Message(Role.ASSISTANT, (Text("Looking."), ToolCall("c1", "search", "{}"), Text("")))
    async with talking(RESPONSES) as talk:
        await talk.ask(Message.of(Role.USER, "q"), spoke)

    assert [item["type"] for item in talk.sent["input"]] == ["message", "message", "function_call"]


async def test_audio_is_refused_by_name() -> None:
    async with talking(RESPONSES) as talk:
        error = await talk.failing(Message(Role.USER, (Media.of(b"RIFF", "audio/wav"),)))

        assert talk.server.seen == []
    assert (error.kind, "'audio/wav'" in error.message) == (K.UNSUPPORTED, True)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("max_output_tokens", FinishReason.LENGTH),
        ("content_filter", FinishReason.CONTENT_FILTER),
        ("max_tool_calls", FinishReason.OTHER),
        (None, FinishReason.OTHER),
    ],
)
async def test_an_incomplete_answer_is_an_answer_that_says_why(
    reason: str | None, finish: FinishReason, stream: bool
) -> None:
    whole = ending("incomplete", reason, said("part", status="incomplete"))
    last = {"type": INCOMPLETE, "response": whole}
    reply = Reply(chunks=response_events(["part"], last=last)) if stream else Reply(whole)
    async with talking(RESPONSES, reply) as talk:
        answer = await talk.ask(stream=stream)

    assert (answer.text, answer.finish) == ("part", finish)


async def test_reasoning_that_took_all_tokens_leaves_an_empty_answer() -> None:
    async with talking(RESPONSES, Reply(ending("incomplete", "max_output_tokens"))) as talk:
        answer = await talk.ask()

    assert (answer.text, answer.finish, answer.usage.reasoning_tokens) == ("", FinishReason.LENGTH, 4)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_a_refusal_is_an_answer_of_its_own_kind(stream: bool) -> None:
    no = refused("I cannot.")
    async with talking(RESPONSES, Reply(chunks=response_events([], no)) if stream else Reply(response(no))) as talk:
        answer = await talk.ask(stream=stream)

    assert (answer.text, answer.finish) == ("I cannot.", FinishReason.REFUSAL)


FAILED = {
    "server_error": K.OVERLOAD,
    "rate_limit_exceeded": K.RATE_LIMIT,
    "invalid_prompt": K.CONTENT_FILTER,
    "bio_policy": K.CONTENT_FILTER,
    "image_content_policy_violation": K.CONTENT_FILTER,
    "image_parse_error": K.BAD_REQUEST,
    "data_residency_mismatch": K.BAD_REQUEST,
    "vector_store_timeout": K.TIMEOUT,
    "something_new": K.BAD_RESPONSE,
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(("code", "kind"), FAILED.items(), ids=FAILED)
async def test_an_answer_that_failed_within_a_200_is_that_error(code: str, kind: ErrorKind, stream: bool) -> None:
    broken = ending("failed", error={"code": code, "message": "It broke."})
    last = {"type": "response.failed", "response": broken}
    reply = Reply(chunks=response_events(["half"], last=last)) if stream else Reply(broken)
    async with talking(RESPONSES, reply) as talk:
        error = await talk.failing(stream=stream)

    assert (error.kind, error.message) == (kind, "It broke.")


@pytest.mark.parametrize("status", ["queued", "in_progress", "cancelled", "failed", "new"])
async def test_what_is_not_over_is_not_an_answer(status: str) -> None:
    async with talking(RESPONSES, Reply(ending(status, None, said("half")))) as talk:
        error = await talk.failing()

    assert error.kind is K.BAD_RESPONSE


@pytest.mark.parametrize("document", [{}, [], {"output": None}, {"output": []}, {"output": 7}, {"output": [7]}])
async def test_what_is_not_a_response_is_not_an_answer(document: Any) -> None:
    async with talking(RESPONSES, Reply(document)) as talk:
        assert (await talk.failing()).kind is K.BAD_RESPONSE


@pytest.mark.parametrize(
    "content", ["hi", [{"type": "output_text", "text": "h"}, {"type": "output_text", "text": "i"}]]
)
async def test_a_server_that_says_no_status_and_writes_its_text_in_any_shape_is_read(content: Any) -> None:
    async with talking(RESPONSES, Reply({"output": [{"type": "message", "content": content}]})) as talk:
        answer = await talk.ask()

    assert (answer.text, answer.finish, answer.usage) == ("hi", FinishReason.STOP, Usage())


async def test_commentary_is_beside_the_answer_and_is_not_handed_on() -> None:
    before = said("Let me see.", phase="commentary", id="msg_0")
    items = [before, said("42", phase="final_answer")]
    async with talking(RESPONSES, Reply(chunks=response_events([], *items))) as talk:
        answer = await talk.ask(stream=True)
    async with talking(RESPONSES, Reply(response(before, called("f", "{}")))) as talk:
        alone = await talk.ask()

    assert (answer.text, answer.reasoning) == ("42", "Let me see.")
    assert (alone.text, len(alone.tool_calls)) == ("Let me see.", 1)


@pytest.mark.parametrize(
    ("thought", "told"),
    [
        ({"summary": [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}]}, "a\n\nb"),
        ({"content": [{"type": "reasoning_text", "text": "all of it"}], "summary": [{"text": "a"}]}, "all of it"),
        ({"content": 7, "summary": "none"}, None),
    ],
    ids=["summary", "words", "odd"],
)
async def test_reasoning_is_kept_beside_the_answer(thought: Any, told: str | None) -> None:
    answer_ = response(said("42")) | {"output": [THOUGHT | thought, said("42")]}
    async with talking(RESPONSES, Reply(answer_)) as talk:
        answer = await talk.ask()

    assert (answer.text, answer.reasoning) == ("42", told)


async def test_log_probabilities_are_read_where_they_were_asked_for() -> None:
    spoken = said("hi")
    spoken["content"][0]["logprobs"] = [{"token": "h", "logprob": -0.5}, {"token": "i", "logprob": -1.5}]
    async with talking(RESPONSES, Reply(response(spoken))) as talk:
        answer = await talk.ask(params={"logprobs": True})

    assert answer.logprobs == Logprobs(-1.0, -1.5, 2)


async def test_written_cache_and_the_tier_are_counted() -> None:
    usage = response(usage=None)["usage"] | {"input_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 7}}
    async with talking(RESPONSES, Reply(response(said("hi"), usage=usage, service_tier="flex"))) as talk:
        told = (await talk.ask()).usage

    assert (told.cached_tokens, told.cache_write_tokens, told.tier) == (5, 7, "flex")


async def test_a_cost_is_read_from_the_last_event_too() -> None:
    whole = response(said("hi"))
    whole["usage"]["cost"] = 0.25
    last = {"type": "response.completed", "response": whole}
    async with talking(RESPONSES, Reply(chunks=response_events(["hi"], last=last)), cost_from="usage.cost") as talk:
        streamed = await talk.ask(stream=True)
    async with talking(RESPONSES, Reply(whole), cost_from="usage.cost") as talk:
        answer = await talk.ask()

    assert streamed.cost_usd == answer.cost_usd == Decimal("0.25")


async def test_items_that_the_last_event_leaves_out_are_taken_from_those_before() -> None:
    last = {"type": "response.completed", "response": response(said("x")) | {"output": []}}
    chunks = response_events(["one ", "two"], called("f", "{}"), last=last)
    async with talking(RESPONSES, Reply(chunks=chunks)) as talk:
        answer = await talk.ask(stream=True)

    assert (answer.text, answer.tool_calls) == ("one two", (ToolCall("call_1", "f", "{}"),))


async def test_a_stream_without_a_last_event_is_not_an_answer() -> None:
    chunks = [*response_events(["half"])[:-1], event("[DONE]")]
    async with talking(RESPONSES, Reply(chunks=chunks)) as talk:
        assert (await talk.failing(stream=True)).kind is K.BAD_RESPONSE


async def test_what_is_sent_and_read_fits_the_types_of_openais_own_client() -> None:
    sent = TypeAdapter(ResponseCreateParamsNonStreaming)
    asked = Message(
        Role.USER, (Text("What?"), Media.of(b"\x89PNG", "image/png"), Media.of(b"%PDF-1", "application/pdf"))
    )
    spoke = Message(Role.ASSISTANT, (Text("Looking."), ToolCall("c1", "search", "{}")))
    told = Message(Role.TOOL, (ToolResult("c1", "search", "gone"),))
    tools = (Tool("search", "Find.", {"type": "object"}),)
    async with talking(RESPONSES) as talk:
        await talk.ask(asked, spoke, told, tools=tools, json_output=True, output_schema={"type": "object"})

    sent.validate_python(talk.sent)
    for one in response_events(["a", "b"], called("f", "{}")):
        TypeAdapter(ResponseStreamEvent).validate_json(one.partition(b"data: ")[2])


def test_the_word_for_the_bound_of_chat_completions_is_refused() -> None:
    options = {"api": "responses", "max_tokens_name": "max_tokens"}
    with pytest.raises(WorkspaceError, match="belongs to chat completions"):
        read_options(spec_of(RESPONSES, None, options=options), openai.Options)
