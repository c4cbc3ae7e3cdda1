"""Run a pipeline: build what its samples share once, then walk each sample through the steps."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal

from evalh.core.attempt import NotSent
from evalh.core.case import Case
from evalh.core.ports import Store
from evalh.core.values import Value
from evalh.engine.pipeline.asking import SampleAsking
from evalh.engine.pipeline.calls import Flights, Lookups
from evalh.engine.pipeline.functions import FunctionStep
from evalh.engine.pipeline.grading import SampleGrading
from evalh.engine.pipeline.replaying import SampleReplay
from evalh.engine.pipeline.tools import OWN, StepDoor, Tools
from evalh.engine.plan import Plan, PlannedStep, in_log
from evalh.engine.runner import SampleRunner, Wanted
from evalh.pipeline.taint import StepGraph
from evalh.routing.build import Builder

_WINDOW = 128  # samples in progress at once, so that their log lookups share queries


class Place(Value):
    """One sample to evaluate."""

    case: Case
    case_index: int
    trial: int


class PipelineRunner(SampleRunner[Place], kw_only=True):
    """Evaluates a plan whose version is a pipeline."""

    tools: Tools

    @property
    def width(self) -> int:
        """How many samples are in progress at once; each model's own door limits its calls in flight."""
        return max(self.concurrency, _WINDOW)

    def unknown(self, wanted: Sequence[Wanted]) -> int:
        """Count the samples whose first requests are not all in the log. Raises EvalhError."""
        samples = ((case, trial) for _, case, trials in wanted for trial in trials)
        return sum(not known for known in in_log(self.plan, self.store, samples))

    def _work(self, wanted_samples: Iterable[Wanted]) -> Iterator[Place]:
        return (Place(case, index, trial) for index, case, trials in wanted_samples for trial in trials)

    async def _evaluate(self, unit: Place) -> None:
        evaluated = SampleAsking if self.tools.pipeline.recorded is None else SampleReplay
        one = evaluated(self.tools, unit.case, unit.case_index, unit.trial)
        try:
            await one.ask()
            sample = await SampleGrading(one).grade()
        except (NotSent, asyncio.CancelledError):
            # The next run repeats the sample; this run paid for the attempts made so far.
            for number, call in enumerate(one.calls):
                judges_usd = one.judges_usd if number == 0 else Decimal(0)
                self.fold.cut_off(unit.case_index, call, judges_usd, incident=unit.case.incident)
            raise
        finally:
            one.leave()
        self._keep(sample, None)


def tools_of(
    plan: Plan, builder: Builder, store: Store, run_id: str, flights: Flights, env: Mapping[str, str]
) -> Tools:
    """Build what the samples of a run share: one stack of providers for each step, with one budget and window."""
    pipeline = plan.pipeline
    assert pipeline is not None
    return Tools(
        plan=plan,
        pipeline=pipeline,
        run_id=run_id,
        numbers=builder.numbers,
        doors={name: _doors(step, builder) for name, step in pipeline.steps.items()},
        functions={
            name: FunctionStep(step.spec.function, step.function, env)
            for name, step in pipeline.steps.items()
            if step.spec.function is not None and step.function is not None
        },
        graph=StepGraph.of(pipeline.flow.pipeline),
        store=store,
        halt=builder.halt,
        clock=builder.clock,
        lookups=Lookups(store),
        flights=flights,
        inquiry=builder.inquiry_for(plan.target),
        fresh=builder.find is None,
        places=asyncio.Semaphore(builder.concurrency),
    )


def _doors(step: PlannedStep, builder: Builder) -> dict[str, StepDoor]:
    asked = {**({} if step.prompt is None else {OWN: step.prompt}), **step.asks}
    return {
        prompt: StepDoor(one, builder.leading(one.target), builder.inquiry_for(one.target))
        for prompt, one in asked.items()
    }
