"""How many cases a question needs, and how small a difference so many cases can show. For a fixed number of cases.

`discordance` is the share of cases on which the versions disagree. Approximations by the normal distribution:
Connor (1987) for paired pass rates, the usual ones for means. Powers and levels as shares; levels one-sided unless
the name says otherwise.
"""

from math import erfc, sqrt
from typing import NamedTuple

from evalh.stats.critical import z_critical

ALPHA = 0.05
POWER = 0.8


def cases_for_difference(
    discordance: float, difference: float, *, alpha: float = ALPHA, power: float = POWER, two_sided: bool = False
) -> float:
    """Return how many cases show a difference of pass rates with this power; not rounded.

    (z_a sqrt(psi) + z_b sqrt(psi - d^2))^2 / d^2, psi being the discordance. Raises ValueError unless
    0 < |difference| <= discordance <= 1.
    """
    if not 0.0 < abs(difference) <= discordance <= 1.0:
        raise ValueError(f"a difference of {difference} does not fit a discordance of {discordance}")
    reach = _upper(alpha / 2 if two_sided else alpha) * sqrt(discordance)
    return (reach + _upper(1 - power) * sqrt(discordance - difference**2)) ** 2 / difference**2


def cases_for_noninferiority(
    discordance: float, margin: float, *, difference: float = 0.0, alpha: float = ALPHA, power: float = POWER
) -> float:
    """Return how many cases show that head is not worse by `margin`, when it truly differs by `difference`.

    Raises ValueError where the true difference is not above -margin, or does not fit the discordance.
    """
    if difference <= -margin or not abs(difference) <= discordance <= 1.0:
        raise ValueError(f"no number of cases shows a difference of {difference} to lie above {-margin}")
    reach = _upper(alpha) * sqrt(discordance)
    return (reach + _upper(1 - power) * sqrt(discordance - difference**2)) ** 2 / (margin + difference) ** 2


def power_for_difference(cases: int, discordance: float, difference: float, *, alpha: float = ALPHA) -> float:
    """Return how often so many cases show a drop (or rise) of this size, one-sided."""
    if not 0.0 <= abs(difference) <= discordance <= 1.0:
        raise ValueError(f"a difference of {difference} does not fit a discordance of {discordance}")
    distance = abs(difference) * sqrt(cases) - _upper(alpha) * sqrt(discordance)
    spread = sqrt(discordance - difference**2)
    if spread == 0.0:
        return float(distance > 0)
    return erfc(-distance / spread / sqrt(2)) / 2


def smallest_difference(
    cases: int, discordance: float, *, alpha: float = ALPHA, power: float = POWER, two_sided: bool = False
) -> float | None:
    """Return the smallest drop (or rise) of the pass rate that so many cases show with this power.

    Where it exceeds the discordance, disagreement is taken to grow with it. None: not even a drop from 1 to 0.
    """

    def needed(difference: float) -> float:
        return cases_for_difference(
            max(discordance, difference), difference, alpha=alpha, power=power, two_sided=two_sided
        )

    if needed(1.0) > cases:
        return None
    low, high = 0.0, 1.0
    while low < (middle := (low + high) / 2) < high:
        if needed(middle) > cases:
            low = middle
        else:
            high = middle
    return high


class ScoreSpread(NamedTuple):
    """Where the noise of a difference of scores comes from."""

    between: float  # variance, over cases, of the true difference of a case
    within_base: float  # variance between base's trials of one case
    within_head: float

    def of_mean(self, trials: int) -> float:
        """Return the variance of one case's difference of means over `trials` trials each."""
        return self.between + (self.within_base + self.within_head) / trials


def smallest_score_difference(
    cases: int, trials: int, spread: ScoreSpread, *, alpha: float = ALPHA, power: float = POWER
) -> float:
    """Return the smallest difference of mean scores that is shown with this power, two-sided (Miller 2024)."""
    return (_upper(alpha / 2) + _upper(1 - power)) * sqrt(spread.of_mean(trials) / cases)


def cases_for_score_difference(
    difference: float, trials: int, spread: ScoreSpread, *, alpha: float = ALPHA, power: float = POWER
) -> float:
    """Return how many cases show a difference of mean scores with this power, two-sided (Miller 2024)."""
    return (_upper(alpha / 2) + _upper(1 - power)) ** 2 * spread.of_mean(trials) / difference**2


def margin_is_thin(cases: int, discordance: float, margin: float) -> bool:
    """Say whether a margin is below twice the standard error to expect: too fine a question for so few cases."""
    return margin < 2 * sqrt(discordance / cases)


def _upper(tail: float) -> float:
    """Return z with P(Z > z) = tail; power 0.5 and below need no or a negative reach."""
    if not 0.0 < tail < 1.0:
        raise ValueError(f"levels and powers lie between 0 and 1, not at {tail}")
    if tail == 0.5:  # noqa: PLR2004 (the middle)
        return 0.0
    return z_critical(1 - 2 * tail) if tail < 0.5 else -z_critical(2 * tail - 1)  # noqa: PLR2004
