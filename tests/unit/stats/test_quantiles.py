"""Quantiles are values that were measured."""

from array import array
from fractions import Fraction
from math import ceil

import pytest

from evalh.stats.quantiles import quantile


@pytest.mark.parametrize("count", [1, 2, 19, 20, 100, 101, 1319])
@pytest.mark.parametrize("q", ["0", "0.05", "0.07", "0.1", "0.3", "0.5", "0.95", "0.99", "1"])
def test_the_rank_is_the_exact_one_where_binary_fractions_would_slip(count: int, q: str) -> None:
    values = [float((7919 * place) % count) for place in range(count)]
    rank = max(1, ceil(Fraction(q) * count))  # 0.07 * 100 is 7.000000000000001 in floats, and numpy says rank 8

    assert quantile(values, float(q)) == sorted(values)[rank - 1]


def test_no_values_have_no_quantile() -> None:
    assert quantile([], 0.5) is None
    assert quantile(array("d"), 0.5) is None


def test_the_median_of_two_is_one_of_them() -> None:
    assert quantile([30.0, 10.0], 0.5) == 10.0


@pytest.mark.parametrize("q", [-0.1, 1.1, float("nan")])
def test_what_is_no_share_is_refused(q: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        quantile([1.0], q)
