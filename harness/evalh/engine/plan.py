"""What a run will do, before anything is sent; its budget; and its known answers."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from typing import Literal, Protocol

from msgspec import field, structs
from msgspec.structs import replace

from evalh.analysis.pipelines import PipelineFold
from evalh.analysis.summary import Fold
from evalh.core.attempt import Answer, CallKey, Usage
from evalh.core.case import ABSENT, Absent, Case
from evalh.core.digest import digest
from evalh.core.errors import UsageError
from evalh.core.ports import Cases, Pricer, Prices, Store
from evalh.core.prompt import PromptVersion, StepSpec
from evalh.core.route import BudgetPolicy
from evalh.core.run import Fingerprint, StepRecord
from evalh.core.sample import SampleResult
from evalh.core.strict_json import JsonValue
from evalh.core.suite import BaselinePolicy, GraderSpec, Suite
from evalh.core.values import Value
from evalh.graders.kinds import Grader
from evalh.graders.registry import graders_digest
from evalh.pipeline.step import Step
from evalh.pipeline.taint import StepGraph
from evalh.pipeline.walk import Flow, Walk
from evalh.routing.asking import Resolve
from evalh.routing.target import Target


class AskOptions(Value, kw_only=True):
    """The options of every verb that runs cases."""

    concurrency: int | None = None
    fresh: bool = False  # ask again instead of using the log
    budget_usd: Decimal | None = None  # for each run; None: the route's


class Routing(Value, kw_only=True):
    """A target, with the functions that find the models of its graders and checks."""

    target: Target
    resolve: Resolve
    build_checks: Callable[[Sequence[GraderSpec]], Sequence[Grader]]


class Given(Value):
    """Where a step's doubles come from: gold, or the outputs of an earlier run."""

    name: str  # "expected", a run, or a model that stands in
    outputs: Mapping[tuple[str, int], JsonValue] | None = None  # by (case id, trial); None: gold
    digest: str = ""

    def of(self, step: str, case: Case, trial: int) -> JsonValue | Literal[Absent.ABSENT]:
        """Return the double for a step of a sample. A case that ran once has one output for all trials."""
        if self.outputs is None:
            return case.gold_of(step)
        return self.outputs.get((case.id, trial), self.outputs.get((case.id, 0), ABSENT))


class Asked(Value):
    """A prompt that is asked, and by what."""

    step: Step
    target: Target


class PlannedStep(Value, kw_only=True):
    """One step of a pipeline, every part resolved."""

    spec: StepSpec
    prompt: Asked | None = None  # of a prompt step
    function: Callable[..., object] | None = None
    asks: Mapping[str, Asked] = field(default_factory=dict)  # what the function asks, by the prompt's name
    checks: tuple[Grader, ...] = ()  # they need no gold, and decide in a run
    graders: tuple[Grader, ...] = ()  # of the suite: they only mark

    @property
    def all_graders(self) -> tuple[Grader, ...]:
        """Everything that grades its output."""
        return (*self.checks, *self.graders)

    @property
    def prompts(self) -> tuple[Asked, ...]:
        """Everything that it may ask."""
        return (*([] if self.prompt is None else [self.prompt]), *self.asks.values())


class RecordedStep(Value):
    """What a step of a program gave, what it cost and how long it took; None: unknown."""

    output: JsonValue
    cost_usd: Decimal | None
    latency_ms: float | None


class PlannedPipeline(Value, kw_only=True, dict=True):
    """The steps of a pipeline, in its order; `given` says where doubles come from, by step."""

    flow: Flow
    steps: Mapping[str, PlannedStep]
    given: Mapping[str, Given] = field(default_factory=dict)
    effects: bool = False  # whether functions with effects may be called
    recorded: Mapping[str, Mapping[str, RecordedStep]] | None = None  # by case and step: no model is asked

    def doubles(self, case: Case, trial: int) -> dict[str, JsonValue]:
        """Return a sample's doubles by step. Those of its row come before those of the run."""
        found = {step: given.of(step, case, trial) for step, given in self.given.items()}
        return {step: output for step, output in found.items() if output is not ABSENT} | dict(case.given)

    @cached_property
    def digest(self) -> str:
        """Digest what the answers to a case depend on besides the case."""
        return digest([self.flow.pipeline.document(), self.settings(), {k: v.digest for k, v in self.given.items()}])

    def record(self) -> tuple[StepRecord, ...]:
        """Return the steps as the log keeps them, and after them the prompts that functions ask."""
        reads = StepGraph.of(self.flow.pipeline).parents
        steps = [_recorded(step, reads[name]) for name, step in self.steps.items()]
        asked = [
            StepRecord(
                step=f"{name}/{prompt}",
                prompt=step.spec.function.asks[prompt].label,
                prompt_digest=step.spec.function.asks[prompt].digest,
                model=one.target.name,
                settings_document=one.step.settings.document(),
            )
            for name, step in self.steps.items()
            if step.spec.function is not None
            for prompt, one in step.asks.items()
        ]
        return (*steps, *asked)

    def settings(self) -> dict[str, JsonValue]:
        """Return the digest of each step's settings."""
        found = {name: [one.step.settings_digest for one in step.prompts] for name, step in self.steps.items()}
        return {name: digests for name, digests in found.items() if digests}


def _recorded(step: PlannedStep, reads: tuple[str, ...]) -> StepRecord:
    spec = step.spec
    return StepRecord(
        step=spec.name,
        prompt=None if spec.version is None else spec.version.label,
        prompt_digest=None if spec.version is None else spec.version.digest,
        function=None if spec.function is None else spec.function.path,
        function_digest=None if spec.function is None else spec.function.digest,
        model=None if step.prompt is None else step.prompt.target.name,
        reads=reads,
        settings_document=None if step.prompt is None else step.prompt.step.settings.document(),
    )


class Plan(Routing, kw_only=True, dict=True):
    """One suite for one version and model, with every part resolved."""

    suite: Suite
    version: PromptVersion
    step: Step | None  # None: of a pipeline
    pipeline: PlannedPipeline | None = None
    graders: Sequence[Grader]
    cases: Cases
    trials: int
    draw: int = 0  # 0: the answers; others are separate draws
    selection: Mapping[str, JsonValue] = field(default_factory=dict)  # of the dataset's cases; empty: all
    find_asked: Callable[[Target, Iterable[Grader]], Sequence[Target]]
    checks: Sequence[Grader] = ()  # of its route, and of every route that this leads to

    @property
    def asking(self) -> Iterator[Grader]:
        """The graders and checks that ask models."""
        return (grader for grader in (*self.graders, *self.checks) if grader.asked)

    @cached_property
    def asked(self) -> Sequence[Target]:
        """Everything that graders and checks ask, found once. Raises WorkspaceError."""
        if self.pipeline is None:
            return self.find_asked(self.target, self.asking)
        found: list[Target] = []
        for name, step in self.pipeline.steps.items():
            judging = self.graders if name in self.pipeline.flow.pipeline.output else ()
            asking = [grader for grader in (*step.all_graders, *judging) if grader.asked]
            for target in [one.target for one in step.prompts] or [self.target]:
                found += self.find_asked(target, asking)
        return found

    @property
    def targets(self) -> tuple[Target, ...]:
        """What the task itself asks: one target, or those of a pipeline's steps."""
        if self.pipeline is None:
            return (self.target,)
        return tuple(one.target for step in self.pipeline.steps.values() for one in step.prompts)

    def new_fold(self, *, by_the_hour: bool) -> Fold:
        """Return what adds up the samples of a run."""
        trials, clusters = self.trials, self.cases.clusters
        steps = None
        if self.pipeline is not None:
            parents = StepGraph.of(self.pipeline.flow.pipeline).parents
            steps = PipelineFold(parents, trials, clusters, self.suite.max_ungraded)
        specs = [grader.spec for grader in self.graders]
        specs += [GraderSpec(kind="part", name=name, required=False) for name in self.parts]
        return Fold(specs, trials, self.suite.value, clusters, by_the_hour=by_the_hour, pipeline=steps)

    @property
    def parts(self) -> tuple[str, ...]:
        """The names that parts of its graders are counted under."""
        return tuple(name for grader in self.graders for name in grader.compiled.named)

    @cached_property
    def routing(self) -> Routing:
        """What a run is asked by: of a pipeline its first step's target, under the tightest budget of all steps."""
        if self.pipeline is None:
            return self
        targets = (*self.targets, self.target)
        budget = tightest(one.route.budget for one in targets)
        first = targets[0]
        lead = Target(
            route=replace(first.route, budget=budget),
            routes=first.routes,
            leaves=first.leaves,
            judges_by=first.judges_by,
        )
        return Routing(target=lead, resolve=self.resolve, build_checks=self.build_checks)

    @property
    def beside(self) -> tuple[Target, ...]:
        """Everything that is asked beside the target that the run is named by."""
        return (*(self.targets if self.pipeline is not None else ()), *self.asked)

    @property
    def chooses(self) -> bool:
        """Whether a route decides who answers: an answer may come from another request than the first model's own."""
        return any(one.chooses for one in self.targets)

    @property
    def recorded(self) -> bool:
        """Whether an answer comes from a recording."""
        return any(leaf.provider.traits.recorded for one in self.targets for leaf in one.leaves.values())

    @property
    def hosted(self) -> bool:
        """Whether a model may change under its name."""
        return any(leaf.provider.traits.hosted for one in self.targets for leaf in one.leaves.values())

    @property
    def plain(self) -> Step:
        """The one step of a plain suite."""
        assert self.step is not None
        return self.step

    def of_step(self, asked: Asked | None) -> "Plan":
        """Return what a pipeline's step asks as the plan of a plain suite without graders; None: a function."""
        if asked is None:
            return replace(self, graders=(), pipeline=None)
        return replace(self, step=asked.step, target=asked.target, graders=(), pipeline=None)

    def question(self, case: Case) -> str:
        """Digest all that a case's answers depend on besides chance. Raises WorkspaceError."""
        if self.pipeline is None:
            return self.plain.request(case).digest()
        return digest([self.pipeline.digest, case.inputs, case.given])

    @property
    def planned(self) -> int:
        """How many samples the run evaluates."""
        return len(self.cases) * self.trials

    def fingerprint(self) -> Fingerprint:
        """Digest each part, so that a message can name the part that differs."""
        return Fingerprint(
            prompt=self.version.digest,
            dataset=self.cases.digest,
            graders=self._graders(),
            model=digest(self._by_step(Target.models_document)),
            route=digest(self._by_step(Target.route_document, self._given())),
        )

    def _graders(self) -> str:
        """Digest what judges: the same for all versions of a prompt, whichever steps they have."""
        steps: JsonValue = {
            name: [spec.document() for spec in specs] for name, specs in sorted(self.suite.step_graders.items())
        }
        of_samples = graders_digest(self.graders)
        return digest([of_samples, steps]) if steps else of_samples

    def _by_step(self, document: Callable[[Target], JsonValue], more: JsonValue = None) -> JsonValue:
        if self.pipeline is None:
            return document(self.target)
        steps: dict[str, JsonValue] = {
            name: [document(one.target) for one in step.prompts] for name, step in self.pipeline.steps.items()
        }
        return steps if not more else {"steps": steps, "given": more}

    def _given(self) -> JsonValue:
        """Return where doubles come from: another sum than that of a run that asks."""
        given = {} if self.pipeline is None else self.pipeline.given
        return {name: [one.name if one.outputs is None else "run", one.digest] for name, one in given.items()}


ANY_AGE = BaselinePolicy()


class Known(Value):
    """The answers of a plan that are known without asking."""

    answers: Mapping[tuple[str, CallKey], Answer] = field(default_factory=dict)  # by request digest
    results: Mapping[tuple[str, int], SampleResult] = field(default_factory=dict)
    models: frozenset[str] = frozenset()  # the models behind a baseline's answers, by their own names
    notices: tuple[str, ...] = ()

    def holds(self, plan: Plan, case: Case, trials: int) -> bool:
        """Whether so many trials of a case are known."""
        return all(
            (case.id, trial) in self.results or all((request, key) in self.answers for request, key in first)
            for trial in range(trials)
            for first in (first_requests(plan, case, trial),)
        )

    def beside(self, answers: Mapping[tuple[str, CallKey], Answer]) -> "Known":
        """Add answers: an equal request has an equal answer, whichever side sends it."""
        return replace(self, answers={**answers, **self.answers})


class KnownResults(Protocol):
    """Results that were accepted earlier."""

    def of(self, plan: Plan, policy: BaselinePolicy = ANY_AGE, suite: str | None = None) -> Known:
        """Return the known samples of a plan; `suite` is the suite's name at that time.

        Raises WorkspaceError for results that were edited by hand.
        """


def first_requests(plan: Plan, case: Case, trial: int) -> list[tuple[str, CallKey]]:
    """Return a sample's first requests, as the log finds them: for a pipeline, those of steps that wait for none."""
    if plan.pipeline is None:
        return [(plan.plain.request(case).digest(), CallKey(case.id, trial, plan.plain.name, plan.draw))]
    found = []
    for handed in Walk(plan.pipeline.flow, case.inputs, doubles=plan.pipeline.doubles(case, trial)).ready():
        name, asks = handed.spec.name, plan.pipeline.steps[handed.spec.name].prompt
        if asks is not None:
            request = asks.step.request(replace(case, inputs=handed.inputs))
            found.append((request.digest(), CallKey(case.id, trial, name, plan.draw)))
    return found


def in_log(plan: Plan, store: Store, wanted: Iterable[tuple[Case, int]]) -> list[bool]:
    """Say for each sample whether the log holds the answers to its first requests. Raises EvalhError.

    Answers to a pipeline's later steps may still be missing.
    """
    asked = [first_requests(plan, case, trial) for case, trial in wanted]
    flat = list(dict.fromkeys(one for each in asked for one in each))
    known = {
        one
        for routed in {target.chooses for target in plan.targets}
        for one, answer in zip(flat, store.find_all(flat, routed=routed), strict=True)
        if answer is not None
    }
    return [known.issuperset(each) for each in asked]


def tightest(budgets: Iterable[BudgetPolicy]) -> BudgetPolicy:
    """Return the lowest of each bound."""
    found = [structs.asdict(one) for one in budgets]
    lowest = {name: min((one[name] for one in found if one[name] is not None), default=None) for name in found[0]}
    return BudgetPolicy(**lowest)


def budget_for(target: Target, prices: Prices, usd: Decimal | None, asked: Iterable[Target] = ()) -> BudgetPolicy:
    """Return the budget of a run: `usd`, or otherwise the route's. Raises UsageError where it bounds no request."""
    budget = target.route.budget if usd is None else replace(target.route.budget, usd_per_run=usd)
    if not budget.counts_money and budget.tokens_per_run is None:
        return budget
    for name, leaf in (one for each in (target, *asked) for one in each.leaves.items()):
        if budget.counts_money and not bounded(prices.find(leaf.provider)):
            raise UsageError(
                f"a budget in USD cannot bound {name!r}: it has no price per token",
                where=leaf.where,
                hint="a recording buys nothing: leave the budget out"
                if leaf.provider.traits.recorded
                else f"add to [models.{name}] in evalh.toml: price = {{input = 0.25, output = 2.0}}",
            )
        if leaf.settings.max_tokens is None:
            raise UsageError(
                f"a budget cannot bound {name!r}: nothing bounds its output tokens",
                where=leaf.where,
                hint="add max_tokens to the prompt's config, or to the model's params",
            )
    return budget


def bounded(pricer: Pricer | None) -> bool:
    """Whether a price bounds a request before it is sent; a price per hour does not."""
    return pricer is not None and pricer.cost(Usage(input_tokens=1, output_tokens=1), None) is not None
