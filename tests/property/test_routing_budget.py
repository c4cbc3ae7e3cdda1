"""Whatever requests cost and however they end: a budget is never overdrawn, and all reservations are released."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from evalh.core.attempt import Call, CallError, Completion, ErrorKind, NotSent, Usage
from evalh.core.request import Request
from evalh.routing.budget import Budgeted, Purse, Treasury
from evalh.routing.logged import Logged
from unit.routing.staging import PRICE, Line, Model, Stage, Timeline, call, play, request

AMOUNTS = st.integers(0, 12).map(Decimal)


class TreasuryMachine(RuleBasedStateMachine):
    """Callers come, wait, are cancelled, and settle for no more than they set aside."""

    @initialize(usd=AMOUNTS, tokens=st.none() | AMOUNTS)
    def start(self, usd: Decimal, tokens: Decimal | None) -> None:
        self.loop = Timeline()
        self.stage = Stage()
        self.usd = Purse(usd)
        self.tokens = Purse() if tokens is None else Purse(tokens)
        self.treasury = Treasury(self.stage.halt, self.usd, self.tokens)
        self.callers: list[tuple[asyncio.Task[None], Decimal, Decimal]] = []
        self.number = 0

    def teardown(self) -> None:
        if not hasattr(self, "loop"):
            return
        # In any case: when all requests in flight are done, nothing waits, and nothing is reserved.
        for _ in range(len(self.callers) + 1):
            for caller in self.granted():
                self.finish(caller, Decimal(0))
            self.let_run()
        assert all(task.done() for task, *_ in self.callers)
        assert (self.usd.reserved, self.tokens.reserved) == (0, 0)
        for task, *_ in self.callers:
            if not task.cancelled():
                assert isinstance(task.exception(), NotSent)
        self.loop.close()
        assert self.loop.unhandled == []

    def let_run(self) -> None:
        async def rounds() -> None:
            for _ in range(6):
                await asyncio.sleep(0)

        self.loop.run_until_complete(rounds())

    def granted(self) -> list[tuple[asyncio.Task[None], Decimal, Decimal]]:
        return [one for one in self.callers if one[0].done() and not one[0].cancelled() and not one[0].exception()]

    def finish(self, caller: tuple[asyncio.Task[None], Decimal, Decimal], part: Decimal) -> None:
        _, usd, tokens = caller
        self.callers.remove(caller)
        self.treasury.settle((usd, tokens), (usd * part, tokens * part))

    @rule(usd=AMOUNTS, tokens=AMOUNTS, at_once=st.booleans())
    def come(self, usd: Decimal, tokens: Decimal, at_once: bool) -> None:
        self.number += 1
        task = self.loop.create_task(self.treasury.reserve(usd, tokens, call(f"t-{self.number}")))
        self.callers.append((task, usd, tokens))
        if at_once:
            self.let_run()

    @rule(
        pick=st.integers(0, 99), part=st.sampled_from([Decimal(0), Decimal("0.5"), Decimal(1)]), at_once=st.booleans()
    )
    def settle(self, pick: int, part: Decimal, at_once: bool) -> None:
        if granted := self.granted():
            self.finish(granted[pick % len(granted)], part)
        if at_once:
            self.let_run()

    @rule(pick=st.integers(0, 99), at_once=st.booleans())
    def cancel(self, pick: int, at_once: bool) -> None:
        waiting = [task for task, *_ in self.callers if not task.done()]
        if waiting:
            waiting[pick % len(waiting)].cancel()
        if at_once:
            self.let_run()

    @invariant()
    def never_overdrawn(self) -> None:
        if hasattr(self, "usd"):
            for purse in (self.usd, self.tokens):
                assert purse is None or (purse.reserved >= 0 and purse.spent + purse.reserved <= purse.limit)


TestTreasury = TreasuryMachine.TestCase


@dataclass(frozen=True)
class Plan:
    """One request: how it ends, after how long, and when it is cancelled."""

    line: Line
    took_s: float
    patience_s: float | None


PLANS = st.lists(
    st.builds(
        Plan,
        line=st.sampled_from(
            [
                Completion(text="yes", usage=Usage(21, 5)),
                Completion(text="yes", usage=Usage(3, 1)),
                Completion(text="yes"),
                ErrorKind.TIMEOUT,
                ErrorKind.RATE_LIMIT,
            ]
        ),
        took_s=st.sampled_from([0.0, 1.0, 2.0]),
        patience_s=st.none() | st.sampled_from([0.0, 0.5, 1.0, 1.5]),
    ),
    max_size=12,
)
WORST = Decimal(31) / 1_000_000


@given(PLANS, st.integers(0, 8), st.none() | st.integers(0, 200))
@settings(deadline=None, max_examples=60)
def test_no_run_spends_more_than_its_budget(plans: list[Plan], worsts: int, tokens: int | None) -> None:
    stage, watched = Stage(), Watched()
    watched.lines = lambda _, call: plans[int(call.key.case_id)].line
    watched.took_s = lambda number: plans[int(watched.cases[number])].took_s
    usd = Purse(WORST * worsts)
    purse = Purse() if tokens is None else Purse(Decimal(tokens))
    treasury = Treasury(stage.halt, usd, purse)
    provider = Budgeted(Logged(watched, stage.log, PRICE, stage.shared), treasury, PRICE)
    watched.look = lambda: (
        usd.spent + usd.reserved <= usd.limit and (purse is None or purse.spent + purse.reserved <= purse.limit)
    )

    async def run() -> list[Any]:
        tasks = []
        for number, plan in enumerate(plans):
            asked = request()
            tasks.append(asyncio.ensure_future(provider.send(asked, call(str(number), asked))))
            if plan.patience_s is not None:
                asyncio.get_running_loop().call_later(plan.patience_s, tasks[-1].cancel)
        return await asyncio.gather(*tasks, return_exceptions=True)

    ends = play(run())

    assert watched.saw_all_well
    assert (usd.reserved, treasury._in_flight) == (0, 0)
    assert all(isinstance(end, Completion | CallError | NotSent | asyncio.CancelledError) for end in ends)
    spent = [end.cost_usd for end in stage.log.ended]
    # The budget counts what the log says, and an answer without usage, which the log cannot price, at its worst case.
    assert usd.spent == sum((WORST if cost is None else cost for cost in spent), Decimal(0))


class Watched(Model):
    """Looks at the purses whenever a request leaves."""

    look: Callable[[], bool]
    saw_all_well = True

    async def send(self, request: Request, call: Call) -> Completion:
        self.saw_all_well &= self.look()
        return await super().send(request, call)
