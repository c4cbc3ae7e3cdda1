"""Intervals of one version's rate, held to the reference numbers at the precision they are printed with."""

import pytest
from scipy.stats import binomtest, sem
from scipy.stats import t as student

from evalh.stats.intervals import (
    clopper_pearson,
    clustered_rate,
    jeffreys,
    mean_interval,
    pass_at_k,
    pass_hat_k,
    variance_split,
    wilson,
)

ROWS = [3 / 3, 2 / 3, 0 / 3, 2 / 3, 3 / 3, 1 / 3]  # 111, 110, 000, 101, 111, 010


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


def test_jeffreys_gives_the_reference_numbers() -> None:
    assert tuple(map(printed, jeffreys(18, 20))) == (0.716147, 0.978628)


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


@pytest.mark.parametrize("interval", [wilson, clopper_pearson, jeffreys])
@pytest.mark.parametrize(("good", "n"), [(-1, 5), (6, 5), (0, -1)])
def test_more_good_than_trials_is_refused(interval, good: int, n: int) -> None:
    with pytest.raises(ValueError, match="is no rate"):
        interval(good, n)


@pytest.mark.parametrize(("good", "end"), [(0, 0), (9, 1)])
def test_jeffreys_keeps_the_end_where_nothing_speaks_against_it(good: int, end: int) -> None:
    assert jeffreys(good, 9)[end] == end


def test_a_clustered_rate_gives_the_reference_numbers() -> None:
    rate = clustered_rate(ROWS, 3)

    assert printed(rate.rate) == 0.611111
    assert printed(rate.se) == 0.159087
    assert printed((rate.rate * (1 - rate.rate) / 18) ** 0.5) == 0.114904
    assert printed(rate.deff) == 1.916883
    assert printed(rate.n_eff) == 9.390244
    assert printed(rate.n_star) == 5.458963
    assert (printed(rate.low), printed(rate.high)) == (0.248568, 0.881868)


def test_the_variance_of_trials_and_of_cases_are_told_apart() -> None:
    split = variance_split(ROWS, 3)

    assert printed(split.within) == 0.166667
    assert printed(split.between) == printed(6 * 0.1590869007**2 - split.within / 3)


def test_trials_that_all_agree_leave_nothing_within_a_case() -> None:
    assert variance_split([1.0, 0.0, 1.0], 4).within == 0.0


def test_more_noise_in_a_case_than_between_cases_leaves_nothing_between() -> None:
    assert variance_split([0.5, 0.5, 0.5], 2).between == 0.0


def test_trials_of_one_case_count_less_than_as_many_cases() -> None:
    of_trials = clustered_rate([1.0, 0.0] * 25, 5)
    naive = wilson(125, 250)

    assert of_trials.high - of_trials.low > 2 * (naive.high - naive.low)


def test_one_case_says_nothing_about_another() -> None:
    rate = clustered_rate([0.8], 5)

    assert (rate.rate, rate.low, rate.high, rate.se) == (0.8, 0.0, 1.0, None)


@pytest.mark.parametrize("value", [0.0, 0.4, 1.0])
def test_cases_without_spread_count_once_each(value: float) -> None:
    rate = clustered_rate([value] * 8, 4)

    assert rate.n_eff == 8
    assert rate.low <= value <= rate.high


@pytest.mark.parametrize(("rates", "trials"), [([], 2), ([1.2], 2), ([-0.1, 0.5], 2), ([0.5], 0)])
def test_what_is_no_rate_is_refused(rates: list[float], trials: int) -> None:
    with pytest.raises(ValueError, match="per-case rates"):
        clustered_rate(rates, trials)


@pytest.mark.parametrize(("rates", "trials"), [([0.5], 3), ([0.5, 1.0], 1)])
def test_a_split_needs_two_cases_and_two_trials(rates: list[float], trials: int) -> None:
    with pytest.raises(ValueError, match="at least two"):
        variance_split(rates, trials)


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
