"""Two versions over the same cases, held to the reference numbers and to statsmodels."""

import pytest
from scipy.stats import ttest_1samp
from statsmodels.stats.contingency_tables import mcnemar

from evalh.stats.intervals import mean_interval
from evalh.stats.paired import (
    Alternative,
    mcnemar_exact,
    mcnemar_midp,
    noninferiority_p,
    t_statistic,
    t_test_p,
    tango_interval,
    tango_statistic,
)

SCORES = (0, -0.5, 0, -0.5, 0, 0, -1, 0)


def printed(*numbers: float) -> tuple[float, ...]:
    return tuple(round(number, 6) for number in numbers)


@pytest.mark.parametrize(
    ("wins", "losses", "exact", "midp"),
    [
        (10, 2, 0.038574, 0.022461),
        (15, 5, 0.041389, 0.026604),
        (7, 1, 0.070312, 0.039063),
        (12, 37, 0.000470, 0.000306),
    ],
)
def test_mcnemar_gives_the_reference_numbers(wins: int, losses: int, exact: float, midp: float) -> None:
    assert (mcnemar_exact(wins, losses), mcnemar_midp(wins, losses)) == pytest.approx((exact, midp), abs=5.1e-7)
    assert mcnemar_exact(wins, losses) == pytest.approx(mcnemar([[0, wins], [losses, 0]], exact=True).pvalue)


def test_one_sided_tests_ask_for_one_direction() -> None:
    assert mcnemar_exact(1, 7, Alternative.WORSE) == pytest.approx(mcnemar_exact(1, 7) / 2)
    assert mcnemar_exact(1, 7, Alternative.BETTER) == pytest.approx(255 / 256)
    assert mcnemar_midp(1, 7, Alternative.WORSE) == mcnemar_midp(7, 1, Alternative.BETTER)


def test_many_discordant_cases_are_no_other_test() -> None:
    below, above = (mcnemar_exact(half - 60, half + 60) for half in (1999, 2002))

    assert below == pytest.approx(above, rel=0.02)
    assert mcnemar_midp(2002 - 60, 2002 + 60) == pytest.approx(above, rel=0.1)


@pytest.mark.parametrize("test", [mcnemar_exact, mcnemar_midp])
def test_no_discordant_case_is_no_evidence(test) -> None:
    assert test(0, 0) == 1.0
    assert test(4, 4) == 1.0


def test_five_losses_and_nothing_else_are_the_first_that_block() -> None:
    assert mcnemar_exact(0, 4, Alternative.WORSE) > 0.05 > mcnemar_exact(0, 5, Alternative.WORSE)


@pytest.mark.parametrize(
    ("wins", "losses", "n", "low", "high"),
    [
        (1, 7, 21, -0.517232, -0.026003),
        (12, 37, 500, -0.079097, -0.023523),
        (10, 2, 100, 0.014296, 0.158040),
        (0, 0, 50, -0.071348, 0.071348),
    ],
)
def test_tango_gives_the_reference_numbers(wins: int, losses: int, n: int, low: float, high: float) -> None:
    assert printed(*tango_interval(wins, losses, n)) == (low, high)


def test_the_limits_are_the_differences_that_the_score_test_just_rejects() -> None:
    low, high = tango_interval(12, 37, 500)

    assert tango_statistic(12, 37, 500, low) == pytest.approx(1.959964)
    assert tango_statistic(12, 37, 500, high) == pytest.approx(-1.959964)


def test_head_losing_everything_reaches_the_end_of_the_scale() -> None:
    low, high = tango_interval(0, 20, 20)

    assert low == -1.0
    assert -1.0 < high < -0.5
    assert tango_interval(0, 0, 0) == (-1.0, 1.0)


def test_noninferiority_gives_the_reference_numbers() -> None:
    assert printed(tango_statistic(20, 25, 500, -0.05)) == (2.765841,)
    assert printed(noninferiority_p(20, 25, 500, 0.05)) == (0.002839,)


def test_scores_give_the_reference_numbers() -> None:
    assert printed(t_statistic(SCORES), t_test_p(SCORES)) == (-1.870829, 0.103552)

    interval = ttest_1samp(SCORES, 0).confidence_interval(0.95)
    assert mean_interval(SCORES) == pytest.approx((interval.low, interval.high))


def test_equal_differences_leave_no_doubt() -> None:
    assert t_test_p([0.25] * 6) == 0.0
    assert t_test_p([0.0] * 6) == 1.0


@pytest.mark.parametrize("counts", [(-1, 2, 10), (6, 5, 10)])
def test_counts_that_do_not_fit_are_refused(counts) -> None:
    with pytest.raises(ValueError, match="do not fit"):
        tango_interval(*counts)
