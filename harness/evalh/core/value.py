"""What outputs cost once somebody acts on them: `value:` in a suite."""

import dataclasses

from evalh.core.values import Value


class OutcomePrices(Value):
    """What follows an output, in USD."""

    bad_usd: float = 0.0  # accepted although bad
    review_usd: float = 0.0
    abstain_usd: float = 0.0  # not accepted at all
    good_usd: float = 0.0  # what an accepted good output is worth: only the net loss counts it


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OutputValue:
    """A suite's prices, and whose `fail` sends an output to a person."""

    prices: OutcomePrices
    review: frozenset[str] = frozenset()  # names of graders
    where: str = dataclasses.field(default="", compare=False)  # file:line
