"""The `price` of a model in evalh.toml: what tokens cost, or an hour of compute. `providers/prices.py` uses it."""

from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Self, TypeAlias

from pydantic import ConfigDict, Field, model_validator

from evalh.core.attempt import MOST_TOKENS
from evalh.core.declared import FileModel, Refused, Words
from evalh.core.money import STANDARD, Price, Rates

Usd: TypeAlias = Annotated[Decimal, Field(ge=0), Words(hint="USD per million tokens; what is free is written as 0")]
_STEP = "steps = [{above = 200_000, input = 6, output = 22.5}]"


class RatesTable(FileModel):
    """USD per million tokens."""

    input: Usd = Field(description="Input.")
    output: Usd = Field(description="Output.")
    cached_input: Usd | None = Field(None, description="Input that was found in a cache. Default: as input.")
    cache_write: Usd | None = Field(None, description="Input that was put into a cache. Default: as input.")
    cache_write_1h: Usd | None = Field(None, description="The same for an hour. Default: as cache_write.")


class StepTable(RatesTable):
    """What tokens cost, in USD per million, in a request of more input tokens than `above`."""

    above: Annotated[int, Words(hint=_STEP)] = Field(ge=1, le=MOST_TOKENS, description="The input tokens of a request.")


class TierTable(RatesTable):
    """What tokens cost in a tier, at a speed or in a region, in USD per million."""

    steps: tuple[StepTable, ...] = Field((), description="Other prices of long requests, ascending.")

    @model_validator(mode="after")
    def _ascends(self) -> Self:
        for place, (before, step) in enumerate(pairwise(self.steps), start=1):
            if step.above <= before.above:
                what = "a step states the input tokens 'above' which it holds, more than the step before it"
                raise Refused(what, _STEP, ("steps", place, "above"))
        return self

    def rates(self) -> tuple[Rates, ...]:
        """Return the base and its steps, ascending."""
        base = Rates(**{key: getattr(self, key) for key in RatesTable.model_fields})
        return (base, *(Rates(**dict(step)) for step in self.steps))


class PriceTable(TierTable):
    """What tokens cost, in USD per million, or an hour of compute."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["per_hour"], "maxProperties": 1}, {"required": ["input", "output"]}]}
    )

    input: Usd = Field(None, description="Input.")  # type: ignore[assignment]  # `per_hour` excludes it
    output: Usd = Field(None, description="Output.")  # type: ignore[assignment]
    tiers: dict[str, TierTable] = Field(
        default_factory=dict, description="Prices by the tier, speed or region that an answer names."
    )
    per_hour: Decimal | None = Field(None, ge=0, description="USD for an hour of compute; excludes the other keys.")

    @model_validator(mode="after")
    def _can_be(self) -> Self:
        others = sorted(self.model_fields_set - {"per_hour"})
        if self.per_hour is not None and others:
            raise Refused(f"a price is per hour or per token: 'per_hour' excludes {others[0]!r}")
        if self.per_hour is None and not self.model_fields_set >= {"input", "output"}:
            # Half a price would make every cost unknown without saying why.
            what = "a price states both 'input' and 'output', in USD per million tokens, or 'per_hour'"
            raise Refused(what, "what is free is written as 0")
        for name in self.tiers:
            if not name or name != name.strip().lower() or name in STANDARD:
                what = f"{name!r} cannot name a tier, a speed or a region: the price's own keys are the standard's"
                hint = "the name that the answer says, in small letters: tiers = {batch = {input = 0.5, output = 2}}"
                raise Refused(what, hint, ("tiers", name))
        return self

    def price(self) -> Price:
        """Return the price as a value."""
        base, *steps = self.rates()
        tiers = tuple((name, tier.rates()) for name, tier in self.tiers.items())
        rates = {key: getattr(base, key) for key in RatesTable.model_fields}
        return Price(**rates, steps=tuple(steps), tiers=tiers, per_hour=self.per_hour)
