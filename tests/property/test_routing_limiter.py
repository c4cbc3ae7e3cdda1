"""However requests come, fail, hang and are cancelled: never over the limits, first come first served, nothing leaks."""

import asyncio
from dataclasses import dataclass
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from evalh.core.attempt import Call, CallError, Completion, ErrorKind, Usage
from evalh.core.request import Request
from evalh.core.route import LimitPolicy
from evalh.routing.limiter import Limited, RateLimit, Share, Window
from unit.routing.staging import Line, Model, Stage, call, play, request
from unit.routing.staging import settings as settings_of


@dataclass(frozen=True)
class Plan:
    """One request of a schedule."""

    gap_s: float  # after the one before
    took_s: float
    ends: ErrorKind | None
    patience_s: float | None  # cancelled after so long
    asked_s: float | None = None  # the wait that a refusal names


SECONDS = st.sampled_from([0.0, 0.1, 0.5, 1.0, 3.0, 20.0])
PLANS = st.lists(
    st.builds(
        Plan,
        gap_s=SECONDS,
        took_s=SECONDS,
        ends=st.none() | st.sampled_from([ErrorKind.RATE_LIMIT, ErrorKind.OVERLOAD, ErrorKind.BAD_REQUEST]),
        patience_s=st.none() | SECONDS,
        asked_s=st.none() | SECONDS,
    ),
    max_size=25,
)


class Watched(Model):
    """Holds the window and the pause at the moment when a request leaves."""

    limited: Limited
    overfull = 0
    too_early = 0

    async def send(self, request: Request, call: Call) -> Completion:
        self.overfull += self.limited.window.in_flight > int(self.limited.window.size)
        self.too_early += asyncio.get_running_loop().time() < self.limited.pace.until - 1e-9
        return await super().send(request, call)


async def carry_out(limited: Limited, plans: list[Plan]) -> list[str]:
    """Send every request; return the cases that were not cancelled."""
    tasks = []
    for number, plan in enumerate(plans):
        await asyncio.sleep(plan.gap_s)
        asked = request("12345678", settings_of(max_tokens=10))
        task = asyncio.ensure_future(limited.send(asked, call(f"t-{number}", asked)))
        if plan.patience_s is not None:
            asyncio.get_running_loop().call_later(plan.patience_s, task.cancel)
        tasks.append(task)
    ends: list[Any] = await asyncio.gather(*tasks, return_exceptions=True)
    return [f"t-{number}" for number, end in enumerate(ends) if isinstance(end, Completion | CallError)]


def scripted(plans: list[Plan], kind: type[Model] = Model) -> Model:
    def line(_request: Request, call: Call) -> Line:
        plan = plans[int(call.key.case_id[2:])]
        if plan.ends is None:
            return Completion(text="yes", usage=Usage(4, 5))
        return CallError(plan.ends, "as planned", retry_after_s=plan.asked_s)

    model = kind(lines=line)
    model.took_s = lambda number: plans[int(model.cases[number][2:])].took_s
    return model


TOOK_S = (0.1, 0.1, 0.5, 0.0, 0.0)
"""The fourth is refused after the fifth was given its place: the window shrinks before that one has woken."""


@given(PLANS, st.integers(1, 4))
@example(
    [Plan(0.0, took_s, ErrorKind.RATE_LIMIT if number == 3 else None, None) for number, took_s in enumerate(TOOK_S)], 3
)
@settings(deadline=None, max_examples=60)
def test_a_place_is_never_given_twice_and_comes_back_whatever_happens(plans: list[Plan], ceiling: int) -> None:
    stage, model = Stage(), scripted(plans, Watched)
    assert isinstance(model, Watched)
    limited = Limited(model, LimitPolicy(concurrency=ceiling), 32, stage.shared)
    model.limited = limited

    finished = play(carry_out(limited, plans))

    assert (model.overfull, model.too_early) == (0, 0)
    assert model.most_in_flight <= ceiling
    assert limited.window.in_flight == 0
    assert 1.0 <= limited.window.size <= ceiling
    assert set(finished) <= set(model.cases)
    assert model.cases == sorted(model.cases, key=lambda case: int(case[2:]))


@given(PLANS, st.integers(1, 40), st.none() | st.integers(20, 200))
@settings(deadline=None, max_examples=60)
def test_no_minute_sees_more_than_the_rates_and_nobody_overtakes(plans: list[Plan], rpm: int, tpm: int | None) -> None:
    stage, model = Stage(), scripted(plans)
    limited = Limited(model, LimitPolicy(rpm=rpm, tpm=tpm), 32, stage.shared)

    play(carry_out(limited, plans))

    for start in model.asked_at:
        leaving = sum(start <= at < start + 60.0 for at in model.asked_at)
        assert leaving <= rpm
        assert tpm is None or 9 * leaving <= tpm + 16  # what was counted, but for one request's bound
    assert model.cases == sorted(model.cases, key=lambda case: int(case[2:]))
    assert limited.window.in_flight == 0


class RateMachine(RuleBasedStateMachine):
    """Requests of bounded size leave when they may, and are settled at no more than their bound, in any order."""

    @initialize(per_minute=st.integers(1, 2000))
    def start(self, per_minute: int) -> None:
        self.rate = RateLimit(per_minute)
        self.now = 1000.0
        self.left: list[list[float]] = []  # when, units
        self.open: list[tuple[Share, int]] = []
        self.largest = 0.0

    @rule(units=st.floats(0.0, 500.0))
    def leave(self, units: float) -> None:
        self.now += self.rate.wait_s(self.now, units)
        assert self.rate.wait_s(self.now, units) == 0.0
        self.open.append((self.rate.take(self.now, units), len(self.left)))
        self.left.append([self.now, units])
        self.largest = max(self.largest, units)

    @rule(seconds=st.floats(0.0, 90.0))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(pick=st.integers(0, 1 << 16), part=st.floats(0.0, 1.0))
    def settle(self, pick: int, part: float) -> None:
        if self.open:
            share, number = self.open.pop(pick % len(self.open))
            self.left[number][1] *= part
            self.rate.settle(self.now, share, self.left[number][1])

    @invariant()
    def no_minute_sees_more(self) -> None:
        for start, _ in getattr(self, "left", ()):
            seen = sum(units for at, units in self.left if start <= at < start + 60.0)
            assert seen <= self.rate.per_minute + self.largest + 1e-3


TestRate = RateMachine.TestCase


@given(st.integers(1, 300), st.lists(st.booleans(), max_size=300))
def test_the_window_stays_between_one_and_its_ceiling(ceiling: int, answers: list[bool]) -> None:
    window = Window(ceiling)
    for now, good in enumerate(answers):
        before = window.size
        if good:
            window.good()
            assert before <= window.size <= min(ceiling, before + 1.0)
        else:
            assert window.too_many(float(now), began=float(now))
            assert window.size == max(1.0, before / 2.0)
        assert 1.0 <= window.size <= ceiling
