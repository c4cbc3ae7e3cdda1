"""`--dry-run`: what a run would send and what it could cost at most."""

from collections.abc import Mapping
from decimal import Decimal
from functools import partial

from evalh.core.attempt import CallKey
from evalh.core.errors import WorkspaceError
from evalh.core.forecast import Forecast
from evalh.core.money import plus
from evalh.core.ports import Pricer, Prices, Store
from evalh.core.request import Request
from evalh.engine.bounds import QuestionBounds
from evalh.engine.ceiling import AttemptCost, most
from evalh.engine.plan import Plan
from evalh.routing.target import Target
from evalh.routing.worst_case import worst_case_usd

_HISTORY = "messages"  # the input that holds a conversation; whatever it holds must be read to know


def forecast(plan: Plan, store: Store | None, prices: Prices, *, fresh: bool = False) -> Forecast:
    """Render every request without sending one. Raises WorkspaceError where a case does not fit the prompt."""
    target = plan.target
    pricers = {name: prices.find(leaf.provider) for name, leaf in target.leaves.items()}
    answered = to_ask = 0
    once: Decimal | None = Decimal(0)
    ceiling: Decimal | None = Decimal(0)
    judges: Decimal | None = Decimal(0)
    known = None if fresh else store
    bounds = QuestionBounds(plan=plan, prices=prices, store=known)
    for case in plan.cases:
        request = plan.step.request(case)
        cost = _attempts_of(request, target, pricers)
        examined = partial(bounds.of_checks, case=case, request=request)
        for trial in range(plan.trials):
            wanted = [(request.digest(), CallKey(case.id, trial, plan.step.name, plan.draw))]
            answer = None if known is None else known.find_all(wanted, routed=target.chooses)[0]
            graded = bounds.of_graders(case, request, trial, answer)
            once, ceiling, judges = plus(once, graded[0]), plus(ceiling, graded[1]), plus(judges, graded[1])
            if answer is not None:
                answered += 1
                continue
            to_ask += 1
            once = plus(once, cost(target.first.provider.name, 0))
            ceiling = plus(ceiling, most(target.route, target, cost, examined=examined))
    return Forecast(
        samples=plan.planned,
        answered=answered,
        to_ask=to_ask,
        once_usd=once,
        worst_case_usd=ceiling,
        judges_usd=judges,
        why_unknown=None if ceiling is not None else _why(pricers, target),
    )


def _attempts_of(request: Request, target: Target, pricers: Mapping[str, Pricer | None]) -> AttemptCost:
    def cost(name: str, more_tokens: int) -> Decimal | None:
        sent = Request(request.messages, target.leaves[name].settings)
        return worst_case_usd(sent, pricers[name], more_tokens)

    return cost


def _why(pricers: Mapping[str, Pricer | None], target: Target) -> str:
    unpriced = sorted(name for name, pricer in pricers.items() if pricer is None)
    if unpriced:
        return f"{', '.join(unpriced)} is not priced"
    unbounded = sorted(name for name, leaf in target.leaves.items() if leaf.settings.max_tokens is None)
    return (
        f"no max_tokens bounds the output of {', '.join(unbounded)}" if unbounded else "a price per hour is not a bound"
    )


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
