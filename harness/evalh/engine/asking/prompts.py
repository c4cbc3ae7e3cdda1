"""Asking one prompt: its inputs are checked by its schema, its answer by what it says of its output."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from evalh.core.asking import AnswerRefused, InvalidInputs
from evalh.core.attempt import Answer, Call, CallError, CallKey, Completion, FinishReason
from evalh.core.case import Case
from evalh.core.errors import EvalhError, did_you_mean, nearest
from evalh.core.ports import Provider
from evalh.core.prompt import PromptVersion
from evalh.core.request import Request, ToolCall
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.core.verdict import GradeContext
from evalh.engine.asking.ask_log import AskLog, AskRequest
from evalh.engine.pipeline.functions import not_json
from evalh.graders.reading import Unreadable, output_json
from evalh.pipeline.contracts import Contract
from evalh.pipeline.step import Step
from evalh.routing.target import Target
from evalh.routing.wrapper import spent

_DECLINED = frozenset({FinishReason.REFUSAL, FinishReason.CONTENT_FILTER})


class Came(Value, kw_only=True):
    """What an ask gave."""

    value: JsonValue
    text: str
    model: str | None = None
    finish: FinishReason | None = None
    tool_calls: tuple[ToolCall, ...] = ()


@dataclass(kw_only=True, eq=False, repr=False)
class PromptAsking:
    """Asks one version of one prompt, by one target."""

    version: PromptVersion
    step: Step
    target: Target
    provider: Provider  # the routing stack around the target
    log: AskLog
    numbers: Iterator[int]
    judges: Sequence[Target] = ()  # what the checks of its route ask
    _inputs: Contract | None = field(init=False)
    _output: Contract | None = field(init=False)

    def __post_init__(self) -> None:
        version = self.version
        stated = version.input_schema
        self._inputs = None if stated is None else Contract(stated, version.input_defaults)
        self._output = None if version.output_schema is None else Contract(version.output_schema)

    @property
    def targets(self) -> tuple[Target, ...]:
        """What is asked."""
        return (self.target,)

    @property
    def gives_json(self) -> bool:
        """Whether the answer is a JSON value."""
        return self.version.json_output

    def prepare(self, asked: AskRequest) -> Request:
        """Return what will be sent. Raises InvalidInputs."""
        if asked.given:
            what = f"{self.version.label} is a single prompt: it has no steps to give"
            raise InvalidInputs(what, hint="given= is for pipelines")
        refuse_inputs(self.version, asked.inputs, self._inputs)
        try:
            return self.step.request(Case(asked.case_id, asked.inputs))
        except EvalhError as exc:
            given = ", ".join(sorted(asked.inputs)) or "none"
            raise InvalidInputs(f"{self.version.label}: {exc.what}", where=exc.where, hint=f"given: {given}") from None

    async def ask(self, asked: AskRequest, request: Request) -> Came:
        """Ask, or take an earlier answer. Raises CallError, AnswerRefused."""
        call = Call(
            id=f"{asked.id}:{next(self.numbers)}",
            run_id=asked.id,
            key=CallKey(asked.case_id),
            request=request,
            case=Case(asked.case_id, asked.inputs),
            route=self.target.name if self.target.chooses else None,
            asked_as=self.target.name,
        )
        earlier = self.log.find(request.digest(), call.key) if asked.reuse else None
        if earlier is not None:
            call.answered_by, call.answered_model = earlier.attempt_id, earlier.model
            self.log.conclude(call, cache_hit=True)
            return self._came(asked, call, earlier.completion)
        if asked.on_text is not None:
            call.on_text = _handing_on(call, asked.on_text)
        try:
            completion = await self.provider.send(request, call)
        except CallError:
            call.answered_by = None
            self.log.conclude(call, cache_hit=False)
            raise
        self.log.conclude(call, cache_hit=False)
        if asked.reuse:
            answer = Answer(call.answered_by or "", completion, spent(call), call.answered_model, call.latency)
            self.log.keep(request.digest(), answer)
        return self._came(asked, call, completion)

    def _came(self, asked: AskRequest, call: Call, completion: Completion) -> Came:
        if completion.finish in _DECLINED:
            what = f"the provider ended the answer with {completion.finish.value}"
            raise AnswerRefused(what, id=asked.workflow_id, text=completion.text)
        value: JsonValue = completion.text
        if self.version.json_output and not completion.tool_calls:
            value = self._json(asked, call, completion)
        return Came(
            value=value,
            text=completion.text,
            model=call.answered_model,
            finish=completion.finish,
            tool_calls=completion.tool_calls,
        )

    def _json(self, asked: AskRequest, call: Call, completion: Completion) -> JsonValue:
        try:
            value = output_json(GradeContext(case=call.case or Case("", {}), completion=completion), fenced=True)
        except Unreadable as exc:
            raise AnswerRefused(exc.verdict.reason, id=asked.workflow_id, text=completion.text) from None
        wrong = None if self._output is None else self._output.refusal(value)
        if wrong is not None:
            what = f"the answer does not fit the prompt's output schema: {wrong}"
            raise AnswerRefused(what, id=asked.workflow_id, text=completion.text)
        return value


def _handing_on(call: Call, tell: Callable[[str], None]) -> Callable[[str], None]:
    def hand_on(text: str) -> None:
        call.handed_on = True
        tell(text)

    return hand_on


def refuse_inputs(version: PromptVersion, inputs: Mapping[str, JsonValue], contract: Contract | None) -> None:
    """Raise InvalidInputs for what is not JSON, what does not fit the schema, and a name that is a slip of the pen.

    Other names that the prompt does not use are let through, as in a run: the next version may use fewer inputs than
    the program gives, and releasing it must not stop the program.
    """
    wrong = not_json(inputs)
    if wrong is not None:
        raise InvalidInputs(f"{version.label}: the inputs hold {wrong.removeprefix('returned ')}")
    known = {*version.variables, *_properties(version.input_schema)}
    for name in inputs:
        meant = None if name in known else nearest(name, known - inputs.keys())
        if meant is not None:
            hint = did_you_mean(name, known)
            raise InvalidInputs(f"{version.label} has no input {name!r}, and {meant!r} is missing", hint=hint)
    schema = version.input_schema or {}
    if schema.get("additionalProperties") is False and "patternProperties" not in schema:
        inputs = {name: value for name, value in inputs.items() if name in known}
    violation = None if contract is None else contract.violation(inputs)
    if violation is not None:
        name, why = violation
        raise InvalidInputs(f"{version.label}: input {name!r}: {why}" if name else f"{version.label}: inputs: {why}")


def _properties(schema: Mapping[str, JsonValue] | None) -> Mapping[str, JsonValue]:
    properties = (schema or {}).get("properties")
    return properties if isinstance(properties, Mapping) else {}
