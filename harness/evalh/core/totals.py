"""Sums over the log: what was spent, and how often a route's decisions were taken."""

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum

from msgspec import field

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


class DecisionTally(Value):
    """One kind of decision, counted."""

    taken: int = 0
    cost_usd: Decimal | None = Decimal(0)  # of the attempts that it led to; None: unknown
    answered: int = 0  # calls among them that had an answer in the end
    replayed: int = 0  # calls among them whose every request the log answered
    replayed_usd: Decimal | None = Decimal(0)  # what the answers of those had cost; None: unknown


class Tallies(Value, kw_only=True):
    """What the log holds of the last runs of one model or route."""

    runs: int = 0
    calls: int = 0  # that were sent; those answered by the log are apart
    from_log: int = 0
    stopped: int = 0  # runs that ended early
    decisions: Mapping[str, DecisionTally] = field(default_factory=dict)  # by kind
    errors: Mapping[str, int] = field(default_factory=dict)  # failed attempts by kind
    unanswered: Mapping[str, int] = field(default_factory=dict)  # samples without an answer by kind
    escalated: "Escalated | None" = None

    def of(self, kind: str) -> DecisionTally:
        """Return the tally of one kind of decision; zeros where it was never taken."""
        return self.decisions.get(kind, DecisionTally())


class Escalated(Value):
    """What escalations were worth: the first answers graded as if they had been kept, beside the final ones."""

    helped: int  # bad → good
    harmed: int  # good → bad
    same: int
    unknown: int  # one of the two could not be graded
