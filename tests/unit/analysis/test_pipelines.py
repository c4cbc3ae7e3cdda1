"""What a pipeline's run says of its steps: counted once, whatever the order, and no rate where too little is known."""

import random
from collections import Counter
from collections.abc import Iterator

import pytest
from msgspec.json import decode, encode

from chained import CHAIN, COSTS, sample, several, summed
from evalh.analysis.pipelines import PipelineFold
from evalh.analysis.summary import Fold
from evalh.core.run import Estimate, Fingerprint, RunRecord, RunResult, RunStatus, RunSummary
from evalh.core.sample import Sample, StepResult
from evalh.report.documents.run import result_document
from evalh.stats.intervals import wilson


def test_a_step_counts_how_it_ended_and_where_it_was_the_first_bad() -> None:
    samples = [
        sample(letters, case)
        for case, letters in enumerate(
            ["GG-,G", "GB-,B", "BB-,B", "BG-,G", "Bxx,B", "dG-,G", "Gs-,G", "G?-,B", "Gff,?"]
        )
    ]

    read, find, reply = summed(samples).steps

    assert (read.step, read.ran, read.given, read.good, read.bad, read.first_bad) == ("read", 8, 1, 5, 3, 3)
    assert (find.ran, find.skipped, find.stopped, find.failed) == (6, 1, 1, 1)
    assert (find.good, find.bad, find.unknown, find.first_bad) == (3, 2, 1, 1)
    assert (reply.ran, reply.good, reply.bad, reply.unknown) == (7, 4, 3, 0)
    assert (read.responsible, find.responsible, reply.responsible) == (2.0, 1.0, 0.0)
    assert read.cost_usd == 8 * COSTS[0]
    assert reply.latency_p50_ms == pytest.approx(30.0, rel=0.02)


def test_rates_depend_on_what_a_step_reads() -> None:
    summary = summed(several(GG_G=30, GG_B=5, GB_B=8, GB_G=2, BB_B=9, BG_G=3, BB_G=0), max_ungraded=0.0)

    read, find, reply = summary.steps
    assert (read.own_error.count, read.own_error.of) == (12, 57)
    assert (find.own_error.count, find.own_error.of) == (10, 45)
    assert (find.propagation.count, find.propagation.of) == (9, 12)
    assert (reply.propagation.count, reply.propagation.of) == (17, 19)
    assert (summary.propagation.count, summary.propagation.of, summary.propagation.cases) == (26, 31, 22)
    limits = wilson(10, 45)
    assert find.own_error.rate == Estimate(10 / 45, limits.low, limits.high, "wilson")
    assert find.recovery.rate.value == pytest.approx(3 / 12)
    assert find.recovery.rate.low == pytest.approx(1 - find.propagation.rate.high)
    assert summary.words["failed at the end"] == 5
    assert summary.words["poisoned"] == 17
    assert sum(summary.words.values()) == 57


def test_a_rate_counts_cases_and_trials_of_one_case_count_once() -> None:
    """30 trials of 10 cases that each do the same in all their trials know as much as 10 cases."""
    samples = [sample("GB-,B" if case < 4 else "GG-,G", case, trial) for case in range(10) for trial in range(3)]

    own_error = summed(samples, trials=3).steps[1].own_error

    assert (own_error.count, own_error.of, own_error.cases) == (12, 30, 10)
    assert own_error.rate.method == "wilson-clustered"
    alone = wilson(4, 10)
    assert own_error.rate.low == pytest.approx(alone.low, abs=0.05)
    assert own_error.rate.high == pytest.approx(alone.high, abs=0.05)


def test_cases_that_are_alike_count_as_one() -> None:
    fold = PipelineFold(CHAIN.parents, 1, {case: case // 5 for case in range(20)}, 0.02)
    for case in range(20):
        fold.add(sample("GB-,B" if case < 10 else "GG-,G", case))

    rate = fold.summary().steps[1].own_error.rate

    assert rate.method == "wilson-clustered"
    assert rate.high is not None
    assert rate.low is not None
    assert rate.high - rate.low > 0.6  # four clusters


def test_too_few_cases_give_no_rate() -> None:
    summary = summed(several(GG_G=30, BB_B=9))

    assert summary.steps[1].propagation.rate == Estimate(None, None, None, "few-cases")
    assert summary.steps[1].recovery.rate == Estimate(None, None, None, "few-cases")
    assert (summary.steps[1].propagation.count, summary.steps[1].propagation.of) == (9, 9)


def test_too_much_unknown_gives_no_rate() -> None:
    known = several(GG_G=40, GB_B=10)

    assert summed([*known, sample("B?G,G", 60)]).steps[0].own_error.rate.value == pytest.approx(1 / 51)
    summary = summed([*known, sample("?GG,G", 60), sample("?GG,G", 61)])
    assert summary.words["not known"] == 2
    assert summary.steps[0].own_error.rate == Estimate(None, None, None, "not-known")
    assert summary.unexplained.rate == Estimate(None, None, None, "not-known")


def test_good_samples_with_a_bad_path_and_bad_ones_without_have_separate_shares() -> None:
    samples = [
        sample(letters, case)
        for case, letters in enumerate(["GGG,G"] * 12 + ["GBB,G"] * 3 + ["GGG,B"] * 4 + ["GBB,B"] * 16)
    ]

    summary = summed(samples)

    assert (summary.latent.count, summary.latent.of) == (3, 15)
    assert (summary.unexplained.count, summary.unexplained.of) == (4, 20)
    assert summary.unexplained.rate.value == pytest.approx(0.2)


def test_money_after_a_bad_step_is_what_stopping_there_would_have_saved() -> None:
    summary = summed(
        [sample("GG-,G", 0), sample("BB-,B", 1), sample("BG-,G", 2), sample("GB-,B", 3), sample("Bxx,B", 4)]
    )

    assert summary.after_bad.usd == 2 * COSTS[1] + 3 * COSTS[2]
    assert (summary.after_bad.samples, summary.after_bad.good) == (3, 1)


def test_a_double_costs_nothing_and_passes_on_no_taint() -> None:
    assert summed([sample("Bd-,B", 0)]).after_bad.usd == 0


def test_a_missing_price_makes_the_sum_unknown() -> None:
    one = sample("BB-,B", 0)
    unpriced = [StepResult(step=step.step, state=step.state, cost_usd=None, tainted=True) for step in one.steps]
    fold = PipelineFold(CHAIN.parents, 1, {}, 0.02)
    fold.add(
        Sample(
            case=one.case,
            case_index=0,
            trial=0,
            standing=one.standing,
            verdicts=(),
            call_id="c",
            steps=tuple(unpriced),
            story=one.story,
        )
    )

    assert fold.summary().after_bad.usd is None
    assert fold.summary().steps[0].cost_usd is None


def at_random(cases: int, trials: int) -> Iterator[Sample]:
    chance = random.Random(3)
    for case in range(cases):
        for trial in range(trials):
            steps = "".join(chance.choice("GGGGB?") for _ in range(2)) + "-"
            yield sample(f"{steps},{chance.choice('GGB')}", case, trial)


@pytest.mark.parametrize("trials", [1, 3])
def test_the_order_in_which_answers_arrive_changes_no_digit(trials: int) -> None:
    samples = list(at_random(120, trials))
    one = summed(samples, trials, 1.0)
    random.Random(1).shuffle(samples)

    assert summed(samples, trials, 1.0) == one
    assert sum(one.words.values()) == 120 * trials
    assert Counter({word: count for word, count in one.words.items() if word == "not known"}).total() > 10


def run_summary(*, pipeline: bool) -> RunSummary:
    steps = PipelineFold(CHAIN.parents, 1, {}, 0.02) if pipeline else None
    fold = Fold([], 1, pipeline=steps)
    for one in several(GG_G=30, GB_B=12, BG_G=10):
        fold.add(one)
    return fold.summary()


def test_a_summary_comes_back_from_the_log_as_it_was() -> None:
    summary = run_summary(pipeline=True)

    assert decode(encode(summary), type=RunSummary) == summary
    older = encode(run_summary(pipeline=False)).replace(b',"pipeline":null', b"")
    assert decode(older, type=RunSummary).pipeline is None


def test_the_document_names_each_step_and_each_kind_of_sample() -> None:
    record = RunRecord(
        id="r1",
        suite="refund",
        prompt="refund@v1",
        model="small",
        model_sent="small",
        fingerprint=Fingerprint(prompt="", dataset="", graders="", model="", route=""),
        trials=1,
        planned=52,
        started_at=0.0,
    )

    def document(*, pipeline: bool) -> dict:
        result = RunResult(record=record, status=RunStatus.COMPLETE, summary=run_summary(pipeline=pipeline))
        return decode(encode(result_document(result)))

    told = document(pipeline=True)
    row = told["steps"][1]
    assert {key: row[key] for key in ("step", "ran", "skipped", "good", "bad", "unknown", "first_bad")} == {
        "step": "find",
        "ran": 52,
        "skipped": 0,
        "good": 40,
        "bad": 12,
        "unknown": 0,
        "first_bad": 12,
    }
    assert row["cost_usd"] == pytest.approx(52 * 0.02)
    assert row["latency_ms"] == pytest.approx(20.0, rel=0.02)
    assert row["recovery"]["count"] == 10
    assert told["samples_by_word"] == {
        "clean": 30,
        "recovered": 10,
        "latent": 0,
        "unexplained": 0,
        "poisoned": 12,
        "failed at the end": 0,
        "not known": 0,
    }
    assert told["faults"]["after_bad"] == {"usd": pytest.approx(12 * 0.3 + 10 * 0.32), "samples": 22, "good": 10}
    plain = document(pipeline=False)
    assert (plain["steps"], plain["samples_by_word"], plain["faults"]) == ([], {}, None)
