"""A service of days, on a clock that leaps: what ends a run is over for a service when its cause is."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

import pytest

from evalh.core.asking import AskError, Reply
from evalh.core.attempt import ErrorKind
from evalh.core.prompt import PromptVersion
from evalh.core.route import BudgetPolicy, Route
from evalh.engine.asking.ask_log import AskLog, AskRequest
from evalh.engine.asking.prompts import PromptAsking
from evalh.engine.asking.service import AskService, Terms
from evalh.pipeline.step import Step
from evalh.workspace.prompt.templates import compile_version
from evalh.workspace.prompt.versions import Position, parse_version
from evalh_trace.records import AnyRecord, Attempt
from unit.routing.staging import Line, Model, Prices, VirtualClock, play, target_of

HOUR = 3600.0
EVERY_S = 10.0  # between two asks


def version() -> PromptVersion:
    text = "---\nconfig: {max_tokens: 5}\n---\n{{ticket}}\n"
    return parse_version(text, Position("triage", "v1", "prompts/triage/v1.prompt", None), lambda _: ("", ""))


@dataclass
class Day:
    """A service and what it did. `lines`: what the model says at a time, in seconds."""

    lines: Callable[[float], Line]
    route: Route = field(default_factory=lambda: Route(name="small", model="small"))
    others: tuple[Model, ...] = ()
    records: list[AnyRecord] = field(default_factory=list)
    came: list[tuple[float, Reply | AskError]] = field(default_factory=list)

    def run(self, hours: float = 24.0) -> None:
        play(self._run(hours))

    async def _run(self, hours: float) -> None:
        clock = VirtualClock()
        self.model = Model(lines=lambda *_: self.lines(clock.monotonic()), took_s=0.5)
        service = AskService(
            log=AskLog(self.records.append, clock, content=False, process="p"),
            clock=clock,
            prices=Prices(),
            routes={self.route.name: self.route},
            resolve=None,  # type: ignore[arg-type] (no check asks a model)
            build_checks=lambda _: (),
            env={},
        )
        target = target_of(self.route, models=(self.model, *self.others))
        found = version()
        asks = service.prompt(found, Step(compile_version(found), target.settings()), target, ())
        running = []
        for number in range(int(hours * HOUR / EVERY_S)):
            running.append(asyncio.ensure_future(self._ask(service, asks, number, clock)))
            await asyncio.sleep(EVERY_S)
        await asyncio.gather(*running)

    async def _ask(self, service: AskService, asks: PromptAsking, number: int, clock: VirtualClock) -> None:
        began = clock.monotonic()
        asked = AskRequest(id=f"a{number}", version="triage@v1", prompt="triage", inputs={"ticket": "x"}, given={})
        try:
            came: Reply | AskError = await service.ask(asks, asked, asks.prepare(asked), Terms(timeout_s=60.0))
        except AskError as exc:
            came = exc
        self.came.append((began, came))

    def answered(self, begin_h: float, end_h: float) -> tuple[int, int]:
        """Return how many asks of these hours were answered, and how many there were."""
        of_hours = [came for began, came in self.came if begin_h * HOUR <= began < end_h * HOUR]
        return sum(isinstance(one, Reply) for one in of_hours), len(of_hours)

    def sent(self, begin_h: float, end_h: float) -> int:
        """Count the attempts of these hours."""
        return sum(begin_h * HOUR <= at < end_h * HOUR for at in self.model.asked_at)

    @property
    def kinds(self) -> Counter[str]:
        """Count the failures of attempts."""
        return Counter(one.error_kind for one in self.records if isinstance(one, Attempt) and one.error_kind)


def refused_then_down(kind: ErrorKind) -> Callable[[float], Line]:
    def lines(now: float) -> Line:
        if 3 * HOUR <= now < 4 * HOUR:
            return kind
        return ErrorKind.NETWORK if 10 * HOUR <= now < 11 * HOUR else "yes"

    return lines


@pytest.mark.parametrize("kind", [ErrorKind.AUTH, ErrorKind.QUOTA])
def test_a_day_with_a_refused_key_and_a_provider_that_is_down_comes_back_by_itself(kind: ErrorKind) -> None:
    day = Day(refused_then_down(kind))
    day.run()

    for begin, end in ((0, 3), (4 + 61 / HOUR, 10), (11 + 10 / HOUR, 24)):
        answered, asked = day.answered(begin, end)
        assert answered == asked > 0
    assert day.answered(3, 4)[0] == 0
    assert 50 <= day.sent(3, 4) <= 61  # one look a minute, by the next ask
    assert day.answered(10, 11)[0] == 0
    assert day.sent(10, 11) <= 2 * HOUR / EVERY_S  # probes, and the retries until the breaker opened
    assert day.kinds[kind.value] <= 61


def test_another_model_answers_while_the_first_refuses_its_key() -> None:
    route = Route(name="careful", model="small", fallback=("spare",))
    day = Day(refused_then_down(ErrorKind.AUTH), route=route)
    day.run(12)

    answered, asked = day.answered(0, 12)
    assert answered == asked
    models = Counter(one.model for began, one in day.came if isinstance(one, Reply) and 3 * HOUR <= began < 4 * HOUR)
    assert models == {"spare": 360}
    after = {one.model for began, one in day.came if isinstance(one, Reply) and 4.1 * HOUR <= began < 10 * HOUR}
    assert after == {"small"}


def test_a_day_spends_its_budget_and_the_next_day_has_one_of_its_own() -> None:
    answer = Decimal(20) / 1_000_000  # 10 tokens at 1 USD a million, 5 at 2
    budget = BudgetPolicy(usd_per_day=answer * 1000 + Decimal("0.0001"))
    day = Day(lambda _: "yes", route=Route(name="careful", model="small", budget=budget))
    day.run(50)

    for first in (0, 24):
        answered, asked = day.answered(first, first + 24.2)
        assert 1000 <= answered <= 1020 < asked
    times = sorted(began for began, one in day.came if isinstance(one, Reply))
    most = max(sum(begin <= at < begin + 24 * HOUR for at in times) for begin in times[::50])
    assert most * answer <= budget.usd_per_day
    assert {type(one).__name__ for _, one in day.came} == {"Reply", "BudgetSpent"}


def test_a_quiet_day_does_not_pay_for_a_flood_of_retries() -> None:
    def lines(now: float) -> Line:
        return ErrorKind.BAD_RESPONSE if now >= 23 * HOUR else "yes"

    day = Day(lines, route=Route(name="small", model="small", breaker=None))
    day.run()

    assert day.answered(0, 23)[0] == 23 * 360
    retries = day.sent(23.2, 24) - day.answered(23.2, 24)[1]
    calls = day.answered(23.2, 24)[1]
    assert retries <= 0.5 * calls + 10 * (0.8 * HOUR / 300 + 1)
    assert retries > 0.4 * calls  # it goes on all the same


def test_what_is_cancelled_leaves_nothing_behind() -> None:
    async def cancelled() -> list[AnyRecord]:
        day = Day(lambda _: "yes")
        day.model = Model(took_s=100.0)
        clock = VirtualClock()
        service = AskService(
            log=AskLog(day.records.append, clock, content=False, process="p"),
            clock=clock,
            prices=Prices(),
            routes={},
            resolve=None,  # type: ignore[arg-type]
            build_checks=lambda _: (),
            env={},
        )
        target = target_of(day.route, models=(day.model,))
        found = version()
        asks = service.prompt(found, Step(compile_version(found), target.settings()), target, ())
        asked = AskRequest(id="a", version="triage@v1", prompt="triage", inputs={"ticket": "x"}, given={})
        task = asyncio.ensure_future(service.ask(asks, asked, asks.prepare(asked), Terms()))
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert day.model.in_flight == 0
        return day.records

    *_, attempt, ended = play(cancelled())
    assert isinstance(attempt, Attempt)
    assert attempt.error_kind == "interrupted"
    assert (ended.status, ended.error) == ("error", "cancelled")  # type: ignore[union-attr]
