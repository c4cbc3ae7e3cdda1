"""One case that flipped: did it get worse, or is it unsteady? Judged on fresh trials, never on those that flipped."""

from math import comb, pi, sqrt


def fisher_worse(base_passes: int, base_trials: int, head_passes: int, head_trials: int) -> float:
    """Return Fisher's exact one-sided p-value that head passes no less often than base."""
    _check(base_passes, base_trials)
    _check(head_passes, head_trials)
    passes, trials = base_passes + head_passes, base_trials + head_trials
    fewest = max(0, passes - base_trials)
    as_few = sum(comb(head_trials, k) * comb(base_trials, passes - k) for k in range(fewest, head_passes + 1))
    return as_few / comb(trials, passes)


def probability_worse(base_passes: int, base_trials: int, head_passes: int, head_trials: int) -> float:
    """Return P(p_head < p_base) under Jeffreys' priors: to show, not to block.

    Both posteriors are Beta; with p = sin^2(angle) the integrand is smooth, so a sum over even angles is exact to
    rounding once they stand closer than the posterior is wide.
    """
    _check(base_passes, base_trials)
    _check(head_passes, head_trials)
    import numpy as np
    from scipy.special import betainc, betaln

    points = 256 + int(32 * sqrt(base_trials))
    angles = (np.arange(points) + 0.5) * (pi / 2 / points)
    good, bad = base_passes + 0.5, base_trials - base_passes + 0.5
    log_density = 2 * base_passes * np.log(np.sin(angles)) + 2 * (base_trials - base_passes) * np.log(np.cos(angles))
    density = 2 * np.exp(log_density - betaln(good, bad))
    below = betainc(head_passes + 0.5, head_trials - head_passes + 0.5, np.sin(angles) ** 2)
    return min(1.0, float((density * below).sum() * (pi / 2 / points)))


def _check(passes: int, trials: int) -> None:
    if not 0 <= passes <= trials:
        raise ValueError(f"{passes} of {trials} is not a rate")
