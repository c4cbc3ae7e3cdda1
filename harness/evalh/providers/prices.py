"""What answers cost: the user's own price, else the bundled table of genai-prices (a snapshot; updates stay off).

A model is priced by the name that the workspace asks for, not by the one that answers: the price must be known before
the first call, where budgets are made, and a dated snapshot costs what its family costs.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from threading import Thread
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from evalh.core.attempt import Usage
from evalh.core.model import ModelSpec
from evalh.core.ports import Pricer, Provider
from evalh.core.values import dataclass
from evalh.providers.usage import CachingUsage

if TYPE_CHECKING:
    from genai_prices.types import ModelPrice, TieredPrices

_PER_MILLION = Decimal("0.000001")
_PRICED_APART = {"service_tier": "service_tier", "serviceTier": "service_tier", "speed": "speed"}
"""Params that change a price, by the table's names for them."""
_TABLES: Mapping[str, str] = {"openai": "openai", "anthropic": "anthropic", "gemini": "google"}


@runtime_checkable
class _Priced(Protocol):
    """A provider that was built from `[models.<name>]`."""

    spec: ModelSpec


class WorkspacePrices:
    """`core.ports.Prices`: one pricer per model, for as long as the workspace is open.

    `at` is the moment whose prices hold; None: when a model is first asked for.
    """

    def __init__(self, at: datetime | None = None) -> None:
        self._at = at
        self._listed: dict[_Listing, ListedPrice] = {}

    def find(self, provider: Provider) -> Pricer | None:
        """Return the user's price, else the table's; None for a model that neither can know.

        A custom address is never priced from the table: the same name may cost anything there. What comes from the
        table is looked up in the background, and answers None to every usage where the table lacks the model.
        """
        spec = provider.spec if isinstance(provider, _Priced) else None
        if spec is not None and spec.price is not None:
            return spec.price
        table = _TABLES.get(provider.kind)
        if table is None or not getattr(provider, "at_home", False):
            return None
        stated = ((name, provider.params.get(param)) for param, name in _PRICED_APART.items())
        variant = tuple((name, value) for name, value in stated if isinstance(value, str))
        listing = _Listing(table, provider.model, variant, self._at)
        listed = self._listed.get(listing)
        if listed is None:
            listed = self._listed[listing] = ListedPrice(listing)
        return listed


def price_table_date() -> str:
    """Say which table prices come from: its version, and since when its newest price is in force."""
    from importlib.metadata import version

    newest = _newest_price(datetime.now(tz=UTC).date())
    return f"genai-prices {version('genai-prices')}, newest price of {newest.isoformat()}"


@dataclass(frozen=True, slots=True)
class _Listing:
    table: str
    model: str
    variant: tuple[tuple[str, str], ...]  # params that change the price
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Rate:
    """USD per million tokens; above a number of input tokens another rate holds for the whole request."""

    base: Decimal
    tiers: tuple[tuple[int, Decimal], ...] = ()  # (input tokens above which it holds, rate), ascending

    def at(self, input_tokens: int) -> Decimal:
        """Return the rate of a request of that size."""
        rate = self.base
        for start, tier in self.tiers:
            if input_tokens > start:
                rate = tier
        return rate


@dataclass(frozen=True, slots=True)
class Rates:
    """One model's rates. What has no rate of its own costs what plain input costs."""

    input: Rate
    output: Rate | None  # None: it has none, as models that write nothing
    cached: Rate
    written: Rate
    written_1h: Rate

    def cost(self, usage: Usage) -> Decimal | None:
        """Price one answer; None where the provider did not count."""
        total, output = usage.input_tokens, usage.output_tokens
        if total is None or output is None or (output and self.output is None):
            return None  # half a price reads as cheap
        cached = min(usage.cached_tokens or 0, total)
        written = written_1h = 0
        if isinstance(usage, CachingUsage):
            written_1h = min(usage.cache_write_1h_tokens, total - cached)
            written = min(usage.cache_write_tokens, total - cached) - written_1h
        plain = total - cached - written - written_1h
        cost = self.input.at(total) * plain
        if self.output is not None:
            cost += self.output.at(total) * output
        if plain != total:
            cost += self.cached.at(total) * cached
            cost += self.written.at(total) * written + self.written_1h.at(total) * written_1h
        return cost * _PER_MILLION


class ListedPrice:
    """A model's price in the bundled table.

    The table's library takes some 0.2 s to import. A thread begins with that at once, so that neither the first
    request nor the first answer waits for it.
    """

    def __init__(self, listing: _Listing) -> None:
        self._listing = listing
        self._rates: Rates | None = None
        self._thread: Thread | None = Thread(target=self._look_up, name="evalh-prices")
        self._thread.start()

    def cost(self, usage: Usage, seconds: float | None) -> Decimal | None:  # noqa: ARG002 (the port's)
        """Price one answer in USD; None where the table lacks the model, or the provider did not count."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        return None if self._rates is None else self._rates.cost(usage)

    def _look_up(self) -> None:
        self._rates = _rates(self._listing)


@cache
def _rates(listing: _Listing) -> Rates | None:
    from genai_prices.data_snapshot import get_snapshot

    try:
        _, found = get_snapshot().find_provider_model(listing.model, None, listing.table, None)
    except LookupError:
        return None
    price = found.get_prices(listing.at or datetime.now(tz=UTC), dict(listing.variant) or None)
    plain, output = _rate(price, "input_mtok"), _rate(price, "output_mtok")
    if plain is None:
        return None
    written = _rate(price, "cache_write_mtok") or plain
    return Rates(
        input=plain,
        output=output,
        cached=_rate(price, "cache_read_mtok") or plain,
        written=written,
        written_1h=_rate(price, "cache_write_1h_mtok") or written,
    )


def _rate(price: "ModelPrice", name: str) -> Rate | None:
    value: Decimal | TieredPrices | None = getattr(price, name, None)
    if value is None or isinstance(value, Decimal):
        return None if value is None else Rate(value)
    return Rate(value.base, tuple((tier.start, tier.price) for tier in value.tiers))


@cache
def _newest_price(today: date) -> date:
    """Find the newest dated price that is in force: the table itself bears no date."""
    from genai_prices.data_snapshot import get_snapshot
    from genai_prices.types import StartDateConstraint

    newest = date.min
    for provider in get_snapshot().providers:
        for model in provider.models:
            prices = model.prices if isinstance(model.prices, list) else []
            for dated in (*prices, *(model.price_variants or ())):
                if isinstance(dated.constraint, StartDateConstraint) and dated.constraint.start_date <= today:
                    newest = max(newest, dated.constraint.start_date)
    return newest
