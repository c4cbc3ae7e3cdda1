"""Intervals for rates and means of one version. Two-sided, 95 % unless asked otherwise; sources in each docstring.

The unit is the case, never the call: five trials of one case are one observation of that case.
"""

from collections.abc import Sequence
from math import comb, fsum, sqrt
from typing import NamedTuple

from evalh.core.values import dataclass
from evalh.stats.critical import t_critical, z_critical


class Interval(NamedTuple):
    """Two limits, low <= high."""

    low: float
    high: float


def wilson(good: float, n: float, confidence: float = 0.95) -> Interval:
    """Bound a rate of independent trials by Wilson's score interval; imports nothing at 95 % and 90 %.

    `good` of `n` need not be whole numbers: an effective sample size is none. Without trials nothing is known: (0, 1).
    Raises ValueError unless 0 <= good <= n.
    """
    _check_counts(good, n)
    if n == 0:
        return Interval(0.0, 1.0)
    z2 = z_critical(confidence) ** 2
    rate = good / n
    centre = rate + z2 / (2 * n)
    half = sqrt(z2 * (rate * (1 - rate) / n + z2 / (4 * n * n)))
    scale = 1 + z2 / n
    # The rate lies inside; at 0 and 1 it is the limit, which computed would miss by a rounding error.
    return Interval(min(rate, max(0.0, (centre - half) / scale)), max(rate, min(1.0, (centre + half) / scale)))


def clopper_pearson(good: int, n: int, confidence: float = 0.95) -> Interval:
    """Bound a rate so that the true rate is covered *at least* this often: for guarantees, wider than Wilson's."""
    _check_counts(good, n)
    if n == 0:
        return Interval(0.0, 1.0)
    from scipy.special import betaincinv

    tail = (1 - confidence) / 2
    low = 0.0 if good == 0 else float(betaincinv(good, n - good + 1, tail))
    high = 1.0 if good == n else float(betaincinv(good + 1, n - good, 1 - tail))
    return Interval(low, high)


def jeffreys(good: float, n: float, confidence: float = 0.95) -> Interval:
    """Bound a rate by the equal-tailed interval of its posterior under Jeffreys' prior, Beta(1/2, 1/2)."""
    _check_counts(good, n)
    from scipy.special import betaincinv

    tail = (1 - confidence) / 2
    low, high = betaincinv(good + 0.5, n - good + 0.5, [tail, 1 - tail])
    # Brown, Cai and DasGupta (2001): nothing observed leaves the limit at the end.
    return Interval(0.0 if good == 0 else float(low), 1.0 if good == n else float(high))


def _check_counts(good: float, n: float) -> None:
    if not 0 <= good <= n:
        raise ValueError(f"{good} of {n} is no rate")


@dataclass(frozen=True, slots=True)
class ClusteredRate:
    """A rate over cases with several trials each, its interval and how much the trials of a case hang together."""

    rate: float
    low: float
    high: float
    se: float | None  # standard error of the mean over cases; None: one case
    deff: float | None  # (se / the error that independent trials would have)^2; None: one case, or a rate of 0 or 1
    n_eff: float  # independent trials that would know as much
    n_star: float  # the same, paying for an estimated standard error: Wilson's n


def clustered_rate(rates: Sequence[float], trials: int, confidence: float = 0.95) -> ClusteredRate:
    """Bound the mean of per-case rates (each in [0, 1], each over `trials` trials) by Wilson's interval at n*.

    SE = sd(rates) / sqrt(G), ddof 1; n_eff = p(1 - p) / SE^2, clipped to [1, G * trials], and G where SE is 0;
    n* = n_eff * (z / t_{G-1})^2. One case says nothing about another: its interval is (0, 1).
    Raises ValueError for no cases, for rates outside [0, 1] and for trials < 1.
    """
    cases = len(rates)
    if not cases or trials < 1 or not all(0.0 <= rate <= 1.0 for rate in rates):
        raise ValueError("per-case rates lie in [0, 1], over at least one case and one trial")
    mean = min(1.0, max(0.0, fsum(rates) / cases))
    if cases == 1:
        return ClusteredRate(mean, 0.0, 1.0, None, None, 1.0, 0.0)
    # Equal rates are asked for by name: computed, their standard error would be a rounding error, not 0.
    se = 0.0 if min(rates) == max(rates) else _standard_error(rates, mean)
    spread = mean * (1 - mean)
    n_eff = min(max(spread / se**2, 1.0), cases * trials) if se else float(cases)
    n_star = n_eff * (z_critical(confidence) / t_critical(confidence, cases - 1)) ** 2
    low, high = wilson(mean * n_star, n_star, confidence)
    deff = se**2 * cases * trials / spread if spread else None
    return ClusteredRate(mean, min(low, mean), max(high, mean), se, deff, n_eff, n_star)


class VarianceSplit(NamedTuple):
    """Where the noise of a mean over cases comes from: Var = (between + within / trials) / cases."""

    within: float  # between the trials of one case
    between: float  # between the cases


def variance_split(rates: Sequence[float], trials: int) -> VarianceSplit:
    """Split the variance of good-or-bad trials. Needs at least two cases and two trials, else ValueError."""
    cases = len(rates)
    if cases < 2 or trials < 2:  # noqa: PLR2004 (a variance needs two values)
        raise ValueError("splitting a variance takes at least two cases with two trials each")
    within = fsum(rate * (1 - rate) for rate in rates) * trials / (trials - 1) / cases
    of_means = _standard_error(rates, fsum(rates) / cases) ** 2 * cases
    return VarianceSplit(within, max(0.0, of_means - within / trials))


def mean_interval(scores: Sequence[float], confidence: float = 0.95) -> Interval:
    """Bound the mean of per-case scores: mean ± t_{G-1} SE. Raises ValueError for fewer than two cases."""
    cases = len(scores)
    if cases < 2:  # noqa: PLR2004 (a variance needs two values)
        raise ValueError("an interval of a mean takes at least two cases")
    mean = fsum(scores) / cases
    half = t_critical(confidence, cases - 1) * _standard_error(scores, mean)
    return Interval(mean - half, mean + half)


def _standard_error(values: Sequence[float], mean: float) -> float:
    count = len(values)
    return sqrt(fsum((value - mean) ** 2 for value in values) / (count - 1) / count)


def pass_at_k(trials: int, good: int, k: int) -> float:
    """Estimate the chance that at least one of `k` trials is good (Chen et al. 2021), from `trials` >= k of a case."""
    _check_draws(trials, good, k)
    return 1.0 - comb(trials - good, k) / comb(trials, k)


def pass_hat_k(trials: int, good: int, k: int) -> float:
    """Estimate the chance that all of `k` trials are good (tau-bench's pass^k), from `trials` >= k of a case."""
    _check_draws(trials, good, k)
    return comb(good, k) / comb(trials, k)


def _check_draws(trials: int, good: int, k: int) -> None:
    if not (1 <= k <= trials and 0 <= good <= trials):
        raise ValueError(f"k = {k} and {good} good do not fit {trials} trials")
