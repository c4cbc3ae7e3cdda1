"""Agreement is confidence: shares, thresholds, and samples and critics that say nothing."""

import json
from typing import Any

import pytest

from evalh.core.attempt import ErrorKind
from evalh.core.errors import WorkspaceError
from evalh.core.verdict import Outcome


@pytest.fixture
def graded(build_grader, make_context, make_request, ask, says):
    def graded(entry: Any, output: str, *replies: Any):
        about = {"request": make_request("Add.", "2 + 2"), "asker": says(replies)}
        return ask(build_grader(entry), make_context(output, **about))

    return graded


@pytest.mark.parametrize(
    ("params", "output", "samples", "outcome", "score"),
    [
        ({"k": 3}, "Billing", ["billing.", "**billing**", "bug"], Outcome.PASS, 2 / 3),
        ({"k": 3}, "bug", ["billing", "billing", "bug"], Outcome.FAIL, 1 / 3),
        ({"k": 4, "threshold": 0.5}, "a", ["a", "a", "b", "b"], Outcome.PASS, 0.5),
        ({"k": 5, "threshold": 0.2}, "a", ["a", "b", "b", "c", "d"], Outcome.FAIL, 0.2),  # others agree more
        ({"k": 2, "by": "number"}, "so 4", ["it is 4.0", "4 apples"], Outcome.PASS, 1.0),
        ({"k": 2, "by": "number"}, "so 4", ["none", "4"], Outcome.FAIL, 0.5),  # text without an answer does not agree
        ({"k": 1, "by": "number"}, "none", ["4"], Outcome.FAIL, 0.0),
        ({"k": 3, "by": "number"}, "1,234", ["1234", "it is 1'234", "**1{,}234**"], Outcome.PASS, 1.0),
        (
            {"k": 2, "by": "number"},
            "it takes 5",
            ["3-5 days", "at 10:05"],
            Outcome.FAIL,
            0.0,
        ),  # a part is not an answer
        ({"k": 1, "by": "number"}, "3-5 days", ["5"], Outcome.FAIL, 0.0),
        ({"k": 2, "by": "json"}, '{"a": 1, "b": "X"}', ['{"b": "x", "a": 1.0}', "no"], Outcome.FAIL, 0.5),
        (
            {"k": 1, "path": "label"},
            '{"label": "bug", "why": "1"}',
            ['{"label": "Bug", "why": "2"}'],
            Outcome.PASS,
            1.0,
        ),
        ({"k": 1, "after": "####"}, "x #### 4", ["y #### 4"], Outcome.PASS, 1.0),
    ],
)
def test_the_share_of_samples_that_agree(
    graded, params: Any, output: str, samples: Any, outcome: Outcome, score: float
) -> None:
    verdict = graded({"self_consistency": params}, output, *samples)

    assert (verdict.outcome, verdict.score) == (outcome, pytest.approx(score))


def test_samples_are_the_tasks_own_request_with_draws_of_their_own(
    build_grader, make_context, make_request, ask, says
) -> None:
    asker, asked = says(["4"]), make_request("Add.", "2 + 2")

    ask(build_grader({"self_consistency": 3}), make_context("4", request=asked, asker=asker))

    assert [(one.model, one.draw, one.form.again) for one in asker.questions] == [
        (None, draw, True) for draw in (1, 2, 3)
    ]
    assert all(one.messages == asked.messages for one in asker.questions)


def audit(agree: Any, reason: str = "I worked it out.") -> str:
    return json.dumps({"assumed": "nothing", "wrong_if": "2 were 3", "reason": reason, "agree": agree})


@pytest.mark.parametrize(("agree", "score"), [(3, 0.8), (2, 0.6), (1, 0.4), (0, 0.2)])
def test_critics_are_counted_with_one_for_and_one_against(graded, agree: int, score: float) -> None:
    replies = [audit(number < agree) for number in range(3)]

    verdict = graded({"self_critique": {"critics": 3}}, "4", *replies)

    assert verdict.score == pytest.approx(score)
    assert verdict.outcome is (Outcome.PASS if score >= 0.6 else Outcome.FAIL)


@pytest.mark.parametrize(
    "reply", ["I agree.", audit("perhaps"), audit(agree=True, reason=""), ErrorKind.TIMEOUT], ids=str
)
def test_a_critic_that_says_nothing_is_an_error_and_no_disagreement(graded, reply: Any) -> None:
    assert graded({"self_critique": 2}, "4", audit(agree=True), reply).outcome is Outcome.ERROR


def test_critics_see_the_request_and_the_answer_and_not_the_reasoning(
    build_grader, make_context, make_request, ask, says
) -> None:
    asker = says([audit(agree=True)])
    context = make_context("because of this #### 4", request=make_request("Add.", "2 + 2"), asker=asker)

    ask(build_grader({"self_critique": {"critics": 2, "after": "####"}}), context)

    shown = asker.questions[0].messages[-1].text
    assert "2 + 2" in shown
    assert "\n4\n</answer-" in shown
    assert "because" not in shown
    assert [one.draw for one in asker.questions] == [1, 2]


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [("It is 4", Outcome.PASS), ("5", Outcome.FAIL), ("hm", Outcome.ERROR), (ErrorKind.QUOTA, Outcome.ERROR)],
)
def test_an_answer_is_stable_where_its_critique_leaves_it(graded, reply: Any, outcome: Outcome) -> None:
    assert graded({"revision_stability": {"by": "number"}}, "4", reply).outcome is outcome


@pytest.mark.parametrize("kind", ["self_consistency", "self_critique", "revision_stability"])
def test_where_the_answer_stands_is_said_once(build_grader, kind: str) -> None:
    with pytest.raises(WorkspaceError, match="states both path and after"):
        build_grader({kind: {"path": "label", "after": "####"}})
