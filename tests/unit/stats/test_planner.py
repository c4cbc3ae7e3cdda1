"""How many cases a question needs, held to the reference numbers."""

import pytest

from evalh.stats.planner import (
    ScoreSpread,
    cases_for_difference,
    cases_for_noninferiority,
    cases_for_score_difference,
    margin_is_thin,
    power_for_difference,
    smallest_difference,
    smallest_score_difference,
)


def test_connor_gives_the_reference_numbers() -> None:
    assert round(cases_for_difference(0.1, 0.05), 2) == 245.20
    assert round(cases_for_difference(0.1, -0.03), 2) == 684.86
    assert round(cases_for_difference(0.1, 0.05, two_sided=True), 2) == 311.59


def test_noninferiority_gives_the_reference_numbers() -> None:
    assert round(cases_for_noninferiority(0.1, 0.05), 2) == 247.30
    assert round(cases_for_noninferiority(0.1, 0.03), 2) == 686.95


def test_scores_give_millers_number() -> None:
    spread = ScoreSpread(between=1 / 9, within_base=0.0, within_head=0.0)

    assert cases_for_score_difference(0.03, 1, spread) == pytest.approx(968.998, abs=1e-3)
    assert smallest_score_difference(969, 1, spread) == pytest.approx(0.03, abs=1e-6)


def test_trials_help_only_against_the_noise_within_a_case() -> None:
    spread = ScoreSpread(between=0.04, within_base=0.1, within_head=0.1)

    once, often = (smallest_score_difference(200, trials, spread) for trials in (1, 1000))

    assert often < once
    assert often > smallest_score_difference(200, 1, ScoreSpread(0.039, 0.0, 0.0))


def test_the_smallest_difference_is_the_one_that_needs_all_cases() -> None:
    found = smallest_difference(245, 0.1)

    assert found == pytest.approx(0.05, abs=1e-4)
    assert cases_for_difference(0.1, found) == pytest.approx(245)
    assert power_for_difference(245, 0.1, found) == pytest.approx(0.8)


def test_few_cases_see_only_drops_beyond_the_usual_disagreement() -> None:
    found = smallest_difference(12, 0.1)

    assert found > 0.1
    assert cases_for_difference(found, found) == pytest.approx(12)
    assert smallest_difference(2, 0.1) is None


def test_a_thin_margin_is_named() -> None:
    assert margin_is_thin(100, 0.1, 0.05)
    assert not margin_is_thin(500, 0.1, 0.05)


def test_what_no_number_of_cases_shows_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        cases_for_difference(0.1, 0.2)
    with pytest.raises(ValueError, match="does not fit"):
        cases_for_difference(0.1, 0.0)
    with pytest.raises(ValueError, match="no number of cases"):
        cases_for_noninferiority(0.1, 0.05, difference=-0.05)
    with pytest.raises(ValueError, match="levels and powers"):
        cases_for_difference(0.1, 0.05, power=1.0)
