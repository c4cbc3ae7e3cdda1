"""`trace.client`: every physical request of a client, at its transport."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import httpx
import openai
import pytest

from evalh import trace
from tracing.model_server import KEY, ModelServer, Recorded, Reply, chunks, completion, message

Read = Callable[[], Recorded]
LIMITED = Reply(429, {"error": {"message": "slow down", "code": "rate_limit_exceeded"}}, {"retry-after-ms": "1"})
ASK: Any = {"model": "small", "messages": [{"role": "user", "content": "2 + 2?"}]}


@pytest.fixture(name="client")
def _client(server: ModelServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key=KEY, base_url=f"{server.url}/v1") as client:
        yield trace.client(client)


def test_the_openai_clients_own_retries_are_attempts_of_one_call(
    server: ModelServer, client: openai.OpenAI, recorded: Read
) -> None:
    server.plan(LIMITED, LIMITED)

    client.chat.completions.create(**ASK, temperature=0.5)

    (call,), attempts = recorded().calls, recorded().attempts
    assert [(one.number, one.reason, one.status, one.http_status, one.error_kind) for one in attempts] == [
        (1, "first", "error", 429, "rate_limit"),
        (2, "retry", "error", 429, "rate_limit"),
        (3, "retry", "ok", 200, None),
    ]
    assert [one.retry_after_s for one in attempts] == [0.001, 0.001, None]
    assert (call.attempts, call.answered_by) == (3, attempts[2].id)
    assert call.settings is not None
    assert (call.settings["model"], call.settings["params"]) == ("small", {"temperature": 0.5})
    assert call.messages == [{"role": "user", "parts": ["2 + 2?"]}]
    last = attempts[2]
    assert (last.model_answered, last.finish, last.text, last.request_id) == ("small-1", "stop", "four", "req_7")
    assert (last.input_tokens, last.output_tokens, last.cached_tokens) == (20, 2, None)


def test_a_programs_own_loop_makes_calls_of_their_own(
    server: ModelServer, client: openai.OpenAI, recorded: Read
) -> None:
    server.plan(LIMITED, LIMITED)
    blind = client.with_options(max_retries=0)

    with trace.workflow("naive"):
        for _ in range(3):
            try:
                blind.chat.completions.create(**ASK)
            except openai.RateLimitError:
                continue

    calls = recorded().calls
    assert [one.attempts for one in calls] == [1, 1, 1]
    assert len({one.request_digest for one in calls}) == 1  # the same request, sent again


def test_a_client_that_does_not_count_its_retries_is_read_by_its_body(server: ModelServer, recorded: Read) -> None:
    server.plan(LIMITED, Reply(503, b"<html>"))
    with trace.client(httpx.Client()) as client:
        for _ in range(3):
            client.post(f"{server.url}/v1/chat/completions", json=ASK)
        client.post(f"{server.url}/v1/chat/completions", json=ASK)  # after an answer it is another call

    assert sorted(one.attempts or 0 for one in recorded().calls) == [1, 3]


def test_a_call_alone_is_a_workflow_named_after_it(client: openai.OpenAI, recorded: Read) -> None:
    client.chat.completions.create(**ASK)

    (workflow,) = recorded().workflows
    assert (workflow.name, workflow.status, workflow.kept) == ("chat small", "ok", "all")
    assert recorded().calls[0].workflow_id == workflow.id


def test_a_list_that_the_program_changes_afterwards_is_recorded_as_it_was_sent(
    client: openai.OpenAI, recorded: Read
) -> None:
    messages: list[Any] = [{"role": "user", "content": "first"}]

    with trace.workflow("chat", inputs={"messages": messages}):
        client.chat.completions.create(model="small", messages=messages)
        messages.append({"role": "user", "content": "second"})
        messages[0]["content"] = "changed"

    assert recorded().workflows[0].inputs == {"messages": [{"role": "user", "content": "first"}]}
    assert recorded().calls[0].messages == [{"role": "user", "parts": ["first"]}]


def test_a_stream_is_passed_on_as_it_comes_and_its_first_token_is_timed(
    server: ModelServer, client: openai.OpenAI, recorded: Read
) -> None:
    hold = threading.Event()
    server.plan(Reply(body=chunks("fo", "ur"), hold=hold))
    seen = []

    for chunk in client.chat.completions.create(**ASK, stream=True):
        hold.set()  # the first chunk is here before the server goes on
        seen += [choice.delta.content or "" for choice in chunk.choices]

    (attempt,) = recorded().attempts
    assert "".join(seen) == attempt.text == "four"
    assert (attempt.status, attempt.finish, attempt.input_tokens) == ("ok", "stop", 20)
    assert attempt.ttft_ms is not None
    assert attempt.latency_ms is not None
    assert 0 < attempt.ttft_ms <= attempt.latency_ms


def test_a_stream_that_the_program_closes_is_recorded_as_such(
    server: ModelServer, client: openai.OpenAI, recorded: Read
) -> None:
    hold = threading.Event()
    server.plan(Reply(body=chunks("fo", "ur"), hold=hold))

    with client.chat.completions.create(**ASK, stream=True) as stream:
        next(iter(stream))
    hold.set()

    (attempt,) = recorded().attempts
    assert (attempt.status, attempt.error_kind, attempt.text) == ("error", "interrupted", "fo")
    assert (attempt.finish, attempt.output_tokens) == (None, None)


def test_a_stream_that_the_server_breaks_off_is_a_network_error(
    server: ModelServer, client: openai.OpenAI, recorded: Read
) -> None:
    server.plan(Reply(body=chunks("fo", "ur")[:1], breaks=True))

    with pytest.raises(Exception, match=r"."):  # the client's own error reaches the program as it is
        list(client.chat.completions.create(**ASK, stream=True))

    (attempt,) = recorded().attempts
    assert (attempt.status, attempt.error_kind, attempt.text) == ("error", "network", "fo")


def test_a_server_that_is_not_there_gives_attempts_with_network_errors(recorded: Read) -> None:
    client = trace.client(openai.OpenAI(api_key=KEY, base_url="http://127.0.0.1:9/v1", max_retries=1))

    with client, pytest.raises(openai.APIConnectionError):
        client.chat.completions.create(**ASK)

    assert [(one.number, one.error_kind) for one in recorded().attempts] == [(1, "network"), (2, "network")]
    assert recorded().workflows[0].status == "error"


def test_a_compressed_answer_is_read(server: ModelServer, client: openai.OpenAI, recorded: Read) -> None:
    server.plan(Reply(body=completion("squeezed"), gzipped=True))

    assert client.chat.completions.create(**ASK).choices[0].message.content == "squeezed"
    assert recorded().attempts[0].text == "squeezed"


def test_an_answer_that_is_not_one_is_a_bad_response(
    server: ModelServer, client: openai.OpenAI, recorded: Read
) -> None:
    server.plan(Reply(body=b"<html>busy</html>", headers={"Content-Type": "text/html"}))

    client.chat.completions.create(**ASK)

    assert (recorded().attempts[0].status, recorded().attempts[0].error_kind) == ("error", "bad_response")


async def test_calls_of_tasks_belong_to_the_workflow_that_gathered_them(server: ModelServer, recorded: Read) -> None:
    server.plan(LIMITED)

    async with trace.client(openai.AsyncOpenAI(api_key=KEY, base_url=f"{server.url}/v1")) as client:

        @trace.step
        async def ask(number: int) -> None:
            await client.chat.completions.create(model="small", messages=[{"role": "user", "content": f"{number}?"}])

        @trace.workflow("gathered")
        async def gathered() -> None:
            await asyncio.gather(*(ask(number) for number in range(5)))

        await gathered()

    found = recorded()
    (workflow,) = found.workflows
    assert {one.workflow_id for one in [*found.calls, *found.steps]} == {workflow.id}
    by_step = {one.id: one.inputs for one in found.steps}
    assert sorted(by_step[one.step_id or ""]["number"] for one in found.calls) == list(range(5))
    assert sorted(one.attempts or 0 for one in found.calls) == [1, 1, 1, 1, 2]


async def test_an_async_stream_is_passed_on_and_recorded(server: ModelServer, recorded: Read) -> None:
    server.plan(Reply(body=chunks("fo", "ur")))

    async with trace.client(openai.AsyncOpenAI(api_key=KEY, base_url=f"{server.url}/v1")) as client:
        stream = await client.chat.completions.create(**ASK, stream=True)
        texts = [choice.delta.content or "" async for chunk in stream for choice in chunk.choices]

    assert "".join(texts) == recorded().attempts[0].text == "four"


async def test_a_call_that_is_cancelled_is_interrupted(server: ModelServer, recorded: Read) -> None:
    hold = threading.Event()
    server.plan(Reply(body=chunks("fo", "ur"), hold=hold))

    async with trace.client(openai.AsyncOpenAI(api_key=KEY, base_url=f"{server.url}/v1")) as client:
        first = asyncio.Event()

        async def ask() -> None:
            async for _ in await client.chat.completions.create(**ASK, stream=True):
                first.set()

        task = asyncio.create_task(ask())
        await first.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        hold.set()

    assert recorded().attempts[0].error_kind == "interrupted"


def test_anthropics_client_is_traced_with_the_caches_tokens_in_the_input(server: ModelServer, recorded: Read) -> None:
    server.plan(
        Reply(529, {"type": "error", "error": {"type": "overloaded_error", "message": "x"}}, {"retry-after": "0.001"})
    )
    client = trace.client(anthropic.Anthropic(api_key=KEY, base_url=server.url))

    with client:
        client.messages.create(
            model="claude", max_tokens=9, system="Be brief.", messages=[{"role": "user", "content": "2 + 2?"}]
        )

    (call,), (first, second) = recorded().calls, recorded().attempts
    assert (call.provider, call.attempts, first.error_kind) == ("anthropic", 2, "overload")
    assert call.messages == [{"role": "system", "parts": ["Be brief."]}, {"role": "user", "parts": ["2 + 2?"]}]
    assert (second.input_tokens, second.cached_tokens, second.output_tokens, second.text) == (20, 4, 2, "four")


def test_anthropics_stream_is_read_with_the_counts_of_its_end(server: ModelServer, recorded: Read) -> None:
    start = {**message(""), "content": [], "stop_reason": None, "usage": {"input_tokens": 16, "output_tokens": 1}}
    server.plan(
        Reply(
            body=[
                {"type": "message_start", "message": start},
                {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
                {"type": "ping"},
                {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "fo"}},
                {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "ur"}},
                {"type": "content_block_stop", "index": 0},
                {"type": "message_delta", "delta": {"stop_reason": "max_tokens"}, "usage": {"output_tokens": 2}},
                {"type": "message_stop"},
            ]
        )
    )
    ask: Any = {"model": "claude", "max_tokens": 9, "messages": [{"role": "user", "content": "2 + 2?"}]}

    with (
        trace.client(anthropic.Anthropic(api_key=KEY, base_url=server.url)) as client,
        client.messages.stream(**ask) as s,
    ):
        assert "".join(s.text_stream) == "four"

    (attempt,) = recorded().attempts
    assert (attempt.text, attempt.finish, attempt.input_tokens, attempt.output_tokens) == ("four", "length", 16, 2)
    assert attempt.ttft_ms is not None


def test_the_responses_api_and_embeddings_are_read(server: ModelServer, client: openai.OpenAI, recorded: Read) -> None:
    said = {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "output_text", "text": "four", "annotations": []}],
    }
    answer = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": "completed",
        "model": "small-1",
        "output": [said],
        "usage": {"input_tokens": 20, "output_tokens": 2, "total_tokens": 22},
    }
    vectors = {
        "object": "list",
        "model": "vectors-1",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}],
        "usage": {"prompt_tokens": 3, "total_tokens": 3},
    }
    server.plan(Reply(body=answer), Reply(body=vectors))

    assert client.responses.create(model="small", input="2 + 2?", instructions="Be brief.").output_text == "four"
    client.embeddings.create(model="vectors", input=["two", "four"], encoding_format="float")

    chat, embedding = recorded().calls
    first, second = sorted(recorded().attempts, key=lambda one: one.started_at or 0)
    assert chat.messages == [{"role": "system", "parts": ["Be brief."]}, {"role": "user", "parts": ["2 + 2?"]}]
    assert (first.text, first.finish, first.input_tokens) == ("four", "stop", 20)
    assert (embedding.operation, [one["parts"] for one in embedding.messages]) == ("embedding", [["two"], ["four"]])
    assert (second.status, second.input_tokens, second.output_tokens, second.text) == ("ok", 3, 0, None)


def test_geminis_path_names_the_model_and_its_key_is_not_recorded(server: ModelServer, recorded: Read) -> None:
    answer = {
        "candidates": [{"content": {"parts": [{"text": "four"}]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 1},
    }
    server.plan(Reply(body=answer))

    with trace.client(httpx.Client()) as client:
        client.post(
            f"{server.url}/v1beta/models/flash:generateContent?key=AIzaQueryKey0123456789012345678901234567",
            json={"contents": [{"role": "user", "parts": [{"text": "2 + 2?"}]}]},
        )

    assert (recorded().attempts[0].model, recorded().attempts[0].text) == ("flash", "four")
    assert b"AIza" not in recorded().raw


def test_requests_that_are_not_a_models_are_left_alone(server: ModelServer, recorded: Read) -> None:
    with trace.client(httpx.Client()) as client:
        client.post(f"{server.url}/orders", json={"id": 7})
        client.post(f"{server.url}/chat/messages", json={"text": "not a model's, for all its name"})

    assert recorded().raw == b""


def test_a_request_whose_body_is_streamed_is_an_attempt_of_a_call_that_is_not_known(
    server: ModelServer, recorded: Read
) -> None:
    body = b'{"model": "m", "messages": []}'
    with trace.client(httpx.Client()) as client:
        client.post(
            f"{server.url}/v1/chat/completions", content=iter([body]), headers={"Content-Length": str(len(body))}
        )

    assert (recorded().calls[0].settings, recorded().calls[0].messages) == (None, None)
    assert (recorded().attempts[0].text, recorded().attempts[0].model) == ("four", None)
    assert recorded().losses == {"unreadable": 1}


async def test_tasks_that_inherit_a_failed_request_do_not_all_go_on_with_its_call(
    server: ModelServer, recorded: Read
) -> None:
    server.plan(Reply(503, b""))
    async with trace.client(httpx.AsyncClient()) as client:

        async def ask() -> None:
            await client.post(f"{server.url}/v1/chat/completions", json=ASK)

        await ask()
        await asyncio.gather(*(ask() for _ in range(4)))

    assert sorted(one.attempts or 0 for one in recorded().calls) == [1, 1, 1, 2]


def test_a_client_is_traced_once_however_often_it_is_asked(server: ModelServer, recorded: Read) -> None:
    with openai.OpenAI(api_key=KEY, base_url=f"{server.url}/v1") as client:
        assert trace.client(trace.client(client)) is client
        client.chat.completions.create(**ASK)

    assert len(recorded().attempts) == 1


def test_what_is_no_client_is_handed_back_and_told(recorded: Read) -> None:
    thing = object()

    assert trace.client(thing) is thing
    trace.feedback("w", good=True)
    assert recorded().losses == {"client: no httpx client in builtins.object": 1}


def test_a_transport_that_holds_its_answers_whole_is_traced(recorded: Read) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=completion("mocked")))

    with trace.client(httpx.Client(transport=transport)) as client:
        assert client.post("http://model/v1/chat/completions", json=ASK).json()["model"] == "small-1"

    assert recorded().attempts[0].text == "mocked"


def test_a_transport_that_a_client_mounts_for_some_addresses_is_traced(recorded: Read) -> None:
    mounted = httpx.MockTransport(lambda _: httpx.Response(200, json=completion("mounted")))

    with trace.client(httpx.Client(mounts={"http://model": mounted})) as client:
        client.post("http://model/v1/chat/completions", json=ASK)

    assert recorded().attempts[0].text == "mounted"


def test_an_answer_of_many_megabytes_is_cut_and_said_so(
    server: ModelServer, client: openai.OpenAI, recorded: Read
) -> None:
    text = "x" * 3_000_000
    server.plan(Reply(body=completion(text)), Reply(body=chunks(*["y" * 100_000] * 100)))

    assert client.chat.completions.create(**ASK).choices[0].message.content == text
    assert len(list(client.chat.completions.create(**ASK, stream=True))) == 102

    whole, streamed = sorted(recorded().attempts, key=lambda one: one.started_at or 0)
    assert whole.text is not None
    assert whole.text.endswith("[cut: 3,000,000 bytes]")
    assert (streamed.status, streamed.finish, streamed.input_tokens) == ("ok", "stop", 20)  # its end was kept
    assert recorded().losses == {"too large": 1}
