"""What a run would send and could cost, before anything is sent."""

from decimal import Decimal

from evalh.core.values import Value


class Forecast(Value, kw_only=True):
    """The plan in numbers. `worst_case_usd` is None where a price or a bound on output tokens is missing."""

    samples: int
    answered: int  # by the store
    to_ask: int
    once_usd: Decimal | None  # if the first model answers every request at once
    worst_case_usd: Decimal | None  # if every attempt that the route allows is made and billed
    judges_usd: Decimal | None = Decimal(0)  # how much of that the suite's graders may spend
    why_unknown: str | None = None
