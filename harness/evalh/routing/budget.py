"""Budgets: the most that a request can cost is reserved before it is sent, and settled after."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from decimal import Context, Decimal

from msgspec import Struct, field

from evalh.core.attempt import Call, CallError, Completion, ErrorKind, Usage
from evalh.core.money import in_dollars
from evalh.core.ports import Pricer, Provider
from evalh.core.request import Media, Request, Text
from evalh.core.route import BudgetPolicy
from evalh.core.values import Value
from evalh.routing.run_context import Halt
from evalh.routing.wrapper import Wrapper

_UNLIMITED = Decimal("Infinity")

PER_MESSAGE = 16
"""The chat template's own tokens around a message."""


def worst_case_usd(request: Request, pricer: Pricer | None, more_tokens: int = 0) -> Decimal | None:
    """Bound the cost of a request: a token per input byte, `max_tokens` of output. None: no bound or no price.

    `more_tokens` are input that may still be added to the request.
    """
    tokens = worst_case_tokens(request, more_tokens)
    if pricer is None or tokens is None:
        return None
    return pricer.cost(tokens, None)


def worst_case_tokens(request: Request, more_tokens: int = 0) -> Usage | None:
    """Bound a request's tokens: no tokenizer makes more than one per byte. None: no bound on the output."""
    bound = request.settings.max_tokens
    return None if bound is None else Usage(input_tokens=input_bytes(request) + more_tokens, output_tokens=bound)


def input_bytes(request: Request) -> int:
    """Count the bytes of all text that the model reads."""
    settings = request.settings
    size = _bytes(settings.output_schema or "") + sum(
        _bytes(tool.name) + _bytes(tool.description) + _bytes(tool.parameters) for tool in settings.tools
    )
    for message in request.messages:
        for part in message.parts:
            match part:
                case Text():
                    size += _bytes(part.text)
                case Media():
                    size += len(part.data)
                case other:
                    size += _bytes(other)
        size += PER_MESSAGE
    return size


def _bytes(value: object) -> int:
    return len(str(value).encode("utf-8", "surrogatepass"))


class Purse(Struct):
    """A limit on one unit (USD or tokens). `spent` + `reserved` never exceeds `limit`.

    The exception is a provider that charges more than the worst case: the charge counts in full, and nothing more is
    reserved.
    """

    limit: Decimal = _UNLIMITED
    spent: Decimal = Decimal(0)
    reserved: Decimal = Decimal(0)

    def reserve(self, amount: Decimal) -> bool:
        """Reserve an amount; return False if it does not fit now."""
        if self.spent + self.reserved + amount > self.limit:
            return False
        self.reserved += amount
        return True

    def settle(self, reserved: Decimal, spent: Decimal) -> None:
        """Release a reservation and add the actual amount."""
        self.reserved -= reserved
        self.spent += spent

    def never_fits(self, amount: Decimal) -> bool:
        """Whether an amount does not fit even if everything in flight costs nothing."""
        return self.spent + amount > self.limit


def _dollars(amount: Decimal) -> str:
    return in_dollars(Context(prec=4).plus(amount))  # a small amount must not read as 0


def _spending(purse: Purse, write: Callable[[Decimal], str], unit: str) -> str:
    spent = f"{write(purse.spent)} of {write(purse.limit)}{unit} spent"
    return f"{spent}, {write(purse.reserved)} reserved for requests in flight" if purse.reserved else spent


DAY_S = 86_400.0
_SLOT_S = 900.0
_LONGEST = " with an answer as long as max_tokens allows"


class DayPurse(Purse, kw_only=True):
    """A limit on what is spent in any 24 hours. `now`: seconds of a monotonic clock."""

    now: Callable[[], float]
    _slots: deque[tuple[int, Decimal]] = field(default_factory=deque)  # what was spent in each quarter of an hour

    def reserve(self, amount: Decimal) -> bool:
        """Reserve an amount; return False if it does not fit now."""
        self._forget()
        return Purse.reserve(self, amount)

    def settle(self, reserved: Decimal, spent: Decimal) -> None:
        """Release a reservation and add the actual amount to what was spent now."""
        Purse.settle(self, reserved, spent)
        number = int(self.now() // _SLOT_S)
        if self._slots and self._slots[-1][0] == number:
            spent += self._slots.pop()[1]
        self._slots.append((number, spent))

    def never_fits(self, amount: Decimal) -> bool:
        """Whether an amount does not fit today even if everything in flight costs nothing."""
        self._forget()
        return Purse.never_fits(self, amount)

    def _forget(self) -> None:
        oldest = (self.now() - DAY_S) // _SLOT_S
        while self._slots and self._slots[0][0] < oldest:
            self.spent -= self._slots.popleft()[1]


class Treasury(Struct):
    """The budget of a run, shared by all models of its route."""

    halt: Halt
    usd: Purse = field(default_factory=Purse)
    tokens: Purse = field(default_factory=Purse)
    usd_per_case: Decimal | None = None
    _waiting: deque[asyncio.Future[None]] = field(default_factory=deque)
    _in_flight: int = 0

    def of(self, call: Call) -> "Treasury":  # noqa: ARG002 (as a service's, which has several)
        """Return itself: a run has one budget."""
        return self

    async def reserve(self, usd: Decimal, tokens: Decimal, call: Call) -> None:
        """Reserve both; wait while they do not fit and requests are in flight.

        Raises NotSent if they never will; in a service CallError, since tomorrow they may.
        """
        case = call.part_of or call
        if self.usd_per_case is not None and case.counted_usd + usd > self.usd_per_case:
            raise CallError(
                ErrorKind.BUDGET,
                f"another attempt could cost {_dollars(usd)}{_LONGEST}, more than is left of"
                f" {in_dollars(self.usd_per_case)} for a case",
            )
        self.halt.check()
        while not self._try(usd, tokens):
            if not self._in_flight or self.usd.never_fits(usd) or self.tokens.never_fits(tokens):
                amounts = ((self.usd, _dollars(usd)), (self.tokens, f"{tokens} tokens"))
                more = " and ".join(amount for purse, amount in amounts if purse.limit < _UNLIMITED) + _LONGEST
                if self.halt.goes_on:
                    what = f"the budget of 24 hours: {self.told()}, and another attempt could cost {more}"
                    raise CallError(ErrorKind.BUDGET, what)
                self.halt.now(f"the budget: {self.told()}, and another attempt could cost {more}")
                self.halt.check()
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            await turn
            self.halt.check()  # the run may have ended meanwhile
        case.counted_usd += usd  # now: several critics of one answer are in flight together
        self._in_flight += 1

    def settle(self, reserved: tuple[Decimal, Decimal], spent: tuple[Decimal, Decimal]) -> None:
        """Release both reservations, add the actual amounts, and wake waiting requests."""
        self._in_flight -= 1
        for purse, before, after in zip((self.usd, self.tokens), reserved, spent, strict=True):
            purse.settle(before, after)
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)

    def told(self) -> str:
        """Describe what was spent of the limit, and what is reserved for requests in flight."""
        purses = ((self.usd, _dollars, ""), (self.tokens, str, " tokens"))
        return ", ".join(_spending(purse, write, unit) for purse, write, unit in purses if purse.limit < _UNLIMITED)

    def _try(self, usd: Decimal, tokens: Decimal) -> bool:
        if not self.usd.reserve(usd):
            return False
        if not self.tokens.reserve(tokens):
            self.usd.reserved -= usd
            return False
        return True


class Treasuries(Value):
    """The budgets of a service: each route has its own, whatever else asks the same models."""

    by_route: Mapping[str, Treasury]

    @classmethod
    def of_day(cls, budgets: Mapping[str, BudgetPolicy], halt: Halt, now: Callable[[], float]) -> "Treasuries":
        """Open the budgets of routes that state one for a day, or for a case."""
        return cls(
            {
                name: Treasury(
                    halt,
                    usd=Purse() if budget.usd_per_day is None else DayPurse(limit=budget.usd_per_day, now=now),
                    usd_per_case=budget.usd_per_case,
                )
                for name, budget in budgets.items()
                if budget.usd_per_day is not None or budget.usd_per_case is not None
            }
        )

    def of(self, call: Call) -> Treasury | None:
        """Return the budget of the route that a call was asked by; a check inside a route spends that route's."""
        return self.by_route.get((call.part_of or call).asked_as or "")


class Budgeted(Wrapper):
    """Reserves the worst case of every attempt, and settles its actual cost."""

    def __init__(self, inner: Provider, treasury: Treasury | Treasuries, pricer: Pricer | None) -> None:
        super().__init__(inner)
        self._treasury = treasury
        self._pricer = pricer

    async def send(self, request: Request, call: Call) -> Completion:
        """Send once, within the budget. Raises CallError, NotSent."""
        treasury = self._treasury.of(call)
        if treasury is None:
            return await self.inner.send(request, call)
        bound = worst_case_tokens(request)
        tokens = Decimal((bound.input_tokens or 0) + (bound.output_tokens or 0)) if bound else Decimal(0)
        usd = worst_case_usd(request, self._pricer) or Decimal(0)  # both are known: the plan has checked it
        await treasury.reserve(usd, tokens, call)
        before = call.cost_usd
        used = tokens  # without an answer or a count, the reserved amount counts
        try:
            completion = await self.inner.send(request, call)
            usage = completion.usage
            if usage.input_tokens is not None and usage.output_tokens is not None and usage.sound:
                used = Decimal(usage.input_tokens + usage.output_tokens)
        except CallError as error:
            used = tokens if error.maybe_billed else Decimal(0)
            raise
        else:
            return completion
        finally:
            after = call.cost_usd
            cost = usd if before is None or after is None else after - before
            (call.part_of or call).counted_usd += cost - usd
            treasury.settle((usd, tokens), (cost, used))
