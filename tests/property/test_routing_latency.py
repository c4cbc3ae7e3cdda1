"""A call's latency is what it would take alone: every attempt, wait and check, and nothing of our own queue."""

import asyncio
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from evalh.core.attempt import Call, CallError, Completion, ErrorKind, Latency, Usage, latency_of
from evalh.core.request import Request
from evalh.core.route import CascadePolicy, LimitPolicy, RepairPolicy, RetryPolicy, Route
from evalh.core.suite import GraderSpec
from evalh.core.verdict import GradeContext, Verdict
from evalh.routing.asking import Span, checks_latency
from unit.routing.staging import Model, Stage, builder, call, play, request, target_of


@dataclass
class Timed(Model):
    """A model that says how long it took; its lines are each case's own, so that who asks first does not matter."""

    script: tuple[tuple[str, float], ...] = ()
    _turns: dict[str, int] = field(default_factory=dict)

    async def send(self, request: Request, call: Call) -> Completion:
        del request
        turn = self._turns[call.key.case_id] = self._turns.get(call.key.case_id, -1) + 1
        said, took_s = self.script[min(turn, len(self.script) - 1)]
        await asyncio.sleep(took_s)
        if said == "busy":
            raise CallError(ErrorKind.OVERLOAD, "as scripted", retry_after_s=1.5)
        return Completion(text=said, usage=Usage(10, 5), latency_ms=took_s * 1000.0)


class SlowEye:
    """A check that takes its time."""

    name = "eye"

    def __init__(self, took_s: float) -> None:
        self._took_s = took_s

    async def check(self, ctx: GradeContext) -> Verdict:
        await asyncio.sleep(self._took_s)
        return Verdict.check(ctx.text == "yes", "looked at")


TIMES = st.integers(0, 5_000).map(lambda ms: ms / 1000.0)
SCRIPTS = st.lists(st.tuples(st.sampled_from(["yes", "no", "busy"]), TIMES), max_size=3).map(
    lambda lines: (*lines, ("yes", 0.25))
)
ANY = LimitPolicy()
CHECKS = (GraderSpec(kind="eye", name="eye"),)


def route(*, cascades: bool, repairs: bool, limit: LimitPolicy = ANY) -> Route:
    return Route(
        name="careful",
        model="small",
        breaker=None,
        retry=RetryPolicy(share=1000.0),  # six calls that are retried three times each would spend a run's share
        limit=limit,
        repair=RepairPolicy(checks=CHECKS) if repairs else None,
        cascade=CascadePolicy(checks=CHECKS, escalate_to="strong") if cascades else None,
    )


def asked(
    plan: Route, script: tuple[tuple[str, float], ...], check_s: float, calls: int
) -> list[tuple[Latency, float]]:
    """Ask so many calls at once; return each one's latency, and how long it was under way, in milliseconds."""
    models = [Timed(script=script), Timed(name="strong", script=(("yes", 2.0),))]

    async def work() -> list[tuple[Latency, float]]:
        stage = Stage()
        asks = builder(
            stage, target_of(plan, models=models), build_checks=lambda _: [SlowEye(check_s)], concurrency=8
        ).build()
        made = [call(f"t-{number}", request()) for number in range(calls)]

        async def one(made: Call) -> float:
            began = stage.clock.monotonic()
            await asks.send(made.request, made)
            return (stage.clock.monotonic() - began) * 1000.0

        under_way = await asyncio.gather(*(one(single) for single in made))
        return [(single.latency, ms) for single, ms in zip(made, under_way, strict=True)]

    return play(work())


@given(SCRIPTS, TIMES, st.booleans(), st.booleans())
def test_alone_it_is_the_time_from_start_to_answer(
    script: tuple[tuple[str, float], ...], check_s: float, cascades: bool, repairs: bool
) -> None:
    ((latency, under_way),) = asked(route(cascades=cascades, repairs=repairs), script, check_s, calls=1)

    assert latency.whole
    assert latency.total_ms == pytest.approx(under_way, abs=1e-3)


@given(SCRIPTS, TIMES, st.integers(1, 3), st.integers(2, 6), st.booleans())
def test_among_others_it_is_what_it_is_alone(
    script: tuple[tuple[str, float], ...], check_s: float, places: int, calls: int, cascades: bool
) -> None:
    plan = route(cascades=cascades, repairs=False, limit=LimitPolicy(concurrency=places))
    crowd = asked(plan, script, check_s, calls)

    for latency, under_way in crowd:
        assert latency.total_ms is not None
        assert latency.total_ms <= under_way + 1e-3
        assert latency.attempts_ms == pytest.approx(_attempts_ms(script, cascades=cascades))
        assert latency.checks_ms == pytest.approx(check_s * 1000.0 if cascades else 0.0)


def _answer(script: tuple[tuple[str, float], ...]) -> int:
    return next(place for place, (said, _) in enumerate(script) if said != "busy")


def _attempts_ms(script: tuple[tuple[str, float], ...], *, cascades: bool) -> float:
    last = _answer(script)
    strong = 2000.0 if cascades and script[last][0] == "no" else 0.0
    return sum(took_s for _, took_s in script[: last + 1]) * 1000.0 + strong


@given(TIMES)
def test_without_retries_waits_and_checks_it_is_the_attempts_own(took_s: float) -> None:
    plan = Route(name="small", model="small", limit=LimitPolicy(concurrency=1, rpm=60_000))

    for latency, _ in asked(plan, (("yes", took_s),), 0.0, calls=1):
        assert latency == Latency(took_s * 1000.0, 0.0, 0.0)


def test_waiting_for_a_rate_is_part_of_it() -> None:
    plan = Route(name="small", model="small", limit=LimitPolicy(rpm=60))

    taken = sorted(latency.waited_ms or 0.0 for latency, _ in asked(plan, (("yes", 0.1),), 0.0, calls=4))

    assert taken[0] == 0.0
    assert taken[-1] > 2000.0


def test_a_recording_that_does_not_say_makes_it_unknown_and_never_small() -> None:
    silent = Latency(None)

    assert silent.plus(Latency(50.0)).total_ms is None
    assert latency_of(None, 3.0, 0.0).total_ms is None


def test_a_part_of_an_older_log_makes_it_no_whole() -> None:
    older = latency_of(80.0, None, None)

    assert (older.total_ms, older.whole) == (80.0, False)
    assert not older.plus(Latency(20.0, 5.0, 1.0)).whole
    assert latency_of(80.0, 30.0, 10.0) == Latency(40.0, 30.0, 10.0)


SPAN = st.tuples(st.floats(0, 50), st.floats(0, 20), st.floats(0, 20))


@given(st.lists(SPAN, max_size=6))
def test_checks_never_take_longer_than_by_the_clock_nor_less_than_their_slowest_question(
    drawn: list[tuple[float, float, float]],
) -> None:
    spans: list[Span] = []
    end = 0.0
    for began, held, took in drawn:
        spans.append((began * 1000.0, (began + held + took) * 1000.0, Latency(took * 1000.0)))
        end = max(end, began + held + took)

    checks = checks_latency(spans, end * 1000.0).checks_ms

    assert checks is not None
    assert checks <= end * 1000.0 + 1e-6
    assert checks >= max((took * 1000.0 for *_, took in drawn), default=0.0) - 1e-6


def test_questions_asked_together_count_as_the_slowest_and_one_after_the_other_as_both() -> None:
    first = (0.0, 3000.0, Latency(1000.0))  # two of three seconds it waited for a place
    together = (0.0, 2000.0, replace(Latency(), attempts_ms=2000.0))
    afterwards = (3000.0, 5000.0, replace(Latency(), attempts_ms=2000.0))

    assert checks_latency([first, together], 3000.0).checks_ms == pytest.approx(2000.0)
    assert checks_latency([first, afterwards], 5000.0).checks_ms == pytest.approx(3000.0)
