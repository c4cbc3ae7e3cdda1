"""Blame by experiment: what is asked for next, what is told, and that it finds the step of a pipeline played for it."""

import random
from collections.abc import Sequence
from math import ceil, log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalh.analysis.blame import Blame, BlamePlan, CaseReruns, Design, Replaced, Reruns, blame
from evalh.core.sample import Standing, StepGrade, StepResult, StepState
from evalh.pipeline.taint import StepGraph, mark

STEPS = ("extract", "find", "rank", "reply")
CHAIN = StepGraph({step: STEPS[max(0, place - 1) : place] for place, step in enumerate(STEPS)}, ("reply",))


def through(count: int, steps: Sequence[str] = STEPS) -> Replaced:
    return frozenset(steps[:count])


def case(name: str, rates: Sequence[float], steps: Sequence[str], cluster: str | None = None) -> CaseReruns:
    seen = {through(count, steps): Reruns(good=round(2 * rate), times=2) for count, rate in enumerate(rates)}
    return CaseReruns(case_id=name, ties=(cluster or name,), seen=seen)


SIX = [(0, 0.5, 1), (0, 0, 1), (0.5, 0.5, 1), (0, 0, 0.5), (0, 0.5, 0.5), (1, 1, 1)]


def of_six(**clusters: str) -> Blame:
    plan = BlamePlan(steps=("a", "b"), reruns=2)
    return blame(plan, [case(f"c{n}", rates, "ab", clusters.get(f"c{n}")) for n, rates in enumerate(SIX)], 0.02)


def test_chance_comes_first_and_everything_adds_up_to_one() -> None:
    told = of_six()

    assert told.chance.value == pytest.approx(1.5 / 6)
    assert [one.effect.mean for one in told.steps] == pytest.approx([0.166667, 0.416667], abs=1e-6)
    assert told.residual.value == pytest.approx(0.166667, abs=1e-6)
    assert told.chance.value + sum(one.effect.mean for one in told.steps) + told.residual.value == pytest.approx(1)
    assert (told.cases, told.clusters, told.reruns) == (6, 6, 36)
    assert [(one.effect.raised, one.effect.low) for one in told.steps] == [(2, None), (4, None)]
    assert told.leading == ()


def test_cases_that_are_alike_count_once() -> None:
    told = of_six(c0="same", c1="same", c2="same")

    assert told.clusters == 4
    assert told.steps[0].effect.mean == pytest.approx((0.5 / 3 + 0 + 0.5 + 0) / 4)
    assert told.chance.value + sum(one.effect.mean for one in told.steps) + told.residual.value == pytest.approx(1)


def test_nothing_is_named_where_too_many_reruns_are_ungraded() -> None:
    cases = [
        CaseReruns(
            case_id=str(n),
            ties=(str(n),),
            seen={through(0): Reruns(0, 3, 1), through(1): Reruns(3, 3)},
        )
        for n in range(10)
    ]
    plan = BlamePlan(steps=STEPS[:1])

    assert blame(plan, cases, 0.2).leading == ("extract",)
    told = blame(plan, cases, 0.1)
    assert (told.measured, told.ungraded, told.leading) == (False, 10, ())


def test_a_good_output_that_harms_later_steps_is_not_monotone() -> None:
    seen = {through(0): Reruns(3, 3), through(1): Reruns(0, 3), through(2): Reruns(3, 3)}
    told = blame(
        BlamePlan(steps=STEPS[:2]),
        [CaseReruns(case_id=str(n), ties=(str(n),), seen=seen) for n in range(9)]
        + [CaseReruns(case_id="x", ties=("x",), seen={**seen, through(1): Reruns(1, 3)})],
        0.02,
    )

    assert not told.monotone
    assert of_six().monotone


SETS = {"": 0.1, "1": 0.2, "2": 0.5, "3": 0.3, "12": 0.7, "13": 0.35, "23": 0.8, "123": 0.9}


@pytest.mark.parametrize(
    ("design", "expected"),
    [
        (Design.SINGLE, [0.1, 0.4, 0.2]),
        (Design.ALL_SETS, [0.108333, 0.483333, 0.208333]),
        (Design.IN_ORDER, [0.1, 0.5, 0.2]),
    ],
)
def test_each_design_asks_for_the_sets_that_it_needs(design: Design, expected: list[float]) -> None:
    plan = BlamePlan(steps=("1", "2", "3"), design=design, reruns=100)
    seen: dict[Replaced, Reruns] = {}
    while (probe := plan.next_probe(seen)) is not None:
        assert probe.times == 100
        seen[probe.replaced] = Reruns(round(100 * SETS["".join(sorted(probe.replaced))]), 100)

    told = blame(plan, [CaseReruns(case_id="c", ties=("c",), seen=seen)], 0.02)

    assert len(seen) == {Design.SINGLE: 5, Design.ALL_SETS: 8, Design.IN_ORDER: 4}[design]
    assert [one.effect.mean for one in told.steps] == pytest.approx(expected, abs=0.006)
    assert told.residual.value == pytest.approx(0.1)
    assert told.chance.value == pytest.approx(0.1)


def test_an_interrupted_experiment_continues_where_it_ended() -> None:
    plan = BlamePlan(steps=STEPS)

    probe = plan.next_probe({through(0): Reruns(0, 3), through(1): Reruns(1, 2)})

    assert probe is not None
    assert (probe.replaced, probe.times) == (through(1), 1)


# -- halving


def explore(plan: BlamePlan, good: Sequence[bool]) -> tuple[dict[Replaced, Reruns], int]:
    """Play a case without chance: `good[s]` with the first s outputs replaced. Returns what was seen, and the probes."""
    seen: dict[Replaced, Reruns] = {}
    probes = 0
    while (probe := plan.next_probe(seen)) is not None:
        have = seen.get(probe.replaced, Reruns(0, 0))
        seen[probe.replaced] = Reruns(have.good + probe.times * good[len(probe.replaced)], have.times + probe.times)
        probes += 1
    return seen, probes


@given(st.integers(1, 20), st.data())
def test_halving_finds_the_step_of_one_case(count: int, data: st.DataObject) -> None:
    steps = tuple(f"s{place}" for place in range(1, count + 1))
    step = data.draw(st.integers(1, count))
    plan = BlamePlan(steps=steps, design=Design.HALVING)

    seen, probes = explore(plan, [replaced >= step for replaced in range(count + 1)])

    found = plan.found(seen)
    assert found is not None
    assert found[0] == f"s{step}"
    assert probes - 2 <= ceil(log2(count + 1))
    assert plan.changes(seen) == [float(place == step) for place in range(1, count + 1)]


def test_halving_does_not_search_a_case_that_chance_or_the_graders_explain() -> None:
    plan = BlamePlan(steps=STEPS, design=Design.HALVING)

    lucky, probes = explore(plan, [True] * 5)
    assert (plan.found(lucky), probes) == (None, 2)
    never, probes = explore(plan, [False] * 5)
    assert (plan.found(never), probes) == (None, 2)
    told = blame(
        plan, [CaseReruns(case_id="a", ties=("a",), seen=lucky), CaseReruns(case_id="b", ties=("b",), seen=never)], 0.02
    )
    assert (told.chance.value, told.residual.value, told.found) == (0.5, 0.5, ())


def test_both_sides_of_a_found_step_are_confirmed() -> None:
    plan = BlamePlan(steps=STEPS, design=Design.HALVING, confirm=5)
    seen, _ = explore(plan, [False, False, True, True, True])

    assert (seen[through(1)].times, seen[through(2)].times, seen[through(0)].times) == (5, 5, 3)
    found = plan.found(seen)
    assert found is not None
    assert found == ("find", pytest.approx(1 / 252))
    twice = [CaseReruns(case_id=name, ties=(name,), seen=seen) for name in "ab"]
    assert [(one.step, one.q_value) for one in blame(plan, twice, 0.02).found] == [("find", pytest.approx(1 / 252))] * 2


def test_a_step_that_confirmation_refutes_is_searched_again() -> None:
    plan = BlamePlan(steps=STEPS, design=Design.HALVING, confirm=5)
    seen = {through(0): Reruns(0, 3), through(4): Reruns(5, 5), through(2): Reruns(4, 5), through(1): Reruns(0, 5)}

    probe = plan.next_probe(seen)

    assert probe is not None
    assert probe.replaced == through(3)


# -- a pipeline with a fault at a known step; each later step mends it one time in five

MASKING = 0.2


def play(fault: str, replaced: Replaced, chance: random.Random) -> list[bool]:
    """Run it once; return whether each step is bad."""
    bad, states = False, []
    for step in STEPS:
        bad = step not in replaced and (step == fault or (bad and chance.random() >= MASKING))
        states.append(bad)
    return states


def failing(chance: random.Random, fault: str) -> list[bool]:
    """Run it until the output is bad."""
    while not (states := play(fault, frozenset(), chance))[-1]:
        pass
    return states


def experiment(plan: BlamePlan, fault: str, chance: random.Random) -> tuple[dict[Replaced, Reruns], int]:
    """Return what a case shows, and the calls that it took: steps behind what is replaced."""
    seen: dict[Replaced, Reruns] = {}
    calls = 0
    while (probe := plan.next_probe(seen)) is not None:
        good = sum(not play(fault, probe.replaced, chance)[-1] for _ in range(probe.times))
        seen[probe.replaced] = Reruns(good, probe.times)
        calls += probe.times * (len(STEPS) - len(probe.replaced))
    return seen, calls


def test_graders_that_err_once_in_a_hundred_find_the_first_bad_step() -> None:
    chance = random.Random(8)
    exact = 0
    for _ in range(1000):
        fault = chance.choice(STEPS)
        seen = [bad != (chance.random() < 0.01) for bad in failing(chance, fault)]
        results = [
            StepResult(step=step, state=StepState.RAN, grade=StepGrade.BAD if bad else StepGrade.GOOD)
            for step, bad in zip(STEPS, seen, strict=True)
        ]
        exact += mark(CHAIN, results, Standing.BAD)[1].first_bad == fault

    assert exact / 1000 >= 0.95


def test_halving_names_the_step_of_a_case_with_fewer_calls_than_the_full_design() -> None:
    chance = random.Random(2)
    right = told = halving = everything = 0
    for _ in range(500):
        fault = chance.choice(STEPS)
        failing(chance, fault)
        plan = BlamePlan(steps=STEPS, design=Design.HALVING)
        seen, calls = experiment(plan, fault, chance)
        halving += calls
        everything += experiment(BlamePlan(steps=STEPS), fault, chance)[1]
        if (found := plan.found(seen)) is not None:
            told += 1
            right += found[0] == fault

    assert right / told >= 0.9
    assert told / 500 >= 0.9
    assert halving < 0.9 * everything
    assert everything == 500 * 3 * (4 + 3 + 2 + 1)


@pytest.mark.slow
@pytest.mark.parametrize(("reruns", "exact"), [(1, 0.857), (3, 0.988), (5, 0.998)])
def test_more_reruns_find_a_fault_that_is_sometimes_corrected(reruns: int, exact: float) -> None:
    chance = random.Random(reruns)
    plan = BlamePlan(steps=STEPS, design=Design.HALVING, reruns=reruns)
    right = 0
    for _ in range(20_000):
        fault = chance.choice(STEPS)
        seen = {through(0): Reruns(0, reruns), through(4): Reruns(reruns, reruns)}  # it failed, and gold is good
        while (probe := plan.next_probe(seen)) is not None:
            good = sum(not play(fault, probe.replaced, chance)[-1] for _ in range(reruns))
            seen[probe.replaced] = Reruns(good, reruns)
        assert len(seen) == 4
        found = plan.found(seen)
        right += found is not None and found[0] == fault

    assert right / 20_000 == pytest.approx(exact, abs=0.008)


@pytest.mark.slow
@pytest.mark.parametrize("design", [Design.IN_ORDER, Design.HALVING])
def test_the_step_with_most_faults_is_named_and_no_other(design: Design) -> None:
    plan = BlamePlan(steps=STEPS, design=design)
    chance = random.Random(4)
    named: list[tuple[str, ...]] = []
    for _ in range(60):
        cases = []
        for number in range(60):
            fault = chance.choices(STEPS, weights=(1, 7, 1, 1))[0]
            seen, _ = experiment(plan, fault, chance)
            cases.append(CaseReruns(case_id=str(number), ties=(str(number),), seen=seen))
        told = blame(plan, cases, 0.02)
        assert told.monotone
        named.append(told.leading)

    assert sum(one == ("find",) for one in named) / 60 >= 0.9
    assert not any(len(one) == 1 and one != ("find",) for one in named)
