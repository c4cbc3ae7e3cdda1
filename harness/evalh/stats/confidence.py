"""Whether a confidence score tells good outputs from bad ones, and whether it is as sure as it says.

`scores`: higher means surer, in [0, 1] where they are read as probabilities; `good`: 1 where the output was good.
What is not defined, such as ranking when every output is good, is None.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from math import fsum, sqrt

from evalh.core.run import Estimate
from evalh.stats.critical import z_critical

DELONG = "delong"
BINS = 15
_TWO = 2


def critique_score(agreeing: int, critics: int) -> float:
    """Return (1 + agreeing) / (2 + critics): how far fresh critics stand behind an answer, never all or nothing.

    It is confidence, not correctness.
    """
    if not 0 <= agreeing <= critics:
        raise ValueError(f"{agreeing} of {critics} critics cannot agree")
    return (1 + agreeing) / (2 + critics)


def auroc(scores: Sequence[float], good: Sequence[int], confidence: float = 0.95) -> Estimate | None:
    """Estimate the chance that a good output scores above a bad one, ties counting half (DeLong et al. 1988).

    None where all are good, or none. Limits by DeLong's standard error, clipped to [0, 1].
    """
    placements = _placements(scores, good)
    if placements is None:
        return None
    value, se = _mean(placements[0]), placement_error(*placements)
    if se is None:
        return Estimate(value, None, None, DELONG)
    half = z_critical(confidence) * se
    return Estimate(value, max(0.0, value - half), min(1.0, value + half), DELONG)


def auroc_difference(
    base_scores: Sequence[float], head_scores: Sequence[float], good: Sequence[int], confidence: float = 0.95
) -> Estimate | None:
    """Estimate head's minus base's AUROC over the same outputs: what a score adds to a baseline, such as length."""
    base, head = _placements(base_scores, good), _placements(head_scores, good)
    if base is None or head is None:
        return None
    value = _mean(head[0]) - _mean(base[0])
    moved = [[h - b for b, h in zip(before, after, strict=True)] for before, after in zip(base, head, strict=True)]
    se = placement_error(*moved)
    if se is None:
        return Estimate(value, None, None, DELONG)
    half = z_critical(confidence) * se
    return Estimate(value, value - half, value + half, DELONG)


def placement_error(of_good: Sequence[float], of_bad: Sequence[float]) -> float | None:
    """Return DeLong's standard error from the placements of good and of bad outputs; None: one of either."""
    if min(len(of_good), len(of_bad)) < _TWO:
        return None
    return sqrt(_variance(of_good) / len(of_good) + _variance(of_bad) / len(of_bad))


def _placements(scores: Sequence[float], good: Sequence[int]) -> tuple[list[float], list[float]] | None:
    """Return the share of bad outputs below each good one, and of good ones above each bad one, in their order."""
    _check(scores, good)
    goods = sum(good)
    bads = len(good) - goods
    if not goods or not bads:
        return None
    placed: dict[float, tuple[float, float]] = {}
    bad_below = good_below = 0.0
    for score, ties in _tied(scores, good):
        bad_here, good_here = ties.count(0), ties.count(1)
        placed[score] = ((bad_below + bad_here / 2) / bads, 1 - (good_below + good_here / 2) / goods)
        bad_below, good_below = bad_below + bad_here, good_below + good_here
    pairs = list(zip(scores, good, strict=True))
    return [placed[s][0] for s, y in pairs if y], [placed[s][1] for s, y in pairs if not y]


def average_precision(scores: Sequence[float], good: Sequence[int]) -> float | None:
    """Return the area under precision over recall, in steps at distinct scores, for finding good outputs."""
    _check(scores, good)
    goods = sum(good)
    if not goods:
        return None
    found = seen = 0
    area = 0.0
    for _, ties in _tied([-score for score in scores], good):
        found, seen = found + ties.count(1), seen + len(ties)
        area += ties.count(1) / goods * found / seen
    return area


def error_precision(scores: Sequence[float], good: Sequence[int]) -> float | None:
    """Return the average precision of finding bad outputs by low scores: what matters where bad ones are rare."""
    return average_precision([-score for score in scores], [1 - one for one in good])


def brier(scores: Sequence[float], good: Sequence[int]) -> float | None:
    """Return the mean squared distance of a probability from what happened."""
    _check(scores, good)
    return _mean([(score - one) ** 2 for score, one in zip(scores, good, strict=True)]) if scores else None


def calibration_error(scores: Sequence[float], good: Sequence[int], bins: int = BINS) -> float | None:
    """Return the expected calibration error over bins of equal numbers of outputs, from the lowest score up.

    Where equal scores fall into two bins the good ones go to the lower: the order of the outputs changes nothing, and
    an error is rather shown than hidden.
    """
    _check(scores, good)
    cells: list[list[tuple[float, int]]] = [[] for _ in range(bins)]
    ordered = sorted(zip(scores, good, strict=True), key=lambda pair: (pair[0], -pair[1]))
    for index, pair in enumerate(ordered):
        cells[index * bins // len(ordered)].append(pair)
    return _gap(cells, len(ordered))


def calibration_error_of_widths(scores: Sequence[float], good: Sequence[int], bins: int = BINS) -> float | None:
    """Return the expected calibration error over bins of equal width: what others print; sparse bins make it noisy."""
    _check(scores, good)
    cells: list[list[tuple[float, int]]] = [[] for _ in range(bins)]
    for score, one in zip(scores, good, strict=True):
        cells[min(bins - 1, max(0, int(score * bins + 1e-9)))].append((score, one))  # 0.6 lies in [0.6, 0.8)
    return _gap(cells, len(scores))


def _gap(cells: Sequence[Sequence[tuple[float, int]]], count: int) -> float | None:
    if not count:
        return None
    return fsum(abs(fsum(score - one for score, one in cell)) for cell in cells) / count


def risk_coverage_area(scores: Sequence[float], good: Sequence[int]) -> float | None:
    """Return AURC: the share of bad outputs among the k surest, averaged over every k; ties are averaged."""
    _check(scores, good)
    risks: list[float] = []
    bad = seen = 0.0
    for _, ties in _tied([-score for score in scores], good):
        share = ties.count(0) / len(ties)
        risks += [(bad + share * step) / (seen + step) for step in range(1, len(ties) + 1)]
        bad, seen = bad + ties.count(0), seen + len(ties)
    return _mean(risks) if risks else None


def excess_risk_coverage_area(scores: Sequence[float], good: Sequence[int]) -> float | None:
    """Return E-AURC: how far AURC lies above that of an order that puts every bad output last."""
    area = risk_coverage_area(scores, good)
    if area is None:
        return None
    goods = sum(good)
    return max(0.0, area - _mean([max(0, kept - goods) / kept for kept in range(1, len(good) + 1)]))


def _tied(scores: Sequence[float], good: Sequence[int]) -> Iterator[tuple[float, list[int]]]:
    """Group what happened by score, lowest first."""
    pairs = sorted(zip(scores, good, strict=True))
    for score, group in groupby(pairs, key=lambda pair: pair[0]):
        yield score, [one for _, one in group]


def _check(scores: Sequence[float], good: Sequence[int]) -> None:
    if len(scores) != len(good) or not all(one in (0, 1) for one in good):
        raise ValueError("every score belongs to an output that was good (1) or not (0)")


def _mean(values: Sequence[float]) -> float:
    return fsum(values) / len(values)


def _variance(values: Sequence[float]) -> float:
    mean = _mean(values)
    return fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
