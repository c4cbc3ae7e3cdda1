"""What was recorded of an execution, wherever: a workflow or a call of production, a sample of the log."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from shlex import quote
from typing import Any

from evalh.api.parts import Parts
from evalh.api.production import traced
from evalh.core.attempt import Completion
from evalh.core.errors import NotFound, UsageError
from evalh.core.log import CaseDetail, SampleDetail
from evalh.core.production import TracedItem, WorkflowDetail
from evalh.core.request import ToolCall
from evalh.core.strict_json import JsonValue, NotStrictJson, parse
from evalh.core.values import Value
from evalh.report.text import json_line
from evalh_trace.records import Attempt, Call, Step

_FUNCTIONS = frozenset({"step", "tool", "retrieval"})  # kinds of steps that a program runs itself


class StatedInputs(Value):
    """Inputs that were recorded, and whose they are."""

    whose: str
    inputs: Mapping[str, JsonValue]


class RecordedCall(Value):
    """The messages of one call: of each, who speaks and its text."""

    id: str
    messages: tuple[tuple[str, str], ...]


class Recorded(Value, kw_only=True):
    """One execution: what went in, what came out, what its steps returned."""

    kind: str  # workflow, sample
    id: str  # of the workflow or sample
    name: str  # as it was named
    at: float
    version: str | None = None  # triage@v3, where it is known
    stated: tuple[StatedInputs, ...] = ()  # its own first
    calls: tuple[RecordedCall, ...] = ()
    outputs: Mapping[str, JsonValue] = {}  # of every step by its name
    functions: frozenset[str] = frozenset()  # the steps that no model answered
    unclear: frozenset[str] = frozenset()  # steps of one name that returned different things
    output: JsonValue = None
    tool_calls: tuple[ToolCall, ...] = ()

    @property
    def completion(self) -> Completion | None:
        """What graders judge; None if nothing came out, or its content was not kept."""
        if self.output is None and not self.tool_calls:
            return None
        text = self.output if isinstance(self.output, str) else json_line(self.output)
        return Completion(text="" if self.output is None else text, tool_calls=self.tool_calls)

    def source(self) -> dict[str, JsonValue]:
        """Return the row's `source`."""
        at = datetime.fromtimestamp(self.at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        found: dict[str, JsonValue] = {self.kind: self.id, "at": at}
        return found if self.version is None else {**found, "version": self.version}


def find(parts: Parts, name: str) -> Recorded:
    """Find a workflow, a call or a sample by its id. Raises NotFound, UsageError."""
    found = traced(parts, name)
    if isinstance(found, WorkflowDetail):
        return _of_workflow(found, name)
    if isinstance(found, TracedItem) and isinstance(found.item, Call):
        return _of_call(found.detail, found.item, name)
    if isinstance(found, TracedItem):
        hint = f"--from {quote(found.detail.workflow.id)}, or one of its calls"
        raise UsageError(f"{name!r} is a step: a case is made of a workflow or a call", hint=hint)
    try:
        logged = parts.log.show(name)
    except NotFound as exc:
        raise NotFound(f"no workflow, call or sample {name!r}", hint=exc.hint) from exc
    if isinstance(logged, CaseDetail) and len(logged.samples) == 1:
        logged = logged.samples[0]
    if not isinstance(logged, SampleDetail):
        raise UsageError(f"{name!r} is not a workflow, a call or a sample", hint="a sample: RUN/CASE/TRIAL")
    return _of_sample(parts, logged, name)


def _of_workflow(detail: WorkflowDetail, name: str) -> Recorded:
    workflow = detail.workflow
    output: JsonValue = workflow.output
    tool_calls: tuple[ToolCall, ...] = ()
    if output is None and detail.calls:
        output, tool_calls = _answer(detail, detail.calls[-1])
    outputs, unclear = _outputs(detail.steps)
    asked = {call.step_id for call in detail.calls}
    versions = {call.prompt for call in detail.calls if call.prompt is not None}
    return Recorded(
        kind="workflow",
        id=workflow.id,
        name=name,
        at=workflow.started_at,
        version=versions.pop() if len(versions) == 1 else None,
        stated=tuple(_stated(detail, detail.calls)),
        calls=tuple(map(_said, detail.calls)),
        outputs=outputs,
        functions=frozenset(one.name for one in detail.steps if one.kind in _FUNCTIONS and one.id not in asked),
        unclear=unclear,
        output=output,
        tool_calls=tool_calls,
    )


def _of_call(detail: WorkflowDetail, call: Call, name: str) -> Recorded:
    output, tool_calls = _answer(detail, call)
    started = detail.workflow.started_at if call.started_at is None else call.started_at
    beside = [one for one in _stated(detail, (call,)) if one.whose != "the workflow" or len(detail.calls) == 1]
    return Recorded(
        kind="workflow",
        id=detail.workflow.id,
        name=name,
        at=started,
        version=call.prompt,
        stated=tuple(beside),
        calls=(_said(call),),
        output=output,
        tool_calls=tool_calls,
    )


def _of_sample(parts: Parts, detail: SampleDetail, name: str) -> Recorded:
    sample, run = detail.sample, parts.log.run(detail.sample.run_id).record
    answer = next((call.answer for call in detail.calls if call.id == sample.call_id and call.answer), None)
    completion = None if answer is None or sample.answered_by is None else answer.completion
    return Recorded(
        kind="sample",
        id=sample.id,
        name=name,
        at=run.started_at,
        version=run.prompt,
        stated=(StatedInputs("the sample", detail.case.inputs),),
        outputs={one.step: one.output for one in sample.steps if one.gave},
        functions=frozenset(one.step for one in sample.steps if one.call_id is None),
        output=sample.step_output if completion is None else completion.text,
        tool_calls=() if completion is None else completion.tool_calls,
    )


def _stated(detail: WorkflowDetail, calls: Sequence[Call]) -> Iterator[StatedInputs]:
    """Yield the workflow's inputs, then those of the steps in which the calls were made."""
    if isinstance(detail.workflow.inputs, dict):
        yield StatedInputs("the workflow", detail.workflow.inputs)
    steps = {one.id: one for one in detail.steps}
    for step_id in dict.fromkeys(call.step_id for call in calls):
        step = None if step_id is None else steps.get(step_id)
        if step is not None and isinstance(step.inputs, dict):
            yield StatedInputs(f"the step {step.name}", step.inputs)


def _outputs(steps: Sequence[Step]) -> tuple[dict[str, JsonValue], frozenset[str]]:
    """Return what steps returned by their names, and the names that stand for different things."""
    found: dict[str, JsonValue] = {}
    unclear: set[str] = set()
    for step in steps:
        if step.output is None:
            continue
        if found.setdefault(step.name, step.output) != step.output:
            unclear.add(step.name)
    return {name: output for name, output in found.items() if name not in unclear}, frozenset(unclear)


def _answer(detail: WorkflowDetail, call: Call) -> tuple[str | None, tuple[ToolCall, ...]]:
    answers = [one for one in detail.attempts if one.call_id == call.id and one.status == "ok"]
    named = [one for one in answers if one.id == call.answered_by] or answers
    if not named:
        return None, ()
    return named[-1].text, tuple(_tool_calls(named[-1]))


def _tool_calls(attempt: Attempt) -> Iterator[ToolCall]:
    for one in attempt.tool_calls if isinstance(attempt.tool_calls, list) else ():
        if isinstance(one, dict):
            yield ToolCall(*(str(one.get(key) or "") for key in ("id", "name", "arguments")))


def _said(call: Call) -> RecordedCall:
    messages = call.messages if isinstance(call.messages, list) else ()
    return RecordedCall(call.id, tuple(map(_message, messages)))


def _message(message: Any) -> tuple[str, str]:
    """Return who speaks and the text; a message that holds anything but text fits no template."""
    parts = message.get("parts") if isinstance(message, dict) else None
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        return "", ""
    return str(message.get("role")), "".join(parts)


def readable(text: str) -> JsonValue:
    """Return the JSON that a text is; the text where it is none."""
    try:
        return parse(text)
    except NotStrictJson:
        return text
