"""`--dry-run`: what a run would send and what it could cost at most."""

from decimal import Decimal

from evalh.core.attempt import CallKey
from evalh.core.errors import WorkspaceError
from evalh.core.forecast import Forecast
from evalh.core.ports import Pricer, Store
from evalh.engine.plan import Plan
from evalh.routing.logged import worst_case_usd


def forecast(plan: Plan, store: Store | None, pricer: Pricer | None, *, fresh: bool = False) -> Forecast:
    """Render every request without sending one. Raises WorkspaceError where a case does not fit the prompt."""
    answered = to_ask = 0
    ceiling: Decimal | None = Decimal(0)
    for case in plan.cases:
        request = plan.step.request(case)
        for trial in range(plan.trials):
            if store is not None and not fresh and store.find_all([(request.digest(), CallKey(case.id, trial))])[0]:
                answered += 1
                continue
            to_ask += 1
            cost = worst_case_usd(request, pricer)
            ceiling = None if ceiling is None or cost is None else ceiling + cost
    why = None
    if ceiling is None:
        why = "the model is not priced" if pricer is None else "the prompt sets no max_tokens, or the price is per hour"
    return Forecast(samples=plan.planned, answered=answered, to_ask=to_ask, worst_case_usd=ceiling, why_unknown=why)


def check_inputs(plan: Plan) -> None:
    """Render every case once: a missing variable is found before the first call, not in the middle of a run."""
    for case in plan.cases:
        try:
            plan.step.template.render(case.inputs)
        except WorkspaceError as exc:
            what = f"case {case.id!r}: {exc.what}"
            raise WorkspaceError(what, where=case.where or exc.where, hint=exc.hint) from None
