"""What was spent, summed the way the people who pay ask for it."""

from decimal import Decimal
from enum import StrEnum

from evalh.core.values import Value


class SpendBy(StrEnum):
    """What a bill is split by."""

    SUITE = "suite"
    OWNER = "owner"
    MODEL = "model"
    PURPOSE = "purpose"
    VERSION = "version"


class Spend(Value, kw_only=True):
    """One line of the bill, in USD. Sums hold what has a price; `unpriced` says how many attempts have none.

    `retries_usd` is the part of the spend that went into attempts after a call's first, or into first ones that failed.
    `saved_usd` is what answers from the log cost when they were bought; None where one of them has no price.
    """

    group: str
    attempts: int
    unpriced: int
    by_purpose: dict[str, Decimal]  # task, judge, critique, …
    unpriced_by_purpose: dict[str, int]
    unpriced_retries: int
    retries_usd: Decimal
    estimated_usd: Decimal  # the part that was sent and never answered, settled at what was reserved
    from_log: int  # answers that were not bought again
    saved_usd: Decimal | None

    @property
    def priced_usd(self) -> Decimal:
        """The sum of what has a price."""
        return sum(self.by_purpose.values(), Decimal(0))

    @property
    def total_usd(self) -> Decimal | None:
        """The whole; None where an attempt has no price, since a partial sum reads as cheap."""
        return None if self.unpriced else self.priced_usd
