"""A run ends for one reason, reported once, and no waiting request misses it."""

import asyncio

import pytest

from evalh.core.attempt import NotSent
from evalh.routing.run_context import Halt
from unit.routing.staging import Stage, VirtualClock, outcome, play


def test_the_first_reason_stays() -> None:
    halt = Stage().halt
    halt.check()
    halt.now("the first")
    halt.now("the second")

    with pytest.raises(NotSent, match="the first"):
        halt.check()
    assert halt.reason == "the first"


def test_a_sleep_takes_as_long_as_it_says() -> None:
    stage = Stage()

    async def nap() -> float:
        await stage.halt.sleep(12.5)
        return stage.clock.monotonic()

    assert play(nap()) == 12.5


def test_a_halt_wakes_all_sleepers_at_once_and_nobody_falls_asleep_after_it() -> None:
    stage = Stage()

    async def run() -> tuple[list[object], float, object]:
        naps = asyncio.gather(*(outcome(stage.halt.sleep(seconds)) for seconds in (1.0, 10.0, 1e9)))
        await stage.clock.sleep(2.0)
        stage.halt.now("enough")
        return await naps, stage.clock.monotonic(), await outcome(stage.halt.sleep(1.0))

    naps, at, late = play(run())

    assert ([type(nap) for nap in naps], at) == ([type(None), NotSent, NotSent], 2.0)
    assert isinstance(late, NotSent)


def test_a_cancelled_sleeper_is_cancelled_and_leaves_nothing_behind() -> None:
    stage = Stage()

    async def run() -> None:
        nap = asyncio.ensure_future(stage.halt.sleep(100.0))
        await stage.clock.sleep(1.0)
        nap.cancel()
        await asyncio.wait((nap,))
        assert nap.cancelled()

    play(run())  # fails where a task is left, or an exception was never retrieved


def test_a_cancellation_and_a_halt_in_the_same_moment_cancel() -> None:
    stage = Stage()

    async def run() -> bool:
        nap = asyncio.ensure_future(stage.halt.sleep(100.0))
        await stage.clock.sleep(1.0)
        stage.halt.now("enough")
        nap.cancel()
        await asyncio.wait((nap,))
        return nap.cancelled()

    assert play(run())


def test_a_clock_that_breaks_is_heard() -> None:
    class Broken(VirtualClock):
        async def sleep(self, seconds: float) -> None:
            raise ValueError("no time")

    raised = play(outcome(Halt(Broken()).sleep(1.0)))

    assert isinstance(raised, ValueError)
