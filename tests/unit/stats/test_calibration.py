"""A judge compared with people, checked by the reference numbers (ppi-python)."""

from math import sqrt

import numpy as np
import pytest
from scipy.special import ndtri, stdtrit

from evalh.core.calibration import Confusion
from evalh.stats.calibration import (
    Calibrated,
    LabelledStratum,
    calibrated_mean,
    rate_of_strata,
    stratified,
    tells_little,
)
from evalh.stats.judges import SwapCounts, effective_jurors, swap_analysis

LABELS = [1.0] * 22 + [0.0] * 6 + [1.0] * 3 + [0.0] * 9
JUDGE = [1.0] * 22 + [1.0] * 6 + [0.0] * 3 + [0.0] * 9
ELSEWHERE = [1.0] * 290 + [0.0] * 110
BASE, HEAD = [1] * 20 + [0] * 20, [1] * 17 + [0] * 3 + [1] * 6 + [0] * 14
JUDGE_BASE, JUDGE_HEAD = [1] * 18 + [0] * 2 + [1] * 4 + [0] * 16, [1] * 16 + [0] * 4 + [1] * 7 + [0] * 13
LABEL_DIFFERENCES = [float(head - base) for base, head in zip(BASE, HEAD, strict=True)]
JUDGE_DIFFERENCES = [float(head - base) for base, head in zip(JUDGE_BASE, JUDGE_HEAD, strict=True)]
DIFFERENCES_ELSEWHERE = [1.0] * 45 + [-1.0] * 30 + [0.0] * 325


def as_printed(found: Calibrated, labels, judge, elsewhere) -> tuple[float, float, float]:
    """Return (SE, low, high) by the reference's convention: variances with ddof 0 and the normal's quantile."""
    rest = np.array(labels) - found.weight * np.array(judge)
    se = sqrt(np.var(rest) / len(labels) + found.weight**2 * np.var(elsewhere) / len(elsewhere))
    ours = sqrt(np.var(rest, ddof=1) / len(labels) + found.weight**2 * np.var(elsewhere, ddof=1) / len(elsewhere))
    assert found.se == pytest.approx(ours)
    assert found.high - found.value == pytest.approx(stdtrit(len(labels) - 1, 0.975) * ours)
    half = ndtri(0.975) * se
    return round(se, 6), round(found.value - half, 6), round(found.value + half, 6)


def test_a_mean_gives_the_reference_numbers() -> None:
    found = calibrated_mean(LABELS, JUDGE, ELSEWHERE)

    assert (round(found.weight, 6), round(found.value, 6)) == (0.509202, 0.637730)
    assert as_printed(found, LABELS, JUDGE, ELSEWHERE) == (0.066975, 0.506462, 0.768998)
    assert (found.labels, found.judged) == (40, 400)


def test_a_difference_gives_the_reference_numbers() -> None:
    found = calibrated_mean(LABEL_DIFFERENCES, JUDGE_DIFFERENCES, DIFFERENCES_ELSEWHERE)

    assert (round(found.weight, 6), round(found.value, 6)) == (0.367467, 0.079593)
    assert as_printed(found, LABEL_DIFFERENCES, JUDGE_DIFFERENCES, DIFFERENCES_ELSEWHERE)[1:] == (-0.053677, 0.212864)


@pytest.mark.parametrize(
    ("agreed", "disagreed", "little"),
    [(0, 0, True), (10, 0, True), (34, 0, True), (35, 0, False), (190, 9, False), (60, 5, True), (40, 9, True)]
    + [(10, 10, False), (0, 10, False)],
)
def test_labels_tell_of_a_judge_by_their_disagreements_or_by_how_rare_these_are(
    agreed: int, disagreed: int, *, little: bool
) -> None:
    table = Confusion(both_good=agreed, judge_only=disagreed // 2, people_only=disagreed - disagreed // 2, both_bad=0)

    assert tells_little(table.disagreements, table.labelled) is little


def test_people_alone_are_the_plain_mean() -> None:
    found = calibrated_mean(LABELS, JUDGE, [])

    assert (found.value, found.weight) == (pytest.approx(0.625), 0.0)
    assert found.se == pytest.approx(np.std(LABELS, ddof=1) / sqrt(40))


def test_a_judge_that_knows_nothing_or_the_opposite_is_not_believed() -> None:
    assert calibrated_mean(LABELS, [0.5] * 40, [0.5] * 99).weight == 0.0
    assert calibrated_mean(LABELS, [1 - score for score in LABELS], ELSEWHERE).weight == 0.0


def test_versions_swapped_turn_the_difference_round() -> None:
    forth = calibrated_mean(LABEL_DIFFERENCES, JUDGE_DIFFERENCES, DIFFERENCES_ELSEWHERE)
    back = calibrated_mean(
        *([-d for d in side] for side in (LABEL_DIFFERENCES, JUDGE_DIFFERENCES, DIFFERENCES_ELSEWHERE))
    )

    assert (back.value, back.low, back.high) == pytest.approx((-forth.value, -forth.high, -forth.low))


def test_one_label_has_no_limits_and_none_is_refused() -> None:
    assert calibrated_mean([1.0], [1.0], ELSEWHERE).low is None
    with pytest.raises(ValueError, match="not of the same cases"):
        calibrated_mean([1.0], [], ELSEWHERE)


def test_strata_are_weighed_by_their_share_of_the_cases() -> None:
    easy, hard = (
        calibrated_mean([1.0] * 9 + [0.0], [1.0] * 9 + [0.0], ELSEWHERE),
        calibrated_mean(LABELS, JUDGE, ELSEWHERE),
    )

    found = stratified([(0.75, easy), (0.25, hard)])

    assert found.value == pytest.approx(0.75 * easy.value + 0.25 * hard.value)
    assert found.se == pytest.approx(sqrt((0.75 * easy.se) ** 2 + (0.25 * hard.se) ** 2))
    assert (found.low, found.labels) == (pytest.approx(2 * found.value - found.high), 50)
    assert stratified([(1.0, hard)]).high == pytest.approx(hard.high)
    with pytest.raises(ValueError, match="sum to 1"):
        stratified([(0.5, easy)])


def test_both_orders_give_the_reference_numbers() -> None:
    found = swap_analysis(SwapCounts(head=42, base=28, first=22, second=8))

    assert (round(found.position_p, 6), round(found.preference_p, 6)) == (0.016125, 0.119609)
    assert (found.win_rate, found.consistency, found.unsteady) == (0.57, 0.7, True)


def test_no_pairs_prefer_nothing() -> None:
    found = swap_analysis(SwapCounts(0, 0, 0, 0, ties=0))

    assert (found.win_rate, found.consistency, found.preference_p, found.unsteady) == (None, None, None, False)
    assert swap_analysis(SwapCounts(3, 1, 0, 0, ties=4)).win_rate == 0.625


def test_judges_that_say_the_same_are_one_judge() -> None:
    assert effective_jurors(2, [1.0]) == 1.0
    assert effective_jurors(2, [0.0]) == effective_jurors(2, [-0.5]) == 2.0
    assert effective_jurors(2, [None]) is None


@pytest.mark.slow
def test_a_calibrated_mean_covers_and_is_narrower_than_people_alone() -> None:
    # 100 labels, 500 others, 80 % good, a judge that finds 90 % of the good and 80 % of the bad.
    rng = np.random.default_rng(31)
    covered, ours, people = 0, [], []
    for _ in range(1500):
        truth = rng.random(600) < 0.8
        judge = np.where(truth, rng.random(600) < 0.9, rng.random(600) < 0.2)
        labels, on_labelled, elsewhere = (
            part.astype(float).tolist() for part in (truth[:100], judge[:100], judge[100:])
        )
        found = calibrated_mean(labels, on_labelled, elsewhere)
        covered += found.low <= 0.8 <= found.high
        ours.append(found.high - found.low)
        alone = calibrated_mean(labels, on_labelled, [])
        people.append(alone.high - alone.low)

    assert 0.92 <= covered / 1500 <= 0.97
    assert np.mean(ours) == pytest.approx(0.126, abs=0.004)
    assert np.mean(people) == pytest.approx(0.158, abs=0.004)


def test_labels_that_never_disagree_still_leave_doubt() -> None:
    found = rate_of_strata([LabelledStratum(450, 25, 1.0), LabelledStratum(50, 25, 0.0)])

    assert found.value == pytest.approx(0.9)
    assert found.low < 0.85
    assert found.high > 0.91


def test_more_labels_narrow_the_rate() -> None:
    few, many = (rate_of_strata([LabelledStratum(400, n, 0.9), LabelledStratum(100, n, 0.2)]) for n in (20, 80))

    assert many.low > few.low
    assert many.high < few.high
