"""No more in flight than the window, no more a minute than the rates; first come, first served."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from evalh.core.attempt import Call, CallError, Completion, ErrorKind, NotSent, Usage
from evalh.core.route import LimitPolicy
from evalh.routing.limiter import Limited, RateLimit, Window
from unit.routing.staging import Line, Model, Stage, ask, call, outcome, play, request, settings


def limited(stage: Stage, model: Model, workers: int = 32, **policy: Any) -> Limited:
    return Limited(model, LimitPolicy(**policy), workers, stage.shared)


async def ask_many(provider: Limited, count: int) -> list[Any]:
    return await asyncio.gather(*(outcome(ask(provider, f"t-{number}")) for number in range(count)))


def most_in_a_minute(at: list[float], units: Callable[[int], float] = lambda _: 1.0) -> float:
    return max(sum(units(k) for k, later in enumerate(at) if start <= later < start + 60.0) for start in at)


# -- the window


def test_a_window_starts_at_its_ceiling_and_halves_when_there_are_too_many() -> None:
    window = Window(8)

    assert [window.size] + [window.too_many(now, now) and window.size for now in (1.0, 2.0, 3.0, 4.0)] == [
        8,
        4,
        2,
        1,
        1,
    ]


def test_refusals_of_what_was_sent_under_one_window_halve_it_once() -> None:
    window = Window(8)

    assert window.too_many(1.0, began=0.5)
    assert not any(window.too_many(1.1, began=0.6) for _ in range(7))
    assert window.size == 4.0
    assert window.too_many(2.0, began=1.1)


def test_a_window_grows_by_one_for_a_windows_worth_of_answers_and_never_over_its_ceiling() -> None:
    window = Window(8)
    window.too_many(1.0, 1.0)
    for size in (4, 5, 6):
        for _ in range(size + 1):
            window.good()
        assert size + 1 <= window.size < size + 1.5
    for _ in range(100):
        window.good()
    assert window.size == 8.0


def test_the_tightest_ceiling_counts() -> None:
    stage = Stage()

    assert limited(stage, Model(), 32).window.ceiling == 32
    assert limited(stage, Model(), 32, concurrency=5).window.ceiling == 5
    assert limited(stage, Model(max_in_flight=2), 32, concurrency=5).window.ceiling == 2
    assert limited(stage, Model(max_in_flight=9), 3, concurrency=5).window.ceiling == 3


def test_no_more_are_in_flight_than_the_window_holds_and_nobody_is_passed_by() -> None:
    stage, model = Stage(), Model(took_s=1.0)
    provider = limited(stage, model, 3)

    play(ask_many(provider, 10))

    assert model.most_in_flight == 3
    assert model.cases == [f"t-{number}" for number in range(10)]
    assert model.asked_at == [0.0] * 3 + [1.0] * 3 + [2.0] * 3 + [3.0]
    assert provider.window.in_flight == 0


def test_a_newcomer_waits_behind_those_who_wait() -> None:
    stage, model = Stage(), Model(took_s=1.0)
    provider = limited(stage, model, 1)

    async def calls() -> None:
        first, second = (asyncio.ensure_future(ask(provider, case)) for case in ("first", "second"))
        await first
        await asyncio.gather(second, ask(provider, "newcomer"))  # the place is free and promised

    play(calls())

    assert model.cases == ["first", "second", "newcomer"]


def test_too_many_requests_shrink_the_window_and_answers_let_it_grow_again() -> None:
    stage = Stage()
    lines: list[Line] = [ErrorKind.RATE_LIMIT] * 8 + ["yes"]
    model = Model(lines=lines, took_s=1.0)
    provider = limited(stage, model, 8)

    play(ask_many(provider, 60))

    assert stage.log.details("shrink") == [{"model": "small", "window": 4}]
    in_flight = [model.asked_at.count(at) for at in sorted(set(model.asked_at))]
    assert in_flight[:3] == [8, 4, 4]
    assert max(in_flight[3:]) > 4
    assert provider.window.in_flight == 0


@pytest.mark.parametrize("kind", sorted(set(ErrorKind) - {ErrorKind.RATE_LIMIT, ErrorKind.OVERLOAD}))
def test_other_failures_leave_the_window_alone(kind: ErrorKind) -> None:
    stage = Stage()
    provider = limited(stage, Model(lines=[kind]), 8)

    play(ask_many(provider, 20))

    assert (provider.window.size, provider.window.in_flight, stage.log.decided) == (8.0, 0, [])


def test_a_cancelled_waiter_takes_no_place_and_costs_nobody_theirs() -> None:
    stage, model = Stage(), Model(took_s=1.0)
    provider = limited(stage, model, 1)

    async def calls() -> None:
        tasks = [asyncio.ensure_future(outcome(ask(provider, f"t-{number}"))) for number in range(5)]
        await stage.clock.sleep(0.5)
        tasks[1].cancel()
        tasks[2].cancel()
        await asyncio.wait(tasks)

    play(calls())

    assert (model.cases, model.asked_at) == (["t-0", "t-3", "t-4"], [0.0, 1.0, 2.0])
    assert provider.window.in_flight == 0


def test_a_waiter_that_is_cancelled_as_its_place_comes_hands_it_on() -> None:
    stage, tasks = Stage(), list[asyncio.Future[Completion]]()

    def answer(_request: object, call: Call) -> Line:
        if call.key.case_id == "1":  # its slot goes to the second in this iteration, before that one can run
            asyncio.get_running_loop().call_soon(tasks[1].cancel)
        return "yes"

    model = Model(lines=answer, took_s=1.0)
    provider = limited(stage, model, 1)

    async def calls() -> None:
        tasks.extend(asyncio.ensure_future(ask(provider, case)) for case in ("1", "2", "3"))
        await asyncio.wait(tasks)

    play(calls())

    assert tasks[1].cancelled()
    assert model.cases == ["1", "3"]
    assert provider.window.in_flight == 0


def test_a_request_that_is_cancelled_in_flight_gives_its_place_back() -> None:
    stage, model = Stage(), Model(took_s=100.0)
    provider = limited(stage, model, 1)

    async def calls() -> None:
        first, second = (asyncio.ensure_future(ask(provider, case)) for case in ("1", "2"))
        await stage.clock.sleep(1.0)
        first.cancel()
        await asyncio.wait((first, second))

    play(calls())

    assert (model.asked_at, provider.window.in_flight) == ([0.0, 1.0], 0)


def test_when_the_run_is_ending_nobody_who_waited_is_sent() -> None:
    stage, model = Stage(), Model(took_s=1.0)
    provider = limited(stage, model, 2)

    async def calls() -> list[Any]:
        ends = asyncio.ensure_future(ask_many(provider, 6))
        await stage.clock.sleep(0.5)
        stage.halt.now("enough")
        return await ends

    ends = play(calls())

    assert len(model.asked) == 2
    assert [type(end) for end in ends] == [Completion] * 2 + [NotSent] * 4  # what is in flight ends by itself
    assert provider.window.in_flight == 0


# -- the rates


def test_a_rate_lets_a_seconds_worth_leave_at_once_and_then_spaces() -> None:
    stage, model = Stage(), Model()

    play(ask_many(limited(stage, model, 100, rpm=600), 30))

    assert model.asked_at[:9] == [0.0] * 9
    spaces = [later - sooner for sooner, later in zip(model.asked_at[9:], model.asked_at[10:], strict=False)]
    assert spaces[1:] == pytest.approx([61.0 / 600.0] * 19)
    assert model.cases == [f"t-{number}" for number in range(30)]


def test_units_may_leave_as_soon_as_those_before_are_paid_but_for_a_seconds_worth() -> None:
    rate = RateLimit(610)  # a unit takes 0.1 s
    rate.take(100.0, 9.0)

    assert rate.wait_s(100.0, 1.0) == 0.0
    assert rate.wait_s(100.0, 2.0) == pytest.approx(0.1)
    assert rate.wait_s(100.0, 100.0) == pytest.approx(0.9)  # larger than a second's worth: once nothing is owed


def test_what_was_too_much_is_given_back_only_while_its_time_has_not_passed() -> None:
    rate = RateLimit(610)
    first, second = rate.take(0.0, 40.0), rate.take(0.0, 20.0)  # owed until 4.0, and until 6.0

    rate.settle(3.0, first, 0.0)  # three of its four seconds were waited for

    assert rate.wait_s(3.0, 100.0) == pytest.approx(2.0)
    rate.settle(3.0, second, 20.0)
    assert rate.wait_s(3.0, 100.0) == pytest.approx(2.0)
    rate.settle(9.0, second, 0.0)
    assert rate.wait_s(4.0, 100.0) == pytest.approx(1.0)


def test_what_was_too_little_is_owed_by_those_who_follow() -> None:
    rate = RateLimit(610)
    share = rate.take(0.0, 10.0)

    rate.settle(5.0, share, 100.0)

    assert rate.wait_s(5.0, 100.0) == pytest.approx(5.0)


def test_a_rate_remembers_only_what_is_still_owed() -> None:
    rate, now = RateLimit(610), 1000.0
    for _ in range(5_000):
        now += rate.wait_s(now, 4.0)
        rate.take(now, 4.0)

    assert len(rate._shares) <= 4


def test_a_rate_gives_back_after_a_long_run_as_on_its_first_day() -> None:
    rate, now = RateLimit(610), 1000.0
    for _ in range(1_000):
        now += rate.wait_s(now, 40.0)
        share = rate.take(now, 40.0)
        now += 1.0
        rate.settle(now, share, 20.0)
    now += rate.wait_s(now, 100.0)

    share = rate.take(now, 40.0)
    rate.take(now, 1.0)
    rate.settle(now, share, 0.0)

    assert rate.wait_s(now, 100.0) == pytest.approx(0.1)


@pytest.mark.parametrize("rpm", [1, 7, 60, 61, 300, 1000])
def test_no_minute_sees_more_requests_than_declared(rpm: int) -> None:
    stage, model = Stage(), Model(took_s=0.3)

    play(ask_many(limited(stage, model, 10_000, rpm=rpm), min(3 * rpm, 1500) + 2))

    seen = most_in_a_minute(model.asked_at)
    assert 0.9 * rpm - 1 <= seen <= rpm


def test_a_wait_for_tokens_does_not_let_requests_bunch_up() -> None:
    """One huge request holds the tokens for a minute; those behind it still leave a second apart."""
    stage = Stage()
    model = Model(
        lines=lambda _, call: Completion(text="yes", usage=Usage(6004 if call.key.case_id == "huge" else 4, 5))
    )
    provider = limited(stage, model, 1000, rpm=60, tpm=6000)

    async def calls() -> None:
        huge = ask(provider, "huge", "x" * 4 * 6000)
        await asyncio.gather(huge, *(ask(provider, f"t-{number}", "") for number in range(150)))

    play(calls())

    assert model.asked_at[1] > 60.0
    assert most_in_a_minute(model.asked_at) <= 60


async def pace(provider: Limited, numbers: range) -> None:
    """Ask for some 100 tokens at most, five times a second."""
    asked = request("1234567890123456", settings(max_tokens=92))  # 8 tokens or so of input
    tasks = []
    for number in numbers:
        tasks.append(asyncio.ensure_future(provider.send(asked, call(f"t-{number}", asked))))
        await asyncio.sleep(0.2)
    await asyncio.gather(*tasks)


def test_no_minute_sees_more_tokens_than_declared_but_for_one_request() -> None:
    stage = Stage()
    model = Model(lines=[Completion(text="yes", usage=Usage(8, 92))], took_s=2.0)

    play(pace(limited(stage, model, 50, tpm=1200), range(60)))

    assert 1100 <= most_in_a_minute(model.asked_at, lambda _: 100.0) <= 1300


def test_a_bound_that_was_too_high_is_given_back_when_the_answer_is_counted() -> None:
    def last_leaves_at(output: int) -> float:
        stage = Stage()
        model = Model(lines=[Completion(text="yes", usage=Usage(5, output))], took_s=0.01)
        provider = limited(stage, model, 1, tpm=600)
        play(ask_many(provider, 100))
        return model.asked_at[-1]

    # Each is taken to need 5 + 5 tokens or so; half of it is given back.
    assert last_leaves_at(0) < 0.7 * last_leaves_at(5)


def test_tokens_that_earlier_requests_did_not_need_are_no_licence_for_a_rush() -> None:
    """Bounds of a minute ago were far too high. Their return must not let this minute's requests through together."""
    stage = Stage()
    used = {f"t-{number}": 2 if number < 40 else 100 for number in range(400)}
    model = Model(
        lines=lambda _, call: Completion(text="yes", usage=Usage(2, used[call.key.case_id] - 2)),
        took_s=lambda number: 70.0 - 1.5 * number if number < 40 else 0.5,
    )
    provider = limited(stage, model, 10_000, tpm=6000)

    async def calls() -> None:
        early = asyncio.ensure_future(pace(provider, range(40)))
        await stage.clock.sleep(61.0)
        await pace(provider, range(40, 400))
        await early

    play(calls())

    assert most_in_a_minute(model.asked_at, lambda k: used[model.cases[k]]) <= 6000 + 100


def test_a_halt_wakes_those_that_wait_for_a_rate() -> None:
    stage, model = Stage(), Model()
    provider = limited(stage, model, 32, rpm=2)

    async def calls() -> tuple[list[Any], float]:
        ends = asyncio.ensure_future(ask_many(provider, 5))
        await stage.clock.sleep(1.0)
        stage.halt.now("enough")
        return await ends, stage.clock.monotonic()

    ends, at = play(calls())

    assert ([type(end) for end in ends], at) == ([Completion] + [NotSent] * 4, 1.0)
    assert provider.window.in_flight == 0


def test_a_failure_passes_and_gives_its_place_back() -> None:
    stage = Stage()
    provider = limited(stage, Model(lines=[ErrorKind.AUTH]), 1)

    raised = play(ask_many(provider, 2))

    assert all(isinstance(one, CallError) and one.kind is ErrorKind.AUTH for one in raised)
    assert provider.window.in_flight == 0


def test_a_halt_lets_nobody_pass_whom_a_larger_request_had_held_up() -> None:
    stage = Stage()
    model = Model(
        lines=lambda asked, _: Completion(text="yes", usage=Usage(504 if len(asked.messages[0].text) > 9 else 4, 5))
    )
    provider = limited(stage, model, 32, tpm=6100)

    async def calls() -> list[Any]:
        large, small = "x" * 2000, ""
        await ask(provider, "t-1", large)  # owed for 5.09 s
        await stage.clock.sleep(4.9)
        ends = asyncio.gather(*(outcome(ask(provider, "t-2", text)) for text in (large, small)))
        await stage.clock.sleep(0.1)
        stage.halt.now("enough")
        return await ends

    assert [type(end) for end in play(calls())] == [NotSent, NotSent]
    assert len(model.asked) == 1
