"""Designs played out: what a gate would have seen."""

from typing import NamedTuple

import numpy as np
import pytest
from msgspec.structs import replace
from scipy.stats import binomtest, norm

from evalh.core.suite import About, Require
from evalh.stats.eprocess import NOTHING_STAKED, DatasetBets, mixed, no_worse_bets, worse_bets
from evalh.stats.planner import (
    Counts,
    cases_needed,
    cases_to_refuse,
    chances_of,
    detectable_drop,
    draw,
    first_shown,
    smallest_difference,
)
from evalh.stats.sequential import Conclusion, PairedDifference, SequentialDesign, findings
from hanging import ends
from playing import log_e_of_counts, run_through

DESIGN = SequentialDesign(cases=500)


class Played(NamedTuple):
    """How a design fared, as shares of all repetitions."""

    no_worse: float  # shown to be no worse first
    worse: float
    cases: float  # looked at on average


def play_out(design: SequentialDesign, difference: float, *, repeats: int = 2000, seed: int = 20) -> Played:
    counts = draw(design.cases, design.batch, chances_of(difference, design.discordance), repeats, seed)
    no_worse, worse = first_shown(design, counts)
    return Played(
        float(((no_worse < worse) & (no_worse < len(counts.seen))).mean()),
        float(((worse <= no_worse) & (worse < len(counts.seen))).mean()),
        float(counts.seen[(no_worse.clip(max=worse)).clip(max=len(counts.seen) - 1)].mean()),
    )


def test_many_e_values_at_once_are_those_one_by_one() -> None:
    counts = draw(110, 25, (0.1, 0.2), 5, seed=3)
    bets = worse_bets(0.05, 0.1)

    assert counts.seen.tolist() == [25, 50, 75, 100, 110]
    for row, values in zip(range(5), counts.log_e(bets), strict=True):
        for seen, win, loss, value in zip(counts.seen, counts.wins[row], counts.losses[row], values, strict=True):
            assert value == pytest.approx(log_e_of_counts(bets, int(win), int(seen - win - loss), int(loss)))


def test_what_is_played_out_is_what_the_gate_does() -> None:
    strict = replace(DESIGN, require=Require.NO_WORSE)
    counts = draw(500, 25, chances_of(-0.03, 0.1), 40, seed=6)
    told = [_told(strict, row, counts) for row in range(40)]
    played = play_out(strict, -0.03, repeats=40, seed=6)

    assert played.no_worse == told.count(Conclusion.NO_WORSE) / 40
    assert played.worse == told.count(Conclusion.WORSE) / 40
    assert 0 < played.no_worse < 1
    assert 0 < played.worse < 1


def _told(design: SequentialDesign, row: int, counts: Counts) -> Conclusion:
    differences, before = [], (0, 0)
    for wins, losses in zip(counts.wins[row], counts.losses[row], strict=True):
        won, lost = int(wins) - before[0], int(losses) - before[1]
        differences += [1.0] * won + [-1.0] * lost + [0.0] * (25 - won - lost)
        before = (int(wins), int(losses))
    state = run_through(design, [PairedDifference(value, value) for value in differences])
    return findings([(design, state)])[0]


def test_the_detectable_drop_is_refused_as_often_as_it_says() -> None:
    drop = detectable_drop(DESIGN)

    assert 0.04 <= drop <= 0.055
    assert play_out(DESIGN, -drop, seed=99).worse == pytest.approx(0.8, abs=0.03)


def test_looking_often_costs_a_little_of_what_could_be_seen() -> None:
    fixed = smallest_difference(100, 0.1)

    assert fixed < detectable_drop(replace(DESIGN, cases=100)) < 2 * fixed


def test_fewer_cases_see_only_larger_drops() -> None:
    drops = [detectable_drop(replace(DESIGN, cases=cases)) for cases in (15, 60, 150, 500)]

    assert drops == sorted(drops, reverse=True)
    assert detectable_drop(replace(DESIGN, cases=6)) is None  # seven straight losses are the first that show it


def test_sharing_the_level_with_other_suites_costs_sight() -> None:
    few = replace(DESIGN, cases=100)

    assert detectable_drop(replace(few, tests=20)) > detectable_drop(few)


def test_over_a_dataset_the_drop_is_seen_around_the_margin() -> None:
    assert 0.05 < detectable_drop(replace(DESIGN, cases=150, target=About.DATASET)) < 0.08


def test_a_gate_prints_always_the_same_detectable_drop() -> None:
    first = detectable_drop(DESIGN)
    detectable_drop.cache_clear()

    with ends():
        assert detectable_drop(DESIGN) == first


def test_the_cases_that_are_needed_show_it_as_often_as_they_say() -> None:
    needed = cases_needed(DESIGN)

    assert 400 <= needed <= 525
    assert play_out(replace(DESIGN, cases=needed), 0.0, seed=5).no_worse == pytest.approx(0.8, abs=0.03)
    assert cases_needed(DESIGN, 0.2) > needed  # cases that differ more often need more of them


def test_the_drop_that_is_refused_grows_where_cases_differ_more_than_the_design_expects() -> None:
    few, many = detectable_drop(DESIGN, 0.1), detectable_drop(DESIGN, 0.3)

    assert few == detectable_drop(DESIGN)
    assert many > 1.5 * few


def test_the_cases_that_tell_a_drop_refuse_it_as_often_as_they_say() -> None:
    needed = cases_to_refuse(DESIGN, 0.1, 0.05)

    played = play_out(replace(DESIGN, cases=needed), -0.05, seed=5)
    assert played.worse == pytest.approx(0.8, abs=0.04)
    assert cases_to_refuse(DESIGN, 0.1, 0.001) is None or cases_to_refuse(DESIGN, 0.1, 0.001) > 10_000


def test_a_difference_beyond_the_scale_is_refused() -> None:
    with pytest.raises(ValueError, match="between -1 and 1"):
        chances_of(-1.2, 0.1)


REPEATS = 20_000
# true difference: cases saved in percent, shown no worse, shown worse
SAVED = {
    0.0: (43.6, 0.819, 0.022),
    -0.02: (25.2, 0.369, 0.181),
    -0.05: (47.9, 0.023, 0.875),
    -0.1: (83.6, 0.0, 1.0),
    0.05: (80.3, 1.0, 0.0),
}
SAVED_OVER_A_DATASET = {0.0: 58.8, -0.02: 37.1, -0.05: 12.3, -0.1: 67.8, 0.05: 82.6}


@pytest.mark.slow
@pytest.mark.parametrize("difference", SAVED)
def test_looking_early_saves_what_the_reference_simulation_saved(difference: float) -> None:
    played = play_out(DESIGN, difference, repeats=REPEATS)
    saved, no_worse, worse = SAVED[difference]

    assert 100 * (1 - played.cases / 500) == pytest.approx(saved, abs=1.5)
    assert (played.no_worse, played.worse) == pytest.approx((no_worse, worse), abs=0.015)


@pytest.mark.slow
@pytest.mark.parametrize("threshold", [20.0, 12.0])
@pytest.mark.parametrize("discordance", [0.051, 0.1, 0.3, 1.0])
def test_a_hypothesis_that_holds_is_rejected_less_often_than_one_time_in_twenty(threshold, discordance) -> None:
    for bets, difference in ((worse_bets(0.05, 0.1), 0.0), (no_worse_bets(0.05, 0.1), -0.05)):
        counts = draw(500, 25, chances_of(difference, discordance), REPEATS, seed=8)
        ever = int((counts.log_e(bets).max(axis=1) >= np.log(threshold)).sum())

        assert binomtest(ever, REPEATS).proportion_ci(0.95, "exact").high < 0.05


@pytest.mark.slow
@pytest.mark.parametrize(("difference", "shift", "sign"), [(0.0, 0.0, -1), (-0.05, 0.05, 1)])
def test_testing_anew_at_every_look_would_be_wrong_far_more_often(difference, shift, sign) -> None:
    counts = draw(500, 25, chances_of(difference, 0.1), REPEATS, seed=8)

    assert _naive(counts, shift, sign) > 0.15


def _naive(counts: Counts, shift: float, sign: int) -> float:
    mean = (counts.wins - counts.losses) / counts.seen
    square = (counts.wins + counts.losses) / counts.seen
    error = np.sqrt(np.maximum(square - mean**2, 1e-12) / counts.seen)
    return float((sign * mean + shift > norm.ppf(0.95) * error).any(axis=1).mean())


@pytest.mark.slow
def test_over_a_dataset_looking_early_saves_and_agrees_with_the_full_run() -> None:
    rng = np.random.default_rng(12)
    for difference, saved in SAVED_OVER_A_DATASET.items():
        win, loss = chances_of(difference, 0.1)
        uniform = rng.random((4000, 500))
        differences = (uniform < win).astype(float) - (uniform > 1 - loss)
        for_head, against = (_dataset_logs(differences, sign) for sign in (1, -1))
        looked = slice(24, None, 25)
        shown = np.maximum(for_head[:, looked], against[:, looked]) >= np.log(20)
        first = np.where(shown.any(axis=1), shown.argmax(axis=1), 19)
        stopped = np.where(first == 19, 500, 25 * (first + 1))
        row = np.arange(4000)
        early = stopped < 500
        accepted = for_head[row, stopped - 1] >= np.log(20)
        truth = differences.sum(axis=1) > -25 + 1e-9

        assert 100 * (1 - stopped.mean() / 500) == pytest.approx(saved, abs=1.5)
        assert (early & (accepted != truth)).mean() < 0.02


def _dataset_logs(differences: np.ndarray, sign: int) -> np.ndarray:
    """Play `DatasetBets` on every row at once."""
    repeats, cases = differences.shape
    turned, logs, total = sign * differences, np.zeros((3, repeats)), np.zeros(repeats)
    settled, out = np.zeros(repeats), np.empty((repeats, cases))
    for seen in range(cases):
        left = cases - seen
        mean = (-sign * 0.05 * cases - total) / left
        gap = 0.05 * cases / left
        most = np.where(mean > -1, 0.9 / np.maximum(1 + mean, 1e-12), np.inf)
        fractions = np.minimum(np.array([[0.5], [1.0], [2.0]]) * gap / (0.1 + gap**2), most)
        settled = np.where(settled == 0, np.where(mean < -1 - 1e-12, 1, np.where(mean >= 1, -1, 0)), settled)
        step = np.log1p(np.maximum(fractions * (turned[:, seen] - mean), -0.999))
        logs += np.where(settled == 0, step, 0.0)
        total += turned[:, seen]
        mixture = np.log(np.array([0.25, 0.5, 0.25]) @ np.exp(np.minimum(logs, 700)))
        out[:, seen] = np.where(settled == 1, np.inf, np.where(settled == -1, -np.inf, mixture))
    one = DatasetBets(cases, 0.05, 0.1, sign).play(NOTHING_STAKED, 0.0, 0, differences[0, :300])
    assert out[0, 299] == pytest.approx(mixed(one))
    return out
