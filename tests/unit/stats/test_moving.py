"""The smallest move that so many cases show: exact, checked by its definition and by a simulation."""

from math import comb
from typing import Any

import numpy as np
import pytest

from evalh.stats.intervals import clopper_pearson
from evalh.stats.paired import mcnemar_exact, smallest_move


def power(cases: int, discordance: float, move: float, alpha: float) -> float:
    """By its definition: over every number of wins and losses."""
    win, lose = (discordance + move) / 2, (discordance - move) / 2
    return sum(
        comb(cases, wins)
        * comb(cases - wins, losses)
        * win**wins
        * lose**losses
        * (1 - win - lose) ** (cases - wins - losses)
        for wins in range(cases + 1)
        for losses in range(cases - wins + 1)
        if mcnemar_exact(wins, losses) <= alpha
    )


@pytest.mark.parametrize(("cases", "alpha"), [(12, 0.05), (30, 0.05), (30, 0.01), (45, 0.05)])
def test_it_is_the_smallest_with_four_in_five(cases: int, alpha: float) -> None:
    move = smallest_move(cases, 0.1, alpha)

    assert move is not None
    assert power(cases, max(0.1, move), move, alpha) == pytest.approx(0.8, abs=0.002)


def test_few_cases_show_nothing() -> None:
    assert smallest_move(5, 0.1, 0.05) is None  # 5 of 5 against the rest: p = 0.0625
    assert smallest_move(6, 0.1, 0.05) is not None
    assert smallest_move(0, 0.1, 0.05) is None


def test_the_test_errs_no_more_often_than_it_says() -> None:
    alpha = 0.05

    sizes = [power(cases, discordance, 0.0, alpha) for cases in (10, 30, 45) for discordance in (0.02, 0.1, 0.4, 1.0)]

    assert max(sizes) <= alpha
    assert max(sizes) > 0.02  # which a test that never speaks would not reach


def refused(base: Any, head: Any) -> bool:
    """As a gate does: look at every 25th case, refuse at the first look at which the bets have won."""
    differences = head - base
    bets, weights = (0.25, 0.5, 0.9), (0.25, 0.5, 0.25)
    for seen in range(25, len(base) + 1, 25):
        wins, losses = int((differences[:seen] > 0).sum()), int((differences[:seen] < 0).sum())
        terms = zip(weights, bets, strict=True)
        if sum(weight * (1 + bet) ** losses * (1 - bet) ** wins for weight, bet in terms) >= 20:
            return True
    return False


@pytest.mark.slow
def test_a_canary_makes_no_harmless_change_be_refused_more_often() -> None:
    dice = np.random.default_rng(7)
    gates, cases, good = 3000, 150, 0.7
    alarms = kept = watched = 0
    for _ in range(gates):
        base, head, fresh_base, fresh_head = (dice.random((4, cases)) < good).astype(int)
        again = (dice.random(30) < good).astype(int) - base[dice.permutation(cases)[:30]]
        alarm = mcnemar_exact(int((again > 0).sum()), int((again < 0).sum())) <= 0.05
        as_kept = refused(base, head)
        alarms += alarm
        kept += as_kept
        watched += refused(fresh_base, fresh_head) if alarm else as_kept

    assert clopper_pearson(alarms, gates).high < 0.05
    assert alarms > 0.01 * gates
    assert clopper_pearson(watched, gates).high < 0.05
    assert abs(watched - kept) < 0.0025 * gates
