"""Sample sizes and detectable differences: for a fixed number of cases, and for a sequential design.

`discordance` is the share of cases on which the versions disagree. For fixed numbers, normal approximations: Connor
(1987) for paired pass rates, the usual ones for means. Powers and levels as shares; levels one-sided unless the name
says otherwise.

A sequential design is simulated with a seed, so that the answer is always the same. Every case is won, lost or tied
completely: scores and repeated trials vary less, so the numbers are conservative for them. `discordance` grows with the
difference if that is larger.
"""

from functools import lru_cache
from math import ceil, erfc, floor, sqrt
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from evalh.core.suite import About
from evalh.core.values import Value
from evalh.stats.eprocess import WEIGHTS, Bets, no_worse_bets, worse_bets
from evalh.stats.quantiles import bisect, z_critical
from evalh.stats.sequential import SequentialDesign

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


ALPHA = 0.05
POWER = 0.8


def cases_for_difference(
    discordance: float, difference: float, *, alpha: float = ALPHA, power: float = POWER, two_sided: bool = False
) -> float:
    """Return the sample size for a difference of pass rates, not rounded.

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
    """Return the sample size to show non-inferiority by `margin`, if head truly differs by `difference`.

    Raises ValueError if the true difference is not above -margin, or does not fit the discordance.
    """
    if difference <= -margin or not abs(difference) <= discordance <= 1.0:
        raise ValueError(f"no number of cases shows a difference of {difference} to lie above {-margin}")
    reach = _upper(alpha) * sqrt(discordance)
    return (reach + _upper(1 - power) * sqrt(discordance - difference**2)) ** 2 / (margin + difference) ** 2


def power_for_difference(cases: int, discordance: float, difference: float, *, alpha: float = ALPHA) -> float:
    """Return the power of `cases` cases for a drop (or rise) of this size, one-sided."""
    if not 0.0 <= abs(difference) <= discordance <= 1.0:
        raise ValueError(f"a difference of {difference} does not fit a discordance of {discordance}")
    distance = abs(difference) * sqrt(cases) - _upper(alpha) * sqrt(discordance)
    spread = sqrt(discordance - difference**2)
    if spread == 0.0:
        return float(distance > 0)
    return erfc(-distance / spread / sqrt(2)) / 2


def smallest_difference(cases: int, discordance: float, *, two_sided: bool = False) -> float | None:
    """Return the smallest drop (or rise) of the pass rate that `cases` cases show with this power.

    If it exceeds the discordance, the discordance grows with it. None if not even a drop from 1 to 0 is shown.
    """

    def needed(difference: float) -> float:
        return cases_for_difference(max(discordance, difference), difference, two_sided=two_sided)

    return None if needed(1.0) > cases else bisect(lambda drop: needed(drop) > cases, 0.0, 1.0)[1]


class ScoreSpread(NamedTuple):
    """The sources of noise of a difference of scores."""

    between: float  # variance, over cases, of the true difference of a case
    within_base: float  # variance between base's trials of one case
    within_head: float

    def of_mean(self, trials: int) -> float:
        """Return the variance of one case's difference of means over `trials` trials each."""
        return self.between + (self.within_base + self.within_head) / trials


def smallest_score_difference(cases: int, trials: int, spread: ScoreSpread, *, alpha: float = ALPHA) -> float:
    """Return the smallest difference of mean scores that is shown with this power, two-sided (Miller 2024)."""
    return (_upper(alpha / 2) + _upper(1 - POWER)) * sqrt(spread.of_mean(trials) / cases)


def cases_for_score_difference(difference: float, trials: int, spread: ScoreSpread, *, alpha: float = ALPHA) -> float:
    """Return how many cases show a difference of mean scores with this power, two-sided (Miller 2024)."""
    return (_upper(alpha / 2) + _upper(1 - POWER)) ** 2 * spread.of_mean(trials) / difference**2


def margin_is_thin(cases: int, discordance: float, margin: float) -> bool:
    """Return whether a margin is below twice the expected standard error: too small for so few cases."""
    return margin < 2 * sqrt(discordance / cases)


def _upper(tail: float) -> float:
    """Return z with P(Z > z) = tail; 0 or negative for a power of at most 0.5."""
    if not 0.0 < tail < 1.0:
        raise ValueError(f"levels and powers lie between 0 and 1, not at {tail}")
    if tail == 0.5:  # noqa: PLR2004 (the middle)
        return 0.0
    return z_critical(1 - 2 * tail) if tail < 0.5 else -z_critical(2 * tail - 1)  # noqa: PLR2004


_SEED = 20
_REPEATS = 2000
_MOST_LOOKS = 200  # a larger dataset is simulated with larger batches
_STEP = 0.001  # a detectable drop is a multiple of this
_PRACTICAL = 50  # times the cases of a fixed plan: more are not practical


class Counts(Value):
    """Cases won and lost so far, at every look (columns) of every repetition (rows)."""

    seen: "NDArray[np.int64]"  # one number for each look
    wins: "NDArray[np.int64]"
    losses: "NDArray[np.int64]"

    def log_e(self, bets: Bets) -> "NDArray[np.float64]":
        """Return log E at every look."""
        import numpy as np

        ties = self.seen - self.wins - self.losses
        logs = [
            np.log(weight)
            + self.wins * bets.gain(1.0, fraction)
            + ties * bets.gain(0.0, fraction)
            + self.losses * bets.gain(-1.0, fraction)
            for weight, fraction in zip(WEIGHTS, bets.fractions, strict=True)
        ]
        together: NDArray[np.float64] = np.logaddexp(np.logaddexp(logs[0], logs[1]), logs[2])
        return together


def looks(cases: int, batch: int) -> list[int]:
    """Return the numbers of cases at which a design looks."""
    return [*range(batch, cases, batch), cases]


def draw(cases: int, batch: int, chances: tuple[float, float], repeats: int, seed: int) -> Counts:
    """Simulate `repeats` times: every case is won or lost with these probabilities."""
    import numpy as np

    rng = np.random.default_rng(seed)
    seen = np.array(looks(cases, batch))
    sizes = np.diff(seen, prepend=0)
    wins = rng.binomial(sizes, chances[0], size=(repeats, len(sizes)))
    losses = rng.binomial(sizes - wins, min(1.0, chances[1] / (1 - chances[0])) if chances[0] < 1 else 0.0)
    return Counts(seen, wins.cumsum(axis=1), losses.cumsum(axis=1))


def chances_of(difference: float, discordance: float) -> tuple[float, float]:
    """Return the probabilities to win and lose a case, for a true difference (head - base) and a share that differs."""
    if not -1.0 <= difference <= 1.0:
        raise ValueError(f"a difference lies between -1 and 1, not at {difference}")
    differ = min(1.0, max(discordance, abs(difference)))
    return (differ + difference) / 2, (differ - difference) / 2


def first_shown(design: SequentialDesign, counts: Counts) -> tuple["NDArray[np.int64]", "NDArray[np.int64]"]:
    """Return the first looks that show no worse, and worse; the number of looks if none does."""
    no_worse = counts.log_e(no_worse_bets(design.margin, design.discordance)) >= design.log_threshold
    worse = counts.log_e(worse_bets(design.margin, design.discordance)) >= design.log_refusal
    return _first(no_worse), _first(worse)


def _first(shown: "NDArray[np.bool_]") -> "NDArray[np.int64]":
    import numpy as np

    first: NDArray[np.int64] = np.where(shown.any(axis=1), shown.argmax(axis=1), shown.shape[1])
    return first


@lru_cache(maxsize=256)
def detectable_drop(design: SequentialDesign, discordance: float | None = None, power: float = POWER) -> float | None:
    """Return the smallest drop that the design refuses with this power, in steps of 0.001; None: not even from 1 to 0.

    `discordance`: the share of cases that truly differ; None: as the design expects, which sets its bets. About a
    dataset the drop is that of the population it was drawn from.
    """
    truth = design.discordance if discordance is None else discordance
    if _refused(design, 1.0, truth) < power:
        return None
    low, high = 0, round(1 / _STEP)
    while high - low > 1:
        middle = (low + high) // 2
        if _refused(design, middle * _STEP, truth) >= power:
            high = middle
        else:
            low = middle
    return round(high * _STEP, 3)


def _refused(design: SequentialDesign, drop: float, discordance: float) -> float:
    import numpy as np

    chances = chances_of(-drop, discordance)
    if design.target is About.DATASET:
        counts = draw(design.cases, design.cases, chances, 2 * _REPEATS, _SEED)
        bound = floor(-design.margin * design.cases + 1e-9)
        return float((counts.wins[:, -1] - counts.losses[:, -1] <= bound).mean())
    counts = draw(design.cases, max(design.batch, ceil(design.cases / _MOST_LOOKS)), chances, _REPEATS, _SEED)
    no_worse, worse = first_shown(design, counts)
    if design.waits:  # nothing is accepted before the end: "no worse" does not stop it
        no_worse = np.full_like(no_worse, len(counts.seen))
    return float(((worse <= no_worse) & (worse < len(counts.seen))).mean())


@lru_cache(maxsize=256)
def cases_needed(design: SequentialDesign, discordance: float | None = None, power: float = POWER) -> int | None:
    """Return how many cases show no worse with this power, if head truly does not differ.

    A multiple of the batch; None if no practical number suffices (50 times that of a fixed plan).
    """
    truth = design.discordance if discordance is None else discordance
    fixed = cases_for_noninferiority(truth, design.margin, power=power)
    return _cases_until(design, fixed, chances_of(0.0, truth), power, no_worse=True)


@lru_cache(maxsize=256)
def cases_to_refuse(design: SequentialDesign, discordance: float, drop: float, power: float = POWER) -> int | None:
    """Return how many cases refuse a true drop with this power; None as in `cases_needed`."""
    fixed = cases_for_difference(max(discordance, drop), drop, power=power)
    return _cases_until(design, fixed, chances_of(-drop, discordance), power, no_worse=False)


def _cases_until(
    design: SequentialDesign, fixed: float, chances: tuple[float, float], power: float, *, no_worse: bool
) -> int | None:
    most = 2 * ceil(fixed)
    while most <= _PRACTICAL * fixed:
        batch = design.batch * ceil(most / design.batch / _MOST_LOOKS)
        longer = replace(design, cases=ceil(most / batch) * batch, batch=batch)
        counts = draw(longer.cases, longer.batch, chances, _REPEATS, _SEED)
        first, second = first_shown(longer, counts)
        shown = first[first < second] if no_worse else second[(second <= first) & (second < len(counts.seen))]
        wanted = ceil(power * _REPEATS)
        if len(shown) >= wanted:
            shown.sort()
            return int(counts.seen[shown[wanted - 1]])
        most *= 2
    return None
