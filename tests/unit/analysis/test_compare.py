"""What a comparison states, on small sides whose numbers can be counted by hand."""

import json
import math
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import to_builtins

from evalh.analysis.compare.compare import Method, compare
from evalh.analysis.compare.comparison import Comparison, ComparisonVerdict
from evalh.core.errors import UsageError
from evalh.core.verdict import Outcome
from evalh.report.documents.compare import comparison_document
from evalh.report.terminal.compare import doubts, points
from evalh.report.text import limit
from evalh.stats.paired import mcnemar_exact, mcnemar_midp, tango_interval
from unit.analysis.comparing import sample, side, signs

MIRRORED = {
    ComparisonVerdict.BETTER: ComparisonVerdict.WORSE,
    ComparisonVerdict.WORSE: ComparisonVerdict.BETTER,
}


def both(base: str, head: str, options: Method | None = None) -> Comparison:
    """Compare two patterns of `+`, `-` and `?`, a sign per case."""
    return compare(side(signs(base)), side(signs(head), "triage@v3"), options)


def test_the_numbers_are_those_of_the_tests_they_name() -> None:
    comparison = both("+" * 15 + "-" * 10 + "+" * 75, "-" * 5 + "+" * 95)

    assert (comparison.n, comparison.wins, comparison.losses, comparison.ties) == (100, 10, 5, 85)
    assert comparison.difference.value == pytest.approx(0.05)
    assert (comparison.difference.low, comparison.difference.high) == pytest.approx(tango_interval(10, 5, 100))
    assert (comparison.difference.method, comparison.test) == ("tango", "mcnemar-midp")
    assert comparison.p_value == pytest.approx(mcnemar_midp(10, 5))
    assert comparison.regressed == tuple(f"t-{number:03d}" for number in range(1, 6))
    assert comparison.fixed == tuple(f"t-{number:03d}" for number in range(16, 26))


def test_a_verdict_that_blocks_is_tested_exactly() -> None:
    comparison = both("+" * 8 + "-", "-" * 7 + "++", Method(exact=True))

    assert comparison.test == "mcnemar-exact"
    assert comparison.p_value == mcnemar_exact(1, 7) == pytest.approx(0.0703125)


@pytest.mark.parametrize(
    ("base", "head", "verdict"),
    [
        ("+" * 50 + "-" * 50, "+" * 90 + "-" * 10, ComparisonVerdict.BETTER),
        ("+" * 90 + "-" * 10, "+" * 50 + "-" * 50, ComparisonVerdict.WORSE),
        ("+" * 250 + "-" * 50, "+" * 250 + "-" * 50, ComparisonVerdict.NO_WORSE),
        ("+" * 15 + "-" * 5, "+" * 15 + "-" * 5, ComparisonVerdict.INCONCLUSIVE),
    ],
)
def test_there_are_four_verdicts(base: str, head: str, verdict: ComparisonVerdict) -> None:
    assert both(base, head).verdict is verdict


def test_what_is_inconclusive_says_how_many_cases_would_do_and_what_drop_shows() -> None:
    comparison = both("+" * 18 + "--", "-" + "+" * 18 + "-")

    assert comparison.verdict is ComparisonVerdict.INCONCLUSIVE
    assert comparison.cases_needed is not None
    assert comparison.cases_needed > 200
    assert comparison.detectable_drop is not None
    assert 0.1 < comparison.detectable_drop < 0.5


def test_ungraded_samples_help_no_claim() -> None:
    base, better = "+" * 50 + "-" * 50, "+" * 62 + "-" * 38

    assert both(base, better).verdict is ComparisonVerdict.BETTER
    for doubtful in (both(base, "?" * 12 + better[12:]), both(base.replace("-" * 12, "?" * 12, 1), better)):
        assert not doubtful.measured
        assert doubtful.verdict is ComparisonVerdict.INCONCLUSIVE
    few = compare(
        side(signs(base), max_ungraded=1.0), side(signs("+" * 50 + "?" * 12 + "-" * 38), "triage@v3", max_ungraded=1.0)
    )
    assert (few.wins, few.losses, few.ties, few.undecided) == (0, 0, 100, 12)
    assert few.verdict is not ComparisonVerdict.BETTER
    assert few.difference.value == 0.0
    assert few.difference.low is not None
    assert few.difference.high is not None
    assert few.difference.low < 0 < few.difference.high


def test_an_ungraded_head_is_not_called_a_regression_and_an_ungraded_base_no_gain() -> None:
    comparison = both("+?" + "+" * 98, "?+" + "+" * 98)

    assert (comparison.regressed, comparison.fixed, comparison.undecided) == ((), (), 2)


def test_all_ungraded_says_that_nothing_was_measured_and_never_nan() -> None:
    comparison = both("?" * 20, "?" * 20)

    assert not comparison.measured
    assert comparison.verdict is ComparisonVerdict.INCONCLUSIVE
    assert comparison.p_value == 1.0
    json.dumps(to_builtins(comparison_document(comparison)), allow_nan=False)


def test_no_common_case_is_not_comparable() -> None:
    comparison = compare(side({"a": "+"}), side({"b": "+"}), Method(intersection=True))

    assert not comparison.comparable
    assert (comparison.n, comparison.difference.value, comparison.p_value) == (0, None, None)
    assert "only in base: a; only in head: b" in comparison.reason
    json.dumps(to_builtins(comparison_document(comparison)), allow_nan=False)


def test_other_rows_are_refused_and_compared_on_request() -> None:
    base, head = side({"a": "+", "b": "+", "c": "-"}), side({"a": "-", "b": "+", "d": "+"})

    refused, common = compare(base, head), compare(base, head, Method(intersection=True))

    assert (refused.comparable, refused.n) == (False, 0)
    assert (common.comparable, common.n, common.regressed) == (True, 2, ("a",))
    assert common.mismatches == refused.mismatches != ()


def test_other_graders_are_refused_even_on_request() -> None:
    base, head = side(signs("+")), side(signs("+"), graders_digest="sha256:other")

    assert not compare(base, head, Method(intersection=True)).comparable


def test_trials_are_clustered_by_case() -> None:
    trials = side({f"t-{n}": "+++++" if n % 2 else "-----" for n in range(20)})
    head = side({f"t-{n}": "+++++" if n % 3 else "-----" for n in range(20)}, "triage@v3")

    comparison = compare(trials, head)

    assert comparison.n == 20
    assert comparison.test == "sign-flip"
    assert comparison.difference.method == "clustered-t"
    assert comparison.verdict is ComparisonVerdict.INCONCLUSIVE  # 100 rows taken for independent would call it better


def test_no_spread_between_few_cases_is_no_certainty() -> None:
    comparison = compare(side({"a": "++", "b": "++"}), side({"a": "++", "b": "++"}, "triage@v3"))

    assert comparison.verdict is ComparisonVerdict.INCONCLUSIVE
    assert comparison.difference.low is not None
    assert comparison.difference.low < -0.3


def test_a_case_whose_trials_disagree_is_called_unstable() -> None:
    comparison = compare(side({"a": "+++", "b": "+++"}), side({"a": "+-+", "b": "---"}))

    assert comparison.unstable == ("a",)
    assert comparison.regressed == ("a", "b")


def test_the_same_run_twice_differs_in_nothing() -> None:
    run = side(signs("++-"))

    comparison = compare(run, run)

    assert comparison.identical
    assert comparison.verdict is ComparisonVerdict.NO_WORSE
    assert (comparison.difference.low, comparison.difference.high) == (0.0, 0.0)


def test_no_good_on_a_side_has_no_ratio_and_no_nan() -> None:
    for base, head in (("-" * 20, "+" * 20), ("+" * 20, "-" * 20), ("-" * 20, "-" * 20)):
        comparison = both(base, head)
        assert comparison.cost_per_good_ratio.method == "zero-goods"
        assert comparison.cost_per_good_ratio.value is None
        json.dumps(to_builtins(comparison_document(comparison)), allow_nan=False)


def test_hardly_any_good_leaves_the_ratio_without_an_upper_limit() -> None:
    head = side(signs("-+" + "-" * 18), "triage@v3")
    base = side(signs("+" * 19 + "-"))

    ratio = compare(base, head).cost_per_good_ratio

    assert ratio.value == pytest.approx(19.0)
    assert (ratio.high, ratio.method) == (None, "fieller")


def test_an_unknown_price_makes_the_ratio_unknown() -> None:
    unpriced = side(signs("+++"), samples=[sample(case, 0, "+", cost_usd=None) for case in signs("+++")])

    assert compare(side(signs("+++")), unpriced).cost_per_good_ratio.method == "unpriced"


def test_tags_are_explored_with_false_discoveries_in_mind() -> None:
    cases = [f"t-{number:03d}" for number in range(60)]
    tags = [frozenset({f"tag{number % 6}"}) for number in range(60)]
    base = side(
        {}, samples=[sample(case, 0, "+", tags=tag) for case, tag in zip(cases, tags, strict=True)], dataset="d"
    )
    broken = [sample(case, 0, "-" if tag == {"tag0"} else "+", tags=tag) for case, tag in zip(cases, tags, strict=True)]

    comparison = compare(base, side({}, samples=broken, dataset="d"))

    assert [part.name for part in comparison.tags if part.shown] == ["tag0"]
    assert comparison.tags[0].losses == 10
    assert comparison.tags[0].p_adjusted == pytest.approx(6 * mcnemar_midp(0, 10))


def test_each_grader_is_compared_where_it_judged() -> None:
    def graded(case: str, tone: Outcome) -> object:
        return sample(case, 0, "+", outcomes={"equals": Outcome.PASS, "tone": tone})

    graders = (("equals", True), ("tone", False))
    base = side({}, samples=[graded("a", Outcome.PASS), graded("b", Outcome.ABSTAIN)], graders=graders, dataset="d")
    head = side({}, samples=[graded("a", Outcome.FAIL), graded("b", Outcome.ABSTAIN)], graders=graders, dataset="d")

    equals, tone = compare(base, head).graders

    assert (equals.n, equals.losses, equals.adjusted_by) == (2, 0, "holm")
    assert (tone.n, tone.losses, tone.adjusted_by) == (1, 1, "bh")


def test_pass_at_k_needs_k_trials() -> None:
    base, head = side({"a": "+-", "b": "--"}), side({"a": "++", "b": "+-"})

    pass_at = compare(base, head, Method(pass_at=2)).pass_at

    assert pass_at is not None
    assert [estimate.value for estimate in (pass_at.base_any, pass_at.head_any)] == [0.5, 1.0]
    assert [estimate.value for estimate in (pass_at.base_all, pass_at.head_all)] == [0.0, 0.5]
    with pytest.raises(UsageError, match="pass@3 needs 3 trials of each case; here are 2"):
        compare(base, head, Method(pass_at=3))


MARKS = st.text("+-?", min_size=2, max_size=2) | st.text("+-", min_size=2, max_size=2)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(MARKS, MARKS), min_size=1, max_size=25),
    st.booleans(),
    st.lists(st.integers(1, 400), min_size=25, max_size=25),
)
def test_swapping_the_sides_mirrors_everything(rows: list[tuple[str, str]], one: bool, prices: list[int]) -> None:
    trials = 1 if one else 2
    cases = [f"t-{number}" for number in range(len(rows))]

    def make(which: int, name: str) -> object:
        samples = [
            sample(case, trial, row[which][trial], cost_usd=Decimal(prices[index - which]) / 1000)
            for index, (case, row) in enumerate(zip(cases, rows, strict=True))
            for trial in range(trials)
        ]
        return side({}, name, samples=samples, dataset="d", trials=trials, max_ungraded=1.0)

    first, second = make(0, "p@v1"), make(1, "p@v2")

    there, back = compare(first, second), compare(second, first)

    assert (there.wins, there.losses, there.ties) == (back.losses, back.wins, back.ties)
    assert (there.regressed, there.undecided) == (back.fixed, back.undecided)
    assert there.p_value == pytest.approx(back.p_value)
    assert there.difference.value == pytest.approx(-back.difference.value)
    assert (there.difference.low, there.difference.high) == pytest.approx(
        (-back.difference.high, -back.difference.low), abs=1e-9
    )
    if there.verdict in MIRRORED or back.verdict in MIRRORED:
        assert MIRRORED[there.verdict] is back.verdict
    ratio, inverse = there.cost_per_good_ratio, back.cost_per_good_ratio
    assert (ratio.value is None) == (inverse.value is None)
    if ratio.value is not None:
        assert ratio.value * inverse.value == pytest.approx(1.0)
        assert (ratio.high is None) == (inverse.low == 0.0)
        if ratio.high is not None and math.isfinite(ratio.high):
            assert ratio.high * inverse.low == pytest.approx(1.0)
    json.dumps(to_builtins(comparison_document(there)), allow_nan=False)


def test_a_close_call_says_so() -> None:
    close = both("+" * 6 + "-" * 15 + "+" * 15 + "-" * 24, "-" * 6 + "+" * 15 + "+" * 15 + "-" * 24)
    clear = both("-" * 15 + "+" * 45, "+" * 60)
    equal = both("+" * 6 + "-" * 6 + "+" * 48, "-" * 6 + "+" * 6 + "+" * 48)

    assert close.verdict is ComparisonVerdict.BETTER
    assert close.p_value == pytest.approx(0.0525, abs=1e-4)
    assert points(close.difference) == "+15.0 points  [+0.03, +29.7]"
    assert [line.split(":")[0] for line in doubts(close)] == ["a close call"]
    assert doubts(clear) == doubts(equal) == []


@pytest.mark.parametrize(
    ("bound", "text"),
    [(0.0, "+0.0"), (0.0003, "+0.03"), (-0.0003, "-0.03"), (0.0006, "+0.1"), (-0.25, "-25.0"), (1.0, "+100.0")],
)
def test_a_limit_close_to_0_keeps_its_side(bound: float, text: str) -> None:
    assert limit(bound) == text
