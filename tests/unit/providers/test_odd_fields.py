"""One odd field beside an answer never costs the answer: each wire, whole and streamed, over a real socket."""

import json
from typing import Any

import pytest
from aiohttp import web

from evalh.core.attempt import ErrorKind, FinishReason, Logprobs, Usage
from evalh.core.request import ToolCall
from wire.anthropic_service import ANTHROPIC, message, message_events
from wire.gemini_service import GEMINI, content
from wire.odd_fields import RECORDED, Recorded, odd_at
from wire.openai_service import OPENAI, chat, chat_chunk
from wire.service import Reply, Service, event
from wire.serving import Seen, serving
from wire.talking import SERVICES, Talk, opened, talking

BY_NAME = {service.name: service for service in SERVICES}
every_service = pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded.name)
async def test_no_odd_side_field_costs_a_right_answer(recorded: Recorded) -> None:
    body = b""

    async def answer(request: web.Request, seen: Seen) -> web.Response:
        return web.Response(body=body, content_type="text/event-stream" if recorded.streamed else "application/json")

    asked = 0
    async with serving(answer) as server, opened(BY_NAME[recorded.kind], server.url) as model:
        for place in recorded.sides():
            for odd in odd_at(place):
                body = recorded.body(recorded.with_odd(place, odd))
                said = await Talk(model, server).ask(stream=recorded.streamed)
                told = (said.text, tuple((call.name, call.arguments) for call in said.tool_calls))
                assert told == (recorded.text, recorded.calls), (place, odd)
                asked += 1

    assert asked > 250


ODD_ANSWERS: dict[str, dict[str, Any]] = {
    "a numeric id": {"id": 17},
    "created as text": {"created": "yesterday"},
    "a fingerprint in a list": {"system_fingerprint": ["fp"]},
    "usage that is a word": {"usage": "n/a"},
    "usage in a list": {"usage": []},
    "a model that is none": {"model": {"name": "x"}},
}


@pytest.mark.parametrize("odd", ODD_ANSWERS.values(), ids=ODD_ANSWERS)
async def test_what_cannot_be_read_beside_the_answer_is_unknown(odd: dict[str, Any]) -> None:
    async with talking(OPENAI, Reply(chat("hi") | odd)) as talk:
        answer = await talk.ask()

    assert answer.text == "hi"
    assert answer.usage == (Usage() if "usage" in odd else Usage(20, 9, 12, 4))
    assert answer.request_id == ("17" if "id" in odd else "chatcmpl-1")
    assert answer.model == (None if "model" in odd else "gpt-5-mini-2025-08-07")


@pytest.mark.parametrize("details", [[], "n/a", 7, True, {"cached_tokens": "12"}])
async def test_details_that_cannot_be_read_leave_the_counts(details: Any) -> None:
    usage = chat("")["usage"] | {"prompt_tokens_details": details}
    async with talking(OPENAI, Reply(chat("hi", usage=usage))) as talk:
        assert (await talk.ask()).usage == Usage(20, 9, None, 4)


@every_service
@pytest.mark.parametrize("status", [201, 202, 203, 206, 299])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_any_2xx_is_an_answer(service: Service, status: int, stream: bool) -> None:
    async def answer(request: web.Request, seen: Seen) -> web.Response:
        body = b"".join(service.events(["h", "i"])) if stream else json.dumps(service.answer("hi")).encode()
        return web.Response(
            status=status, body=body, content_type="text/event-stream" if stream else "application/json"
        )

    async with serving(answer) as server, opened(service, server.url) as model:
        said = await Talk(model, server).ask(stream=stream)

    assert said.text == "hi"
    assert (said.ttft_ms is not None) is stream


@pytest.mark.parametrize("calls", [{}, [], None, "", False, [None]])
async def test_no_tool_calls_in_any_spelling_are_none(calls: Any) -> None:
    async with talking(OPENAI, Reply(chat("hi", tool_calls=calls))) as talk:
        answer = await talk.ask()

    assert (answer.text, answer.tool_calls, answer.finish) == ("hi", (), FinishReason.STOP)


EMPTY = [None, {}, [], "", False]


@pytest.mark.parametrize("nothing", EMPTY, ids=repr)
async def test_nothing_in_any_spelling_is_nothing(nothing: Any) -> None:
    """An empty container decides nothing, whatever its kind."""
    counted = chat("")["usage"]
    chunks = [
        chat_chunk({}, choices=nothing),
        chat_chunk({"content": "hi", "tool_calls": nothing, "refusal": nothing}),
        chat_chunk(nothing, finish="stop"),
        chat_chunk({}, choices=nothing, usage=counted),
        event("[DONE]"),
    ]
    async with talking(OPENAI, Reply(chunks=chunks)) as talk:
        assert (await talk.ask(stream=True)).usage == Usage(20, 9, 12, 4)
    events = [
        event({"type": "content_block_start", "index": 0, "content_block": nothing}),
        event({"type": "content_block_delta", "index": 0, "delta": nothing}),
        *ANTHROPIC.events(["h", "i"]),
    ]
    async with talking(ANTHROPIC, Reply(chunks=events)) as talk:
        assert (await talk.ask(stream=True)).text == "hi"
    pieces = [
        event(content("hi", finish=None) | {"error": nothing}),
        event(content({"text": "!", "functionCall": nothing, "thought": nothing})),
        event(content() | {"candidates": nothing}),
        event(content() | {"candidates": [{"content": nothing}]}),
        event(content() | {"candidates": [{"content": {"parts": nothing}}]}),
    ]
    async with talking(GEMINI, Reply(chunks=pieces)) as talk:
        answer = await talk.ask(stream=True)
    assert (answer.text, answer.tool_calls, answer.finish) == ("hi!", (), FinishReason.STOP)


@pytest.mark.parametrize("late", [b"data: {not json\n\n", b"data: 7\n\n", b'data: {"choices": 7, "type": 7}\n\n'])
@pytest.mark.parametrize("service", [OPENAI, ANTHROPIC], ids=lambda service: service.name)
async def test_what_cannot_be_read_beside_a_whole_answer_costs_no_answer(service: Service, late: bytes) -> None:
    """The finish reason has come, and the end of the stream has not."""
    chunks = service.events(["hi"])
    async with talking(service, Reply(chunks=[*chunks[:-1], late, chunks[-1]])) as talk:
        assert (await talk.ask(stream=True)).text == "hi"
    early = [chunks[0], late, *chunks[1:]]
    async with talking(service, Reply(chunks=early)) as talk:
        assert (await talk.failing(stream=True)).kind is ErrorKind.BAD_RESPONSE


async def test_arguments_that_are_not_unicode_keep_the_call() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"q": "HERE"}'}}
    raw = json.dumps(chat(None, finish="tool_calls", tool_calls=[call])).encode()
    for broken in (rb"\ud83d", b"\xf0\x9f"):
        async with talking(OPENAI, Reply(raw.replace(b"HERE", broken))) as talk:
            assert (await talk.ask()).tool_calls == (ToolCall("c", "f", '{"q": "\ufffd"}'),)
    use = json.dumps(message({"type": "tool_use", "id": "c", "name": "f", "input": {"q": "HERE"}})).encode()
    async with talking(ANTHROPIC, Reply(use.replace(b"HERE", b"\xf0\x9f"))) as talk:
        assert (await talk.ask()).tool_calls == (ToolCall("c", "f", '{"q": "\ufffd"}'),)
    made = json.dumps(content({"functionCall": {"name": "f", "id": "c", "args": {"q": "HERE"}}})).encode()
    async with talking(GEMINI, Reply(made.replace(b"HERE", b"\xf0\x9f"))) as talk:
        assert (await talk.ask()).tool_calls == (ToolCall("c", "f", '{"q": "\ufffd"}'),)


async def test_what_decides_is_read_strictly() -> None:
    for wrong in (
        chat("hi", finish=5),  # type: ignore[arg-type]
        chat(7),  # type: ignore[arg-type]
        chat("hi", tool_calls="search"),
        chat("hi", tool_calls=[{"function": {"name": 7, "arguments": "{}"}}]),
    ):
        async with talking(OPENAI, Reply(wrong)) as talk:
            assert (await talk.failing()).kind is ErrorKind.BAD_RESPONSE
    for wrong in (message({"type": "text", "text": 7}), message("hi") | {"content": "hi"}):
        async with talking(ANTHROPIC, Reply(wrong)) as talk:
            assert (await talk.failing()).kind is ErrorKind.BAD_RESPONSE
    for wrong in (content({"text": 7}), content("hi") | {"candidates": "hi"}):
        async with talking(GEMINI, Reply(wrong)) as talk:
            assert (await talk.failing()).kind is ErrorKind.BAD_RESPONSE


async def test_an_answer_of_nothing_is_an_answer() -> None:
    async with talking(ANTHROPIC, Reply(message() | {"content": None})) as talk:
        assert (await talk.ask()).text == ""
    async with talking(GEMINI, Reply(content() | {"candidates": [{"content": None, "finishReason": "STOP"}]})) as talk:
        assert (await talk.ask()).text == ""


def pieces(service: Service, first: str, second: str) -> list[bytes]:
    """An answer in two pieces of JSON text, written as they stand."""
    return [
        one.replace(b"FIRST", first.encode()).replace(b"SECOND", second.encode())
        for one in service.events(["FIRST", "SECOND"])
    ]


@every_service
async def test_an_emoji_that_was_cut_in_two_is_put_together(service: Service) -> None:
    chunks = pieces(service, r"a \ud83d", r"\ude00 b \\ud83d")
    async with talking(service, Reply(chunks=chunks)) as talk:
        answer = await talk.ask(stream=True)

    assert answer.text == "a 😀 b \\ud83d"


@every_service
async def test_bytes_of_an_emoji_in_two_events_are_put_together(service: Service) -> None:
    chunks = [
        one.replace(b"FIRST", b"a \xf0\x9f").replace(b"SECOND", b"\x98\x80 b")
        for one in service.events(["FIRST", "SECOND"])
    ]
    async with talking(service, Reply(chunks=chunks)) as talk:
        assert (await talk.ask(stream=True)).text == "a 😀 b"


BROKEN: dict[str, tuple[bytes, str]] = {
    "half a pair": (rb"a\ud83d", "a\ufffd"),
    "the other half": (rb"\ude00b", "\ufffdb"),
    "two halves the wrong way around": (rb"\ude00\ud83d", "\ufffd\ufffd"),
    "an escape that was cut": (rb"a\ud8", "a\ufffd"),
    "bytes that were cut": (b"a\xf0\x9f\x98", "a\ufffd"),
    "bytes of nothing": (b"a\xff\xfeb", "a\ufffd\ufffdb"),
    "a raw line break": (b"a\tb", "a\tb"),
    "a private character beside half a pair": ("\U0010ffff".encode() + rb"\ud83d", None),
}


@every_service
@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_text_that_is_not_unicode_keeps_the_answer(service: Service, name: str, stream: bool) -> None:
    raw, text = BROKEN[name]
    whole = json.dumps(service.answer("HERE")).encode().replace(b"HERE", raw)
    chunks = [one.replace(b"HERE", raw) for one in service.events(["HERE"])]
    async with talking(service, Reply(chunks=chunks) if stream else Reply(whole)) as talk:
        answer = await talk.ask(stream=stream)

    assert text is None or answer.text == text
    answer.text.encode()  # nothing is left that UTF-8 cannot carry
    assert answer.usage.output_tokens == 9


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "nan", "-inf", "1e999", "-1.5E+4000", "9" * 5000])
async def test_a_log_probability_that_is_not_a_number_leaves_the_answer(number: str) -> None:
    body = chat("NaN is not a number")
    body["choices"][0]["logprobs"] = {"content": [{"token": "a", "logprob": -0.5}, {"token": "b", "logprob": "@"}]}
    async with talking(OPENAI, Reply(json.dumps(body).replace('"@"', number).encode())) as talk:
        answer = await talk.ask()

    assert (answer.text, answer.logprobs, answer.usage) == ("NaN is not a number", None, Usage(20, 9, 12, 4))


async def test_a_number_that_json_lacks_stays_as_the_model_wrote_it() -> None:
    body = json.dumps(
        message({"type": "tool_use", "id": "t", "name": "set", "input": {"x": "@", "s": "NaN"}}, finish="tool_use")
    )
    async with talking(ANTHROPIC, Reply(body.replace('"@"', "-Infinity").encode())) as talk:
        answer = await talk.ask()

    assert answer.tool_calls[0].arguments == '{"x": -Infinity, "s": "NaN"}'


async def test_a_spoilt_token_in_another_place_spoils_no_average() -> None:
    body = content("hi")
    body["candidates"][0] |= {"avgLogprobs": -0.25, "logprobsResult": "@"}
    async with talking(GEMINI, Reply(json.dumps(body).replace('"@"', "NaN").encode())) as talk:
        assert (await talk.ask()).logprobs == Logprobs(-0.25)


def called(number: int, id_: str | None, name: str | None, arguments: str) -> Any:
    function = {"arguments": arguments, **({"name": name} if name else {})}
    return {"tool_calls": [{"index": number, "function": function, **({"id": id_} if id_ else {})}]}


@pytest.mark.parametrize(
    "deltas",
    [
        [
            called(0, "a", "f", '{"x":'),
            called(0, None, None, "1}"),
            called(0, "b", "g", '{"y":'),
            called(0, None, None, "2}"),
        ],
        [
            called(0, "a", "f", '{"x":'),
            called(0, "a", None, "1}"),
            called(0, "b", "g", '{"y":'),
            called(0, "b", None, "2}"),
        ],
        [
            called(0, "a", "f", '{"x":'),
            called(1, "b", "g", '{"y":'),
            called(0, None, None, "1}"),
            called(1, None, None, "2}"),
        ],
        [called(1, "b", "g", '{"y":2}'), called(0, "a", "f", '{"x":1}')],
        [
            called(0, "a", "f", '{"x":'),
            called(0, "z1", None, "1}"),
            called(1, "b", "g", '{"y":'),
            called(1, "z2", None, "2}"),
        ],
        [
            called(0, "a", "f", '{"x":'),
            called(0, "b", "g", '{"y":'),
            called(0, "a", None, "1}"),
            called(0, "b", None, "2}"),
        ],
        [
            called(0, None, "f", '{"x":'),
            called(0, None, "f", "1}"),
            called(0, None, "g", '{"y":'),
            called(0, None, "g", "2}"),
        ],
    ],
    ids=[
        "one index",
        "one index, ids repeated",
        "mixed",
        "out of order",
        "an id for each piece",
        "one index, mixed",
        "names alone",
    ],
)
async def test_streamed_tool_calls_are_told_apart(deltas: list[Any]) -> None:
    chunks = [*map(chat_chunk, deltas), chat_chunk({}, finish="tool_calls"), event("[DONE]")]
    async with talking(OPENAI, Reply(chunks=chunks)) as talk:
        answer = await talk.ask(stream=True)

    assert [(call.name, call.arguments) for call in answer.tool_calls] == [("f", '{"x":1}'), ("g", '{"y":2}')]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_text_in_one_choice_and_calls_in_another_are_one_answer(stream: bool) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "search", "arguments": "{}"}}
    said, calls = (
        {"role": "assistant", "content": "Let me see."},
        {"role": "assistant", "content": None, "tool_calls": [call]},
    )
    name = "delta" if stream else "message"
    choices = [
        {"index": 0, "finish_reason": "tool_calls", name: said},
        {"index": 1, "finish_reason": "tool_calls", name: calls},
    ]
    whole = chat("") | {"choices": choices}
    chunks = [chat_chunk({}, choices=[one]) for one in choices]
    async with talking(OPENAI, Reply(chunks=[*chunks, event("[DONE]")]) if stream else Reply(whole)) as talk:
        answer = await talk.ask(stream=stream)

    assert (answer.text, answer.finish) == ("Let me see.", FinishReason.TOOL_CALLS)
    assert answer.tool_calls == (ToolCall("c1", "search", "{}"),)


@pytest.mark.parametrize("numbers", [(0, 1), (0, 0), (None, None)])
async def test_a_second_answer_is_not_mixed_into_the_first(numbers: tuple[int | None, int | None]) -> None:
    choices = [
        {"index": n, "message": {"content": text}, "finish_reason": end}
        for n, (text, end) in zip(numbers, (("one", "length"), ("two", "stop")), strict=True)
    ]
    async with talking(OPENAI, Reply(chat("") | {"choices": choices})) as talk:
        answer = await talk.ask()

    assert (answer.text, answer.finish) == ("one", FinishReason.LENGTH)


async def test_a_whole_message_in_a_streams_last_event_is_read_where_no_pieces_came() -> None:
    whole = {"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}
    for before in ([], [chat_chunk({"content": "hi"})]):
        chunks = [*before, chat_chunk({}, choices=[whole]), event("[DONE]")]
        async with talking(OPENAI, Reply(chunks=chunks)) as talk:
            assert (await talk.ask(stream=True)).text == "hi"


@pytest.mark.parametrize("part", ["hi", {"text": "hi"}, {"type": "output_text", "text": "hi"}])
async def test_a_part_of_the_content_is_read_in_each_of_its_shapes(part: Any) -> None:
    async with talking(OPENAI, Reply(chat([part, part]))) as talk:  # type: ignore[arg-type]
        assert (await talk.ask()).text == "hihi"


async def test_a_stream_of_its_end_alone_is_not_an_answer() -> None:
    async with talking(OPENAI, Reply(chunks=[event("[DONE]")])) as talk:
        assert (await talk.failing(stream=True)).kind is ErrorKind.BAD_RESPONSE


@pytest.mark.parametrize("service", [OPENAI, ANTHROPIC], ids=lambda service: service.name)
async def test_what_comes_after_the_end_is_ignored(service: Service) -> None:
    after = [event("{not json"), event({"type": "error", "error": {"message": "late"}})]
    async with talking(service, Reply(chunks=[*service.events(["hi"]), *after])) as talk:
        assert (await talk.ask(stream=True)).text == "hi"


async def test_a_choice_that_broke_off_is_no_answer() -> None:
    broken = chat("half an")
    broken["choices"][0]["error"] = {"code": 502, "message": "upstream"}
    async with talking(OPENAI, Reply(broken)) as talk:
        assert (await talk.failing()).kind is ErrorKind.OVERLOAD  # by the code that it names


async def test_blocks_without_an_index_are_put_together() -> None:
    call = {"type": "tool_use", "id": "t1", "name": "search", "input": {}}
    events = message_events(
        [
            ({"type": "text", "text": ""}, [{"type": "text_delta", "text": "hm"}]),
            (call, [{"type": "input_json_delta", "partial_json": '{"q":1}'}]),
        ],
        finish="tool_use",
    )
    chunks = [one.replace(b'"index": 0', b'"index": null').replace(b'"index": 1', b'"index": "b"') for one in events]
    async with talking(ANTHROPIC, Reply(chunks=chunks)) as talk:
        answer = await talk.ask(stream=True)

    assert (answer.text, answer.tool_calls) == ("hm", (ToolCall("t1", "search", '{"q":1}'),))
