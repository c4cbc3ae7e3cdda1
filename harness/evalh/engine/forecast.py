"""`--dry-run`: what a run would send and what it could cost at most."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import TypeAlias

from evalh.core.attempt import CallKey
from evalh.core.errors import WorkspaceError
from evalh.core.forecast import Forecast
from evalh.core.money import plus
from evalh.core.ports import Pricer, Prices, Store
from evalh.core.request import Request
from evalh.core.route import EscalateBy, RepairBy, Route
from evalh.engine.plan import Plan
from evalh.routing.feedback import REPAIR_TOKENS, VERIFY_TOKENS
from evalh.routing.target import Target, models_of
from evalh.routing.worst_case import PER_MESSAGE, worst_case_usd

AttemptCost: TypeAlias = Callable[[str, int], Decimal | None]
"""What one attempt of a model can cost, by its name and by how many tokens its request is longer than the first."""


_HISTORY = "messages"  # the input that holds a conversation; whatever it holds must be read to know


def forecast(plan: Plan, store: Store | None, prices: Prices, *, fresh: bool = False) -> Forecast:
    """Render every request without sending one. Raises WorkspaceError where a case does not fit the prompt."""
    target = plan.target
    pricers = {name: prices.find(leaf.provider) for name, leaf in target.leaves.items()}
    answered = to_ask = 0
    once: Decimal | None = Decimal(0)
    ceiling: Decimal | None = Decimal(0)
    for case in plan.cases:
        request = plan.step.request(case)
        cost = _attempts_of(request, target, pricers)
        for trial in range(plan.trials):
            wanted = [(request.digest(), CallKey(case.id, trial, plan.step.name, plan.draw))]
            if store is not None and not fresh and store.find_all(wanted, routed=target.chooses)[0]:
                answered += 1
                continue
            to_ask += 1
            once = plus(once, cost(target.first.provider.name, 0))
            ceiling = plus(ceiling, most(target.route, target, cost))
    return Forecast(
        samples=plan.planned,
        answered=answered,
        to_ask=to_ask,
        once_usd=once,
        worst_case_usd=ceiling,
        why_unknown=None if ceiling is not None else _why(pricers, target),
    )


def _attempts_of(request: Request, target: Target, pricers: Mapping[str, Pricer | None]) -> AttemptCost:
    def cost(name: str, more_tokens: int) -> Decimal | None:
        sent = Request(request.messages, target.leaves[name].settings)
        return worst_case_usd(sent, pricers[name], more_tokens)

    return cost


def most(route: Route, target: Target, cost: AttemptCost, more_tokens: int = 0) -> Decimal | None:
    """Bound what one call by a route can cost: every attempt of every model that it may ask is billed in full.

    A request that shows a model an answer is longer by that: an answer is taken to be read in as many tokens as it may
    be written in. `more_tokens` is what the route's request is longer by already.
    """
    amount: Decimal | None = Decimal(0)
    for name in (route.model, *route.fallback):
        amount = plus(amount, _most_of(name, route, target, cost, more_tokens))
    if route.cascade is not None:
        if route.cascade.by is EscalateBy.VERIFY:
            more_tokens += _answer_tokens(route, target) + VERIFY_TOKENS + 2 * PER_MESSAGE
        amount = plus(amount, _most_of(route.cascade.escalate_to, route, target, cost, more_tokens))
    return amount


def _most_of(name: str, route: Route, target: Target, cost: AttemptCost, more_tokens: int) -> Decimal | None:
    """Bound what one of a route's models, or an inner route, can cost."""
    inner = target.routes.get(name)
    if inner is not None:
        return most(inner, target, cost, more_tokens)
    repairs = route.repair.attempts if route.repair else 0
    grows = 0
    if route.repair is not None and route.repair.by is RepairBy.FEEDBACK:
        grows = (target.leaves[name].settings.max_tokens or 0) + REPAIR_TOKENS + 2 * PER_MESSAGE
    amount: Decimal | None = Decimal(0)
    for number in range(repairs + 1):
        once = cost(name, more_tokens + number * grows)
        amount = plus(amount, None if once is None else once * route.retry.attempts)
    return amount


def _answer_tokens(route: Route, target: Target) -> int:
    """Bound the answer of a route's own chain, which a stronger model may be shown."""
    models = models_of(replace(route, cascade=None), target.routes, target.leaves)
    return max(target.leaves[name].settings.max_tokens or 0 for name in models)


def _why(pricers: Mapping[str, Pricer | None], target: Target) -> str:
    unpriced = sorted(name for name, pricer in pricers.items() if pricer is None)
    if unpriced:
        return f"{', '.join(unpriced)} is not priced"
    unbounded = sorted(name for name, leaf in target.leaves.items() if leaf.settings.max_tokens is None)
    return f"no max_tokens bounds the output of {', '.join(unbounded)}" if unbounded else "a price per hour is no bound"


def check_inputs(plan: Plan) -> None:
    """Render every case once: a missing variable is found before the first call, not in the middle of a run."""
    cases, plain = plan.cases, plan.step.template.plain_inputs
    if plain is not None and plain <= cases.text_inputs and _HISTORY not in cases.some_inputs:
        return  # reading the dataset has told: a million rows are not read once more
    for case in cases:
        try:
            plan.step.template.render(case.inputs)
        except WorkspaceError as exc:
            what = f"case {case.id!r}: {exc.what}"
            raise WorkspaceError(what, where=case.where or exc.where, hint=exc.hint) from None
