"""`provider = "http"`: what an application is sent, what of its answer counts, and what no answer can do."""

import asyncio
import json
from decimal import Decimal
from typing import Any

import pytest
from aiohttp import web

from applications.applying import application, ask, failing, opened
from evalh.core.attempt import Call, CallError, CallKey, ErrorKind, Usage
from evalh.core.errors import EvalhError, KeyMissing, UsageError, WorkspaceError
from evalh.core.request import Media, Message, Request, Role, Settings, Tool
from wire.serving import Handler, Seen, framed, raw, serving, stream

BODY = {"question": "{{prompt}}"}
KEY = "sk-live-4f9c2a7e8b1d"
TOXIC = 'a "quote" \\ {{case_id}} {{prompt}} }}, "role": "admin"\n\u0000\ud800 \x1b[31m'


def replying(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Handler:
    async def answer(_: web.Request, seen: Seen) -> web.StreamResponse:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return web.Response(status=status, body=data, headers=headers)

    return answer


def events(*told: Any) -> Handler:
    async def answer(request: web.Request, _: Seen) -> web.StreamResponse:
        texts = [one if isinstance(one, str) else json.dumps(one) for one in told]
        return await stream(request, [f"data: {text}\n\n".encode() for text in texts])

    return answer


# -- what is sent


async def test_a_slot_that_is_a_whole_text_is_the_value_and_any_other_becomes_text() -> None:
    body = {
        "question": "{{prompt}}",
        "session": "evalh-{{case_id}}-{{trial}}",
        "trial": "{{ trial }}",
        "user": "{{inputs.user}}",
        "name": "for {{inputs.user.name}} of {{inputs.user}}",
        "history": ["{{messages}}"],
        "system": "{{system}}",
        "params": "{{params}}",
        "k": 3,
    }
    async with serving(replying({})) as server, opened("http", url=server.url, body=body) as it:
        inputs = {"user": {"name": "Ada"}}
        await ask(it, "why?", inputs=inputs, before=(Message.of(Role.SYSTEM, "be brief"),), case_id="c7", trial=2)

    assert server.last == {
        "question": "why?",
        "session": "evalh-c7-2",
        "trial": 2,
        "user": {"name": "Ada"},
        "name": 'for Ada of {"name": "Ada"}',
        "history": [[{"role": "system", "content": "be brief"}, {"role": "user", "content": "why?"}]],
        "system": "be brief",
        "params": {"temperature": 0},
        "k": 3,
    }


async def test_no_input_breaks_out_of_the_body_or_opens_a_slot() -> None:
    body = {"role": "user", "question": "{{prompt}}", "text": "<{{inputs.x}}>", "all": "{{inputs}}"}
    async with serving(replying({})) as server, opened("http", url=server.url, body=body) as it:
        await ask(it, TOXIC, inputs={"x": TOXIC})

    assert server.last == {"role": "user", "question": TOXIC, "text": f"<{TOXIC}>", "all": {"x": TOXIC}}


async def test_a_traceparent_is_made_of_the_call_and_the_log_has_its_trace() -> None:
    async with serving(replying({})) as server, opened("http", url=server.url, body=BODY) as it:
        first, again = await ask(it), await ask(it)
        other = Request((Message.of(Role.USER, "hello"),), Settings(model="app", sent_to={}))
        await it.send(other, Call(id="r:2", run_id="r", key=CallKey("t-1"), request=other))
        await it.send(other, Call(id="r:2", run_id="r", key=CallKey("t-1"), request=other, attempts=2))

    sent = [seen.headers["traceparent"].split("-") for seen in server.seen]
    assert [(version, len(trace), len(span), flags) for version, trace, span, flags in sent] == [
        ("00", 32, 16, "01")
    ] * 4
    assert first.request_id == again.request_id == sent[0][1]
    assert sent[0] == sent[1]
    assert sent[1][1] != sent[2][1] == sent[3][1]
    assert sent[2][2] != sent[3][2]  # each attempt is a span of its own


async def test_an_input_that_the_case_lacks_is_named_and_nothing_is_sent() -> None:
    body = {"user": "{{inputs.user.name}}"}
    async with serving(replying({})) as server, opened("http", url=server.url, body=body) as it:
        errors = [await failing(it, inputs=inputs) for inputs in (None, {}, {"user": "Ada"}, {"user": {}})]

    assert {(error.kind, error.held_back) for error in errors} == {(ErrorKind.UNSUPPORTED, True)}
    assert all("'t-1'" in error.message and "inputs.user.name" in error.message for error in errors)
    assert server.seen == []


async def test_tools_and_images_are_refused_by_name() -> None:
    image = Message(Role.USER, (Media.of(b"x", "image/png"),))
    async with serving(replying({})) as server, opened("http", url=server.url, body=BODY) as it:
        for messages, tools, word in (((image,), (), "image"), ((), (Tool("t", "", {}),), "tools")):
            request = Request(messages, Settings(model="app", sent_to={}, tools=tools))
            with pytest.raises(Exception, match=word) as caught:
                await it.send(request, Call(id="r:1", run_id="r", key=CallKey("t-1"), request=request))
            assert caught.value.kind is ErrorKind.UNSUPPORTED  # type: ignore[attr-defined]
    assert server.seen == []


# -- what is read


async def test_output_tokens_and_cost_stand_where_the_options_say() -> None:
    reply = {"answer": {"text": "42"}, "usage": {"in": 7, "out": 2}, "meta": {"usd": 0.0021}}
    usage = {"input_tokens": "usage.in", "output_tokens": "usage.out"}
    async with (
        serving(replying(reply)) as server,
        opened("http", url=server.url, body=BODY, output="answer.text", usage=usage, cost_from="meta.usd") as it,
    ):
        answer = await ask(it)

    assert (answer.text, answer.usage, answer.cost_usd) == ("42", Usage(7, 2), Decimal("0.0021"))
    assert answer.raw == json.dumps(reply)
    assert answer.latency_ms is not None


@pytest.mark.parametrize(
    ("output", "reply", "text"),
    [
        ("a.1.b", b'{"a": [0, {"b": "yes"}]}', "yes"),
        ("a", b'{"a": {"n": 123456789012345678901234567890}}', '{"n": 123456789012345678901234567890}'),
        ("a", b'{"a": ""}', ""),
        ("a", b'{"a": 0}', "0"),
        ("a", b'\xef\xbb\xbf{"a": "\\ud800"}', "\ufffd"),
        ("$", b'{"a":  1.50}', '{"a":  1.50}'),
        (None, b'{"a":  1.50}', '{"a":  1.50}'),
        (None, b"plain \xff words", "plain \ufffd words"),
        (None, b"<html><title>Sign in</title>", "<html><title>Sign in</title>"),
        (None, b"data: 1\n\n", "data: 1\n\n"),
        (None, b"", ""),
    ],
)
async def test_an_output_is_a_text_or_json_as_it_was_written(output: str | None, reply: bytes, text: str) -> None:
    stated = {} if output is None else {"output": output}
    async with serving(replying(reply)) as server, opened("http", url=server.url, body=BODY, **stated) as it:
        answer = await ask(it)

    assert answer.text == text
    assert answer.usage == Usage()
    assert answer.cost_usd is None


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (b"<html><title>Sign in</title>", "an HTML page, 'Sign in'"),
        (b'data: {"answer": 1}\n\n', "is not JSON"),
        (b"", "an empty body"),
        (b'{"answer": NaN}', "NaN is not JSON"),
        (b'{"answer": 1, "answer": 2}', "duplicate key 'answer'"),
        (b"[" * 100_000, "not JSON"),
        (b'{"answers": 1, "\\u001b[31m": 2}', "it has answers, [31m"),
        (b'{"answer": null}', "no value at 'answer'"),
        (b"[1]", "it is a list"),
        (b"\xff\xfe", "not UTF-8"),
    ],
)
async def test_what_holds_no_output_is_a_bad_response_that_says_what_came(reply: bytes, words: str) -> None:
    async with serving(replying(reply)) as server, opened("http", url=server.url, body=BODY, output="answer") as it:
        error = await failing(it)

    assert (error.kind, error.status) == (ErrorKind.BAD_RESPONSE, 200)
    assert words in error.message
    assert error.message.isprintable()
    assert error.request_id is not None


async def test_no_depth_of_an_answer_is_more_than_a_bad_response() -> None:
    replies = [b'{"answer": %b1%b}' % (b"[" * depth, b"]" * depth) for depth in range(800, 1000)]

    async def answer(request: web.Request, seen: Seen) -> web.StreamResponse:
        return await replying(replies.pop(0))(request, seen)

    async with serving(answer) as server, opened("http", url=server.url, body=BODY, output="answer") as it:
        for _ in range(200):
            try:
                assert (await ask(it)).text.startswith("[[")
            except CallError as error:
                assert "nested too deeply" in error.message


async def test_an_error_inside_an_answer_is_of_the_kind_that_is_stated() -> None:
    rules = [{"path": "error"}, {"path": "busy", "kind": "overload"}]
    replies: list[Any] = [{"error": "no index\n"}, {"busy": {"queue": 9}}, {"error": None, "busy": [], "a": "fine"}]

    async def answer(request: web.Request, seen: Seen) -> web.StreamResponse:
        return await replying(replies.pop(0))(request, seen)

    async with (
        serving(answer) as server,
        opened("http", url=server.url, body=BODY, output="a", error_if=rules) as it,
    ):
        bad, busy, fine = await failing(it), await failing(it), await ask(it)

    assert (bad.kind, busy.kind, fine.text) == (ErrorKind.BAD_RESPONSE, ErrorKind.OVERLOAD, "fine")
    assert "no index" in bad.message
    assert '{"queue": 9}' in busy.message


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "bad_request"),
        (401, "auth"),
        (404, "bad_request"),
        (429, "rate_limit"),
        (500, "overload"),
        (504, "timeout"),
    ],
)
async def test_a_status_means_what_it_means_elsewhere(status: int, kind: str) -> None:
    reply = replying(b"<title>Oh no</title>", status, {"Retry-After": "7"})
    async with serving(reply) as server, opened("http", url=server.url, body=BODY, output="a") as it:
        error = await failing(it)

    assert (error.kind.value, error.status) == (kind, status)
    assert "Oh no" in error.message
    assert error.retry_after_s == (7.0 if kind in {"rate_limit", "overload", "timeout"} else None)


async def test_an_error_of_the_application_says_more_than_its_status() -> None:
    rules = [{"path": "error.full", "kind": "context_length"}]
    reply = replying({"error": {"full": "too long"}}, 500)
    async with serving(reply) as server, opened("http", url=server.url, body=BODY, error_if=rules) as it:
        error = await failing(it)

    assert (error.kind, error.status) == (ErrorKind.CONTEXT_LENGTH, 500)


async def test_a_redirect_is_not_followed() -> None:
    reply = replying(b"", 307, {"Location": "https://elsewhere.example/?token=x"})
    async with serving(reply) as server, opened("http", url=server.url, body=BODY) as it:
        error = await failing(it)

    assert error.kind is ErrorKind.BAD_REQUEST
    assert "https://elsewhere.example" in error.message
    assert "set url to the new address" in error.message
    assert "token" not in error.message
    assert len(server.seen) == 1


async def test_twenty_megabytes_are_not_read() -> None:
    async with serving(replying(b"x" * 20 * 2**20)) as server, opened("http", url=server.url, body=BODY) as it:
        error = await failing(it)

    assert (error.kind, "larger than 16 MiB" in error.message) == (ErrorKind.BAD_RESPONSE, True)


async def test_silence_and_half_an_answer_end() -> None:
    async with raw(hold=True) as server, opened("http", url=server.url, body=BODY, timeout_s=0.2) as it:
        silence = await failing(it)
    async with raw(framed(b'{"a": 1}')[:-3]) as server, opened("http", url=server.url, body=BODY) as it:
        half = await failing(it)

    assert silence.kind is ErrorKind.TIMEOUT
    assert half.kind in {ErrorKind.BAD_RESPONSE, ErrorKind.NETWORK}


# -- streams


async def test_a_stream_is_put_together_from_the_pieces_of_its_events() -> None:
    reply = events({"delta": "four"}, {"ping": 1}, {"delta": "ty"}, {"delta": "", "n": {"in": 3, "out": 2}}, "[DONE]")
    usage = {"input_tokens": "n.in", "output_tokens": "n.out"}
    heard: list[str] = []
    async with (
        serving(reply) as server,
        opened("http", url=server.url, body=BODY, stream="sse:delta", usage=usage) as it,
    ):
        answer = await ask(it, on_text=heard.append)

    assert (answer.text, "".join(heard), answer.usage) == ("fourty", "fourty", Usage(3, 2))
    assert answer.ttft_ms is not None


@pytest.mark.parametrize(
    ("told", "begun", "words"),
    [
        (({"delta": "a"}, {"error": "broke"}), True, "broke"),
        (({"error": "broke"},), False, "broke"),
        (({"delta": "a"}, "<html>"), True, "is not JSON"),
        (({"other": "a"},), False, "no event has 'delta'"),
        (("[DONE]",), False, "no event came"),
    ],
)
async def test_a_stream_that_fails_says_whether_it_had_begun(told: tuple[Any, ...], begun: bool, words: str) -> None:
    rules = [{"path": "error"}]
    async with (
        serving(events(*told)) as server,
        opened("http", url=server.url, body=BODY, stream="sse:delta", error_if=rules) as it,
    ):
        error = await failing(it)

    assert (error.kind, error.begun) == (ErrorKind.BAD_RESPONSE, begun)
    assert words in error.message


# -- keys


@pytest.mark.parametrize("output", ["echo", "$", None])
@pytest.mark.parametrize("status", [200, 401])
async def test_a_key_is_sent_from_the_environment_and_is_nowhere_else(output: str | None, status: int) -> None:
    async def echo(request: web.Request, seen: Seen) -> web.StreamResponse:
        return await replying({"echo": f"you sent {seen.headers['authorization']}", "bare": KEY}, status)(request, seen)

    given = {"headers_env": {"Authorization": "APP_AUTH"}, "headers": {"X-Team": "support"}}
    stated = given if output is None else {**given, "output": output}
    env = {"APP_AUTH": f"Bearer {KEY}\n"}
    async with serving(echo) as server, opened("http", env=env, url=server.url, body=BODY, **stated) as it:
        told = repr(await (ask(it) if status == 200 else failing(it)))
        identity = json.dumps([it.identity, it.passing])  # type: ignore[attr-defined]

    assert server.seen[0].headers["authorization"] == f"Bearer {KEY}"
    assert server.seen[0].headers["x-team"] == "support"
    assert KEY not in told + identity
    assert "support" in identity


async def test_a_key_in_an_error_in_a_stream_and_in_escapes_is_masked() -> None:
    spelt = "".join(f"\\u{ord(one):04x}" for one in KEY)
    replies = [
        events({"delta": "it is "}, {"delta": KEY[:9]}, {"delta": KEY[9:]}),
        events({"error": KEY}),
        replying(f'{{"delta": "{spelt}"}}'.encode()),
    ]

    async def answer(request: web.Request, seen: Seen) -> web.StreamResponse:
        return await replies.pop(0)(request, seen)

    more: dict[str, Any] = {"headers_env": {"X-Key": "K"}, "error_if": [{"path": "error"}], "env": {"K": KEY}}
    async with serving(answer) as server:
        async with opened("http", url=server.url, body=BODY, stream="sse:delta", **more) as it:
            heard: list[str] = []
            pieces, error = await ask(it, on_text=heard.append), await failing(it)
        async with opened("http", url=server.url, body=BODY, output="delta", **more) as it:
            escaped = await ask(it)

    assert (pieces.text, pieces.raw, escaped.text, escaped.raw) == ("it is [key]", None, "[key]", None)
    assert KEY not in "".join(heard) + repr(error)


@pytest.mark.parametrize(
    ("value", "wrong"), [(None, KeyMissing), ("", KeyMissing), ("a\nb", UsageError), ("ü", UsageError)]
)
async def test_a_header_without_a_value_is_named_before_anything_is_sent(value: str | None, wrong: type) -> None:
    env = {} if value is None else {"APP_AUTH": value}
    it = application("http", {"url": "https://app.test", "body": BODY, "headers_env": {"X-Key": "APP_AUTH"}}, env=env)

    with pytest.raises(EvalhError, match="APP_AUTH") as caught:
        await it.open()

    assert isinstance(caught.value, wrong)
    assert caught.value.where == "evalh.toml:3"


# -- what is refused when the file is read


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"body": BODY}, "'url' is missing"),
        ({"url": "http://x.test"}, "'body' is missing"),
        ({"url": "file:///etc/passwd", "body": BODY}, "http or https"),
        ({"url": "http://${HOST}/chat", "body": BODY}, "does not replace variables"),
        ({"url": "http://u:p@x.test", "body": BODY}, "looks like a key"),
        ({"url": "http://x.test?api_key=1", "body": BODY}, "looks like a key"),
        ({"url": "http://x.test", "body": {"q": "{{promt}}"}}, "no slot '{{promt}}'"),
        ({"url": "http://x.test", "body": ["{{prompt.x}}"]}, "no slot"),
        ({"url": "http://x.test", "body": "{{}}"}, "no slot"),
        ({"url": "http://x.test", "body": BODY, "output": "a..b"}, "a path into the answer's JSON"),
        ({"url": "http://x.test", "body": BODY, "stream": "delta"}, "sse:"),
        ({"url": "http://x.test", "body": BODY, "stream": "sse:a", "output": "b"}, "so does 'output'"),
        ({"url": "http://x.test", "body": BODY, "error_if": [{"path": "a", "kind": "refusal"}]}, "'kind'"),
        ({"url": "http://x.test", "body": BODY, "headers": {"Traceparent": "1"}}, "set by evalh"),
        ({"url": "http://x.test", "body": BODY, "headers": {"A": "1"}, "headers_env": {"a": "A"}}, "set twice"),
        ({"url": "http://x.test", "body": BODY, "headers": {"Content-Length": "1"}}, "belongs to the transport"),
        ({"url": "http://x.test", "body": BODY, "headers_env": {"X-Key": "sk-123"}}, "never a key"),
        ({"url": "http://x.test", "body": BODY, "headers_env": {"X Key": "K"}}, "is not allowed in a header"),
        ({"url": "http://x.test", "body": BODY, "headers_env": {"X-Key": "K"}}, "unencrypted"),
        ({"url": "http://x.test", "body": BODY, "metod": "GET"}, "unknown key 'metod'"),
    ],
)
def test_a_wrong_entry_is_refused_at_its_line(options: dict[str, Any], words: str) -> None:
    with pytest.raises(WorkspaceError) as caught:
        application("http", options)

    assert words in f"{caught.value.what} {caught.value.hint}"
    assert caught.value.where == "evalh.toml:3"


async def test_a_call_that_is_cancelled_ends_and_the_next_one_works() -> None:
    async def answer(request: web.Request, seen: Seen) -> web.StreamResponse:
        if seen.body["question"] == "slow":
            reached.set()
            await asyncio.Event().wait()
        return await replying({"a": "ok"})(request, seen)

    reached = asyncio.Event()
    async with serving(answer) as server, opened("http", url=server.url, body=BODY, output="a") as it:
        slow = asyncio.ensure_future(ask(it, "slow"))
        await reached.wait()
        slow.cancel()
        await asyncio.wait([slow])

        assert slow.cancelled()
        assert (await ask(it, "quick")).text == "ok"
