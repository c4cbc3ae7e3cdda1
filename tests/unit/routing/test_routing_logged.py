"""Every attempt becomes a row, with its reason and its price, also if it fails."""

import asyncio
from decimal import Decimal

import pytest

from evalh.core.attempt import MAYBE_BILLED, CallError, Completion, ErrorKind, Usage
from evalh.core.money import Price
from evalh.core.ports import Pricer
from evalh.routing.logged import Logged
from unit.routing.staging import PRICE, START, Model, Stage, call, outcome, play, request

WORST = (Decimal(21) * 1 + Decimal(5) * 2) / 1_000_000
COST = (Decimal(10) * 1 + Decimal(5) * 2) / 1_000_000


def logged(stage: Stage, model: Model, pricer: Pricer | None = PRICE) -> Logged:
    return Logged(model, stage.log, pricer, stage.shared)


def test_an_attempt_is_recorded_as_it_leaves_and_as_it_ends() -> None:
    stage, model = Stage(), Model(took_s=1.5)
    asked, sent = request("asked"), request("sent")
    one = call(asked=asked)

    async def send() -> None:
        await stage.clock.sleep(10.0)
        await logged(stage, model).send(sent, one)

    play(send())

    (start,), (end,) = stage.log.begun, stage.log.ended
    assert (start.id, start.number, start.model, start.provider) == ("r1:t-1.1", 1, "small", "played")
    assert (start.call, start.request, start.reason, start.started_at) == (one, sent, "first", START + 10.0)
    assert (end.start, end.latency_ms, end.cost_usd, end.error, end.estimated) == (start, 1500.0, COST, None, False)
    assert end.completion is not None
    assert end.completion.text == "yes"
    assert (one.answered_by, one.cost_usd, one.attempts) == ("r1:t-1.1", COST, 1)


def test_further_attempts_are_numbered_and_say_why_they_were_made() -> None:
    stage = Stage()
    provider = logged(stage, Model())
    one = call()

    async def send() -> None:
        for reason in (None, "retry", "escalation"):
            if reason:
                one.reasons.append(reason)
            await provider.send(request(), one)

    play(send())

    assert [(start.id, start.reason) for start in stage.log.begun] == [
        ("r1:t-1.1", "first"),
        ("r1:t-1.2", "retry"),
        ("r1:t-1.3", "escalation"),
    ]
    assert one.cost_usd == 3 * COST


@pytest.mark.parametrize("kind", sorted(ErrorKind))
def test_a_failure_costs_its_worst_case_where_the_provider_may_have_charged(kind: ErrorKind) -> None:
    stage, one = Stage(), call()

    raised = play(outcome(logged(stage, Model(lines=[kind])).send(request(), one)))

    (end,) = stage.log.ended
    assert end.error is raised
    assert (end.cost_usd, end.estimated) == ((WORST, True) if kind in MAYBE_BILLED else (0, False))
    assert (one.cost_usd, one.answered_by) == (end.cost_usd, None)


def test_a_failure_whose_worst_case_is_unknown_makes_the_calls_cost_unknown() -> None:
    stage, one = Stage(), call()

    play(outcome(logged(stage, Model(lines=[ErrorKind.TIMEOUT]), pricer=None).send(request(), one)))

    assert (stage.log.ended[0].cost_usd, one.cost_usd) == (None, None)


def test_an_attempt_that_is_stopped_in_flight_is_recorded_and_still_stopped() -> None:
    stage, one = Stage(), call()

    async def stopped() -> bool:
        task = asyncio.ensure_future(logged(stage, Model(took_s=60.0)).send(request(), one))
        await stage.clock.sleep(2.0)
        task.cancel()
        await asyncio.wait((task,))
        return task.cancelled()

    assert play(stopped())
    (end,) = stage.log.ended
    assert end.error is not None
    assert (end.error.kind, end.latency_ms, end.cost_usd, end.estimated) == (
        ErrorKind.INTERRUPTED,
        2000.0,
        WORST,
        True,
    )


def test_a_calls_patience_ends_an_attempt_as_a_timeout() -> None:
    stage, one = Stage(), call(patience_s=3.0)

    raised = play(outcome(logged(stage, Model(took_s=60.0)).send(request(), one)))

    assert isinstance(raised, CallError)
    assert str(raised) == "timeout: no answer within 3 s"
    assert (stage.log.ended[0].error, stage.log.ended[0].latency_ms) == (raised, 3000.0)


def test_a_providers_own_bug_is_not_taken_for_the_end_of_patience() -> None:
    raised = play(outcome(logged(Stage(), Model(lines=[TimeoutError("mine")])).send(request(), call(patience_s=3.0))))

    assert isinstance(raised, TimeoutError)
    assert str(raised) == "mine"


def test_what_a_recording_says_counts_before_what_was_measured() -> None:
    stage = Stage()
    line = Completion(text="yes", usage=Usage(10, 5), latency_ms=812.0, cost_usd=Decimal("0.0004"))

    play(logged(stage, Model(lines=[line])).send(request(), call()))

    assert (stage.log.ended[0].latency_ms, stage.log.ended[0].cost_usd) == (812.0, Decimal("0.0004"))


def test_an_hourly_price_is_charged_for_the_time_that_passed() -> None:
    stage = Stage()

    play(logged(stage, Model(took_s=36.0), Price(per_hour=Decimal(1))).send(request(), call()))

    assert stage.log.ended[0].cost_usd == Decimal("0.01")
