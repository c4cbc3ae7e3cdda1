"""Usage is believed as a whole or not at all, and an answer's price is that of the tier that served it."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from evalh.core.attempt import Usage
from evalh.core.money import Price, Rates
from evalh.core.ports import Pricer
from evalh.providers.prices import WorkspacePrices
from wire.anthropic_service import ANTHROPIC, message, message_events
from wire.gemini_service import GEMINI, content
from wire.openai_service import OPENAI, chat, chat_chunk
from wire.service import Reply, Service, event
from wire.talking import spec_of, talking

PRICE = Price(input=Decimal(1), output=Decimal(10), cached_input=Decimal("0.1"))
MOMENT = datetime(2026, 11, 1, tzinfo=UTC)


def counted(prompt: Any, completion: Any, total: Any = None, *, cached: Any = None, reasoned: Any = None) -> Any:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": total,
        "prompt_tokens_details": {"cached_tokens": cached},
        "completion_tokens_details": {"reasoning_tokens": reasoned},
    }


CHAT: dict[str, tuple[Any, Usage]] = {
    "more cached than read": (counted(20, 9, cached=2000), Usage()),
    "one more cached than read": (counted(20, 9, 29, cached=21), Usage()),
    "all cached": (counted(20, 9, 29, cached=20), Usage(20, 9, 20)),
    "a part of a token": (counted(0.9, 9), Usage(None, 9)),
    "a part of a written token": (counted(20, 0.9), Usage(20, None)),
    "below nothing": (counted(-20, 9), Usage(None, 9)),
    "cached below nothing": (counted(20, 9, cached=-2000), Usage(20, 9)),
    "text": (counted("20", "9"), Usage()),
    "truth": (counted(True, True), Usage()),
    "more than there is": (counted(1e30, 9), Usage(None, 9)),
    "nothing read": (counted(0, 9), Usage()),
    "nothing written": (counted(20, 0), Usage()),
    "reasoning apart": (counted(32, 9, 135, reasoned=94), Usage(32, 103, None, 94)),  # xAI
    "reasoning apart, and fewer": (counted(100, 100, 250, reasoned=50), Usage(100, 150, None, 50)),
    "thoughts in the total alone": (counted(10, 5, 515), Usage(10, 505)),  # a gateway before Gemini
    "reasoning apart and no total": (counted(32, 9, reasoned=94), Usage()),
    "a total below its parts": (counted(20, 9, 28), Usage()),
    "a total of nothing": (counted(20, 9, 0), Usage()),
    "a total below nothing": (counted(20, 9, -1), Usage()),
    "a total without end": (counted(20, 9, 1e30), Usage()),
    "a total that is a word": (counted(20, 9, "n/a"), Usage(20, 9)),
    "reasoning within": (counted(20, 9, 29, reasoned=9), Usage(20, 9, None, 9)),
    "more reasoning than the total holds": (counted(20, 9, 29, reasoned=10), Usage()),
    "a word": ("n/a", Usage()),
    "a list": ([20, 9], Usage()),
}


@pytest.mark.parametrize("name", CHAT)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_what_contradicts_itself_is_unknown(name: str, stream: bool) -> None:
    usage, wanted = CHAT[name]
    chunks = [chat_chunk({"content": "hi"}, finish="stop"), chat_chunk({}, choices=[], usage=usage), event("[DONE]")]
    async with talking(OPENAI, Reply(chunks=chunks) if stream else Reply(chat("hi", usage=usage))) as talk:
        answer = await talk.ask(stream=stream)

    assert (answer.text, answer.usage) == ("hi", wanted)
    cost = PRICE.cost(answer.usage, None)
    assert (cost is None) == (None in (wanted.input_tokens, wanted.output_tokens))
    assert cost is None or cost > 0


async def test_an_answer_that_says_nothing_may_have_written_nothing() -> None:
    async with talking(OPENAI, Reply(chat("", usage=counted(20, 0)))) as talk:
        assert (await talk.ask()).usage == Usage(20, 0)


MESSAGES: dict[str, tuple[Any, Usage]] = {
    "plain": ({}, Usage(20, 9, 12, 4, 5, 4)),
    "written, not by which lifetime": ({"cache_creation": None}, Usage(20, 9, 12, 4, 5)),
    "the lifetimes alone": ({"cache_creation_input_tokens": None}, Usage(20, 9, 12, 4, 5, 4)),
    "lifetimes that are not the sum": ({"cache_creation_input_tokens": 3}, Usage()),
    "more for an hour than written": ({"cache_creation": {"ephemeral_1h_input_tokens": 6}}, Usage()),
    "lifetimes that cannot be read": ({"cache_creation": "n/a"}, Usage(None, 9, 12, 4, 5)),
    "written that cannot be read": ({"cache_creation_input_tokens": "5"}, Usage()),
    "read that cannot be read": ({"cache_read_input_tokens": "n/a"}, Usage(None, 9, None, 4, 5, 4)),
    "fresh below nothing": ({"input_tokens": -17}, Usage(None, 9, 12, 4, 5, 4)),
    "more thought than written": ({"output_tokens_details": {"thinking_tokens": 10}}, Usage()),
    "a part of a token": ({"output_tokens": 0.9}, Usage(20, None, 12, 4, 5, 4)),
}


@pytest.mark.parametrize("name", MESSAGES)
async def test_a_messages_counts_are_added_up_where_they_fit(name: str) -> None:
    told, wanted = MESSAGES[name]
    async with talking(ANTHROPIC, Reply(message("hi", **told))) as talk:
        assert (await talk.ask()).usage == wanted


@pytest.mark.parametrize("last", ["n/a", None, [], {"output_tokens": "n/a"}, {"output_tokens": -9}])
async def test_the_count_that_a_stream_begins_with_is_not_its_end(last: Any) -> None:
    """A message starts with one token of output: taken for the whole, it would be cheap."""
    events = message_events([({"type": "text", "text": ""}, [{"type": "text_delta", "text": "hi"}])])
    said = event({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": last})
    chunks = [said if b"message_delta" in one else one for one in events]
    async with talking(ANTHROPIC, Reply(chunks=chunks)) as talk:
        answer = await talk.ask(stream=True)

    assert answer.text == "hi"
    assert answer.usage.output_tokens is None


CONTENTS: dict[str, tuple[Any, Usage]] = {
    "thoughts in the total alone": ({"thoughtsTokenCount": None, "totalTokenCount": 529}, Usage(20, 509, 12)),
    "a total below its parts": ({"totalTokenCount": 28}, Usage()),
    "a total without the tools": ({"toolUsePromptTokenCount": 7}, Usage(27, 9, 12, 4)),
    "a total with the tools": ({"toolUsePromptTokenCount": 7, "totalTokenCount": 36}, Usage(27, 9, 12, 4)),
    "more cached than read": ({"cachedContentTokenCount": 21}, Usage()),
    "thoughts that are a word": ({"thoughtsTokenCount": "n/a"}, Usage(20, None, 12)),
    "nothing written": ({"candidatesTokenCount": None, "thoughtsTokenCount": None, "totalTokenCount": 20}, Usage()),
    "nothing written, and more in all": (
        {"candidatesTokenCount": None, "thoughtsTokenCount": None, "totalTokenCount": 29},
        Usage(20, 9, 12),
    ),
}


@pytest.mark.parametrize("name", CONTENTS)
async def test_geminis_counts_are_added_up_where_they_fit(name: str) -> None:
    told, wanted = CONTENTS[name]
    usage = {name: value for name, value in (content("")["usageMetadata"] | told).items() if value is not None}
    async with talking(GEMINI, Reply(content("hi", usage=usage))) as talk:
        assert (await talk.ask()).usage == wanted


# -- the tier that served


def pricer(service: Service, **spec: Any) -> Pricer:
    found = WorkspacePrices(MOMENT).find(service.build(spec_of(service, None, **spec), {}))
    assert found is not None
    return found


MILLION = {"prompt_tokens": 1_000_000, "completion_tokens": 1_000_000, "total_tokens": 2_000_000}


async def served(service: Service, body: Any, headers: dict[str, str] | None = None) -> Usage:
    async with talking(service, Reply(body, headers=headers or {})) as talk:
        return (await talk.ask()).usage


async def test_the_tier_that_served_decides_and_not_the_one_that_was_asked_for() -> None:
    plain, flex = pricer(OPENAI, model="gpt-5"), pricer(OPENAI, model="gpt-5", params={"service_tier": "flex"})
    answer = chat("hi", usage=MILLION)
    standard = await served(OPENAI, answer | {"service_tier": "default"})
    cheap = await served(OPENAI, answer | {"service_tier": "flex"})
    silent = await served(OPENAI, answer | {"service_tier": None})
    unheard = await served(OPENAI, answer | {"service_tier": "turbo"})
    full = plain.cost(standard, None)

    assert full is not None
    assert plain.cost(cheap, None) == flex.cost(cheap, None) == flex.cost(silent, None)
    assert plain.cost(silent, None) == flex.cost(standard, None) == full
    assert (plain.cost(cheap, None) or full) < full
    assert plain.cost(unheard, None) is flex.cost(unheard, None) is None


async def test_anthropic_names_its_tier_and_its_speed_beside_its_counts() -> None:
    opus = pricer(ANTHROPIC, model="claude-opus-4-8")
    plain = opus.cost(await served(ANTHROPIC, message("hi")), None)
    fast = opus.cost(await served(ANTHROPIC, message("hi", speed="fast")), None)
    batch = opus.cost(await served(ANTHROPIC, message("hi", service_tier="batch")), None)

    assert plain is not None
    assert fast is not None
    assert batch is not None
    assert batch < plain < fast
    assert opus.cost(await served(ANTHROPIC, message("hi", service_tier="priority")), None) is None
    assert opus.cost(await served(ANTHROPIC, message("hi", speed="warp")), None) is None
    assert opus.cost(await served(ANTHROPIC, message("hi", speed="fast", service_tier="batch")), None) is None


async def test_gemini_names_its_tier_in_the_body_or_in_a_header() -> None:
    flash = pricer(GEMINI, model="gemini-2.5-flash")
    named = content("hi") | {"usageMetadata": content("")["usageMetadata"] | {"serviceTier": "NOBLE"}}

    assert (await served(GEMINI, content("hi"), {"x-gemini-service-tier": "flex"})).tier == "flex"
    assert flash.cost(await served(GEMINI, content("hi"), {"x-gemini-service-tier": "standard"}), None) is not None
    assert flash.cost(await served(GEMINI, content("hi"), {"x-gemini-service-tier": "noble"}), None) is None
    assert flash.cost(await served(GEMINI, named), None) is None


@pytest.mark.parametrize(
    ("traffic", "tier"),
    [
        ("ON_DEMAND", "on_demand"),
        ("ON_DEMAND_PRIORITY", "priority"),
        ("ON_DEMAND_FLEX", "flex"),
        ("PROVISIONED_THROUGHPUT", "provisioned_throughput"),
        ("TRAFFIC_TYPE_UNSPECIFIED", None),
        (7, None),
    ],
)
async def test_vertex_names_its_tier_as_a_type_of_traffic(traffic: object, tier: str | None) -> None:
    told = content("hi") | {"usageMetadata": content("")["usageMetadata"] | {"trafficType": traffic}}

    assert (await served(GEMINI, told)).tier == tier


async def test_anthropic_names_the_region_that_served_and_one_of_its_own_is_dearer() -> None:
    opus = pricer(ANTHROPIC, model="claude-opus-4-8")

    assert opus.cost(await served(ANTHROPIC, message("hi", inference_geo="global")), None) is not None
    assert opus.cost(await served(ANTHROPIC, message("hi", inference_geo="not_available")), None) is not None
    assert opus.cost(await served(ANTHROPIC, message("hi", inference_geo="us")), None) is None
    assert pricer(ANTHROPIC, params={"inference_geo": "us"}).cost(Usage(10, 10), None) is None
    own = Price(input=Decimal(1), output=Decimal(1), tiers=(("us", (Rates(input=Decimal(2), output=Decimal(2)),)),))
    usage = Usage(500_000, 500_000, region="us")
    assert pricer(ANTHROPIC, price=own).cost(usage, None) == Decimal(2)


@pytest.mark.parametrize("last", [{}, [], "n/a"])
async def test_a_count_on_the_way_is_not_the_last_one(last: Any) -> None:
    chunks = [
        chat_chunk({"content": "hi"}, usage=counted(20, 1, 21)),
        chat_chunk({}, finish="stop", usage=last),
        event("[DONE]"),
    ]
    async with talking(OPENAI, Reply(chunks=chunks)) as talk:
        assert (await talk.ask(stream=True)).usage == Usage()


@pytest.mark.parametrize("speed", ["flex-plus", "warp"])
def test_a_tier_that_the_table_does_not_hold_is_not_the_standard_one(speed: str) -> None:
    assert pricer(OPENAI, model="gpt-5", params={"service_tier": speed}).cost(Usage(10, 10), None) is None
    assert pricer(ANTHROPIC, params={"speed": speed}).cost(Usage(10, 10), None) is None
    assert pricer(OPENAI, model="gpt-5", params={"service_tier": "auto"}).cost(Usage(10, 10), None) is not None


def test_a_price_of_the_users_is_that_of_the_tier_that_was_asked_for() -> None:
    own = Price(input=Decimal(1), output=Decimal(1))
    asked = pricer(OPENAI, price=own, params={"service_tier": "flex"})
    plain = pricer(OPENAI, price=own)
    usage = Usage(500_000, 500_000)

    assert asked.cost(usage, None) == plain.cost(usage, None) == Decimal(1)
    assert asked.cost(Usage(500_000, 500_000, tier="flex"), None) == Decimal(1)
    assert asked.cost(Usage(500_000, 500_000, tier="default"), None) is None  # what the standard costs is not said
    assert plain.cost(Usage(500_000, 500_000, tier="flex"), None) is None
    assert plain.cost(Usage(500_000, 500_000, tier="on_demand"), None) == Decimal(1)


def test_tiers_steps_and_cache_writes_of_the_users_price() -> None:
    own = Price(
        input=Decimal(3),
        output=Decimal(15),
        cached_input=Decimal("0.3"),
        cache_write=Decimal("3.75"),
        cache_write_1h=Decimal(6),
        steps=(Rates(input=Decimal(6), output=Decimal(20), above=200_000),),
        tiers=(("batch", (Rates(input=Decimal(1), output=Decimal(5)),)),),
    )
    it = pricer(OPENAI, price=own)

    assert it.cost(Usage(100_000, 0, 10_000, None, 30_000, 20_000), None) == Decimal("0.3405")
    assert it.cost(Usage(200_000, 0), None) == Decimal("0.6")
    assert it.cost(Usage(200_001, 1_000_000), None) == Decimal("21.200006")
    assert it.cost(Usage(1_000_000, 0, tier="batch"), None) == Decimal(1)
    assert it.cost(Usage(1_000_000, 0, tier="flex"), None) is None
    batch = pricer(OPENAI, price=own, params={"service_tier": "batch"})
    assert batch.cost(Usage(1_000_000, 0), None) == Decimal(1)
    assert batch.cost(Usage(100_000, 0, tier="default"), None) == Decimal("0.3")


@pytest.mark.parametrize(
    "usage",
    [
        Usage(20, 9, 2000),
        Usage(-20, 9),
        Usage(20, -9),
        Usage(20, 9, -5),
        Usage(20, 9, 0, 10),
        Usage(20, 9, 10, None, 11),
        Usage(20, 9, 0, None, 5, 6),
        Usage(0.9, 9),  # type: ignore[arg-type]
        Usage(True, 9),
        Usage(10**12, 9),
    ],
)
def test_no_price_is_made_of_counts_that_cannot_be(usage: Usage) -> None:
    """A plugin's provider passes its own."""
    assert PRICE.cost(usage, None) is None
    assert Price(input=Decimal(0), output=Decimal(0)).cost(usage, None) == 0  # free, whatever was counted
