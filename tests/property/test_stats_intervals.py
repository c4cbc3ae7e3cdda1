"""What must hold for any numbers, of every interval."""

import math
from collections import Counter

import pytest
from hypothesis import given as given_any
from hypothesis import settings
from hypothesis import strategies as st

from evalh.stats.clusters import ClusterSum, clustered_rate
from evalh.stats.intervals import clopper_pearson, pass_at_k, pass_hat_k, wilson
from evalh.stats.quantiles import quantile
from evalh.stats.ratio import cost_per_good, fieller, moments_of


@st.composite
def counts(draw: st.DrawFn) -> tuple[int, int]:
    n = draw(st.integers(1, 5_000))
    return draw(st.integers(0, n)), n


def given(**what):
    """Check a claim for any input, without a stopwatch: other work on the machine must not fail it."""
    return lambda claim: settings(deadline=None)(given_any(**what)(claim))


CONFIDENCES = st.sampled_from([0.5, 0.8, 0.9, 0.95, 0.99, 0.999])
RATES = st.lists(st.integers(0, 3).map(lambda good: good / 3), min_size=1, max_size=60)
CASES = st.lists(st.tuples(st.floats(0, 1e6), st.integers(0, 3)), min_size=1, max_size=40)


@pytest.mark.parametrize("interval", [wilson, clopper_pearson])
@given(counts=counts(), confidence=CONFIDENCES)
def test_an_interval_holds_its_point_and_stays_a_rate(interval, counts, confidence) -> None:
    good, n = counts

    low, high = interval(good, n, confidence)

    assert 0.0 <= low <= high <= 1.0
    assert low <= good / n <= high


@pytest.mark.parametrize("interval", [wilson, clopper_pearson])
@given(counts=counts(), confidences=st.tuples(CONFIDENCES, CONFIDENCES))
def test_more_confidence_never_narrows_an_interval(interval, counts, confidences) -> None:
    less, more = sorted(confidences)

    inner, outer = interval(*counts, less), interval(*counts, more)

    assert outer.low <= inner.low
    assert inner.high <= outer.high


@pytest.mark.parametrize("interval", [wilson, clopper_pearson])
@given(counts=counts(), confidence=CONFIDENCES)
def test_good_and_bad_swapped_mirror_an_interval(interval, counts, confidence) -> None:
    good, n = counts

    low, high = interval(good, n, confidence)
    mirrored = interval(n - good, n, confidence)

    assert (1 - high, 1 - low) == pytest.approx(tuple(mirrored), abs=1e-9)


def alone(rates: list[float]) -> Counter[ClusterSum]:
    return Counter(ClusterSum(rate, 1) for rate in rates)


@given(rates=RATES, seed=st.randoms(use_true_random=False))
def test_the_order_of_cases_moves_no_digit_of_a_rate(rates: list[float], seed) -> None:
    shuffled = list(rates)
    seed.shuffle(shuffled)

    assert clustered_rate(alone(shuffled), 3) == clustered_rate(alone(rates), 3)


@given(rates=RATES, confidence=CONFIDENCES)
def test_a_clustered_interval_holds_its_rate_and_mirrors(rates: list[float], confidence: float) -> None:
    rate = clustered_rate(alone(rates), 3, confidence)
    mirrored = clustered_rate(alone([1 - one for one in rates]), 3, confidence)

    assert 0.0 <= rate.low <= rate.rate <= rate.high <= 1.0
    assert (1 - rate.high, 1 - rate.low) == pytest.approx((mirrored.low, mirrored.high), abs=1e-6)


@given(rates=RATES)
def test_a_clustered_rate_never_claims_more_than_independent_trials(rates: list[float]) -> None:
    rate = clustered_rate(alone(rates), 3)
    independent = wilson(rate.rate * len(rates) * 3, len(rates) * 3)

    assert rate.low <= independent.low + 1e-12
    assert independent.high <= rate.high + 1e-12


@given(cases=CASES, seed=st.randoms(use_true_random=False))
def test_the_order_of_cases_moves_no_digit_of_a_cost(cases, seed) -> None:
    shuffled = list(cases)
    seed.shuffle(shuffled)

    assert cost_per_good(*zip(*shuffled, strict=True)) == cost_per_good(*zip(*cases, strict=True))


@given(cases=CASES)
def test_a_cost_lies_in_its_interval_and_is_never_nan(cases) -> None:
    cost = cost_per_good(*zip(*cases, strict=True))

    assert not any(number is not None and math.isnan(number) for number in (cost.value, cost.low, cost.high))
    if cost.value is not None and cost.low is not None:
        assert 0.0 <= cost.low <= cost.value * (1 + 1e-12)
    if cost.high is not None:
        assert cost.value is not None
        assert cost.value <= cost.high * (1 + 1e-12)


@given(cases=CASES.filter(lambda cases: len(cases) > 1 and any(good for _, good in cases)), confidence=CONFIDENCES)
def test_fieller_holds_the_ratio(cases, confidence: float) -> None:
    costs, goods = zip(*cases, strict=True)
    value = sum(costs) / sum(goods)

    low, high = fieller(moments_of(costs, goods), confidence)

    assert low <= value * (1 + 1e-6)
    assert high is None or value <= high * (1 + 1e-6)


@given(cases=CASES, factor=st.sampled_from([0.001, 7.0, 1e6]))
def test_another_currency_only_scales_a_cost(cases, factor: float) -> None:
    costs, goods = zip(*cases, strict=True)

    here = cost_per_good(costs, goods)
    there = cost_per_good([cost * factor for cost in costs], goods)

    for one, other in ((here.value, there.value), (here.low, there.low)):
        assert (one is None) == (other is None)
        assert one is None or other == pytest.approx(one * factor, rel=1e-6, abs=1e-9)


@given(values=st.lists(st.floats(allow_nan=False), min_size=1), q=st.floats(0, 1))
def test_a_quantile_was_measured_and_bounds_its_share(values: list[float], q: float) -> None:
    found = quantile(values, q)

    assert found in values
    assert sum(value <= found for value in values) >= q * len(values) - 1e-6


@given(trials=st.integers(1, 30), data=st.data())
def test_one_in_k_is_never_harder_than_all_of_k(trials: int, data: st.DataObject) -> None:
    good, k = data.draw(st.integers(0, trials)), data.draw(st.integers(1, trials))

    assert 0.0 <= pass_hat_k(trials, good, k) <= good / trials + 1e-12
    assert good / trials - 1e-12 <= pass_at_k(trials, good, k) <= 1.0
