"""What a sequential design would do, found by playing it many times: seeded, so that the answer is always the same.

Every case is won, lost or tied outright: scores and repeated trials vary less, so what stands here errs on the careful
side for them. `discordance` grows with the difference where a difference would not fit it.
"""

from functools import lru_cache
from math import ceil, floor
from typing import TYPE_CHECKING

from msgspec.structs import replace

from evalh.core.policy import About
from evalh.core.values import Value
from evalh.stats.eprocess import WEIGHTS, Bets, no_worse_bets, worse_bets
from evalh.stats.planner import cases_for_difference, cases_for_noninferiority
from evalh.stats.sequential import SequentialDesign

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

POWER = 0.8
_SEED = 20
_REPEATS = 2000
_MOST_LOOKS = 200  # a larger dataset is played with larger batches
_STEP = 0.001  # a detectable drop is a multiple of this
_PRACTICAL = 50  # times the cases of a fixed plan, beyond which nobody asks on


class Counts(Value):
    """Cases won and lost so far, at every look (columns) of every repetition (rows)."""

    seen: "NDArray[np.int64]"  # one number a look
    wins: "NDArray[np.int64]"
    losses: "NDArray[np.int64]"

    def log_e(self, bets: Bets) -> "NDArray[np.float64]":
        """Return log E at every look; `eprocess.log_e_of_counts` for many at once."""
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
    """Return at how many cases a design looks."""
    return [*range(batch, cases, batch), cases]


def draw(cases: int, batch: int, chances: tuple[float, float], repeats: int, seed: int) -> Counts:
    """Play `repeats` times: every case is won or lost with these chances."""
    import numpy as np

    rng = np.random.default_rng(seed)
    seen = np.array(looks(cases, batch))
    sizes = np.diff(seen, prepend=0)
    wins = rng.binomial(sizes, chances[0], size=(repeats, len(sizes)))
    losses = rng.binomial(sizes - wins, min(1.0, chances[1] / (1 - chances[0])) if chances[0] < 1 else 0.0)
    return Counts(seen, wins.cumsum(axis=1), losses.cumsum(axis=1))


def chances_of(difference: float, discordance: float) -> tuple[float, float]:
    """Return how likely a case is won and lost, for a true difference (head - base) and a share that differs."""
    if not -1.0 <= difference <= 1.0:
        raise ValueError(f"a difference lies between -1 and 1, not at {difference}")
    differ = min(1.0, max(discordance, abs(difference)))
    return (differ + difference) / 2, (differ - difference) / 2


def first_shown(design: SequentialDesign, counts: Counts) -> tuple["NDArray[np.int64]", "NDArray[np.int64]"]:
    """Return at which look no worse, and worse, are shown first; the number of looks where they never are."""
    no_worse = counts.log_e(no_worse_bets(design.margin, design.discordance)) >= design.log_threshold
    worse = counts.log_e(worse_bets(design.margin, design.discordance)) >= design.log_refusal
    return _first(no_worse), _first(worse)


def _first(shown: "NDArray[np.bool_]") -> "NDArray[np.int64]":
    import numpy as np

    first: NDArray[np.int64] = np.where(shown.any(axis=1), shown.argmax(axis=1), shown.shape[1])
    return first


@lru_cache(maxsize=256)
def detectable_drop(design: SequentialDesign, discordance: float | None = None, power: float = POWER) -> float | None:
    """Return the smallest drop that the design refuses with this chance, in steps of 0.001; None: not even from 1 to 0.

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
    if design.waits:  # nothing is accepted before the end: being shown no worse does not stop it
        no_worse = np.full_like(no_worse, len(counts.seen))
    return float(((worse <= no_worse) & (worse < len(counts.seen))).mean())


@lru_cache(maxsize=256)
def cases_needed(design: SequentialDesign, discordance: float | None = None, power: float = POWER) -> int | None:
    """Return how many cases show no worse with this chance, when head truly is no different.

    A multiple of the batch; None: no practical number (50 times a fixed plan's) does.
    """
    truth = design.discordance if discordance is None else discordance
    fixed = cases_for_noninferiority(truth, design.margin, power=power)
    return _cases_until(design, fixed, chances_of(0.0, truth), power, no_worse=True)


@lru_cache(maxsize=256)
def cases_to_refuse(design: SequentialDesign, discordance: float, drop: float, power: float = POWER) -> int | None:
    """Return how many cases refuse a true drop with this chance; as `cases_needed`."""
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
