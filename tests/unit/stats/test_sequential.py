"""The gate's looks: when it stops, and what it found."""

from math import exp

import pytest
from msgspec.structs import replace

from evalh.core.suite import About, Require
from evalh.stats.eprocess import no_worse_bets, worse_bets
from evalh.stats.sequential import (
    Conclusion,
    LookState,
    PairedDifference,
    SequentialDesign,
    Stop,
    advance,
    findings,
    look_order,
    next_look,
    order_seed,
    within_margin,
)
from playing import log_e_of_counts, run_through

WIN, TIE, LOSS = PairedDifference(1.0, 1.0), PairedDifference(0.0, 0.0), PairedDifference(-1.0, -1.0)
UNGRADED = PairedDifference(-1.0, 1.0, ungraded=2)
STRICT = Require.NO_WORSE


def found(design: SequentialDesign, differences: list[PairedDifference]) -> tuple[Stop | None, int, Conclusion]:
    state = run_through(design, differences)
    return state.stop, state.seen, findings([(design, state)])[0]


def test_agreement_is_accepted_at_the_first_look_past_89_cases() -> None:
    assert found(SequentialDesign(cases=500, require=STRICT), [TIE] * 500) == (
        Stop.NO_WORSE_SHOWN,
        100,
        Conclusion.NO_WORSE,
    )


def test_losses_are_refused_at_the_first_look() -> None:
    assert found(SequentialDesign(cases=500), [LOSS] * 7 + [TIE] * 493) == (Stop.WORSE_SHOWN, 25, Conclusion.WORSE)


def test_nothing_is_looked_at_between_two_looks() -> None:
    # Seven losses first: they would show it at the seventh case. Ties change nothing, wins take it back.
    assert run_through(SequentialDesign(cases=100), [LOSS] * 7 + [WIN] * 18 + [TIE] * 75).stop is not Stop.WORSE_SHOWN


def test_the_e_values_at_a_look_are_those_of_the_counts() -> None:
    state = run_through(SequentialDesign(cases=100, require=STRICT), [WIN] * 5 + [LOSS] * 2 + [TIE] * 93)

    assert state.stop is Stop.ALL_CASES
    assert state.log_e_no_worse == pytest.approx(log_e_of_counts(no_worse_bets(0.05, 0.1), 5, 93, 2))
    assert exp(state.log_e_no_worse) == pytest.approx(17.971991)


def test_the_largest_e_value_counts_also_when_it_sinks_again() -> None:
    design = SequentialDesign(cases=100, tests=3, require=STRICT)
    state = run_through(design, [LOSS] * 7 + [TIE] * 18 + [WIN] * 25 + [TIE] * 50)

    assert state.log_e_worse == pytest.approx(log_e_of_counts(worse_bets(0.05, 0.1), 0, 18, 7))


def test_a_gate_stops_once_even_losing_the_rest_would_not_refuse() -> None:
    design = SequentialDesign(cases=30)

    assert found(design, [TIE] * 30)[:2] == (Stop.CANNOT_REFUSE, 25)
    # The strict requirement ends once five wins could not show no worse either; without the loss they could.
    strict = replace(design, require=STRICT)
    assert found(strict, [LOSS] + [TIE] * 29)[:2] == (Stop.CANNOT_DECIDE, 25)
    assert found(strict, [TIE] * 30)[:2] == (Stop.ALL_CASES, 30)


def test_few_cases_end_undecided() -> None:
    assert found(SequentialDesign(cases=20), [LOSS] * 3 + [TIE] * 17) == (Stop.ALL_CASES, 20, Conclusion.NEITHER)


def test_a_drop_within_the_margin_that_is_shown_both_ways_is_worse() -> None:
    design = SequentialDesign(cases=2000, margin=0.2, batch=2000)
    state = run_through(design, [LOSS] * 60 + [TIE] * 1940)

    assert within_margin(design, state)
    assert findings([(design, state)]) == [Conclusion.WORSE]


def test_other_rules_let_only_a_refusal_stop_early() -> None:
    design = SequentialDesign(cases=150, waits=True)

    assert found(design, [TIE] * 150) == (Stop.ALL_CASES, 150, Conclusion.NO_WORSE)
    assert found(design, [LOSS] * 150) == (Stop.WORSE_SHOWN, 25, Conclusion.WORSE)


def test_an_ungraded_side_helps_no_claim() -> None:
    design = SequentialDesign(cases=1000, max_ungraded=0.2, require=STRICT)
    state = run_through(design, ([TIE] * 23 + [UNGRADED] * 2) * 40)

    # 8 % that could be wins or losses: neither is shown, although the rest agrees throughout.
    assert findings([(design, state)]) == [Conclusion.NEITHER]
    assert state.log_e_worse == 0.0


def test_too_many_ungraded_are_no_verdict() -> None:
    assert found(SequentialDesign(cases=100), [UNGRADED] * 4 + [LOSS] * 96) == (
        Stop.TOO_MANY_UNGRADED,
        25,
        Conclusion.UNMEASURED,
    )


def test_ungraded_cases_that_thin_out_only_delay_the_answer() -> None:
    stop, seen, finding = found(SequentialDesign(cases=200), [UNGRADED] * 2 + [LOSS] * 198)

    assert (stop, seen, finding) == (Stop.WORSE_SHOWN, 100, Conclusion.WORSE)


def test_a_gate_that_ran_out_of_cases_may_go_on() -> None:
    design = SequentialDesign(cases=75, require=STRICT)
    ended = run_through(design, [TIE] * 75)
    longer = replace(design, cases=200)

    assert (ended.stop, ended.seen) == (Stop.ALL_CASES, 75)
    state = advance(longer, ended, [TIE] * 25)
    assert (state.stop, state.seen) == (Stop.NO_WORSE_SHOWN, 100)
    with pytest.raises(ValueError, match="not those up to the look"):
        advance(longer, state, [TIE] * 25)


def test_a_gate_that_could_not_decide_may_go_on_over_more_cases() -> None:
    design = SequentialDesign(cases=30, require=STRICT)
    ended = run_through(design, [LOSS] + [TIE] * 29)

    assert (ended.stop, ended.seen) == (Stop.CANNOT_DECIDE, 25)
    assert advance(replace(design, cases=500), ended, [TIE] * 25) == run_through(
        replace(design, cases=500), [LOSS] + [TIE] * 49
    )


def test_a_look_takes_exactly_its_cases() -> None:
    with pytest.raises(ValueError, match="look at 25"):
        advance(SequentialDesign(cases=100), LookState(), [TIE] * 24)


@pytest.mark.parametrize(
    ("losses", "finding"), [(7, Conclusion.NO_WORSE), (8, Conclusion.WORSE), (9, Conclusion.WORSE)]
)
def test_over_a_dataset_the_verdict_is_that_of_the_full_run(losses: int, finding: Conclusion) -> None:
    # 160 cases, a margin of 0.05: a drop of 8 cases is the margin.
    design = SequentialDesign(cases=160, target=About.DATASET)

    assert found(design, ([TIE] * 19 + [LOSS]) * losses + [TIE] * (160 - 20 * losses))[2] is finding


def test_a_small_dataset_that_agrees_is_decided_and_early() -> None:
    stop, seen, finding = found(SequentialDesign(cases=60, target=About.DATASET), [TIE] * 60)

    assert (stop, finding) == (Stop.NO_WORSE_SHOWN, Conclusion.NO_WORSE)
    assert seen < 60


def test_over_a_dataset_what_hangs_on_ungraded_cases_is_open() -> None:
    design = SequentialDesign(cases=100, target=About.DATASET, max_ungraded=0.1)

    assert found(design, [LOSS] * 4 + [UNGRADED] * 2 + [TIE] * 94)[2] is Conclusion.NEITHER


def test_several_suites_pay_for_each_other() -> None:
    alone = SequentialDesign(cases=25)
    state = run_through(alone, [LOSS] * 7 + [TIE] * 18)  # E = 32
    quiet = run_through(alone, [TIE] * 25)
    many = replace(alone, tests=3)

    assert findings([(alone, state)]) == [Conclusion.WORSE]
    assert findings([(many, state), (many, quiet), (many, quiet)]) == [Conclusion.NEITHER] * 3  # 3/32 > 0.05
    strong = run_through(many, [LOSS] * 25)
    assert findings([(many, strong), (many, state), (many, quiet)])[0] is Conclusion.WORSE


def test_one_suite_of_several_goes_on_until_it_is_shown_whatever_the_others_say() -> None:
    losing = [LOSS] * 7 + [TIE] * 18 + [LOSS] * 25 + [TIE] * 50

    assert run_through(SequentialDesign(cases=100), losing).seen == 25
    assert run_through(SequentialDesign(cases=100, tests=3), losing).seen == 50


def test_the_order_hangs_on_what_is_compared_and_on_nothing_else() -> None:
    ids = [f"t-{number}" for number in range(200)]
    seed = order_seed("d", "b", "h")
    order = look_order(seed, ids)

    assert sorted(order) == list(range(200))
    assert [ids[position] for position in order] == [ids[::-1][position] for position in look_order(seed, ids[::-1])]
    assert order != look_order(order_seed("d", "b", "i"), ids)


def test_looks_come_after_every_batch_and_at_the_end() -> None:
    assert [next_look(seen, 60) for seen in (0, 25, 50)] == [25, 50, 60]
