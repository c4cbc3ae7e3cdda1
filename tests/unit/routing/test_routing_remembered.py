"""What the log knows is not bought again, and each model of a route is sent its own request."""

from decimal import Decimal

from evalh.core.attempt import Answer, CallKey, Completion
from evalh.core.digest import digest
from evalh.core.request import Request
from evalh.routing.wrapper import Remembered, Targeted, spent
from unit.routing.staging import Model, call, play, request, settings

KNOWN = Answer("r0:7.2", Completion(text="known"), Decimal("0.25"))


def test_an_answer_of_the_log_is_taken_with_its_attempt_and_its_cost() -> None:
    model, asked = Model(), request()
    one = call(asked=asked)

    answer = play(Remembered(model, lambda *_: KNOWN).send(asked, one))

    assert (answer, model.asked) == (KNOWN.completion, [])
    assert (one.answered_by, one.cached_cost_usd, one.cost_usd, one.attempts) == ("r0:7.2", Decimal("0.25"), 0, 0)
    assert spent(one) == Decimal("0.25")


def test_the_log_is_asked_by_the_request_and_the_calls_key() -> None:
    looked_up: list[tuple[str, CallKey]] = []
    model, asked = Model(), request("another")

    answer = play(Remembered(model, lambda *what: looked_up.append(what)).send(asked, call("t-9", request(), trial=2)))

    assert answer.text == "yes"
    assert looked_up == [(asked.digest(), CallKey("t-9", trial=2))]


def test_the_costs_of_several_answers_add_up_and_one_unknown_makes_them_unknown() -> None:
    one = call()
    cheap = Remembered(Model(), lambda *_: KNOWN)
    play(cheap.send(request(), one))
    play(cheap.send(request(), one))
    assert spent(one) == Decimal("0.5")

    play(Remembered(Model(), lambda *_: Answer("r0:8.1", KNOWN.completion, None)).send(request(), one))
    assert spent(one) is None


def test_a_model_is_sent_the_calls_messages_under_its_own_settings() -> None:
    model, own = Model(), settings("strong", temperature=0.5)
    asked = request("hello", settings("small", max_tokens=9))

    play(Targeted(model, own).send(asked, call(asked=asked)))

    (sent,) = model.asked
    assert (sent.messages, sent.settings) == (asked.messages, own)
    assert sent.digest() == Request(asked.messages, own).digest()


def test_a_request_under_its_own_settings_is_sent_as_it_is() -> None:
    model, own = Model(), settings("small")
    asked = Request(request().messages, own, digest(own.document()))

    play(Targeted(model, own).send(asked, call(asked=asked)))

    assert model.asked[0] is asked
