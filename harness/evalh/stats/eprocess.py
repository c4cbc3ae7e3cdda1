"""E-values by betting against a hypothesis, valid at any stopping point.

For differences D = head - base in [-1, 1], E = sum_j w_j prod_i (1 + l_j (D_i + m)). If the mean of D is -m or less, E
is a nonnegative supermartingale that starts at 1. So the probability that it ever reaches 1/alpha is at most alpha
(Ville), at any number of looks (Waudby-Smith and Ramdas, JRSSB 2024). The bets l_j are Kelly's for the discordance that
the design expects, halved, whole and doubled; a wrong expectation costs power, never validity.

E-values are stored as natural logarithms; -inf is an e-value of 0, and `inf` decides the hypothesis.
"""

from collections.abc import Iterable, Sequence
from math import exp, fsum, inf, log, log1p

from evalh.core.values import Value

WEIGHTS = (0.25, 0.5, 0.25)
_KELLY = (0.5, 1.0, 2.0)
_LARGEST_LOSS = 0.9  # the largest share of its wealth that a bet stakes on one case
DISCORDANCE_FLOOR = 0.02
_GAP_FLOOR = 0.02  # the smallest expected difference: for a margin of 0, and for bets on a dataset
ROUNDING = 1e-12


class Bets(Value):
    """Bets against "the mean of sign * D is at most -shift", with the stakes WEIGHTS."""

    fractions: tuple[float, ...]
    shift: float
    sign: int

    def gain(self, difference: float, fraction: float) -> float:
        """Return the logarithm of the factor of one case."""
        return log1p(fraction * (self.sign * difference + self.shift))

    @property
    def best(self) -> tuple[float, ...]:
        """Return the logarithms of the factors of the most favourable case, one for each bet."""
        return tuple(log1p(fraction * (1 + self.shift)) for fraction in self.fractions)


def no_worse_bets(margin: float, discordance: float, mean: float | None = None) -> Bets:
    """Bet against "head is worse by `margin` or more", expecting no difference at all.

    `mean`: bet with the same stakes against "the mean of D is at most `mean`".
    """
    shift = margin if mean is None else -mean
    return Bets(_fractions(margin or _GAP_FLOOR, 0.0, shift, discordance), shift, 1)


def worse_bets(margin: float, discordance: float, mean: float = 0.0) -> Bets:
    """Bet against "the mean of D is at least `mean`", by default "head is no worse", expecting a drop of `margin`."""
    gap = margin or _GAP_FLOOR
    return Bets(_fractions(gap, gap, mean, discordance), mean, -1)


def _fractions(gap: float, expected: float, shift: float, discordance: float) -> tuple[float, ...]:
    if not 0.0 < gap < 1.0:
        raise ValueError(f"a margin lies between 0 and 1, not at {gap}")
    spread = max(discordance, DISCORDANCE_FLOOR) - expected**2 + gap**2
    return tuple(min(kappa * gap / spread, _LARGEST_LOSS / (1 - shift)) for kappa in _KELLY)


NOTHING_STAKED = (0.0, 0.0, 0.0)


def play(bets: Bets, logs: Sequence[float], differences: Iterable[float]) -> tuple[float, ...]:
    """Update the logarithms of the three bets by more cases; they start at `NOTHING_STAKED`."""
    values = list(differences)
    return tuple(
        start + fsum(bets.gain(value, fraction) for value in values)
        for start, fraction in zip(logs, bets.fractions, strict=True)
    )


def mixed(logs: Sequence[float]) -> float:
    """Return the logarithm of the sum of bets, weighted by WEIGHTS."""
    top = max(logs)
    if top in (inf, -inf):
        return top
    return top + log(fsum(weight * exp(one - top) for weight, one in zip(WEIGHTS, logs, strict=True)))


def best_to_come(bets: Bets, logs: Sequence[float], rest: int) -> float:
    """Return log E if all of the `rest` remaining cases were the most favourable one."""
    return mixed([one + rest * gain for one, gain in zip(logs, bets.best, strict=True)])


class DatasetBets(Value):
    """Bets about a finite dataset whose cases are drawn in random order, without replacement.

    The hypothesis is "the sum over all `cases` of sign * D is at most -sign * margin * cases": for sign 1 that head is
    worse by the margin over exactly these cases, for sign -1 that it is not.
    """

    cases: int
    margin: float
    discordance: float
    sign: int

    def play(self, logs: Sequence[float], total: float, seen: int, differences: Iterable[float]) -> tuple[float, ...]:
        """Update the three bets by the next cases; `total` is the sum of sign * D over the `seen` cases before."""
        stakes = list(logs)
        for turned in (self.sign * value for value in differences):
            left = self.cases - seen
            if left < 1:
                raise ValueError(f"a dataset of {self.cases} cases has no more")
            mean = (-self.sign * self.margin * self.cases - total) / left  # of the rest, under the hypothesis
            stakes = [
                self._after(stake, mean, turned, fraction)
                for stake, fraction in zip(stakes, self.fractions(mean, left), strict=True)
            ]
            total += turned
            seen += 1
        return tuple(stakes)

    def fractions(self, mean: float, left: int) -> tuple[float, ...]:
        """Return the stakes on the next case: `mean` is that of the `left` cases, under the hypothesis."""
        most = _LARGEST_LOSS / (1 + mean) if mean > -1 else inf
        gap = max(self.margin, _GAP_FLOOR) * self.cases / left
        kelly = gap / (max(self.discordance, DISCORDANCE_FLOOR) + gap**2)
        return tuple(min(kappa * kelly, most) for kappa in _KELLY)

    @staticmethod
    def _after(stake: float, mean: float, turned: float, fraction: float) -> float:
        if stake in (inf, -inf):
            return stake  # settled before
        if mean < -1 - ROUNDING:
            return inf  # the rest cannot be as bad as the hypothesis requires
        if mean >= 1:
            return -inf  # the hypothesis is true whatever the rest is
        return stake + log1p(fraction * (turned - mean))


def p_value(log_e: float) -> float:
    """Return the p-value of the largest e-value so far: min(1, 1/E)."""
    return 1.0 if log_e <= 0.0 else exp(-log_e)
