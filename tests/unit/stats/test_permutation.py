"""Permutation tests over cases."""

from math import sqrt

import numpy as np
import pytest
from scipy.stats import norm, permutation_test

from evalh.stats.paired import Alternative
from evalh.stats.permutation import cost_per_good_rise_p, sign_flip_p
from hanging import ends

SCORES = (0, -0.5, 0, -0.5, 0, 0, -1, 0)
BASE = ((1, 1.2, 0.9, 1.5, 1.1, 0.8, 1.3, 1), (1, 1, 0, 1, 1, 0, 1, 1))
HEAD = ((0.5, 0.6, 0.4, 0.9, 0.5, 0.4, 0.7, 0.5), (1, 0, 0, 1, 1, 0, 1, 1))


def test_sign_flips_give_the_reference_number() -> None:
    assert sign_flip_p(SCORES) == 0.25
    assert sign_flip_p(SCORES, Alternative.WORSE) == 0.125
    assert sign_flip_p(SCORES, Alternative.BETTER) == 1.0


def test_no_difference_is_no_evidence() -> None:
    assert sign_flip_p([0.0] * 30) == 1.0
    assert sign_flip_p([]) == 1.0


def test_exact_flips_agree_with_scipys() -> None:
    rng = np.random.default_rng(3)
    differences = rng.normal(0.3, 1, 11)

    theirs = permutation_test(
        (differences,), lambda d, axis: d.mean(axis=axis), permutation_type="samples", vectorized=True
    )

    assert sign_flip_p(differences.tolist()) == pytest.approx(theirs.pvalue)


def test_seeded_flips_come_close_to_the_exact_answer() -> None:
    # 15 losses to 5 wins: flipping signs of ±1 is McNemar's exact test.
    differences = [1.0] * 5 + [-1.0] * 15 + [0.0] * 80

    assert sign_flip_p(differences, seed=7) == pytest.approx(0.041389, abs=0.006)


def test_a_seed_gives_one_answer_whatever_the_order_of_the_cases() -> None:
    differences = np.random.default_rng(5).normal(0.1, 1, 60).tolist()

    assert sign_flip_p(differences, seed=1) == sign_flip_p(differences[::-1], seed=1)
    assert sign_flip_p(differences, seed=1) != sign_flip_p(differences, seed=2)


def test_overwhelming_evidence_is_as_small_as_the_draws_allow() -> None:
    assert sign_flip_p([-1.0] * 400) == 1 / 10_000


def test_a_hundred_thousand_cases_do_not_hang() -> None:
    differences = np.random.default_rng(5).integers(-3, 4, 100_000) / 3

    with ends():
        assert 0 < sign_flip_p(differences.tolist()) <= 1


def test_continuous_scores_are_flipped_case_by_case() -> None:
    differences = np.random.default_rng(8).normal(0.05, 1, 2000)
    z = differences.mean() / differences.std() * sqrt(2000)

    assert sign_flip_p(differences.tolist(), seed=2) == pytest.approx(2 * norm.sf(abs(z)), abs=0.02)


@pytest.mark.parametrize(("base", "head"), [(BASE, HEAD), (HEAD, BASE)])
def test_swapped_labels_count_every_relabelling_of_few_cases(base, head) -> None:
    by_hand = 0
    base, head = np.array(base, dtype=float), np.array(head, dtype=float)
    observed = np.log(head[0].sum() / head[1].sum() * base[1].sum() / base[0].sum())
    for mask in range(256):
        swap = np.array([mask >> bit & 1 for bit in range(8)], dtype=bool)
        left, right = np.where(swap, head, base), np.where(swap, base, head)
        ratio = np.log(right[0].sum() / right[1].sum() * left[1].sum() / left[0].sum())
        by_hand += bool(ratio >= observed - 1e-9)

    assert cost_per_good_rise_p(base, head) == by_hand / 256


def test_swapped_labels_answer_the_same_in_any_order() -> None:
    rng = np.random.default_rng(4)
    base, head = ((rng.lognormal(0, 1, 80), rng.binomial(1, 0.8, 80)) for _ in range(2))
    turned = tuple(tuple(column[::-1] for column in side) for side in (base, head))

    assert cost_per_good_rise_p(base, head, seed=3) == cost_per_good_rise_p(*turned, seed=3)


def test_a_rise_within_the_bound_is_no_evidence() -> None:
    rng = np.random.default_rng(4)
    costs, good = rng.lognormal(0, 0.2, 80), np.ones(80)

    assert cost_per_good_rise_p((costs, good), (1.3 * costs, good)) < 0.001
    assert cost_per_good_rise_p((costs, good), (1.3 * costs, good), 0.5) > 0.9


def test_swapped_labels_reject_no_more_often_than_they_say() -> None:
    rng = np.random.default_rng(11)
    small = 0
    for _ in range(200):
        base, head = ((rng.lognormal(0, 2, 40), rng.binomial(1, 0.5, 40)) for _ in range(2))
        small += cost_per_good_rise_p(base, head, draws=199) <= 0.1

    assert 8 <= small <= 32


def test_a_side_without_a_good_is_infinitely_costly() -> None:
    something = ([1.0] * 6, [1] * 6)

    assert cost_per_good_rise_p(something, ([1.0] * 6, [0] * 6)) == 1 / 64
    assert cost_per_good_rise_p(([1.0] * 6, [0] * 6), something) == 1.0
    assert cost_per_good_rise_p(([1.0] * 6, [0] * 6), ([2.0] * 6, [0] * 6)) == 1.0
    assert cost_per_good_rise_p(something, something) == 1.0


@pytest.mark.parametrize("head", [([1.0], [1]), ([1.0, -1.0], [1, 1]), ([1.0, float("nan")], [1, 1])])
def test_what_cannot_be_compared_is_refused(head) -> None:
    with pytest.raises(ValueError, match=r"the same cases|finite"):
        cost_per_good_rise_p(([1.0, 1.0], [1, 1]), head)
