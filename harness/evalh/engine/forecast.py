"""`--dry-run`: what a run would send and what it could cost at most."""

from collections.abc import Mapping
from decimal import Decimal

from evalh.core.attempt import CallKey
from evalh.core.errors import WorkspaceError
from evalh.core.forecast import Forecast
from evalh.core.money import plus
from evalh.core.ports import Pricer, Prices, Store
from evalh.core.request import Request
from evalh.core.route import Route
from evalh.engine.plan import Plan
from evalh.routing.target import Target
from evalh.routing.worst_case import worst_case_usd


def forecast(plan: Plan, store: Store | None, prices: Prices, *, fresh: bool = False) -> Forecast:
    """Render every request without sending one. Raises WorkspaceError where a case does not fit the prompt."""
    target = plan.target
    pricers = {name: prices.find(leaf.provider) for name, leaf in target.leaves.items()}
    answered = to_ask = 0
    once: Decimal | None = Decimal(0)
    ceiling: Decimal | None = Decimal(0)
    for case in plan.cases:
        request = plan.step.request(case)
        costs = {
            name: worst_case_usd(Request(request.messages, leaf.settings), pricers[name])
            for name, leaf in target.leaves.items()
        }
        for trial in range(plan.trials):
            wanted = [(request.digest(), CallKey(case.id, trial, plan.step.name))]
            if store is not None and not fresh and store.find_all(wanted, routed=target.chooses)[0]:
                answered += 1
                continue
            to_ask += 1
            once = plus(once, costs[target.first.provider.name])
            ceiling = plus(ceiling, most(target.route, target, costs))
    return Forecast(
        samples=plan.planned,
        answered=answered,
        to_ask=to_ask,
        once_usd=once,
        worst_case_usd=ceiling,
        why_unknown=None if ceiling is not None else _why(pricers, target),
    )


def most(route: Route, target: Target, costs: Mapping[str, Decimal | None]) -> Decimal | None:
    """Bound what one call by a route can cost: every attempt of every model that it may ask is billed in full."""
    attempts = route.retry.attempts * (1 + (route.repair.attempts if route.repair else 0))
    amount: Decimal | None = Decimal(0)
    for name in route.targets:
        inner = target.routes.get(name)
        if inner is not None:
            amount = plus(amount, most(inner, target, costs))
        else:
            cost = costs[name]
            amount = plus(amount, None if cost is None else cost * attempts)
    return amount


def _why(pricers: Mapping[str, Pricer | None], target: Target) -> str:
    unpriced = sorted(name for name, pricer in pricers.items() if pricer is None)
    if unpriced:
        return f"{', '.join(unpriced)} is not priced"
    unbounded = sorted(name for name, leaf in target.leaves.items() if leaf.settings.max_tokens is None)
    return (
        f"no max_tokens bounds the output of {', '.join(unbounded)}" if unbounded else "a price needs more than tokens"
    )


def check_inputs(plan: Plan) -> None:
    """Render every case once: a missing variable is found before the first call, not in the middle of a run."""
    for case in plan.cases:
        try:
            plan.step.template.render(case.inputs)
        except WorkspaceError as exc:
            what = f"case {case.id!r}: {exc.what}"
            raise WorkspaceError(what, where=case.where or exc.where, hint=exc.hint) from None
