"""The most that one call by a route can cost, whatever its models do."""

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import TypeAlias

from msgspec.structs import replace

from evalh.core.money import plus
from evalh.core.route import EscalateBy, RepairBy, Route
from evalh.core.suite import GraderSpec
from evalh.routing.feedback import REPAIR_TOKENS, VERIFY_TOKENS
from evalh.routing.target import Target, models_of
from evalh.routing.worst_case import PER_MESSAGE

AttemptCost: TypeAlias = Callable[[str, int], Decimal | None]
"""What one attempt of a model can cost, by its name and by how many tokens its request is longer than the first."""

Examined: TypeAlias = Callable[[Sequence[GraderSpec], str], Decimal | None]
"""What checks can cost that ask models, for one answer of a model."""


def most(
    route: Route, target: Target, cost: AttemptCost, more_tokens: int = 0, examined: Examined | None = None
) -> Decimal | None:
    """Bound what one call by a route can cost: every attempt of every model that it may ask is billed in full.

    A request that shows a model an answer is longer by that: an answer is taken to be read in as many tokens as it may
    be written in. `more_tokens` is what the route's request is longer by already.
    """
    amount: Decimal | None = Decimal(0)
    for name in (route.model, *route.fallback):
        amount = plus(amount, _most_of(name, route, target, cost, more_tokens, examined))
    if route.cascade is not None:
        if examined is not None:
            chain = models_of(replace(route, cascade=None), target.routes, target.leaves)
            amount = plus(amount, greatest(examined(route.cascade.checks, name) for name in chain))
        if route.cascade.by is EscalateBy.VERIFY:
            more_tokens += _answer_tokens(route, target) + VERIFY_TOKENS + 2 * PER_MESSAGE
        amount = plus(amount, _most_of(route.cascade.escalate_to, route, target, cost, more_tokens, examined))
    return amount


def _most_of(
    name: str, route: Route, target: Target, cost: AttemptCost, more_tokens: int, examined: Examined | None
) -> Decimal | None:
    """Bound what one of a route's models, or an inner route, can cost."""
    inner = target.routes.get(name)
    if inner is not None:
        return most(inner, target, cost, more_tokens, examined)
    repairs = route.repair.attempts if route.repair else 0
    grows = 0
    if route.repair is not None and route.repair.by is RepairBy.FEEDBACK:
        grows = (target.leaves[name].settings.max_tokens or 0) + REPAIR_TOKENS + 2 * PER_MESSAGE
    amount: Decimal | None = Decimal(0)
    for number in range(repairs + 1):
        once = cost(name, more_tokens + number * grows)
        amount = plus(amount, None if once is None else once * route.retry.attempts)
        if examined is not None and route.repair is not None:
            amount = plus(amount, examined(route.repair.checks, name))
    return amount


def _answer_tokens(route: Route, target: Target) -> int:
    """Bound the answer of a route's own chain, which a stronger model may be shown."""
    models = models_of(replace(route, cascade=None), target.routes, target.leaves)
    return max(target.leaves[name].settings.max_tokens or 0 for name in models)


def greatest(costs: Iterable[Decimal | None]) -> Decimal | None:
    """Return the greatest of several bounds; None if any is unknown."""
    found = list(costs)
    known = [cost for cost in found if cost is not None]
    return max(known, default=Decimal(0)) if len(known) == len(found) else None
