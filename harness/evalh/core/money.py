"""Money: US dollars as `Decimal`. An unknown amount is None, never 0."""

from collections.abc import Iterable
from decimal import Decimal

from evalh.core.attempt import Usage
from evalh.core.values import dataclass

_PER_MILLION = Decimal("0.000001")
_PER_SECOND = Decimal(1) / Decimal(3600)
_RESOLUTION = Decimal("1e-12")


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


def from_stored(usd: float | None) -> Decimal | None:
    """Read an amount back from the store; exact to 1e-12 USD below 4,096 USD (half a float's step there)."""
    return None if usd is None else Decimal(usd).quantize(_RESOLUTION).normalize()


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What the user states for a model, in USD: per million tokens, or per hour of compute.

    `share` is the part of the machine that one call occupies (1 / parallel slots of a local model).
    """

    input: Decimal | None = None
    output: Decimal | None = None
    cached_input: Decimal | None = None  # None: as `input`
    per_hour: Decimal | None = None
    share: Decimal = Decimal(1)

    def cost(self, usage: Usage, seconds: float | None) -> Decimal | None:
        """Price one answer; None where it needs tokens that the provider did not report, or time that is not known."""
        if self.per_hour is not None:
            if seconds is None:
                return None
            return (self.per_hour * _PER_SECOND * self.share * Decimal(seconds)).quantize(_RESOLUTION)
        if self.input is None or self.output is None or usage.input_tokens is None or usage.output_tokens is None:
            return None
        cached = usage.cached_tokens or 0
        cached_rate = self.input if self.cached_input is None else self.cached_input
        tokens = self.input * (usage.input_tokens - cached) + cached_rate * cached + self.output * usage.output_tokens
        return tokens * _PER_MILLION
