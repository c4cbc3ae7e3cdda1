"""`evalh check` of pipelines: their checks and models, and the steps that suites and rows name."""

from collections.abc import Iterator, Mapping, Sequence

from msgspec.structs import replace

from evalh.api.gold import impossible_golds, missing_golds
from evalh.api.parts import Parts
from evalh.api.targets import refuse_nobody, refuse_readers, require_steps
from evalh.core.case import ABSENT, Case
from evalh.core.errors import EvalhError, WorkspaceError, did_you_mean
from evalh.core.prompt import Pipeline, PromptVersion
from evalh.core.suite import Suite
from evalh.graders.kinds import Grader
from evalh.graders.registry import build_all
from evalh.workspace.dataset.dataset import Dataset
from evalh.workspace.prompt.prompts import Prompts


def step_problems(parts: Parts, prompts: Prompts) -> Iterator[EvalhError]:
    """Compile the checks of every pipeline, and look up the models that its steps name."""
    for name in prompts.names():
        for version in prompts.versions(name):
            try:
                pipeline = prompts.load(name, version).pipeline
            except EvalhError:  # reported where prompts are checked
                continue
            yield from () if pipeline is None else _of_steps(parts, pipeline)


def _of_steps(parts: Parts, pipeline: Pipeline) -> Iterator[EvalhError]:
    known = (*parts.config.models, *parts.config.routes)
    for spec in pipeline.steps:
        if spec.model is not None and spec.model not in known:
            yield parts.targets.no_model(spec.model, spec.where)
        try:
            checks = parts.targets.build_checks(spec.checks)
            if spec.function is not None:
                refuse_nobody(checks, spec.name)
        except EvalhError as exc:
            yield exc


def graded_steps(
    parts: Parts,
    judged: tuple[Suite, Sequence[Grader]],
    versions: Sequence[PromptVersion],
    in_use: PromptVersion,
    dataset: Dataset,
) -> Iterator[EvalhError]:
    """Check a suite's graders, those of steps too, and the steps that its rows name, against the pipeline."""
    suite, of_samples = judged
    steps = {} if in_use.pipeline is None else {spec.name: spec for spec in in_use.pipeline.steps}
    for name, specs in suite.step_graders.items():
        where = suite.where_of(f"step_graders.{name}")
        if name not in steps:
            hint = did_you_mean(name, steps) if steps else "it is a single prompt: put them under `graders`"
            yield WorkspaceError(f"{in_use.label} has no step {name!r}", where=where, hint=hint)
            continue
        try:
            graders = build_all(specs, parts.grader_environment)
            refuse_readers(graders)
            if steps[name].function is not None:
                refuse_nobody(graders, name)
        except EvalhError as exc:
            yield exc
            continue
        yield from missing_golds(graders, name, dataset)
        version = steps[name].version
        if version is not None:
            yield from impossible_golds(specs, version, _with_gold_of(name, dataset))
    yield from _read_steps(of_samples, in_use)
    known = {spec.name for one in versions if one.pipeline is not None for spec in one.pipeline.steps}
    if known:
        yield from _strange_steps(dataset, known)


def _read_steps(graders: Sequence[Grader], version: PromptVersion) -> Iterator[EvalhError]:
    """Yield an error for each grader of a suite that reads a step which its prompt does not have."""
    for grader in graders:
        try:
            require_steps([grader], version)
        except EvalhError as exc:
            yield exc


def _with_gold_of(step: str, dataset: Dataset) -> Iterator[Case]:
    """Yield the cases with gold for a step, as the step's graders see them."""
    for case in dataset:
        gold = case.gold_of(step)
        if gold is not ABSENT:
            yield replace(case, expected=gold)


def _strange_steps(dataset: Dataset, known: set[str]) -> Iterator[WorkspaceError]:
    """Yield, for each unknown step, the first row with gold or a double for it."""
    told: set[str] = set()
    for case in dataset:
        stated = case.expected.get("steps") if isinstance(case.expected, Mapping) else None
        gold = stated if isinstance(stated, Mapping) else {}
        for key, names in (("expected.steps", gold), ("given", case.given)):
            for name in names:
                if name in known or f"{key}.{name}" in told:
                    continue
                told.add(f"{key}.{name}")
                what = f"case {case.id!r}: {key} names the step {name!r}, which no version has"
                yield WorkspaceError(what, where=case.where, hint=did_you_mean(name, known))
