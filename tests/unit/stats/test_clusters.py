"""Cases that are alike count as one cluster, and trials of one case lie inside it."""

from collections import Counter

import numpy as np
import pytest
from scipy.stats import sem

from evalh.stats.clusters import ClusterSum, clustered_rate, grouped
from evalh.stats.intervals import wilson

ROWS = [3 / 3, 2 / 3, 0 / 3, 2 / 3, 3 / 3, 1 / 3]  # 111, 110, 000, 101, 111, 010


def alone(rates: list[float]) -> Counter[ClusterSum]:
    return Counter(ClusterSum(rate, 1) for rate in rates)


def test_a_clustered_rate_gives_the_reference_numbers() -> None:
    rate = clustered_rate(alone(ROWS), 3)

    assert round(rate.rate, 6) == 0.611111
    assert round(rate.se or 0, 6) == 0.159087


def test_the_effective_number_of_samples_is_that_of_the_rates_and_two_more() -> None:
    rate = clustered_rate(alone(ROWS), 3)

    padded = [*ROWS, 0.0, 1.0]
    mean = float(np.mean(padded))
    assert rate.n_eff == pytest.approx(mean * (1 - mean) / sem(padded) ** 2 * 6 / 8)
    assert (rate.low, rate.high) == pytest.approx(tuple(wilson(rate.rate * rate.n_star, rate.n_star)))


def test_trials_of_one_case_count_less_than_as_many_cases() -> None:
    of_trials = clustered_rate(alone([1.0, 0.0] * 25), 5)
    naive = wilson(125, 250)

    assert of_trials.high - of_trials.low > 2 * (naive.high - naive.low)


def test_copies_of_cases_tell_no_more_than_the_cases() -> None:
    few = clustered_rate(alone([1.0, 0.0, 1.0, 1.0, 1.0, 0.0]), 1)
    copies = clustered_rate(Counter(ClusterSum(10 * rate, 10) for rate in [1.0, 0.0, 1.0, 1.0, 1.0, 0.0]), 1)

    assert copies.se == pytest.approx(few.se)
    assert (copies.low, copies.high) == pytest.approx((few.low, few.high), abs=0.02)
    assert copies.n_eff == pytest.approx(few.n_eff, rel=0.1)


def test_clusters_whose_cases_are_independent_lose_little() -> None:
    rng = np.random.default_rng(3)
    clusters = Counter(ClusterSum(float(total), 5) for total in rng.binomial(5, 0.7, 200))

    assert 700 < clustered_rate(clusters, 1).n_eff <= 1000


@pytest.mark.parametrize("cases", [1, 100])
def test_one_cluster_says_nothing_about_another(cases: int) -> None:
    rate = clustered_rate(Counter({ClusterSum(float(cases), cases): 1}), 1)

    assert (rate.rate, rate.low, rate.high, rate.se) == (1.0, 0.0, 1.0, None)


@pytest.mark.parametrize("value", [0.0, 0.4, 1.0])
def test_rates_without_spread_still_have_an_interval(value: float) -> None:
    rate = clustered_rate(alone([value] * 8), 4)

    assert rate.low <= value <= rate.high
    assert rate.high - rate.low > 0.2


@pytest.mark.parametrize(("rates", "trials"), [([], 2), ([1.2], 2), ([-0.1, 0.5], 2), ([0.5], 0)])
def test_what_is_not_a_rate_is_refused(rates: list[float], trials: int) -> None:
    with pytest.raises(ValueError, match="per-case rates"):
        clustered_rate(alone(rates), trials)


def test_cases_that_share_any_name_are_in_one_cluster() -> None:
    assert grouped([["a"], ["b"], ["a", "c"], [], ["c", "d"], ["d"], []]) == [0, 1, 0, 2, 0, 0, 3]


def test_clusters_that_a_later_case_ties_together_become_one() -> None:
    assert grouped([["x"], ["y"], ["x", "y"]]) == [0, 0, 0]
