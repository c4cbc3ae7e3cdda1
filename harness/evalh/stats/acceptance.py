"""From which confidence on an answer may be accepted unseen, with a promise about how many of those are wrong."""

from collections.abc import Sequence
from itertools import pairwise

from evalh.core.values import dataclass

RISK = 0.05
DELTA = 0.10
FEWEST_ACCEPTED = 20


@dataclass(frozen=True, slots=True)
class Acceptance:
    """A threshold that is promised: answers with a score of at least `threshold` are accepted."""

    threshold: float
    accepted: int
    errors: int
    coverage: float  # share of all answers that are accepted
    p_value: float | None  # that the risk among the accepted is above the promise; None: promised in expectation


def grid(steps: int = 100) -> list[float]:
    """Return thresholds that are fixed before any answer is seen, strict to loose: 1.00, 0.99, ... 0.00."""
    return [1 - step / steps for step in range(steps + 1)]


def learn_then_test(
    scores: Sequence[float],
    good: Sequence[int],
    *,
    risk: float = RISK,
    delta: float = DELTA,
    thresholds: Sequence[float] | None = None,
) -> Acceptance | None:
    """Find the loosest threshold with P(share of bad among the accepted > risk) <= delta.

    Fixed-sequence Learn-then-Test (Angelopoulos et al. 2021) with the binomial tail: thresholds strict to loose, fixed
    beforehand; those that accept fewer than 20 are passed over; the first that fails ends it. None: no automatic
    acceptance. The answers must be like those to come, and none of them may have tuned the score.
    """
    from scipy.special import bdtr

    found: Acceptance | None = None
    for threshold, accepted, errors in _counted(scores, good, grid() if thresholds is None else thresholds):
        if accepted < FEWEST_ACCEPTED:
            continue
        p_value = float(bdtr(errors, accepted, risk))
        if p_value > delta:
            break
        found = Acceptance(threshold, accepted, errors, accepted / len(scores), p_value)
    return found


def conformal_acceptance(
    scores: Sequence[float], good: Sequence[int], *, alpha: float = RISK, thresholds: Sequence[float] | None = None
) -> Acceptance | None:
    """Find the loosest threshold at which accepted *and* wrong is at most `alpha` of all answers, in expectation.

    Conformal risk control (Angelopoulos et al. 2022): (errors + 1) / (n + 1) <= alpha. It promises nothing about the
    share among the accepted.
    """
    found: Acceptance | None = None
    for threshold, accepted, errors in _counted(scores, good, grid() if thresholds is None else thresholds):
        if (errors + 1) / (len(scores) + 1) > alpha:
            break
        found = Acceptance(threshold, accepted, errors, accepted / max(1, len(scores)), None)
    return found if found is not None and found.accepted else None


def _counted(scores: Sequence[float], good: Sequence[int], thresholds: Sequence[float]) -> list[tuple[float, int, int]]:
    """Return (threshold, accepted, bad among them); thresholds must come strict to loose."""
    if len(scores) != len(good):
        raise ValueError("every score belongs to an output that was good or not")
    if any(later > earlier for earlier, later in pairwise(thresholds)):
        raise ValueError("thresholds come strict to loose")
    ordered = sorted(zip(scores, good, strict=True), reverse=True)
    counted, accepted, errors = [], 0, 0
    for threshold in thresholds:
        while accepted < len(ordered) and ordered[accepted][0] >= threshold:
            errors += not ordered[accepted][1]
            accepted += 1
        counted.append((threshold, accepted, errors))
    return counted
