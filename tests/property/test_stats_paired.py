"""What must hold for any two versions over the same cases."""

import pytest
from hypothesis import given as given_any
from hypothesis import settings
from hypothesis import strategies as st

from evalh.stats.multiplicity import benjamini_hochberg, holm
from evalh.stats.paired import Alternative, mcnemar_exact, mcnemar_midp, noninferiority_p, tango_interval
from evalh.stats.permutation import sign_flip_p


def given(**what):
    """Check a claim for any input, without a stopwatch: other work on the machine must not fail it."""
    return lambda claim: settings(deadline=None)(given_any(**what)(claim))


@st.composite
def pairs(draw: st.DrawFn) -> tuple[int, int, int]:
    wins, losses, ties = (draw(st.integers(0, 400)) for _ in range(3))
    return wins, losses, max(1, wins + losses + ties)


@given(pairs=pairs())
def test_labels_swapped_mirror_tangos_interval(pairs) -> None:
    wins, losses, n = pairs

    low, high = tango_interval(wins, losses, n)
    mirrored = tango_interval(losses, wins, n)

    assert -1.0 <= low <= (wins - losses) / n <= high <= 1.0
    assert (low, high) == pytest.approx((-mirrored.high, -mirrored.low), abs=1e-9)


@given(pairs=pairs())
def test_labels_swapped_turn_mcnemar_round(pairs) -> None:
    wins, losses, _ = pairs

    assert mcnemar_exact(wins, losses) == mcnemar_exact(losses, wins)
    assert mcnemar_exact(wins, losses, Alternative.WORSE) == mcnemar_exact(losses, wins, Alternative.BETTER)
    assert 0.0 <= mcnemar_midp(wins, losses) <= mcnemar_exact(wins, losses) <= 1.0


@given(pairs=pairs(), margins=st.tuples(st.floats(0, 0.5), st.floats(0, 0.5)))
def test_a_wider_margin_is_never_harder_to_meet(pairs, margins) -> None:
    narrow, wide = sorted(margins)

    assert noninferiority_p(*pairs, wide) <= noninferiority_p(*pairs, narrow) + 1e-12


@given(differences=st.lists(st.integers(-3, 3).map(lambda third: third / 3), max_size=14))
def test_labels_swapped_turn_sign_flips_round(differences) -> None:
    swapped = [-value for value in differences]

    assert sign_flip_p(differences) == sign_flip_p(swapped)
    assert sign_flip_p(differences, Alternative.WORSE) == sign_flip_p(swapped, Alternative.BETTER)


@given(p_values=st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_adjusting_never_makes_a_p_value_smaller_nor_reorders(p_values) -> None:
    for adjusted in (holm(p_values), benjamini_hochberg(p_values)):
        assert all(1.0 >= after >= before for before, after in zip(p_values, adjusted, strict=True))
        ordered = sorted(zip(p_values, adjusted, strict=True))
        assert [after for _, after in ordered] == sorted(adjusted)
