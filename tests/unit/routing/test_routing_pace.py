"""What a rate limit teaches: until when nothing leaves, and how fast the provider answers."""

import asyncio
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from evalh.api.runs import NoProgress
from evalh.core.attempt import Call, CallError, Completion, ErrorKind, NotSent
from evalh.core.route import LimitPolicy, RetryPolicy
from evalh.routing.limiter import Limited
from evalh.routing.pace import Pace
from evalh.routing.retry import Retrying
from unit.routing.staging import Line, Model, Stage, ask, call, outcome, play


def cycle(pace: Pace, began: float, answers: int, refused: float, wait_s: float) -> None:
    """Answer so many at once, then refuse one."""
    for _ in range(answers):
        pace.answered(began)
    pace.refused(refused, refused, wait_s)


def test_nothing_leaves_before_the_provider_takes_requests_again() -> None:
    pace = Pace()
    pace.refused(10.0, 9.0, 6.0)

    assert [pace.wait_s(at) for at in (10.0, 13.0, 16.0)] == [6.0, 3.0, 0.0]
    assert pace.paused_s(13.0) == 3.0


def test_a_pause_grows_by_a_later_word_and_never_shrinks() -> None:
    pace = Pace()
    pace.refused(10.0, 9.0, 6.0)
    pace.refused(11.0, 9.5, 1.0)
    assert pace.until == 16.0
    pace.refused(12.0, 9.5, 8.0)

    assert (pace.until, pace.quiet_s) == (20.0, 10.0)


def test_the_gap_is_that_of_a_whole_cycle() -> None:
    pace = Pace()
    cycle(pace, 0.0, 10, 0.1, 5.9)  # others may have used a part of the first
    assert pace.gap_s(6.0) == 0.0
    cycle(pace, 6.0, 10, 6.1, 5.9)

    assert pace.gap_s(12.0) == pytest.approx(0.6)
    pace.leave(12.0)
    assert pace.wait_s(12.0) == pytest.approx(0.6)


def test_answers_to_what_left_before_a_pause_teach_nothing_of_the_time_after() -> None:
    pace = Pace()
    cycle(pace, 0.0, 10, 0.1, 5.9)
    for _ in range(100):
        pace.answered(0.0)
    assert pace.quiet_s > 0.0
    cycle(pace, 6.0, 10, 6.1, 5.9)

    assert pace.gap_s(12.0) == pytest.approx(0.6)


def test_a_cycle_without_an_answer_doubles_the_gap() -> None:
    pace = Pace()
    cycle(pace, 0.0, 1, 0.0, 1.0)
    cycle(pace, 1.0, 1, 1.0, 1.0)
    assert pace.gap_s(2.0) == pytest.approx(1.0)
    cycle(pace, 2.0, 0, 2.0, 1.0)

    assert pace.gap_s(3.0) == pytest.approx(2.0)


def test_what_we_could_not_send_ourselves_is_no_part_of_a_cycle() -> None:
    pace = Pace()
    cycle(pace, 0.0, 10, 0.1, 5.9)
    pace.stood(2.0, 4.0)  # within the pause
    pace.stood(7.0, 37.0)
    pace.stood(8.0, 38.0)  # another door to the same model
    cycle(pace, 6.0, 10, 38.1, 4.9)
    assert pace.gap_s(43.0) == pytest.approx(0.6)
    cycle(pace, 43.0, 10, 43.1, 5.9)

    assert pace.gap_s(49.0) == pytest.approx(0.6)


def test_what_was_learned_is_forgotten_by_half_a_minute_after_minute() -> None:
    pace = Pace()
    cycle(pace, 0.0, 1, 0.0, 1.0)
    cycle(pace, 1.0, 1, 1.0, 1.0)

    assert [pace.gap_s(2.0 + 60.0 * minutes) for minutes in (0, 1, 2)] == pytest.approx([1.0, 0.5, 0.25])
    assert pace.gap_s(2.0 + 60.0 * 11) == 0.0
    pace.leave(1000.0)
    assert pace.wait_s(1000.0) == 0.0


def test_pauses_add_up_until_an_answer_comes() -> None:
    pace = Pace()
    for began in (0.0, 5.0, 10.0):
        pace.refused(began, began, 5.0)
    assert pace.quiet_s == 15.0
    pace.answered(15.0)

    assert pace.quiet_s == 0.0


# -- the door that keeps to it


def door(stage: Stage, model: Model, workers: int = 32) -> Limited:
    return Limited(model, LimitPolicy(), workers, stage.shared)


async def ask_many(provider: Limited | Retrying, count: int, **changes: Any) -> list[Any]:
    return await asyncio.gather(*(outcome(ask(provider, f"t-{number}", **changes)) for number in range(count)))


def refusal(wait_s: float | None) -> CallError:
    return CallError(ErrorKind.RATE_LIMIT, "as scripted", retry_after_s=wait_s)


def test_a_named_wait_closes_the_door_to_all_and_they_leave_after_it() -> None:
    stage, model = Stage(), Model(lines=[refusal(4.0), "yes"])
    provider = door(stage, model)

    async def calls() -> list[Any]:
        first = await outcome(ask(provider, "first"))
        return [first, *await ask_many(provider, 5)]

    first, *others = play(calls())

    assert isinstance(first, CallError)
    assert [type(one) for one in others] == [Completion] * 5
    assert all(4.0 <= at <= 4.4 for at in model.asked_at[1:])  # jittered by a tenth


@pytest.mark.parametrize("error", [refusal(None), CallError(ErrorKind.OVERLOAD, "x", retry_after_s=4.0)])
def test_a_refusal_that_is_no_flow_control_closes_nothing(error: CallError) -> None:
    stage, model = Stage(), Model(lines=[error, "yes"])
    provider = door(stage, model)

    async def calls() -> None:
        await outcome(ask(provider, "first"))
        await ask(provider, "second")

    play(calls())

    assert model.asked_at == [0.0, 0.0]


def test_a_log_that_is_locked_for_a_minute_teaches_no_pace() -> None:
    stage, model = Stage(), Model(lines=[refusal(1.0), *["yes"] * 10, refusal(1.0), "yes"])
    provider = door(stage, model)

    async def calls() -> float:
        await outcome(ask(provider, "first"))
        await ask_many(provider, 5)
        stage.log.blocked = lambda: "locked" if stage.clock.monotonic() < 61.0 else None  # type: ignore[method-assign,assignment,return-value]
        await ask_many(provider, 5)
        await outcome(ask(provider, "last"))
        return provider.pace.gap_s(stage.clock.monotonic())

    assert play(calls()) < 1.0


def test_a_door_that_is_closed_for_longer_than_may_be_waited_refuses_at_once() -> None:
    stage, model = Stage(), Model(lines=[refusal(7200.0), "yes"])
    provider = door(stage, model)

    async def calls() -> tuple[Any, float]:
        await outcome(ask(provider, "first"))
        return await outcome(ask(provider, "second", max_wait_s=600.0)), stage.clock.monotonic()

    raised, at = play(calls())

    assert isinstance(raised, CallError)
    assert (raised.kind, raised.held_back, raised.maybe_billed, at) == (ErrorKind.RATE_LIMIT, True, False, 0.0)
    assert "played:small-1 is at its rate limit for another 7" in raised.message
    assert (len(model.asked), provider.window.in_flight) == (1, 0)


def test_pauses_that_no_answer_ends_add_up_to_what_may_be_waited() -> None:
    stage, model = Stage(), Model(lines=[refusal(5.0)])
    provider = door(stage, model, 1)

    ends = play(ask_many(provider, 20, max_wait_s=18.0))

    assert len(model.asked) == 4  # 5, 10, 15 and 20 s of pauses: the others would wait for nothing
    assert [one.held_back for one in ends if isinstance(one, CallError)] == [False] * 4 + [True] * 16


def test_a_pause_shows_how_long_and_for_what() -> None:
    shown: list[tuple[int, str]] = []

    class Watching(NoProgress):
        def waiting(self, seconds: float, because: str) -> None:
            shown.append((round(seconds), because))

    stage = Stage()
    shared = replace(stage.shared, progress=Watching())
    provider = Limited(Model(lines=[refusal(4.0)]), LimitPolicy(), 1, shared)

    play(outcome(ask(provider)))

    assert shown == [(4, "rate limit of played:small-1")]


def test_a_call_knows_how_long_it_waited_for_a_pause_and_not_for_a_place() -> None:
    stage, model = Stage(), Model(lines=[refusal(4.0), "yes"], took_s=1.0)
    provider = door(stage, model, 1)
    calls = [call(f"t-{number}") for number in range(3)]

    async def together() -> None:
        await asyncio.gather(*(outcome(provider.send(one.request, one)) for one in calls))

    play(together())

    waited_s = [one.waiting_ms / 1000.0 for one in calls]
    assert waited_s[0] == 0.0
    assert all(4.0 <= one <= 4.4 for one in waited_s[1:])  # the first took 1 s, and the third waited for the second too
    assert model.asked_at[2] - model.asked_at[1] == 1.0


def test_a_halt_ends_a_pause() -> None:
    stage, model = Stage(), Model(lines=[refusal(100.0), "yes"])
    provider = door(stage, model, 1)

    async def calls() -> tuple[list[Any], float]:
        ends = asyncio.ensure_future(ask_many(provider, 3))
        await stage.clock.sleep(3.0)
        stage.halt.now("enough")
        return await ends, stage.clock.monotonic()

    ends, at = play(calls())

    assert ([type(end) for end in ends], at) == ([CallError, NotSent, NotSent], 3.0)


def test_a_server_that_refuses_at_random_is_not_asked_ever_more_rarely() -> None:
    rng = Random(1)
    stage = Stage()
    model = Model(lines=lambda _request, _call: refusal(0.2) if rng.random() < 0.3 else "yes", took_s=0.5)
    provider = Retrying(door(stage, model), RetryPolicy(), stage.shared, wait_s=600.0)

    async def calls() -> tuple[list[Any], float]:
        return await ask_many(provider, 200), stage.clock.monotonic()

    ends, at = play(calls())

    assert [type(end) for end in ends] == [Completion] * 200
    assert at < 200.0  # 60 refusals, and 260 requests at twice 0.2 s at most


def test_a_learned_gap_spaces_the_requests_and_a_burst_is_refused_once() -> None:
    """Ten in six seconds, as a sliding window: after two cycles nothing is refused that need not be."""
    taken: list[float] = []
    refused: list[float] = []

    def line(_request: object, call: Call) -> Line:
        now = asyncio.get_running_loop().time()
        recent = [at for at in taken if at > now - 6.0]
        if len(recent) < 10:
            taken.append(now)
            return "yes"
        refused.append(now)
        return refusal(recent[-10] + 6.0 - now)

    stage, model = Stage(), Model(lines=line, took_s=0.05)
    provider = Retrying(door(stage, model), RetryPolicy(), stage.shared, wait_s=600.0)

    ends = play(ask_many(provider, 300))

    assert [type(end) for end in ends] == [Completion] * 300
    assert taken[-1] < 1.15 * 6.0 * 29
    assert len([at for at in refused if at > 20.0]) < 60
