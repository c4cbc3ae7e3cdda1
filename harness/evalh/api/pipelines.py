"""Resolve a pipeline for a run: the versions, models, functions, checks and graders of its steps."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from shlex import quote
from typing import Protocol

from msgspec import field
from msgspec.structs import replace

from evalh.api.options import RunOptions
from evalh.api.targets import Targets, build_checks, refuse_nobody, refuse_readers, require_logprobs
from evalh.core.case import ABSENT
from evalh.core.digest import digest
from evalh.core.errors import EvalhError, NotFound, UsageError, WorkspaceError, did_you_mean
from evalh.core.log import RunRow
from evalh.core.ports import Cases, Tree
from evalh.core.prompt import Pipeline, PromptRef, PromptVersion, StepSpec
from evalh.core.strict_json import JsonValue
from evalh.core.suite import Suite
from evalh.core.values import Value
from evalh.engine.pipeline.functions import check_signature
from evalh.engine.plan import Asked, Given, PlannedPipeline, PlannedStep
from evalh.graders.kinds import GraderEnvironment
from evalh.graders.registry import build_all
from evalh.pipeline.contracts import Contract
from evalh.pipeline.step import Step
from evalh.pipeline.walk import Flow
from evalh.routing.target import Target
from evalh.workspace.prompt.media import media_from
from evalh.workspace.prompt.prompts import Prompts
from evalh.workspace.prompt.templates import compile_version

GOLD = "expected"


class StepOutputs(Protocol):
    """The outputs of earlier runs' steps in the log."""

    def run(self, name: str) -> RunRow:
        """Return a run. Raises NotFound."""

    def step_outputs(self, run_id: str, step: str) -> Mapping[tuple[str, int], JsonValue]:
        """Return a step's outputs, by (case id, trial)."""


class Workshop(Protocol):
    """The parts of a workspace that resolve a pipeline: `api.parts.Parts`."""

    @property
    def targets(self) -> Targets:
        """The resolver of models and routes."""

    @property
    def grader_environment(self) -> GraderEnvironment:
        """The environment in which graders are compiled."""

    @property
    def under_test(self) -> Prompts:
        """The prompts under test."""

    @property
    def judged(self) -> Tree:
        """The tree that the prompts under test are read from."""

    @property
    def log(self) -> StepOutputs:
        """The log."""

    def version(self, ref: str | PromptRef, default_name: str | None = None) -> PromptVersion:
        """Load a version."""

    def load_function(self, path: str) -> Callable[..., object]:
        """Find a function."""

    def dataset_of(self, suite: Suite) -> Cases:
        """Open a suite's dataset."""


class Choice(Value):
    """The options of a run that change a pipeline: `--model`, `--step`, `--given`, `--allow-effects`."""

    model: str | None = None  # of every step
    models: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    given: Mapping[str, str] = field(default_factory=dict)
    effects: bool = False


def choices(options: RunOptions) -> list[Choice]:
    """Return a run's choices for a pipeline, one for each model. Raises UsageError."""
    plain = [text for text in options.models if "=" not in text]
    chosen = Choice(
        models=_by_step([text for text in options.models if "=" in text], "--model"),
        versions=_by_step(options.steps, "--step"),
        given=_by_step(options.given, "--given"),
        effects=options.allow_effects,
    )
    return [replace(chosen, model=model) for model in plain] or [chosen]


def _by_step(texts: Sequence[str], option: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for step, value in (_pair(text, option) for text in texts):
        if found.setdefault(step, value) != value:
            what = f"{option} names the step {step!r} twice: {found[step]} and {value}"
            raise UsageError(what, hint="name each step once; to compare two values, use two runs")
    return found


def _pair(text: str, option: str) -> tuple[str, str]:
    step, equals, value = text.partition("=")
    if not equals or not step.strip() or not value.strip():
        lacks = "step" if not equals or not step.strip() else "value"
        raise UsageError(f"{option} {text!r} has no {lacks}", hint=f"{option} <step>=<value>")
    return step.strip(), value.strip()


def chosen_version(parts: Workshop, version: PromptVersion, choice: Choice) -> PromptVersion:
    """Return a pipeline with the chosen versions of its steps. Raises NotFound, UsageError, WorkspaceError."""
    pipeline = version.pipeline
    assert pipeline is not None
    for option, named in (("--step", choice.versions), ("--model", choice.models), ("--given", choice.given)):
        for name in named:
            if name not in [one.name for one in pipeline.steps]:
                known = [one.name for one in pipeline.steps]
                raise NotFound(f"{option}: {version.label} has no step {name!r}", hint=did_you_mean(name, known))
    for spec in pipeline.steps:
        if spec.name in choice.models and spec.function is not None and not spec.function.asks:
            raise UsageError(f"--model: {spec.name!r} is a function that does not ask a model", where=spec.where)
    if not choice.versions:
        return version
    steps = tuple(_other_version(parts, one, choice.versions.get(one.name)) for one in pipeline.steps)
    changed = Pipeline(steps, pipeline.output)
    variant = "".join(f"[{name}@{choice.versions[name]}]" for name in sorted(choice.versions))
    return replace(version, pipeline=changed, digest=digest(changed.document()), variant=variant)


def _other_version(parts: Workshop, spec: StepSpec, stated: str | None) -> StepSpec:
    if stated is None:
        return spec
    if spec.version is None:
        raise UsageError(f"--step: {spec.name!r} is a function, and functions have no versions", where=spec.where)
    return replace(spec, version=parts.version(PromptRef.parse(stated), spec.version.name))


def resolved(
    parts: Workshop, suite: Suite, version: PromptVersion, options: RunOptions
) -> Iterator[tuple[PromptVersion, Target, PlannedPipeline]]:
    """Yield a pipeline for each model of a run: its version, the run's target, and its resolved steps.

    Raises EvalhError.
    """
    if version.pipeline is None:
        of_step = next((one for one in options.models if "=" in one), "")
        option = "--step" if options.steps else "--given" if options.given else f"--model {of_step}"
        what = f"{version.label} is a single prompt: {option} needs a pipeline"
        raise UsageError(what, hint=f"evalh prompt show {quote(version.label)}")
    for choice in choices(options):
        changed = chosen_version(parts, version, choice)
        planner = Planner(parts, suite, changed, choice)
        name, where = planner.main_model()
        yield changed, parts.targets.target_for(name, changed, where), planner.planned()


class Planner:
    """Resolves the steps of one pipeline for one suite."""

    def __init__(self, parts: Workshop, suite: Suite, version: PromptVersion, choice: Choice) -> None:
        assert version.pipeline is not None
        self._parts = parts
        self._suite = suite
        self._version = version
        self._pipeline = version.pipeline
        self._choice = choice

    def main_model(self) -> tuple[str, str | None]:
        """Return the model that names the run, and where it is stated. Raises UsageError."""
        if self._choice.model is not None:
            return self._choice.model, None
        if self._suite.model is not None:
            return self._suite.model, self._suite.where_of("model")
        for spec in self._pipeline.steps:
            if spec.version is not None:
                return self._model_of(spec, spec.version)
        return self._parts.targets.default_model(self._suite, self._version)

    def planned(self) -> PlannedPipeline:
        """Return the pipeline, resolved. Raises EvalhError."""
        self._refuse_strangers()
        contracts = {
            spec.name: Contract(spec.version.input_schema, spec.version.input_defaults)
            for spec in self._pipeline.steps
            if spec.version is not None and spec.version.input_schema is not None
        }
        return PlannedPipeline(
            flow=Flow(self._pipeline, contracts),
            steps={spec.name: self._step(spec) for spec in self._pipeline.steps},
            given=dict(self._given()),
            effects=self._choice.effects,
        )

    def _refuse_strangers(self) -> None:
        """Raise WorkspaceError for graders of a step that no version of the prompt has."""
        known = [spec.name for spec in self._pipeline.steps]
        for name in self._suite.step_graders:
            if name not in known and name not in self._elsewhere():
                what = f"{self._version.label} has no step {name!r}"
                where = self._suite.where_of("step_graders")
                raise WorkspaceError(what, where=where, hint=did_you_mean(name, known))

    def _elsewhere(self) -> set[str]:
        """Return the steps of the prompt's other versions, as far as they can be read."""
        prompts, found = self._parts.under_test, set[str]()
        for version in prompts.versions(self._version.name):
            with suppress(EvalhError):
                pipeline = prompts.load(self._version.name, version).pipeline
                found |= {spec.name for spec in pipeline.steps} if pipeline is not None else set()
        return found

    def _step(self, spec: StepSpec) -> PlannedStep:
        parts, environment = self._parts, self._parts.grader_environment
        checks = build_checks(spec.checks, environment)
        graders = build_all(self._suite.step_graders.get(spec.name, ()), environment)
        refuse_readers(graders)
        if spec.version is not None:
            asked = self._asked(spec, spec.version)
            require_logprobs((*checks, *graders), environment, asked.target)
            return PlannedStep(spec=spec, prompt=asked, checks=checks, graders=graders)
        assert spec.function is not None
        refuse_nobody((*checks, *graders), spec.name)
        function = parts.load_function(spec.function.path)
        check_signature(spec, function)
        if spec.function.effects and not self._choice.effects and spec.name not in self._choice.given:
            self._refuse_effects(spec)
        asks = {name: self._asked(spec, version) for name, version in spec.function.asks.items()}
        return PlannedStep(spec=spec, function=function, asks=asks, checks=checks, graders=graders)

    def _refuse_effects(self, spec: StepSpec) -> None:
        dataset = self._parts.dataset_of(self._suite)
        lacks = next((case for case in dataset if spec.name not in case.given), None)
        if lacks is not None:
            raise UsageError(
                f"`{spec.name}` has effects, and case {lacks.id!r} has no double for it",
                where=spec.where,
                hint=f'"given": {{"{spec.name}": …}} in the row, --given {spec.name}=RUN, or --allow-effects',
            )

    def _asked(self, spec: StepSpec, version: PromptVersion) -> Asked:
        model, where = self._model_of(spec, version)
        target = self._with_checks(self._parts.targets.target_for(model, version, where), spec)
        template = compile_version(version, media=partial(media_from, self._parts.judged))
        return Asked(Step(template, target.settings(), spec.name), target)

    def _model_of(self, spec: StepSpec, version: PromptVersion) -> tuple[str, str | None]:
        """Return the model of a step: the command line's, the step's, the suite's, or the prompt's."""
        if spec.name in self._choice.models:
            return self._choice.models[spec.name], None
        if self._choice.model is not None:
            return self._choice.model, None
        if spec.model is not None:
            return spec.model, spec.where
        return self._parts.targets.default_model(self._suite, version)

    @staticmethod
    def _with_checks(target: Target, spec: StepSpec) -> Target:
        """Add a step's checks to those by which its route decides on repair and escalation."""
        route = target.route
        if not spec.checks or (route.repair is None and route.cascade is None):
            return target
        repair, cascade = route.repair, route.cascade
        if repair is not None:
            repair = replace(repair, checks=(*repair.checks, *spec.checks))
        if cascade is not None:
            cascade = replace(cascade, checks=(*cascade.checks, *spec.checks))
        route = replace(route, repair=repair, cascade=cascade)
        return Target(route=route, routes=target.routes, leaves=target.leaves, judges_by=target.judges_by)

    def _given(self) -> Iterator[tuple[str, Given]]:
        for step, source in self._choice.given.items():
            if source == GOLD:
                if all(case.gold_of(step) is ABSENT for case in self._parts.dataset_of(self._suite)):
                    what = f"--given {step}={GOLD}: no case has gold for {step!r}"
                    raise UsageError(what, hint=f'"expected": {{"steps": {{"{step}": …}}}} in the rows; or {step}=RUN')
                yield step, Given(GOLD)
                continue
            outputs = self._parts.log.step_outputs(self._parts.log.run(source).record.id, step)
            if not outputs:
                raise NotFound(f"--given: run {source} has no outputs of step {step!r}", hint="evalh report RUN")
            content = sorted([case, trial, digest(output)] for (case, trial), output in outputs.items())
            yield step, Given(source, outputs, digest(content))
