"""Which answers of production a suite can judge: calls that fit a version of its prompt, workflows named like it."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cached_property

from msgspec.structs import replace

from evalh.api.fitting import Readable, versions_of
from evalh.api.parts import Parts
from evalh.core.attempt import Completion, FinishReason, Usage
from evalh.core.digest import canonical
from evalh.core.money import total
from evalh.core.production import Voted, WorkflowDetail, said
from evalh.core.prompt import PromptVersion
from evalh.core.request import ToolCall
from evalh.core.strict_json import JsonValue
from evalh.core.suite import Suite
from evalh.core.values import Value
from evalh.engine.plan import RecordedStep
from evalh_trace.records import Attempt, Call, Step

_FINISHES = {str(reason): reason for reason in FinishReason}


class ProductionAnswer(Value, kw_only=True):
    """One answer of production that fits a version of the suite's prompt."""

    id: str
    inputs: Mapping[str, JsonValue]
    completion: Completion
    fits: tuple[str, ...]  # the versions that may have asked; the first is the one that it is counted for
    weight: float
    session: str
    cost_usd: float | None
    voted: Voted
    steps: Mapping[str, RecordedStep] | None = None  # of a pipeline's workflow


class Versions:
    """The versions of a suite's prompt, the live one first: which of them may have rendered a call's messages."""

    def __init__(self, parts: Parts, suite: Suite) -> None:
        """Load nothing yet."""
        self._parts = parts
        self.suite = suite

    @cached_property
    def _loaded(self) -> dict[str, Readable]:
        return {one.version.label: one for one in versions_of(self._parts.prompts(), self.suite.prompt)}

    @property
    def live(self) -> PromptVersion:
        """The one in use; the draft where nothing was released."""
        return next(iter(self._loaded.values())).version

    def named(self, label: str) -> PromptVersion:
        """Return the version of a label."""
        return self._loaded[label].version

    def knows(self, label: str) -> bool:
        """Whether there is a version of this label."""
        return label in self._loaded

    def fitting(self, messages: JsonValue) -> list[tuple[str, dict[str, JsonValue]]]:
        """Return the versions that may have rendered these messages, each with the inputs that it had then."""
        texts = said(messages)
        fits = ((label, one.inputs_of(texts)) for label, one in self._loaded.items())
        return [(label, inputs) for label, inputs in fits if inputs is not None]


def answers_of(detail: WorkflowDetail, versions: Versions) -> list[ProductionAnswer]:
    """Return what of a workflow can be judged: its calls that fit, else the workflow itself."""
    if versions.live.pipeline is None and (fitting := list(_of_calls(detail, versions))):
        return fitting
    own = _of_workflow(detail, versions)
    return [] if own is None else [own]


def _of_calls(detail: WorkflowDetail, versions: Versions) -> Iterator[ProductionAnswer]:
    """Yield the calls whose messages fit a version, whatever program rendered them."""
    attempts: dict[str, Attempt] = {one.call_id: one for one in detail.attempts if one.status != "error"}
    for call in detail.calls:
        answer = attempts.get(call.id)
        if answer is None or not call.messages or (answer.text is None and not answer.tool_calls):
            continue
        fits = versions.fitting(call.messages)
        if fits:
            fits.sort(key=lambda one: one[0] != call.prompt)
            yield _answered(detail, call.id, fits[0][1], _completion(call, answer), [label for label, _ in fits])


def _of_workflow(detail: WorkflowDetail, versions: Versions) -> ProductionAnswer | None:
    """Return the workflow itself where it is called as the prompt is, with inputs and an output."""
    workflow = detail.workflow
    if workflow.name not in (versions.suite.prompt, versions.suite.name):
        return None
    inputs, output = workflow.inputs, workflow.output
    steps = None if versions.live.pipeline is None else _recorded(detail, versions.live)
    if not isinstance(inputs, dict) or (output is None if steps is None else not steps):
        return None
    if not versions.live.variables - versions.live.input_defaults.keys() <= inputs.keys():
        return None
    text = (
        ""
        if output is None
        else output
        if isinstance(output, str)
        else canonical(output).decode("utf-8", "surrogatepass")
    )
    took = None if workflow.ended_at is None else max(0.0, 1000.0 * (workflow.ended_at - workflow.started_at))
    stated = next((call.prompt for call in detail.calls if call.prompt and versions.knows(call.prompt)), None)
    completion = Completion(text=text, latency_ms=took, cost_usd=Decimal(0))
    return replace(_answered(detail, workflow.id, inputs, completion, [stated or versions.live.label]), steps=steps)


def _recorded(detail: WorkflowDetail, version: PromptVersion) -> dict[str, RecordedStep]:
    """Return what the steps of a pipeline's names gave: the last of each name, or the answer of its call."""
    assert version.pipeline is not None
    known = {spec.name for spec in version.pipeline.steps}
    found: dict[str, RecordedStep] = {}
    for step in detail.steps:
        if step.name not in known:
            continue
        mine = {call.id for call in detail.calls if call.step_id == step.id}
        calls = [one for one in detail.attempts if one.call_id in mine]
        output = step.output
        if output is None:
            output = next((one.text for one in reversed(calls) if one.text is not None), None)
        if output is not None:
            costs = [None if one.cost_usd is None else Decimal(repr(one.cost_usd)) for one in calls]
            found[step.name] = RecordedStep(output, total(costs), _took_ms(step))
    return found


def _took_ms(step: Step) -> float | None:
    if step.started_at is None or step.ended_at is None:
        return None
    return max(0.0, 1000.0 * (step.ended_at - step.started_at))


def _answered(
    detail: WorkflowDetail, name: str, inputs: Mapping[str, JsonValue], completion: Completion, fits: Sequence[str]
) -> ProductionAnswer:
    workflow = detail.workflow
    costs = [one.cost_usd for one in detail.attempts if name in (workflow.id, one.call_id)]
    known = None if None in costs or not costs else sum(one for one in costs if one is not None)
    return ProductionAnswer(
        id=name,
        inputs=inputs,
        completion=completion,
        fits=tuple(fits),
        weight=1.0 / workflow.probability if workflow.probability > 0 else 1.0,
        session=workflow.session or workflow.id,
        cost_usd=known,
        voted=Voted.of(Counter(vote.good for vote in detail.feedback if vote.good is not None)),
    )


def _completion(call: Call, answer: Attempt) -> Completion:
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


def why_not(detail: WorkflowDetail, versions: Versions) -> str:
    """Say why nothing of a workflow can be judged, as the end of a sentence about several."""
    workflow = detail.workflow
    if any(call.messages for call in detail.calls):
        return f"have calls that fit no version of {versions.suite.prompt}"
    if workflow.name not in (versions.suite.prompt, versions.suite.name):
        return "are about something else"
    if workflow.inputs is None and workflow.output is None:
        return "have no content ([trace] content is off)"
    return "have no output, or inputs that the prompt does not take"
