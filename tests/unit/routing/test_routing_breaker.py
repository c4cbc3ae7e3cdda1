"""A provider that is not well is left alone, and asked again by one probe."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from msgspec.structs import replace

from evalh.core.attempt import CallError, Completion, ErrorKind, NotSent
from evalh.core.route import BreakerPolicy, LimitPolicy
from evalh.routing.breaker import Breaker, Breaking, State
from evalh.routing.limiter import Limited
from evalh.routing.logged import Logged
from unit.routing.staging import Line, Model, Stage, ask, call, outcome, play, request

POLICY = BreakerPolicy(rate=0.5, min=4, window_s=10.0, cooldown_s=5.0)
DOWN, TIMEOUT = ErrorKind.NETWORK, ErrorKind.TIMEOUT


def settled(breaker: Breaker, *failed: bool, now: float = 0.0) -> State:
    for one in failed:
        breaker.settle(now, began=now, failed=one, probe=False)
    return breaker.state


def opened(now: float = 0.0) -> Breaker:
    breaker = Breaker(POLICY)
    settled(breaker, True, True, True, True, now=now)
    return breaker


def breaking(stage: Stage, model: Model, breaker: Breaker | None = None, *, alone: bool = True) -> Breaking:
    """The layers that a breaker stands on in a run."""
    door = Limited(Logged(model, stage.log, None, stage.shared), LimitPolicy(), 32, stage.shared)
    return Breaking(door, breaker or Breaker(POLICY), stage.shared, alone=alone)


# -- the state machine


def test_failures_below_the_minimum_conclude_nothing() -> None:
    breaker = Breaker(POLICY)

    assert settled(breaker, True, True, True) is State.CLOSED
    assert settled(breaker, True) is State.OPEN


def test_a_rate_trips_it_and_a_count_does_not() -> None:
    breaker = Breaker(POLICY)

    assert settled(breaker, *[False, False, True] * 30) is State.CLOSED  # thirty failures, at a third
    assert breaker.rate == pytest.approx(1 / 3)
    assert settled(breaker, *[True] * 30) is State.OPEN


def test_an_answer_never_opens_it() -> None:
    breaker = Breaker(POLICY)
    settled(breaker, True, True, True)

    assert settled(breaker, False) is State.CLOSED
    assert breaker.rate == 0.75


def test_what_lies_before_the_window_is_forgotten() -> None:
    breaker = Breaker(POLICY)
    settled(breaker, True, True, True, now=0.0)

    assert settled(breaker, True, now=10.1) is State.CLOSED
    assert breaker.rate == 1.0


def test_open_lets_nothing_through_until_the_cooldown_is_over_and_then_one() -> None:
    breaker = opened(now=100.0)

    assert [breaker.admit(now) for now in (100.0, 104.9, 105.0, 105.0, 200.0)] == [False, False, True, False, False]
    assert breaker.state is State.HALF_OPEN


def test_a_good_probe_closes_it_with_an_empty_window() -> None:
    breaker = opened()
    breaker.admit(5.0)

    assert breaker.settle(6.0, began=5.0, failed=False, probe=True) is State.CLOSED
    assert breaker.rate == 0.0
    assert settled(breaker, True, True, True, now=6.0) is State.CLOSED


def test_a_failed_probe_starts_the_cooldown_anew() -> None:
    breaker = opened()
    breaker.admit(5.0)

    assert breaker.settle(7.0, began=5.0, failed=True, probe=True) is State.OPEN
    assert (breaker.failed_probes, breaker.admit(11.9), breaker.admit(12.0)) == (1, False, True)


def test_failed_probes_are_counted_in_a_row() -> None:
    breaker = opened()
    for now, failed, in_a_row in [(5.0, True, 1), (10.0, True, 2), (15.0, False, 0)]:
        assert breaker.admit(now)
        breaker.settle(now, began=now, failed=failed, probe=True)
        assert breaker.failed_probes == in_a_row


@pytest.mark.parametrize("now", [6.0, 6.1, 1e9 + 0.1])
def test_an_abandoned_probe_frees_the_next_at_once(now: float) -> None:
    breaker = opened()
    breaker.admit(5.0)
    breaker.abandon(now)

    assert (breaker.admit(now), breaker.admit(now)) == (True, False)


def test_answers_from_before_it_opened_change_nothing_while_it_is_open_or_probing() -> None:
    breaker = opened(now=1.0)

    assert breaker.settle(2.0, began=0.5, failed=False, probe=False) is None
    breaker.admit(6.0)
    assert breaker.settle(6.5, began=0.5, failed=True, probe=False) is None
    assert breaker.state is State.HALF_OPEN


def test_failures_from_before_it_opened_do_not_open_it_again_after_it_closed() -> None:
    """What was sent into the outage times out minutes later, when the provider is long well."""
    breaker = opened(now=1.0)
    breaker.admit(6.0)
    breaker.settle(6.2, began=6.0, failed=False, probe=True)

    for _ in range(100):
        breaker.settle(60.0, began=0.9, failed=True, probe=False)

    assert (breaker.state, breaker.rate) == (State.CLOSED, 0.0)
    assert settled(breaker, True, True, True, True, now=61.0) is State.OPEN


# -- around a provider


def test_an_open_breaker_refuses_at_once_where_a_fallback_stands_behind_it() -> None:
    stage, model = Stage(), Model(lines=[DOWN])
    provider = breaking(stage, model, alone=False)

    async def calls() -> tuple[object, float]:
        for _ in range(4):
            await outcome(ask(provider))
        return await outcome(ask(provider)), stage.clock.monotonic()

    refused, at = play(calls())

    assert isinstance(refused, CallError)
    assert (refused.kind, at, len(model.asked)) == (ErrorKind.BREAKER_OPEN, 0.0, 4)
    assert str(refused) == "breaker_open: small gets no requests after too many failures"
    assert [(decision.kind, decision.reason) for decision in stage.log.decided] == [
        ("open", "100 % of the last requests failed; the last failure: network")
    ]


def test_alone_it_waits_for_the_probe_and_goes_on_when_that_is_answered() -> None:
    stage, model = Stage(), Model(lines=[DOWN] * 4 + ["yes"], took_s=0.25)
    provider = breaking(stage, model)

    async def calls() -> list[Any]:
        await asyncio.gather(*(outcome(ask(provider)) for _ in range(4)))
        return await asyncio.gather(*(outcome(ask(provider, f"t-{number}")) for number in range(8)))

    answers = play(calls())

    assert [answer.text for answer in answers] == ["yes"] * 8
    assert stage.log.kinds == ["open", "probe", "close"]
    probe_at, *others = model.asked_at[4:]
    assert probe_at == pytest.approx(0.25 + 5.0)
    assert min(others) > probe_at + 0.249  # nothing is sent beside the probe
    assert max(others) <= probe_at + 0.25 + 0.06  # and then everybody at once


def test_two_failed_probes_halt_the_run_of_a_provider_that_stands_alone() -> None:
    stage, model = Stage(), Model(lines=[DOWN])
    provider = breaking(stage, model)

    async def calls() -> list[Any]:
        return await asyncio.gather(*(outcome(ask(provider, f"t-{number}")) for number in range(4))) + (
            await asyncio.gather(*(outcome(ask(provider, f"u-{number}")) for number in range(8)))
        )

    ends = play(calls())

    assert len(model.asked) == 4 + 2
    assert stage.halt.reason == "small is down: 2 probes failed, the last with network: as scripted"
    assert Counter(type(end) for end in ends) == {CallError: 4 + 2, NotSent: 6}
    assert stage.log.kinds == ["open", "probe", "open", "probe", "open"]


def test_with_a_fallback_failed_probes_never_halt_the_run() -> None:
    stage, model = Stage(), Model(lines=[DOWN])
    provider = breaking(stage, model, alone=False)

    async def calls() -> None:
        for _ in range(40):
            await outcome(ask(provider))
            await stage.clock.sleep(2.0)

    play(calls())

    assert stage.halt.reason is None
    assert stage.log.kinds.count("probe") >= 5
    assert len(model.asked) == 4 + stage.log.kinds.count("probe")


@pytest.mark.parametrize("kind", sorted(set(ErrorKind) - {DOWN, TIMEOUT, ErrorKind.OVERLOAD}))
def test_other_failures_show_that_the_provider_is_there(kind: ErrorKind) -> None:
    stage, model = Stage(), Model(lines=[kind])
    provider = breaking(stage, model)

    async def calls() -> None:
        for _ in range(50):
            await outcome(ask(provider))

    play(calls())

    assert (provider.breaker.state, len(model.asked)) == (State.CLOSED, 50)
    assert set(stage.log.kinds) <= {"shrink"}  # the window's, where they were too many


def test_a_refused_request_answers_a_probe() -> None:
    stage, model = Stage(), Model(lines=[DOWN] * 4 + [ErrorKind.BAD_REQUEST])
    provider = breaking(stage, model)

    async def calls() -> object:
        for _ in range(4):
            await outcome(ask(provider))
        return await outcome(ask(provider))

    raised = play(calls())

    assert isinstance(raised, CallError)
    assert (raised.kind, provider.breaker.state) == (ErrorKind.BAD_REQUEST, State.CLOSED)
    assert stage.log.decided[-1].reason == "the probe was answered: bad_request"


@pytest.mark.parametrize("kind", [ErrorKind.BUDGET, ErrorKind.UNSUPPORTED, ErrorKind.NOT_RECORDED])
def test_a_request_that_never_left_is_no_answer_to_a_probe(kind: ErrorKind) -> None:
    stage, model = Stage(), Model(lines=[DOWN] * 4 + [kind, DOWN])
    provider = breaking(stage, model)

    async def calls() -> None:
        for _ in range(6):
            await outcome(ask(provider))

    play(calls())

    assert stage.log.kinds == ["open", "probe", "probe", "open"]
    assert provider.breaker.failed_probes == 1


def test_requests_that_never_left_do_not_make_the_failure_rate_look_better() -> None:
    lines: list[Line] = [DOWN, *[ErrorKind.BUDGET] * 20, DOWN, DOWN, DOWN]
    stage, model = Stage(), Model(lines=lines)
    provider = breaking(stage, model)

    async def calls() -> None:
        for _ in lines:
            await outcome(ask(provider))

    play(calls())

    assert provider.breaker.state is State.OPEN


def test_a_cancelled_probe_frees_the_next() -> None:
    stage, model = Stage(), Model(lines=[DOWN] * 4 + ["yes"], took_s=lambda number: 0.0 if number != 4 else 3.0)
    provider = breaking(stage, model)

    async def calls() -> Completion:
        for _ in range(4):
            await outcome(ask(provider))
        probe = asyncio.ensure_future(ask(provider, "cancelled"))
        await stage.clock.sleep(6.0)
        probe.cancel()
        await asyncio.wait((probe,))
        return await ask(provider, "next")

    answer = play(calls())

    assert (answer.text, model.cases[-1], provider.breaker.state) == ("yes", "next", State.CLOSED)
    assert model.asked_at[-1] == 6.0


def test_a_probe_that_is_not_answered_ends_after_eight_seconds_as_a_timeout() -> None:
    stage = Stage()
    model = Model(lines=[DOWN] * 4 + ["yes"], took_s=lambda number: 0.0 if number < 4 else 1e6)
    provider = breaking(stage, model)

    async def calls() -> tuple[object, float]:
        for _ in range(4):
            await outcome(ask(provider))
        return await outcome(ask(provider)), stage.clock.monotonic()

    raised, at = play(calls())

    assert isinstance(raised, CallError)
    assert (raised.kind, at) == (TIMEOUT, pytest.approx(5.0 + 8.0))
    error = stage.log.ended[-1].error
    assert error is not None
    assert error.kind is TIMEOUT  # the attempt's row tells the same
    assert provider.breaker.failed_probes == 1


def test_a_probes_patience_ends_with_the_probe() -> None:
    """The same call may send again, a repair for instance, and that request has the provider's own timeout."""
    stage = Stage()
    model = Model(lines=[DOWN] * 4 + ["yes"], took_s=lambda number: 60.0 if number == 5 else 0.0)
    provider = breaking(stage, model)

    async def calls() -> list[Completion]:
        for _ in range(4):
            await outcome(ask(provider))
        asked = request()
        one = call(asked=asked)
        return [await provider.send(asked, one) for _ in range(2)]

    assert [answer.text for answer in play(calls())] == ["yes", "yes"]
    assert stage.log.kinds == ["open", "probe", "close"]


def test_a_slow_provider_has_twice_its_slowest_answer_for_a_probe() -> None:
    stage = Stage()
    lines: list[Line] = ["slow", DOWN, DOWN, DOWN, "yes"]
    model = Model(lines=lines, took_s=lambda number: {0: 20.0, 4: 39.0}.get(number, 0.0))
    provider = breaking(stage, model)

    async def calls() -> Completion:
        for _ in range(4):
            await outcome(ask(provider))
        return await ask(provider)

    answer = play(calls())

    assert answer.text == "yes"
    assert stage.log.kinds == ["open", "probe", "close"]


def test_a_probe_that_waits_for_its_turn_has_not_failed() -> None:
    """At three requests a minute the probe waits longer for its turn than it may take to be answered."""
    stage, model = Stage(), Model(lines=[*[DOWN] * 4, "yes"])
    door = Limited(Logged(model, stage.log, None, stage.shared), LimitPolicy(rpm=3), 1, stage.shared)
    provider = Breaking(door, Breaker(replace(POLICY, window_s=600.0)), stage.shared, alone=True)

    async def calls() -> Completion:
        for _ in range(4):
            await outcome(ask(provider))
        return await ask(provider)

    answer = play(calls())

    assert answer.text == "yes"
    assert stage.log.kinds.count("probe") == 1
    assert stage.halt.reason is None


def test_a_request_that_waited_while_the_breaker_opened_is_not_sent() -> None:
    stage, model = Stage(), Model(lines=[DOWN] * 9)
    door = Limited(Logged(model, stage.log, None, stage.shared), LimitPolicy(), 1, stage.shared)
    provider = Breaking(door, Breaker(POLICY), stage.shared, alone=False)

    async def calls() -> list[object]:
        return await asyncio.gather(*(outcome(ask(provider)) for _ in range(9)))

    ended = play(calls())

    assert len(model.asked) == 4
    assert [error.kind for error in ended[4:]] == [ErrorKind.BREAKER_OPEN] * 5


def test_two_wrappers_of_one_model_share_what_they_saw() -> None:
    stage, model, breaker = Stage(), Model(lines=[DOWN] * 4 + ["yes"]), Breaker(POLICY)
    with_fallback = breaking(stage, model, breaker, alone=False)
    alone = breaking(stage, model, breaker, alone=True)

    async def calls() -> tuple[object, Completion]:
        for _ in range(4):
            await outcome(ask(alone))
        return await outcome(ask(with_fallback)), await ask(alone)

    refused, answer = play(calls())

    assert isinstance(refused, CallError)
    assert (refused.kind, answer.text) == (ErrorKind.BREAKER_OPEN, "yes")
    assert breaker.state is State.CLOSED


def test_a_halt_wakes_those_that_wait_for_a_probe() -> None:
    stage, model = Stage(), Model(lines=[DOWN])
    provider = breaking(stage, model)

    async def calls() -> tuple[list[Any], float]:
        for _ in range(4):
            await outcome(ask(provider))
        waiting = asyncio.gather(*(outcome(ask(provider)) for _ in range(3)))
        await stage.clock.sleep(1.0)
        stage.halt.now("enough")
        return await waiting, stage.clock.monotonic()

    ends, at = play(calls())

    assert ([type(end) for end in ends], at, len(model.asked)) == ([NotSent] * 3, 1.0, 4)


# -- silence


@pytest.mark.parametrize(("took_s", "asked"), [(60.0, 5), (3.0, 5), (2.0, 5), (0.5, 20)])
def test_a_provider_that_answers_nothing_is_left_alone_however_few_ask_it(took_s: float, asked: int) -> None:
    """One at a time never brings the window to twenty; five failures and a third of the window without an answer do."""
    stage, model = Stage(), Model(lines=[TIMEOUT], took_s=took_s)
    provider = breaking(stage, model, Breaker(BreakerPolicy(min=20, window_s=30.0)), alone=False)

    async def calls() -> None:
        while provider.breaker.state is State.CLOSED:
            await outcome(ask(provider))

    play(calls())

    assert len(model.asked) == asked
    assert stage.log.kinds == ["open"]


@pytest.mark.parametrize("answer", ["yes", ErrorKind.BAD_REQUEST, ErrorKind.RATE_LIMIT])
def test_one_answer_of_any_kind_breaks_the_silence(answer: Line) -> None:
    stage, model = Stage(), Model(lines=[TIMEOUT, TIMEOUT, TIMEOUT, TIMEOUT, answer] * 10, took_s=20.0)
    provider = breaking(stage, model, Breaker(BreakerPolicy(min=20, window_s=30.0)), alone=False)

    async def calls() -> None:
        for _ in range(50):
            await outcome(ask(provider))

    play(calls())

    assert provider.breaker.state is State.CLOSED
    assert "open" not in stage.log.kinds


def test_a_few_failures_at_once_are_no_silence() -> None:
    stage, model = Stage(), Model(lines=[TIMEOUT])
    provider = breaking(stage, model, Breaker(BreakerPolicy(min=20, window_s=30.0)), alone=False)

    async def calls() -> None:
        for _ in range(19):
            await outcome(ask(provider))

    play(calls())

    assert provider.breaker.state is State.CLOSED


def test_an_answered_probe_ends_the_silence_before_it() -> None:
    stage, model = Stage(), Model(lines=[*[TIMEOUT] * 5, "yes", TIMEOUT], took_s=lambda at: 6.0 if at != 5 else 0.0)
    provider = breaking(stage, model, Breaker(BreakerPolicy(min=20, window_s=30.0)))

    async def calls() -> None:
        for _ in range(7):
            await outcome(ask(provider))

    play(calls())

    assert stage.log.kinds == ["open", "probe", "close"]


@pytest.mark.parametrize("mark", ["hung_up", "held_back"])
def test_what_says_nothing_of_the_provider_neither_opens_nor_closes_it(mark: str) -> None:
    error = CallError(ErrorKind.NETWORK if mark == "hung_up" else ErrorKind.RATE_LIMIT, "as scripted")
    setattr(error, mark, True)
    stage, model = Stage(), Model(lines=[error])
    breaker = Breaker(POLICY)
    provider = breaking(stage, model, breaker)

    async def calls() -> None:
        for number in range(20):
            await outcome(ask(provider, f"t-{number}"))
            await stage.clock.sleep(1.0)
        assert breaker.state is State.CLOSED
        breaker.trip(stage.clock.monotonic())
        await outcome(ask(provider, "probe"))

    play(calls())

    assert breaker.state is State.OPEN
    assert breaker.rate == 0.0
