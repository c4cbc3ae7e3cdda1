"""`--dry-run`: what a run would send, and the most that it can cost, with the questions of graders and checks.

A call by a route is bounded by all the attempts that its models may make.

The most that one call by a route can cost, whatever its models do.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import TypeAlias

from msgspec.structs import replace

from evalh.core.attempt import Answer, CallKey, Completion
from evalh.core.case import ABSENT, Case
from evalh.core.errors import WorkspaceError
from evalh.core.money import plus
from evalh.core.ports import Pricer, Prices, Store
from evalh.core.request import Request
from evalh.core.route import EscalateBy, RepairBy, Route
from evalh.core.run import Forecast
from evalh.core.suite import GraderSpec
from evalh.core.values import Value
from evalh.core.verdict import GradeContext, Question
from evalh.engine.plan import Plan, bounded
from evalh.graders.kinds import Grader
from evalh.routing.asking import answering
from evalh.routing.budget import PER_MESSAGE, worst_case_usd
from evalh.routing.checking import REPAIR_TOKENS, VERIFY_TOKENS
from evalh.routing.target import Target, models_of

AttemptCost: TypeAlias = Callable[[str, int], Decimal | None]
"""The most that one attempt of a model can cost, by its name and the tokens added to its request."""

Examined: TypeAlias = Callable[[Sequence[GraderSpec], str], Decimal | None]
"""The most that checks can cost for one answer of a model."""


def most(
    route: Route, target: Target, cost: AttemptCost, more_tokens: int = 0, examined: Examined | None = None
) -> Decimal | None:
    """Bound what one call by a route can cost: every attempt of every model that it may ask is billed in full.

    A request that contains an answer is longer: an answer is assumed to be read in as many tokens as it may have
    been written in. `more_tokens` is the length already added to the route's request.
    """
    amount: Decimal | None = Decimal(0)
    for name in (route.model, *route.fallback):
        amount = plus(amount, _most_of(name, route, target, cost, more_tokens, examined))
    if route.cascade is not None:
        if examined is not None:
            models = models_of(replace(route, cascade=None), target.routes, target.leaves)
            amount = plus(amount, greatest(examined(route.cascade.checks, name) for name in models))
        if route.cascade.by is EscalateBy.VERIFY:
            more_tokens += _answer_tokens(route, target) + VERIFY_TOKENS + 2 * PER_MESSAGE
        amount = plus(amount, _most_of(route.cascade.escalate_to, route, target, cost, more_tokens, examined))
    return amount


def _most_of(
    name: str, route: Route, target: Target, cost: AttemptCost, more_tokens: int, examined: Examined | None
) -> Decimal | None:
    """Bound the cost of one of a route's models, or of an inner route."""
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
    """Bound the answer of a route's models before its cascade, which a stronger model may be shown."""
    models = models_of(replace(route, cascade=None), target.routes, target.leaves)
    return max(target.leaves[name].settings.max_tokens or 0 for name in models)


def greatest(costs: Iterable[Decimal | None]) -> Decimal | None:
    """Return the greatest of several bounds; None if any is unknown."""
    found = list(costs)
    known = [cost for cost in found if cost is not None]
    return max(known, default=Decimal(0)) if len(known) == len(found) else None


Bound = tuple[Decimal | None, Decimal | None]
"""The most that questions cost if each is asked once, and with all attempts that routes allow. None if unknown."""

NOTHING: Bound = (Decimal(0), Decimal(0))


class Unknowns(Value, kw_only=True):
    """By how many tokens a question may be longer, for what is not known yet; None: nothing bounds it."""

    inputs: int | None = 0
    answer: int | None = 0
    steps: Mapping[str, int | None] = {}  # by step: what the question contains of its output

    def of(self, question: Question) -> int | None:
        """Return what is missing in a question."""
        steps = [self.steps.get(step, 0) for step in question.steps]
        return total([self.inputs, *steps, *[self.answer] * question.shown])


def total(bounds: Iterable[int | None]) -> int | None:
    """Add bounds; None if any is unknown."""
    found = list(bounds)
    return None if None in found else sum(one for one in found if one is not None)


def longest_answer(target: Target) -> int | None:
    """Return of how many tokens an answer is at most; None: nothing bounds it."""
    bounds = [leaf.settings.max_tokens for leaf in target.leaves.values()]
    return None if None in bounds else max((one for one in bounds if one is not None), default=0)


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class QuestionBounds:
    """Bounds of one plan's questions. `store` is None if the log may not be used."""

    plan: Plan
    prices: Prices
    store: Store | None
    _checks: dict[int, Sequence[Grader]] = field(default_factory=dict, init=False)  # by the identity of their specs

    def of_graders(self, case: Case, request: Request, trial: int, answer: Answer | None) -> Bound:
        """Bound what the suite's graders ask about one sample; what the log holds costs nothing."""
        if not any(grader.asked for grader in self.plan.graders):
            return NOTHING
        completion = Completion(text="") if answer is None else answer.completion
        ctx = self._context(case, request, completion, trial)
        if answer is None:
            return self.of_answer(self.plan.graders, ctx, Unknowns(answer=longest_answer(self.plan.target)))
        return self.of_answer(self.plan.graders, ctx, model=answer.model)

    def of_answer(
        self,
        graders: Iterable[Grader],
        ctx: GradeContext,
        unknowns: Unknowns | None = None,
        model: str | None = None,
    ) -> Bound:
        """Bound what graders ask about one answer; `model` gave it. What the log holds of a known one costs nothing."""
        models = tuple(self.plan.target.leaves) if model is None else (model,)
        store = self.store if unknowns is None else None
        asking = [grader for grader in graders if grader.asked]
        return self._sum(asking, ctx, models, store, unknowns or Unknowns())

    def of_checks(self, specs: Sequence[GraderSpec], model: str, case: Case, request: Request) -> Decimal | None:
        """Bound the questions of a route's checks about one answer of a model."""
        key = id(specs)  # a route's own, which exists as long as the plan
        if key not in self._checks:
            self._checks[key] = [check for check in self.plan.build_checks(specs) if check.asked]
        if not self._checks[key]:
            return Decimal(0)
        ctx = self._context(replace(case, expected=ABSENT), request, Completion(text=""), 0)
        unknowns = Unknowns(answer=longest_answer(self.plan.target))
        return self.of_answer(self._checks[key], ctx, unknowns, model)[1]

    def _context(self, case: Case, request: Request, completion: Completion, trial: int) -> GradeContext:
        schema, step = request.settings.output_schema, self.plan.plain.name
        return GradeContext(
            case=case, completion=completion, request=request, output_schema=schema, trial=trial, step=step
        )

    def _sum(
        self,
        graders: Iterable[Grader],
        ctx: GradeContext,
        models: Sequence[str],
        store: Store | None,
        unknowns: Unknowns,
    ) -> Bound:
        once: Decimal | None = Decimal(0)
        ceiling: Decimal | None = Decimal(0)
        for question in (question for grader in graders for question in grader.questions(ctx)):
            targets = self._asked(question, models)
            bounds = [self._bound(question, target, ctx, store, unknowns) for target in targets]
            once = plus(once, greatest(bound[0] for bound in bounds))
            ceiling = plus(ceiling, greatest(bound[1] for bound in bounds))
        return once, ceiling

    def _asked(self, question: Question, models: Sequence[str]) -> list[Target]:
        if question.model is not None:
            return [self.plan.resolve(question.model, question.form)]
        return [answering(self.plan.target, model, question.form) for model in models]

    def _bound(
        self, question: Question, target: Target, ctx: GradeContext, store: Store | None, unknowns: Unknowns
    ) -> Bound:
        request = Request(question.messages, target.settings())
        if store is not None:
            key = CallKey(ctx.case.id, ctx.trial, ctx.step, question.draw)
            if store.find_all([(request.digest(), key)], routed=target.chooses)[0] is not None:
                return NOTHING
        # An answer is read in as many tokens as it may be written in.
        more = total([question.replies * (target.first.settings.max_tokens or 0), unknowns.of(question)])
        if more is None:
            return None, None
        pricers: dict[str, Pricer | None] = {
            name: self.prices.find(leaf.provider) for name, leaf in target.leaves.items()
        }

        def cost(name: str, more_tokens: int) -> Decimal | None:
            sent = Request(request.messages, target.leaves[name].settings)
            return worst_case_usd(sent, pricers[name], more + more_tokens)

        return cost(target.first.provider.name, 0), most(target.route, target, cost)


_HISTORY = "messages"  # the input with a conversation, whose content must be read


def forecast(plan: Plan, store: Store | None, prices: Prices, *, fresh: bool = False) -> Forecast:
    """Render every request without sending one. Raises WorkspaceError if a case does not fit the prompt."""
    target = plan.target
    pricers = {name: prices.find(leaf.provider) for name, leaf in target.leaves.items()}
    answered = to_ask = 0
    once: Decimal | None = Decimal(0)
    ceiling: Decimal | None = Decimal(0)
    judges: Decimal | None = Decimal(0)
    known = None if fresh else store
    bounds = QuestionBounds(plan=plan, prices=prices, store=known)
    for case in plan.cases:
        request = plan.plain.request(case)
        cost = attempts_of(request, target, pricers)
        examined = partial(bounds.of_checks, case=case, request=request)
        for trial in range(plan.trials):
            wanted = [(request.digest(), CallKey(case.id, trial, plan.plain.name, plan.draw))]
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
        why_unknown=None if ceiling is not None else why_unknown(pricers, target),
    )


def attempts_of(request: Request, target: Target, pricers: Mapping[str, Pricer | None]) -> AttemptCost:
    """Return what one attempt at a request can cost."""

    def cost(name: str, more_tokens: int) -> Decimal | None:
        sent = Request(request.messages, target.leaves[name].settings)
        return worst_case_usd(sent, pricers[name], more_tokens)

    return cost


JUDGES_UNBOUNDED = "a grader's calls have no cost limit: a price or max_tokens is missing"


def why_unknown(pricers: Mapping[str, Pricer | None], target: Target) -> str:
    """Say why no bound is known."""
    unpriced = sorted(name for name, pricer in pricers.items() if pricer is None)
    if unpriced:
        return f"{', '.join(unpriced)} {'is' if len(unpriced) == 1 else 'are'} not priced"
    unbounded = sorted(name for name, leaf in target.leaves.items() if leaf.settings.max_tokens is None)
    if unbounded:
        return f"no max_tokens bounds the output of {', '.join(unbounded)}"
    by_the_hour = sorted(name for name, pricer in pricers.items() if not bounded(pricer))
    return f"a price per hour does not bound {', '.join(by_the_hour)}" if by_the_hour else JUDGES_UNBOUNDED


def check_inputs(plan: Plan) -> None:
    """Render every case once: a missing variable is found before the first call, not in the middle of a run."""
    cases, plain = plan.cases, plan.plain.template.plain_inputs
    if plain is not None and plain <= cases.text_inputs and _HISTORY not in cases.some_inputs:
        return  # known from reading the dataset: a million rows are not read again
    for case in cases:
        try:
            plan.plain.template.render(case.inputs)
        except WorkspaceError as exc:
            what = f"case {case.id!r}: {exc.what}"
            raise WorkspaceError(what, where=case.where or exc.where, hint=exc.hint) from None
