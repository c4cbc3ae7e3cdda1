"""A key is in the request's own header and nowhere else, whatever a server makes of it."""

import json
import traceback
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalh.core.attempt import CallError, ErrorKind
from evalh.core.request import Tool
from evalh.providers.endpoint import is_secret
from evalh.providers.http.errors import MASK, Redactor
from wire.anthropic_service import message
from wire.gemini_service import content
from wire.openai_service import OPENAI, chat
from wire.responses_service import called, response
from wire.service import Reply, Service, event
from wire.talking import KEY, SERVICES, opened, talking

every_service = pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
SPELLED = {
    "as it is": KEY,
    "in JSON's escapes": "".join(f"\\u{ord(char):04x}" for char in KEY),
    "half in escapes": f"\\u{ord(KEY[0]):04x}{KEY[1:]}",
}
SLASHED = "ab/cd+ef/0123=="


def whole(told: object) -> str:
    """Everything that an answer or an error would show or store."""
    if isinstance(told, CallError):
        return "".join(traceback.format_exception(told)) + repr(vars(told))
    return repr(told)


@every_service
async def test_the_key_goes_in_its_header_only(service: Service) -> None:
    header, prefix = service.key_headers
    async with talking(service) as talk:
        answer = await talk.ask()
        (seen,) = talk.server.seen

    assert seen.headers.pop(header) == f"{prefix}{KEY}"
    assert KEY not in f"{seen}{whole(answer)}{json.dumps(talk.model.identity)}"


@every_service
@pytest.mark.parametrize("status", [200, 400, 401, 429, 500])
@pytest.mark.parametrize("spelled", SPELLED.values(), ids=SPELLED)
async def test_a_server_that_echoes_the_key_in_an_error_does_not_reach_the_log(
    service: Service, status: int, spelled: str
) -> None:
    spoken = json.dumps(service.error(status, "invalid", "Incorrect API key provided: @. You sent @ to us."))
    async with talking(service, Reply(spoken.replace("@", spelled).encode(), status)) as talk:
        error = await talk.failing()

    assert KEY not in whole(error)
    assert MASK in error.message


@every_service
@pytest.mark.parametrize("body", [f"<html><title>{KEY}</title>", f"key={KEY} refused", "x" * 190 + KEY, KEY * 400])
@pytest.mark.parametrize("status", [200, 502])
async def test_a_page_that_shows_the_key_does_not_reach_the_log_not_even_in_part(
    service: Service, body: str, status: int
) -> None:
    async with talking(service, Reply(body.encode(), status)) as talk:
        error = await talk.failing()

    assert KEY[:12] not in whole(error)


@every_service
async def test_headers_that_repeat_the_key_do_not_reach_the_log(service: Service) -> None:
    headers = {"x-request-id": KEY, "request-id": KEY, "retry-after": KEY, "location": f"https://{KEY}.example/{KEY}"}
    for status in (200, 302, 429):
        async with talking(service, Reply(service.answer("hi"), status, headers)) as talk:
            try:
                told: object = await talk.ask()
            except CallError as error:
                told = error

        assert KEY not in whole(told)


@every_service
@pytest.mark.parametrize("spelled", SPELLED.values(), ids=SPELLED)
async def test_an_answer_that_holds_the_key_is_stored_without_it(service: Service, spelled: str) -> None:
    body = json.dumps(service.answer("Your key is @."))
    async with talking(service, Reply(body.replace("@", spelled).encode())) as talk:
        answer = await talk.ask()

    assert answer.text == f"Your key is {MASK}."
    assert KEY not in whole(answer)
    assert KEY not in str(json.loads(answer.raw or "null"))


@every_service
@pytest.mark.parametrize("spelled", SPELLED.values(), ids=SPELLED)
async def test_a_key_beside_the_answer_is_not_stored_with_it(service: Service, spelled: str) -> None:
    body = json.dumps(service.answer("<hi>") | {"echo": "Bearer @"}).replace("<", "\\u003c")
    async with talking(service, Reply(body.replace("@", spelled).encode())) as talk:
        answer = await talk.ask()

    assert answer.text == "<hi>"
    assert KEY not in str(json.loads(answer.raw or "null"))


async def test_escapes_that_hide_no_key_leave_the_raw_answer_as_it_came() -> None:
    body = json.dumps(OPENAI.answer("<hi>")).replace("<", "\\u003c")
    async with talking(OPENAI, Reply(body.encode())) as talk:
        assert (await talk.ask()).raw == body


@every_service
async def test_a_key_that_is_streamed_letter_by_letter_is_stored_without_it(service: Service) -> None:
    async with talking(service, Reply(chunks=service.events(["Your key is ", *KEY, "."]))) as talk:
        answer = await talk.ask(stream=True)

    assert answer.text == f"Your key is {MASK}."
    assert answer.raw is None  # the pieces would spell it


@every_service
async def test_a_tool_call_that_holds_the_key_is_stored_without_it(service: Service) -> None:
    arguments = {"q": KEY}
    called_by: dict[str, Any] = {
        "responses": response(called("s", json.dumps(arguments))),
        "openai": chat(
            None,
            finish="tool_calls",
            tool_calls=[
                {"id": "c1", "type": "function", "function": {"name": "s", "arguments": json.dumps(arguments)}}
            ],
        ),
        "anthropic": message({"type": "tool_use", "id": "c1", "name": "s", "input": arguments}, finish="tool_use"),
        "gemini": content({"functionCall": {"name": "s", "args": arguments}}),
    }
    async with talking(service, Reply(called_by[service.name])) as talk:
        answer = await talk.ask(tools=(Tool("s", "", {"type": "object"}),))

    assert KEY not in whole(answer)
    assert json.loads(answer.tool_calls[0].arguments) == {"q": MASK}


@every_service
async def test_an_event_that_cannot_be_read_is_described_without_the_key(service: Service) -> None:
    for spoken in (f"{{broken {KEY}", "x" * 185 + KEY):
        chunks = [*service.events(["half", " way"])[:2], event(spoken)]
        async with talking(service, Reply(chunks=chunks)) as talk:
            error = await talk.failing(stream=True)

        assert error.kind is ErrorKind.BAD_RESPONSE
        assert KEY[:12] not in whole(error)


async def test_a_slash_that_a_server_escapes_does_not_hide_the_key() -> None:
    body = json.dumps(OPENAI.answer("hi") | {"echo": SLASHED}).replace("/", "\\/").encode()
    async with talking(OPENAI, Reply(body), env={"TEST_KEY": SLASHED}) as talk:
        answer = await talk.ask()

    assert json.loads(answer.raw or "")["echo"] == MASK


async def test_a_secret_of_the_users_own_headers_is_kept_too_and_of_bearer_the_bare_key() -> None:
    headers = {"Authorization": "Bearer tok-0123456789", "X-Gateway-Token": "gate-0123456789", "X-Team": "support"}
    echo = OPENAI.error(400, "invalid", "seen tok-0123456789 and gate-0123456789 of support")
    async with talking(OPENAI, Reply(echo, 400), headers=headers, api_key_env=None) as talk:
        error = await talk.failing()

    assert talk.server.seen[0].headers["authorization"] == "Bearer tok-0123456789"
    assert error.message == f"seen {MASK} and {MASK} of support"
    assert talk.model.identity["headers"] == {"x-team": "support"}


async def test_a_key_with_line_breaks_around_it_is_sent_without_them() -> None:
    async with talking(OPENAI, env={"TEST_KEY": f" {KEY}\r\n"}) as talk:
        await talk.ask()

    assert talk.server.seen[0].headers["authorization"] == f"Bearer {KEY}"


async def test_a_key_that_no_header_can_hold_is_refused_without_showing_it() -> None:
    with pytest.raises(Exception, match="TEST_KEY has a character") as caught:
        async with opened(OPENAI, "http://127.0.0.1:9", env={"TEST_KEY": "“sk-quoted”"}):
            pass

    assert "sk-quoted" not in f"{caught.value}{vars(caught.value)}"


@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "X-Api-Key",
        "api-key",
        "X-Auth-Token",
        "Cookie",
        "Ocp-Apim-Subscription-Key",
        "X-Session",
        "apikey",
    ],
)
def test_a_header_that_names_a_secret_is_known(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize(
    "name", ["X-Team", "anthropic-beta", "OpenAI-Organization", "x-goog-user-project", "X-Keyboard"]
)
def test_a_header_that_names_none_stays_in_the_identity(name: str) -> None:
    assert not is_secret(name)


secrets = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=6, max_size=40)


@given(secrets, st.text(), st.text())
def test_no_text_keeps_a_secret(secret: str, before: str, after: str) -> None:
    redactor = Redactor([secret])
    told = f"{before}{secret}{after}"

    assert secret not in redactor.text(told) or secret in MASK
    assert secret.encode() not in redactor.body(json.dumps(told).encode()) or secret in MASK


@given(st.lists(secrets, min_size=1, max_size=3), st.text())
def test_text_without_a_secret_stays_as_it_is(hidden: list[str], text: str) -> None:
    redactor = Redactor(hidden)

    if not redactor.holds(text):
        assert redactor.text(text) == text


def test_a_longer_secret_is_taken_out_before_the_shorter_one_in_it() -> None:
    assert Redactor(["abcdef", "abcdef-ghijkl"]).text("abcdef-ghijkl abcdef") == f"{MASK} {MASK}"


def test_what_is_too_short_to_be_a_key_is_left_in_words() -> None:
    assert Redactor(["e", ""]).text("every letter") == "every letter"
