"""Amounts in dollars, written in full."""

from decimal import Decimal

import pytest

from evalh.core.money import in_dollars


@pytest.mark.parametrize(
    ("amount", "told"),
    [
        ("2", "$2.00"),
        ("2.0", "$2.00"),
        ("0.5", "$0.50"),
        ("0.0050", "$0.0050"),
        ("1E+3", "$1000.00"),
        ("0.00000012", "$0.00000012"),
        ("0", "$0.00"),
    ],
)
def test_an_exact_amount_is_written_in_full(amount: str, told: str) -> None:
    assert in_dollars(Decimal(amount)) == told
