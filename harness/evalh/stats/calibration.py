"""What a judge's many verdicts say, once a few of them are held against people's.

Prediction-powered inference (PPI++, Angelopoulos, Duchi, Zrnic 2023): the mean that people would give, from people's
labels on a random sample and the judge's scores everywhere. Whatever the judge gets wrong is measured on the sample
and taken off; a judge that knows nothing costs nothing. People's labels must never have tuned the judge.
"""

from collections.abc import Sequence
from math import fsum, sqrt

from evalh.core.values import dataclass
from evalh.stats.critical import t_critical, z_critical

FEWEST_LABELS = 50  # below, the interval covers less often than it says
_TWO = 2


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A mean in people's terms. `weight`: how far the judge is believed, from 0 to 1."""

    value: float
    low: float | None  # None: fewer than two labels
    high: float | None
    se: float | None
    weight: float
    labels: int
    judged: int  # scores without a label

    @property
    def few_labels(self) -> bool:
        """Say whether there are too few labels for the interval to be trusted."""
        return self.labels < FEWEST_LABELS


def calibrated_mean(
    labels: Sequence[float],
    judge_on_labelled: Sequence[float],
    judge_elsewhere: Sequence[float],
    *,
    weight: float | None = None,
    confidence: float = 0.95,
) -> Calibrated:
    """Estimate the mean label over all cases: w mean(U) + mean(Y - w F), w chosen for the smallest variance.

    w = cov(Y, F) / ((1 + n / N) var(F and U)), clipped to [0, 1]; SE^2 = var(Y - w F) / n + w^2 var(U) / N; t_{n-1}.
    For two versions, hand in differences (head - base): the judge's bias towards one of them is taken off as well.
    Raises ValueError without a label, and for labels and scores of unequal number.
    """
    count, others = len(labels), len(judge_elsewhere)
    if not count or count != len(judge_on_labelled):
        raise ValueError(f"{count} labels and {len(judge_on_labelled)} scores are not of the same cases, or none")
    best = _weight(labels, judge_on_labelled, judge_elsewhere)
    trust = best if weight is None or not others else weight
    rest = [label - trust * score for label, score in zip(labels, judge_on_labelled, strict=True)]
    judge_mean = fsum(judge_elsewhere) / others if others else 0.0
    value = trust * judge_mean + fsum(rest) / count
    if count < _TWO:
        return Calibrated(value, None, None, None, trust, count, others)
    of_judge = trust**2 * _variance(judge_elsewhere) / others if others >= _TWO else 0.0
    se = sqrt(_variance(rest) / count + of_judge)
    half = t_critical(confidence, count - 1) * se
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


def stratified(strata: Sequence[tuple[float, Calibrated]], confidence: float = 0.95) -> Calibrated:
    """Put strata together that were labelled at different rates: (share of all cases, estimate) each; shares sum to 1.

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
    half = t_critical(confidence, freedom) * sqrt(variance)
    return Calibrated(value, value - half, value + half, sqrt(variance), weight, labels, judged)


@dataclass(frozen=True, slots=True)
class JudgeTable:
    """A judge's verdicts against people's, in cases."""

    both_good: int
    judge_only: int  # the judge says good, people say bad
    people_only: int
    both_bad: int

    @property
    def sensitivity(self) -> float | None:
        """Return the share of good outputs that the judge calls good; None: none was labelled good."""
        good = self.both_good + self.people_only
        return self.both_good / good if good else None

    @property
    def specificity(self) -> float | None:
        """Return the share of bad outputs that the judge calls bad; None: none was labelled bad."""
        bad = self.judge_only + self.both_bad
        return self.both_bad / bad if bad else None


@dataclass(frozen=True, slots=True)
class RoganGladen:
    """The rate behind a judge's rate, by its error rates (1978). A diagnostic: it is wild where a judge is poor."""

    value: float
    se: float
    low: float  # Lang and Reiczigel (2014)
    high: float


def rogan_gladen(table: JudgeTable, judged_good: int, judged: int, confidence: float = 0.95) -> RoganGladen | None:
    """Correct the judge's rate over `judged` other cases: (p + Sp - 1) / (Se + Sp - 1).

    None where the judge tells good from bad no better than chance, or one kind was never labelled.
    """
    sensitivity, specificity = table.sensitivity, table.specificity
    if sensitivity is None or specificity is None or sensitivity + specificity <= 1 or judged < 1:
        return None
    good, bad = table.both_good + table.people_only, table.judge_only + table.both_bad
    value, se = _corrected(judged_good / judged, (sensitivity, specificity), judged, (good, bad))
    z = z_critical(confidence)
    ours = ((good * sensitivity + 1) / (good + 2), (bad * specificity + 1) / (bad + 2))
    size = (good + 2, bad + 2)
    centre, spread = _corrected((judged_good + z * z / 2) / (judged + z * z), ours, judged + z * z, size)
    # The shift divides by the true numbers of labels, as the authors' own program does.
    shift = 2 * z * z * (centre * _bernoulli(ours[0]) / good - (1 - centre) * _bernoulli(ours[1]) / bad)
    low, high = (min(1.0, max(0.0, centre + shift + sign * z * spread)) for sign in (-1, 1))
    return RoganGladen(min(1.0, max(0.0, value)), se, low, high)


def _corrected(
    rate: float, accuracy: tuple[float, float], judged: float, labelled: tuple[int, int]
) -> tuple[float, float]:
    sensitivity, specificity = accuracy
    power = sensitivity + specificity - 1
    value = (rate + specificity - 1) / power
    variance = (
        _bernoulli(rate) / judged
        + value**2 * _bernoulli(sensitivity) / labelled[0]
        + (1 - value) ** 2 * _bernoulli(specificity) / labelled[1]
    )
    return value, sqrt(variance) / power


def _bernoulli(rate: float) -> float:
    return rate * (1 - rate)
