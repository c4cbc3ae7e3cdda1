"""`not`, `any_of` and `all_of`: three-valued logic over graders."""

import pytest

from evalh.core.errors import WorkspaceError
from evalh.core.verdict import GradeContext, Verdict
from evalh.graders.registry import collecting, grader

PASS = {"equals": {"value": "x"}}
FAIL = {"equals": {"value": "y"}}
ABSTAIN = "schema"
ERROR = {"number": {"expected": "$"}}  # the case's expected has no number


@pytest.fixture
def outcome(judge):
    def outcome(entry: object) -> str:
        return judge(entry, "x", expected="no number").outcome

    return outcome


@pytest.mark.parametrize(
    ("inner", "expected"), [(PASS, "fail"), (FAIL, "pass"), (ABSTAIN, "abstain"), (ERROR, "error")]
)
def test_not_turns_pass_and_fail_round_and_nothing_else(outcome, inner, expected: str) -> None:
    assert outcome({"not": {"grader": inner}}) == expected


@pytest.mark.parametrize(
    ("graders", "expected"),
    [
        ([PASS], "pass"),
        ([FAIL], "fail"),
        ([FAIL, PASS], "pass"),
        ([FAIL, FAIL], "fail"),
        ([ABSTAIN, PASS], "pass"),
        ([ERROR, PASS], "pass"),
        ([FAIL, ABSTAIN], "abstain"),
        ([FAIL, ERROR], "error"),
        ([ABSTAIN, ERROR, FAIL], "error"),
    ],
)
def test_any_of_passes_with_one_and_is_unknown_where_that_one_is(outcome, graders, expected: str) -> None:
    assert outcome({"any_of": {"graders": graders}}) == expected


@pytest.mark.parametrize(
    ("graders", "expected"),
    [
        ([PASS], "pass"),
        ([PASS, PASS], "pass"),
        ([PASS, FAIL], "fail"),
        ([ABSTAIN, FAIL], "fail"),
        ([ERROR, FAIL], "fail"),
        ([PASS, ABSTAIN], "abstain"),
        ([PASS, ERROR], "error"),
        ([ABSTAIN, ERROR, PASS], "error"),
    ],
)
def test_all_of_fails_with_one_and_is_unknown_where_that_one_is(outcome, graders, expected: str) -> None:
    assert outcome({"all_of": {"graders": graders}}) == expected


def test_reasons_name_the_graders_that_decided(judge) -> None:
    both = [{"contains": {"value": "a"}}, {"contains": {"value": "b"}}]

    assert judge({"all_of": {"graders": both}}, "a").reason == 'contains: does not contain "b"'
    assert judge({"any_of": {"graders": both}}, "").reason == (
        'contains: does not contain "a"; contains: does not contain "b"'
    )
    assert judge({"not": {"grader": both[0]}}, "a").reason == 'not contains: contains "a"'


@pytest.fixture
def asked_kinds():
    """Graders that note that they were asked, and give a score; one of them asynchronous."""
    asked: list[str] = []

    with collecting(__file__) as kinds:

        @grader("half")
        def half(ctx: GradeContext, *, mark: float = 0.5) -> Verdict:
            asked.append("half")
            return Verdict.scored(0.5, mark, "half")

        @grader("most")
        async def most(ctx: GradeContext, *, mark: float = 0.5) -> Verdict:
            asked.append("most")
            return Verdict.scored(0.9, mark, "most")

    return kinds, asked


@pytest.fixture
def ask_with(build_grader, make_context, ask, asked_kinds):
    kinds, noted = asked_kinds
    return lambda entry: (ask(build_grader(entry, kinds=kinds), make_context("x")), noted)


@pytest.mark.parametrize(
    ("entry", "outcome", "score", "asked"),
    [
        ({"any_of": {"graders": ["half", "most"]}}, "pass", 0.5, ["half"]),
        ({"any_of": {"graders": [{"half": {"mark": 1.0}}, "most"]}}, "pass", 0.9, ["half", "most"]),
        ({"any_of": {"graders": [{"most": {"mark": 1.0}}, {"half": {"mark": 1.0}}]}}, "fail", 0.9, ["most", "half"]),
        ({"any_of": {"graders": [FAIL, "most", "half"]}}, "pass", 0.9, ["most"]),
        ({"all_of": {"graders": ["half", "most"]}}, "pass", 0.5, ["half", "most"]),
        ({"all_of": {"graders": [{"most": {"mark": 1.0}}, "half"]}}, "fail", 0.9, ["most"]),
        ({"all_of": {"graders": ["most", PASS, {"half": {"mark": 0.6}}]}}, "fail", 0.5, ["most", "half"]),
        ({"not": {"grader": "most"}}, "fail", 0.1, ["most"]),
        ({"not": {"grader": {"any_of": {"graders": ["most"]}}}}, "fail", 0.1, ["most"]),
    ],
)
def test_graders_are_asked_in_order_until_one_decides(
    ask_with, entry, outcome: str, score: float, asked: list[str]
) -> None:
    verdict, noted = ask_with(entry)

    assert (verdict.outcome, verdict.score) == (outcome, pytest.approx(score))
    assert noted == asked


def test_what_is_inside_is_checked_when_the_suite_is_loaded(build_grader) -> None:
    with pytest.raises(WorkspaceError, match="no grader 'equal'") as caught:
        build_grader({"not": {"grader": {"any_of": {"graders": ["equal"]}}}})
    assert (caught.value.where, caught.value.hint) == ("evals/triage.yaml:7", "did you mean 'equals'?")

    with pytest.raises(WorkspaceError, match="'regex' has a pattern"):
        build_grader({"all_of": {"graders": [{"regex": {"pattern": "("}}]}})


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"any_of": {"graders": []}}, "has no graders"),
        ({"any_of": {}}, "'graders' is missing"),
        ({"any_of": {"graders": "equals"}}, "'graders' must be a list of graders, not text"),
        ({"not": {"grader": {"equals": {}, "json": {}}}}, "an entry with 2 names"),
        ({"not": {"grader": {}}}, "an entry with 0 names"),
        ({"not": {"grader": {"length": 3}}}, "grader 'length': unknown key 'value'"),
        ({"not": {"grader": {"json": {"required": False}}}}, "states required"),
        ({"not": {"contain": "x"}}, "no grader 'contain'"),
        ({"not": {"grader": "json", "contains": "x"}}, "unknown key 'contains'"),
        ({"any_of": {"contains": "x"}}, "unknown key 'contains'"),
    ],
)
def test_an_entry_of_the_wrong_form_is_refused(build_grader, entry, message: str) -> None:
    with pytest.raises(WorkspaceError, match=message):
        build_grader(entry)


def test_gold_is_needed_where_a_part_needs_it(build_grader) -> None:
    assert build_grader({"any_of": {"graders": ["json", {"not": {"grader": "equals"}}]}}).needs_expected
    assert not build_grader({"any_of": {"graders": ["json", PASS]}}).needs_expected
