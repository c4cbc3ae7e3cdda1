"""Correct a judge's many verdicts by a few labels of people.

Prediction-powered inference (PPI++, Angelopoulos, Duchi, Zrnic 2023): the mean that people would give, from people's
labels on a random sample and the judge's scores everywhere. The judge's errors are measured on the sample and
subtracted; a useless judge does no harm. The judge must not have been tuned on these labels.
"""

from collections.abc import Sequence
from math import fsum, sqrt

from evalh.core.calibration import FEWEST_DISAGREEMENTS
from evalh.core.run import Estimate
from evalh.core.values import Value
from evalh.stats.intervals import wilson
from evalh.stats.quantiles import t_critical, z_critical

_RARELY = 0.10  # a judge that is shown to disagree with people less often than this needs no more labels
_TWO = 2
_CONFIDENCE = 0.95


class Calibrated(Value):
    """A corrected mean. `weight`: the weight of the judge's scores, from 0 to 1."""

    value: float
    low: float | None  # None: fewer than two labels
    high: float | None
    se: float | None
    weight: float
    labels: int
    judged: int  # scores without a label


def calibrated_mean(
    labels: Sequence[float], judge_on_labelled: Sequence[float], judge_elsewhere: Sequence[float]
) -> Calibrated:
    """Estimate the mean label over all cases: w mean(U) + mean(Y - w F), w chosen for the smallest variance.

    w = cov(Y, F) / ((1 + n / N) var(F and U)), clipped to [0, 1]; SE^2 = var(Y - w F) / n + w^2 var(U) / N; t_{n-1}.
    For two versions, pass differences (head - base): this also subtracts the judge's bias towards one of them.
    Raises ValueError without a label, and for labels and scores of unequal number.
    """
    count, others = len(labels), len(judge_elsewhere)
    if not count or count != len(judge_on_labelled):
        raise ValueError(f"{count} labels and {len(judge_on_labelled)} scores are not of the same cases, or none")
    trust = _weight(labels, judge_on_labelled, judge_elsewhere)
    rest = [label - trust * score for label, score in zip(labels, judge_on_labelled, strict=True)]
    judge_mean = fsum(judge_elsewhere) / others if others else 0.0
    value = trust * judge_mean + fsum(rest) / count
    if count < _TWO:
        return Calibrated(value, None, None, None, trust, count, others)
    of_judge = trust**2 * _variance(judge_elsewhere) / others if others >= _TWO else 0.0
    se = sqrt(_variance(rest) / count + of_judge)
    half = t_critical(_CONFIDENCE, count - 1) * se
    return Calibrated(value, value - half, value + half, se, trust, count, others)


def _weight(labels: Sequence[float], on_labelled: Sequence[float], elsewhere: Sequence[float]) -> float:
    count, others = len(labels), len(elsewhere)
    if not others:
        return 0.0
    pooled = _variance([*on_labelled, *elsewhere])
    label_mean, score_mean = fsum(labels) / count, fsum(on_labelled) / count
    together = fsum((y - label_mean) * (f - score_mean) for y, f in zip(labels, on_labelled, strict=True)) / count
    return min(1.0, max(0.0, together / ((1 + count / others) * pooled))) if pooled else 0.0


def _variance(values: Sequence[float]) -> float:
    mean = fsum(values) / len(values)
    return fsum((value - mean) ** 2 for value in values) / (len(values) - 1) if len(values) > 1 else 0.0


def stratified(strata: Sequence[tuple[float, Calibrated]]) -> Calibrated:
    """Combine strata that were labelled at different rates: (share of all cases, estimate) each; shares sum to 1.

    SE^2 = sum share^2 SE_s^2; degrees of freedom by Welch and Satterthwaite.
    """
    if abs(fsum(share for share, _ in strata) - 1) > 1e-9:  # noqa: PLR2004 (rounding)
        raise ValueError("the shares of the strata sum to 1")
    value = fsum(share * one.value for share, one in strata)
    weight = fsum(share * one.weight for share, one in strata)
    labels, judged = sum(one.labels for _, one in strata), sum(one.judged for _, one in strata)
    parts = [(share * one.se) ** 2 for share, one in strata if one.se is not None]
    if len(parts) < len(strata):
        return Calibrated(value, None, None, None, weight, labels, judged)
    variance = fsum(parts)
    spread = fsum(part**2 / (one.labels - 1) for part, (_, one) in zip(parts, strata, strict=True))
    freedom = max(1, int(variance**2 / spread)) if spread else labels - len(strata)
    half = t_critical(_CONFIDENCE, freedom) * sqrt(variance)
    return Calibrated(value, value - half, value + half, sqrt(variance), weight, labels, judged)


def tells_little(disagreements: int, labelled: int) -> bool:
    """Whether the labels show neither a judge's error rate nor that it is low (Wilson's 95 % limit)."""
    if not labelled:
        return True
    _, most = wilson(disagreements, labelled)
    return disagreements < FEWEST_DISAGREEMENTS and most > _RARELY


class LabelledStratum(Value):
    """Outputs with the same verdict: their number, how many are labelled, and the share of good ones among these."""

    outputs: int
    labels: int
    good: float


def rate_of_strata(strata: Sequence[LabelledStratum]) -> Estimate:
    """Estimate the rate by people's judgement for outputs like these, from random labels in each stratum.

    The sum of share * good; limits by MOVER (Zou and Donner 2008) from Wilson's limits of each stratum, with z^2 sum of
    share (good - rate)^2 / M inside both roots, since the outputs themselves are a sample. A t interval has no width
    if no label disagrees with the judge, however few labels there are.
    """
    total = sum(one.outputs for one in strata)
    shares = [one.outputs / total for one in strata]
    value = fsum(share * one.good for share, one in zip(shares, strata, strict=True))
    z2 = z_critical(_CONFIDENCE) ** 2
    drawn = z2 * fsum(share * (one.good - value) ** 2 for share, one in zip(shares, strata, strict=True)) / total
    below = above = drawn
    for share, one in zip(shares, strata, strict=True):
        low, high = wilson(one.good * one.labels, one.labels)
        below += (share * (one.good - low)) ** 2
        above += (share * (high - one.good)) ** 2
    return Estimate(value, max(0.0, value - sqrt(below)), min(1.0, value + sqrt(above)), "mover")
