"""Parts of JSON: subsets, weighted fields, tolerances, lists in any order."""

import json
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalh.core.errors import WorkspaceError
from evalh.core.verdict import Outcome
from evalh.graders.json_likeness import Subset, Tolerance, leaves, pairs

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


@given(edges=st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=1, max_size=4))
def test_as_many_are_paired_as_can_be(edges: list[list[bool]]) -> None:
    found = pairs(len(edges), 4, lambda number, other: edges[number][other])

    best = max(
        sum(edges[number][other] for number, other in enumerate(order[: len(edges)]))
        for order in permutations(range(4))
    )
    assert len(found) == best
    assert len(set(found.values())) == len(found)
    assert all(edges[number][other] for number, other in found.items())


@pytest.mark.parametrize("lists", ["ordered", "any_order"])
@given(value=JSON, more=JSON)
def test_a_value_holds_itself_and_more_keys_change_nothing(lists: str, value, more) -> None:
    of = leaves(value)
    assert Subset(Tolerance(), lists).count(value, value) == (of, of)
    assert Subset(Tolerance(), lists).count({"a": value, "b": more}, {"a": value}) == (of, of)


@given(got=JSON, wanted=JSON)
def test_what_fits_is_never_more_than_there_is(got, wanted) -> None:
    for lists in ("ordered", "any_order"):
        fit, of = Subset(Tolerance(), lists).count(got, wanted)
        assert 0 <= fit <= of
        assert of > 0


@pytest.mark.parametrize(
    ("entry", "got", "wanted", "score"),
    [
        ({}, {"a": 1, "b": [1, 2], "c": 0}, {"a": 1, "b": [1, 2]}, 1.0),
        ({}, {"a": 1, "b": [1, 2, 3]}, {"b": [1, 2]}, 2 / 3),
        ({}, {"a": 1, "b": [2, 1]}, {"a": 1, "b": [1, 2]}, 1 / 3),
        ({"lists": "any_order"}, {"b": [{"x": 1, "y": 1}, {"x": 1}]}, {"b": [{"x": 1}, {"x": 1, "y": 1}]}, 1.0),
        ({}, {"a": "1"}, {"a": 1}, 0.0),
        ({}, {"a": True}, {"a": 1}, 0.0),
        ({"rel_tol": 0.1}, {"a": 95}, {"a": 100}, 1.0),
        ({"rel_tol": 0.01}, {"a": 95}, {"a": 100}, 0.0),
        ({"ignore_case": True}, {"a": "X"}, {"a": "x"}, 1.0),
        ({}, {"a": {}}, {"a": {"b": [1, {"c": 2}]}}, 0.0),
        ({}, {"a": {"x": 1}}, {"a": {}}, 1.0),
    ],
)
def test_the_score_is_the_share_of_leaves(judge, entry, got, wanted, score: float) -> None:
    verdict = judge({"json_subset": entry}, json.dumps(got), expected=wanted)

    assert verdict.score == pytest.approx(score)
    assert (verdict.outcome is Outcome.PASS) == (score == 1.0)


def test_lists_that_are_too_long_to_pair_are_an_error(judge) -> None:
    many = list(range(3_000))

    assert judge({"json_subset": {"lists": "any_order"}}, json.dumps(many), expected=many).outcome is Outcome.ERROR
    assert judge("json_subset", json.dumps(many), expected=many).outcome is Outcome.PASS


def test_weights_tolerances_and_a_critical_field(judge) -> None:
    fields = {"a": {"weight": 3, "critical": True}, "b": {"abs_tol": 0.5, "expected": "c"}}
    entry = {"json_fields": {"fields": fields, "pass_mark": 0.25}}
    expected = {"a": "x", "c": 2}

    assert judge(entry, '{"a": "x", "b": 2.4}', expected=expected).score == 1.0
    half = judge(entry, '{"a": "x", "b": 3}', expected=expected)
    assert (half.outcome, half.score) == (Outcome.PASS, 0.75)
    critical = judge(entry, '{"a": "y", "b": 2}', expected=expected)
    assert (critical.outcome, critical.score) == (Outcome.FAIL, 0.25)
    assert judge(entry, '{"a": "y"}', expected={"z": 1}).outcome is Outcome.ABSTAIN


@pytest.mark.parametrize(
    "params",
    [{"fields": {}}, {"fields": {"a": 0}}, {"fields": {"a": {"wieght": 1}}}, {"fields": {"a..b": 1}}, {"pass_mark": 1}],
)
def test_fields_that_cannot_be_compared_are_refused_at_their_line(judge, params) -> None:
    with pytest.raises(WorkspaceError, match="json_fields") as caught:
        judge({"json_fields": params}, "{}", expected={})
    assert caught.value.where == "evals/triage.yaml:7"
