"""`evalh grade --production`: what production answered, judged by a suite's graders. Nobody is asked for the task."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from random import Random

from msgspec.structs import replace

from evalh.analysis.production import GradedProduction, ProductionRate, Weighed, by_feedback, change_of, rate_of
from evalh.api.answered import ProductionAnswer, Versions, answers_of, why_not
from evalh.api.event_loop import in_loop
from evalh.api.options import GradeOptions
from evalh.api.parts import Parts
from evalh.api.pipelines import Choice, Planner
from evalh.api.production import production
from evalh.api.runs import NoProgress, ends_of
from evalh.api.targets import require_steps
from evalh.core.attempt import Call, CallError, Completion, ErrorKind
from evalh.core.case import Case
from evalh.core.digest import RowsDigest, canonical
from evalh.core.errors import NotFound, UsageError, one_of
from evalh.core.model import Traits
from evalh.core.ports import Progress
from evalh.core.production import Voted
from evalh.core.prompt import PromptVersion
from evalh.core.request import Request, Settings
from evalh.core.route import direct
from evalh.core.run import RunKind
from evalh.core.sample import Sample
from evalh.core.strict_json import JsonValue
from evalh.core.suite import Suite
from evalh.core.values import Value
from evalh.engine.plan import Asked, Plan, PlannedPipeline
from evalh.engine.session import Session, check_plans, together
from evalh.graders.kinds import Grader
from evalh.pipeline.step import Step
from evalh.routing.target import Leaf, Target
from evalh.stats.clusters import ClusterIndex
from evalh.workspace.prompt.templates import compile_version

_NAME = "production"


class GradedWindow(Value):
    """What was judged of one span of time."""

    versions: tuple[ProductionRate, ...]
    whole: ProductionRate
    weighed: tuple[Weighed, ...]
    doubtful: int
    left_out: Mapping[str, int]


def grade(parts: Parts, options: GradeOptions, progress: Progress | None = None) -> GradedProduction:
    """Judge what production answered. Raises EvalhError; NotFound where nothing can be judged."""
    suite = parts.suite(options.suite or parts.config.default_suite or _which(parts))
    graders = tuple(one for one in parts.graders_of(suite) if one.kind.name != "case")  # production has no rows
    judging = tuple(one for one in graders if not one.needs_expected)
    if not any(one.required for one in judging):
        raise UsageError(
            f"every required grader of suite {suite.name!r} needs gold, and production has no gold",
            where=suite.where,
            hint="add one without gold: schema, length, regex, refusal, judge, …",
        )
    judge = _Judging(parts, suite, judging, options, progress)
    head = judge.window(options.since or "", "~")
    base = None if options.against is None else judge.window(options.against, options.since or "~")
    return GradedProduction(
        suite=suite.name,
        versions=head.versions,
        whole=head.whole,
        change=None if base is None else change_of((base.whole, base.weighed), (head.whole, head.weighed)),
        by_feedback=by_feedback(head.weighed),
        left_out=head.left_out,
        without_gold=tuple(one.name for one in graders if one.needs_expected),
        doubtful=head.doubtful,
        max_ungraded=suite.max_ungraded,
    )


class _Judging:
    """Judges spans of time by one suite."""

    def __init__(
        self, parts: Parts, suite: Suite, graders: tuple[Grader, ...], options: GradeOptions, progress: Progress | None
    ) -> None:
        self._parts = parts
        self._graders = graders
        self._options = options
        self._progress = progress
        self._versions = Versions(parts, suite)

    def window(self, since: str, until: str) -> GradedWindow:
        """Judge what was asked in a span. Raises NotFound where nothing can be judged, EvalhError."""
        left_out: Counter[str] = Counter()
        suite = self._versions.suite
        answers = list(self._answers(since, until, left_out))
        if not answers:
            told = "; ".join(f"{count:,} {why}" for why, count in left_out.most_common())
            which = "" if self._options.feedback is None else f" of which users said {self._options.feedback}"
            what = f"nothing of production{which} can be graded by suite {suite.name!r}"
            raise NotFound(f"{what}: {told or 'no workflow in that time'}", hint="evalh trace list")
        by_version: defaultdict[str, list[ProductionAnswer]] = defaultdict(list)
        for one in answers:
            by_version[one.fits[0]].append(one)
        found: list[ProductionRate] = []
        everything: list[Weighed] = []
        for label, fitting in sorted(by_version.items()):
            plan = _plan(self._parts, suite, self._versions.named(label), self._graders, fitting)
            session, weighed = _judged(self._parts, plan, fitting, self._options, self._progress)
            found.append(rate_of(label, session.record.id, weighed, session.summary.pipeline))
            everything += weighed
        return GradedWindow(
            versions=tuple(found),
            whole=rate_of("all", None, everything),
            weighed=tuple(everything),
            doubtful=sum(len(one.fits) > 1 for one in answers),
            left_out=dict(left_out),
        )

    def _answers(self, since: str, until: str, left_out: Counter[str]) -> Iterator[ProductionAnswer]:
        """Yield what can be judged; count what cannot, by why."""
        reader, options, versions = production(self._parts), self._options, self._versions
        found = list(reader.workflows(since=since, until=until))
        if options.feedback is not None:
            votes = reader.votes()
            found = [one for one in found if Voted.of(votes.get(one.id)) == options.feedback]
        if options.sample is not None and options.sample < len(found):
            found = Random(options.seed).sample(found, options.sample)  # noqa: S311 (a sample, not a secret)
        for workflow in found:
            detail = reader.detail(workflow.id)
            fitting = answers_of(detail, versions)
            if not fitting:
                left_out[why_not(detail, versions)] += 1
            yield from fitting


def _which(parts: Parts) -> str:
    raise UsageError("which suite?", hint=one_of("evalh grade {} --production", parts.suites()))


# -- a run over what is known


class ProductionCases:
    """`core.ports.Cases`: a case for each answer, without gold."""

    def __init__(self, answers: Sequence[ProductionAnswer]) -> None:
        """Digest the rows and find equal ones."""
        self._cases = [Case(id=one.id, inputs=one.inputs) for one in answers]
        self.text_inputs: frozenset[str] = frozenset()
        self.some_inputs = frozenset(name for one in self._cases for name in one.inputs)
        rows, alike = RowsDigest(), ClusterIndex()
        for case in self._cases:
            rows.add(case.document())
            alike.add(canonical(case.inputs), case.cluster, joins=not case.incident)
        self.digest, self.clusters = rows.value(), alike.numbers()

    def __len__(self) -> int:
        return len(self._cases)

    def __iter__(self) -> Iterator[Case]:
        return iter(self._cases)


class ProductionAnswers:
    """`core.ports.Provider`: gives each case the answer that production gave it. Nothing is sent."""

    name = kind = model = _NAME
    identity: Mapping[str, JsonValue] = {"provider": _NAME}
    params: Mapping[str, JsonValue] = {}
    traits = Traits(hosted=False, recorded=True, reads_files=False)
    max_in_flight = None

    def __init__(self, answers: Sequence[ProductionAnswer]) -> None:
        """Keep them by id."""
        self._answers = {one.id: one.completion for one in answers}

    async def open(self) -> None:
        """Have nothing to open."""

    async def send(self, request: Request, call: Call) -> Completion:
        """Answer. Raises CallError for what was never answered."""
        del request
        found = self._answers.get(call.key.case_id)
        if found is None:
            raise CallError(ErrorKind.NOT_RECORDED, f"production gave no answer to {call.key.case_id}")
        return found

    async def close(self) -> None:
        """Have nothing to close."""


def _plan(
    parts: Parts, suite: Suite, version: PromptVersion, graders: Sequence[Grader], answers: Sequence[ProductionAnswer]
) -> Plan:
    provider = ProductionAnswers(answers)
    settings = Settings(model=_NAME, sent_to=provider.identity, output_schema=version.output_schema)
    target = Target(route=direct(_NAME), routes={}, leaves={_NAME: Leaf(provider, settings)})
    require_steps(graders, version)
    pipeline = None if version.pipeline is None else _recorded_pipeline(parts, suite, version, target, answers)
    return Plan(
        suite=replace(suite, trials=1),
        version=version,
        target=target,
        step=None if pipeline is not None else Step(compile_version(version), settings),
        pipeline=pipeline,
        graders=graders,
        cases=ProductionCases(answers),
        trials=1,
        resolve=parts.targets.resolve,
        build_checks=parts.targets.build_checks,
        find_asked=parts.targets.asked,
    )


def _recorded_pipeline(
    parts: Parts, suite: Suite, version: PromptVersion, target: Target, answers: Sequence[ProductionAnswer]
) -> PlannedPipeline:
    """Return a pipeline whose steps give what they gave in production; no model and no function of it is asked."""
    planned = Planner(parts, suite, version, Choice(effects=True)).planned()
    steps = {}
    for name, step in planned.steps.items():
        own = target.settings()
        prompt = None if step.prompt is None else Asked(Step(step.prompt.step.template, own, name), target)
        judging = tuple(one for one in step.graders if not one.needs_expected)
        steps[name] = replace(step, prompt=prompt, asks={}, graders=judging)
    recorded = {one.id: one.steps for one in answers if one.steps is not None}
    return replace(planned, steps=steps, recorded=recorded)


def _judged(
    parts: Parts, plan: Plan, answers: Sequence[ProductionAnswer], options: GradeOptions, progress: Progress | None
) -> tuple[Session, list[Weighed]]:
    """Run the graders; return the session and the samples with their weights."""
    shown = progress or NoProgress()
    check_plans([plan], parts.prices, options)
    with parts.writing(shown) as store:
        session = Session(plan, ends_of(parts, store, options, shown, kind=RunKind.PRODUCTION))
        samples = in_loop(_evaluated(session))
    by_id = {one.id: one for one in answers}
    weighed = [
        Weighed(one, answer.weight, answer.session, answer.cost_usd, answer.voted)
        for one in samples
        for answer in (by_id[one.case.id],)
    ]
    return session, weighed


async def _evaluated(session: Session) -> list[Sample]:
    with suppress(asyncio.CancelledError):
        async with together(session):
            await session.evaluate((place, case, range(1)) for place, case in enumerate(session.plan.cases))
    return sorted(session.samples.values(), key=lambda one: one.case_index)
