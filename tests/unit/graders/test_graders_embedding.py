"""The cosine of two embeddings, and everything that leaves none."""

import json
from typing import Any

import pytest

from evalh.core.attempt import Completion, ErrorKind
from evalh.core.verdict import Outcome
from evalh.graders.judges.asking import UnreadableReplyError
from evalh.graders.judges.embedding import cosine


@pytest.fixture
def compared(build_grader, make_context, ask, says):
    """Compare an output with what is expected; the replies are the output's embedding, then the expected texts'."""

    def compared(text: str, expected: Any, *replies: Any, **params: Any):
        asker = says([json.dumps(one) if isinstance(one, list) else one for one in replies])
        grader = build_grader({"embedding_similarity": {"model": "embed", "pass_mark": 0.9, **params}})
        return ask(grader, make_context(text, expected=expected, asker=asker)), asker.questions

    return compared


def test_the_cosine_is_the_one_of_the_definition() -> None:
    assert cosine([1, 2, 3], [4, 5, 6]) == pytest.approx(32 / (14 * 77) ** 0.5, rel=1e-15)
    assert cosine([1, 0], [-2, 0]) == -1.0


@pytest.mark.parametrize(("one", "other"), [([0.0], [1.0]), ([1e200], [1e200]), ([1.0], [1.0, 2.0])])
def test_where_there_is_no_angle_there_is_no_cosine(one: list[float], other: list[float]) -> None:
    with pytest.raises(UnreadableReplyError):
        cosine(one, other)


def test_the_nearest_of_several_texts_counts_and_opposites_score_0(compared) -> None:
    verdict, questions = compared("x", ["a", "b", "a"], [1, 0], [0, 1], [3, 0.1])
    opposite, _ = compared("x", "a", [1, 0], [-1, 0])

    assert (verdict.outcome, verdict.reason) == (Outcome.PASS, 'cosine 0.999 to "b"')
    assert [question.messages[0].text for question in questions] == ["x", "a", "b"]
    assert (opposite.outcome, opposite.score) == (Outcome.FAIL, 0.0)


@pytest.mark.parametrize(
    ("text", "expected", "outcome"),
    [
        ("the same", "the same", Outcome.PASS),
        (" \n", "a", Outcome.FAIL),
        ("x", 7, Outcome.ERROR),
        ("x", [], Outcome.ERROR),
        ("x", " ", Outcome.ERROR),
        ("x", [str(number) for number in range(17)], Outcome.ERROR),
    ],
)
def test_what_needs_no_embedding_asks_nobody(compared, text: str, expected: Any, outcome: Outcome) -> None:
    verdict, questions = compared(text, expected, [1, 0])

    assert (verdict.outcome, questions) == (outcome, [])


@pytest.mark.parametrize(
    ("replies", "why"),
    [
        ([[1, 0], ErrorKind.OVERLOAD], "gave no answer"),
        ([[1, 0], [1, 0, 0]], "two differ in length: 2 and 3 numbers"),
        ([[1, 0], "as prose"], "is not a list of numbers"),
        ([Completion(text="[1]", model="e-1"), Completion(text="[1]", model="e-2")], "they come from e-1 and e-2"),
    ],
)
def test_without_both_vectors_of_one_model_there_is_an_error(compared, replies: list[Any], why: str) -> None:
    verdict, _ = compared("x", "a", *replies)

    assert (verdict.outcome, verdict.score) == (Outcome.ERROR, None)
    assert why in verdict.reason


def test_what_it_judges_by_is_its_model_and_what_it_states(build_grader) -> None:
    def document(**params: Any) -> Any:
        return build_grader({"embedding_similarity": {"model": "embed", "pass_mark": 0.9, **params}}).document()

    assert document() == document(fenced=False)
    others = [document(pass_mark=0.8), document(value="x"), document(path="a"), document(model="other")]
    assert document() not in others
