"""A panel's numbers, counted as votes come in, are those of the whole table."""

from itertools import combinations
from statistics import correlation, fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalh.analysis.calibration.panel import Jurors


def votes(row: list[int]) -> list[dict[str, object]]:
    return [
        {"juror": f"j{number}", "outcome": "pass" if one else "fail", "score": float(one), "cost_usd": 0.5}
        for number, one in enumerate(row)
    ]


@given(st.lists(st.lists(st.integers(0, 1), min_size=3, max_size=3), min_size=1, max_size=40))
def test_effective_jurors_are_those_of_the_whole_table(table: list[list[int]]) -> None:
    jurors = Jurors()
    for row in table:
        jurors.add(votes(row))

    told = jurors.document()
    assert told is not None
    pairs = [pair for pair in combinations(zip(*table, strict=True), 2) if all(len(set(votes)) > 1 for votes in pair)]
    rho = fmean(correlation(*pair) for pair in pairs) if pairs else None
    assert told["effective"] == (None if rho is None else pytest.approx(3 / (1 + 2 * max(0.0, rho))))
    assert told["agreement"] == sum(len(set(row)) == 1 for row in table) / len(table)
    assert [one["pass"] for one in told["jurors"]] == [sum(column) for column in zip(*table, strict=True)]
    assert [one["cost_usd"] for one in told["jurors"]] == [0.5 * len(table)] * 3


def test_jurors_that_always_say_the_same_are_one() -> None:
    jurors = Jurors()
    for one in (0, 1, 1, 0):
        jurors.add(votes([one] * 3))

    told = jurors.document()
    assert told is not None
    assert (told["effective"], told["agreement"]) == (pytest.approx(1.0), 1.0)


def test_a_missing_vote_is_counted_and_joins_no_agreement() -> None:
    jurors = Jurors()
    jurors.add([*votes([1, 1]), {"juror": "j2", "outcome": "error", "score": None, "cost_usd": None}])

    told = jurors.document()
    assert told is not None
    assert told["agreement"] is None
    assert told["jurors"][2] == {"juror": "j2", "pass": 0, "fail": 0, "error": 1, "cost_usd": 0.0}


def test_no_panel_has_no_numbers() -> None:
    assert Jurors().document() is None
