"""Agreement of raters, held to the reference numbers and to other implementations."""

import krippendorff
import numpy as np
import pytest
from statsmodels.stats.inter_rater import cohens_kappa

from evalh.core.run import Estimate
from evalh.stats.agreement import agreement
from evalh.stats.quantiles import z_critical

# 22 both good, 6 only the judge, 3 only people, 9 both bad.
PAIRS = [(1, 1)] * 22 + [(0, 1)] * 6 + [(1, 0)] * 3 + [(0, 0)] * 9


def test_two_raters_give_the_reference_numbers() -> None:
    found = agreement(PAIRS)

    assert (found.cases, found.raters, found.raw.value) == (40, 2, 0.775)
    assert found.kappa.value == pytest.approx(0.5)
    assert round((found.kappa.high - found.kappa.value) / z_critical(), 6) == 0.142522
    assert (round(found.kappa.low, 6), round(found.kappa.high, 6)) == (0.220662, 0.779338)
    assert round(found.ac1.value, 6) == 0.592990
    assert round(found.alpha.value, 6) == 0.503145


def test_kappa_of_many_labels_is_that_of_statsmodels() -> None:
    rng = np.random.default_rng(4)
    people = rng.integers(0, 4, 90)
    judge = np.where(rng.random(90) < 0.6, people, rng.integers(0, 4, 90))
    table = np.zeros((4, 4))
    np.add.at(table, (people, judge), 1)
    theirs = cohens_kappa(table)

    found = agreement(list(zip(people.tolist(), judge.tolist(), strict=True)))

    assert found.kappa.value == pytest.approx(theirs.kappa)
    assert (found.kappa.high - found.kappa.low) / 2 == pytest.approx(z_critical() * theirs.std_kappa)


def test_alpha_with_gaps_and_many_raters_is_krippendorffs() -> None:
    rng = np.random.default_rng(9)
    truth = rng.integers(0, 3, 50)
    ratings = np.where(rng.random((4, 50)) < 0.7, truth, rng.integers(0, 3, (4, 50))).astype(float)
    ratings[rng.random((4, 50)) < 0.3] = np.nan

    rows = [[None if np.isnan(label) else int(label) for label in column] for column in ratings.T]

    found = agreement(rows)
    assert found.alpha.value == pytest.approx(krippendorff.alpha(ratings, level_of_measurement="nominal"))
    assert found.kappa is None
    assert found.raters == 4
    assert found.cases == int((~np.isnan(ratings)).sum(axis=0).clip(max=2).__eq__(2).sum())


def test_ac1_stands_where_kappa_breaks_down() -> None:
    # 94 of 100 agree, nearly all on one label: kappa calls it chance.
    found = agreement([("ok", "ok")] * 94 + [("ok", "bad")] * 3 + [("bad", "ok")] * 3)

    assert found.kappa.value < 0
    assert found.ac1.value > 0.93


def test_limits_hold_the_value_and_narrow_with_more_cases() -> None:
    few, many = agreement(PAIRS), agreement(PAIRS * 9)

    for wide, narrow in ((few.raw, many.raw), (few.ac1, many.ac1), (few.alpha, many.alpha)):
        assert wide.low < narrow.low < narrow.value < narrow.high < wide.high
    assert (few.alpha.low, few.alpha.high) == pytest.approx((few.kappa.low, few.kappa.high), abs=0.06)


def test_neither_the_order_of_cases_nor_of_raters_nor_a_rerun_changes_a_digit() -> None:
    found = agreement(PAIRS, seed=3)

    assert agreement(PAIRS[::-1], seed=3) == found
    turned = agreement([pair[::-1] for pair in PAIRS], seed=3)
    assert (turned.raw.value, turned.ac1.value) == (found.raw.value, pytest.approx(found.ac1.value))


def test_cases_with_one_label_say_nothing() -> None:
    assert agreement([*PAIRS, (1, None), (None, 0), (None, None)]) == agreement(PAIRS)


def test_one_label_throughout_is_agreement_that_chance_explains() -> None:
    found = agreement([("ok", "ok")] * 10)

    assert (found.raw.value, found.ac1.value) == (1.0, 1.0)
    assert (found.kappa.value, found.alpha.value) == (None, None)


def test_nothing_rated_is_nothing_known() -> None:
    found = agreement([(None, 1)])

    assert (found.cases, found.raw, found.kappa.value) == (0, Estimate(None, None, None, "case-bootstrap"), None)
    assert agreement([]).cases == 0


@pytest.mark.parametrize("ratings", [[(1,)], [(1, 0), (1, 0, 1)]])
def test_what_is_no_rating_of_two_is_refused(ratings) -> None:
    with pytest.raises(ValueError, match="two or more raters"):
        agreement(ratings)
