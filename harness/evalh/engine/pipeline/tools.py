"""The objects that all samples of a pipeline's run share."""

import asyncio
from collections.abc import Callable, Iterator, Mapping

from evalh.core.ports import Clock, Provider, Store
from evalh.core.values import Value
from evalh.engine.pipeline.calls import Flights, Lookups
from evalh.engine.pipeline.functions import FunctionStep
from evalh.engine.plan import Asked, Plan, PlannedPipeline
from evalh.pipeline.taint import StepGraph
from evalh.routing.asking import Inquiry
from evalh.routing.run_context import Halt

OWN = ""  # the prompt of a prompt step; a function asks prompts by name


class StepDoor(Value):
    """The provider of a step's calls, and the asker for its graders."""

    asked: Asked
    provider: Provider
    inquiry: Inquiry


class Tools(Value, kw_only=True):
    """The objects that all samples of a run share."""

    plan: Plan
    pipeline: PlannedPipeline
    run_id: str
    numbers: Iterator[int]  # of calls
    doors: Mapping[str, Mapping[str, StepDoor]]  # by step and prompt
    functions: Mapping[str, FunctionStep]
    graph: StepGraph
    store: Store
    halt: Halt
    clock: Clock
    lookups: Lookups
    flights: Flights
    inquiry: Inquiry  # about outputs that no model gave
    fresh: bool
    holds: bool = False  # whether a sample waits at a step that a person must look at
    watch: Callable[[str], None] | None = None  # hears of a step when it begins and when it ends
    places: asyncio.Semaphore  # for samples that call models; those that the log answers need no place
