"""The difference of two versions as people would see it, against computations that share no code with ours."""

from math import sqrt
from random import Random

import numpy as np
import pytest
from scipy import stats

from evalh.analysis.calibration.outputs import Judged, Votes
from evalh.analysis.calibration.versions import NamedRun, version_difference
from evalh.core.calibration import VersionDifference

BASE, HEAD = NamedRun(name="v1", run="r1"), NamedRun(name="v2", run="r2")


def difference(
    cases: list[tuple[int, int, tuple[int, int] | None]], *, strata: bool = False, same: int = 0
) -> VersionDifference | None:
    """Each case: the judge on base, on head, people on both (None: not labelled). `same`: cases with one output."""
    base, head, people = [], [], {}
    for number, (on_base, on_head, said) in enumerate(cases):
        for side, passed, output in ((base, on_base, "b"), (head, on_head, "h")):
            item = (f"row {number}", output)
            side.append(Judged(item, ("pass" if passed else "fail") if strata else "all", bool(passed)))
            if said is not None:
                people[item] = Votes({"ada": bool(said[output == "h"])})
    for number in range(same):
        for side in (base, head):
            side.append(Judged((f"same {number}", "o"), "pass" if strata else "all", passed=True))
    return version_difference((BASE, base), (HEAD, head), people)


def reference() -> list[tuple[int, int, tuple[int, int] | None]]:
    """Return 40 labelled pairs and 400 others, whose difference ppi-python puts at 0.079593 with weight 0.367467."""
    people_base, people_head = [1] * 20 + [0] * 20, [1] * 17 + [0] * 3 + [1] * 6 + [0] * 14
    judge_base, judge_head = [1] * 18 + [0] * 2 + [1] * 4 + [0] * 16, [1] * 16 + [0] * 4 + [1] * 7 + [0] * 13
    labelled = zip(judge_base, judge_head, zip(people_base, people_head, strict=True), strict=True)
    return [*labelled, *[(0, 1, None)] * 45, *[(1, 0, None)] * 30, *[(0, 0, None)] * 325]


def test_a_plain_sample_gives_the_published_estimators_number() -> None:
    found = difference(reference())
    assert found is not None

    assert found.corrected.value == pytest.approx(0.079593, abs=1e-6)
    assert found.corrected.method == "ppi++"
    half = (0.212864 + 0.053677) / 2 / stats.norm.ppf(0.975)  # its standard error, whose variances divide by n
    assert found.corrected.high is not None
    ours = (found.corrected.high - found.corrected.value) / stats.t.ppf(0.975, 39)
    assert ours == pytest.approx(half, rel=0.02)
    apart = np.array([said[1] - said[0] - (head - base) for base, head, said in reference() if said is not None])
    low, high = stats.t.interval(0.95, 39, apart.mean(), stats.sem(apart))
    assert (found.shift.value, found.shift.low, found.shift.high) == pytest.approx((apart.mean(), low, high))
    assert (found.labels, found.cases, found.favoured) == (40, 440, None)


def test_labels_drawn_by_what_was_judged_are_weighted_by_how_common_it_is() -> None:
    rng = Random(3)
    truth = [(rng.random() < 0.7, rng.random() < 0.75, (rng.random() < 0.65, rng.random() < 0.7)) for _ in range(400)]
    # Pairs on which the judge sees a difference are labelled four times as often as others.
    cases = [
        (int(base), int(head), said if rng.random() < (0.8 if base != head else 0.2) else None)
        for base, head, said in truth
    ]
    found = difference(cases, strata=True, same=100)
    assert found is not None

    value = variance = shift = 0.0
    for kind in ((0, 0), (0, 1), (1, 0), (1, 1)):
        cell = [one for one in cases if one[:2] == kind]
        told = np.array([float(one[2][1]) - float(one[2][0]) for one in cell if one[2] is not None])
        value += len(cell) / 500 * told.mean()
        shift += len(cell) / 500 * (told.mean() - (kind[1] - kind[0]))
        variance += (len(cell) / 500) ** 2 * told.var(ddof=1) / len(told)
    assert found.corrected.value == pytest.approx(value)
    assert found.shift.value == pytest.approx(shift)
    assert found.corrected.high is not None
    assert (found.corrected.high - value) / sqrt(variance) == pytest.approx(1.97, abs=0.03)
    naive = np.mean([float(one[2][1]) - float(one[2][0]) for one in cases if one[2] is not None])
    assert abs(found.corrected.value - naive) > 1e-4
    people = sum(said[1] - said[0] for _, _, said in truth) / 500
    assert found.corrected.low is not None
    assert found.corrected.low < people < found.corrected.high


def test_a_judge_that_is_kinder_to_one_side_is_shown_to_be() -> None:
    kinder = difference([(0, 1, (1, 1))] * 30 + [(1, 1, (1, 1))] * 30 + [(0, 1, None)] * 30 + [(1, 1, None)] * 30)
    assert kinder is not None
    assert kinder.favoured == "head"
    assert kinder.judge_difference == pytest.approx(0.5)
    assert kinder.corrected.value == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("unlabelled", [0, 20])
@pytest.mark.parametrize("labels", [2, 9])
def test_a_few_labels_that_agree_show_no_interval_and_no_favourite(labels: int, unlabelled: int) -> None:
    found = difference([(0, 1, (1, 1))] * labels + [(0, 1, None)] * unlabelled)
    assert found is not None

    assert found.shift.value == pytest.approx(-1.0)
    assert (found.shift.low, found.shift.high, found.favoured) == (None, None, None)
    assert (found.corrected.low, found.corrected.high) == (None, None)


def test_few_labels_of_which_one_differs_claim_no_favourite() -> None:
    found = difference([(0, 1, (1, 1))] * 8 + [(0, 1, (0, 1))] + [(0, 1, None)] * 20)
    assert found is not None

    assert found.favoured is None


@pytest.mark.parametrize("same", [0, 30])
def test_an_interval_has_a_width_where_each_kind_of_pair_says_the_same_throughout(same: int) -> None:
    found = difference([(0, 1, (1, 1))] * 45 + [(1, 1, (1, 1))] * 15, strata=True, same=same)
    assert found is not None
    shift = found.shift
    apart = np.array([-1.0] * 45 + [0.0] * (15 + same))

    assert shift.low is not None
    assert shift.high is not None
    assert (shift.low, shift.high) == pytest.approx(
        stats.t.interval(0.95, len(apart) - 1, apart.mean(), stats.sem(apart, ddof=0))
    )
    assert found.favoured == "head"


def test_equal_outputs_are_no_difference_and_without_two_labelled_pairs_nothing_is_said() -> None:
    assert difference([(0, 1, (0, 1)), (1, 0, None)], same=20) is None
    found = difference([(0, 1, (0, 1))] * 4, same=16)
    assert found is not None
    assert (found.corrected.value, found.cases) == (pytest.approx(0.2), 20)


def test_a_kind_of_pair_that_is_hardly_labelled_is_put_together_with_others() -> None:
    cases = [*[(1, 1, (1, 1))] * 20, *[(0, 1, (0, 1))] * 5, *[(1, 0, None)] * 3, *[(0, 0, None)] * 40]
    found = difference(cases, strata=True)
    assert found is not None
    assert found.corrected.value is not None
    assert found.corrected.low is not None
