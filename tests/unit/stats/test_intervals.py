"""Intervals of one version's rate, held to the reference numbers at the precision they are printed with."""

import pytest
from scipy.stats import binomtest, sem
from scipy.stats import t as student

from evalh.stats.intervals import (
    clopper_pearson,
    mean_interval,
    pass_at_k,
    pass_hat_k,
    wilson,
)


def printed(number: float | None) -> float:
    assert number is not None
    return round(number, 6)


@pytest.mark.parametrize(
    ("good", "n", "low", "high"),
    [
        (0, 20, 0.0, 0.161125),
        (18, 20, 0.698966, 0.972134),
        (45, 50, 0.786398, 0.956524),
        (480, 500, 0.939026, 0.973959),
    ],
)
def test_wilson_gives_the_reference_numbers(good: int, n: int, low: float, high: float) -> None:
    assert tuple(map(printed, wilson(good, n))) == (low, high)


@pytest.mark.parametrize(("good", "n", "low", "high"), [(0, 20, 0.0, 0.168433), (18, 20, 0.683017, 0.987651)])
def test_clopper_pearson_gives_the_reference_numbers(good: int, n: int, low: float, high: float) -> None:
    assert tuple(map(printed, clopper_pearson(good, n))) == (low, high)


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
@pytest.mark.parametrize(("good", "n"), [(0, 1), (1, 1), (0, 7), (3, 7), (7, 7), (286, 1319)])
def test_wilson_and_clopper_pearson_are_scipys(good: int, n: int, confidence: float) -> None:
    theirs = binomtest(good, n)

    score = theirs.proportion_ci(confidence, method="wilson")
    exact = theirs.proportion_ci(confidence, method="exact")

    assert wilson(good, n, confidence) == pytest.approx((score.low, score.high), abs=1e-12)
    assert clopper_pearson(good, n, confidence) == pytest.approx((exact.low, exact.high), abs=1e-12)


@pytest.mark.parametrize("n", [10, 35, 43, 49])  # where rounding would leave a limit beside 0 or 1
def test_nothing_good_and_nothing_bad_reach_the_end_exactly(n: int) -> None:
    assert wilson(0, n).low == 0.0
    assert wilson(n, n).high == 1.0


@pytest.mark.parametrize("interval", [wilson, clopper_pearson])
def test_without_trials_nothing_is_known(interval) -> None:
    assert interval(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize("interval", [wilson, clopper_pearson])
@pytest.mark.parametrize(("good", "n"), [(-1, 5), (6, 5), (0, -1)])
def test_more_good_than_trials_is_refused(interval, good: int, n: int) -> None:
    with pytest.raises(ValueError, match="is not a rate"):
        interval(good, n)


def test_a_mean_of_scores_is_bounded_by_students_t() -> None:
    scores = [0.2, 0.9, 0.4, 0.4, 1.0]

    theirs = student.interval(0.95, 4, loc=0.58, scale=sem(scores))

    assert mean_interval(scores) == pytest.approx(theirs, rel=1e-9)


def test_the_mean_of_one_score_has_no_interval() -> None:
    with pytest.raises(ValueError, match="at least two"):
        mean_interval([0.5])


def test_pass_at_k_and_pass_hat_k_give_the_reference_numbers() -> None:
    assert printed(pass_at_k(10, 3, 5)) == 0.916667
    assert printed(pass_hat_k(10, 8, 4)) == 0.333333
    assert printed(pass_hat_k(5, 4, 2)) == 0.6


@pytest.mark.parametrize(("trials", "good", "k"), [(3, 1, 4), (3, 1, 0), (3, 4, 2), (3, -1, 2)])
@pytest.mark.parametrize("estimate", [pass_at_k, pass_hat_k])
def test_k_beyond_the_trials_is_refused(estimate, trials: int, good: int, k: int) -> None:
    with pytest.raises(ValueError, match="do not fit"):
        estimate(trials, good, k)
