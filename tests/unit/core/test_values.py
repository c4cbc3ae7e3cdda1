from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalh.core.attempt import Usage
from evalh.core.errors import ExitCode, worst
from evalh.core.money import Price, from_stored, total
from evalh.core.request import Media, Message, Request, Role, Settings, Text, Tool, ToolCall, ToolResult
from evalh.core.strict_json import NotStrictJson, parse
from evalh.core.verdict import Outcome, Verdict


def test_a_partial_sum_is_unknown_not_cheap() -> None:
    assert total([Decimal("0.1"), None]) is None
    assert total([Decimal("0.1"), Decimal("0.2")]) == Decimal("0.3")


@given(st.decimals(min_value=0, max_value=4095, places=12))
def test_money_survives_the_store(amount: Decimal) -> None:
    assert from_stored(float(amount)) == amount


def test_cached_input_is_priced_as_such() -> None:
    price = Price(input=Decimal(2), output=Decimal(10), cached_input=Decimal("0.5"))

    cost = price.cost(Usage(input_tokens=1000, output_tokens=100, cached_tokens=400), 1.0)

    assert cost == Decimal("0.0012") + Decimal("0.0002") + Decimal("0.001")


def test_a_price_without_reported_tokens_is_unknown() -> None:
    assert Price(input=Decimal(2), output=Decimal(10)).cost(Usage(output_tokens=1), 1.0) is None


def test_an_hour_of_compute_is_shared_by_the_slots() -> None:
    assert Price(per_hour=Decimal("3.6"), share=Decimal("0.25")).cost(Usage(), 4.0) == Decimal("0.001")


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ([], ExitCode.YES),
        ([ExitCode.NO, ExitCode.CANNOT_MEASURE], ExitCode.NO),
        ([ExitCode.INCONCLUSIVE, ExitCode.CANNOT_MEASURE], ExitCode.CANNOT_MEASURE),
        ([ExitCode.USAGE, ExitCode.INTERRUPTED, ExitCode.NO], ExitCode.INTERRUPTED),
        ([ExitCode.BUG, ExitCode.INTERRUPTED], ExitCode.BUG),
    ],
)
def test_the_worst_code_is_reported(codes: list[ExitCode], expected: ExitCode) -> None:
    assert worst(codes) is expected


SETTINGS = Settings(model="m", sent_to={"provider": "openai", "base_url": "http://x"})
MESSAGE = Message.of(Role.USER, "hello")


@pytest.mark.parametrize(
    "settings",
    [
        Settings(model="m2", sent_to=SETTINGS.sent_to),
        Settings(model="m", sent_to={"provider": "openai", "base_url": "http://y"}),
        Settings(model="m", sent_to=SETTINGS.sent_to, params={"temperature": 0}),
        Settings(model="m", sent_to=SETTINGS.sent_to, tools=(Tool("t", "d", {}),)),
        Settings(model="m", sent_to=SETTINGS.sent_to, output_schema={"type": "object"}),
        Settings(model="m", sent_to=SETTINGS.sent_to, json_output=True),
        Settings(model="m", sent_to=SETTINGS.sent_to, stream=True),
    ],
)
def test_every_setting_is_part_of_the_request_digest(settings: Settings) -> None:
    assert Request((MESSAGE,), settings).digest() != Request((MESSAGE,), SETTINGS).digest()


@pytest.mark.parametrize(
    "message",
    [
        Message.of(Role.SYSTEM, "hello"),
        Message.of(Role.USER, "hello "),
        Message(Role.USER, (Text("hel"), Text("lo"))),
        Message(Role.USER, (Text("hello"), Media.of(b"x", "image/png"))),
        Message(Role.ASSISTANT, (ToolCall("1", "f", "{}"),)),
        Message(Role.TOOL, (ToolResult("1", "f", "ok"),)),
    ],
)
def test_every_part_of_a_message_is_part_of_the_request_digest(message: Message) -> None:
    assert Request((message,), SETTINGS).digest() != Request((MESSAGE,), SETTINGS).digest()


def test_media_are_told_apart_by_content() -> None:
    def with_bytes(data: bytes) -> str:
        return Request((Message(Role.USER, (Media.of(data, "image/png"),)),), SETTINGS).digest()

    assert with_bytes(b"one") == with_bytes(b"one")
    assert with_bytes(b"one") != with_bytes(b"two")


def test_the_log_keeps_no_bytes_of_media() -> None:
    request = Request((Message(Role.USER, (Media.of(b"secret picture", "image/png"),)),), SETTINGS)

    assert "secret" not in request.messages_json()
    assert "image/png" in request.messages_json()


@pytest.mark.parametrize(
    "text",
    ['{"a":1,"a":2}', '{"a":NaN}', "[Infinity]", "1e400", '{"a":[-1.5e999]}', "", "{", "1" * 5000, "[" * 100_000],
)
def test_json_that_would_lose_something_is_refused(text: str) -> None:
    with pytest.raises(NotStrictJson):
        parse(text)


def test_big_integers_stay_exact() -> None:
    assert parse("[12345678901234567890123]") == [12345678901234567890123]


def test_a_score_outside_its_range_is_an_error() -> None:
    with pytest.raises(ValueError, match="must lie in"):
        Verdict.scored(1.2, 0.5, "too good")
    assert Verdict.scored(0.5, 0.5, "just").outcome is Outcome.PASS
