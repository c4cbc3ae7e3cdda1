"""How often a route's decisions were taken in the last runs, and what they cost."""

from collections.abc import Mapping
from decimal import Decimal

from msgspec import field

from evalh.core.values import Value


class Tally(Value):
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
    decisions: Mapping[str, Tally] = field(default_factory=dict)  # by kind
    errors: Mapping[str, int] = field(default_factory=dict)  # failed attempts by kind
    unanswered: Mapping[str, int] = field(default_factory=dict)  # samples without an answer by kind
    escalated: "Escalated | None" = None

    def of(self, kind: str) -> Tally:
        """Return the tally of one kind of decision; zeros where it was never taken."""
        return self.decisions.get(kind, Tally())


class Escalated(Value):
    """What escalations were worth: the first answers graded as if they had been kept, beside the final ones."""

    helped: int  # bad → good
    harmed: int  # good → bad
    same: int
    unknown: int  # one of the two could not be graded
