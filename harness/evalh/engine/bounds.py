"""What graders and checks can cost that ask models: their questions, priced before they are asked."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from msgspec.structs import replace

from evalh.core.asking import Question
from evalh.core.attempt import Answer, CallKey, Completion
from evalh.core.case import ABSENT, Case
from evalh.core.money import plus
from evalh.core.ports import Pricer, Prices, Store
from evalh.core.request import Request
from evalh.core.suite import GraderSpec
from evalh.core.verdict import GradeContext
from evalh.engine.ceiling import greatest, most
from evalh.engine.plan import Plan
from evalh.graders.registry import Grader
from evalh.routing.asking import answering
from evalh.routing.target import Target
from evalh.routing.worst_case import worst_case_usd

Bound = tuple[Decimal | None, Decimal | None]
"""What questions cost at most if each is asked once, and with every attempt that routes allow. None: unknown."""

NOTHING: Bound = (Decimal(0), Decimal(0))


@dataclass(slots=True, kw_only=True)
class QuestionBounds:
    """Bounds of one plan's questions. `store` is None where nothing that it knows may be used."""

    plan: Plan
    prices: Prices
    store: Store | None
    _checks: dict[int, Sequence[Grader]] = field(default_factory=dict, init=False)  # by the identity of their specs

    def of_graders(self, case: Case, request: Request, trial: int, answer: Answer | None) -> Bound:
        """Bound what the suite's graders ask about one sample; what the log holds costs nothing."""
        asking = [grader for grader in self.plan.graders if grader.asked]
        if not asking:
            return NOTHING
        completion = Completion(text="") if answer is None else answer.completion
        ctx = self._context(case, request, completion, trial)
        models = tuple(self.plan.target.leaves) if answer is None else (answer.model or "",)
        return self._sum(asking, ctx, models, None if answer is None else self.store)

    def of_checks(self, specs: Sequence[GraderSpec], model: str, case: Case, request: Request) -> Decimal | None:
        """Bound what a route's checks ask about one answer of a model."""
        key = id(specs)  # a route's own, which lives as long as the plan
        if key not in self._checks:
            self._checks[key] = [check for check in self.plan.build_checks(specs) if check.asked]
        if not self._checks[key]:
            return Decimal(0)
        ctx = self._context(replace(case, expected=ABSENT), request, Completion(text=""), 0)
        return self._sum(self._checks[key], ctx, (model,), None)[1]

    def _context(self, case: Case, request: Request, completion: Completion, trial: int) -> GradeContext:
        schema, step = request.settings.output_schema, self.plan.step.name
        return GradeContext(
            case=case, completion=completion, request=request, output_schema=schema, trial=trial, step=step
        )

    def _sum(self, graders: Iterable[Grader], ctx: GradeContext, models: Sequence[str], store: Store | None) -> Bound:
        once: Decimal | None = Decimal(0)
        ceiling: Decimal | None = Decimal(0)
        for question in (question for grader in graders for question in grader.questions(ctx)):
            bounds = [self._bound(question, target, ctx, store) for target in self._asked(question, models)]
            once = plus(once, greatest(bound[0] for bound in bounds))
            ceiling = plus(ceiling, greatest(bound[1] for bound in bounds))
        return once, ceiling

    def _asked(self, question: Question, models: Sequence[str]) -> list[Target]:
        if question.model is not None:
            return [self.plan.resolve(question.model, question.form)]
        return [answering(self.plan.target, model, question.form) for model in models]

    def _bound(self, question: Question, target: Target, ctx: GradeContext, store: Store | None) -> Bound:
        request = Request(question.messages, target.settings())
        if store is not None:
            key = CallKey(ctx.case.id, ctx.trial, ctx.step, question.draw)
            if store.find_all([(request.digest(), key)], routed=target.chooses)[0] is not None:
                return NOTHING
        more = self._more_tokens(question, target, ctx)
        if more is None:
            return None, None
        pricers: dict[str, Pricer | None] = {
            name: self.prices.find(leaf.provider) for name, leaf in target.leaves.items()
        }

        def cost(name: str, more_tokens: int) -> Decimal | None:
            sent = Request(request.messages, target.leaves[name].settings)
            return worst_case_usd(sent, pricers[name], more + more_tokens)

        return cost(target.first.provider.name, 0), most(target.route, target, cost)

    def _more_tokens(self, question: Question, target: Target, ctx: GradeContext) -> int | None:
        """Bound by how much the question grows: an answer is read in as many tokens as it may be written in."""
        replies = target.first.settings.max_tokens or 0
        more = question.replies * replies
        if ctx.text:
            return more  # the answer is there: it is counted by its bytes
        bounds = [leaf.settings.max_tokens for leaf in self.plan.target.leaves.values()]
        known = [bound for bound in bounds if bound is not None]
        return more + question.shown * max(known, default=0) if len(known) == len(bounds) else None
