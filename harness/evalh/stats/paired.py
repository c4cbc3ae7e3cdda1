"""Two versions over a fixed number of common cases. Every difference is head minus base.

`wins` are cases that only head passes, `losses` cases that only base passes, `n` all cases. Everything is paired:
a case with the same result on both sides does not say which is better. Scores and repeated trials use
`intervals.mean_interval` and `permutation.sign_flip_p`, with one difference per case.

`fisher_worse` and `probability_worse` are about one case, on fresh trials, never on those in which it flipped.
`smallest_move` is the power of McNemar's exact test for one model at two times, two-sided: a model that became
better has changed too.
"""

from collections.abc import Sequence
from enum import StrEnum
from math import comb, erfc, fsum, inf, pi, sqrt

from evalh.stats.intervals import Interval, check_counts
from evalh.stats.quantiles import bisect, z_critical


class Alternative(StrEnum):
    """The alternative hypothesis to no difference."""

    DIFFERENT = "different"
    WORSE = "worse"  # head below base
    BETTER = "better"  # head above base


_EXACT_TERMS = 4000  # most discordant cases with an exact binomial sum


def mcnemar_exact(wins: int, losses: int, alternative: Alternative = Alternative.DIFFERENT) -> float:
    """Return McNemar's exact p-value: wins of wins + losses, against a fair coin. It never exceeds its error rate."""
    return _coin(wins, losses, alternative, own_share=1.0)


def mcnemar_midp(wins: int, losses: int, alternative: Alternative = Alternative.DIFFERENT) -> float:
    """Return McNemar's mid-p (Fagerland et al. 2013): the observed count weighs half. For reports, not for blocking."""
    return _coin(wins, losses, alternative, own_share=0.5)


def _coin(wins: int, losses: int, alternative: Alternative, own_share: float) -> float:
    if wins < 0 or losses < 0:
        raise ValueError(f"{wins} wins and {losses} losses are not counts")
    match alternative:
        case Alternative.WORSE:
            return _lower_tail(wins, wins + losses, own_share)
        case Alternative.BETTER:
            return _lower_tail(losses, wins + losses, own_share)
        case Alternative.DIFFERENT:
            return min(1.0, 2 * _lower_tail(min(wins, losses), wins + losses, own_share))


def _lower_tail(k: int, n: int, own_share: float) -> float:
    """Return P(X < k) + own_share * P(X = k) for n throws of a fair coin."""
    if n > _EXACT_TERMS:
        from scipy.special import bdtr

        far = float(bdtr(k - 1, n, 0.5)) if k else 0.0
        return far + own_share * (float(bdtr(k, n, 0.5)) - far)
    term, below = 1, 0
    for i in range(k):
        below += term
        term = term * (n - i) // (i + 1)
    everything: int = 1 << n
    return below / everything + own_share * (term / everything)


def tango_statistic(wins: int, losses: int, n: int, difference: float) -> float:
    """Return Tango's score statistic (1998) for H0: the pass rates differ by `difference`; high values favour head.

    T = (b - c - n d) / sqrt(n (2 q + d (1 - d))) with q the share of losses that is likeliest under H0. Infinite
    if H0 leaves no variance and the counts contradict it, 0 if they do not.
    """
    _check_pairs(wins, losses, n)
    distance = wins - losses - n * difference
    spread = _tango_spread(wins, losses, n, difference)
    if spread > 0.0:
        return distance / spread
    return 0.0 if distance == 0.0 else inf if distance > 0 else -inf


def tango_interval(wins: int, losses: int, n: int, confidence: float = 0.95) -> Interval:
    """Bound head's minus base's pass rate by the differences that Tango's score test does not reject.

    Without cases nothing is known: (-1, 1). Raises ValueError if wins and losses do not fit n.
    """
    _check_pairs(wins, losses, n)
    if n == 0:
        return Interval(-1.0, 1.0)
    z = z_critical(confidence)
    value = (wins - losses) / n

    def excess(difference: float, sign: float) -> float:
        # The inequality of the statistic, multiplied out: its denominator may be 0 at the ends.
        distance = wins - losses - n * difference
        return distance - sign * z * _tango_spread(wins, losses, n, difference)

    low, _ = bisect(lambda d: excess(d, 1.0) > 0.0, -1.0, value)
    _, high = bisect(lambda d: excess(d, -1.0) > 0.0, value, 1.0)
    return Interval(low, high)


def noninferiority_p(wins: int, losses: int, n: int, margin: float) -> float:
    """Return the one-sided p-value against H0: head's pass rate is lower by `margin` or more (Tango's score)."""
    if not 0.0 <= margin < 1.0:
        raise ValueError(f"a margin lies between 0 and 1, not at {margin}")
    return erfc(tango_statistic(wins, losses, n, -margin) / sqrt(2)) / 2


def t_statistic(differences: Sequence[float]) -> float:
    """Return mean / SE of at least two differences; infinite if they are equal and not 0, 0 if all are 0."""
    count = len(differences)
    if count < 2:  # noqa: PLR2004 (a variance needs two values)
        raise ValueError("a spread takes at least two differences")
    mean = fsum(differences) / count
    if min(differences) == max(differences):
        return 0.0 if mean == 0.0 else inf if mean > 0 else -inf
    return mean / sqrt(fsum((value - mean) ** 2 for value in differences) / (count - 1) / count)


def t_test_p(differences: Sequence[float]) -> float:
    """Return the two-sided p-value of the paired t test; `permutation.sign_flip_p` assumes less."""
    statistic = abs(t_statistic(differences))
    if statistic == inf:
        return 0.0
    from scipy.special import stdtr

    return 2 * float(stdtr(len(differences) - 1, -statistic))


def _tango_spread(wins: int, losses: int, n: int, difference: float) -> float:
    a = 2 * n
    b = (2 * n - wins + losses) * difference - wins - losses
    c = -losses * difference * (1 - difference)
    q = (sqrt(max(0.0, b * b - 4 * a * c)) - b) / (2 * a) if n else 0.0
    return sqrt(max(0.0, n * (2 * q + difference * (1 - difference))))


def _check_pairs(wins: int, losses: int, n: int) -> None:
    if wins < 0 or losses < 0 or wins + losses > n:
        raise ValueError(f"{wins} wins and {losses} losses do not fit {n} cases")


def fisher_worse(base_passes: int, base_trials: int, head_passes: int, head_trials: int) -> float:
    """Return Fisher's exact one-sided p-value that head passes no less often than base."""
    check_counts(base_passes, base_trials)
    check_counts(head_passes, head_trials)
    passes, trials = base_passes + head_passes, base_trials + head_trials
    fewest = max(0, passes - base_trials)
    as_few = sum(comb(head_trials, k) * comb(base_trials, passes - k) for k in range(fewest, head_passes + 1))
    return as_few / comb(trials, passes)


def probability_worse(base_passes: int, base_trials: int, head_passes: int, head_trials: int) -> float:
    """Return P(p_head < p_base) under Jeffreys' priors: for display, not for blocking.

    Both posteriors are Beta. With p = sin^2(angle) the integrand is smooth, so a sum over even angles is exact to
    rounding if the step is smaller than the posterior is wide.
    """
    check_counts(base_passes, base_trials)
    check_counts(head_passes, head_trials)
    import numpy as np
    from scipy.special import betainc, betaln

    points = 256 + int(32 * sqrt(base_trials))
    angles = (np.arange(points) + 0.5) * (pi / 2 / points)
    good, bad = base_passes + 0.5, base_trials - base_passes + 0.5
    log_density = 2 * base_passes * np.log(np.sin(angles)) + 2 * (base_trials - base_passes) * np.log(np.cos(angles))
    density = 2 * np.exp(log_density - betaln(good, bad))
    below = betainc(head_passes + 0.5, head_trials - head_passes + 0.5, np.sin(angles) ** 2)
    return min(1.0, float((density * below).sum() * (pi / 2 / points)))


POWER = 0.8


def smallest_move(cases: int, discordance: float, alpha: float, power: float = POWER) -> float | None:
    """Return the smallest rise or drop of the pass rate that McNemar's exact test shows with this power, two-sided.

    `discordance` is the share of cases that answer differently by chance; where the move exceeds it, it grows with
    it. Computed from the binomial distributions: with few cases the normal approximation promises too much. None if
    not even a move from 1 to 0 is shown.
    """
    limits = _limits(cases, alpha)
    if _power(limits, 1.0, 1.0) < power:
        return None
    low, high = 0.0, 1.0
    while high - low > 1e-4:  # noqa: PLR2004 (a hundredth of a point)
        middle = (low + high) / 2
        low, high = (low, middle) if _power(limits, max(discordance, middle), middle) >= power else (middle, high)
    return high


def _limits(cases: int, alpha: float) -> list[int]:
    """Return, for 0 to `cases` cases that differ, how many may go against the rest where it shows; -1: none."""
    from scipy.special import bdtr

    limits, limit = [], -1
    for differing in range(cases + 1):
        while limit + 1 < differing and 2 * float(bdtr(limit + 1, differing, 0.5)) <= alpha:
            limit += 1
        limits.append(limit)
    return limits


def _power(limits: list[int], discordance: float, move: float) -> float:
    import numpy as np
    from scipy.special import bdtr

    cases = len(limits) - 1
    differing, limit = np.arange(cases + 1), np.asarray(limits)
    below = bdtr(differing, cases, discordance)
    share = np.diff(below, prepend=0.0)
    against = min(1.0, max(0.0, (1 - move / discordance) / 2))
    some = limit >= 0
    few = np.where(some, bdtr(np.maximum(limit, 0), differing, against), 0.0)
    many = np.where(some, bdtr(np.maximum(limit, 0), differing, 1 - against), 0.0)
    return float((share * (few + many)).sum())
