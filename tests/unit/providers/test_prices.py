"""What an answer costs: the user's own price, else the bundled table's, else unknown."""

import re
import socket
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import genai_prices
import pytest
from genai_prices.data_snapshot import get_snapshot
from hypothesis import given, settings
from hypothesis import strategies as st

from evalh.core.attempt import Usage
from evalh.core.money import Price
from evalh.providers.hosted import Hosted
from evalh.providers.prices import WorkspacePrices, price_table_date
from wire.anthropic_service import ANTHROPIC
from wire.gemini_service import GEMINI
from wire.openai_service import OPENAI
from wire.service import Service
from wire.talking import SERVICES, at_home, spec_of, talking

MOMENT = datetime(2026, 10, 1, tzinfo=UTC)
TABLE = {"openai": "openai", "anthropic": "anthropic", "gemini": "google"}
every_service = pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)


def model(service: Service, **spec: Any) -> Hosted:
    return service.build(spec_of(service, None, **spec), {})


def cost(it: Hosted, usage: Usage, at: datetime = MOMENT) -> Decimal | None:
    pricer = WorkspacePrices(at).find(it)
    assert pricer is not None
    return pricer.cost(usage, 1.0)


def test_a_listed_price_is_per_million_tokens_of_its_kind() -> None:
    assert cost(model(OPENAI, model="gpt-4o"), Usage(1_000_000, 0, 0)) == Decimal("2.5")
    assert cost(model(OPENAI, model="gpt-4o"), Usage(0, 1_000_000, 0)) == Decimal(10)
    assert cost(model(OPENAI, model="gpt-4o"), Usage(1_000_000, 0, 1_000_000)) == Decimal("1.25")
    assert cost(model(OPENAI, model="gpt-4o"), Usage(1, 1)) == Decimal("0.0000125")


def test_thinking_is_paid_as_output_and_once() -> None:
    assert cost(model(GEMINI), Usage(0, 100, 0, 90)) == cost(model(GEMINI), Usage(0, 100, 0, None))


def test_what_is_written_to_the_cache_is_dearer_and_for_an_hour_dearer_still() -> None:
    sonnet = model(ANTHROPIC, model="claude-sonnet-4-5")
    million = 1_000_000 // 10  # below the tier of long prompts
    plain = cost(sonnet, Usage(million, 0, 0)) or Decimal()

    assert cost(sonnet, Usage(million, 0, 0, cache_write_tokens=million)) == plain * Decimal("1.25")
    hour = Usage(million, 0, 0, cache_write_tokens=million, cache_write_1h_tokens=million)
    assert cost(sonnet, hour) == plain * 2
    assert cost(sonnet, Usage(million, 0, million)) == plain / 10


def test_a_long_prompt_is_priced_by_its_tier_and_the_limit_itself_is_not() -> None:
    pro = model(GEMINI, model="gemini-2.5-pro")

    assert cost(pro, Usage(200_000, 0)) == Decimal("0.25")
    assert cost(pro, Usage(200_001, 0)) == Decimal("0.0000025") * 200_001


@pytest.mark.parametrize(
    ("day", "usd"), [(datetime(2025, 6, 9, tzinfo=UTC), Decimal(10)), (datetime(2025, 6, 11, tzinfo=UTC), Decimal(2))]
)
def test_a_price_is_that_of_its_day(day: datetime, usd: Decimal) -> None:
    assert cost(model(OPENAI, model="o3"), Usage(1_000_000, 0), day) == usd


def test_a_price_of_tomorrow_does_not_hold_today() -> None:
    flash = model(GEMINI, model="gemini-3.6-flash")

    before = cost(flash, Usage(1_000_000, 0), datetime(2026, 12, 31, tzinfo=UTC))
    assert before == Decimal("0.75")
    assert cost(flash, Usage(1_000_000, 0), datetime(2027, 1, 2, tzinfo=UTC)) == Decimal("1.5")


def test_a_tier_that_the_model_is_asked_for_by_is_priced_as_such() -> None:
    usage, late = Usage(1_000_000, 1_000_000), datetime(2026, 11, 1, tzinfo=UTC)
    plain = cost(model(OPENAI, model="gpt-5"), usage, late) or Decimal()

    assert (cost(model(OPENAI, model="gpt-5", params={"service_tier": "flex"}), usage, late) or plain) < plain
    assert (cost(model(OPENAI, model="gpt-5", params={"service_tier": "priority"}), usage, late) or plain) > plain
    opus = model(ANTHROPIC, model="claude-opus-4-8")
    fast = model(ANTHROPIC, model="claude-opus-4-8", params={"speed": "fast"})
    assert (cost(fast, usage, late) or Decimal()) > (cost(opus, usage, late) or Decimal())


LISTED = sorted(
    (provider.id, listed.id)
    for provider in get_snapshot().providers
    if provider.id in TABLE.values()
    for listed in provider.models
    if {"input_mtok", "output_mtok"} <= {k for k, v in vars(listed.get_prices(MOMENT)).items() if v is not None}
)
BY_TABLE = {TABLE[service.kind]: service for service in reversed(SERVICES)}


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(LISTED), st.integers(0, 400_000), st.integers(0, 9_000), st.floats(0, 1))
def test_every_listed_model_costs_what_the_tables_own_library_says(
    listed: tuple[str, str], total: int, output: int, share: float
) -> None:
    table, name = listed
    cached = int(total * share)
    theirs: Decimal | None = None
    with suppress(LookupError):  # some names of the table are not found under themselves
        theirs = genai_prices.calc_price(
            genai_prices.Usage(input_tokens=total, output_tokens=output, cache_read_tokens=cached),
            name,
            provider_id=table,
            genai_request_timestamp=MOMENT,
        ).total_price

    assert cost(model(BY_TABLE[table], model=name), Usage(total, output, cached)) == theirs


@every_service
def test_a_model_that_the_table_lacks_costs_nobody_knows_what(service: Service) -> None:
    assert cost(model(service, model="no-such-model-9"), Usage(10, 10)) is None


@every_service
@pytest.mark.parametrize("usage", [Usage(), Usage(10, None), Usage(None, 10)], ids=["none", "input", "output"])
def test_what_the_provider_did_not_count_costs_nobody_knows_what(service: Service, usage: Usage) -> None:
    assert cost(model(service), Usage(10, 10)) is not None
    assert cost(model(service), usage) is None


def test_half_a_listed_price_is_no_price_but_of_what_writes_nothing() -> None:
    embedding = model(OPENAI, model="text-embedding-3-small")

    assert cost(embedding, Usage(10, 10)) is None
    assert cost(embedding, Usage(1_000_000, 0)) == Decimal("0.02")
    assert cost(embedding, Usage(None, 0)) is None


@every_service
def test_half_a_price_of_the_users_is_no_price(service: Service) -> None:
    pricer = WorkspacePrices().find(model(service, price=Price(input=Decimal(1))))

    assert pricer is not None
    assert pricer.cost(Usage(10, 10), 1.0) is None


@every_service
async def test_another_address_is_never_priced_by_the_table_and_may_be_by_the_user(service: Service) -> None:
    async with talking(service) as talk:
        assert WorkspacePrices().find(talk.model) is None
    async with talking(service, price=Price(input=Decimal(2), output=Decimal(4))) as talk:
        pricer = WorkspacePrices().find(talk.model)
        answer = await talk.ask()

    assert pricer is not None
    assert pricer.cost(answer.usage, 1.0) == Decimal("0.000076")  # 20 in, 9 out


@every_service
async def test_the_users_price_goes_before_the_tables(service: Service) -> None:
    own = Price(input=Decimal(100), output=Decimal(0), cached_input=Decimal(0))

    assert cost(model(service, price=own), Usage(1_000_000, 9, 0)) == Decimal(100)


@every_service
async def test_an_answer_from_home_has_a_price(service: Service) -> None:
    async with at_home(service) as (talk, _):
        answer = await talk.ask()
        price = cost(talk.model, answer.usage)

    assert price is not None
    assert Decimal(0) < price < Decimal("0.001")


def test_prices_need_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[object] = []
    monkeypatch.setattr(socket.socket, "connect", lambda *args: opened.append(args))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: opened.append(args))

    assert cost(model(OPENAI), Usage(10, 10), datetime(2026, 10, 2, tzinfo=UTC)) is not None
    assert opened == []


def test_one_workspace_looks_a_model_up_once() -> None:
    prices = WorkspacePrices()

    assert prices.find(model(OPENAI)) is prices.find(model(OPENAI, name="another"))
    assert prices.find(model(OPENAI)) is not prices.find(model(OPENAI, params={"service_tier": "flex"}))


def test_the_table_says_its_version_and_its_day() -> None:
    found = re.fullmatch(r"genai-prices (\d+\.\d+\.\d+), newest price of (\d{4}-\d\d-\d\d)", price_table_date())

    assert found is not None
    assert datetime.fromisoformat(found[2]).date() <= datetime.now(tz=UTC).date()
