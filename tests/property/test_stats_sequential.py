"""What must hold of e-values and of the interval after stopping, for any differences."""

from math import inf, isfinite

import pytest
from hypothesis import given as given_any
from hypothesis import settings
from hypothesis import strategies as st

from evalh.core.suite import About
from evalh.stats.eprocess import (
    NOTHING_STAKED,
    Bets,
    DatasetBets,
    mixed,
    no_worse_bets,
    play,
    worse_bets,
)
from evalh.stats.sequential import PairedDifference, SequentialDesign, stopped_interval
from playing import log_e_of_counts, run_through

DIFFERENCES = st.lists(st.floats(-1, 1), max_size=60)
TERNARY = st.lists(st.sampled_from([-1.0, 0.0, 1.0]), max_size=80)
MARGINS = st.floats(0.0, 0.6)
DISCORDANCES = st.floats(0.0, 1.0)


def log_e_of(bets: Bets, differences: list[float]) -> float:
    return mixed(play(bets, NOTHING_STAKED, differences))


def given(**what):
    """Check a claim for any input, without a stopwatch: other work on the machine must not fail it."""
    return lambda claim: settings(deadline=None, max_examples=60)(given_any(**what)(claim))


@given(differences=TERNARY, margin=MARGINS, discordance=DISCORDANCES, data=st.data())
def test_only_the_numbers_of_wins_and_losses_matter(differences, margin, discordance, data) -> None:
    shuffled = data.draw(st.permutations(differences))
    counts = [differences.count(value) for value in (1.0, 0.0, -1.0)]
    for bets in (no_worse_bets(margin, discordance), worse_bets(margin, discordance)):
        assert log_e_of(bets, differences) == log_e_of(bets, shuffled)
        assert log_e_of(bets, differences) == pytest.approx(log_e_of_counts(bets, *counts), abs=1e-9)


@given(differences=DIFFERENCES, margin=MARGINS, discordance=DISCORDANCES)
def test_an_e_value_is_never_negative_nor_lost(differences, margin, discordance) -> None:
    for bets in (no_worse_bets(margin, discordance), worse_bets(margin, discordance)):
        assert isfinite(log_e_of(bets, differences))


@given(differences=DIFFERENCES, discordance=DISCORDANCES)
def test_labels_swapped_turn_the_bets_round(differences, discordance) -> None:
    # With no margin, "head is better" and "head is worse" are one question asked from both sides.
    worse = worse_bets(0.0, discordance)
    better = Bets(worse.fractions, 0.0, 1)

    assert log_e_of(worse, differences) == log_e_of(better, [-value for value in differences])
    assert no_worse_bets(0.0, discordance).shift == 0.0


@given(differences=TERNARY.filter(bool), margin=st.floats(0, 0.3))
def test_over_a_dataset_one_of_the_two_hypotheses_is_never_settled_wrongly(differences, margin) -> None:
    cases = len(differences)
    no_worse = mixed(DatasetBets(cases, margin, 0.1, 1).play(NOTHING_STAKED, 0.0, 0, differences))
    worse = mixed(DatasetBets(cases, margin, 0.1, -1).play(NOTHING_STAKED, 0.0, 0, differences))
    total, bound = sum(differences), -margin * cases

    assert not (no_worse == inf and total < bound - 1e-9)
    assert not (worse == inf and total > bound + 1e-9)


@given(differences=TERNARY, margin=st.floats(0, 0.3))
def test_a_higher_confidence_widens_the_interval(differences, margin) -> None:
    seen = [PairedDifference(value, value) for value in differences]
    designs = (SequentialDesign(cases=len(seen) + 1, margin=margin, alpha=alpha) for alpha in (0.1, 0.01))
    inner, outer = (stopped_interval(design, seen) for design in designs)

    assert -1 <= outer.low <= inner.low + 1e-9
    assert inner.low <= inner.high <= outer.high + 1e-9
    assert outer.high <= 1


@given(
    outcomes=st.lists(st.tuples(st.integers(-1, 1), st.booleans()), min_size=1, max_size=120),
    target=st.sampled_from(About),
)
def test_a_gate_always_ends_and_ungraded_cases_never_show_more(outcomes, target) -> None:
    design = SequentialDesign(cases=len(outcomes), max_ungraded=1.0, target=target)
    graded = [PairedDifference(value, value) for value, _ in outcomes]
    torn = [PairedDifference(-1.0, 1.0, 2) if lost else PairedDifference(value, value) for value, lost in outcomes]

    state, doubted = run_through(design, graded), run_through(design, torn)

    assert state.stop is not None
    assert doubted.stop is not None
    first = min(state.seen, doubted.seen, 25)
    if first == state.seen == doubted.seen:
        assert doubted.log_e_no_worse <= state.log_e_no_worse + 1e-9 or target is About.DATASET
        assert doubted.log_e_worse <= state.log_e_worse + 1e-9 or target is About.DATASET
