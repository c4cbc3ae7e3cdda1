"""Two versions, or two weeks, over different cases. Every difference is head minus base.

Production never asks the same case twice, so nothing is paired, neither by id nor by place.
"""

from collections.abc import Sequence
from math import sqrt

from evalh.stats.intervals import Interval

_DRAWS = 9_999
_ROUNDING = 1e-9


def newcombe(base: tuple[float, Interval], head: tuple[float, Interval]) -> Interval:
    """Bound the difference of two independent rates from a rate and its limits on each side.

    Newcombe 1998, method 10 (Zou and Donner 2008 give it for any two intervals): the distances from the rates to
    their limits are added as squares. Limits over clusters give a difference over clusters.
    """
    (base_rate, base_limits), (head_rate, head_limits) = base, head
    difference = head_rate - base_rate
    low = sqrt((head_rate - head_limits.low) ** 2 + (base_limits.high - base_rate) ** 2)
    high = sqrt((head_limits.high - head_rate) ** 2 + (base_rate - base_limits.low) ** 2)
    return Interval(max(-1.0, difference - low), min(1.0, difference + high))


def cost_per_good_p(
    base: Sequence[tuple[float, float]], head: Sequence[tuple[float, float]], *, seed: int = 0, draws: int = _DRAWS
) -> float:
    """Return the two-sided permutation p-value against equal costs per good output.

    (cost, goods) of each cluster, weighted if it was sampled. The labels of whole clusters are permuted.
    The statistic is |log(R_head / R_base)|, R = sum(costs) / sum(goods). A side without a good counts as infinitely
    costly. Raises ValueError for an empty side.
    """
    if not base or not head:
        raise ValueError("a side has no clusters")
    import numpy as np

    columns = np.array([*base, *head], dtype=np.float64)
    total = columns.sum(axis=0)
    rng = np.random.default_rng(seed)

    def statistic(own: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> float:
        rest = total - own
        up, down = own[0] * rest[1], rest[0] * own[1]
        if up <= 0 and down <= 0:
            return 0.0
        if up <= 0 or down <= 0:
            return float("inf")
        return abs(float(np.log(up) - np.log(down)))

    observed = statistic(columns[len(base) :].sum(axis=0))
    extreme = 0
    for _ in range(draws):
        drawn = rng.permutation(len(columns))[: len(head)]
        extreme += statistic(columns[drawn].sum(axis=0)) >= observed - _ROUNDING
    return (extreme + 1) / (draws + 1)
