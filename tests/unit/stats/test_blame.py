"""What replacing steps' outputs says of them: by hand, and played many times."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalh.stats.blame import FEWEST_MOVED, LARGEST_GAME, effect, halfway, leading_steps, rises, shapley
from evalh.stats.intervals import mean_interval

SIX = [(0, 0.5, 1), (0, 0, 1), (0.5, 0.5, 1), (0, 0, 0.5), (0, 0.5, 0.5), (1, 1, 1)]


def test_rises_add_up_to_what_all_replacements_do() -> None:
    assert rises([0.1, 0.1, 0.7, 0.9]) == pytest.approx([0, 0.6, 0.2])


def test_six_cases_by_hand() -> None:
    first, second = zip(*map(rises, SIX), strict=True)

    assert mean_interval(first) == pytest.approx((-0.104296, 0.437630), abs=1e-6)
    assert mean_interval(second) == pytest.approx((0.021673, 0.811660), abs=1e-6)
    assert (effect(first).mean, effect(second).mean) == pytest.approx((0.166667, 0.416667), abs=1e-6)
    assert 1 - sum(rates[-1] for rates in SIX) / 6 == pytest.approx(0.166667, abs=1e-6)


def test_few_changed_cases_are_counted_and_have_no_interval() -> None:
    one = effect([0.5, 0.5, -1, 1, 0, 0, 0, 0])

    assert (one.low, one.high, one.raised, one.lowered) == (None, None, 3, 1)
    assert not one.above_zero
    assert not one.below_zero
    moved = [1.0] * FEWEST_MOVED + [0.0] * 3
    assert (effect(moved).low, effect(moved).high) == mean_interval(moved)


def test_no_case_has_no_effect() -> None:
    with pytest.raises(ValueError, match="no case"):
        effect([])


def test_a_step_that_loses_most_is_named_alone() -> None:
    assert leading_steps([[1, 1, 1, 1, 1, 1, 1, 1, 0, 0], [0] * 10, [0] * 8 + [1, 0]]) == (0,)


def test_steps_that_lose_alike_cannot_be_distinguished() -> None:
    assert leading_steps([[0.0] * 20, [1.0, 0.0] * 10, [0.0, 1.0] * 10]) == (1, 2)


def test_nothing_is_shown_by_few_cases_or_by_changes_of_both_signs() -> None:
    assert leading_steps([[1.0, 1, 1, 1, 0, 0], [0.0] * 6]) == ()
    assert leading_steps([[1.0, -1] * 5, [0.0] * 10]) == ()


def test_a_named_step_is_adjusted_for_the_number_of_steps() -> None:
    """Six of six cases: p is .03125, which is shown among one step and not among two."""
    assert leading_steps([[1.0, 0.9, 1, 1, 1, 1]]) == (0,)
    assert leading_steps([[1.0, 0.9, 1, 1, 1, 1], [0.0] * 6]) == ()


def test_shapley_and_swaps_by_hand() -> None:
    worth = {"": 0.1, "1": 0.2, "2": 0.5, "3": 0.3, "12": 0.7, "13": 0.35, "23": 0.8, "123": 0.9}

    shares = shapley("123", lambda replaced: worth["".join(sorted(replaced))])

    assert shares == pytest.approx([0.108333, 0.483333, 0.208333], abs=1e-6)
    assert sum(shares) == pytest.approx(0.8)


@given(st.integers(1, 4), st.data())
def test_shapley_is_the_mean_over_all_orders(count: int, data: st.DataObject) -> None:
    steps = [f"s{place}" for place in range(count)]
    worth: dict[frozenset[str], float] = {}

    def rate(replaced: frozenset[str]) -> float:
        if replaced not in worth:
            worth[replaced] = data.draw(st.floats(0, 1))
        return worth[replaced]

    shares = shapley(steps, rate)

    orders = list(permutations(steps))
    for place, step in enumerate(steps):
        gains = [
            rate(frozenset(order[: order.index(step) + 1])) - rate(frozenset(order[: order.index(step)]))
            for order in orders
        ]
        assert shares[place] == pytest.approx(sum(gains) / len(orders), abs=1e-9)


def test_too_many_steps_are_refused() -> None:
    with pytest.raises(ValueError, match="128 sets"):
        shapley([str(place) for place in range(LARGEST_GAME + 1)], lambda _: 0.0)


@given(st.integers(1, 50), st.data())
def test_halving_finds_the_step_in_as_many_probes_as_there_are_bits(steps: int, data: st.DataObject) -> None:
    step = data.draw(st.integers(1, steps))
    bad, good, probes = 0, steps, 0

    while (probe := halfway(bad, good)) is not None:
        probes += 1
        bad, good = (bad, probe) if probe >= step else (probe, good)

    assert good == step
    assert probes <= int(np.ceil(np.log2(steps + 1)))


# -- a chain whose steps have faults of their own and mend those that they are handed

FAULTS = (0.05, 0.20, 0.10, 0.05)
MASKING = (0.0, 0.2, 0.2, 0.2)


def chain_rates(faults: np.ndarray) -> np.ndarray:
    """Return f(0) to f(4) for cases with these chances of a fault at each step, (cases, 4)."""
    rates = []
    for replaced in range(5):
        bad = np.zeros(len(faults))
        for step in range(replaced, 4):
            kept = bad * (1 - MASKING[step])
            bad = kept + faults[:, step] - kept * faults[:, step]
        rates.append(1 - bad)
    return np.array(rates).T


def test_the_chain_by_hand() -> None:
    rates = chain_rates(np.array([FAULTS]))[0].tolist()

    assert rates == pytest.approx([0.747050, 0.764560, 0.874000, 0.950000, 1], abs=1e-6)
    assert rises(rates) == pytest.approx([0.017510, 0.109440, 0.076, 0.05], abs=1e-6)


def hard_cases(rng: np.random.Generator, count: int) -> np.ndarray:
    """Return the rates of cases that failed once: a case's faults are harder or easier, by 1.5 in log-odds."""
    odds = np.log(np.array(FAULTS) / (1 - np.array(FAULTS))) + rng.normal(0, 1.5, (count, 4))
    rates = chain_rates(1 / (1 + np.exp(-odds)))
    return rates[rng.random(count) < 1 - rates[:, 0]]


@pytest.mark.slow
def test_many_failures_were_bad_luck() -> None:
    """Taking f(0) to be 0 would lay .57 on the first step."""
    rates = hard_cases(np.random.default_rng(1), 1_000_000).mean(axis=0)

    assert rates[0] == pytest.approx(0.541, abs=0.004)
    assert rises(rates.tolist()) == pytest.approx([0.0271, 0.1492, 0.1504, 0.1323], abs=0.003)
    assert rates[1] == pytest.approx(0.57, abs=0.005)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cases", "first", "last", "width"),
    [(10, 0.92, 0.80, 0.53), (30, 0.92, 0.88, 0.28), (60, 0.92, 0.90, 0.20), (150, 0.92, 0.90, 0.12)],
)
def test_student_covers_the_rises(cases: int, first: float, last: float, width: float) -> None:
    """Played elsewhere: .95-.96, the last step .87/.92/.94/.93; a percentile bootstrap .85-.95."""
    rng = np.random.default_rng(cases)
    everything = hard_cases(rng, 400_000)
    truth = rises(everything.mean(axis=0).tolist())
    played = 1500
    covered, widths = np.zeros(4), np.zeros(4)
    for _ in range(played):
        chosen = everything[rng.integers(0, len(everything), cases)]
        seen = rng.binomial(3, chosen) / 3
        for step in range(4):
            low, high = mean_interval((seen[:, step + 1] - seen[:, step]).tolist())
            covered[step] += low <= truth[step] <= high
            widths[step] += high - low

    assert (covered[:3] / played >= first).all(), covered / played
    assert covered[3] / played >= last, covered / played
    assert widths[1:3].mean() / played == pytest.approx(width, rel=0.2)


@pytest.mark.slow
def test_a_step_without_effect_is_rarely_named() -> None:
    """Three steps with equal effects: naming one of them is an error, whichever it is."""
    rng = np.random.default_rng(5)
    named = 0
    for _ in range(400):
        changes = np.sign(rng.random((3, 40)) - 0.3) * (rng.random((3, 40)) < 0.3)
        named += len(leading_steps(changes.tolist())) == 1

    assert named / 400 <= 0.05 + 0.03
