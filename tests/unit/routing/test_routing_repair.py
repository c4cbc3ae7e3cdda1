"""An output that does not fit is answered by a different request, never by the same again."""

import pytest

from evalh.core.attempt import CallError, ErrorKind
from evalh.core.request import Role
from evalh.core.route import RepairBy, RepairPolicy
from evalh.core.strict_json import JsonValue
from evalh.routing.checking import Examiner, Repairing
from unit.routing.staging import Eye, Model, Stage, ask, call, outcome, play, request, settings


def repairing(stage: Stage, model: Model, by: str = "feedback", attempts: int = 1) -> Repairing:
    return Repairing(
        model, RepairPolicy(checks=(), by=RepairBy(by), attempts=attempts), Examiner([Eye()], stage.decisions)
    )


@pytest.mark.parametrize("by", RepairBy)
def test_an_output_that_fits_is_returned_and_told(by: str) -> None:
    stage, model = Stage(), Model()

    answer = play(ask(repairing(stage, model, by)))

    assert (answer.text, len(model.asked), stage.log.kinds) == ("yes", 1, ["fits"])


@pytest.mark.parametrize("by", RepairBy)
def test_an_output_that_does_not_fit_is_followed_by_another_attempt_and_both_are_told(by: str) -> None:
    stage, model = Stage(), Model(lines=["no", "yes"])
    asked = request()
    one = call(asked=asked)

    answer = play(repairing(stage, model, by).send(asked, one))

    assert (answer.text, one.reasons) == ("yes", ["repair"])
    assert [(decision.kind, decision.reason) for decision in stage.log.decided] == [
        ("repair", "eye: 'no' was said"),
        ("fits", "every check passed"),
    ]
    checks = [{"check": "eye", "outcome": "fail", "score": 0.0, "reason": "'no' was said"}]
    assert stage.log.decided[0].detail == {"model": "small", "by": by, "checks": checks}


def test_when_every_attempt_is_used_up_the_last_output_is_returned() -> None:
    stage, model = Stage(), Model(lines=["no", "never", "nope", "yes"])

    answer = play(ask(repairing(stage, model, attempts=2)))

    assert (answer.text, len(model.asked)) == ("nope", 3)
    assert stage.log.kinds == ["repair", "repair", "unrepaired"]


@pytest.mark.parametrize("by", RepairBy)
@pytest.mark.parametrize(
    "params",
    [
        {},
        {"seed": 1},
        {"seed": 2, "temperature": 0.9},
        {"seed": 1, "temperature": 0.7},
        {"seed": 0, "temperature": 1},
        {"seed": "1", "temperature": "hot"},
    ],
    ids=str,
)
def test_the_same_request_is_never_sent_twice_even_to_a_model_that_repeats_itself(
    by: str, params: dict[str, JsonValue]
) -> None:
    stage, model = Stage(), Model(lines=["no"])
    asked = request("hello", settings(**params))

    play(repairing(stage, model, by, attempts=5).send(asked, call(asked=asked)))

    assert len({sent.digest() for sent in model.asked}) == 6


def test_feedback_sends_the_output_along_and_what_was_wrong_with_it() -> None:
    stage, model = Stage(), Model(lines=["{no}", "yes"])

    play(ask(repairing(stage, model)))

    first, second = model.asked
    assert second.messages[: len(first.messages)] == first.messages
    said, words = second.messages[len(first.messages) :]
    assert (said.role, said.text, words.role) == (Role.ASSISTANT, "{no}", Role.USER)
    assert words.text.startswith("Your answer was not accepted: eye: '{no}' was said\n")
    assert second.settings == first.settings


@pytest.mark.parametrize(("before", "after"), [(None, 0.7), (0, 0.7), (0.2, 0.7), (1.2, 1.2)])
def test_vary_warms_up_and_changes_the_seed_and_nothing_else(before: float | None, after: float) -> None:
    stage, model = Stage(), Model(lines=["no", "yes"])
    stated = {} if before is None else {"temperature": before}
    asked = request("hello", settings(max_tokens=5, seed=41, **stated))

    play(repairing(stage, model, "vary").send(asked, call(asked=asked)))

    varied = model.asked[1]
    assert varied.messages == asked.messages
    assert varied.settings.params == {"max_tokens": 5, "temperature": after, "seed": 42}
    assert asked.settings.params == {"max_tokens": 5, "seed": 41, **stated}


def test_an_error_is_not_repaired() -> None:
    stage, model = Stage(), Model(lines=["no", ErrorKind.TIMEOUT, "yes"])

    raised = play(outcome(ask(repairing(stage, model, attempts=3))))

    assert isinstance(raised, CallError)
    assert (len(model.asked), stage.log.kinds) == (2, ["repair"])


@pytest.mark.parametrize("refused", [("seed",), ("temperature",), ("seed", "temperature")], ids="-".join)
@pytest.mark.parametrize(
    "params", [{}, {"temperature": 0.5}, {"temperature": 0.7}, {"temperature": 1}, {"top_p": 0.5}], ids=str
)
def test_vary_leaves_out_what_a_model_refuses_and_still_never_asks_the_same(
    refused: tuple[str, ...], params: dict[str, JsonValue]
) -> None:
    model = Model(lines=["no"], params=dict.fromkeys(refused))
    sent = settings(**{name: value for name, value in params.items() if name not in refused})
    asked = request("hello", sent)
    stage = Stage()

    answer = play(repairing(stage, model, "vary", attempts=5).send(asked, call(asked=asked)))

    assert len({one.digest() for one in model.asked}) == len(model.asked)
    for one in model.asked[1:]:
        assert not set(refused) & set(one.settings.params)
    assert (answer.text, stage.log.kinds[-1]) == ("no", "unrepaired")
    if refused == ("seed", "temperature"):
        assert len(model.asked) == 1  # there is nothing else to ask
