"""What outputs cost once somebody acts on them: `value:` in a suite."""

from dataclasses import field

from evalh.core.values import dataclass


@dataclass(frozen=True, slots=True)
class OutcomePrices:
    """What follows an output, in USD."""

    bad_usd: float = 0.0  # accepted although bad
    review_usd: float = 0.0
    abstain_usd: float = 0.0  # not accepted at all
    good_usd: float = 0.0  # what an accepted good output is worth: only the net loss counts it


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A suite's prices, and whose `fail` sends an output to a person."""

    prices: OutcomePrices
    review: frozenset[str] = frozenset()  # names of graders
    where: str = field(default="", compare=False)  # file:line
