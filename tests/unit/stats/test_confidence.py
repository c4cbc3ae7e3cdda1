"""Confidence scores and the thresholds they carry, held to the reference numbers."""

import numpy as np
import pytest
from scipy.stats import binomtest, mannwhitneyu

from evalh.stats.acceptance import conformal_acceptance, grid, learn_then_test
from evalh.stats.confidence import (
    auroc,
    auroc_difference,
    average_precision,
    brier,
    calibration_error,
    calibration_error_of_widths,
    critique_score,
    error_precision,
    excess_risk_coverage_area,
    risk_coverage_area,
)

SCORES = (0.95, 0.9, 0.9, 0.8, 0.75, 0.6, 0.55, 0.4, 0.3, 0.2)
GOOD = (1, 1, 0, 1, 1, 1, 0, 1, 0, 0)


def test_ranking_gives_the_reference_numbers() -> None:
    found = auroc(SCORES, GOOD, 0.5)

    assert round(found.value, 6) == 0.770833
    assert round((found.high - found.value) / 0.6744897501960817, 6) == 0.190485
    assert round(average_precision(SCORES, GOOD), 6) == 0.8
    assert round(error_precision(SCORES, GOOD), 6) == 0.798611


def test_probabilities_give_the_reference_numbers() -> None:
    assert round(brier(SCORES, GOOD), 5) == 0.18775
    assert round(calibration_error_of_widths(SCORES, GOOD, bins=5), 6) == 0.175
    assert round(calibration_error(SCORES, GOOD, bins=5), 6) == 0.235


def test_selective_risk_gives_the_reference_numbers() -> None:
    assert round(risk_coverage_area(SCORES, GOOD), 6) == 0.246905
    assert round(excess_risk_coverage_area(SCORES, GOOD), 6) == 0.134286


def test_ranking_is_mann_whitneys_statistic() -> None:
    rng = np.random.default_rng(6)
    good = rng.integers(0, 2, 300)
    scores = (rng.integers(0, 12, 300) + 3 * good) / 15

    u, _ = mannwhitneyu(scores[good == 1], scores[good == 0])

    assert auroc(scores.tolist(), good.tolist()).value == pytest.approx(u / (good.sum() * (300 - good.sum())))


def test_delongs_error_is_that_of_many_repetitions() -> None:
    rng = np.random.default_rng(7)
    found = [
        auroc((rng.normal(size=120) + np.arange(120) % 2).tolist(), (np.arange(120) % 2).tolist()) for _ in range(300)
    ]

    errors = [(one.high - one.low) / 2 / 1.959964 for one in found]
    assert np.mean(errors) == pytest.approx(np.std([one.value for one in found]), rel=0.12)


def test_a_score_adds_nothing_to_itself_and_something_to_noise() -> None:
    same = auroc_difference(SCORES, SCORES, GOOD)
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)

    rng = np.random.default_rng(2)
    good = rng.integers(0, 2, 400)
    telling, noise = (good + rng.normal(size=400)).tolist(), rng.normal(size=400).tolist()
    gained = auroc_difference(noise, telling, good.tolist())
    lost = auroc_difference(telling, noise, good.tolist())
    assert gained.low > 0.1
    assert (gained.low, gained.high) == pytest.approx((-lost.high, -lost.low))


def test_the_order_of_the_outputs_changes_nothing() -> None:
    turned = SCORES[::-1], GOOD[::-1]
    for measure in (average_precision, error_precision, brier, calibration_error, risk_coverage_area):
        assert measure(*turned) == pytest.approx(measure(SCORES, GOOD))


def test_the_best_order_leaves_no_excess() -> None:
    assert excess_risk_coverage_area([0.9, 0.8, 0.3], [1, 1, 0]) == 0.0
    assert excess_risk_coverage_area([0.5] * 4, [1, 0, 1, 0]) > 0.0  # one score for all is no order


def test_what_is_not_defined_is_none() -> None:
    assert auroc([0.5, 0.6], [1, 1]) is None
    assert auroc([0.5, 0.6], [1, 0]).low is None
    assert auroc_difference([0.5], [0.5], [0]) is None
    assert average_precision([0.5], [0]) is None
    for measure in (brier, calibration_error, risk_coverage_area, excess_risk_coverage_area):
        assert measure([], []) is None
    with pytest.raises(ValueError, match="good"):
        brier([0.5], [2])


def test_critics_never_leave_all_doubt_or_none() -> None:
    assert [critique_score(agreeing, 3) for agreeing in range(4)] == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert critique_score(0, 0) == 0.5
    with pytest.raises(ValueError, match="cannot agree"):
        critique_score(4, 3)


@pytest.mark.parametrize(
    ("errors", "accepted", "p_value"), [(4, 200, 0.026447), (0, 59, 0.048495), (0, 58, 0.051047), (1, 120, 0.015527)]
)
def test_the_promise_gives_the_reference_numbers(errors: int, accepted: int, p_value: float) -> None:
    good = [0] * errors + [1] * (accepted - errors)
    found = learn_then_test([0.9] * accepted, good, thresholds=[0.5])

    assert (round(found.p_value, 6), found.accepted, found.errors, found.coverage) == (p_value, accepted, errors, 1.0)


def test_45_answers_without_an_error_are_the_fewest_that_promise_anything() -> None:
    assert learn_then_test([0.9] * 44, [1] * 44) is None
    assert learn_then_test([0.9] * 45, [1] * 45).threshold == 0.0


def test_the_first_threshold_that_fails_ends_the_search() -> None:
    # Strict thresholds pass, 0.7 lets ten errors in, and the many right ones below may not make up for them.
    scores = [0.9] * 100 + [0.7] * 10 + [0.5] * 2000
    good = [1] * 100 + [0] * 10 + [1] * 2000

    assert learn_then_test(scores, good).threshold == pytest.approx(0.71)


def test_a_threshold_that_accepts_few_is_passed_over() -> None:
    scores = [0.95] * 5 + [0.8] * 100
    good = [0] * 1 + [1] * 104

    assert learn_then_test(scores, good, risk=0.1).threshold == 0.0


def test_conformal_acceptance_counts_errors_among_all() -> None:
    scores = [index / 100 for index in range(1, 101)]
    good = [0 if index % 10 == 0 else 1 for index in range(1, 101)]

    found = conformal_acceptance(scores, good)

    # (4 + 1) / 101 is the last share below 0.05: the errors at 1.0, 0.9, 0.8 and 0.7.
    assert (found.errors, found.threshold, found.p_value) == (4, pytest.approx(0.61), None)
    assert conformal_acceptance([0.9] * 10, [1] * 10) is None


def test_thresholds_are_fixed_and_come_strict_to_loose() -> None:
    assert grid(4) == [1.0, 0.75, 0.5, 0.25, 0.0]
    with pytest.raises(ValueError, match="strict to loose"):
        learn_then_test([0.5], [1], thresholds=[0.1, 0.2])


@pytest.mark.slow
def test_a_promised_threshold_breaks_its_promise_rarely_and_a_tuned_one_often() -> None:
    # Answers are good with a chance of 0.6 + 0.4 s: accepting from t on, the true risk is 0.4 - 0.2 (1 + t).
    rng = np.random.default_rng(17)
    broken = tuned_broken = 0
    for _ in range(2000):
        scores = rng.random(400)
        good = (rng.random(400) < 0.6 + 0.4 * scores).astype(int)
        found = learn_then_test(scores.tolist(), good.tolist(), risk=0.15)
        broken += found is not None and _true_risk(found.threshold) > 0.15 + 1e-9
        order = np.argsort(-scores)
        risk = (1 - good[order]).cumsum() / np.arange(1, 401)
        loosest = np.flatnonzero((risk <= 0.15) & (np.arange(400) >= 19))
        tuned_broken += bool(len(loosest)) and _true_risk(scores[order][loosest[-1]]) > 0.15

    assert binomtest(broken, 2000).proportion_ci(0.95, "exact").low <= 0.10
    assert broken / 2000 <= 0.11
    assert tuned_broken / 2000 > 0.25


def _true_risk(threshold: float) -> float:
    return 0.4 - 0.2 * (1 + threshold)
