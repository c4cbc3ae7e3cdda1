"""Which points are worth choosing from, and what is said of them."""

from decimal import Decimal
from itertools import count

import pytest
from msgspec.structs import replace

from evalh.analysis.history import history
from evalh.analysis.tradeoff import trade_off
from evalh.core.log import RunRow
from evalh.core.run import Estimate, Fingerprint, RunRecord, RunStatus, RunSummary
from evalh.report.advice import advice
from evalh.report.charts.tradeoff import chart
from evalh.stats.intervals import wilson

NUMBERS = count()


def run(
    version: str, good: int, usd: float | None, *, model: str = "small", graders: str = "g", of: int = 100
) -> RunRow:
    low, high = wilson(good, of)
    cost = Estimate(None, None, None, "unpriced") if usd is None else Estimate(usd, usd * 0.9, usd * 1.1, "log-delta")
    summary = RunSummary(
        samples=of,
        good=good,
        bad=of - good,
        ungraded=0,
        good_rate=Estimate(good / of, low, high, "wilson"),
        cost_usd=Decimal(0),
        cached_cost_usd=Decimal(0),
        judge_cost_usd=Decimal(0),
        cost_per_good_usd=cost,
        latency_p50_ms=1.0,
        latency_p95_ms=2.0,
        calls=of,
        attempts=of,
        cache_hits=0,
        graders=(),
    )
    prints = Fingerprint(prompt=version, dataset="d", graders=graders, model=model, route="r")
    record = RunRecord(
        id=f"r{next(NUMBERS)}",
        suite="triage",
        prompt=f"triage@{version}",
        model=model,
        model_sent=model,
        fingerprint=prints,
        trials=1,
        planned=of,
        started_at=0.0,
    )
    return RunRow(record=record, status=RunStatus.COMPLETE, reason=None, finished_at=1.0, summary=summary)


def test_the_front_holds_what_nothing_beats_in_both() -> None:
    cheap, costly, beaten = run("v1", 60, 0.001), run("v2", 90, 0.01), run("v3", 55, 0.002)

    chosen = trade_off([cheap, costly, beaten], cheap)

    assert [point.label for point in chosen.front] == ["v1 on small", "v2 on small"]
    assert advice(chosen) == [
        "v1 on small has the cheapest good output, $0.001 each, at a good rate of 60.0 %.",
        "v2 on small buys 30.0 points over v1 on small for 10 × the price of a good output.",
    ]


def test_what_overlaps_is_not_told_as_a_difference() -> None:
    chosen = trade_off([run("v1", 60, 0.001), run("v2", 63, 0.002)], run("v1", 60, 0.001))

    assert "evalh compare" in advice(chosen)[1]


def test_other_graders_are_left_out_and_counted() -> None:
    here = run("v1", 60, 0.001)

    chosen = trade_off([here, run("v2", 90, 0.001, graders="other")], here)

    assert (len(chosen.points), chosen.left_out) == (1, 1)
    assert "nothing to choose" in advice(chosen)[0]


def test_only_the_newest_run_of_a_version_counts_and_an_interrupted_one_does_not() -> None:
    here, newer, older = run("v1", 60, 0.001), run("v2", 80, 0.001), run("v2", 20, 0.001)
    broken = replace(run("v3", 99, 0.001), status=RunStatus.INTERRUPTED)

    chosen = trade_off([broken, newer, older, here], here)

    assert [(point.label, point.summary.good) for point in chosen.points] == [("v2 on small", 80), ("v1 on small", 60)]


def test_without_a_price_the_rates_alone_are_drawn() -> None:
    chosen = trade_off([run("v1", 60, None), run("v2", 90, None)], run("v1", 60, None))

    assert "Nothing here is priced" in advice(chosen)[0]
    assert chosen.front == ()
    assert "none is priced" in (chart(chosen) or "")


@pytest.mark.parametrize("many", [1, 50])
def test_labels_of_many_versions_do_not_collide(many: int) -> None:
    import re

    runs = [run(f"v{number}", 40 + number, 0.001 * (1 + number / 10)) for number in range(many)]
    drawn = chart(trade_off(runs, runs[0])) or ""
    boxes = [
        (float(x), float(y), float(x) + 6.7 * len(words), float(y) - 15)
        for x, y, words in re.findall(r'<text x="([\d.]+)" y="([\d.]+)" class="label[^"]*">([^<]+)</text>', drawn)
    ]

    assert boxes
    assert len(re.findall("<circle", drawn)) == many
    for index, one in enumerate(boxes):
        for other in boxes[index + 1 :]:
            apart = one[2] <= other[0] or other[2] <= one[0] or one[1] <= other[3] or other[1] <= one[3]
            assert apart, (one, other)


@pytest.mark.parametrize(("good", "of"), [(0, 100), (1, 1)])
def test_nothing_good_and_a_single_case_still_make_a_picture(good: int, of: int) -> None:
    chosen = trade_off([run("v2", good, 0.001, of=of)], run("v1", good, 0.001, of=of))

    assert chart(chosen)


def test_versions_of_the_same_content_are_one_point_and_no_advice_compares_them() -> None:
    frozen, draft = run("v3", 60, None), run("draft", 60, None)
    prints = replace(draft.record.fingerprint, prompt="v3")
    draft = replace(draft, record=replace(draft.record, fingerprint=prints))

    chosen = trade_off([draft, frozen], draft)

    assert [(point.label, point.here) for point in chosen.points] == [("v3 = draft on small", True)]
    assert advice(chosen) == [
        "Only this version on this model was measured with these cases and graders: there is nothing to choose between."
    ]


def drafted(content: str, at: float, *, name: str = "draft") -> RunRow:
    """Return a run of a draft that had this content at this time."""
    one = run(content, 60, None)
    record = replace(one.record, id=f"run-{content}{at:.0f}", prompt=f"triage@{name}", started_at=at)
    return replace(one, record=record)


def test_only_the_content_of_the_newest_run_of_a_draft_is_called_draft() -> None:
    runs = [
        drafted("v2", 4.0),
        drafted("v2", 3.0, name="v2"),
        drafted("tried", 2.5),
        drafted("v1", 2.0),
        drafted("v1", 1.0, name="v1"),
    ]

    labels = {point.label for point in trade_off(runs, runs[0]).points}
    moments = [(one.version, one.mark) for one in history(runs, runs[0]).moments]

    assert labels == {"v2 = draft on small", "draft on small (tried2)", "v1 on small"}
    assert dict(moments) == {"v1": "", "draft": "tried2", "v2 = draft": ""}


def ungraded(one: RunRow, count: int) -> RunRow:
    """Return a run of which so many bad samples are ungraded instead."""
    assert one.summary is not None
    return replace(one, summary=replace(one.summary, bad=one.summary.bad - count, ungraded=count))


def test_a_run_with_too_many_ungraded_samples_is_no_choice_and_beats_no_other() -> None:
    best, cheap, few = ungraded(run("v1", 90, 0.001), 5), run("v2", 60, 0.002), ungraded(run("v3", 70, 0.003), 2)

    chosen = trade_off([best, cheap, few], best)

    assert [(point.label, point.measured) for point in chosen.points] == [
        ("v1 on small", False),
        ("v3 on small", True),
        ("v2 on small", True),
    ]
    assert [point.label for point in chosen.front] == ["v2 on small", "v3 on small"]
    assert advice(chosen) == [
        "v2 on small has the cheapest good output, $0.002 each, at a good rate of 60.0 %.",
        advice(trade_off([cheap, few], cheap))[1],
        "Not measured, so left out of this: v1 on small (5 of 100 samples ungraded).",
    ]
    assert "v1 on small, not measured" in (chart(chosen) or "")


@pytest.mark.parametrize("usd", [None, 0.001])
@pytest.mark.parametrize(
    ("others", "told"),
    [(0, "Nothing here is measured: there is nothing to choose from."), (1, "Only v2 on small was measured")],
)
def test_where_only_unmeasured_runs_remain_nothing_is_advised(usd: float | None, others: int, told: str) -> None:
    broken = ungraded(run("v1", 90, usd), 10)

    chosen = trade_off([broken, *[run("v2", 60, usd)][:others]], broken)

    assert advice(chosen)[0].startswith(told)
    assert advice(chosen)[1:] == ["Not measured, so left out of this: v1 on small (10 of 100 samples ungraded)."]


def test_the_history_prefers_a_measured_run_of_the_same_content() -> None:
    older, newer = run("v1", 60, 0.001), ungraded(run("v1", 60, 0.001), 10)
    newer = replace(newer, record=replace(newer.record, started_at=9.0))

    moments = history([newer, older], older).moments

    assert [(one.record.id, one.measured) for one in moments] == [(older.record.id, True)]
    assert [one.measured for one in history([newer], newer).moments] == [False]


def test_versions_that_are_good_equally_often_are_told_so() -> None:
    chosen = trade_off([run("v1", 60, None), run("v2", 60, None)], run("v3", 50, None))

    assert advice(chosen) == ["v1 on small, v2 on small are good equally often, 60.0 %. Nothing here is priced."]


@pytest.mark.parametrize("usd", [None, 0.001])
def test_advice_has_no_marks_of_markdown(usd: float | None) -> None:
    chosen = trade_off([run("v1", 60, usd), run("v2", 62, usd)], run("v3", 50, usd))

    assert "`" not in " ".join(advice(chosen))
