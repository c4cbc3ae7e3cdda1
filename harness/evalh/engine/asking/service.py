"""A service asks as a run does, through the same stack, but nothing ends it.

What would end a run fails the asks that it concerns; later ones try again (`routing.run_context.Halt`). All asks of a
workspace share the windows, rates, breakers and budgets of its models.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, cast

from msgspec.structs import replace

from evalh.core.asking import AnswerRefused, AskError, BudgetSpent, DeadlinePassed, NoAnswer, Reply, Withheld
from evalh.core.attempt import CallError, ErrorKind
from evalh.core.errors import WorkspaceError
from evalh.core.ports import Clock, Prices, Store
from evalh.core.prompt import PromptVersion
from evalh.core.request import Request
from evalh.core.route import Route
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.engine.asking.ask_log import AskLog, AskRequest
from evalh.engine.asking.pipelines import PipelineAsking
from evalh.engine.asking.prompts import Came, PromptAsking
from evalh.engine.pipeline.calls import Flights
from evalh.engine.pipeline.runner import tools_of
from evalh.engine.plan import Plan, budget_for
from evalh.pipeline.step import Step
from evalh.routing.asking import Resolve
from evalh.routing.build import BuildChecks, Builder
from evalh.routing.run_context import Halt
from evalh.routing.target import Leaf, Target, reachable

IN_FLIGHT = 256
"""The most requests to one model at once, where its routes state no lower `limit.concurrency`."""

Asks: TypeAlias = PromptAsking | PipelineAsking


class Terms(Value, kw_only=True):
    """What a program wants of one ask beside its answer."""

    timeout_s: float | None = None  # None: the route's deadline, if it has one
    read: Callable[[Came], object] | None = None  # makes its value; raises ValueError; None: as it is
    default: tuple[JsonValue] | None = None  # the answer when nothing comes; None: there is none


@dataclass(kw_only=True, eq=False, repr=False)
class AskService:
    """Asks the prompts of one workspace, for as long as the program runs."""

    log: AskLog
    clock: Clock
    prices: Prices
    routes: Mapping[str, Route]
    resolve: Resolve
    build_checks: BuildChecks
    env: Mapping[str, str]
    concurrency: int = IN_FLIGHT
    _builder: Builder | None = field(default=None, init=False)

    def prompt(self, version: PromptVersion, step: Step, target: Target, judges: Sequence[Target]) -> PromptAsking:
        """Return what asks a prompt. Raises UsageError where its budget cannot bound what it may cost."""
        self._check_budget(target, judges)
        builder = self._built(target)
        return PromptAsking(
            version=version,
            step=step,
            target=target,
            provider=builder.leading(target),
            log=self.log,
            numbers=builder.numbers,
            judges=judges,
        )

    def pipeline(self, version: PromptVersion, plan: Plan) -> PipelineAsking:
        """Return what asks a pipeline. Raises UsageError where a budget cannot bound what a step may cost."""
        for target in plan.targets:
            self._check_budget(target, plan.asked)
        builder = self._built(plan.target)
        tools = tools_of(plan, builder, cast("Store", self.log), "", Flights(), self.env)
        return PipelineAsking(version=version, plan=plan, tools=tools, log=self.log)

    def _built(self, target: Target) -> Builder:
        if self._builder is None:
            self._builder = Builder(
                target=target,
                log=self.log,
                clock=self.clock,
                prices=self.prices,
                halt=Halt(self.clock, goes_on=True),
                concurrency=self.concurrency,
                build_checks=self.build_checks,
                find=self.log.find,
                find_routed=self.log.find,
                budgets={name: route.budget for name, route in self.routes.items()},
                resolve=self.resolve,
                also=tuple(self.routes.values()),
            )
        return self._builder

    def _check_budget(self, target: Target, judges: Iterable[Target]) -> None:
        budget_for(target, self.prices, target.route.budget.usd_per_day, judges)

    # -- one ask

    async def ask(self, asks: Asks, asked: AskRequest, prepared: Request | None, terms: Terms) -> Reply:
        """Ask once. Raises AskError; CancelledError leaves nothing on its way."""
        self.log.begin_ask(asked)
        try:
            came, value = await self._within(asks, asked, prepared, terms)
        except AskError as exc:
            default = None if isinstance(exc, Withheld) else terms.default
            cost = self.log.cost_of(asked.id)
            output = None if default is None else default[0]
            self.log.end_ask(asked.id, output, error=exc, default=default is not None)
            if default is None:
                raise
            return Reply(
                id=asked.workflow_id, value=default[0], text="", version=asked.version, cost_usd=cost, default=str(exc)
            )
        except BaseException as exc:
            self.log.end_ask(asked.id, None, error=exc)
            raise
        cost = self.log.cost_of(asked.id)
        self.log.end_ask(asked.id, came.value, error=None)
        return Reply(
            id=asked.workflow_id,
            value=value,
            text=came.text,
            version=asked.version,
            cost_usd=cost,
            model=came.model,
            finish=came.finish,
            tool_calls=came.tool_calls,
        )

    async def _within(
        self, asks: Asks, asked: AskRequest, prepared: Request | None, terms: Terms
    ) -> tuple[Came, object]:
        seconds = _deadline_s(asks) if terms.timeout_s is None else terms.timeout_s
        patience = asyncio.timeout(seconds)
        try:
            async with patience:
                if isinstance(asks, PromptAsking):
                    assert prepared is not None
                    came = await asks.ask(asked, prepared)
                else:
                    came = await asks.ask(asked)
        except TimeoutError:
            if not patience.expired():
                raise
            raise DeadlinePassed(f"no answer within {seconds:g} s", id=asked.workflow_id) from None
        except CallError as error:
            if error.kind is ErrorKind.BUDGET:
                raise BudgetSpent(error.message, id=asked.workflow_id) from None
            raise NoAnswer(error, id=asked.workflow_id) from None
        if terms.read is None:
            return came, came.value
        try:
            return came, terms.read(came)
        except ValueError as exc:
            raise AnswerRefused(str(exc), id=asked.workflow_id, text=came.text) from None


def _deadline_s(asks: Asks) -> float | None:
    stated = [one.route.budget.deadline_s for one in asks.targets if one.route.budget.deadline_s is not None]
    return min(stated, default=None)


# -- streams


def streamed(version: PromptVersion, target: Target) -> Target:
    """Return a target whose models stream. Raises WorkspaceError where something reads the whole output first."""
    for route in reachable(target.route, target.routes):
        reads = _reads_output(route)
        if reads is not None:
            what = f"{version.label} cannot be streamed: {reads}, which is known at the end of an answer"
            raise WorkspaceError(
                what, where=route.where or None, hint="use evalh.ask, which waits for the whole answer"
            )
    leaves = {
        name: Leaf(leaf.provider, replace(leaf.settings, stream=True), leaf.where)
        for name, leaf in target.leaves.items()
    }
    return Target(route=target.route, routes=target.routes, leaves=leaves, judges_by=target.judges_by)


def _reads_output(route: Route) -> str | None:
    for policy, word in ((route.repair, "repair"), (route.cascade, "cascade")):
        if policy is not None:
            checks = ", ".join(spec.kind for spec in policy.checks)
            return f"the {word} of route {route.name!r} reads the output ({checks})"
    declined = sorted({ErrorKind.REFUSAL, ErrorKind.CONTENT_FILTER} & route.fallback_on) if route.fallback else []
    return f"route {route.name!r} falls back on {declined[0]}" if declined else None
