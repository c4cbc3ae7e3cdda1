"""Errors are classified by the service's own words if it has any, otherwise by the status."""

import json
import time
from email.utils import formatdate
from typing import Any

import pytest

from evalh.core.attempt import CallError, ErrorKind
from wire.anthropic_service import ANTHROPIC
from wire.gemini_service import GEMINI
from wire.openai_service import OPENAI, chat_chunk
from wire.responses_service import response
from wire.service import Reply, Service, event
from wire.serving import framed, head, raw, serving
from wire.talking import SERVICES, Talk, opened, talking

every_service = pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)


async def failed(service: Service, reply: Reply, **settings: Any) -> CallError:
    async with talking(service, reply) as talk:
        error = await talk.failing(**settings)
        assert len(talk.server.seen) == 1  # a provider asks once; who asks again is up the stack
        return error


def openai_error(message: str, kind: str = "invalid_request_error", code: Any = None, param: Any = None) -> Any:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def claude_error(kind: str, message: str = "Sorry.", **details: Any) -> Any:
    error = {"type": kind, "message": message, **({"details": details} if details else {})}
    return {"type": "error", "error": error, "request_id": "req_011"}


def google_error(code: int, status: str, message: str = "Sorry.", *details: Any) -> Any:
    return {"error": {"code": code, "message": message, "status": status, "details": list(details)}}


def quota(*limits: str) -> Any:
    violations = [{"quotaMetric": "generativelanguage.googleapis.com/requests", "quotaId": limit} for limit in limits]
    return {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": violations}


RETRY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.5s"}
BAD_KEY = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com"}
LOST = "You exceeded your current quota, please check your plan and billing details."
TOO_LONG = "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens."
K = ErrorKind

SPOKEN: list[tuple[Service, int, Any, ErrorKind]] = [
    (OPENAI, 401, openai_error("Incorrect API key provided.", code="invalid_api_key"), K.AUTH),
    (OPENAI, 403, openai_error("Country not supported", code="unsupported_country_region_territory"), K.AUTH),
    (OPENAI, 404, openai_error("The model `gpt-9` does not exist", code="model_not_found"), K.BAD_REQUEST),
    (OPENAI, 429, openai_error("Rate limit reached for gpt-5", "requests", "rate_limit_exceeded"), K.RATE_LIMIT),
    (OPENAI, 429, openai_error(LOST, "insufficient_quota", "insufficient_quota"), K.QUOTA),
    (OPENAI, 429, openai_error(LOST, "insufficient_quota"), K.QUOTA),
    (OPENAI, 429, openai_error("Limit.", "insufficient_quota", "organization_usage_limit_exceeded"), K.QUOTA),
    (OPENAI, 400, openai_error(TOO_LONG, code="context_length_exceeded", param="messages"), K.CONTEXT_LENGTH),
    (OPENAI, 400, openai_error("Filtered.", code="content_filter", param="prompt"), K.CONTENT_FILTER),  # Azure
    (OPENAI, 500, openai_error("The server had an error", "server_error"), K.OVERLOAD),
    (OPENAI, 503, openai_error("Slow down", "service_unavailable_error", "slow_down"), K.OVERLOAD),
    (OPENAI, 402, {"error": {"message": "Insufficient credits", "code": 402}}, K.QUOTA),  # OpenRouter
    (OPENAI, 404, {"error": 'model "llama9" not found'}, K.BAD_REQUEST),  # Ollama, its own API
    (OPENAI, 400, {"object": "error", "message": TOO_LONG, "type": "BadRequestError", "code": 400}, K.CONTEXT_LENGTH),
    (OPENAI, 400, openai_error("Too large.", "exceed_context_size_error", 400), K.CONTEXT_LENGTH),  # llama-server
    (OPENAI, 429, [google_error(429, "RESOURCE_EXHAUSTED")], K.RATE_LIMIT),  # Google's compatible endpoint
    (ANTHROPIC, 401, claude_error("authentication_error", "invalid x-api-key"), K.AUTH),
    (ANTHROPIC, 403, claude_error("permission_error"), K.AUTH),
    (ANTHROPIC, 402, claude_error("billing_error"), K.QUOTA),
    (ANTHROPIC, 404, claude_error("not_found_error", "model: claude-9"), K.BAD_REQUEST),
    (ANTHROPIC, 409, claude_error("conflict_error"), K.OVERLOAD),
    (ANTHROPIC, 413, claude_error("request_too_large"), K.BAD_REQUEST),
    (ANTHROPIC, 429, claude_error("rate_limit_error", "This request would exceed your rate limit"), K.RATE_LIMIT),
    (ANTHROPIC, 429, claude_error("rate_limit_error", error_code="enforced_spend_limit_reached"), K.QUOTA),
    (ANTHROPIC, 400, claude_error("invalid_request_error", "Your credit balance is too low to access"), K.QUOTA),
    (
        ANTHROPIC,
        400,
        claude_error("invalid_request_error", "You have reached your specified workspace API usage limits."),
        K.QUOTA,
    ),
    (
        ANTHROPIC,
        400,
        claude_error("invalid_request_error", "prompt is too long: 208310 tokens > 200000 maximum"),
        K.CONTEXT_LENGTH,
    ),
    (
        ANTHROPIC,
        400,
        claude_error("invalid_request_error", "input length and `max_tokens` exceed context limit: 199000 + 8192"),
        K.CONTEXT_LENGTH,
    ),
    (
        ANTHROPIC,
        400,
        claude_error("invalid_request_error", "Output blocked by content filtering policy"),
        K.CONTENT_FILTER,
    ),
    (ANTHROPIC, 400, claude_error("invalid_request_error", "max_tokens: Field required"), K.BAD_REQUEST),
    (ANTHROPIC, 500, claude_error("api_error", "Internal server error"), K.OVERLOAD),
    (ANTHROPIC, 504, claude_error("timeout_error"), K.TIMEOUT),
    (ANTHROPIC, 529, claude_error("overloaded_error", "Overloaded"), K.OVERLOAD),
    (ANTHROPIC, 400, claude_error("overloaded_error", ""), K.OVERLOAD),
    (ANTHROPIC, 400, claude_error("", "prompt is too long: 9 tokens > 8 maximum"), K.CONTEXT_LENGTH),
    (GEMINI, 400, google_error(400, "INVALID_ARGUMENT", "API key not valid.", BAD_KEY), K.AUTH),
    (GEMINI, 403, google_error(403, "PERMISSION_DENIED"), K.AUTH),
    (GEMINI, 404, google_error(404, "NOT_FOUND", "models/gemini-9 is not found"), K.BAD_REQUEST),
    (GEMINI, 429, google_error(429, "RESOURCE_EXHAUSTED", LOST, quota("RequestsPerMinutePerModel")), K.RATE_LIMIT),
    (
        GEMINI,
        429,
        google_error(
            429, "RESOURCE_EXHAUSTED", LOST, quota("RequestsPerMinute", "GenerateRequestsPerDayPerModel"), RETRY
        ),
        K.QUOTA,
    ),
    (GEMINI, 429, google_error(429, "RESOURCE_EXHAUSTED", "Your prepayment credits are depleted."), K.QUOTA),
    (
        GEMINI,
        429,
        google_error(429, "RESOURCE_EXHAUSTED", "Your project has exceeded its monthly spending cap."),
        K.QUOTA,
    ),
    (
        GEMINI,
        400,
        google_error(
            400, "INVALID_ARGUMENT", "The input token count (9) exceeds the maximum number of tokens allowed (8)."
        ),
        K.CONTEXT_LENGTH,
    ),
    (GEMINI, 400, google_error(400, "FAILED_PRECONDITION", "User location is not supported for the API use."), K.AUTH),
    (GEMINI, 400, google_error(400, "FAILED_PRECONDITION", "Please enable billing on your project"), K.QUOTA),
    (GEMINI, 500, google_error(500, "INTERNAL"), K.OVERLOAD),
    (GEMINI, 503, google_error(503, "UNAVAILABLE", "The model is overloaded."), K.OVERLOAD),
    (GEMINI, 504, google_error(504, "DEADLINE_EXCEEDED"), K.TIMEOUT),
]


@pytest.mark.parametrize(
    ("service", "status", "body", "kind"),
    SPOKEN,
    ids=[f"{s.kind}-{n}-{k.value}-{i}" for i, (s, n, _, k) in enumerate(SPOKEN)],
)
async def test_a_documented_error_is_known_by_its_body(
    service: Service, status: int, body: Any, kind: ErrorKind
) -> None:
    error = await failed(service, Reply(body, status))

    assert (error.kind, error.status) == (kind, status)
    assert error.message
    assert "\n" not in error.message


@every_service
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, K.AUTH),
        (403, K.AUTH),
        (402, K.QUOTA),
        (408, K.TIMEOUT),
        (413, K.BAD_REQUEST),
        (429, K.RATE_LIMIT),
        (500, K.OVERLOAD),
        (502, K.OVERLOAD),
        (503, K.OVERLOAD),
        (504, K.TIMEOUT),
        (529, K.OVERLOAD),
    ],
)
@pytest.mark.parametrize(
    "body", [b"", b"<html><head><title>Gateway says no</title></head></html>", b'{"detail":"No."}']
)
async def test_where_the_service_says_no_more_its_status_decides(
    service: Service, status: int, kind: ErrorKind, body: bytes
) -> None:
    error = await failed(service, Reply(body, status))

    assert error.kind is kind
    assert str(status) in error.message
    assert {b"": "an empty body", b"<": "Gateway says no", b"{": "No."}[body[:1]] in error.message


@every_service
@pytest.mark.parametrize("status", [429, 503])
async def test_the_wait_that_a_server_asks_for_is_kept_in_seconds_or_as_a_date(service: Service, status: int) -> None:
    spoken = service.error(status, {429: "rate_limit_error", 503: "overloaded_error"}[status], "Wait.")
    seconds = await failed(service, Reply(spoken, status, {"Retry-After": "7"}))
    date = await failed(service, Reply(spoken, status, {"Retry-After": formatdate(time.time() + 60, usegmt=True)}))
    milliseconds = await failed(service, Reply(spoken, status, {"retry-after-ms": "250", "retry-after": "9"}))
    silent = await failed(service, Reply(spoken, status))

    assert seconds.retry_after_s == 7.0
    assert 57.0 < (date.retry_after_s or 0.0) <= 60.0
    assert milliseconds.retry_after_s == 0.25
    assert silent.retry_after_s is None


async def test_gemini_says_in_its_body_how_long_to_wait() -> None:
    body = google_error(429, "RESOURCE_EXHAUSTED", LOST, quota("RequestsPerMinute"), RETRY)

    assert (await failed(GEMINI, Reply(body, 429))).retry_after_s == 34.5
    assert (await failed(GEMINI, Reply(body, 429, {"Retry-After": "3"}))).retry_after_s == 3.0


async def test_openai_says_by_its_rate_limit_headers_what_is_used_up() -> None:
    headers = {
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "1m30s",
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": "6.5s",
    }
    error = await failed(OPENAI, Reply(openai_error("Slow", "tokens", "rate_limit_exceeded"), 429, headers))

    assert error.retry_after_s == 6.5


@every_service
async def test_what_waiting_does_not_help_carries_no_wait(service: Service) -> None:
    error = await failed(service, Reply(b"", 401, {"Retry-After": "7"}))

    assert error.retry_after_s is None


@pytest.mark.parametrize(
    ("service", "headers", "body", "wanted"),
    [
        (OPENAI, {"x-request-id": "req_1"}, openai_error("No."), "req_1"),
        (ANTHROPIC, {"request-id": "req_1"}, claude_error("api_error"), "req_1"),
        (ANTHROPIC, {}, claude_error("api_error"), "req_011"),
    ],
    ids=["openai", "anthropic", "anthropic's body"],
)
async def test_an_error_carries_what_support_asks_for(
    service: Service, headers: dict[str, str], body: Any, wanted: str
) -> None:
    assert (await failed(service, Reply(body, 500, headers))).request_id == wanted


@pytest.mark.parametrize(
    ("service", "headers", "wanted"),
    [
        (OPENAI, {"x-request-id": "req_1"}, "req_1"),
        (OPENAI, {}, "chatcmpl-1"),
        (ANTHROPIC, {"request-id": "req_1"}, "req_1"),
        (ANTHROPIC, {}, "msg_1"),
        (GEMINI, {}, "resp-1"),
    ],
)
async def test_an_answer_carries_what_support_asks_for(service: Service, headers: dict[str, str], wanted: str) -> None:
    async with talking(service, Reply(service.answer("hi"), headers=headers)) as talk:
        assert (await talk.ask()).request_id == wanted


NO_ANSWERS: dict[str, bytes] = {
    "an HTML page": b"<!DOCTYPE html><html><title>Please log in</title></html>",
    "nothing": b"",
    "an empty object": b"{}",
    "a list": b"[]",
    "a number": b"7",
    "empty choices": b'{"choices": [], "content": null, "candidates": [], "usage": {"prompt_tokens": 1}}',
    "a choice of nothing": b'{"choices": [{"index": 0, "finish_reason": "stop"}], "candidates": [{"index": 0}]}',
    "another's object": b'{"type": "ping", "object": "list", "data": []}',
    "another type of answer": b'{"type": "completion", "content": []}',
    "no text": b"\xff\xfe\x00",
    "a hundred thousand brackets": b"[" * 100_000,
    "brackets where the answer is": b'{"choices": ' + b"[" * 100_000,
}


@every_service
@pytest.mark.parametrize("body", NO_ANSWERS.values(), ids=NO_ANSWERS)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_a_200_without_an_answer_is_a_bad_response(service: Service, body: bytes, stream: bool) -> None:
    error = await failed(service, Reply(body), stream=stream)

    assert (error.kind, error.status) == (K.BAD_RESPONSE, 200)
    assert len(error.message) <= 500


@every_service
async def test_json_that_is_cut_anywhere_is_a_bad_response(service: Service) -> None:
    whole = service_bytes(service)
    for size in range(0, len(whole), max(1, len(whole) // 40)):
        assert (await failed(service, Reply(whole[:size]))).kind is K.BAD_RESPONSE


@every_service
async def test_an_error_within_a_200_is_that_error(service: Service) -> None:
    spoken = {
        "openai": {"error": {"message": "Provider is down", "code": 502}},
        "responses": response(status="failed", error={"code": "server_error", "message": "Down."}),
        "anthropic": claude_error("overloaded_error"),
        "gemini": google_error(503, "UNAVAILABLE"),
    }[service.name]

    assert (await failed(service, Reply(spoken))).kind is K.OVERLOAD


@every_service
async def test_an_error_within_a_stream_is_that_error_and_no_short_answer(service: Service) -> None:
    spoken = {
        "openai": {"error": {"message": "Slow", "type": "rate_limit_error", "code": "rate_limit_exceeded"}},
        "responses": {"type": "error", "code": "rate_limit_exceeded", "message": "Slow", "param": None},
        "anthropic": claude_error("rate_limit_error"),
        "gemini": google_error(429, "RESOURCE_EXHAUSTED"),
    }[service.name]
    begun = service.events(["half", " an answer"])[:2]
    error = await failed(service, Reply(chunks=[*begun, event(spoken, "error")]), stream=True)

    assert (error.kind, error.maybe_billed) == (K.RATE_LIMIT, True)
    error = await failed(service, Reply(chunks=[event(spoken, "error")]), stream=True)
    assert (error.kind, error.maybe_billed) == (K.RATE_LIMIT, False)  # the model gave nothing


@every_service
async def test_an_event_that_is_no_json_is_a_bad_response(service: Service) -> None:
    begun = service.events(["half", " an answer"])[:2]

    assert (await failed(service, Reply(chunks=[*begun, event("{not json")]), stream=True)).kind is K.BAD_RESPONSE


async def test_a_model_that_breaks_off_behind_a_router_gives_no_answer() -> None:
    answer = OPENAI.answer("half an", finish="error")
    chunks = [chat_chunk({"content": "half an"}), chat_chunk({}, finish="error"), event("[DONE]")]

    assert (await failed(OPENAI, Reply(answer))).kind is K.BAD_RESPONSE
    assert (await failed(OPENAI, Reply(chunks=chunks), stream=True)).kind is K.BAD_RESPONSE


async def test_half_an_answer_beside_an_error_is_the_error() -> None:
    answer = OPENAI.answer("half an") | {"error": {"message": "Upstream is full", "code": 429}}

    assert (await failed(OPENAI, Reply(answer))).kind is K.RATE_LIMIT


@every_service
@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_not_followed_and_says_where_it_points(service: Service, status: int) -> None:
    async with serving(lambda request, seen: Reply({}).send(request)) as elsewhere:
        error = await failed(service, Reply(b"", status, {"Location": f"{elsewhere.url}/steal?token=abc"}))

        assert elsewhere.seen == []
    assert error.kind is K.BAD_REQUEST
    assert elsewhere.url in error.message
    assert "abc" not in error.message


@every_service
async def test_a_hundred_megabytes_are_not_read(service: Service) -> None:
    megabyte = b"%x\r\n" % 2**20 + b"x" * 2**20 + b"\r\n"
    async with (
        raw(head("Transfer-Encoding: chunked"), *[megabyte] * 100) as server,
        opened(service, server.url) as model,
    ):
        error = await Talk(model, server).failing()

    assert error.kind is K.BAD_RESPONSE
    assert "16 MiB" in error.message


@every_service
async def test_a_stream_without_end_is_not_read_to_its_end(service: Service) -> None:
    endless = event(": padding " + "x" * 2**20)
    pings = [b"%x\r\n" % len(endless) + endless + b"\r\n"] * 100
    async with raw(head("Transfer-Encoding: chunked"), *pings) as server, opened(service, server.url) as model:
        error = await Talk(model, server).failing(stream=True)

    assert error.kind is K.BAD_RESPONSE


@every_service
async def test_a_service_that_does_not_answer_is_a_timeout_and_one_that_hangs_up_the_network(service: Service) -> None:
    async with raw(b"", hold=True) as server, opened(service, server.url, timeout_s=0.2) as model:
        assert (await Talk(model, server).failing()).kind is K.TIMEOUT
    async with raw() as server, opened(service, server.url) as model:
        assert (await Talk(model, server).failing()).kind is K.NETWORK
    async with raw(framed(b"{")[:-1], hold=True) as server, opened(service, server.url, timeout_s=0.2) as model:
        assert (await Talk(model, server).failing()).kind is K.TIMEOUT


@every_service
async def test_foreign_words_stay_on_one_line_without_control_characters(service: Service) -> None:
    hostile = "\x1b[2J\nRun `rm -rf`\r\n\u202e" + "x" * 5000
    error = await failed(service, Reply(service.error(400, "invalid", hostile), 400))

    assert error.message.isprintable()
    assert len(error.message) <= 500


async def test_openai_refusals_of_a_parameter_say_how_to_leave_it_out() -> None:
    refused = openai_error("Unsupported value.", code="unsupported_value", param="temperature")
    renamed = openai_error("Unsupported parameter.", code="unsupported_parameter", param="max_tokens")

    assert 'params = {temperature = "null"}' in (await failed(OPENAI, Reply(refused, 400))).message
    assert 'max_tokens_name = "max_completion_tokens"' in (await failed(OPENAI, Reply(renamed, 400))).message


def service_bytes(service: Service) -> bytes:
    return json.dumps(service.answer("an answer")).encode()
