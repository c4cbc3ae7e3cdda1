"""The interval of a mean difference by the gate's own bets, valid at any stopping point.

A gate that asks "is head worse?" bets against a mean of 0 or more, and one that asks "is it no worse by the margin?"
against a mean of -margin or less. The same stakes bet against every other mean too. What they refute at a look is left
out of the interval, so that verdict and interval cannot contradict each other.
"""

from collections.abc import Callable, Sequence
from math import fsum
from typing import TYPE_CHECKING

from evalh.core.suite import About
from evalh.stats.eprocess import ROUNDING, WEIGHTS, DatasetBets, no_worse_bets, worse_bets
from evalh.stats.intervals import Interval
from evalh.stats.sequential import PairedDifference, SequentialDesign

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Values = NDArray[np.float64]

_HALVINGS = 32


def stopped_interval(design: SequentialDesign, differences: Sequence[PairedDifference]) -> Interval:
    """Bound the mean of differences, given in the order in which they were looked at.

    Each limit for itself lies beyond the true mean with a probability of at most `design.alpha`, wherever one stops:
    `low` is the highest mean that the bets on "no worse" refute at a look, `high` the lowest that those on "worse" do.
    So `high` < 0 exactly where E of "worse" ever reached 1 / alpha, and `low` > -margin exactly where E of "no worse"
    did. About a dataset, "worse" means by the margin: there `high` < -margin is the bound. Where later looks speak
    against earlier ones, the mean so far may lie outside. Without cases nothing is known: (-1, 1).
    """
    if not differences:
        return Interval(-1.0, 1.0)
    import numpy as np

    low = np.array([one.low for one in differences])
    high = np.array([one.high for one in differences])
    if design.target is About.DATASET and len(differences) == design.cases:
        return Interval(fsum(low) / len(low), fsum(high) / len(high))  # nothing is left to bet on
    drop = design.margin if design.target is About.DATASET else 0.0
    highest = _highest_refuted(lambda mean: _refutes(design, low, mean, 1), -design.margin)
    lowest = -_highest_refuted(lambda mean: _refutes(design, -high, mean, -1), drop)
    return Interval(min(highest, lowest), lowest)  # where both are beyond each other, "worse" goes first


def _highest_refuted(refuted: Callable[[float], bool], asked: float) -> float:
    """Find the highest mean that is refuted, by halving; `asked` comes first, so that its side is the gate's own."""
    low, high, middle = -1.0, 1.0, asked
    for _ in range(_HALVINGS):
        if refuted(middle):
            low = middle
        else:
            high = middle
        middle = (low + high) / 2
    return middle if low > -1.0 else -1.0


def _refutes(design: SequentialDesign, values: "Values", mean: float, sign: int) -> bool:
    """Whether bets that the mean of `values`, sign * D, is higher than `mean` ever reach the threshold."""
    import numpy as np

    if design.target is About.DATASET:
        steps = _dataset_steps(design, values, mean)
    else:
        staked = (no_worse_bets if sign > 0 else worse_bets)(design.margin, design.discordance, sign * mean)
        steps = [np.log1p(fraction * (values - mean)) for fraction in staked.fractions]
    looks = _looks(design.batch, len(values))
    logs = [np.log(weight) + step.cumsum()[looks] for weight, step in zip(WEIGHTS, steps, strict=True)]
    return bool(np.logaddexp.reduce(logs).max() >= design.log_threshold)


def _looks(batch: int, seen: int) -> list[int]:
    return [*range(batch - 1, seen - 1, batch), seen - 1]


def _dataset_steps(design: SequentialDesign, values: "Values", mean: float) -> list["Values"]:
    """Return what every case adds to the logarithms of the bets: `DatasetBets.play` for all cases at once."""
    import numpy as np

    left = design.cases - np.arange(len(values))
    rest = (mean * design.cases - (values.cumsum() - values)) / left  # the mean of the rest, under the hypothesis
    beyond = np.flatnonzero((rest < -1 - ROUNDING) | (rest >= 1))
    known = len(values) if not len(beyond) else int(beyond[0])
    bets = DatasetBets(design.cases, design.margin, design.discordance, 1)
    steps = []
    for fractions in np.transpose(
        [bets.fractions(one, some) for one, some in zip(rest[:known].tolist(), left.tolist(), strict=False)]
    ):
        step = np.zeros(len(values))
        step[:known] = np.log1p(fractions * (values[:known] - rest[:known]))
        if known < len(values):
            step[known] = np.inf if rest[known] < 0 else -np.inf
        steps.append(step)
    return steps
