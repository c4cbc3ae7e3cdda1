"""Pairing by case and trial."""

import pytest

from evalh.analysis.compare.comparison import SideName
from evalh.analysis.compare.pairing import by_case, pair
from evalh.core.errors import WorkspaceError
from unit.analysis.comparing import sample, side, signs


def test_cases_pair_by_id_whatever_their_order() -> None:
    base, head = side({"a": "+", "b": "-"}), side({"b": "+", "a": "-"})

    paired = pair(base, head)

    assert [(one.case_id, one.base.goods, one.head.goods) for one in paired.pairs] == [("b", 0, 1), ("a", 1, 0)]
    assert paired.mismatches == paired.missing == ()


def test_a_deleted_and_an_edited_case_are_named_and_not_paired() -> None:
    edited = sample("c", 0, "+", row_digest="sha256:other")
    base = side({"a": "+", "b": "+", "c": "+"})
    head = side({"a": "+"}, dataset="sha256:head", samples=[sample("a", 0, "+"), edited, sample("d", 0, "+")])

    paired = pair(base, head)

    assert [one.case_id for one in paired.pairs] == ["a"]
    assert [mismatch.part for mismatch in paired.mismatches] == ["dataset"]
    assert paired.mismatches[0].what == "the dataset's rows differ (changed: c; only in base: b; only in head: d)"
    assert paired.mismatches[0].cases == ("c", "b", "d")
    assert {(one.case_id, one.absent_from) for one in paired.missing} == {("b", SideName.HEAD), ("d", SideName.BASE)}


def test_a_side_that_was_cut_off_lacks_trials_and_one_that_planned_fewer_does_not() -> None:
    base = side({"a": "++", "b": "++"})

    cut_off = pair(base, side({"a": "++", "b": "+"}, trials=2))
    fewer = pair(base, side({"a": "+", "b": "+"}))

    assert [(one.case_id, one.trials) for one in cut_off.missing] == [("b", (1,))]
    assert fewer.missing == ()


def test_graders_that_differ_are_named() -> None:
    base = side(signs("+"), graders=(("equals", True), ("json", True)))
    head = side(signs("+"), graders=(("equals", False), ("tone", True)), graders_digest="sha256:other")

    (mismatch,) = pair(base, head).mismatches

    assert mismatch.part == "graders"
    assert mismatch.what == (
        "the graders differ (equals is required only on base; only in base: json; only in head: tone)"
    )


def test_a_grader_that_judges_by_something_else_is_named_with_both() -> None:
    base = side(signs("+"), judged_by={"equals": {"kind": "equals", "params": {"path": "label"}}})
    head = side(
        signs("+"), judged_by={"equals": {"kind": "equals", "params": {"path": "team"}}}, graders_digest="sha256:other"
    )

    (mismatch,) = pair(base, head).mismatches

    assert mismatch.what == (
        'the graders differ (equals: params is {"path": "label"} on base, {"path": "team"} on head)'
    )


def test_a_trial_that_comes_twice_is_refused() -> None:
    with pytest.raises(WorkspaceError, match="case 'a' has trial 0 twice"):
        by_case([sample("a", 0, "+"), sample("a", 0, "-")])


def test_a_case_without_a_price_has_no_cost() -> None:
    cases = by_case([sample("a", 0, "+"), sample("a", 1, "-", cost_usd=None)])

    assert cases["a"].cost_usd is None
    assert (cases["a"].goods, cases["a"].ungraded, cases["a"].flaky) == (1, 0, True)
