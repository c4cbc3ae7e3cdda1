"""`--dry-run` of a pipeline: which calls the log answers, and what the rest can cost before its requests are known."""

from collections.abc import Mapping
from decimal import Decimal
from functools import partial

from msgspec import Struct, field
from msgspec.structs import replace

from evalh.core.attempt import Answer, CallKey, Completion
from evalh.core.case import Case
from evalh.core.digest import canonical
from evalh.core.errors import EvalhError, WorkspaceError
from evalh.core.money import plus
from evalh.core.ports import Prices, Store
from evalh.core.prompt import INPUTS, Constant, First, HandoverError, Source, StepSpec
from evalh.core.request import Message, Request, Role
from evalh.core.run import Forecast
from evalh.core.strict_json import JsonValue
from evalh.core.verdict import GradeContext
from evalh.engine.forecast import (
    JUDGES_UNBOUNDED,
    NOTHING,
    Bound,
    QuestionBounds,
    Unknowns,
    attempts_of,
    greatest,
    longest_answer,
    most,
    total,
    why_unknown,
)
from evalh.engine.plan import Asked, Plan, PlannedPipeline
from evalh.graders.reading import Unreadable, output_json
from evalh.pipeline.walk import Handed, Walk, text_of


class _Forecast(Struct):
    """One sample, as far as the log holds it."""

    case: Case
    trial: int
    walk: Walk
    answers: dict[str, Answer] = field(default_factory=dict)  # by step
    requests: dict[str, tuple[Request, int | None]] = field(
        default_factory=dict
    )  # by step, with the number of tokens that are still missing

    def context(self, spec: StepSpec, inputs: Mapping[str, JsonValue]) -> GradeContext:
        """Return what the graders of a step see, before there is an answer."""
        case = replace(self.case, inputs=inputs, expected=self.case.gold_of(spec.name))
        return GradeContext(
            case=case,
            completion=Completion(text=""),
            output_schema=spec.output_schema,
            trial=self.trial,
            step=spec.name,
        )


class PipelineForecast(Struct):
    """What samples of a pipeline may cost. `store` is None if the log must not be used."""

    plan: Plan
    pipeline: PlannedPipeline
    prices: Prices
    store: Store | None
    answered: int = 0
    to_ask: int = 0
    once: Decimal | None = Decimal(0)
    ceiling: Decimal | None = Decimal(0)
    judges: Decimal | None = Decimal(0)
    why: str | None = None
    by_chars: bool = False  # an unknown output of a function is bounded
    functions: set[str] = field(default_factory=set)  # that would be called
    _bounds: dict[str, QuestionBounds] = field(default_factory=dict)

    def add(self, case: Case, trial: int) -> None:
        """Count one sample. Raises WorkspaceError for a case that does not fit."""
        doubles = self.pipeline.doubles(case, trial)
        one = _Forecast(case, trial, Walk(self.pipeline.flow, case.inputs, doubles=doubles))
        begun: set[str] = set()
        asks = False
        while ready := one.walk.ready():
            for handed in ready:
                begun.add(handed.spec.name)
                asks = not self._known(one, handed) or asks
        refuse_case(one.walk, case)
        for spec in self.pipeline.flow.pipeline.steps:
            if spec.name not in begun and spec.name not in one.walk.settled:
                asks = self._unknown(one, spec) or asks
        if any(grader.asked for grader in self.plan.graders):
            self._count_judges(self._of_suite(one))
        self.to_ask += asks
        self.answered += not asks

    def _known(self, one: _Forecast, handed: Handed) -> bool:
        """Look up a step whose inputs are known, and continue the walk. Return False if its call must be made."""
        spec = handed.spec
        asked, ctx = self.pipeline.steps[spec.name].prompt, one.context(spec, handed.inputs)
        if asked is None:  # a function: its output is unknown until it runs
            self.functions.add(spec.name)
            self._grade_step(ctx, Unknowns(answer=self._longest_output(spec.name)))
            return True
        request = asked.step.request(ctx.case)
        ctx, one.requests[spec.name] = replace(ctx, request=request), (request, 0)
        answer = self._find(asked, request, CallKey(ctx.case.id, one.trial, spec.name, self.plan.draw))
        if answer is None:
            self._grade_step(ctx, Unknowns(answer=self._longest_output(spec.name)))
            self._count_call(asked, ctx, 0)
            return False
        one.answers[spec.name] = answer
        ctx = replace(ctx, completion=answer.completion)
        self._grade_step(ctx, model=answer.model)
        try:
            one.walk.give(spec.name, output_json(ctx) if spec.gives_json else answer.completion.text)
        except Unreadable as exc:
            one.walk.unreadable(spec.name, answer.completion.text, exc.verdict.reason)
        return True

    def _find(self, asked: Asked, request: Request, key: CallKey) -> Answer | None:
        if self.store is None:
            return None
        return self.store.find_all([(request.digest(), key)], routed=asked.target.chooses)[0]

    def _unknown(self, one: _Forecast, spec: StepSpec) -> bool:
        """Bound a step whose request is not known yet, by its text, its known inputs, and the longest unknown ones."""
        asked, longest = self.pipeline.steps[spec.name].prompt, self._longest_output(spec.name)
        inputs = {name: self._longest(one.walk, source) for name, source in spec.inputs.items()}
        ctx = one.context(spec, dict.fromkeys(inputs, ""))
        shown = total([*inputs.values(), *inputs.values()])  # a judge is shown JSON with more blanks in it
        if asked is None or spec.version is None:
            self._grade_step(ctx, Unknowns(inputs=shown, answer=longest))
            return False
        more: int | None = 0
        for name, bound in inputs.items():
            times = max(1, sum(section.source.count(name) for section in spec.version.sections))
            more = None if more is None or bound is None else more + times * bound
        messages = tuple(Message.of(Role(part.role or "user"), part.source) for part in spec.version.sections)
        request = Request(messages, asked.step.settings, asked.step.settings_digest)
        ctx, one.requests[spec.name] = replace(ctx, request=request), (request, more)
        self._grade_step(ctx, Unknowns(inputs=total([shown, more]), answer=longest))
        self._count_call(asked, ctx, more)
        return True

    def _longest(self, walk: Walk, source: Source) -> int | None:
        """Return the most tokens that an input can have; None if there is no bound."""
        if isinstance(source, Constant):
            return len(canonical(source.value))
        if isinstance(source, First):
            bounds = [self._longest(walk, one) for one in source.options]
            return None if None in bounds else max(one for one in bounds if one is not None)
        values = {INPUTS: walk.inputs, **{name: one.output for name, one in walk.outputs().items()}}
        if all(reference.source in values for reference in source.references):
            try:
                return len(canonical(source.evaluate(values)))
            except HandoverError:
                return 0  # the path ends there
        self.by_chars |= any(
            one.source not in values and self.pipeline.steps[one.source].prompt is None for one in source.references
        )
        return total(
            len(canonical(values[one.source])) if one.source in values else self._longest_output(one.source)
            for one in source.references
        )

    def _longest_output(self, name: str) -> int | None:
        """Return the most tokens that a step's output can have; None if there is no bound."""
        step = self.pipeline.steps[name]
        if step.spec.function is not None:
            return step.spec.function.max_chars
        assert step.prompt is not None
        return longest_answer(step.prompt.target)

    def _bounds_of(self, name: str) -> QuestionBounds:
        if name not in self._bounds:
            view = self.plan.of_step(self.pipeline.steps[name].prompt)
            self._bounds[name] = QuestionBounds(plan=view, prices=self.prices, store=self.store)
        return self._bounds[name]

    def _grade_step(self, ctx: GradeContext, unknowns: Unknowns | None = None, model: str | None = None) -> None:
        """Add the most that the checks and graders of a step can cost."""
        name = ctx.step or ""
        graders = self.pipeline.steps[name].all_graders
        if any(grader.asked for grader in graders):
            self._count_judges(self._bounds_of(name).of_answer(graders, ctx, unknowns, model))

    def _of_suite(self, one: _Forecast) -> Bound:
        """Bound the cost of the suite's graders, for the step with the output, or for any step that may give it."""
        walk, last = one.walk, self.pipeline.flow.pipeline.output
        gave = walk.outputs()
        if not walk.done:
            longest = {name: self._longest_output(name) for name in self.pipeline.steps if name not in walk.settled}
            bounds = [self._of_output(one, name, longest) for name in last if name in longest or name in gave]
            return greatest(bound[0] for bound in bounds), greatest(bound[1] for bound in bounds)
        output = walk.output()
        return NOTHING if output is None or walk.stopped is not None else self._of_output(one, output, None)

    def _of_output(self, one: _Forecast, name: str, longest: Mapping[str, int | None] | None) -> Bound:
        """Bound it for one step's output. `longest`: bounds of the outputs not known yet; None if all are known."""
        gave, answer = one.walk.outputs(), one.answers.get(name)
        completion = Completion(text=text_of(gave[name].output) if name in gave else "")
        request, more = one.requests.get(name, (None, 0))
        ctx = GradeContext(
            case=one.case,
            completion=completion if answer is None else answer.completion,
            request=request,
            output_schema=self.pipeline.steps[name].spec.output_schema,
            trial=one.trial,
            step=name,
            steps=gave,
        )
        unknowns = None if longest is None else Unknowns(inputs=more, answer=longest.get(name, 0), steps=longest)
        return self._bounds_of(name).of_answer(
            self.plan.graders, ctx, unknowns, None if answer is None else answer.model
        )

    def _count_judges(self, bound: Bound) -> None:
        self.judges = plus(self.judges, bound[1])
        self.once, self.ceiling = plus(self.once, bound[0]), plus(self.ceiling, bound[1])
        if bound[1] is None and self.why is None:
            self.why = JUDGES_UNBOUNDED

    def _count_call(self, asked: Asked, ctx: GradeContext, more: int | None) -> None:
        """Add the most that one call of one sample can cost."""
        target, request, name = asked.target, ctx.request, ctx.step or ""
        assert request is not None
        pricers = {leaf: self.prices.find(one.provider) for leaf, one in target.leaves.items()}
        cost = attempts_of(request, target, pricers)
        examined = partial(self._bounds_of(name).of_checks, case=ctx.case, request=request)
        highest = None if more is None else most(target.route, target, cost, more, examined)
        self.once = plus(self.once, None if more is None else cost(target.first.provider.name, more))
        self.ceiling = plus(self.ceiling, highest)
        if highest is None and self.why is None:
            self.why = f"step {name!r}: {why_unknown(pricers, target)}"


def forecast_pipeline(plan: Plan, store: Store | None, prices: Prices, *, fresh: bool = False) -> Forecast:
    """Walk every sample as far as the log answers; bound the rest. Raises WorkspaceError if a case does not fit."""
    assert plan.pipeline is not None
    sums = PipelineForecast(plan, plan.pipeline, prices, None if fresh else store)
    for case in plan.cases:
        for trial in range(plan.trials):
            sums.add(case, trial)
    return Forecast(
        samples=plan.planned,
        answered=sums.answered,
        to_ask=sums.to_ask,
        once_usd=sums.once,
        worst_case_usd=sums.ceiling,
        judges_usd=sums.judges,
        why_unknown=sums.why,
        not_called=tuple(sorted(sums.functions)),
        by_chars=sums.by_chars,
    )


def check_pipeline_inputs(plan: Plan) -> None:
    """Walk every case to its first requests. Raises WorkspaceError if a case lacks an input of the first steps."""
    assert plan.pipeline is not None
    steps = plan.pipeline.steps
    for case in plan.cases:
        for name in case.given:
            if name not in steps:
                what = f"case {case.id!r} gives a double of step {name!r}, which {plan.version.label} does not have"
                raise WorkspaceError(what, where=case.where, hint=f"steps: {', '.join(steps)}")
        walk = Walk(plan.pipeline.flow, case.inputs, doubles=plan.pipeline.doubles(case, 0))
        for handed in walk.ready():
            asked = steps[handed.spec.name].prompt
            if asked is None:
                continue
            try:
                asked.step.request(replace(case, inputs=handed.inputs))
            except EvalhError as exc:
                what = f"case {case.id!r}, step {handed.spec.name!r}: {exc.what}"
                raise WorkspaceError(what, where=case.where or exc.where, hint=exc.hint) from None
        refuse_case(walk, case)


def refuse_case(walk: Walk, case: Case) -> None:
    """Raise WorkspaceError if the case itself lacks an input that a step needs."""
    failed = walk.failed
    if failed is not None:
        name, reason = failed
        what = f"case {case.id!r}, step {name!r}: {reason.removeprefix('the case: ')}"
        raise WorkspaceError(what, where=case.where)
