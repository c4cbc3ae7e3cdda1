"""Judges against themselves and each other: whether the order of outputs decides, how many judges is a panel."""

from collections.abc import Sequence
from math import fsum, sqrt

from evalh.core.values import Value
from evalh.stats.paired import mcnemar_exact

STEADY = 0.8  # below this consistency a judge deserves a warning
_TWO = 2


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
    preference_p: float  # no version is preferred, over the pairs where the order did not matter
    position_p: float  # neither place is favoured, over the pairs where it did
    consistency: float | None  # share of the pairs with a preference where the order did not matter

    @property
    def unsteady(self) -> bool:
        """Say whether the order of the outputs decides too often."""
        return self.consistency is not None and self.consistency < STEADY


def swap_analysis(counts: SwapCounts) -> SwapAnalysis:
    """Weigh preferences that were asked for in both orders; p-values are exact and two-sided."""
    steady, torn = counts.head + counts.base, counts.first + counts.second
    pairs = counts.pairs
    return SwapAnalysis(
        win_rate=(counts.head + (torn + counts.ties) / 2) / pairs if pairs else None,
        preference_p=mcnemar_exact(counts.head, counts.base),
        position_p=mcnemar_exact(counts.first, counts.second),
        consistency=steady / (steady + torn) if steady + torn else None,
    )


class Panel(Value):
    """Several judges as one. `votes`: the mean of each case, None where no judge voted."""

    votes: tuple[float | None, ...]
    judges: int
    correlation: float | None  # the mean over pairs of judges; None: no pair of judges varies
    effective: float | None  # how many judges that err independently would be worth as much


def panel(scores: Sequence[Sequence[float | None]]) -> Panel:
    """Average judges (rows are cases, one score per judge, None where it gave none) and say how alike they are.

    effective = J / (1 + (J - 1) rho), between 1 and J. Judges of one family agree in their errors, too.
    """
    judges = max((len(row) for row in scores), default=0)
    if any(len(row) != judges for row in scores):
        raise ValueError("every case has one score, or None, for each judge")
    given = [[score for score in row if score is not None] for row in scores]
    votes = tuple(fsum(row) / len(row) if row else None for row in given)
    pairs = [
        correlation
        for left in range(judges)
        for right in range(left + 1, judges)
        if (correlation := _correlation(scores, left, right)) is not None
    ]
    mean = fsum(pairs) / len(pairs) if pairs else None
    return Panel(votes, judges, mean, effective_jurors(judges, pairs))


def effective_jurors(judges: int, correlations: Sequence[float | None]) -> float | None:
    """Return J / (1 + (J - 1) rho), rho the mean correlation of pairs; None where no pair varies."""
    known = [one for one in correlations if one is not None]
    if not known:
        return None
    return judges / (1 + (judges - 1) * max(0.0, fsum(known) / len(known)))


def _correlation(scores: Sequence[Sequence[float | None]], left: int, right: int) -> float | None:
    both = [(x, y) for row in scores if (x := row[left]) is not None and (y := row[right]) is not None]
    if len(both) < _TWO:
        return None
    mean_x, mean_y = fsum(x for x, _ in both) / len(both), fsum(y for _, y in both) / len(both)
    spread = fsum((x - mean_x) ** 2 for x, _ in both) * fsum((y - mean_y) ** 2 for _, y in both)
    if spread <= 0:
        return None
    return fsum((x - mean_x) * (y - mean_y) for x, y in both) / sqrt(spread)
