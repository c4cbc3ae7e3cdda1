"""Whether one and the same thing, asked at two times, answers as well now as it did then.

Neither side was chosen for its result, so a case's two answers may be swapped: McNemar's exact test over single
trials, `permutation.sign_flip_p` over several. Two-sided: a model that became better has moved too.
"""

POWER = 0.8


def smallest_move(cases: int, discordance: float, alpha: float, power: float = POWER) -> float | None:
    """Return the smallest rise or drop of the pass rate that McNemar's exact test shows with this power, two-sided.

    `discordance` is the share of cases that answer differently by chance; where the move exceeds it, it grows with
    it. Computed from the binomial distributions themselves: with few cases the normal one promises too much. None:
    not even a move from 1 to 0.
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
