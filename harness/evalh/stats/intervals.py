"""Intervals for rates and means of one version. Two-sided, 95 % by default; sources in each docstring.

The unit is the case, never the call: five trials of one case are one observation of that case.
"""

from collections.abc import Sequence
from math import comb, fsum, sqrt
from typing import NamedTuple

from evalh.stats.quantiles import t_critical, z_critical


class Interval(NamedTuple):
    """Two limits, low <= high."""

    low: float
    high: float


def wilson(good: float, n: float, confidence: float = 0.95) -> Interval:
    """Bound a rate of independent trials by Wilson's score interval; imports nothing at 95 % and 90 %.

    `good` of `n` need not be whole numbers: an effective sample size is not. Without trials: (0, 1).
    Raises ValueError unless 0 <= good <= n.
    """
    check_counts(good, n)
    if n == 0:
        return Interval(0.0, 1.0)
    z2 = z_critical(confidence) ** 2
    rate = good / n
    centre = rate + z2 / (2 * n)
    half = sqrt(z2 * (rate * (1 - rate) / n + z2 / (4 * n * n)))
    scale = 1 + z2 / n
    # The interval contains the rate. At 0 and 1 the rate is a limit, which rounding would miss.
    return Interval(min(rate, max(0.0, (centre - half) / scale)), max(rate, min(1.0, (centre + half) / scale)))


def clopper_pearson(good: int, n: int, confidence: float = 0.95) -> Interval:
    """Bound a rate so that the true rate is covered *at least* this often (Clopper-Pearson): wider than Wilson's."""
    check_counts(good, n)
    if n == 0:
        return Interval(0.0, 1.0)
    from scipy.special import betaincinv

    tail = (1 - confidence) / 2
    low = 0.0 if good == 0 else float(betaincinv(good, n - good + 1, tail))
    high = 1.0 if good == n else float(betaincinv(good + 1, n - good, 1 - tail))
    return Interval(low, high)


def check_counts(good: float, n: float) -> None:
    """Raise ValueError unless 0 <= good <= n."""
    if not 0 <= good <= n:
        raise ValueError(f"{good} of {n} is not a rate")


def mean_interval(scores: Sequence[float], confidence: float = 0.95) -> Interval:
    """Bound a mean over cases (or clusters): mean ± t_{G-1} SE. Raises ValueError for fewer than two."""
    cases = len(scores)
    if cases < 2:  # noqa: PLR2004 (a variance needs two values)
        raise ValueError("an interval of a mean takes at least two cases")
    mean = fsum(scores) / cases
    error = sqrt(fsum((score - mean) ** 2 for score in scores) / (cases - 1) / cases)
    half = t_critical(confidence, cases - 1) * error
    return Interval(mean - half, mean + half)


def pass_at_k(trials: int, good: int, k: int) -> float:
    """Estimate the probability that one of `k` trials is good (Chen et al. 2021), from `trials` >= k of a case."""
    _check_draws(trials, good, k)
    return 1.0 - comb(trials - good, k) / comb(trials, k)


def pass_hat_k(trials: int, good: int, k: int) -> float:
    """Estimate the probability that all of `k` trials are good (tau-bench's pass^k), from `trials` >= k of a case."""
    _check_draws(trials, good, k)
    return comb(good, k) / comb(trials, k)


def _check_draws(trials: int, good: int, k: int) -> None:
    if not (1 <= k <= trials and 0 <= good <= trials):
        raise ValueError(f"k = {k} and {good} good do not fit {trials} trials")
