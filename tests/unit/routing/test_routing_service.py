"""What a run counts until its end, a service counts over a window; what ends a run fails a call of a service."""

import asyncio
from decimal import Decimal

import pytest

from evalh.core.attempt import CallError, ErrorKind
from evalh.core.route import BreakerPolicy, BudgetPolicy, RetryPolicy, Route
from evalh.routing.budget import DAY_S, DayPurse
from evalh.routing.run_context import RETRY_WINDOW_S, Halt, RetryBudget
from evalh.routing.wrapper import Refusals
from unit.routing.staging import Line, Model, Stage, ask, builder, outcome, play, target_of


class Hand:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Service(Stage):
    """A stage whose halt ends nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.halt = Halt(self.clock, goes_on=True)


def test_retries_are_a_share_of_the_calls_of_the_window() -> None:
    hand = Hand()
    budget = RetryBudget(hand)
    for _ in range(1000):
        budget.call()
    assert all(budget.take(0.5) for _ in range(510))
    assert not budget.take(0.5)

    hand.now = RETRY_WINDOW_S + 10.0

    assert [budget.take(0.5) for _ in range(11)] == [True] * 10 + [False]


def test_the_budget_of_a_run_forgets_nothing() -> None:
    budget = RetryBudget()
    assert [budget.take(0.5) for _ in range(11)] == [True] * 10 + [False]


def test_a_purse_of_a_day_never_spends_more_than_its_limit_in_24_hours() -> None:
    hand = Hand()
    purse = DayPurse(limit=Decimal(10), now=hand)
    spent: list[float] = []
    for minute in range(3 * 24 * 60):
        hand.now = minute * 60.0
        if purse.reserve(Decimal(1)):
            purse.settle(Decimal(1), Decimal(1))
            spent.append(hand.now)

    assert max(sum(begin <= at < begin + DAY_S for at in spent) for begin in spent) == 10
    assert len(spent) == 30


def test_a_refusal_is_looked_into_once_a_minute_by_one_call() -> None:
    hand = Hand()
    refusals = Refusals(hand, 60.0)
    refusals.add("small", CallError(ErrorKind.AUTH, "who are you?"))
    assert refusals.of("small") is not None

    hand.now = 60.0
    assert [refusals.of("small") is None for _ in range(3)] == [True, False, False]
    refusals.not_tried("small")  # that call was cancelled
    assert [refusals.of("small") is None for _ in range(2)] == [True, False]
    refusals.answered("small")
    assert refusals.of("small") is None


def test_what_is_no_refusal_of_everything_is_not_remembered() -> None:
    refusals = Refusals(Hand(), 60.0)
    refusals.add("small", CallError(ErrorKind.OVERLOAD, "busy"))

    assert refusals.of("small") is None


def test_a_run_asks_a_model_that_refuses_its_key_no_more() -> None:
    hand = Hand()
    refusals = Refusals(hand)
    refusals.add("small", CallError(ErrorKind.QUOTA, "no credit"))
    hand.now = 1e6

    known = refusals.of("small")
    assert known is not None
    assert "not asked again in this run" in str(refusals.told(known))


def test_while_a_provider_stays_down_calls_fail_at_once_and_one_looks_after_each_pause() -> None:
    async def story() -> tuple[Model, list[object], list[float]]:
        stage = Service()
        down = True

        def lines(*_: object) -> Line:
            return ErrorKind.NETWORK if down else "yes"

        model = Model(lines=lines, took_s=0.1)
        policy = BreakerPolicy(min=5, cooldown_s=5.0)
        route = Route(name="small", model="small", breaker=policy, retry=RetryPolicy(attempts=1))
        provider = builder(stage, target_of(route, models=(model,))).build()
        ends, took = [], []
        for number in range(100):
            began = stage.clock.monotonic()
            ends.append(await outcome(ask(provider, case_id=f"t-{number}")))
            took.append(stage.clock.monotonic() - began)
            await asyncio.sleep(1.0)
            down = number < 80
        return model, ends, took

    model, ends, took = play(story())
    assert {getattr(one, "kind", None) for one in ends[20:80]} == {ErrorKind.NETWORK, ErrorKind.BREAKER_OPEN}
    assert sum(getattr(one, "kind", None) is ErrorKind.NETWORK for one in ends[20:80]) <= 12
    assert max(took[20:]) < 0.2  # nobody waits for a provider that is known to be down
    assert all(getattr(one, "text", "") == "yes" for one in ends[87:])
    assert len(model.asked) < 60


@pytest.mark.parametrize("others", [0, 3])
def test_a_routes_budget_is_its_own_though_others_ask_the_same_model(others: int) -> None:
    async def story() -> tuple[object, object]:
        stage = Service()
        spent = Route(name="spent", model="small", budget=BudgetPolicy(usd_per_day=Decimal("0.00001")))
        free = Route(name="free", model="small")
        one = builder(stage, target_of(spent), budgets={"spent": spent.budget, "free": free.budget})
        for number in range(others):
            await ask(one.leading(target_of(free)), case_id=f"f-{number}", asked_as="free")
        return (
            await outcome(ask(one.leading(target_of(spent)), asked_as="spent")),
            await outcome(ask(one.leading(target_of(free)), asked_as="free")),
        )

    refused, answered = play(story())
    assert getattr(refused, "kind", None) is ErrorKind.BUDGET
    assert getattr(answered, "text", None) == "yes"


def test_nothing_is_asked_again_once_a_part_was_handed_on() -> None:
    async def story() -> tuple[object, list[int]]:
        stage = Service()
        route = Route(name="careful", model="small", fallback=("spare",))
        small, spare = Model(lines=(ErrorKind.NETWORK,)), Model(name="spare")
        provider = builder(stage, target_of(route, models=(small, spare))).build()
        return await outcome(ask(provider, handed_on=True)), [len(small.asked), len(spare.asked)]

    came, asked = play(story())
    assert getattr(came, "kind", None) is ErrorKind.NETWORK
    assert asked == [1, 0]
