"""Asking a pipeline: as in a test, but a step that a person must look at is waited for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from msgspec.structs import replace

from evalh.core.asking import AnswerRefused, InvalidInputs, Withheld
from evalh.core.attempt import CallError, ErrorKind
from evalh.core.case import Case
from evalh.core.errors import EvalhError, did_you_mean
from evalh.core.prompt import OnBad, PromptVersion
from evalh.core.sample import StepState
from evalh.engine.asking.ask_log import AskLog, AskRequest
from evalh.engine.asking.prompts import Came, refuse_inputs
from evalh.engine.pipeline.asking import SampleAsking, Trace
from evalh.engine.pipeline.functions import not_json
from evalh.engine.pipeline.tools import Tools
from evalh.engine.plan import Plan
from evalh.pipeline.walk import Walk, text_of
from evalh.routing.target import Target

_WENT = (StepState.RAN, StepState.GIVEN)


@dataclass(kw_only=True, eq=False, repr=False)
class PipelineAsking:
    """Asks one version of one pipeline."""

    version: PromptVersion
    plan: Plan
    tools: Tools
    log: AskLog
    targets: tuple[Target, ...] = field(init=False)
    judges: Sequence[Target] = field(init=False)  # what checks ask

    def __post_init__(self) -> None:
        self.targets, self.judges = self.plan.targets, self.plan.asked
        self.tools = replace(self.tools, holds=True)

    @property
    def gives_json(self) -> bool:
        """Whether its output may be a JSON value."""
        pipeline = self.tools.pipeline.flow.pipeline
        return any(pipeline.step(name).gives_json for name in pipeline.output)

    def prepare(self, asked: AskRequest) -> None:
        """Walk to the first requests. Raises InvalidInputs for what they lack, and for doubles of unknown steps."""
        refuse_inputs(self.version, asked.inputs, None)
        steps = self.tools.pipeline.steps
        for name, output in asked.given.items():
            if name not in steps:
                what = f"given: {self.version.label} has no step {name!r}"
                raise InvalidInputs(what, hint=did_you_mean(name, steps))
            wrong = not_json(output)
            if wrong is not None:
                raise InvalidInputs(f"given: {name}: {wrong.removeprefix('returned ')}")
        walk = Walk(self.tools.pipeline.flow, asked.inputs, doubles=asked.given)
        for handed in walk.ready():
            prompt = steps[handed.spec.name].prompt
            try:
                if prompt is not None:
                    prompt.step.request(Case(asked.case_id, handed.inputs))
            except EvalhError as exc:
                what = f"{self.version.label}, step {handed.spec.name!r}: {exc.what}"
                raise InvalidInputs(what, where=exc.where, hint=exc.hint) from None
        if walk.failed is not None:
            name, reason = walk.failed
            raise InvalidInputs(f"{self.version.label}, step {name!r}: {reason.removeprefix('the case: ')}")

    async def ask(self, asked: AskRequest) -> Came:
        """Walk to the end. Raises CallError, AnswerRefused, Withheld."""
        watch = partial(self.log.note_step, asked.id)
        tools = replace(self.tools, run_id=asked.id, fresh=not asked.reuse, watch=watch)
        case = Case(asked.case_id, asked.inputs, given=asked.given)
        one = SampleAsking(tools, case, 0, 0)
        withheld = None
        try:
            await one.ask()
            withheld = withheld_of(one.walk, asked.workflow_id)
            if withheld is not None:
                raise withheld
            return _came(one.walk, one.traces, asked.workflow_id)
        finally:
            one.leave()
            self.log.add_steps(asked.id, one.walk, withheld)


def withheld_of(walk: Walk, ask_id: str) -> Withheld | None:
    """Return what a person must look at: the first step that asks for a review, and what its checks refuse."""
    for spec in walk.flow.pipeline.steps:
        if spec.on_bad is OnBad.REVIEW and spec.name in walk.bad:
            given = {
                name: one.output for name, one in walk.settled.items() if one.state in _WENT and name not in walk.bad
            }
            return Withheld(ask_id, spec.name, walk.settled[spec.name].output, given, walk.bad[spec.name])
    return None


def _came(walk: Walk, traces: Mapping[str, Trace], ask_id: str) -> Came:
    """Return the output of a walk that is over. Raises CallError, AnswerRefused."""
    failed = walk.failed
    if failed is not None:
        name, reason = failed
        raise traces[name].error or CallError(ErrorKind.STEP_ERROR, f"{name!r}: {reason}")
    name_of_output = walk.output()
    stopped = walk.stopped
    if stopped is not None or name_of_output is None:
        last = walk.stopped_at
        text = "" if last is None else text_of(walk.settled[last].output)
        raise AnswerRefused(stopped or "no step that gives the output ran", id=ask_id, text=text)
    output, trace = walk.settled[name_of_output].output, traces[name_of_output]
    asked = trace.door is not None and bool(trace.calls)
    return Came(
        value=output,
        text=text_of(output),
        model=trace.calls[-1].answered_model if asked else None,
        finish=trace.completion.finish if asked and trace.completion is not None else None,
    )
