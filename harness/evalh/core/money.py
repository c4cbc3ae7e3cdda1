"""Money: US dollars as `Decimal`. An unknown amount is None, never 0."""

from collections.abc import Iterable
from decimal import Decimal

from evalh.core.attempt import Usage
from evalh.core.values import Value

_PER_MILLION = Decimal("0.000001")
_PER_SECOND = Decimal(1) / Decimal(3600)
_RESOLUTION = Decimal("1e-12")

STANDARD = frozenset(
    {"default", "standard", "standard_only", "auto", "on_demand", "unspecified", "global", "not_available", ""}
)
"""The names of the default service tier, speed and region."""


def total(costs: Iterable[Decimal | None]) -> Decimal | None:
    """Sum the costs; None if any is unknown, since a partial sum reads as cheap."""
    amount = Decimal(0)
    for cost in costs:
        if cost is None:
            return None
        amount += cost
    return amount


def plus(amount: Decimal | None, more: Decimal | None) -> Decimal | None:
    """Add two amounts; None if either is unknown."""
    return None if amount is None or more is None else amount + more


def in_dollars(amount: Decimal) -> str:
    """Write an exact amount as `$2.00`: in full, without an exponent, with at least two digits after the point."""
    text = f"{amount:f}"
    places = len(text.partition(".")[2])
    return f"${text}" if places > 1 else f"${amount:.2f}"


def believed(amount: Decimal | None) -> Decimal | None:
    """Return an amount that a provider or a plugin states; None if it is below 0 or not finite."""
    return amount if amount is not None and amount.is_finite() and amount >= 0 else None


def from_stored(usd: float | None) -> Decimal | None:
    """Read an amount back from the store; exact to 1e-12 USD below 4,096 USD (half a float's step there)."""
    return None if usd is None else Decimal(usd).quantize(_RESOLUTION).normalize()


class Rates(Value, kw_only=True):
    """USD per million tokens."""

    input: Decimal | None = None
    output: Decimal | None = None  # None: not stated, as for models without output tokens
    cached_input: Decimal | None = None  # None: as `input`
    cache_write: Decimal | None = None  # None: as `input`
    cache_write_1h: Decimal | None = None  # None: as `cache_write`
    above: int = 0  # the input tokens above which these rates apply to the whole request

    @property
    def free(self) -> bool:
        """Whether everything is free."""
        others = (self.cached_input, self.cache_write, self.cache_write_1h)
        return self.input == 0 and self.output == 0 and not any(others)

    def of(self, usage: Usage) -> Decimal | None:
        """Price one answer; None if a rate is not stated, or a count is unknown or impossible."""
        if usage.input_tokens is None or usage.output_tokens is None or not usage.sound:
            return None  # half a price reads as cheap
        cached, written_1h = usage.cached_tokens or 0, usage.cache_write_1h_tokens
        written = usage.cache_write_tokens - written_1h
        write = self.input if self.cache_write is None else self.cache_write
        amount = Decimal(0)
        for tokens, rate in (
            (usage.input_tokens - cached - written - written_1h, self.input),
            (cached, self.input if self.cached_input is None else self.cached_input),
            (written, write),
            (written_1h, write if self.cache_write_1h is None else self.cache_write_1h),
            (usage.output_tokens, self.output),
        ):
            if tokens and rate is None:
                return None
            amount += (rate or 0) * tokens
        return amount * _PER_MILLION


class Price(Rates, kw_only=True):
    """What a model costs, in USD: per million tokens, or per hour of compute.

    `share` is the part of the machine that one call occupies (1 / parallel slots of a local model).
    """

    steps: tuple[Rates, ...] = ()  # of long requests, ascending by `above`
    tiers: tuple[tuple[str, tuple[Rates, ...]], ...] = ()  # of a service tier, speed or region
    asked: tuple[str | None, ...] = (None, None, None)  # the tier, the speed and the region that the params ask for
    covers: frozenset[str] = frozenset()  # those of `asked` that the base rates are for; empty: the standard
    per_hour: Decimal | None = None
    share: Decimal = Decimal(1)

    def cost(self, usage: Usage, seconds: float | None) -> Decimal | None:
        """Price one answer; None if a rate that it needs is not stated, or tokens or time are unknown."""
        if self.per_hour is not None:
            if seconds is None:
                return None
            return (self.per_hour * _PER_SECOND * self.share * Decimal(seconds)).quantize(_RESOLUTION)
        rates = self._served(usage)
        if rates and all(step.free for step in rates):
            return Decimal(0)
        steps = [step for step in rates if step.above <= 0 or (usage.input_tokens or 0) > step.above]
        return steps[-1].of(usage) if steps else None

    def _served(self, usage: Usage) -> tuple[Rates, ...]:
        """Return the rates of the tier that served; empty if they are not stated."""
        parts = zip((usage.tier, usage.speed, usage.region), self.asked, strict=True)
        names = frozenset(name for served, asked in parts if (name := served or asked) and name not in STANDARD)
        if names == self.covers:
            return (self, *self.steps)
        return next((rates for name, rates in self.tiers if names == {name}), ())
