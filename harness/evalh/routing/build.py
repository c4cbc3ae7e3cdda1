"""From a route to a stack of providers. The order of the layers is defined only here.

Cascading    checks the first answer; asks the stronger model if a check does not pass
FallingBack  asks the next model if one gives no answer
Targeted     applies this model's settings
Repairing    asks again, differently, if the output fails a check
Remembered   takes answers from the log
Refusable    does not ask a model again that refused its key
Retrying     the only retry loop
Breaking     leaves a provider alone that is down
Limited      rate limits and the adaptive window
Budgeted     reserves the worst case
Logged       writes a row for each attempt
the model
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count

from evalh.core.attempt import ErrorKind
from evalh.core.digest import digest
from evalh.core.ports import CallLog, Check, Clock, Prices, Progress, Provider
from evalh.core.route import BudgetPolicy, LimitPolicy, Route
from evalh.core.suite import GraderSpec
from evalh.routing.asking import FindRouted, Inquiry, Resolve
from evalh.routing.breaker import Breaker, Breaking
from evalh.routing.budget import Budgeted, Purse, Treasuries, Treasury
from evalh.routing.checking import Cascading, Examiner, Repairing
from evalh.routing.limiter import Limited
from evalh.routing.logged import Logged
from evalh.routing.pace import Pace
from evalh.routing.retry import FallingBack, Retrying
from evalh.routing.run_context import Decisions, Halt, RetryBudget, Shared
from evalh.routing.target import Target, reachable
from evalh.routing.wrapper import Find, Refusable, Refusals, Remembered, Targeted

BuildChecks = Callable[[Sequence[GraderSpec]], Sequence[Check]]
"""Compiles the checks that a route names. Raises WorkspaceError."""

REFUSED_S = 60.0
"""After so long a service tries a model again that refused its key or had no credit."""


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class Builder:
    """Builds the stack of one run. Everything that does I/O is an argument."""

    target: Target
    log: CallLog
    clock: Clock
    prices: Prices
    halt: Halt
    concurrency: int
    build_checks: BuildChecks
    find: Find | None  # None: ask again, without the log
    find_routed: FindRouted | None = None  # an answer of a route that a grader asks
    budget: BudgetPolicy = field(default_factory=BudgetPolicy)
    budgets: Mapping[str, BudgetPolicy] = field(default_factory=dict)  # a service's, by route: for a day, for a case
    progress: Progress | None = None
    resolve: Resolve
    also: tuple[Route, ...] = ()  # the routes of graders' models
    numbers: Iterator[int] = field(default_factory=lambda: count(1))
    inquiry: Inquiry = field(init=False)
    _decisions: Decisions = field(init=False)
    _shared: Shared = field(init=False)
    _refusals: Refusals = field(init=False)  # of models, by name
    _treasury: Treasury | Treasuries | None = field(init=False)
    _breakers: dict[str, Breaker] = field(default_factory=dict, init=False)  # one for each model, whatever leads to it
    _doors: dict[int, Provider] = field(default_factory=dict, init=False)
    _paces: dict[str, Pace] = field(default_factory=dict, init=False)  # one for each model and key at its provider

    def __post_init__(self) -> None:
        self._decisions = Decisions(self.log, self.clock)
        now, service = self.clock.monotonic, self.halt.goes_on
        retries = RetryBudget(now if service else None)
        self._shared = Shared(self._decisions, self.clock, self.halt, self.progress, retries)
        self._refusals = self._no_refusals()
        if service:
            self._treasury = Treasuries.of_day(self.budgets, self.halt, now) if self.budgets else None
        else:
            self._treasury = _treasury(self.budget, self.halt)
        self.inquiry = self.inquiry_for(self.target)

    def build(self) -> Provider:
        """Return the provider that the run asks. Raises WorkspaceError."""
        return self.leading(self.target)

    def leading(self, target: Target) -> Provider:
        """Return what a pipeline's step asks: where it is down, the run ends early. Raises WorkspaceError."""
        return self._route(target, target.route, alone=True)

    def asked(self, target: Target) -> Provider:
        """Return the stack that a grader asks. If its model is down, verdicts are missing, and the run goes on."""
        return self._route(target, target.route, alone=False)

    def inquiry_for(self, target: Target) -> Inquiry:
        """Return who asks for those that grade what a target answers."""
        return Inquiry(
            task=target,
            resolve=self.resolve,
            build=self.asked,
            log=self.log,
            numbers=self.numbers,
            clock=self.clock,
            find=self.find,
            find_routed=self.find_routed,
            hopeless=self._no_refusals(),
        )

    def _no_refusals(self) -> Refusals:
        return Refusals(self.clock.monotonic, REFUSED_S if self.halt.goes_on else None)

    def _route(self, target: Target, route: Route, *, alone: bool, spared: bool = False) -> Provider:
        """Build a route.

        `alone`: no other model is asked if it fails. `spared`: another is, if it is at its rate limit.
        """
        last = len(route.fallback)
        models = [
            self._named(
                target,
                name,
                route,
                alone=alone and position == last,
                spared=spared or (position < last and ErrorKind.RATE_LIMIT in route.fallback_on),
            )
            for position, name in enumerate((route.model, *route.fallback))
        ]
        provider = models[0] if last == 0 else FallingBack(models, route.fallback_on, self._decisions)
        if route.cascade is not None:
            stronger = self._named(target, route.cascade.escalate_to, route, alone=alone, spared=spared)
            provider = Cascading(provider, stronger, route.cascade, self._examiner(target, route.cascade.checks))
        return provider

    def _named(self, target: Target, name: str, within: Route, *, alone: bool, spared: bool) -> Provider:
        inner = None if name == target.name else target.routes.get(name)
        if inner is None:
            return self._model(target, name, within, alone=alone, spared=spared)
        return self._route(target, inner, alone=alone, spared=spared)

    def _model(self, target: Target, name: str, route: Route, *, alone: bool, spared: bool) -> Provider:
        """Build the layers around one model: the route's retries and repairs, then those that routes share."""
        provider = self._door(target, name)
        if route.breaker is not None:
            breaker = self._breakers.setdefault(name, Breaker(route.breaker))
            provider = Breaking(provider, breaker, self._shared, alone=alone)
        provider = Retrying(provider, route.retry, self._shared, wait_s=None if spared else route.wait_s)
        provider = Refusable(provider, self._refusals)
        if not target.chooses:
            return provider  # the caller has searched the log, and requests have this model's settings
        if self.find is not None:
            provider = Remembered(provider, self.find)
        if route.repair is not None:
            provider = Repairing(provider, route.repair, self._examiner(target, route.repair.checks))
        return Targeted(provider, target.leaves[name].settings)

    def _examiner(self, target: Target, checks: Sequence[GraderSpec]) -> Examiner:
        return Examiner(self.build_checks(checks), self._decisions, self.inquiry_for(target))

    def _door(self, target: Target, name: str) -> Provider:
        """Return the one way to a model: its window, rates and purse are the same for all that ask it."""
        model = target.leaves[name].provider
        door = self._doors.get(id(model))
        if door is None:
            pricer = self.prices.find(model)
            door = Logged(model, self.log, pricer, self._shared)
            if self._treasury is not None:
                door = Budgeted(door, self._treasury, pricer)
            key = list(getattr(model, "key_variables", ()))
            pace = self._paces.setdefault(digest([model.model, dict(model.identity), key]), Pace())
            door = Limited(door, self._limit(name), self.concurrency, self._shared, pace)
            self._doors[id(model)] = door
        return door

    def _limit(self, name: str) -> LimitPolicy:
        """Return the lowest limits that any route to this model declares."""
        routes = (*reachable(self.target.route, self.target.routes), *self.also)
        limits = [route.limit for route in routes if name in route.targets]

        def lowest(ceiling: str) -> int | None:
            return min((one for limit in limits if (one := getattr(limit, ceiling)) is not None), default=None)

        return LimitPolicy(concurrency=lowest("concurrency"), rpm=lowest("rpm"), tpm=lowest("tpm"))


def _treasury(budget: BudgetPolicy, halt: Halt) -> Treasury | None:
    usd, tokens = budget.usd_per_run, budget.tokens_per_run
    if usd is None and tokens is None and budget.usd_per_case is None:
        return None
    dollars, counted = (Purse() if limit is None else Purse(Decimal(limit)) for limit in (usd, tokens))
    return Treasury(halt, dollars, counted, budget.usd_per_case)
