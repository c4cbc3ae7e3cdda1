"""The cost of acting on outputs: bad ones accepted, people who review, answers withheld.

Every sequence has one number per case, or per cluster of cases. `accepted`, `good` and `reviewed` are 0 or 1, or shares
over trials; an output that is good and accepted is the share `accepted_good`. Money in USD. What has no formula is
estimated by a seeded bootstrap over cases; the order of the cases changes no digit.
"""

from collections.abc import Iterator, Sequence
from math import fsum
from typing import TYPE_CHECKING

from evalh.core.run import Estimate
from evalh.core.suite import OutcomePrices
from evalh.core.values import Value
from evalh.stats.ratio import cost_per_good

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


RESAMPLES = 2000
_CELLS = 4_000_000  # drawn cases held at once
_MOST_DRAWN = 40_000_000  # drawn cases in all: a large dataset gets fewer resamples, and needs fewer
_FEWEST_RESAMPLES = 200


def resampled_sums(columns: "NDArray[np.float64]", seed: int, resamples: int = RESAMPLES) -> "NDArray[np.float64]":
    """Sum each column (a row of `columns`, one number per case) over resampled cases: one row for each resample."""
    import numpy as np

    return np.concatenate([rows @ columns.T for rows in _weights(columns.shape[1], seed, resamples)])


def _weights(count: int, seed: int, resamples: int) -> "Iterator[NDArray[np.float64]]":
    """Draw the count of each case in each resample."""
    import numpy as np

    rng = np.random.default_rng(seed)
    wanted = min(resamples, max(_FEWEST_RESAMPLES, _MOST_DRAWN // count))
    step = max(1, _CELLS // count)
    for start in range(0, wanted, step):
        rows = min(step, wanted - start)
        drawn = rng.integers(0, count, size=(rows, count)) + np.arange(rows)[:, None] * count
        yield np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count).astype(np.float64)


class Consequences(Value, kw_only=True):
    """One version's outputs, one number per case; per cluster sums over its cases, or means times its `weight`."""

    cost_usd: Sequence[float]  # all spend on the case
    accepted_good: Sequence[float]
    accepted_bad: Sequence[float]
    reviewed: Sequence[float]
    weight: Sequence[float] = ()  # the sum of the shares of a row; empty: 1 everywhere

    def __post_init__(self) -> None:
        lengths = {len(self.cost_usd), len(self.accepted_good), len(self.accepted_bad), len(self.reviewed)}
        if len(lengths) != 1:
            raise ValueError("the numbers are not of the same cases")

    def costs(self, prices: OutcomePrices) -> list[float]:
        """Return the whole cost of each case: spend, review, bad outputs accepted, answers withheld."""
        weight = self.weight or [1.0] * len(self.cost_usd)
        columns = zip(self.cost_usd, self.accepted_good, self.accepted_bad, self.reviewed, weight, strict=True)
        return [
            cost
            + prices.review_usd * reviewed
            + prices.bad_usd * bad
            + prices.abstain_usd * max(0.0, whole - good - bad)
            for cost, good, bad, reviewed, whole in columns
        ]

    def net_losses(self, prices: OutcomePrices) -> list[float]:
        """Return each case's cost less the value of its accepted good output: a mean, so every paired test applies."""
        costs = self.costs(prices)
        return [cost - prices.good_usd * good for cost, good in zip(costs, self.accepted_good, strict=True)]


def net_cost_per_good(version: Consequences, prices: OutcomePrices) -> Estimate:
    """Estimate all costs over accepted good outputs: the cost per good output, consequences included."""
    return cost_per_good(version.costs(prices), version.accepted_good)


def crossing_bad_usd(base: Consequences, head: Consequences, prices: OutcomePrices) -> float | None:
    """Return the price of an accepted bad output at which the preferred version flips; None if no price above 0 does.

    The other prices stay as they are; `prices.bad_usd` is ignored.
    """
    rest, bad = (fsum(column) for column in _moves(base, head, prices))
    if bad == 0.0:
        return None
    crossing = -rest / bad
    return crossing if crossing > 0.0 else None


def chance_of_better(
    base: Consequences, head: Consequences, prices: OutcomePrices, bad_usd: Sequence[float]
) -> list[float]:
    """Return, for each price of an accepted bad output, how often head's mean net loss is lower.

    Over resampled cases: the acceptability curve of health economics. Equal losses count half.
    """
    import numpy as np

    moves = np.array(_moves(base, head, prices))
    sums = resampled_sums(moves[:, np.lexsort(moves)], seed=0)
    slack = 1e-12 * max(1.0, float(np.abs(moves).sum()))
    chances = []
    for price in bad_usd:
        loss = sums[:, 0] + price * sums[:, 1]
        chances.append(float((loss < -slack).mean() + (np.abs(loss) <= slack).mean() / 2))
    return chances


def _moves(base: Consequences, head: Consequences, prices: OutcomePrices) -> tuple[list[float], list[float]]:
    """Return head's minus base's net loss at a price of 0, and its accepted bad outputs, per case."""
    free = OutcomePrices(0.0, prices.review_usd, prices.abstain_usd, prices.good_usd)
    rest = [h - b for b, h in zip(base.net_losses(free), head.net_losses(free), strict=True)]
    return rest, [h - b for b, h in zip(base.accepted_bad, head.accepted_bad, strict=True)]
