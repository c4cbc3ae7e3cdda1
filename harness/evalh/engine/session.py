"""One run of a plan, from its first request to the final row. Every verb that asks models uses it.

A verb asks for all samples, or batch after batch; several sessions can run together, as both sides of a gate.
"""

import asyncio
import secrets
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

from msgspec import field
from msgspec.structs import replace

from evalh.analysis.summary import Fold
from evalh.core.attempt import Answer, CallKey
from evalh.core.case import Case
from evalh.core.money import Price, plus
from evalh.core.ports import Clock, Prices, Progress, Provider, Store
from evalh.core.run import RunKind, RunRecord, RunStatus, RunSummary
from evalh.core.sample import Sample, SampleResult, Standing
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.core.verdict import Outcome
from evalh.core.version import __version__
from evalh.engine.forecast import check_inputs
from evalh.engine.pipeline.calls import Flights
from evalh.engine.plan import AskOptions, Known, Plan, Routing, budget_for
from evalh.engine.runner import Runner, Wanted
from evalh.routing.build import Builder
from evalh.routing.run_context import Halt
from evalh.routing.target import Target, reachable

if TYPE_CHECKING:
    from evalh.engine.pipeline.runner import PipelineRunner

DEFAULT_CONCURRENCY = 32
_STAMP = 20  # characters of a run's id with its start: r20261124-014246-3f9
_GIVEN: deque[str] = deque(maxlen=1000)  # fewer than the possible ids of one instant


def new_run_id(now: float) -> str:
    """Return an id that sorts by time and is unique over all stores: `r20261124-014246-3f9c2e`.

    The last six digits are the second's fraction, in 4096ths, and random digits: runs of one second sort too.
    """
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now))
    while (chosen := f"r{stamp}-{int(now % 1 * 4096):03x}{secrets.token_hex(2)[:3]}") in _GIVEN:
        pass  # a gate's runs begin at one instant, and could get the same id by chance
    _GIVEN.append(chosen)
    return chosen


class Doors:
    """Open providers. A provider of several sessions is opened once, and closed by the session that opened it."""

    def __init__(self) -> None:
        """Open nothing yet."""
        self._open: set[Provider] = set()

    @asynccontextmanager
    async def open(self, targets: Iterable[Target]) -> AsyncIterator[None]:
        """Open the providers of targets that are not open yet. Raises EvalhError."""
        found = dict.fromkeys(leaf.provider for target in targets for leaf in target.leaves.values())
        mine = [provider for provider in found if provider not in self._open]
        self._open.update(mine)
        try:
            for provider in mine:
                await provider.open()
            yield
        finally:
            self._open.difference_update(mine)
            for provider in mine:
                await provider.close()


class Ends(Value, kw_only=True):
    """The store, clock, prices and progress of a session, and its options."""

    store: Store
    clock: Clock
    prices: Prices
    progress: Progress
    provenance: Callable[[], tuple[str | None, bool | None]]  # (commit, whether files differ from it)
    row_digest: Callable[[Case], str]  # as in the log and in people's labels
    asking: AskOptions = field(default_factory=AskOptions)
    doors: Doors = field(default_factory=Doors)
    flights: Flights = field(default_factory=Flights)
    kind: RunKind = RunKind.RUN
    env: Mapping[str, str] = field(default_factory=dict)  # for functions of pipelines, which are handed what they name

    @property
    def concurrency(self) -> int:
        """How many samples are evaluated at once."""
        return self.asking.concurrency or DEFAULT_CONCURRENCY

    def builder(self, routing: Routing, asked: Sequence[Target], halt: Halt) -> Builder:
        """Return the builder of a run's providers; `asked` are the targets of its graders and checks."""
        return Builder(
            target=routing.target,
            log=self.store,
            clock=self.clock,
            prices=self.prices,
            halt=halt,
            progress=self.progress,
            concurrency=self.concurrency,
            build_checks=routing.build_checks,
            find=None if self.asking.fresh else self.store.find,
            find_routed=None if self.asking.fresh else self._find_routed,
            budget=budget_for(routing.target, self.prices, self.asking.budget_usd, asked),
            resolve=routing.resolve,
            also=tuple(route for target in asked for route in reachable(target.route, target.routes)),
        )

    def _find_routed(self, request_digest: str, key: CallKey) -> Answer | None:
        return self.store.find_all([(request_digest, key)], routed=True)[0]


def check_plans(plans: Iterable[Plan], prices: Prices, asking: AskOptions) -> None:
    """Raise EvalhError for a plan that would fail later: a missing variable, a budget without a bound."""
    for plan in plans:
        if plan.pipeline is None:
            check_inputs(plan)
        else:
            from evalh.engine.pipeline.forecast import check_pipeline_inputs

            check_pipeline_inputs(plan)
        budget_for(plan.routing.target, prices, asking.budget_usd, plan.beside)


class _KnownFirst:
    """The log, preceded by answers from elsewhere, such as a committed baseline."""

    def __init__(self, store: Store, answers: Mapping[tuple[str, CallKey], Answer]) -> None:
        self._store = store
        self._answers = answers

    def find_all(self, wanted: Sequence[tuple[str, CallKey]], *, routed: bool = False) -> list[Answer | None]:
        """Return the answer for each (request digest, key), in their order."""
        found = [self._answers.get(one) for one in wanted]
        others = [one for one, answer in zip(wanted, found, strict=True) if answer is None]
        rest = iter(self._store.find_all(others, routed=routed)) if others else iter(())
        return [next(rest) if answer is None else answer for answer in found]

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)


class _Keeping:
    """`core.ports.Progress` that keeps every sample, and passes it on."""

    def __init__(self, shown: Progress, samples: dict[tuple[str, int], Sample]) -> None:
        self._shown = shown
        self._samples = samples

    def advance(self, sample: Sample) -> None:
        """Keep one sample."""
        self._samples[sample.case.id, sample.trial] = sample
        self._shown.advance(sample)

    def __getattr__(self, name: str) -> object:
        return getattr(self._shown, name)


class Session:
    """One run. As a context it opens providers and the run's row, and always closes them."""

    def __init__(
        self, plan: Plan, ends: Ends, known: Known | None = None, *, began: float | None = None, keeps: bool = True
    ) -> None:
        """Build the runner. `known` samples are not asked; `keeps=False` if only the summary is needed."""
        known = known or Known()
        self.plan = plan
        self.ends = ends
        self.answers = known.answers
        self.halt = Halt(ends.clock)
        self.samples: dict[tuple[str, int], Sample] = {}
        self.status = RunStatus.INTERRUPTED
        self.reason: str | None = None
        self._known = known.results
        self._fold = self._new_fold()
        self._resources = AsyncExitStack()
        self.record = self._new_record(ends.clock.now() if began is None else began)
        builder = ends.builder(plan.routing, plan.beside, self.halt)
        self._deadline_s = builder.budget.deadline_s
        self._runner = self._new_runner(builder, known, keeps=keeps)

    def _new_runner(self, builder: Builder, known: Known, *, keeps: bool) -> "Runner | PipelineRunner":
        ends = self.ends
        store = cast("Store", _KnownFirst(ends.store, known.answers)) if known.answers else ends.store
        shared: dict[str, Any] = {
            "plan": self.plan,
            "record": self.record,
            "store": store,
            "fold": self._fold,
            "progress": cast("Progress", _Keeping(ends.progress, self.samples)) if keeps else ends.progress,
            "halt": self.halt,
            "concurrency": ends.concurrency,
            "fresh": ends.asking.fresh,
        }
        if self.plan.pipeline is None:
            provider = builder.build()
            return Runner(provider=provider, inquiry=builder.inquiry, numbers=builder.numbers, **shared)
        from evalh.engine.pipeline.runner import PipelineRunner, tools_of

        tools = tools_of(self.plan, builder, store, self.record.id, ends.flights, ends.env)
        return PipelineRunner(tools=tools, **shared)

    def _new_fold(self) -> Fold:
        plan = self.plan
        prices = [self.ends.prices.find(leaf.provider) for one in plan.targets for leaf in one.leaves.values()]
        by_the_hour = any(isinstance(price, Price) and price.per_hour is not None for price in prices)
        return plan.new_fold(by_the_hour=by_the_hour)

    def _new_record(self, began: float) -> RunRecord:
        plan = self.plan
        commit, dirty = self.ends.provenance()
        return RunRecord(
            id=new_run_id(began),
            suite=plan.suite.name,
            prompt=plan.version.label,
            model=plan.target.name,
            model_sent=plan.target.first.provider.model,
            fingerprint=plan.fingerprint(),
            trials=plan.trials,
            planned=plan.planned,
            started_at=began,
            owner=plan.suite.owner,
            prompt_digest=plan.version.digest,
            prompt_document=plan.version.content_document(),
            settings_document={} if plan.step is None else plan.step.settings.document(),
            commit=commit,
            dirty=dirty,
            evalh_version=__version__,
            selection=dict(plan.selection) | ({"draw": plan.draw} if plan.draw else {}),
            max_ungraded=plan.suite.max_ungraded,
            graders_document=[{"name": grader.name, **grader.document()} for grader in plan.graders],
            kind=self.ends.kind,
            steps=() if plan.pipeline is None else plan.pipeline.record(),
        )

    async def __aenter__(self) -> Self:
        """Open providers and the run's row. Raises EvalhError."""
        await self._resources.enter_async_context(self.ends.doors.open([*self.plan.targets, *self.plan.asked]))
        try:
            self.ends.store.start_run(self.record)
        except BaseException:
            await self._resources.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close them. Returns when everything is durable, or the log is blocked."""
        if kind is None:
            self.reason = self.halt.reason
            self.status = RunStatus.STOPPED if self.reason else RunStatus.COMPLETE
        elif issubclass(kind, asyncio.CancelledError):
            self.reason = "interrupted"
        async with self._resources:
            self.ends.store.finish_run(self.record.id, self.status, self.summary, self.reason)

    async def evaluate(self, wanted: Iterable[Wanted]) -> None:
        """Evaluate the samples that are not known yet. Raises CancelledError, EvalhError."""
        if todo := self._missing(wanted):
            await self._runner.run(todo)

    async def evaluate_all(self) -> None:
        """Evaluate the whole plan within its route's deadline. Raises CancelledError, EvalhError."""
        deadline = asyncio.ensure_future(self._watch_deadline())
        try:
            await self._runner.run()
        finally:
            deadline.cancel()

    async def _watch_deadline(self) -> None:
        if self._deadline_s is not None:
            self.halt.until = self.ends.clock.monotonic() + self._deadline_s
            await self.ends.clock.sleep(self._deadline_s)
            self.halt.now(f"the deadline of {self._deadline_s:g} s has passed")

    def _missing(self, wanted: Iterable[Wanted]) -> list[Wanted]:
        return [
            (index, case, missing)
            for index, case, trials in wanted
            if (missing := [trial for trial in trials if not self._has(case.id, trial)])
        ]

    def _has(self, case_id: str, trial: int) -> bool:
        return (case_id, trial) in self.samples or (case_id, trial) in self._known

    # -- the result

    @property
    def summary(self) -> RunSummary:
        """The numbers of all samples so far."""
        return self._fold.summary()

    def results(self, cases: Iterable[tuple[int, Case]], trials: int) -> Iterator[SampleResult]:
        """Yield the known samples of these cases, trial by trial."""
        for _, case in cases:
            row = self.ends.row_digest(case)
            for trial in range(trials):
                sample = self.samples.get((case.id, trial))
                if sample is not None:
                    yield replace(sample.result(), row_digest=row)
                elif (case.id, trial) in self._known:
                    yield replace(
                        self._known[case.id, trial],
                        row_digest=row,
                        tags=case.tags,
                        cluster=case.cluster,
                        inputs_digest=case.inputs_digest,
                    )

    def unknown(self, wanted: Iterable[Wanted]) -> int:
        """Count the samples that would have to be asked."""
        return self._runner.unknown(self._missing(wanted))

    def asked(self) -> int:
        """Count the samples that were neither in the log nor in a baseline."""
        return sum(not sample.from_log for sample in self.samples.values())

    @property
    def by_the_hour(self) -> bool:
        """Whether costs depend on the machine's load."""
        return self._fold.by_the_hour

    def spent(self) -> Decimal | None:
        """Return the spending of the run so far, graders included; None if an answer has no price."""
        summary = self.summary
        return plus(summary.cost_usd, summary.judge_cost_usd)

    def models(self, *, kept: bool | None = None) -> frozenset[str]:
        """Return the models' own names: of kept answers, of new ones, or (None) of all."""
        completions = (one.completion for one in self.samples.values() if kept is None or one.from_log is kept)
        return frozenset(one.model for one in completions if one is not None and one.model)

    def began(self, case_id: str, trial: int) -> str | None:
        """Return a stamp of the run that bought an answer: equal stamps mean one gate with both sides interleaved."""
        sample = self.samples.get((case_id, trial))
        return None if sample is None or sample.attempt_id is None else sample.attempt_id[:_STAMP]

    def output(self, case_id: str) -> str | None:
        """Return a case's first output that is not good, otherwise its first; None if there is none."""
        found = self._of_case(case_id)
        told = [one for one in found if one.standing is not Standing.GOOD] or found
        return None if not told or told[0].completion is None else told[0].completion.text

    def inputs(self, case_id: str) -> Mapping[str, JsonValue] | None:
        """Return a case's inputs; None if it was not evaluated here."""
        found = self._of_case(case_id)
        return found[0].case.inputs if found else None

    def reasons(self, case_id: str) -> tuple[tuple[str, str], ...]:
        """Return the required graders' reasons for a case's first sample that is not good."""
        for sample in self._of_case(case_id):
            if sample.standing is not Standing.GOOD:
                missed = (one for one in sample.verdicts if one.required and one.verdict.outcome is not Outcome.PASS)
                return tuple((one.grader, one.verdict.reason) for one in missed)
        return ()

    def _of_case(self, case_id: str) -> list[Sample]:
        return [sample for (case, _), sample in sorted(self.samples.items()) if case == case_id]

    def why_no_answer(self) -> str | None:
        """Say how many samples have no answer, and why the first has none; None if all have one."""
        lost = [one for one in self.samples.values() if one.completion is None and one.error is not None]
        if not lost:
            return None
        first = min(lost, key=lambda one: (one.case_index, one.trial))
        samples = "1 sample has" if len(lost) == 1 else f"{len(lost)} samples have"
        return f"{samples} no answer; the first is {first.case.id}: {first.error}"


@asynccontextmanager
async def together(*sessions: Session, at_most: bool = False) -> AsyncIterator[None]:
    """Open sessions that run together, with one display; `at_most`: they may end early. If one stops, all stop."""
    first = sessions[0]
    progress = first.ends.progress
    async with AsyncExitStack() as opened:
        for session in sessions:
            await opened.enter_async_context(session)
        both = ", both sides" if len(sessions) > 1 else ""
        label = f"{first.record.prompt} on {first.record.model}{both}"
        progress.start(label, sum(one.plan.planned for one in sessions), at_most=at_most)
        try:
            yield
        finally:
            progress.stop()
        if reason := next((one.halt.reason for one in sessions if one.halt.reason), None):
            for session in sessions:
                session.halt.now(reason)
