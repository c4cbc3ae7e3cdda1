"""Bets, e-values and the interval after stopping, held to the reference numbers."""

from collections.abc import Sequence
from itertools import permutations, product
from math import exp, inf, log

import pytest

from evalh.stats.eprocess import (
    NOTHING_STAKED,
    Bets,
    DatasetBets,
    best_to_come,
    mixed,
    no_worse_bets,
    p_value,
    play,
    worse_bets,
)
from playing import log_e_of_counts

NO_WORSE, WORSE = no_worse_bets(0.05, 0.1), worse_bets(0.05, 0.1)
SHORT = (0, 0, -1, 0, 1, 1, 0, 0, 1, 0)


def log_e_of(bets: Bets, differences: Sequence[float]) -> float:
    return mixed(play(bets, NOTHING_STAKED, differences))


def e_of(bets: Bets, *counts: int) -> float:
    return round(exp(log_e_of_counts(bets, *counts)), 6)


def test_the_bets_are_the_reference_numbers() -> None:
    assert tuple(round(fraction, 7) for fraction in NO_WORSE.fractions) == (0.2439024, 0.4878049, 0.9473684)
    assert WORSE.fractions == pytest.approx((0.25, 0.5, 0.9))


@pytest.mark.parametrize(
    ("counts", "no_worse", "worse"),
    [
        ((5, 93, 2), 17.971991, 0.127862),
        ((1, 94, 5), 0.587055, 3.089667),
        ((2, 90, 8), 0.211292, 4.466393),
        ((8, 190, 7), 19.540959, 0.152715),
        ((0, 75, 0), 11.710237, 1.0),
    ],
)
def test_e_values_are_the_reference_numbers(counts, no_worse: float, worse: float) -> None:
    assert (e_of(NO_WORSE, *counts), e_of(WORSE, *counts)) == (no_worse, worse)


def test_agreement_throughout_shows_no_worse_at_89_cases() -> None:
    assert e_of(NO_WORSE, 0, 88, 0) < 20 <= e_of(NO_WORSE, 0, 89, 0)


def test_seven_losses_in_a_row_show_worse() -> None:
    assert (e_of(WORSE, 0, 0, 6), e_of(WORSE, 0, 0, 7)) == (18.410457, 32.081855)


def test_one_bet_gives_the_reference_number() -> None:
    assert exp(log_e_of(Bets((0.4, 0.4, 0.4), 0.05, 1), SHORT)) == pytest.approx(1.999206951500339, rel=1e-12)


def test_a_dataset_may_be_played_in_parts() -> None:
    dataset = DatasetBets(20, 0.05, 0.1, -1)

    first = dataset.play(NOTHING_STAKED, 0.0, 0, SHORT[:4])
    both = dataset.play(first, -sum(SHORT[:4]), 4, SHORT[4:])

    assert both == pytest.approx(dataset.play(NOTHING_STAKED, 0.0, 0, SHORT))


def test_what_the_rest_of_a_dataset_cannot_undo_is_settled() -> None:
    # 8 of 10 cases won: even two losses leave a gain of 6.
    won = DatasetBets(10, 0.05, 0.1, 1).play(NOTHING_STAKED, 0.0, 0, [1.0] * 9)
    worse = DatasetBets(10, 0.05, 0.1, -1).play(NOTHING_STAKED, 0.0, 0, [1.0] * 9)

    assert set(won) == {inf}
    assert set(worse) == {-inf}
    assert mixed(won) == inf
    with pytest.raises(ValueError, match="no more"):
        DatasetBets(2, 0.05, 0.1, 1).play(NOTHING_STAKED, 0.0, 0, [0.0] * 3)


@pytest.mark.parametrize("margin", [0.0, 0.05, 0.1])
def test_a_dataset_that_just_lost_the_margin_is_never_settled_as_no_worse(margin: float) -> None:
    # Rounding must not turn "the rest has to lose every case" into "the rest cannot lose enough".
    cases = 40
    losses = round(margin * cases)
    dataset = [0.0] * (cases - losses) + [-1.0] * losses

    logs = DatasetBets(cases, margin, 0.1, 1).play(NOTHING_STAKED, 0.0, 0, dataset)

    assert inf not in logs


# The null hypotheses at their edge: three-valued differences whose mean is -0.05, or 0, and a four-valued one.
POPULATIONS = [
    (NO_WORSE, {1.0: 0.1, 0.0: 0.75, -1.0: 0.15}),
    (NO_WORSE, {1.0: 0.0, 0.0: 0.95, -1.0: 0.05}),
    (NO_WORSE, {1.0: 0.475, -1.0: 0.525}),
    (NO_WORSE, {2 / 3: 0.2, -1 / 3: 0.2, 0.0: 0.3, -1.0: 0.3}),
    (WORSE, {1.0: 0.2, 0.0: 0.6, -1.0: 0.2}),
    (WORSE, {1.0: 0.5, -1.0: 0.5}),
    (WORSE, {0.5: 0.3, -0.25: 0.4, 0.0: 0.2, -0.5: 0.1}),
]


@pytest.mark.parametrize("length", [1, 3, 6])
@pytest.mark.parametrize(("bets", "population"), POPULATIONS)
def test_under_the_hypothesis_the_mean_of_e_is_at_most_one(bets: Bets, population, length: int) -> None:
    mean = 0.0
    for outcome in product(population, repeat=length):
        chance = 1.0
        for value in outcome:
            chance *= population[value]
        mean += chance * exp(log_e_of(bets, outcome))

    assert 0.0 < mean <= 1.0 + 1e-12


@pytest.mark.parametrize(
    ("sign", "dataset"), [(1, (1, 0, -1, -1, 0, 0)), (-1, (1, 1, -1, 0, 0, 0)), (1, (-1, 0, 0, 0, 0, 0))]
)
@pytest.mark.parametrize("seen", [1, 4, 6])
def test_over_all_orders_of_a_dataset_the_mean_of_e_is_at_most_one(sign: int, dataset, seen: int) -> None:
    margin = 1 / 6
    values = [
        exp(mixed(DatasetBets(6, margin, 0.1, sign).play(NOTHING_STAKED, 0.0, 0, order[:seen])))
        for order in permutations(dataset)
    ]
    holds = sign * sum(dataset) <= -sign * margin * 6 + 1e-12

    assert min(values) >= 0.0
    assert not holds or sum(values) / len(values) <= 1.0 + 1e-9


def test_the_best_that_can_come_is_what_comes_when_all_is_won() -> None:
    played = play(NO_WORSE, NOTHING_STAKED, [0.0, -1.0, 0.5])

    assert best_to_come(NO_WORSE, played, 4) == pytest.approx(log_e_of(NO_WORSE, [0.0, -1.0, 0.5] + [1.0] * 4))
    assert best_to_come(WORSE, NOTHING_STAKED, 7) == pytest.approx(log(32.081855), rel=1e-6)


def test_a_p_value_is_one_over_the_e_value() -> None:
    assert (p_value(log(40.0)), p_value(-3.0), p_value(inf)) == (pytest.approx(0.025), 1.0, 0.0)


def test_a_margin_of_nothing_is_still_bet_on() -> None:
    assert log_e_of_counts(no_worse_bets(0.0, 0.1), 30, 0, 0) > log(20)
    with pytest.raises(ValueError, match="a margin"):
        no_worse_bets(1.0, 0.1)
