"""`weighted` and `case`: what several graders come to, by their weights."""

import asyncio
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalh.core.attempt import Completion
from evalh.core.case import Case
from evalh.core.errors import WorkspaceError
from evalh.core.suite import GraderSpec
from evalh.core.verdict import GradeContext, Outcome, Verdict, parts_of
from evalh.graders.parts import HEAVIEST
from evalh.graders.registry import build, build_all, collecting, complete, grader
from grading import environment

PASS = {"equals": {"value": "x"}}
FAIL = {"equals": {"value": "y"}}
ABSTAIN = "schema"
ERROR = {"number": {"expected": "$"}}  # the case's expected has no number


def weighing(entry: dict[str, object], weight: float, **more: object) -> dict[str, object]:
    ((kind, params),) = entry.items()
    assert isinstance(params, dict)
    return {kind: {**params, "weight": weight, **more}}


@pytest.fixture
def weighted(judge):
    def weighted(*graders: object, **params: object) -> Verdict:
        return judge({"weighted": {"graders": list(graders), **params}}, "x", expected="no number")

    return weighted


@pytest.mark.parametrize(
    ("graders", "outcome", "score"),
    [
        ([PASS], "pass", 1.0),
        ([PASS, FAIL], "fail", 0.5),
        ([weighing(PASS, 3), FAIL], "fail", 0.75),
        ([PASS, weighing(FAIL, 0)], "pass", 1.0),
        ([ABSTAIN, FAIL], "fail", 0.0),
        ([ERROR, PASS], "error", None),
        ([ABSTAIN, PASS], "abstain", None),
        ([ABSTAIN, ERROR, PASS], "error", None),
        ([{"number": {"expected": "$", "weight": 0}}, PASS], "pass", 1.0),
    ],
)
def test_without_a_threshold_every_grader_with_weight_must_pass(weighted, graders, outcome, score) -> None:
    verdict = weighted(*graders)

    assert (verdict.outcome, verdict.score) == (outcome, score)


@pytest.mark.parametrize(
    ("graders", "threshold", "outcome"),
    [
        ([FAIL, FAIL], 0, "pass"),
        ([PASS, FAIL], 0.5, "pass"),
        ([PASS, FAIL], 0.51, "fail"),
        ([weighing(PASS, 0.1), weighing(PASS, 0.2), weighing(FAIL, 0.7)], 0.3, "pass"),  # 0.30000000000000004 of 1
        ([weighing(PASS, 0.7), weighing(FAIL, 0.1), weighing(FAIL, 0.2)], 0.7, "pass"),
        ([weighing(PASS, 3), ERROR], 0.7, "pass"),  # with a zero, too
        ([weighing(FAIL, 3), ERROR], 0.7, "fail"),  # with a one, too
        ([PASS, ERROR], 0.7, "error"),
        ([PASS, ABSTAIN], 0.7, "abstain"),
        ([ERROR], 0, "error"),  # nothing at all is known
    ],
)
def test_a_threshold_decides_whatever_the_graders_say(weighted, graders, threshold, outcome) -> None:
    assert weighted(*graders, threshold=threshold).outcome == outcome


def test_a_set_with_threshold_0_passes_when_all_its_parts_fail(weighted) -> None:
    verdict = weighted(FAIL, FAIL, threshold=0)

    assert (verdict.outcome, verdict.score) == ("pass", 0.0)
    assert [part.verdict.outcome for part in parts_of(verdict)] == ["fail", "fail"]


@given(st.lists(st.tuples(st.sampled_from([PASS, FAIL]), st.floats(0, HEAVIEST)), min_size=1, max_size=6))
def test_any_weights_give_a_score_between_0_and_1(parts: list[tuple[dict[str, object], float]]) -> None:
    entry = {"graders": [weighing(one, weight) for one, weight in parts], "threshold": 0.5}
    spec = GraderSpec(kind="weighted", name="weighted", params=entry, where="a.yaml:1")
    if not any(weight for _, weight in parts):
        with pytest.raises(WorkspaceError, match="only graders of weight 0"):
            build(spec, environment())
        return
    verdict = build(spec, environment()).judge(GradeContext(case=Case("c", {}), completion=Completion(text="x")))

    assert isinstance(verdict, Verdict)
    assert verdict.score is not None
    assert math.isfinite(verdict.score)
    assert 0 <= verdict.score <= 1


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"graders": []}, "has no graders"),
        ({"graders": [weighing(PASS, 0)]}, "only graders of weight 0"),
        ({"graders": [weighing(PASS, -1)]}, "'weight' of 'equals' must be a number from 0 to 1,000,000, not -1"),
        ({"graders": [weighing(PASS, 1e300)]}, "must be a number from 0 to 1,000,000, not 1e+300"),
        ({"graders": [{"equals": {"value": "x", "weight": True}}]}, "must be a number"),
        ({"graders": [{"equals": {"value": "x", "weight": "2"}}]}, "must be a number"),
        ({"graders": [{"equals": {"value": "x", "weight": 10**400}}]}, "must be a number"),
        ({"graders": [{"equals": {"value": "x", "name": " "}}]}, "must be text that is not empty"),
        (
            {"graders": [{"equals": {"value": "x", "required": False}}]},
            "state weight: 0 instead: then it is only reported",
        ),
        ({"graders": ["case"]}, "stands for the graders of a row"),
        ({"graders": [{"embedding_similarity": {"model": "m"}}]}, "without a weight"),
        ({"graders": [{"json": {"name": "a"}}, {"schema": {"name": "a"}}]}, "has 2 parts called 'a'"),
        ({"graders": [{"a": 1, "b": 2}]}, "holds an entry with 2 names"),
        ({"graders": ["json"], "threshold": 1.5}, "'threshold' must be a number from 0 to 1"),
        ({"graders": ["jsn"]}, "no grader 'jsn'"),
    ],
)
def test_what_cannot_be_weighed_is_refused_with_its_line(params, told: str) -> None:
    with pytest.raises(WorkspaceError) as refused:
        build(GraderSpec(kind="weighted", name="weighted", params=params, where="evals/a.yaml:7"), environment())

    assert told in f"{refused.value.what} {refused.value.hint}"
    assert refused.value.where == "evals/a.yaml:7"


def test_a_grader_with_a_weight_of_its_own_cannot_stand_in_a_set(build_grader) -> None:
    with collecting(__file__) as kinds:

        @grader("heavy")
        def heavy(ctx, *, weight: float = 1.0) -> Verdict:
            return Verdict.check(weight > 0, "heavy")

    with pytest.raises(WorkspaceError, match="has a parameter of this name"):
        build_grader({"weighted": {"graders": [{"heavy": {"weight": 2}}]}}, kinds=kinds)


def test_weights_names_and_threshold_are_part_of_the_digest(build_grader) -> None:
    sets = [
        {"graders": ["json"]},
        {"graders": [{"json": {"weight": 2}}]},
        {"graders": [{"json": {"name": "a"}}]},
        {"graders": ["json"], "threshold": 0.5},
    ]

    assert len({str(build_grader({"weighted": one}).document()) for one in sets}) == len(sets)


def test_asynchronous_graders_are_awaited_each_in_its_turn(build_grader, make_context) -> None:
    asked: list[str] = []
    with collecting(__file__) as kinds:

        @grader("slow")
        async def slow(ctx, *, name_of: str) -> bool:
            await asyncio.sleep(0)
            asked.append(name_of)
            return Verdict.check(passed=True, reason="as it should be")

    built = build_grader({"weighted": {"graders": [{"slow": "a"}, "json", {"slow": "b"}]}}, kinds=kinds)

    verdict = asyncio.run(built.check(make_context("1")))

    assert verdict.outcome is Outcome.PASS
    assert asked == ["a", "b"]


def case_grader(**params: object):
    return build(GraderSpec(kind="case", name="case", params=params, where="evals/a.yaml:3"), environment())


def test_what_is_not_required_counts_in_the_score_and_decides_nothing(build_grader, make_context, ask) -> None:
    graders = [{"contains": "x"}, {"contains": {"value": "y", "required": False, "weight": 3}}]

    verdict = ask(case_grader(), make_context("x", graders=graders))

    assert (verdict.outcome, verdict.score) == ("pass", 0.25)
    assert verdict.reason == 'contains (not required): does not contain "y"; 1 of 2 pass'


def test_every_part_stands_in_the_detail_with_what_it_said(make_context, ask) -> None:
    graders = [{"contains": {"value": "y", "name": "says y"}}, {"weighted": {"graders": ["json", {"contains": "x"}]}}]

    detail = ask(case_grader(), make_context("x", graders=graders)).detail

    first, second = detail["parts"]
    assert first == {
        "grader": "contains",
        "outcome": "fail",
        "score": 0.0,
        "reason": 'does not contain "y"',
        "weight": 1.0,
        "name": "says y",
    }
    assert [part["grader"] for part in second["detail"]["parts"]] == ["json", "contains"]


@pytest.mark.parametrize("graders", [[], ()])
@pytest.mark.parametrize(
    ("params", "outcome"), [({}, "abstain"), ({"none": "abstain"}, "abstain"), ({"none": "pass"}, "pass")]
)
def test_a_row_without_graders_gets_what_the_suite_says(make_context, ask, params, outcome, graders) -> None:
    assert ask(case_grader(**params), make_context("x", graders=graders)).outcome == outcome


def test_what_a_dataset_needs_is_known_once_its_rows_are_read() -> None:
    rows = [
        Case("a", {}, graders=[{"logprob": {"mean_at_least": -1}}], where="d.jsonl:1"),
        Case(
            "b", {}, graders=[{"cites": {"quotes": "$", "in": "search"}}, {"json": {"name": "form"}}], where="d.jsonl:2"
        ),
    ]

    (found,) = complete([case_grader()], rows)

    assert found.needs_logprobs
    assert found.reads == ("search",)
    assert found.compiled.named == ("form",)
    assert {kind for kind, _ in found.compiled.rows.kinds} == {"logprob", "cites", "json"}


def test_a_new_row_of_a_known_kind_changes_no_digest_of_the_graders() -> None:
    rows = [Case("a", {}, graders=["json"], where="d.jsonl:1")]
    more = [*rows, Case("b", {}, graders=[{"json": {"fenced": True}}], where="d.jsonl:2")]
    other = [*rows, Case("b", {}, graders=["refusal"], where="d.jsonl:2")]

    digests = [complete([case_grader()], each)[0].document() for each in (rows, more, other)]

    assert digests[0] == digests[1]
    assert digests[0] != digests[2]


def test_a_name_of_a_suites_grader_is_refused_at_the_rows_line() -> None:
    rows = [Case("a", {}, graders=[{"refusal": {"name": "json"}}], where="d.jsonl:1")]
    graders = build_all([GraderSpec(kind="json", name="json", where="evals/a.yaml:3")], environment())

    with pytest.raises(WorkspaceError, match="has a part called 'json'") as refused:
        complete([*graders, case_grader()], rows)

    assert refused.value.where == "d.jsonl:1"


def test_two_graders_cannot_have_parts_of_one_name() -> None:
    specs = [
        GraderSpec(kind="weighted", name=name, params={"graders": [{"json": {"name": "form"}}]}, where=f"a.yaml:{line}")
        for line, name in enumerate(("one", "two"), start=4)
    ]

    with pytest.raises(WorkspaceError, match="'two' has a part called 'form'") as refused:
        build_all(specs, environment())

    assert refused.value.where == "a.yaml:5"


def test_only_so_many_names_are_counted_in_one_dataset() -> None:
    rows = [Case(str(n), {}, graders=[{"json": {"name": f"n{n}"}}], where=f"d.jsonl:{n}") for n in range(1, 300)]

    with pytest.raises(WorkspaceError, match="the rows of a dataset may have 200 in all") as refused:
        complete([case_grader()], rows)

    assert refused.value.where == "d.jsonl:201"


def test_only_so_many_mistakes_of_rows_are_listed() -> None:
    rows = [Case(str(n), {}, graders=["jsn"], where=f"d.jsonl:{n}") for n in range(1, 5000)]

    with pytest.raises(WorkspaceError) as refused:
        complete([case_grader()], rows)

    assert len(refused.value.others) == 50
