"""The walk of one sample through a pipeline: which steps are ready, and what is handed to them.

A step that reads a skipped one is skipped, unless it takes the first of several. An output that the next step cannot
take is a failure of the step that gave it, and ends that path. Steps settle in the pipeline's order, so a sample's
outcome does not depend on the order in which answers arrive.
"""

import json
from collections.abc import Mapping

from msgspec import Struct, field

from evalh.core.prompt import INPUTS, Constant, First, HandoverError, OnBad, Pipeline, Source, StepSpec
from evalh.core.sample import StepState
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.core.verdict import StepOutput
from evalh.pipeline.contracts import Contract


class Handed(Value):
    """A step that is ready, with its inputs."""

    spec: StepSpec
    inputs: Mapping[str, JsonValue]


class Settled(Struct):
    """The state of a settled step. `said_no`: its own condition was false."""

    state: StepState
    reason: str | None = None
    output: JsonValue = None
    said_no: bool = False
    halts: bool = False  # no step that depends on it runs


class Flow:
    """A pipeline, prepared for walks: what each step waits for, and the schema of its inputs."""

    def __init__(self, pipeline: Pipeline, contracts: Mapping[str, Contract]) -> None:
        self.pipeline = pipeline
        self.contracts = contracts
        self.reads = {spec.name: spec.reads for spec in pipeline.steps}
        self.waits_for = {spec.name: spec.waits_for for spec in pipeline.steps}

    def unread(self, given: frozenset[str]) -> frozenset[str]:
        """Return the steps that only given steps would read, directly or through other steps: they need not run."""
        if not given:
            return frozenset()
        needed: set[str] = set()
        read = {name for names in self.waits_for.values() for name in names}
        waiting = [*self.pipeline.output, *(name for name in self.waits_for if name not in read)]
        while waiting:
            name = waiting.pop()
            if name not in needed and name not in given:
                needed.add(name)
                waiting += self.waits_for[name]
        return frozenset(self.waits_for) - needed - given


class Walk(Struct):
    """The state of one sample. `ready` returns what can run; `give`, `fail` and `doubt` record its result."""

    flow: Flow
    inputs: Mapping[str, JsonValue]
    settled: dict[str, Settled] = field(default_factory=dict)
    bad: dict[str, str] = field(default_factory=dict)  # steps that are bad by a check or a handover, and why
    handed: dict[str, Mapping[str, JsonValue]] = field(default_factory=dict)
    doubles: Mapping[str, JsonValue] = field(default_factory=dict)  # by step: what replaces its output
    holds: bool = False  # whether a step that a person must look at is waited for; a test goes on, to see what comes
    _values: dict[str, JsonValue] = field(default_factory=dict)
    _begun: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._values[INPUTS] = self.inputs
        for name, output in self.doubles.items():
            self._begun.add(name)
            self.give(name, output, StepState.GIVEN)
        for name in self.flow.unread(frozenset(self.doubles)):
            self._begun.add(name)
            self.settled[name] = Settled(StepState.SKIPPED, "only given steps read it")

    def ready(self) -> list[Handed]:
        """Return the steps that became ready, each once; settle those that will not run."""
        found: list[Handed] = []
        for spec in self.flow.pipeline.steps:
            if spec.name in self._begun or any(name not in self.settled for name in self.flow.waits_for[spec.name]):
                continue
            self._begun.add(spec.name)
            settled = self._blocked(spec) or self._skipped(spec)
            if settled is None:
                handed = self._hand_over(spec)
                if isinstance(handed, Handed):
                    self.handed[spec.name] = handed.inputs
                    found.append(handed)
                    continue
                settled = handed
            self.settled[spec.name] = settled
        return found

    @property
    def done(self) -> bool:
        """Whether every step is settled."""
        return len(self.settled) == len(self.flow.pipeline.steps)

    def give(self, name: str, output: JsonValue, state: StepState = StepState.RAN) -> None:
        """Settle a step that gave an output."""
        self.settled[name] = Settled(state, output=output)
        self._values[name] = output

    def unreadable(self, name: str, output: JsonValue, reason: str) -> None:
        """Settle a step whose output cannot be parsed: it is bad, and its path ends."""
        self.settled[name] = Settled(StepState.RAN, reason, output, halts=True)
        self.bad[name] = reason

    def fail(self, name: str, reason: str) -> None:
        """Settle a step that gave no output because of infrastructure."""
        self.settled[name] = Settled(StepState.FAILED, reason, halts=True)

    def doubt(self, name: str, reason: str) -> OnBad:
        """Record that a step's checks failed; return what the pipeline does about it."""
        self.bad[name] = reason
        policy = self.flow.pipeline.step(name).on_bad
        if policy is OnBad.STOP or (self.holds and policy is OnBad.REVIEW):
            self.settled[name].halts = True
            self.settled[name].reason = reason
        return policy

    def outputs(self) -> dict[str, StepOutput]:
        """Return what the suite's graders see: the output of each step that ran or has a double."""
        return {
            name: StepOutput(one.output, self.handed.get(name, {}))
            for name, one in self.settled.items()
            if one.state in (StepState.RAN, StepState.GIVEN)
        }

    @property
    def review(self) -> str | None:
        """Say why a person must review the output; None if nobody must."""
        doubtful = (spec.name for spec in self.flow.pipeline.steps if spec.on_bad is OnBad.REVIEW)
        return next((f"{name!r}: {self.bad[name]}" for name in doubtful if name in self.bad), None)

    def output(self) -> str | None:
        """Return the step whose output is the sample's: the first that ran; None if none did."""
        return next((name for name in self.flow.pipeline.output if name in self._values), None)

    @property
    def stopped_at(self) -> str | None:
        """Return the step that stopped the sample, or at which its path ended early; None if there is none."""
        for spec in self.flow.pipeline.steps:
            if spec.name in self.bad and (spec.on_bad is OnBad.STOP or self.output() is None):
                return spec.name
        return None

    @property
    def stopped(self) -> str | None:
        """Say where the sample was stopped, and why; None if it was not."""
        name = self.stopped_at
        return None if name is None else f"stopped at {name!r}: {self.bad[name]}"

    @property
    def failed(self) -> tuple[str, str] | None:
        """Return the first step that gave no output because of infrastructure, and why."""
        for spec in self.flow.pipeline.steps:
            one = self.settled.get(spec.name)
            if one is not None and one.state is StepState.FAILED:
                return spec.name, one.reason or ""
        return None

    def _blocked(self, spec: StepSpec) -> Settled | None:
        for name in self.flow.waits_for[spec.name]:
            before = self.settled[name]
            if before.halts or before.state is StepState.STOPPED:
                reason = before.reason if before.state is StepState.STOPPED else f"{name!r}: {before.reason}"
                return Settled(StepState.STOPPED, reason)
        return None

    def _skipped(self, spec: StepSpec) -> Settled | None:
        if spec.otherwise is not None and not self.settled[spec.otherwise].said_no:
            return Settled(StepState.SKIPPED, f"the condition of {spec.otherwise!r} was not false")
        for name in self.flow.reads[spec.name]:
            if name not in self._values:
                return Settled(StepState.SKIPPED, f"reads {name!r}, which was skipped")
        return None

    def _hand_over(self, spec: StepSpec) -> Handed | Settled:
        """Evaluate a step's condition and inputs, and check them against its input schema."""
        try:
            if spec.when is not None and not spec.when.holds(self._values):
                return Settled(StepState.SKIPPED, f"when: {spec.when.text}", said_no=True)
            inputs: dict[str, JsonValue] = {}
            for name, source in spec.inputs.items():
                found = self._value(source)
                if found is _NOTHING:
                    return Settled(StepState.SKIPPED, f"no step that could give {name!r} ran")
                inputs[name] = found
        except HandoverError as error:
            return self._refused(spec, error.producer, error.what, error.where)
        contract = self.flow.contracts.get(spec.name)
        violated = None if contract is None else contract.violation(inputs)
        if violated is None:
            return Handed(spec, inputs)
        name, why = violated
        return self._refused(spec, self._producer(spec.inputs.get(name)), f"{name}: {why}", spec.where)

    def _value(self, source: Source) -> JsonValue:
        match source:
            case Constant():
                return source.value
            case First():
                for option in source.options:
                    if all(reference.source in self._values for reference in option.references):
                        return option.evaluate(self._values)
                return _NOTHING
            case _:
                return source.evaluate(self._values)

    def _producer(self, source: Source | None) -> str:
        """Return the step that gave an input; of several the last, which may have corrected earlier ones."""
        expressions = source.options if isinstance(source, First) else ()
        if source is not None and not isinstance(source, Constant | First):
            expressions = (source,)
        ran = [one.source for each in expressions for one in each.references if one.source in self._values]
        steps = [name for name in ran if name != INPUTS]
        return steps[-1] if steps else INPUTS

    def _refused(self, spec: StepSpec, producer: str, what: str, where: str) -> Settled:
        reason = f"{what}; {spec.name!r} needs it ({where})"
        if producer == INPUTS:
            return Settled(StepState.FAILED, f"the case: {reason}", halts=True)
        self.bad.setdefault(producer, reason)
        return Settled(StepState.STOPPED, f"{producer!r}: {reason}")


def text_of(output: JsonValue) -> str:
    """Return an output as a completion's text."""
    return output if isinstance(output, str) else json.dumps(output, ensure_ascii=False)


_NOTHING = object()
