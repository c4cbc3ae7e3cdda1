"""Sums over the log: spending, and the number of a route's decisions."""

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum

from msgspec import field

from evalh.core.values import Value


class SpendBy(StrEnum):
    """What spending is split by."""

    SUITE = "suite"
    OWNER = "owner"
    MODEL = "model"
    PURPOSE = "purpose"
    VERSION = "version"


class SpendPart(Value):
    """A part of a line of the bill: what its attempts with a price cost, and the number of the others."""

    priced_usd: Decimal = Decimal(0)
    unpriced: int = 0

    @property
    def usd(self) -> Decimal | None:
        """The whole; None if an attempt has no price, since a partial sum reads as cheap."""
        return None if self.unpriced else self.priced_usd


class Spend(Value, kw_only=True):
    """One line of the bill, in USD.

    `saved_usd` is the first cost of answers from the log; None if one of them has no price.
    """

    group: str
    attempts: int
    by_purpose: dict[str, SpendPart]  # task, judge, critique, …
    by_reason: dict[str, SpendPart]  # why attempts were made: first, retry, repair, fallback, escalation
    estimated_usd: Decimal  # the part that was sent but not answered, at its reserved amount
    from_log: int  # answers from the log
    saved_usd: Decimal | None

    @property
    def priced_usd(self) -> Decimal:
        """The sum of all known costs."""
        return sum((part.priced_usd for part in self.by_purpose.values()), Decimal(0))

    @property
    def unpriced(self) -> int:
        """The number of attempts without a price."""
        return sum(part.unpriced for part in self.by_purpose.values())

    @property
    def total_usd(self) -> Decimal | None:
        """The whole; None if an attempt has no price, since a partial sum reads as cheap."""
        return None if self.unpriced else self.priced_usd


class DecisionTally(Value):
    """One kind of decision, counted."""

    taken: int = 0
    cost_usd: Decimal | None = Decimal(0)  # of the attempts that followed from it; None if unknown
    answered: int = 0  # calls among them with an answer in the end
    replayed: int = 0  # calls among them that the log answered completely
    replayed_usd: Decimal | None = Decimal(0)  # the first cost of those answers; None if unknown


class Tallies(Value, kw_only=True):
    """What the log contains of the last runs of one model or route."""

    runs: int = 0
    calls: int = 0  # sent; those that the log answered are separate
    from_log: int = 0
    stopped: int = 0  # runs that ended early
    decisions: Mapping[str, DecisionTally] = field(default_factory=dict)  # by kind
    errors: Mapping[str, int] = field(default_factory=dict)  # failed attempts by kind
    unanswered: Mapping[str, int] = field(default_factory=dict)  # samples without an answer by kind
    escalated: "Escalated | None" = None

    def of(self, kind: str) -> DecisionTally:
        """Return the tally of one kind of decision; zeros if there was none."""
        return self.decisions.get(kind, DecisionTally())


class Escalated(Value):
    """The value of escalations: the first answers, graded as if they had been kept, and the final ones."""

    helped: int  # bad → good
    harmed: int  # good → bad
    same: int
    unknown: int  # one of the two could not be graded
