"""Judges of pairs and panels: position bias, and the effective number of independent judges."""

from collections.abc import Sequence
from math import fsum

from evalh.core.values import Value
from evalh.stats.paired import mcnemar_exact

STEADY = 0.8  # below this consistency a judge deserves a warning


class SwapCounts(Value):
    """Pairs judged in both orders. Where the order decided the answer, it is a tie between the versions."""

    head: int  # preferred in both orders
    base: int
    first: int  # whichever stood first was preferred
    second: int
    ties: int = 0  # the judge itself saw no difference, or in one order only

    @property
    def pairs(self) -> int:
        """Return all pairs."""
        return self.head + self.base + self.first + self.second + self.ties


class SwapAnalysis(Value):
    """What both orders say."""

    win_rate: float | None  # of head, ties counting half; None: no pairs
    preference_p: float | None  # no version is preferred, over the pairs where the order did not matter; None: no such
    position_p: float | None  # neither place is favoured, over the pairs where it did; None: no such
    consistency: float | None  # share of the pairs with a preference where the order did not matter

    @property
    def unsteady(self) -> bool:
        """Whether the order of the outputs decides too often."""
        return self.consistency is not None and self.consistency < STEADY


def swap_analysis(counts: SwapCounts) -> SwapAnalysis:
    """Weigh preferences that were asked for in both orders; p-values are exact and two-sided."""
    steady, torn = counts.head + counts.base, counts.first + counts.second
    pairs = counts.pairs
    return SwapAnalysis(
        win_rate=(counts.head + (torn + counts.ties) / 2) / pairs if pairs else None,
        preference_p=mcnemar_exact(counts.head, counts.base) if steady else None,
        position_p=mcnemar_exact(counts.first, counts.second) if torn else None,
        consistency=steady / (steady + torn) if steady + torn else None,
    )


def effective_jurors(judges: int, correlations: Sequence[float | None]) -> float | None:
    """Return how many judges that err independently would be worth as much; None where no pair varies.

    J / (1 + (J - 1) rho), rho the mean correlation of pairs, between 1 and J. Judges of one family agree in their
    errors, too.
    """
    known = [rho for rho in correlations if rho is not None]
    if not known:
        return None
    return judges / (1 + (judges - 1) * max(0.0, fsum(known) / len(known)))
