"""The cost of acting on outputs, and intervals by resampling."""

import pytest

from evalh.stats.downstream import (
    Consequences,
    OutcomePrices,
    chance_of_better,
    crossing_bad_usd,
    net_cost_per_good,
)
from evalh.stats.ratio import cost_per_good

# A real log of two models over 1319 cases: weak and strong both wrong 94, only strong right 383, only weak 95, both 747.
CASES = 1319
WEAK = [0] * 94 + [0] * 383 + [1] * 95 + [1] * 747
STRONG = [0] * 94 + [1] * 383 + [0] * 95 + [1] * 747


def all_accepted(cost: float, good: list[float]) -> Consequences:
    return Consequences(
        cost_usd=[cost] * len(good),
        accepted_good=good,
        accepted_bad=[1 - one for one in good],
        reviewed=[0] * len(good),
    )


def noisy_cascade() -> Consequences:
    """Ask weak, check for 0.05 (accepts 90 % of the good, 20 % of the bad), else ask strong: by expectation."""
    accept = [0.9 if weak else 0.2 for weak in WEAK]
    good = [a * weak + (1 - a) * strong for a, weak, strong in zip(accept, WEAK, STRONG, strict=True)]
    return Consequences(
        cost_usd=[0.01 + 0.05 + (1 - a) for a in accept],
        accepted_good=good,
        accepted_bad=[1 - one for one in good],
        reviewed=[0] * CASES,
    )


def test_net_cost_per_good_gives_the_reference_numbers() -> None:
    prices = OutcomePrices(bad_usd=2.0)

    assert round(net_cost_per_good(all_accepted(0.01, WEAK), prices).value, 6) == 1.148682
    assert round(net_cost_per_good(all_accepted(1.0, STRONG), prices).value, 6) == 1.501770
    assert round(net_cost_per_good(noisy_cascade(), prices).value, 6) == 0.794749


def test_without_consequences_it_is_the_cost_per_good() -> None:
    assert round(net_cost_per_good(all_accepted(0.01, WEAK), OutcomePrices()).value, 6) == 0.015665
    assert net_cost_per_good(all_accepted(1.0, STRONG), OutcomePrices()) == cost_per_good([1.0] * CASES, STRONG)
    assert round(net_cost_per_good(noisy_cascade(), OutcomePrices()).value, 6) == 0.478479


def test_the_preferred_version_flips_at_the_reference_price() -> None:
    weak, cascade = all_accepted(0.01, WEAK), noisy_cascade()
    crossing = crossing_bad_usd(weak, cascade, OutcomePrices())

    assert round(crossing, 4) == 1.7910
    assert crossing_bad_usd(cascade, weak, OutcomePrices()) == pytest.approx(crossing)
    below, at, above = chance_of_better(weak, cascade, OutcomePrices(), [0.5, crossing, 20.0])
    assert below < 0.01
    assert 0.4 < at < 0.6
    assert above > 0.99


def test_a_version_that_is_better_throughout_has_no_crossing() -> None:
    weak = all_accepted(0.01, WEAK)

    assert crossing_bad_usd(all_accepted(1.0, WEAK), weak, OutcomePrices()) is None
    assert crossing_bad_usd(all_accepted(1.0, WEAK), all_accepted(0.5, STRONG), OutcomePrices()) is None
    assert chance_of_better(weak, weak, OutcomePrices(), [0.0, 1.0]) == [0.5, 0.5]


def test_review_abstention_and_worth_are_counted() -> None:
    version = Consequences(
        cost_usd=[0.1, 0.1, 0.1], accepted_good=[1, 0, 0], accepted_bad=[0, 1, 0], reviewed=[0, 1, 1]
    )
    prices = OutcomePrices(bad_usd=5.0, review_usd=2.0, abstain_usd=1.0, good_usd=3.0)

    assert version.costs(prices) == pytest.approx([0.1, 7.1, 3.1])
    assert version.net_losses(prices) == pytest.approx([-2.9, 7.1, 3.1])
    with pytest.raises(ValueError, match="the same cases"):
        Consequences(cost_usd=[0.1], accepted_good=[], accepted_bad=[0], reviewed=[0])
