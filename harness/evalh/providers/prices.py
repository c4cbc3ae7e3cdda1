"""Where the price of an answer comes from.

The first source that applies counts:

1. the amount that the response states, if the model has `cost_from` (`Bill`);
2. the model's `price` in evalh.toml (`workspace/prices.py` reads it);
3. the bundled table of genai-prices (a snapshot, never updated): the row that `price_as` names, else the model's own if
   its address is its provider's own.

Otherwise the price is unknown. `routing/logged.py` prices each attempt, and `core/money.py` multiplies.

A model is priced by the name that the workspace asks for, not by the one that answers: budgets need the price before
the first call, and a dated snapshot costs what its family costs.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from functools import cache
from threading import Thread
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from evalh.core.attempt import Usage
from evalh.core.errors import did_you_mean
from evalh.core.model import ModelSpec
from evalh.core.money import STANDARD, Price, Rates
from evalh.core.ports import Pricer, Provider
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.providers.answer_parts import name_of_tier
from evalh.providers.http.errors import at
from evalh.providers.repaired_json import RepairedJson

if TYPE_CHECKING:
    from genai_prices.types import ModelPrice, TieredPrices


_TIERS = ("service_tier", "serviceTier")
"""Params that ask for a service tier."""
_VARIANTS = frozenset({"service_tier", "speed", "processing"})
"""What has prices of its own in the table."""
_RATES = {
    "input": "input_mtok",
    "output": "output_mtok",
    "cached_input": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "cache_write_1h": "cache_write_1h_mtok",
}


class WorkspacePrices:
    """`core.ports.Prices`: one pricer per model, for as long as the workspace is open.

    `at` is the moment whose prices count; None: when a model is first looked up.
    """

    def __init__(self, at: datetime | None = None) -> None:
        self._at = at
        self._listed: dict[_Listing, ListedPrice] = {}

    def find(self, provider: Provider) -> Pricer | None:
        """Return the user's price, otherwise the table's; None if neither applies.

        The table is not used for a custom address unless `price_as` names its row: the same name may cost anything
        there. It is read in the background; a model that it lacks has the cost None. Raises WorkspaceError for a row of
        `price_as` that is not there.
        """
        spec = getattr(provider, "spec", None)
        asked = _asked(provider.params)
        if isinstance(spec, ModelSpec) and spec.price is not None:
            names = {name for name in asked if name and name not in STANDARD}
            return replace(spec.price, asked=asked, covers=frozenset(names - {name for name, _ in spec.price.tiers}))
        table, model = provider.traits.price_table, provider.model
        if isinstance(spec, ModelSpec) and spec.price_as is not None:
            refuse_unlisted(spec)
            table, _, model = spec.price_as.partition("/")
        elif table is None or not getattr(provider, "at_home", False):
            return None
        listing = _Listing(table, model, asked, self._at)
        listed = self._listed.get(listing)
        if listed is None:
            listed = self._listed[listing] = ListedPrice(listing)
        return listed


def price_table_date() -> str:
    """Describe the price table: its version, and the date of the newest price in force."""
    from importlib.metadata import version

    newest = _newest_price(datetime.now(tz=UTC).date())
    return f"genai-prices {version('genai-prices')}, newest price of {newest.isoformat()}"


def listed_cost(table: str, model: str, at: datetime | None, usage: Usage) -> Decimal | None:
    """Price an answer in USD by the bundled table, as of a moment; None where the table lacks the model."""
    price = _listed(_Listing(table, model, _asked({}), at and at.replace(hour=0, minute=0, second=0, microsecond=0)))
    return None if price is None else price.cost(usage, None)


def refuse_unlisted(spec: ModelSpec) -> None:
    """Raise WorkspaceError where `price_as` names what the price table does not have."""
    if spec.price_as is None:
        return
    from genai_prices.data_snapshot import get_snapshot

    table, _, model = spec.price_as.partition("/")
    if _listed(_Listing(table, model, _asked({}), None)) is not None:
        return
    providers = {one.id: one for one in get_snapshot().providers}
    known = [one.id for one in providers[table].models] if table in providers else []
    hint = did_you_mean(model, known) if known else did_you_mean(table, providers)
    raise spec.wrong(f"'price_as' names {spec.price_as!r}, which the price table does not have", hint)


class _Listing(Value):
    table: str
    model: str
    asked: tuple[str | None, ...]  # the tier, the speed and the region
    at: datetime | None


class ListedPrice:
    """A model's price in the bundled table.

    The table's library takes about 0.2 s to import. A thread starts at once, so that neither the first request nor the
    first answer waits for it.
    """

    def __init__(self, listing: _Listing) -> None:
        self._listing = listing
        self._price: Price | None = None
        self._thread: Thread | None = Thread(target=self._look_up, name="evalh-prices")
        self._thread.start()

    def cost(self, usage: Usage, seconds: float | None) -> Decimal | None:
        """Price one answer in USD; None where the table lacks the model, or the provider did not count."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        return None if self._price is None else self._price.cost(usage, seconds)

    def _look_up(self) -> None:
        self._price = _listed(self._listing)


def _asked(params: Mapping[str, JsonValue]) -> tuple[str | None, ...]:
    tier = next((params[name] for name in _TIERS if name in params), None)
    return name_of_tier(tier), name_of_tier(params.get("speed")), name_of_tier(params.get("inference_geo"))


@cache
def _listed(listing: _Listing) -> Price | None:
    from genai_prices.data_snapshot import get_snapshot

    try:
        _, found = get_snapshot().find_provider_model(listing.model, None, listing.table, None)
    except LookupError:
        return None
    at = listing.at or datetime.now(tz=UTC)
    base, *steps = _rates(found.get_prices(at))
    if base.input is None:
        return None
    tiers = {
        name: _rates(found.get_prices(at, variant.when))
        for variant in found.price_variants or ()
        if len(variant.when) == 1 and (variant.constraint is None or variant.constraint.active(at))
        for key, name in variant.when.items()
        if key in _VARIANTS
    }
    return Price(
        **{name: getattr(base, name) for name in _RATES},
        steps=tuple(steps),
        tiers=tuple(tiers.items()),
        asked=listing.asked,
    )


def _rates(price: "ModelPrice") -> tuple[Rates, ...]:
    """Return the table's rates: the base, and those above each number of input tokens."""
    rates: dict[str, Decimal | TieredPrices | None] = {name: getattr(price, key, None) for name, key in _RATES.items()}
    stepped = [rate for rate in rates.values() if rate is not None and not isinstance(rate, Decimal)]
    starts = sorted({0, *(tier.start for rate in stepped for tier in rate.tiers)})
    return tuple(
        Rates(**{name: _rate_above(rate, start) for name, rate in rates.items()}, above=start) for start in starts
    )


def _rate_above(rate: "Decimal | TieredPrices | None", tokens: int) -> Decimal | None:
    if rate is None or isinstance(rate, Decimal):
        return rate
    return next((tier.price for tier in reversed(rate.tiers) if tokens >= tier.start), rate.base)


@cache
def _newest_price(today: date) -> date:
    """Find the date of the newest price in force; the table itself has no date."""
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


HEADER = "header:"
_MOST_USD = 100_000
"""No answer costs more; a larger number is not an amount."""
_LONGEST = 40  # characters of an amount

_decode = msgspec.json.Decoder(float_hook=Decimal).decode


class Bill:
    """Reads the amount that a response states, at `place`: a path into the body (`usage.cost`), or `header:<name>`."""

    def __init__(self, place: str | None) -> None:
        place = place or ""
        self._header = place.removeprefix(HEADER) if place.startswith(HEADER) else None
        self._path = tuple(place.split(".")) if place and self._header is None else ()
        self._key = self._path[-1].encode() if self._path else b""

    def of_headers(self, headers: Mapping[str, str]) -> Decimal | None:
        """Read the amount from a response's headers; None if there is none."""
        return None if self._header is None else _amount((headers.get(self._header) or "").strip())

    def of_body(self, body: bytes) -> Decimal | None:
        """Read the amount from a body, or from an event of a stream; None if there is none."""
        if not self._path or self._key not in body:
            return None
        try:
            document = RepairedJson().read(_decode, body)
        except (ValueError, RecursionError):
            return None
        whole = at(document, "response")  # the last event of a streamed response holds the whole
        value = at(whole if isinstance(whole, dict) else document, *self._path)
        return _amount(str(value)) if isinstance(value, int | Decimal) and not isinstance(value, bool) else None


def _amount(text: str) -> Decimal | None:
    plain = len(text) <= _LONGEST and text.isascii() and "_" not in text
    try:
        amount = Decimal(text if plain else "NaN")
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and 0 <= amount <= _MOST_USD else None
