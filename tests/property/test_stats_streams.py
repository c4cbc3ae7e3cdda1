"""What is counted in a stream is what would have been counted over all values at once."""

import random
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalh.stats.quantiles import Distribution, quantile
from evalh.stats.ratio import CostSums, cost_per_good

COSTS = st.integers(0, 10**9).map(lambda number: Decimal(number) / 10**10)


@given(st.lists(st.tuples(COSTS, st.integers(0, 3)), max_size=40), st.booleans())
def test_sums_say_of_the_cost_of_a_good_output_what_its_cases_say(
    cases: list[tuple[Decimal, int]], backwards: bool
) -> None:
    sums = CostSums()
    for cost, good in reversed(cases) if backwards else cases:
        sums.add(cost, good)

    found = sums.cost_per_good()

    plain = cost_per_good([float(cost) for cost, _ in cases], [float(good) for _, good in cases])
    assert found.method == plain.method
    for one, other in ((found.value, plain.value), (found.low, plain.low), (found.high, plain.high)):
        assert one == (None if other is None else pytest.approx(other, rel=1e-6, abs=1e-15))


@settings(max_examples=20)
@given(st.lists(st.floats(0, 1e9, allow_subnormal=False), min_size=1, max_size=60), st.floats(0, 1))
def test_a_distribution_is_exact_for_few_values_and_close_for_many(values: list[float], q: float) -> None:
    few, many = Distribution(), Distribution()
    for value in values:
        few.add(value)
    repeated = values * (20_001 // len(values) + 1)
    random.Random(3).shuffle(repeated)
    for value in repeated:
        many.add(value)

    exact, close = quantile(repeated, q), many.quantile(q)

    assert few.quantile(q) == quantile(values, q)
    assert close in values
    assert exact is not None
    assert close is not None
    assert exact * (1 - 1 / 1024) <= close <= exact
