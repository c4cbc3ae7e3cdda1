"""Whatever a service sends beside its answer: the answer is kept, its usage is never cheap, nothing else is raised."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalh.core.attempt import Usage
from evalh.core.money import Price
from evalh.core.request import Settings
from evalh.providers.answer_parts import Reading, count, usage_of
from evalh.providers.http.body import EventStream
from evalh.providers.repaired_json import RepairedJson
from hanging import ends
from wire.odd_fields import ODD, RECORDED, Place, Recorded, odd_at
from wire.talking import SERVICES, spec_of

BY_NAME = {service.name: service for service in SERVICES}
WIRES = {name: service.build(spec_of(service, None), {})._wire for name, service in BY_NAME.items()}
PRICE = Price(input=Decimal(1), output=Decimal(10), cached_input=Decimal("0.1"))
"""USD per million tokens; nothing is cheaper than what was cached."""
_SLOW_S = 1.0

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(alphabet=st.characters()) | st.sampled_from(ODD),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
counts = st.one_of(
    st.integers(0, 60), st.integers(), st.sampled_from([10**9, 10**9 + 1, 10**18, 1e30, 0.9, -1, 20.0]), json_values
)


def read(recorded: Recorded, body: bytes) -> Reading:
    """Read an answer as `Hosted` does. Raises ValueError."""
    asked = Settings(model="m", sent_to={}, stream=recorded.streamed)
    assembler = WIRES[recorded.kind].assembler(asked)
    if not recorded.streamed:
        assembler.take_whole(body)
        return assembler.reading()
    source = EventStream()
    for start in range(0, len(body), 97):
        for one in source.feed(body[start : start + 97]):
            assembler.add(one)
    for one in source.end():
        assembler.add(one)
    return assembler.reading()


def told(reading: Reading) -> tuple[str, tuple[tuple[str, str], ...]]:
    return reading.text, tuple((call.name, call.arguments) for call in reading.tool_calls)


def assert_not_cheap(usage: Usage) -> None:
    """Whatever was said: known counts are sound, and a price is above nothing."""
    cost = PRICE.cost(usage, None)
    assert usage.sound
    assert cost is None or cost > 0


@st.composite
def odd_answers(draw: st.DrawFn, recorded: Recorded) -> tuple[Place, Any]:
    place = draw(st.sampled_from(PLACES[recorded.name]))
    value = draw(st.sampled_from(odd_at(place)) | (json_values if place[1][-1] != "index" else st.nothing()))
    return place, value


PLACES = {recorded.name: tuple(recorded.sides()) for recorded in RECORDED}


@pytest.mark.slow
@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded.name)
def test_a_right_answer_with_any_odd_side_field_is_kept(recorded: Recorded) -> None:
    @settings(max_examples=300, deadline=None)
    @given(odd_answers(recorded))
    def claim(odd: tuple[Place, Any]) -> None:
        body = recorded.body(recorded.with_odd(*odd))
        with ends():
            reading = read(recorded, body)
        assert told(reading) == (recorded.text, recorded.calls)
        assert_not_cheap(reading.usage)

    claim()


@pytest.mark.slow
@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded.name)
def test_bytes_that_are_damaged_anywhere_raise_nothing_but_what_the_reader_says(recorded: Recorded) -> None:
    whole = recorded.body(recorded.documents)

    @settings(max_examples=200, deadline=None)
    @given(
        st.integers(0, len(whole)),
        st.integers(0, 6),
        st.binary(max_size=6) | st.sampled_from([b"NaN", b"\\ud8", b"[" * 3000]),
    )
    def claim(at: int, gone: int, put: bytes) -> None:
        try:
            with ends():
                reading = read(recorded, whole[:at] + put + whole[at + gone :])
        except (ValueError, RecursionError):  # what `Hosted` makes a bad response of
            pass
        else:
            reading.text.encode()
            assert_not_cheap(reading.usage)

    claim()


FIELDS = {
    "openai": ("prompt_tokens", "completion_tokens", "total_tokens", "cached", "reasoning"),
    "responses": ("input_tokens", "output_tokens", "total_tokens", "read", "reasoning_there"),
    "gemini": (
        "promptTokenCount",
        "candidatesTokenCount",
        "totalTokenCount",
        "cachedContentTokenCount",
        "thoughtsTokenCount",
    ),
    "anthropic": (
        "input_tokens",
        "output_tokens",
        "cache_creation_input_tokens",
        "cache_read_input_tokens",
        "thinking",
    ),
}


def usage_document(kind: str, values: dict[str, Any]) -> dict[str, Any]:
    document = dict(values)
    nested = {
        "cached": ("prompt_tokens_details", "cached_tokens"),
        "reasoning": ("completion_tokens_details", "reasoning_tokens"),
        "thinking": ("output_tokens_details", "thinking_tokens"),
        "read": ("input_tokens_details", "cached_tokens"),
        "reasoning_there": ("output_tokens_details", "reasoning_tokens"),
    }
    for name, (outer, inner) in nested.items():
        if name in document:
            document[outer] = {inner: document.pop(name)}
    return document


def with_usage(recorded: Recorded, usage: Any) -> tuple[Any, ...]:
    """Put the usage where the service says it, last."""
    documents = json.loads(json.dumps(recorded.documents))
    name = "usageMetadata" if recorded.kind == "gemini" else "usage"
    for document in documents:
        if isinstance(document, dict) and document.get(name) is not None:
            document[name] = usage
        for outer in ("message", "response"):
            if isinstance(document, dict) and isinstance(document.get(outer), dict):
                document[outer]["usage"] = usage
    return tuple(documents)


@pytest.mark.slow
@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded.name)
def test_usage_is_never_less_than_its_parts_or_its_total_say(recorded: Recorded) -> None:
    @settings(max_examples=200, deadline=None)
    @given(st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS[recorded.kind], counts)))
    def claim(values: dict[str, Any]) -> None:
        reading = read(recorded, recorded.body(with_usage(recorded, usage_document(recorded.kind, values))))
        assert told(reading) == (recorded.text, recorded.calls)
        usage = reading.usage
        assert_not_cheap(usage)
        if usage.input_tokens is None or usage.output_tokens is None:
            return
        said = {name: count(values.get(name)) or 0 for name in FIELDS[recorded.kind]}
        first, second, third, fourth, fifth = (said[name] for name in FIELDS[recorded.kind])
        if recorded.kind == "anthropic":
            assert usage.input_tokens == first + third + fourth
            assert usage.output_tokens >= max(second, fifth)
            return
        assert usage.input_tokens == first
        assert usage.output_tokens >= second + (fifth if recorded.kind == "gemini" else 0)
        assert usage.output_tokens >= fifth
        assert usage.input_tokens + usage.output_tokens >= third
        assert (usage.cached_tokens or 0) <= fourth <= usage.input_tokens

    claim()


@settings(max_examples=300, deadline=None)
@given(*[counts] * 5)
def test_usage_adds_up_or_is_unknown(taken: Any, given_: Any, cached: Any, reasoned: Any, total: Any) -> None:
    parts = Usage(count(taken), count(given_), count(cached), count(reasoned))
    usage = usage_of(parts, total)

    assert_not_cheap(usage)
    if usage != Usage() and count(total) is not None and None not in (usage.input_tokens, usage.output_tokens):
        assert (usage.input_tokens or 0) + (usage.output_tokens or 0) == max(
            total, (parts.input_tokens or 0) + (parts.output_tokens or 0)
        )


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text(alphabet=st.characters(), max_size=6), max_size=4))
def test_text_of_any_characters_comes_out_as_unicode_has_it(pieces: list[str]) -> None:
    """Written by a careless server, in escapes, cut wherever it happens to be."""
    recorded = next(one for one in RECORDED if one.name == "openai-streamed-text")
    chunks = [{"choices": [{"index": 0, "delta": {"content": piece}}]} for piece in ["a", *pieces]]
    ended = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    reading = read(recorded, recorded.body((*chunks, ended)))

    whole = "".join(["a", *pieces])
    expected = whole.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert reading.text == expected


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=80))
def test_no_bytes_make_the_reader_raise_anything_but_value_errors(body: bytes) -> None:
    for one in (body, b'{"choices": [' + body, b'{"a": "' + body + b'"}'):
        try:
            RepairedJson().read(json.loads, one)
        except (ValueError, RecursionError):
            continue


def test_a_string_without_end_is_read_in_one_pass() -> None:
    for body in (
        b'{"a": "' + rb"\"" * 500_000,
        b'{"a": NaN, "b": "' + rb"\ud83d" * 300_000 + b'"}',
        b'{"a": ' + b"9" * 10**6,
    ):
        with ends(of=body[:20]), pytest.raises(ValueError):
            WIRES["openai"].assembler(Settings(model="m", sent_to={})).take_whole(body)
