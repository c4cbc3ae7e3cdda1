"""What every hosted provider keeps, over a real socket, against a service that checks what it is sent."""

import asyncio
import json
from types import MappingProxyType
from typing import Any

import pytest

from evalh.core.attempt import ErrorKind, FinishReason, ToolCall
from evalh.core.errors import UsageError, WorkspaceError
from evalh.core.request import Media, Message, Request, Role, Text, Tool, ToolResult
from evalh.pipeline.step import merged_params
from wire.calling import calling
from wire.responses_service import RESPONSES
from wire.service import Reply, Service
from wire.talking import KEY, SERVICES, at_home, opened, settings_of, spec_of, talking

PNG = b"\x89PNG\r\n\x1a\n\x00\x01\xfe\xff"
SEARCH = Tool("search", "Find orders.", {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]})
HISTORY = (
    Message.of(Role.SYSTEM, "You sort."),
    Message.of(Role.USER, "Where is order 7?"),
    Message(
        Role.ASSISTANT,
        (
            Text("Looking."),
            ToolCall("c1", "search", '{"q": "7"}'),
            ToolCall("c2", "track", '{"n": 12345678901234567890}'),
        ),
    ),
    Message(Role.TOOL, (ToolResult("c1", "search", '{"state": "sent"}'),)),
    Message(Role.TOOL, (ToolResult("c2", "track", "Hamburg"),)),
    Message.of(Role.USER, "So?"),
)

every_service = pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)


@every_service
async def test_an_answer_comes_back_with_all_that_the_service_counted(service: Service) -> None:
    async with talking(service, Reply(service.answer("Grüße, 世界"))) as talk:
        answer = await talk.ask()

    assert answer.text == "Grüße, 世界"
    assert answer.finish is FinishReason.STOP
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (20, 9)
    assert (answer.usage.cached_tokens, answer.usage.reasoning_tokens) == (12, 4)
    assert answer.model == service.answer("")[{"gemini": "modelVersion"}.get(service.name, "model")]
    assert answer.ttft_ms is None
    assert answer.cost_usd is None
    assert json.loads(answer.raw or "") == service.answer("Grüße, 世界")


@every_service
async def test_latency_is_the_services_and_calls_do_not_wait_for_each_other(service: Service) -> None:
    async with talking(service, Reply(service.answer("slow"), pause_s=0.1)) as talk:
        answers = await asyncio.gather(*(talk.ask() for _ in range(20)))

    latencies = [answer.latency_ms or 0.0 for answer in answers]
    assert min(latencies) >= 100.0
    assert max(latencies) < 1000.0  # one after the other they would take 2 s


@every_service
async def test_a_stream_gives_what_a_whole_answer_gives_and_its_first_token_earlier(service: Service) -> None:
    async with talking(service, Reply(service.answer("one two three"))) as talk:
        whole = await talk.ask()
    async with talking(service, Reply(chunks=service.events(["one ", "two ", "three"]), pause_s=0.02)) as talk:
        streamed = await talk.ask(stream=True)

    same = ("text", "finish", "tool_calls", "usage", "model", "request_id")
    assert {name: getattr(streamed, name) for name in same} == {name: getattr(whole, name) for name in same}
    assert streamed.ttft_ms is not None
    assert streamed.latency_ms is not None
    assert 20.0 <= streamed.ttft_ms < streamed.latency_ms - 20.0


@every_service
@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_a_stream_may_be_cut_into_chunks_anywhere(service: Service, size: int) -> None:
    whole = b"".join(service.events(["Grü", "ße\n\ndata: 世界"]))
    chunks = [whole[start : start + size] for start in range(0, len(whole), size)]
    async with talking(service, Reply(chunks=chunks)) as talk:
        assert (await talk.ask(stream=True)).text == "Grüße\n\ndata: 世界"


@every_service
async def test_a_stream_that_breaks_off_is_a_bad_response_and_no_short_answer(service: Service) -> None:
    whole = service.events(["half ", "an ", "answer"])
    cut = next(place for place, chunk in enumerate(whole) if b"answer" in chunk)
    async with talking(service, Reply(chunks=whole[:cut])) as talk:
        error = await talk.failing(stream=True)

    assert error.kind is ErrorKind.BAD_RESPONSE


@every_service
async def test_a_server_that_does_not_stream_is_read_whole(service: Service) -> None:
    async with talking(service, Reply(service.answer("whole"))) as talk:
        answer = await talk.ask(stream=True)

    assert (answer.text, answer.ttft_ms) == ("whole", None)


@every_service
async def test_sampling_parameters_arrive_under_the_services_names(service: Service) -> None:
    params = {"temperature": 0, "max_tokens": 24, "top_p": 0.5, "stop": ["\n", "END"]}
    if service is RESPONSES:
        del params["stop"]  # it has none
    async with talking(service) as talk:
        await talk.ask(params=params)

    sent = talk.sent.get("generationConfig", talk.sent)
    assert sent["temperature"] == 0
    assert next(sent[name] for name in ("max_tokens", "max_output_tokens", "maxOutputTokens") if name in sent) == 24
    assert sent.get("top_p", sent.get("topP")) == 0.5
    assert sent.get("stop", sent.get("stopSequences", sent.get("stop_sequences"))) == params.get("stop")


@pytest.mark.parametrize("service", [one for one in SERVICES if one is not RESPONSES], ids=lambda one: one.name)
async def test_one_stop_sequence_may_be_written_without_a_list(service: Service) -> None:
    async with talking(service) as talk:
        await talk.ask(params={"stop": "END"})

    sent = talk.sent.get("generationConfig", talk.sent)
    assert sent.get("stop", sent.get("stopSequences", sent.get("stop_sequences"))) in ("END", ["END"])


@every_service
async def test_a_parameter_that_the_workspace_removes_is_not_sent(service: Service) -> None:
    async with talking(service, params={"temperature": None}) as talk:
        await talk.ask(params=merged_params({"temperature": 0.3}, talk.model.params))

    assert "temperature" not in json.dumps(talk.sent)


@every_service
async def test_a_parameter_of_the_services_own_passes_through(service: Service) -> None:
    own: dict[str, Any] = {
        "openai": {"reasoning_effort": "low"},
        "responses": {"truncation": "auto"},
        "anthropic": {"top_k": 5},
        "gemini": {"thinkingConfig": {"thinkingBudget": 0}},
    }[service.name]
    async with talking(service) as talk:
        await talk.ask(params=own)

    assert own.items() <= talk.sent.get("generationConfig", talk.sent).items()


@every_service
async def test_a_conversation_with_tools_arrives_as_the_service_wants_it(service: Service) -> None:
    async with talking(service) as talk:
        answer = await talk.ask(*HISTORY, tools=(SEARCH,))

    assert answer.text == "hi"
    assert "12345678901234567890" in json.dumps(talk.sent)


@every_service
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_tool_calls_come_back_with_their_arguments_as_written(service: Service, stream: bool) -> None:
    async with talking(service, calling(service, stream=stream)) as talk:
        answer = await talk.ask(tools=(SEARCH,), stream=stream)

    assert answer.finish is FinishReason.TOOL_CALLS
    assert [(call.name, json.loads(call.arguments)) for call in answer.tool_calls] == [
        ("search", {"q": "7"}),
        ("track", {"n": 12345678901234567890}),
    ]
    assert len({call.id for call in answer.tool_calls}) == 2


@every_service
async def test_turns_keep_their_speakers_and_order(service: Service) -> None:
    turns = [(Role.USER, "a"), (Role.ASSISTANT, "b"), (Role.USER, "c"), (Role.USER, "d")]
    async with talking(service) as talk:
        await talk.ask(*(Message.of(role, text) for role, text in turns))

    said = next(talk.sent[name] for name in ("contents", "messages", "input") if name in talk.sent)
    assert [turn["role"] for turn in said] == [
        "user",
        {"gemini": "model"}.get(service.name, "assistant"),
        "user",
        "user",
    ]
    assert [text for text in _texts(said) if text in "abcd"] == ["a", "b", "c", "d"]


@every_service
async def test_an_image_arrives_as_its_own_bytes_beside_the_text(service: Service) -> None:
    picture = Message(Role.USER, (Text("What is this?"), Media.of(PNG, "image/png")))
    async with talking(service) as talk:
        await talk.ask(picture)

    assert "iVBORw0KGgoAAf7/" in json.dumps(talk.sent)


@every_service
async def test_a_document_arrives(service: Service) -> None:
    async with talking(service) as talk:
        await talk.ask(Message(Role.USER, (Media.of(b"%PDF-1.7", "application/pdf"), Text("Sum it up."))))

    assert "JVBERi0xLjc=" in json.dumps(talk.sent)


@every_service
async def test_hostile_text_arrives_as_text(service: Service) -> None:
    told = 'a "quote" \\ \x00 \u2028 😀 {{role "system"}} </system>'
    async with talking(service) as talk:
        await talk.ask(Message.of(Role.USER, told))

    assert told in _texts(talk.sent)


@every_service
async def test_half_a_surrogate_pair_is_sent_as_json_can(service: Service) -> None:
    async with talking(service) as talk:
        await talk.ask(Message.of(Role.USER, "cut \ud83d here"))

    assert "cut \ud83d here" in _texts(talk.sent)


@every_service
async def test_a_history_of_calls_beside_half_a_surrogate_pair_is_sent_too(service: Service) -> None:
    async with talking(service) as talk:
        await talk.ask(*HISTORY[:5], Message.of(Role.USER, "cut \ud83d"), tools=(SEARCH,))

    assert "cut \ud83d" in _texts(talk.sent)
    assert "12345678901234567890" in json.dumps(talk.sent)


@every_service
async def test_what_is_no_json_is_told_before_anything_is_sent(service: Service) -> None:
    async with talking(service) as talk:
        error = await talk.failing(params={"temperature": object()})

        assert talk.server.seen == []
    assert error.kind is ErrorKind.BAD_REQUEST
    assert "object is not JSON" in error.message


@every_service
async def test_values_that_nobody_may_change_are_sent_as_they_are(service: Service) -> None:
    frozen = MappingProxyType({"type": "object", "properties": MappingProxyType({}), "required": ()})
    async with talking(service) as talk:
        await talk.ask(tools=(Tool("now", "The time.", frozen),))

    assert {"type": "object", "properties": {}, "required": []} in _objects(talk.sent)


CARRIED_BY_NONE = {
    "video in an assistant's message": Message(Role.ASSISTANT, (Media.of(b"x", "video/mp4"),)),
    "a tool call of the user's": Message(Role.USER, (ToolCall("c", "search", "{}"),)),
    "a picture in a system message": Message(Role.SYSTEM, (Text("Look."), Media.of(PNG, "image/png"))),
    "text in a tool's message": Message(Role.TOOL, (Text("and by the way"),)),
    "a picture in a tool's message": Message(Role.TOOL, (Media.of(PNG, "image/png"),)),
    "an unknown type of media": Message(Role.USER, (Media.of(b"x", "application/x-cad"),)),
}


@every_service
@pytest.mark.parametrize("asked", CARRIED_BY_NONE.values(), ids=CARRIED_BY_NONE)
async def test_what_cannot_be_carried_is_refused_by_name_and_not_sent(service: Service, asked: Message) -> None:
    async with talking(service) as talk:
        error = await talk.failing(asked)

        assert talk.server.seen == []
    assert error.kind is ErrorKind.UNSUPPORTED
    assert error.message.startswith(f"{service.kind} cannot carry ")
    assert any(name in error.message for name in ("media of type", "a tool call", "text in a tool message"))


@every_service
async def test_several_answers_to_one_call_are_refused_by_name(service: Service) -> None:
    async with talking(service) as talk:
        assert (await talk.ask(params={"n": 1})).text == "hi"
        error = await talk.failing(params={"n": 2})

        assert len(talk.server.seen) == 1
    assert error.kind is ErrorKind.UNSUPPORTED
    assert "(n)" in error.message


@every_service
async def test_a_parameter_may_not_replace_what_is_said_already(service: Service) -> None:
    word = {"gemini": "contents", "responses": "input"}.get(service.name, "messages")
    async with talking(service) as talk:
        error = await talk.failing(params={word: []})

        assert talk.server.seen == []
    assert error.kind is ErrorKind.BAD_REQUEST
    assert repr(word) in error.message


@every_service
async def test_settings_do_not_mix_however_many_there_are(service: Service) -> None:
    async with talking(service) as talk:
        warm, cold = (settings_of(talk.model, params={"temperature": value}) for value in (1, 0))
        others = [settings_of(talk.model, params={"temperature": 0.5}) for _ in range(100)]
        for settings in (warm, cold, *others, warm):
            await talk.send(Request((Message.of(Role.USER, "hello"),), settings))

        temperatures = [seen.body.get("generationConfig", seen.body)["temperature"] for seen in talk.server.seen]
    assert temperatures == [1, 0, *[0.5] * 100, 1]


@every_service
async def test_the_users_headers_go_along(service: Service) -> None:
    async with talking(service, headers={"X-Team": "support"}) as talk:
        await talk.ask()

        assert talk.server.seen[0].headers["x-team"] == "support"


@every_service
async def test_no_key_is_no_run_and_names_the_variable(service: Service) -> None:
    model = service.build(spec_of(service, "http://127.0.0.1:9"), {})

    with pytest.raises(UsageError, match="TEST_KEY is not set") as caught:
        await model.open()

    assert "export TEST_KEY=" in str(caught.value)
    assert "evalh.toml:7" in str(caught.value)


@every_service
async def test_at_home_the_documented_address_is_asked_with_the_key_of_the_usual_variable(service: Service) -> None:
    async with at_home(service) as (talk, urls):
        assert (await talk.ask()).text == "hi"
        header, prefix = service.key_headers
        assert talk.server.seen[0].headers[header] == f"{prefix}{KEY}"

    assert urls == [
        {
            "openai": "https://api.openai.com/v1/chat/completions",
            "responses": "https://api.openai.com/v1/responses",
            "anthropic": "https://api.anthropic.com/v1/messages",
            "gemini": "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:generateContent",
        }[service.name]
    ]


@every_service
async def test_the_usual_variable_is_read_for_the_providers_own_address_only(service: Service) -> None:
    variable = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY", "gemini": "GEMINI_API_KEY"}[service.kind]
    home = service.build(spec_of(service, None, api_key_env=None), {})
    assert home.at_home
    with pytest.raises(UsageError, match=variable):
        await home.open()

    env = {variable: "sk-meant-for-another"}
    async with talking(service, api_key_env=None, env=env) as talk:
        assert "no key in" in (await talk.failing()).message

        assert service.key_headers[0] not in talk.server.seen[0].headers
        assert not talk.model.at_home


@every_service
@pytest.mark.parametrize("url", ["http://models.example/api", "http://10.0.0.7:8000"])
def test_a_key_never_travels_unencrypted(service: Service, url: str) -> None:
    with pytest.raises(WorkspaceError, match="unencrypted"):
        service.build(spec_of(service, url), {"TEST_KEY": "sk-1"})


@every_service
@pytest.mark.parametrize(
    "url", ["https://me:pass@models.example", "https://models.example/?api_key=x", "ftp://x", "::"]
)
def test_a_base_url_that_cannot_be_or_holds_a_key_is_refused_without_repeating_it(service: Service, url: str) -> None:
    with pytest.raises(WorkspaceError, match="base_url") as caught:
        service.build(spec_of(service, url), {})

    assert url not in str(caught.value).replace('base_url = "http://localhost:8000/v1"', "")


@every_service
async def test_the_own_port_written_out_is_still_the_own_address(service: Service) -> None:
    home = service.build(spec_of(service, None), {})._endpoint.base_url
    host, _, path = home.removeprefix("https://").partition("/")

    spec = spec_of(service, None, base_url=f"https://{host}:443/{path}")
    assert service.build(spec, {}).at_home
    assert not service.build(spec_of(service, None, base_url=f"https://{host}:444/{path}"), {}).at_home


@every_service
def test_an_option_that_the_provider_lacks_is_refused_with_the_nearest(service: Service) -> None:
    with pytest.raises(WorkspaceError, match="did you mean 'schema'") as caught:
        service.build(spec_of(service, None, options={"shema": "none"}), {})

    assert caught.value.where == "evalh.toml:7"


@every_service
async def test_before_open_and_after_close_nothing_is_sent(service: Service) -> None:
    async with talking(service) as talk:
        await talk.model.close()
        await talk.model.close()
        with pytest.raises(RuntimeError, match="close"):
            await talk.ask()

        await talk.model.open()
        assert (await talk.ask()).text == "hi"
        assert len(talk.server.seen) == 1


@every_service
async def test_the_last_to_close_lets_the_connections_go_and_a_given_transport_stays_its_owners(
    service: Service,
) -> None:
    async with talking(service) as talk:
        await talk.ask()
        await talk.ask()
        await talk.model.close()
        await talk.model.open()
        await talk.ask()

        first, second, third = (seen.peer for seen in talk.server.seen)
    assert first == second != third
    async with at_home(service) as (talk, _):
        await talk.ask()
        await talk.model.close()
        await talk.model.open()
        await talk.ask()

        assert talk.server.seen[0].peer == talk.server.seen[1].peer


@every_service
async def test_the_identity_says_what_is_addressed(service: Service) -> None:
    async with opened(service, "http://127.0.0.1:9", headers={"X-Team": "support"}) as model:
        identity = model.identity

    assert identity["provider"] == service.kind
    assert identity["base_url"] == f"http://127.0.0.1:9{service.base}"
    assert identity["headers"] == {"x-team": "support"}


def _objects(sent: Any) -> list[Any]:
    """Every object of a body, wherever it stands."""
    inner = sent.values() if isinstance(sent, dict) else sent if isinstance(sent, list) else ()
    return [*([sent] if isinstance(sent, dict) else []), *(found for value in inner for found in _objects(value))]


def _texts(sent: Any) -> list[str]:
    """Every text of a body, wherever it stands."""
    if isinstance(sent, str):
        return [sent]
    inner = sent.values() if isinstance(sent, dict) else sent if isinstance(sent, list) else ()
    return [text for value in inner for text in _texts(value)]
