"""The first answer is checked, and the stronger model answers where it is in doubt."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from evalh.core.attempt import CallError, Completion, ErrorKind
from evalh.core.case import ABSENT, Case
from evalh.core.ports import Check
from evalh.core.request import Role
from evalh.core.route import CascadePolicy, EscalateBy
from evalh.core.verdict import GradeContext, Verdict
from evalh.routing.checking import Cascading, Examiner
from unit.routing.staging import Eye, Model, Stage, ask, call, outcome, play, request, settings


def cascading(stage: Stage, first: Model, strong: Model, checks: Sequence[Check], by: str = "again") -> Cascading:
    policy = CascadePolicy(checks=(), escalate_to="strong", by=EscalateBy(by))
    return Cascading(first, strong, policy, Examiner(checks, stage.decisions))


def says(verdict: Verdict, name: str = "eye") -> Eye:
    return Eye(good=lambda _: verdict, name=name)


PASS = Verdict.check(True, "fine")
DOUBTS = [Verdict.check(False, "no"), Verdict.abstain("cannot tell"), Verdict.error("broke")]


def test_an_answer_that_every_check_passes_is_kept_and_what_they_said_is_stored_too() -> None:
    stage, first, strong = Stage(), Model(), Model(name="strong")
    checks = [says(PASS, "one"), says(Verdict.scored(0.8, 0.5, "likely"), "two")]

    answer = play(ask(cascading(stage, first, strong, checks)))

    assert (answer.text, strong.asked) == ("yes", [])
    (kept,) = stage.log.decided
    assert (kept.kind, kept.reason) == ("keep", "every check passed")
    assert kept.detail == {
        "from": "small",
        "to": "strong",
        "answer": None,
        "checks": [
            {"check": "one", "outcome": "pass", "score": 1.0, "reason": "fine"},
            {"check": "two", "outcome": "pass", "score": 0.8, "reason": "likely"},
        ],
    }


@pytest.mark.parametrize("doubt", DOUBTS, ids=lambda verdict: verdict.outcome.value)
def test_a_check_that_fails_abstains_or_errs_escalates(doubt: Verdict) -> None:
    stage, first, strong = Stage(), Model(), Model(name="strong", lines=["better"])
    asked = request()
    one = call(asked=asked)

    answer = play(cascading(stage, first, strong, [says(doubt), says(PASS, "two")]).send(asked, one))

    assert (answer.text, one.reasons) == ("better", ["escalation"])
    (escalated,) = stage.log.decided
    assert (escalated.kind, escalated.reason) == ("escalate", f"eye: {doubt.reason}")
    checks: Any = escalated.detail["checks"]
    assert [check["outcome"] for check in checks] == [doubt.outcome.value, "pass"]  # all were asked


def test_anew_asks_the_stronger_model_the_same() -> None:
    stage, first, strong = Stage(), Model(lines=["wrong"]), Model(name="strong")

    play(ask(cascading(stage, first, strong, [Eye()])))

    assert strong.asked[0].digest() == first.asked[0].digest()


@pytest.mark.parametrize("said", ["wrong", ""])
def test_verify_shows_the_stronger_model_the_answer_and_asks_to_confirm_or_correct(said: str) -> None:
    stage, first, strong = Stage(), Model(lines=[said]), Model(name="strong")

    play(ask(cascading(stage, first, strong, [Eye()], by="verify")))

    before, sent = first.asked[0], strong.asked[0]
    assert sent.messages[: len(before.messages)] == before.messages
    answer, words = sent.messages[len(before.messages) :]
    assert (answer.role, answer.text) == (Role.ASSISTANT, said or " ")  # an empty message is refused by providers
    assert words.role is Role.USER
    assert "If it is right, repeat it word for word." in words.text
    assert sent.settings == before.settings


def test_gold_never_reaches_a_check() -> None:
    stage, eye = Stage(), Eye()
    case = Case("t-1", {"text": "hello"}, expected="gold", tags=frozenset({"short"}))

    play(ask(cascading(stage, Model(), Model(name="strong"), [eye]), case=case))

    (seen,) = eye.saw
    assert seen.expected is ABSENT
    assert "gold" not in repr(seen)
    assert (seen.case.id, seen.inputs, seen.case.tags) == ("t-1", {"text": "hello"}, {"short"})


def test_a_check_sees_the_output_its_schema_and_what_it_cost() -> None:
    stage, eye = Stage(), Eye()
    schema = {"type": "string"}
    asked = request(sent=replace(settings(max_tokens=5), output_schema=schema))
    one = call(asked=asked, trial=3, cost_usd=Decimal("0.25"), cached_cost_usd=Decimal("0.5"))

    play(cascading(stage, Model(), Model(name="strong"), [eye]).send(asked, one))

    (seen,) = eye.saw
    assert isinstance(seen, GradeContext)
    assert (seen.text, seen.output_schema, seen.trial, seen.cost_usd) == ("yes", schema, 3, Decimal("0.75"))


def test_a_call_without_a_case_is_checked_too() -> None:
    stage, eye = Stage(), Eye()

    answer = play(ask(cascading(stage, Model(), Model(name="strong"), [eye]), case=None))

    assert (answer.text, eye.saw[0].case) == ("yes", Case("t-1", {}))


def test_a_first_model_without_an_answer_is_not_escalated() -> None:
    """That is what a fallback is for: an error is not a doubtful output."""
    stage, strong = Stage(), Model(name="strong")

    raised = play(outcome(ask(cascading(stage, Model(lines=[ErrorKind.TIMEOUT]), strong, [Eye()]))))

    assert isinstance(raised, CallError)
    assert (strong.asked, stage.log.decided) == ([], [])


def test_the_stronger_models_failure_is_the_calls() -> None:
    stage = Stage()
    strong = Model(name="strong", lines=[ErrorKind.QUOTA])

    raised = play(outcome(ask(cascading(stage, Model(lines=["wrong"]), strong, [Eye()]))))

    assert isinstance(raised, CallError)
    assert raised.kind is ErrorKind.QUOTA


def test_what_the_stronger_model_says_is_taken_unchecked() -> None:
    stage, eye = Stage(), Eye()
    strong = Model(name="strong", lines=[Completion(text="still wrong")])

    answer = play(ask(cascading(stage, Model(lines=["wrong"]), strong, [eye])))

    assert (answer.text, len(eye.saw)) == ("still wrong", 1)


def test_both_models_are_opened_and_closed() -> None:
    first, strong = Model(), Model(name="strong")
    provider = cascading(Stage(), first, strong, [])

    play(provider.open())
    play(provider.close())

    assert (first.opened, first.closed, strong.opened, strong.closed) == (1, 1, 1, 1)
