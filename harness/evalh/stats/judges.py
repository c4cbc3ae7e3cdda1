"""Judges of pairs and panels: position bias, and the effective number of independent judges."""

from collections.abc import Sequence
from math import fsum

from evalh.core.values import Value
from evalh.stats.paired import mcnemar_exact

STEADY = 0.8  # below this consistency a judge gets a warning


class SwapCounts(Value):
    """Pairs judged in both orders. If the order decided the answer, the versions tie."""

    head: int  # preferred in both orders
    base: int
    first: int  # whichever stood first was preferred
    second: int
    ties: int = 0  # the judge saw no difference, in one order at least

    @property
    def pairs(self) -> int:
        """Return all pairs."""
        return self.head + self.base + self.first + self.second + self.ties


class SwapAnalysis(Value):
    """The result of both orders."""

    win_rate: float | None  # of head, ties count half; None: no pairs
    preference_p: (
        float | None
    )  # no version is preferred, over pairs where the order did not matter; None: no such pairs
    position_p: float | None  # neither place is favoured, over pairs where it did; None: no such pairs
    consistency: float | None  # share of the pairs with a preference where the order did not matter

    @property
    def unsteady(self) -> bool:
        """Whether the order of the outputs decides too often."""
        return self.consistency is not None and self.consistency < STEADY


def swap_analysis(counts: SwapCounts) -> SwapAnalysis:
    """Evaluate preferences from both orders; p-values are exact and two-sided."""
    steady, torn = counts.head + counts.base, counts.first + counts.second
    pairs = counts.pairs
    return SwapAnalysis(
        win_rate=(counts.head + (torn + counts.ties) / 2) / pairs if pairs else None,
        preference_p=mcnemar_exact(counts.head, counts.base) if steady else None,
        position_p=mcnemar_exact(counts.first, counts.second) if torn else None,
        consistency=steady / (steady + torn) if steady + torn else None,
    )


def effective_jurors(judges: int, correlations: Sequence[float | None]) -> float | None:
    """Return the equivalent number of judges with independent errors; None if no pair varies.

    J / (1 + (J - 1) rho), rho the mean correlation of pairs, between 1 and J. Judges of one family also share
    errors.
    """
    known = [rho for rho in correlations if rho is not None]
    if not known:
        return None
    return judges / (1 + (judges - 1) * max(0.0, fsum(known) / len(known)))
