"""`--dry-run` of a pipeline: how far the log answers, and what the rest can cost before its requests are known."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import partial

from msgspec import Struct, field
from msgspec.structs import replace

from evalh.core.attempt import Answer, CallKey
from evalh.core.case import ABSENT, Case
from evalh.core.digest import canonical
from evalh.core.errors import EvalhError, WorkspaceError
from evalh.core.money import plus
from evalh.core.ports import Prices, Store
from evalh.core.prompt import INPUTS, Constant, First, HandoverError, Source, StepSpec
from evalh.core.request import Message, Request, Role
from evalh.core.run import Forecast
from evalh.core.sample import StepState
from evalh.core.values import Value
from evalh.core.verdict import GradeContext
from evalh.engine.forecast import QuestionBounds, attempts_of, most, why_unknown
from evalh.engine.plan import Asked, Plan, PlannedPipeline
from evalh.graders.reading import Unreadable, output_json
from evalh.pipeline.walk import Handed, Walk


class _StepRequest(Value):
    step: str
    asked: Asked
    case: Case
    trial: int
    request: Request


class PipelineForecast(Struct):
    """What samples of a pipeline may cost. `store` is None where nothing that it knows may be used."""

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
    _bounds: dict[str, QuestionBounds] = field(default_factory=dict)

    def add(self, case: Case, trial: int) -> None:
        """Count one sample in. Raises WorkspaceError where a case does not fit."""
        walk = Walk(self.pipeline.flow, case.inputs, doubles=self.pipeline.doubles(case, trial))
        begun: set[str] = set()
        asks = False
        while ready := walk.ready():
            for handed in ready:
                begun.add(handed.spec.name)
                asks = not self._known(walk, handed, case, trial) or asks
        refuse_case(walk, case)
        for spec in self.pipeline.flow.pipeline.steps:
            if spec.name not in begun and spec.name not in walk.settled:
                asks = self._unknown(walk, spec, case, trial) or asks
        self.to_ask += asks
        self.answered += not asks

    def _known(self, walk: Walk, handed: Handed, case: Case, trial: int) -> bool:
        """Look up a step whose inputs are known, and walk on; False: it is asked."""
        spec = handed.spec
        asked = self.pipeline.steps[spec.name].prompt
        if asked is None:
            return True  # a function: what it gives is known when it has run
        case = replace(case, inputs=handed.inputs)
        request = asked.step.request(case)
        answer = self._find(asked, request, CallKey(case.id, trial, spec.name, self.plan.draw))
        self._count(_StepRequest(spec.name, asked, case, trial, request), 0, answer)
        if answer is None:
            return False
        try:
            output = output_json(GradeContext(case=case, completion=answer.completion)) if spec.gives_json else None
            walk.give(spec.name, output if spec.gives_json else answer.completion.text)
        except Unreadable as exc:
            walk.unreadable(spec.name, answer.completion.text, exc.verdict.reason)
        return True

    def _find(self, asked: Asked, request: Request, key: CallKey) -> Answer | None:
        if self.store is None:
            return None
        return self.store.find_all([(request.digest(), key)], routed=asked.target.chooses)[0]

    def _unknown(self, walk: Walk, spec: StepSpec, case: Case, trial: int) -> bool:
        """Bound a step whose request is not known yet: its text, what is known of its inputs, and the longest rest."""
        asked = self.pipeline.steps[spec.name].prompt
        if asked is None or spec.version is None:
            return False
        more: int | None = 0
        for name, source in spec.inputs.items():
            longest = self._longest(walk, source)
            times = max(1, sum(section.source.count(name) for section in spec.version.sections))
            more = None if more is None or longest is None else more + times * longest
        messages = tuple(Message.of(Role(one.role or "user"), one.source) for one in spec.version.sections)
        request = Request(messages, asked.step.settings, asked.step.settings_digest)
        self._count(_StepRequest(spec.name, asked, case, trial, request), more, None)
        return True

    def _longest(self, walk: Walk, source: Source) -> int | None:
        """Return of how many tokens an input is at most; None: nothing bounds it."""
        if isinstance(source, Constant):
            return len(canonical(source.value))
        if isinstance(source, First):
            bounds = [self._longest(walk, one) for one in source.options]
            return None if None in bounds else max(one for one in bounds if one is not None)
        values = {INPUTS: walk.inputs, **{name: one.output for name, one in walk.settled.items() if _gave(one.state)}}
        if all(reference.source in values for reference in source.references):
            try:
                return len(canonical(source.evaluate(values)))
            except HandoverError:
                return 0  # it ends there
        return _total(self._longest_output(reference.source, values) for reference in source.references)

    def _longest_output(self, name: str, values: Mapping[str, object]) -> int | None:
        if name in values:
            return len(canonical(values[name]))
        step = self.pipeline.steps[name]
        if step.spec.function is not None:
            return step.spec.function.max_chars
        assert step.prompt is not None
        leaves = step.prompt.target.leaves.values()
        return _total([max((leaf.settings.max_tokens or 0 for leaf in leaves), default=0)]) or None

    def _count(self, one: "_StepRequest", more: int | None, answer: Answer | None) -> None:
        """Add what one step of one sample can cost."""
        name, asked, case, request = one.step, one.asked, one.case, one.request
        bounds = self._bounds.get(name)
        if bounds is None:
            view = self.plan.of_step(name, asked)
            bounds = self._bounds[name] = QuestionBounds(plan=view, prices=self.prices, store=self.store)
        graded = bounds.of_graders(case, request, one.trial, answer)
        self.judges = plus(self.judges, graded[1])
        self.once, self.ceiling = plus(self.once, graded[0]), plus(self.ceiling, graded[1])
        if answer is not None:
            return
        target = asked.target
        pricers = {leaf: self.prices.find(one.provider) for leaf, one in target.leaves.items()}
        cost = attempts_of(request, target, pricers)
        examined = partial(bounds.of_checks, case=replace(case, expected=ABSENT), request=request)
        highest = None if more is None else most(target.route, target, cost, more, examined)
        self.once = plus(self.once, None if more is None else cost(target.first.provider.name, more))
        self.ceiling = plus(self.ceiling, highest)
        if highest is None and self.why is None:
            self.why = f"step {name!r}: {why_unknown(pricers, target)}"


def forecast_pipeline(plan: Plan, store: Store | None, prices: Prices, *, fresh: bool = False) -> Forecast:
    """Walk every sample as far as the log answers; bound the rest. Raises WorkspaceError where a case does not fit."""
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
    )


def check_pipeline_inputs(plan: Plan) -> None:
    """Walk every case to its first requests. Raises WorkspaceError for a case that lacks what the first steps need."""
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
    """Raise WorkspaceError where a case itself lacks what a step needs of it."""
    failed = walk.failed
    if failed is not None:
        name, reason = failed
        what = f"case {case.id!r}, step {name!r}: {reason.removeprefix('the case: ')}"
        raise WorkspaceError(what, where=case.where)


def _gave(state: StepState) -> bool:
    return state in (StepState.RAN, StepState.GIVEN)


def _total(bounds: Iterable[int | None]) -> int | None:
    found = list(bounds)
    return None if None in found else sum(one for one in found if one is not None)
