"""The fold: exact, whatever the order, and as small after many cases as after few."""

import gc
import random
import sys
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal

import pytest

from evalh.analysis.summary import Fold
from evalh.core.attempt import Completion
from evalh.core.case import Case
from evalh.core.run import RunSummary
from evalh.core.sample import Sample, Standing
from evalh.stats.clusters import ClusterSum, clustered_rate
from evalh.stats.ratio import cost_per_good


def samples(cases: int, trials: int = 1) -> Iterator[Sample]:
    chance = random.Random(7)
    for index in range(cases):
        for trial in range(trials):
            yield Sample(
                case=Case(f"t-{index}", {}),
                case_index=index,
                trial=trial,
                standing=Standing.GOOD if chance.random() < 0.7 else Standing.BAD,
                verdicts=(),
                call_id="c",
                completion=Completion(text="x", latency_ms=100.0 * chance.lognormvariate(0, 0.5)),
                cost_usd=Decimal(chance.randrange(10, 900)) / 10**7,
            )


def folded(taken: list[Sample], trials: int) -> RunSummary:
    fold = Fold([], trials)
    for sample in taken:
        fold.add(sample)
    return fold.summary()


@pytest.mark.parametrize("trials", [1, 3])
def test_the_order_in_which_answers_arrive_changes_no_digit(trials: int) -> None:
    taken = list(samples(400, trials))
    one = folded(taken, trials)
    random.Random(1).shuffle(taken)

    assert folded(taken, trials) == one


@pytest.mark.parametrize("trials", [1, 3])
def test_a_run_that_ended_early_counts_what_it_saw_of_each_case(trials: int) -> None:
    taken = list(samples(300, trials))
    random.Random(2).shuffle(taken)
    del taken[350:]
    costs: dict[int, float] = {}
    goods: dict[int, list[bool]] = {}
    for sample in taken:
        costs[sample.case_index] = costs.get(sample.case_index, 0.0) + float(sample.cost_usd or 0)
        goods.setdefault(sample.case_index, []).append(sample.standing is Standing.GOOD)

    summary = folded(taken, trials)

    plain = cost_per_good(list(costs.values()), [sum(goods[index]) for index in costs])
    cost = summary.cost_per_good_usd
    assert cost.method == plain.method
    assert (cost.value, cost.low, cost.high) == pytest.approx((plain.value, plain.low, plain.high), rel=1e-12)
    if trials > 1:
        rate = clustered_rate(Counter(ClusterSum(sum(seen) / len(seen), 1) for seen in goods.values()), trials)
        assert (summary.good_rate.low, summary.good_rate.high) == (rate.low, rate.high)


@pytest.mark.parametrize("trials", [1, 2])
def test_many_cases_are_as_small_as_few(trials: int) -> None:
    sizes = []
    for cases in (25_000, 50_000):
        fold = Fold([], trials)
        for sample in samples(cases, trials):
            fold.add(sample)
        sizes.append(reach(fold))

    assert sizes[1] < 1.1 * sizes[0] < 2_000_000


def reach(root: object) -> int:
    """Return the bytes of everything that is reached from here, types aside."""
    seen: set[int] = set()
    waiting = [root]
    size = 0
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, type):
            continue
        seen.add(id(one))
        size += sys.getsizeof(one)
        waiting.extend(gc.get_referents(one))
    return size
