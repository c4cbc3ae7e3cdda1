"""Retries are finite, jittered, and never against a provider's own word."""

import asyncio
from random import Random
from typing import Any

import pytest

from evalh.core.attempt import Call, CallError, CallKey, ErrorKind, NotSent
from evalh.core.request import Request
from evalh.core.route import RetryPolicy
from evalh.routing.retry import GiveUp, Retrying, Wait, decide_retry
from evalh.routing.run_context import RetryBudget
from unit.routing.staging import Line, Model, Stage, ask, call, outcome, play, request

RATE_LIMIT, TIMEOUT = ErrorKind.RATE_LIMIT, ErrorKind.TIMEOUT


def error(kind: ErrorKind = RATE_LIMIT, retry_after_s: float | None = None) -> CallError:
    return CallError(kind, "as scripted", retry_after_s=retry_after_s)


def retrying(stage: Stage, model: Model, **policy: Any) -> Retrying:
    return Retrying(model, RetryPolicy(**policy), stage.shared)


def gaps(model: Model) -> list[float]:
    return [later - sooner for sooner, later in zip(model.asked_at, model.asked_at[1:], strict=False)]


def test_the_wait_is_drawn_below_a_ceiling_that_doubles_up_to_the_cap() -> None:
    policy = RetryPolicy(attempts=9, base_s=0.5, cap_s=3.0)
    for attempt, ceiling_s in [(1, 0.5), (2, 1.0), (3, 2.0), (4, 3.0), (8, 3.0)]:
        waits = [decide_retry(policy, attempt, error(), Random(seed)) for seed in range(400)]
        seconds = sorted(wait.seconds for wait in waits if isinstance(wait, Wait))

        assert len(seconds) == 400
        assert 0.0 <= seconds[0] < 0.05 * ceiling_s  # full jitter: from 0 …
        assert 0.95 * ceiling_s < seconds[-1] <= ceiling_s  # … to the ceiling
        assert abs(sum(seconds) / 400 - ceiling_s / 2) < 0.1 * ceiling_s


def test_a_kind_that_the_policy_does_not_name_is_not_retried_and_needs_no_reason() -> None:
    policy = RetryPolicy(on=frozenset({TIMEOUT}))

    assert decide_retry(policy, 1, error(RATE_LIMIT), Random(0)) == GiveUp(None)
    assert isinstance(decide_retry(policy, 1, error(TIMEOUT), Random(0)), Wait)


def test_the_last_attempt_is_not_followed() -> None:
    assert decide_retry(RetryPolicy(attempts=3), 3, error(), Random(0)) == GiveUp("3 attempts failed")
    assert isinstance(decide_retry(RetryPolicy(attempts=3), 2, error(), Random(0)), Wait)


def test_a_provider_that_asks_for_too_long_a_wait_is_not_waited_for() -> None:
    policy = RetryPolicy(max_wait_s=60.0)

    given_up = decide_retry(policy, 1, error(retry_after_s=61.0), Random(0))

    assert given_up == GiveUp("the provider asks to wait 61 s, more than 60 s")
    assert isinstance(decide_retry(policy, 1, error(retry_after_s=60.0), Random(0)), Wait)


def test_a_runs_retries_are_ten_and_a_share_of_its_calls() -> None:
    budget = RetryBudget()
    assert [budget.take(0.5) for _ in range(11)] == [True] * 10 + [False]
    for _ in range(4):
        budget.call()
    assert [budget.take(0.5) for _ in range(3)] == [True, True, False]


def test_an_answer_is_sent_for_once() -> None:
    stage, model = Stage(), Model()

    answer = play(ask(retrying(stage, model)))

    assert (answer.text, len(model.asked), stage.log.decided) == ("yes", 1, [])


def test_a_failure_is_sent_again_after_its_wait_and_both_are_told() -> None:
    stage, model = Stage(), Model(lines=[RATE_LIMIT, TIMEOUT, "yes"])

    answer = play(ask(retrying(stage, model, base_s=2.0)))

    assert answer.text == "yes"
    told = stage.log.details("retry")
    assert stage.log.kinds == ["retry", "retry"]
    assert [decision.reason for decision in stage.log.decided] == ["rate_limit", "timeout"]
    assert [detail["attempt"] for detail in told] == [2, 3]
    assert gaps(model) == pytest.approx([detail["wait_s"] for detail in told], abs=0.001)
    assert {detail["model"] for detail in told} == {"small"}


def test_there_are_never_more_attempts_than_declared_and_the_last_error_is_raised() -> None:
    stage = Stage()
    lines: list[Line] = [error(), error(TIMEOUT), CallError(RATE_LIMIT, "the third"), "too late"]
    model = Model(lines=lines)

    raised = play(outcome(ask(retrying(stage, model, attempts=3))))

    assert raised is lines[2]
    assert len(model.asked) == 3
    assert stage.log.kinds == ["retry", "retry", "give_up"]
    assert stage.log.details("give_up") == [{"model": "small", "why": "3 attempts failed", "attempts": 3}]


def test_one_declared_attempt_means_no_retry() -> None:
    stage, model = Stage(), Model(lines=[RATE_LIMIT])

    play(outcome(ask(retrying(stage, model, attempts=1))))

    assert (len(model.asked), stage.log.kinds) == (1, ["give_up"])


def test_an_error_that_no_retry_is_declared_for_passes_at_once_and_untold() -> None:
    stage, model = Stage(), Model(lines=[ErrorKind.BAD_REQUEST])

    raised = play(outcome(ask(retrying(stage, model))))

    assert isinstance(raised, CallError)
    assert (raised.kind, len(model.asked), stage.log.decided) == (ErrorKind.BAD_REQUEST, 1, [])


def test_retry_after_is_kept_to_in_time() -> None:
    stage, model = Stage(), Model(lines=[error(retry_after_s=17.0), "yes"])

    play(ask(retrying(stage, model, base_s=0.5)))

    assert 17.0 <= gaps(model)[0] <= 17.5


def test_an_outage_is_not_answered_with_a_storm() -> None:
    stage, model = Stage(), Model(lines=[ErrorKind.OVERLOAD])
    provider = retrying(stage, model, attempts=4, share=0.1)

    async def calls() -> None:
        for number in range(100):
            await outcome(ask(provider, f"t-{number}", f"text {number}"))

    play(calls())

    assert 100 + 10 + 9 <= len(model.asked) <= 100 + 10 + 10  # calls, the free retries, a tenth of the calls
    assert stage.log.details("give_up")[-1]["why"] == "the run's retries are used up (10, plus 0.1 of its calls)"


def test_the_same_run_waits_the_same_times() -> None:
    def waits() -> list[float]:
        stage, model = Stage(), Model(lines=[RATE_LIMIT, RATE_LIMIT, RATE_LIMIT, "yes"])
        play(ask(retrying(stage, model)))
        return gaps(model)

    assert waits() == waits()
    assert len(set(waits())) == 3


def test_calls_that_failed_together_are_not_sent_again_together() -> None:
    """The same request, asked for in five trials of two cases: a lockstep would meet the same limit."""
    failed: set[CallKey] = set()

    def once(_request: Request, call: Call) -> Line:
        if call.key in failed:
            return "yes"
        failed.add(call.key)
        return RATE_LIMIT

    stage, model = Stage(), Model(lines=once)
    provider = retrying(stage, model)

    async def together() -> None:
        asked = request()
        calls = [call(case, asked, trial=trial) for case in ("t-1", "t-2") for trial in range(5)]
        async with asyncio.TaskGroup() as group:
            for one in calls:
                group.create_task(provider.send(asked, one))

    play(together())

    assert len(set(model.asked_at[10:])) == 10


def test_a_halt_ends_the_wait_and_nothing_more_is_sent() -> None:
    stage, model = Stage(), Model(lines=[error(retry_after_s=100.0), "yes"])
    provider = retrying(stage, model)

    async def halted() -> tuple[object, float]:
        waiting = asyncio.ensure_future(outcome(ask(provider)))
        await stage.clock.sleep(3.0)
        stage.halt.now("enough")
        return await waiting, stage.clock.monotonic()

    raised, at = play(halted())

    assert isinstance(raised, NotSent)
    assert (str(raised), at, len(model.asked)) == ("enough", 3.0, 1)


def test_each_further_attempt_knows_that_it_is_a_retry() -> None:
    stage, model = Stage(), Model(lines=[RATE_LIMIT, "yes"])
    asked = request()
    one = call(asked=asked)

    play(retrying(stage, model).send(asked, one))

    assert one.reasons == ["retry"]


# -- a rate limit that names its wait


def patient(stage: Stage, model: Model, most_s: float = 600.0, **policy: Any) -> Retrying:
    return Retrying(model, RetryPolicy(**policy), stage.shared, wait_s=most_s)


def test_a_named_wait_takes_nothing_from_the_attempts_nor_from_the_runs_retries() -> None:
    stage, model = Stage(), Model(lines=[error(retry_after_s=2.0)] * 20 + [TIMEOUT, "yes"])

    answer = play(ask(patient(stage, model, attempts=2, share=0.0)))

    assert (answer.text, len(model.asked)) == ("yes", 22)
    assert all(gap >= 2.0 for gap in gaps(model)[:20])
    assert stage.shared.retries.take(0.0)  # one of ten is used


def test_the_waits_of_one_call_end_at_what_may_be_waited() -> None:
    stage, model = Stage(), Model(lines=[error(retry_after_s=4.0)])

    raised = play(outcome(ask(patient(stage, model, most_s=10.0, base_s=0.0))))

    assert isinstance(raised, CallError)
    assert model.asked_at == [0.0, 4.0, 8.0]
    assert stage.log.details("give_up") == [
        {"model": "small", "why": "waited 8 s for rate limits; another 4 s would be more than 10 s", "attempts": 3}
    ]


@pytest.mark.parametrize("asked_s", [7200.0, 1e300])
def test_a_named_wait_above_all_that_may_be_waited_ends_the_call(asked_s: float) -> None:
    stage, model = Stage(), Model(lines=[error(retry_after_s=asked_s)])

    play(outcome(ask(patient(stage, model))))

    assert len(model.asked) == 1
    assert stage.log.details("give_up")[0]["why"] == f"the provider asks to wait {asked_s:g} s, more than 600 s"


def test_waits_of_a_moment_are_finite_too() -> None:
    stage, model = Stage(), Model(lines=[error(retry_after_s=0.001)])

    play(outcome(ask(patient(stage, model))))

    assert len(model.asked) < 80
    assert model.asked_at[-1] < 600.0 + 30.0


def test_a_limit_that_names_no_wait_is_waited_for_ever_longer_and_not_for_ever() -> None:
    stage, model = Stage(), Model(lines=[error()])

    play(outcome(ask(patient(stage, model, attempts=1, base_s=1.0, cap_s=20.0))))

    assert 30 < len(model.asked) < 150
    assert max(gaps(model)[:3]) <= 1.0 + 2.0 + 4.0
    assert max(gaps(model)) <= 20.2
    assert 600.0 <= model.asked_at[-1] <= 620.2
    assert "s for rate limits; 600 s is the most" in stage.log.details("give_up")[0]["why"]


def test_another_failure_that_names_a_wait_is_a_failure() -> None:
    stage, model = Stage(), Model(lines=[error(ErrorKind.OVERLOAD, 2.0)])

    play(outcome(ask(patient(stage, model, attempts=3))))

    assert len(model.asked) == 3


def test_a_route_that_declares_no_retry_of_rate_limits_waits_for_none() -> None:
    stage, model = Stage(), Model(lines=[error(retry_after_s=2.0)])

    play(outcome(ask(patient(stage, model, on=frozenset({TIMEOUT})))))

    assert (len(model.asked), stage.log.decided) == (1, [])


def test_a_door_that_stays_closed_is_not_knocked_at() -> None:
    stage = Stage()
    closed = CallError(RATE_LIMIT, "it takes nothing for 900 s more", retry_after_s=900.0)
    closed.held_back = True
    model = Model(lines=[closed])

    raised = play(outcome(ask(patient(stage, model))))

    assert (raised, len(model.asked)) == (closed, 1)
    assert stage.log.details("give_up")[0]["why"] == "it takes nothing for 900 s more"


@pytest.mark.parametrize("patience", [True, False])
def test_a_call_tells_the_door_how_long_it_may_wait(patience: bool) -> None:
    stage, model = Stage(), Model()
    asked = request()
    one = call(asked=asked)

    play((patient if patience else retrying)(stage, model).send(asked, one))

    assert one.max_wait_s == (600.0 if patience else 120.0)


def test_a_connection_closed_under_a_request_is_sent_again_at_once_and_once() -> None:
    gone = CallError(ErrorKind.NETWORK, "closed the connection without an answer")
    gone.hung_up = True
    stage, model = Stage(), Model(lines=[gone, gone, "yes"])

    raised = play(outcome(ask(retrying(stage, model, attempts=1, share=0.0))))

    assert (raised, model.asked_at) == (gone, [0.0, 0.0])
    assert stage.log.kinds == ["retry", "give_up"]
    assert stage.shared.retries.take(0.0)
