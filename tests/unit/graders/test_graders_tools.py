"""Calls of tools: names, arguments, order, what is forbidden, and what the schema says."""

import json

import pytest

from evalh.core.errors import WorkspaceError
from evalh.core.request import Tool
from evalh.core.verdict import Outcome

FIND = ["find", '{"id": 7, "deep": {"a": 1}}']
REFUND = ["refund", '{"id": 7}']
TOOLS = (
    Tool("find", "", {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]}),
    Tool("broken", "", {"type": "nothing"}),
)


def wanted(*calls: list[str]) -> list[dict]:
    return [{"name": name, "arguments": json.loads(arguments)} for name, arguments in calls]


@pytest.mark.parametrize(
    ("params", "calls", "expected", "score"),
    [
        ({}, [FIND, REFUND], wanted(REFUND, FIND), 1.0),
        ({"order": "same"}, [FIND, REFUND], wanted(REFUND, FIND), 1 / 3),
        ({"order": "same"}, [FIND, FIND, REFUND], wanted(FIND, REFUND), 2 / 3),
        ({"order": "same", "allow_more": True}, [FIND, FIND, REFUND], wanted(FIND, REFUND), 1.0),
        ({}, [FIND, REFUND], wanted(FIND), 1 / 2),
        ({"allow_more": True}, [FIND, REFUND], wanted(FIND), 1.0),
        ({}, [FIND], ["find"], 1.0),
        ({}, [["find", '{"q": "e\u0301"}']], wanted(["find", '{"q": "\u00e9"}']), 1.0),
        ({"arguments": "subset"}, [["find", '{"q": "\u00e9", "n": 1}']], wanted(["find", '{"q": "e\u0301"}']), 1.0),
        ({}, [FIND], wanted(["find", '{"id": 7}']), 0.0),
        ({"arguments": "subset"}, [FIND], wanted(["find", '{"id": 7}']), 1.0),
        ({"arguments": "ignore"}, [["find", "{not JSON"]], wanted(FIND), 1.0),
        ({}, [["find", "{not JSON"]], wanted(FIND), 0.0),
        ({}, [["find", ""]], [{"name": "find", "arguments": {}}], 1.0),
        ({}, [FIND, FIND], wanted(FIND, FIND), 1.0),
        ({}, [FIND], wanted(FIND, FIND), 1 / 2),
        ({}, [], [], 1.0),
    ],
)
def test_calls_are_held_to_the_expected_ones(judge, params, calls, expected, score: float) -> None:
    verdict = judge({"tool_calls": params}, "", tool_calls=calls, expected=expected)

    assert verdict.score == pytest.approx(score), verdict.reason
    assert (verdict.outcome is Outcome.PASS) == (score == 1.0)


@pytest.mark.parametrize(
    ("call", "outcome"),
    [
        (["find", '{"id": 7}'], Outcome.PASS),
        (["find", '{"id": "7"}'], Outcome.FAIL),
        (["find", "{}"], Outcome.FAIL),
        (["find", '{"id": 7, "id": 8}'], Outcome.FAIL),
        (["refund", "{}"], Outcome.FAIL),
        (["broken", "{}"], Outcome.ERROR),
    ],
)
def test_valid_calls_name_a_tool_that_was_sent_and_fit_its_schema(judge, make_request, call, outcome: Outcome) -> None:
    request = make_request("", tools=TOOLS)

    assert judge({"tool_calls": {"valid": True}}, "", tool_calls=[call], request=request).outcome is outcome
    assert judge({"tool_calls": {"valid": True}}, "", tool_calls=[call]).outcome is Outcome.ABSTAIN


def test_rules_alone_need_no_gold(build_grader) -> None:
    assert not build_grader({"tool_calls": {"forbidden": ["x"]}}).needs_expected
    assert not build_grader({"tool_calls": {"value": ["x"]}}).needs_expected
    assert build_grader("tool_calls").needs_expected


def test_a_forbidden_tool_fails_whatever_was_expected(judge) -> None:
    entry = {"tool_calls": {"forbidden": ["refund"], "allow_more": True}}
    assert (
        judge({"tool_calls": {**entry["tool_calls"], "expected": "$"}}, "", tool_calls=[REFUND], expected=[]).score
        == 0.0
    )


def test_nonsense_is_an_error_of_the_dataset_and_thousands_of_calls_fail(judge) -> None:
    assert judge("tool_calls", "", expected={"name": "x"}).outcome is Outcome.ERROR
    assert judge("tool_calls", "", expected=[{"nmae": "x"}]).outcome is Outcome.ERROR
    assert judge("tool_calls", "", tool_calls=[FIND] * 5_000, expected=["find"]).outcome is Outcome.FAIL
    assert judge("tool_calls", "", tool_calls=[["\ud800", "\x00"]], expected=["find"]).outcome is Outcome.FAIL


@pytest.mark.parametrize("params", [{"value": ["a", 1]}, {"value": ["a"], "expected": "$"}, {"order": "some"}])
def test_calls_that_cannot_be_expected_are_refused(judge, params) -> None:
    with pytest.raises(WorkspaceError, match="tool_calls"):
        judge({"tool_calls": params}, "x")


@pytest.mark.parametrize("rule", [{"valid": True}, {"forbidden": ["x"]}, {"valid": True, "forbidden": ["x"]}])
@pytest.mark.parametrize("stated", [{}, {"order": "same"}, {"arguments": "subset"}, {"allow_more": True}])
def test_a_rule_does_not_replace_what_the_case_expects(build_grader, judge, make_request, rule, stated) -> None:
    entry = {"tool_calls": {**stated, **rule}}
    request = make_request("", tools=TOOLS)

    assert judge(entry, "", expected=["find"], request=request).outcome is Outcome.FAIL
    assert judge(entry, "", expected=["find"], request=request, tool_calls=[FIND]).outcome is Outcome.PASS
    without = judge(entry, "", request=request)
    assert (without.outcome is Outcome.ABSTAIN) == build_grader(entry).needs_expected == bool(stated)
    assert judge({"tool_calls": rule}, "", expected="a label", request=request).outcome is Outcome.PASS


@pytest.mark.parametrize("got", ["", " ", "{}", "null"])
@pytest.mark.parametrize("gold", [{}, None, "{}", "null", ""])
def test_no_arguments_are_no_arguments_however_they_are_written(judge, got: str, gold) -> None:
    expected = [{"name": "find", "arguments": gold}]

    assert judge("tool_calls", "", tool_calls=[["find", got]], expected=expected).outcome is Outcome.PASS
    assert judge("tool_calls", "", tool_calls=[["find", '{"id": 7}']], expected=expected).outcome is Outcome.FAIL


def test_expected_arguments_may_be_json_text(judge) -> None:
    gold = [{"name": "refund", "arguments": '{"id": 7.0}'}]

    assert judge("tool_calls", "", tool_calls=[REFUND], expected=gold).outcome is Outcome.PASS
    assert (
        judge("tool_calls", "", tool_calls=[REFUND], expected=[{"name": "refund", "arguments": "{id"}]).outcome
        == "error"
    )
