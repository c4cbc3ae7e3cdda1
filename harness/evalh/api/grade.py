"""`evalh grade --production`: what production answered, judged by a suite's graders. Nobody is asked for the task."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from functools import cached_property
from random import Random

from msgspec.structs import replace

from evalh.analysis.production import GradedProduction, ProductionRate, Weighed, change_of, rate_of
from evalh.api.event_loop import in_loop
from evalh.api.options import GradeOptions
from evalh.api.parts import Parts
from evalh.api.production import production
from evalh.api.runs import NoProgress, ends_of
from evalh.core.attempt import Call, CallError, Completion, ErrorKind, FinishReason, Usage
from evalh.core.case import Case
from evalh.core.digest import RowsDigest, canonical
from evalh.core.errors import NotFound, UsageError
from evalh.core.model import Traits
from evalh.core.ports import Progress
from evalh.core.production import WorkflowDetail
from evalh.core.prompt import PromptVersion
from evalh.core.request import Request, Settings, ToolCall
from evalh.core.route import direct
from evalh.core.run import RunKind
from evalh.core.sample import Sample
from evalh.core.strict_json import JsonValue
from evalh.core.suite import Suite
from evalh.core.values import Value
from evalh.engine.plan import Plan
from evalh.engine.session import Session, check_plans, together
from evalh.graders.kinds import Grader
from evalh.graders.registry import build_all
from evalh.pipeline.step import Step
from evalh.routing.target import Leaf, Target
from evalh.stats.clusters import ClusterIndex
from evalh.workspace.prompt.matching import inputs_of
from evalh.workspace.prompt.templates import compile_version
from evalh_trace.records import Attempt
from evalh_trace.records import Call as TracedCall

_NAME = "production"
_FINISHES = {str(reason): reason for reason in FinishReason}


class Answered(Value, kw_only=True):
    """One answer of production that fits a version of the suite's prompt."""

    id: str
    inputs: Mapping[str, JsonValue]
    completion: Completion
    fits: tuple[str, ...]  # the versions that may have asked; the first is the one that it is counted for
    weight: float
    session: str
    cost_usd: float | None


class Window(Value):
    """What was judged of one span of time."""

    versions: tuple[ProductionRate, ...]
    whole: ProductionRate
    weighed: tuple[Weighed, ...]
    doubtful: int
    left_out: Mapping[str, int]


def grade(parts: Parts, options: GradeOptions, progress: Progress | None = None) -> GradedProduction:
    """Judge what production answered. Raises EvalhError; NotFound where nothing can be judged."""
    suite = parts.suite(options.suite or parts.config.default_suite or _which(parts))
    graders = build_all(suite.graders, parts.grader_environment)
    judging = tuple(one for one in graders if not one.needs_expected)
    if not any(one.required for one in judging):
        raise UsageError(
            f"no required grader of suite {suite.name!r} can judge without gold, and production has none",
            where=suite.where,
            hint="add one that needs none: schema, length, regex, refusal, judge, …",
        )
    judge = _Judging(parts, suite, judging, options, progress)
    head = judge.window(options.since or "", "~")
    base = None if options.against is None else judge.window(options.against, options.since or "~")
    return GradedProduction(
        suite=suite.name,
        versions=head.versions,
        whole=head.whole,
        change=None if base is None else change_of((base.whole, base.weighed), (head.whole, head.weighed)),
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

    def window(self, since: str, until: str) -> Window:
        """Judge what was asked in a span. Raises NotFound where nothing can be judged, EvalhError."""
        left_out: Counter[str] = Counter()
        suite = self._versions.suite
        answers = list(self._answers(since, until, left_out))
        if not answers:
            told = "; ".join(f"{count:,} {why}" for why, count in left_out.most_common())
            what = f"nothing of production can be graded by suite {suite.name!r}"
            raise NotFound(f"{what}: {told or 'no workflow in that time'}", hint="evalh trace list")
        by_version: defaultdict[str, list[Answered]] = defaultdict(list)
        for one in answers:
            by_version[one.fits[0]].append(one)
        found: list[ProductionRate] = []
        everything: list[Weighed] = []
        for label, fitting in sorted(by_version.items()):
            plan = _plan(self._parts, suite, self._versions.named(label), self._graders, fitting)
            run, weighed = _judged(self._parts, plan, fitting, self._options, self._progress)
            found.append(rate_of(label, run, weighed))
            everything += weighed
        return Window(
            versions=tuple(found),
            whole=rate_of("all", None, everything),
            weighed=tuple(everything),
            doubtful=sum(len(one.fits) > 1 for one in answers),
            left_out=dict(left_out),
        )

    def _answers(self, since: str, until: str, left_out: Counter[str]) -> Iterator[Answered]:
        """Yield what can be judged; count what cannot, by why."""
        reader, options, versions = production(self._parts), self._options, self._versions
        found = list(reader.workflows(since=since, until=until))
        if options.sample is not None and options.sample < len(found):
            found = Random(options.seed).sample(found, options.sample)  # noqa: S311 (a sample, not a secret)
        for workflow in found:
            detail = reader.detail(workflow.id)
            fitting = list(_of_calls(detail, versions))
            if not fitting and (own := _of_workflow(detail, versions)) is not None:
                fitting = [own]
            if not fitting:
                left_out[_why_not(detail, versions)] += 1
            yield from fitting


def _which(parts: Parts) -> str:
    raise UsageError("which suite?", hint=f"evalh grade {' | '.join(parts.suites())} --production")


class Versions:
    """The versions of a suite's prompt, the live one first: which of them may have rendered a call's messages."""

    def __init__(self, parts: Parts, suite: Suite) -> None:
        """Load nothing yet."""
        self._prompts = parts.prompts()
        self._name = suite.prompt
        self.suite = suite

    @cached_property
    def _loaded(self) -> dict[str, PromptVersion]:
        names = self._prompts.versions(self._name)
        live = self._prompts.live(self._name)
        order = sorted(names, key=lambda name: (name != live, -names.index(name)))
        loaded = [self._prompts.load(self._name, name) for name in order]
        return {one.label: one for one in loaded}

    @property
    def live(self) -> PromptVersion:
        """The one in use; the draft where nothing was released."""
        return next(iter(self._loaded.values()))

    def named(self, label: str) -> PromptVersion:
        """Return the version of a label."""
        return self._loaded[label]

    def knows(self, label: str) -> bool:
        """Whether there is a version of this label."""
        return label in self._loaded

    def fitting(self, messages: JsonValue) -> list[tuple[str, dict[str, JsonValue]]]:
        """Return the versions that may have rendered these messages, each with the inputs that it had then."""
        said = [
            (str(message["role"]), "".join(part for part in message["parts"] if isinstance(part, str)))
            for message in messages
        ]
        fits = ((label, inputs_of(version, said)) for label, version in self._loaded.items())
        return [(label, inputs) for label, inputs in fits if inputs is not None]


def _of_calls(detail: WorkflowDetail, versions: Versions) -> Iterator[Answered]:
    """Yield the calls whose messages a version rendered, whoever did it."""
    attempts: dict[str, Attempt] = {one.call_id: one for one in detail.attempts if one.status != "error"}
    for call in detail.calls:
        answer = attempts.get(call.id)
        if answer is None or not call.messages or (answer.text is None and not answer.tool_calls):
            continue
        with suppress(LookupError, TypeError):  # messages that are not of the log's form
            fits = versions.fitting(call.messages)
            if fits:
                fits.sort(key=lambda one: one[0] != call.prompt)
                yield _answered(detail, call.id, fits[0][1], _completion(call, answer), [label for label, _ in fits])


def _of_workflow(detail: WorkflowDetail, versions: Versions) -> Answered | None:
    """Return the workflow itself where it is called as the prompt is, with inputs and an output."""
    workflow = detail.workflow
    if workflow.name not in (versions.suite.prompt, versions.suite.name):
        return None
    inputs, output = workflow.inputs, workflow.output
    if not isinstance(inputs, dict) or output is None:
        return None
    if not versions.live.variables - versions.live.input_defaults.keys() <= inputs.keys():
        return None
    text = output if isinstance(output, str) else canonical(output).decode("utf-8", "surrogatepass")
    took = None if workflow.ended_at is None else max(0.0, 1000.0 * (workflow.ended_at - workflow.started_at))
    stated = next((call.prompt for call in detail.calls if call.prompt and versions.knows(call.prompt)), None)
    completion = Completion(text=text, latency_ms=took, cost_usd=Decimal(0))
    return _answered(detail, workflow.id, inputs, completion, [stated or versions.live.label])


def _answered(
    detail: WorkflowDetail, name: str, inputs: Mapping[str, JsonValue], completion: Completion, fits: Sequence[str]
) -> Answered:
    workflow = detail.workflow
    costs = [one.cost_usd for one in detail.attempts if name in (workflow.id, one.call_id)]
    known = None if None in costs or not costs else sum(one for one in costs if one is not None)
    return Answered(
        id=name,
        inputs=inputs,
        completion=completion,
        fits=tuple(fits),
        weight=1.0 / workflow.probability if workflow.probability > 0 else 1.0,
        session=workflow.session or workflow.id,
        cost_usd=known,
    )


def _completion(call: TracedCall, answer: Attempt) -> Completion:
    calls = answer.tool_calls if isinstance(answer.tool_calls, list) else []
    return Completion(
        text=answer.text or "",
        finish=_FINISHES.get(answer.finish or "", FinishReason.STOP),
        tool_calls=tuple(ToolCall(str(one["id"]), str(one["name"]), str(one["arguments"])) for one in calls),
        usage=Usage(input_tokens=answer.input_tokens, output_tokens=answer.output_tokens),
        latency_ms=call.latency_ms if call.latency_ms is not None else answer.latency_ms,
        ttft_ms=answer.ttft_ms,
        model=answer.model_answered,
        reasoning=answer.reasoning,
        cost_usd=Decimal(0),  # production paid for it, and its own file says how much
    )


def _why_not(detail: WorkflowDetail, versions: Versions) -> str:
    workflow = detail.workflow
    if any(call.messages for call in detail.calls):
        return f"have calls that fit no version of {versions.suite.prompt}"
    if workflow.name not in (versions.suite.prompt, versions.suite.name):
        return "are about something else"
    if workflow.inputs is None and workflow.output is None:
        return "have no content ([trace] content is off)"
    return "have no output, or inputs that the prompt does not take"


# -- a run over what is known


class ProductionCases:
    """`core.ports.Cases`: a case for each answer, without gold."""

    def __init__(self, answers: Sequence[Answered]) -> None:
        """Digest the rows and find equal ones."""
        self._cases = [Case(id=one.id, inputs=one.inputs) for one in answers]
        self.text_inputs: frozenset[str] = frozenset()
        self.some_inputs = frozenset(name for one in self._cases for name in one.inputs)
        rows, alike = RowsDigest(), ClusterIndex()
        for case in self._cases:
            rows.add(case.document())
            alike.add(canonical(case.inputs), case.cluster)
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

    def __init__(self, answers: Sequence[Answered]) -> None:
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
    parts: Parts, suite: Suite, version: PromptVersion, graders: Sequence[Grader], answers: Sequence[Answered]
) -> Plan:
    if version.pipeline is not None:
        raise UsageError(f"{version.label} is a pipeline: its workflows cannot be graded yet", where=version.path)
    provider = ProductionAnswers(answers)
    settings = Settings(model=_NAME, sent_to=provider.identity, output_schema=version.output_schema)
    target = Target(route=direct(_NAME), routes={}, leaves={_NAME: Leaf(provider, settings)})
    return Plan(
        suite=replace(suite, trials=1),
        version=version,
        target=target,
        step=Step(compile_version(version), settings),
        graders=graders,
        cases=ProductionCases(answers),
        trials=1,
        resolve=parts.targets.resolve,
        build_checks=parts.targets.build_checks,
        find_asked=parts.targets.asked,
    )


def _judged(
    parts: Parts, plan: Plan, answers: Sequence[Answered], options: GradeOptions, progress: Progress | None
) -> tuple[str, list[Weighed]]:
    """Run the graders; return the run's id and the samples with their weights."""
    shown = progress or NoProgress()
    check_plans([plan], parts.prices, options)
    with parts.writing(shown) as store:
        session = Session(plan, ends_of(parts, store, options, shown, kind=RunKind.PRODUCTION))
        samples = in_loop(_evaluated(session))
    by_id = {one.id: one for one in answers}
    weighed = [
        Weighed(one, by_id[one.case.id].weight, by_id[one.case.id].session, by_id[one.case.id].cost_usd)
        for one in samples
    ]
    return session.record.id, weighed


async def _evaluated(session: Session) -> list[Sample]:
    with suppress(asyncio.CancelledError):
        async with together(session):
            await session.evaluate((place, case, range(1)) for place, case in enumerate(session.plan.cases))
    return sorted(session.samples.values(), key=lambda one: one.case_index)
