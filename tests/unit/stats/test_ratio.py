"""Cost per good output, held to the reference numbers at the precision they are printed with."""

import numpy as np
import pytest

from evalh.core.run import Estimate
from evalh.stats.ratio import (
    cost_per_good,
    cost_per_good_ratio,
    fieller,
    moments_of,
)

COSTS = (1, 1.2, 0.9, 1.5, 1.1, 0.8, 1.3, 1)
GOODS = (1, 1, 0, 1, 1, 0, 1, 1)
HEAD_COSTS = (0.5, 0.6, 0.4, 0.9, 0.5, 0.4, 0.7, 0.5)
HEAD_GOODS = (1, 0, 0, 1, 1, 0, 1, 1)


def printed(*numbers: float | None) -> tuple[float | None, ...]:
    return tuple(None if number is None else round(number, 6) for number in numbers)


def test_cost_per_good_gives_the_reference_numbers() -> None:
    cost = cost_per_good(COSTS, GOODS)

    assert printed(cost.value, cost.low, cost.high) == (1.466667, 0.965350, 2.228323)
    assert cost.method == "log-delta"


def test_fieller_gives_the_reference_numbers() -> None:
    assert printed(*fieller(moments_of(COSTS, GOODS))) == (1.052093, 2.703767)


def test_too_few_goods_give_no_finite_upper_limit() -> None:
    costs, goods = (1, 1.1, 0.9, 1.2, 1, 1), (0, 0, 1, 0, 0, 0)

    assert printed(*fieller(moments_of(costs, goods))) == (1.613452, None)
    assert printed(cost_per_good(costs, goods).low, cost_per_good(costs, goods).high) == (1.613452, None)
    assert cost_per_good(costs, goods).method == "fieller"


def test_no_goods_give_only_a_lower_limit() -> None:
    cost = cost_per_good([0.01] * 20, [0] * 20)

    assert (cost.value, cost.high, cost.method) == (None, None, "zero-goods")
    assert printed(cost.low) == (0.071886,)
    assert printed(0.01 / cost.low) == (0.139108,)


def test_trials_of_a_case_do_not_raise_the_lower_limit_of_no_goods() -> None:
    once = cost_per_good([0.01] * 20, [0] * 20)
    thrice = cost_per_good([0.03] * 20, [0] * 20, trials=3)

    assert thrice.low == pytest.approx(once.low)


def test_one_case_has_a_value_and_no_limits() -> None:
    assert cost_per_good([0.5], [2]) == Estimate(0.25, None, None, "one-case")


def test_no_cases_have_nothing() -> None:
    assert cost_per_good([], []) == Estimate(None, None, None, "none")


def test_equal_costs_of_all_good_cases_leave_no_doubt() -> None:
    cost = cost_per_good([0.2] * 9, [1] * 9)

    assert (cost.low, cost.high) == pytest.approx((0.2, 0.2))


def test_what_costs_nothing_costs_nothing_per_good() -> None:
    assert cost_per_good([0.0] * 5, [1, 0, 1, 1, 1]) == Estimate(0.0, 0.0, 0.0, "log-delta")


def test_free_and_hardly_ever_good_is_still_bounded_by_zero_only() -> None:
    assert cost_per_good([0.0] * 6, [0, 0, 1, 0, 0, 0]) == Estimate(0.0, 0.0, None, "fieller")


def test_costs_all_over_the_place_exclude_nothing() -> None:
    assert fieller(moments_of((0, 0, 9, 0), (0, 1, 0, 0))) == (0.0, None)


def test_an_upper_limit_past_any_number_is_none() -> None:
    cost = cost_per_good([1.0, 1.0001], [1.0, 200.0], confidence=0.9999)

    assert cost.high is None


@pytest.mark.parametrize(
    ("costs", "goods"), [([1.0], [1, 0]), ([-1.0], [1]), ([float("nan")], [1]), ([float("inf")], [1]), ([1.0], [-1])]
)
def test_what_cannot_be_a_cost_is_refused(costs: list[float], goods: list[float]) -> None:
    with pytest.raises(ValueError, match=r"not of the same cases|finite"):
        cost_per_good(costs, goods)


def test_a_ratio_gives_the_reference_numbers() -> None:
    ratio = cost_per_good_ratio((COSTS, GOODS), (HEAD_COSTS, HEAD_GOODS))

    assert printed(ratio.value, ratio.low, ratio.high) == (0.613636, 0.389240, 0.967397)


def test_the_sides_swapped_turn_the_answer_round() -> None:
    base, head = (COSTS, GOODS), (HEAD_COSTS, HEAD_GOODS)
    up, down = cost_per_good_ratio(base, head), cost_per_good_ratio(head, base)

    assert (up.low, up.high) == pytest.approx((1 / down.high, 1 / down.low))


def test_a_side_without_goods_has_no_ratio() -> None:
    nothing = ([1.0, 1.0], [0, 0])
    something = ([1.0, 1.0], [1, 1])

    assert cost_per_good_ratio(something, nothing).value is None
    assert cost_per_good_ratio(([0.0, 0.0], [1, 1]), something).value is None


def test_other_cases_are_not_compared() -> None:
    with pytest.raises(ValueError, match="the same cases"):
        cost_per_good_ratio(([1.0, 1.0], [1, 1]), ([1.0], [1]))


@pytest.mark.slow
@pytest.mark.parametrize(("cases", "rate", "sigma"), [(60, 0.8, 0.8), (200, 0.4, 1.2)])
def test_the_interval_covers_the_true_cost_about_as_often_as_it_says(cases: int, rate: float, sigma: float) -> None:
    rng = np.random.default_rng(20)
    truth = float(np.exp(sigma**2 / 2)) / rate
    hits = 0
    for _ in range(1500):
        cost = cost_per_good(rng.lognormal(0, sigma, cases).tolist(), rng.binomial(1, rate, cases).tolist())
        hits += cost.low <= truth <= (cost.high or float("inf"))

    assert 0.90 <= hits / 1500 <= 0.98
