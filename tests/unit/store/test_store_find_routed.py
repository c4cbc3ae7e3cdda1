"""A route's answer is found by its call, and only once the route has taken it."""

from decimal import Decimal

from evalh.core.attempt import Call, ErrorKind
from evalh.core.case import Case
from evalh.core.strict_json import JsonValue
from evalh.store import SqliteStore
from unit.store.playing import ANSWER, Play

CASE = Case("t-1", {"ticket": "hello"}, {"label": "billing"})


def found(store: SqliteStore, call: Call, *, routed: bool = True) -> str | None:
    store.flush()
    (answer,) = store.find_all([(call.request.digest(), call.key)], routed=routed)
    return answer and answer.attempt_id


def test_the_answer_that_the_route_took_is_found_by_its_call(play: Play) -> None:
    play.start()
    call = play.call(route="careful")
    play.answer(call, cost="0.1")
    last = play.answer(call, cost="0.2")
    play.sample(CASE, call, completion=ANSWER)

    play.store.flush()
    (answer,) = play.store.find_all([(call.request.digest(), call.key)], routed=True)
    assert answer is not None
    assert (answer.attempt_id, answer.cost_usd) == (last.id, Decimal("0.3"))


def test_an_answer_that_the_route_has_not_taken_yet_is_not_the_routes(play: Play) -> None:
    """The run was killed, or stopped, between the first model's answer and the stronger one's."""
    play.start()
    call = play.call(route="careful")
    first = play.answer(call)

    assert found(play.store, call) is None
    assert found(play.store, call, routed=False) == first.id  # the first model's own: it is not bought again


def test_an_answer_in_doubt_is_not_the_routes_when_the_stronger_model_fails(play: Play) -> None:
    play.start()
    call = play.call(route="careful")
    play.answer(call)
    play.fail(call, ErrorKind.QUOTA)
    play.sample(CASE, call, completion=None)

    assert found(play.store, call) is None


def test_a_model_that_was_asked_directly_answers_for_no_route(play: Play) -> None:
    play.start()
    call = play.good()

    assert found(play.store, call) is None
    assert found(play.store, call, routed=False) is not None


def test_an_answer_of_a_model_is_a_calls_before_its_sample_is_stored(play: Play, rows: JsonValue) -> None:
    play.start()
    call = play.call()
    start = play.answer(call)

    assert rows("select answered_by from calls") == [(start.id,)]
