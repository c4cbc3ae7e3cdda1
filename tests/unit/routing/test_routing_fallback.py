"""When a model gives no answer, the next one is asked; every hop is a decision."""

import pytest

from evalh.core.attempt import CallError, Completion, ErrorKind, FinishReason, NotSent
from evalh.core.route import FALLBACK_ON
from evalh.routing.retry import FallingBack
from unit.routing.staging import Line, Model, Stage, ask, call, outcome, play, request

REFUSED = Completion(text="I can't help with that", finish=FinishReason.REFUSAL)
FILTERED = Completion(text="", finish=FinishReason.CONTENT_FILTER)


def models(*lines: Line) -> list[Model]:
    return [Model(name=f"m{number}", lines=[line]) for number, line in enumerate(lines)]


def falling_back(stage: Stage, chain: list[Model], on: frozenset[ErrorKind] = FALLBACK_ON) -> FallingBack:
    return FallingBack(chain, on, stage.decisions)


def test_the_first_answer_is_the_calls_and_the_next_model_is_not_asked() -> None:
    stage, chain = Stage(), models("first", "second")

    answer = play(ask(falling_back(stage, chain)))

    assert (answer.text, chain[1].asked, stage.log.decided) == ("first", [], [])


@pytest.mark.parametrize("kind", sorted(FALLBACK_ON))
def test_a_declared_failure_asks_the_next_and_is_told(kind: ErrorKind) -> None:
    stage, chain = Stage(), models(kind, "second")
    asked = request()
    one = call(asked=asked)

    answer = play(falling_back(stage, chain).send(asked, one))

    assert (answer.text, one.reasons) == ("second", ["fallback"])
    told = [(decision.kind, decision.reason, decision.detail) for decision in stage.log.decided]
    assert told == [("fallback", kind.value, {"from": "m0", "to": "m1"})]


@pytest.mark.parametrize("kind", sorted(set(ErrorKind) - FALLBACK_ON))
def test_a_failure_that_is_not_declared_ends_the_call(kind: ErrorKind) -> None:
    stage, chain = Stage(), models(kind, "second")

    raised = play(outcome(ask(falling_back(stage, chain))))

    assert isinstance(raised, CallError)
    assert (raised.kind, chain[1].asked, stage.log.decided) == (kind, [], [])


def test_the_chain_is_walked_in_order_and_the_last_error_raised() -> None:
    stage = Stage()
    last = CallError(ErrorKind.TIMEOUT, "the last")
    chain = models(ErrorKind.OVERLOAD, ErrorKind.NETWORK, last)

    raised = play(outcome(ask(falling_back(stage, chain))))

    assert raised is last
    assert [len(model.asked) for model in chain] == [1, 1, 1]
    assert [decision.reason for decision in stage.log.decided] == ["overload", "network"]


def test_a_run_that_is_ending_asks_nobody_else() -> None:
    stage, chain = Stage(), models(NotSent("enough"), "second")

    assert isinstance(play(outcome(ask(falling_back(stage, chain)))), NotSent)
    assert chain[1].asked == []


@pytest.mark.parametrize(("kind", "declined"), [(ErrorKind.REFUSAL, REFUSED), (ErrorKind.CONTENT_FILTER, FILTERED)])
def test_an_answer_that_says_no_is_an_answer_unless_the_route_says_otherwise(
    kind: ErrorKind, declined: Completion
) -> None:
    kept, passed_on = Stage(), Stage()

    answer = play(ask(falling_back(kept, models(declined, "second"))))
    other = play(ask(falling_back(passed_on, models(declined, "second"), FALLBACK_ON | {kind})))

    assert (answer, kept.log.decided) == (declined, [])
    assert (other.text, [decision.reason for decision in passed_on.log.decided]) == ("second", [kind.value])


def test_when_everybody_says_no_the_last_no_is_the_answer() -> None:
    stage = Stage()
    chain = models(REFUSED, Completion(text="neither can I", finish=FinishReason.REFUSAL))

    answer = play(ask(falling_back(stage, chain, frozenset({ErrorKind.REFUSAL}))))

    assert answer.text == "neither can I"


def test_declaring_refusals_does_not_pass_on_what_was_filtered() -> None:
    stage, chain = Stage(), models(FILTERED, "second")

    assert play(ask(falling_back(stage, chain, frozenset({ErrorKind.REFUSAL})))) == FILTERED


def test_every_model_is_opened_and_closed() -> None:
    chain = models("first", "second", "third")
    provider = falling_back(Stage(), chain)

    play(provider.open())
    play(provider.close())

    assert [(model.opened, model.closed) for model in chain] == [(1, 1)] * 3
