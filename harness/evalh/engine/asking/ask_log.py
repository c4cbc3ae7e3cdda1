"""What production's log says of asks: a workflow for each, with its steps, calls and attempts."""

from asyncio import CancelledError
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from evalh.core.asking import AnswerRefused, AskError, BudgetSpent, DeadlinePassed, NoAnswer, Withheld
from evalh.core.attempt import Answer, AttemptEnd, AttemptStart, Call, CallKey, Decision, Purpose
from evalh.core.money import plus
from evalh.core.ports import Clock
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.pipeline.walk import Walk
from evalh_trace import records

REUSED = ""
"""The case of asks that take earlier answers: they share one key. Others have a key of their own."""

_MOST_KEPT = 4096  # answers
_WORDS = (
    (NoAnswer, "no_answer"),
    (BudgetSpent, "budget"),
    (DeadlinePassed, "deadline"),
    (AnswerRefused, "refused"),
    (Withheld, "withheld"),
    (CancelledError, "cancelled"),
)
_DOOR = "ask"


class Inside(Value):
    """Where a program that is traced asks."""

    workflow_id: str
    step_id: str | None  # None: in the workflow itself


class AskRequest(Value, kw_only=True):
    """One ask, as it was made."""

    id: str
    version: str  # triage@v3
    prompt: str  # its name alone
    inputs: Mapping[str, JsonValue]
    given: Mapping[str, JsonValue]  # by step: what stands in for its output
    inside: "Inside | None" = None  # the traced workflow that asks
    reuse: bool = False
    on_text: Callable[[str], None] | None = None

    @property
    def workflow_id(self) -> str:
        """The workflow that it is, or is a step of: feedback names it."""
        return self.id if self.inside is None else self.inside.workflow_id

    @property
    def case_id(self) -> str:
        """What its answers are found by."""
        return REUSED if self.reuse else self.id


class AskLog:
    """The log of a service: `core.ports.CallLog`, and as much of `Store` as a route needs.

    `content`: whether inputs, outputs and texts of errors are written; numbers, names and times always are.
    It never blocks: production goes on where nothing can be written, and what is lost is counted by `write`.
    """

    def __init__(
        self, write: Callable[[records.AnyRecord], None], clock: Clock, *, content: bool, process: str
    ) -> None:
        self._write = write
        self._clock = clock
        self._content = content
        self._process = process
        self._open: dict[str, _OpenAsk] = {}
        self._answers: OrderedDict[str, Answer] = OrderedDict()  # of asks that may be answered again
        self._workflows: OrderedDict[str, str] = OrderedDict()  # of asks inside one: an attempt may end after its ask
        self.earlier: Callable[[str], Answer | None] | None = None  # what other processes were answered

    # -- one ask

    def begin_ask(self, asked: AskRequest) -> None:
        """Write that an ask begins: a workflow, or a step of the one that asks."""
        told: dict[str, Any] = {
            "id": asked.id,
            "name": asked.prompt,
            "started_at": self._clock.now(),
            "inputs": dict(asked.inputs) if self._content else None,
            "attributes": {"version": asked.version},
        }
        record: records.Workflow | records.Step
        if asked.inside is None:
            record = records.Workflow(door=_DOOR, process=self._process, **told)
        else:
            record = records.Step(workflow_id=asked.workflow_id, parent_id=asked.inside.step_id, **told)
            self._workflows[asked.id] = asked.workflow_id
            if len(self._workflows) > _MOST_KEPT:
                self._workflows.popitem(last=False)
        self._open[asked.id] = _OpenAsk(record)
        self._write(record)

    def end_ask(self, ask_id: str, output: JsonValue, *, error: BaseException | None, default: bool = False) -> None:
        """Write how an ask ended: with an output, or with an error, in whose place a default may stand."""
        ended = self._open.pop(ask_id)
        attributes: dict[str, JsonValue] = dict(ended.record.attributes)
        if ended.decisions:
            attributes["decisions"] = ended.decisions
        if default:
            attributes["default"] = True
        self._write(
            replace(
                ended.record,
                attributes=attributes,
                ended_at=self._clock.now(),
                status="ok" if error is None else "error",
                error=None if error is None else self._why(error),
                output=output if self._content else None,
            )
        )

    def note_step(self, ask_id: str, step: str) -> None:
        """Note that a step begins or ends now."""
        ask, now = self._open.get(ask_id), self._clock.now()
        if ask is not None:
            ask.began.setdefault(step, now)
            ask.ended[step] = now

    def add_steps(self, ask_id: str, walk: Walk, withheld: Withheld | None) -> None:
        """Write what became of a pipeline's steps; those that were not reached have no record.

        Inside a traced workflow they have no position: there, time orders them among the program's own.
        """
        ask, inside = self._open.get(ask_id), self._workflows.get(ask_id)
        for position, (name, settled) in enumerate(walk.settled.items()):
            bad = walk.bad.get(name) or (settled.reason if settled.halts else None)
            attributes: dict[str, JsonValue] = {"state": settled.state.value}
            if withheld is not None and name == withheld.step:
                attributes["withheld"] = True
            began, ended = (None, None) if ask is None else (ask.began.get(name), ask.ended.get(name))
            self._write(
                records.Step(
                    id=_step_id(ask_id, name),
                    workflow_id=inside or ask_id,
                    parent_id=ask_id if inside else None,
                    name=name,
                    position=None if inside else position,
                    started_at=began,
                    ended_at=ended,
                    status="ok" if bad is None else "error",
                    error=bad if self._content else None,
                    inputs=dict(walk.handed[name]) if self._content and name in walk.handed else None,
                    output=settled.output if self._content else None,
                    attributes=attributes,
                )
            )

    def _why(self, error: BaseException) -> str:
        """Say why an ask gave nothing: in one word, and in the error's own where content is written."""
        word = next((word for kind, word in _WORDS if isinstance(error, kind)), type(error).__name__)
        if isinstance(error, NoAnswer):
            word = f"{word}: {error.kind.value}"
        return f"{word}: {error}" if self._content and isinstance(error, AskError) else word

    def cost_of(self, ask_id: str) -> Decimal | None:
        """Return what an open ask has cost so far; None if unknown."""
        return self._open[ask_id].cost_usd

    # -- core.ports.CallLog

    def blocked(self) -> None:
        """Take everything."""

    def begin(self, start: AttemptStart) -> None:
        """Note when a call left. Nothing is written yet: the workflow stands open until its end."""
        ask = self._open.get(start.call.run_id)
        if ask is not None:
            ask.left_at.setdefault(start.call.id, (start.started_at, start.provider))

    def end(self, end: AttemptEnd) -> None:
        """Write an attempt."""
        start, completion, error = end.start, end.completion, end.error
        call = start.call
        if call.purpose is Purpose.FUNCTION:
            return  # a step, and no model
        if call.run_id in self._open:
            self._open[call.run_id].cost_usd = plus(self._open[call.run_id].cost_usd, end.cost_usd)
        answered = error if completion is None else completion
        usage = None if completion is None else completion.usage
        content = self._content and completion is not None
        self._write(
            records.Attempt(
                id=start.id,
                workflow_id=self._workflows.get(call.run_id, call.run_id),
                call_id=call.id,
                number=start.number,
                provider=start.provider,
                model=start.request.settings.model,
                started_at=start.started_at,
                status="ok" if error is None else "error",
                reason=start.reason,
                latency_ms=end.latency_ms,
                ttft_ms=None if completion is None else completion.ttft_ms,
                error_kind=None if error is None else error.kind.value,
                error=str(error) if error is not None and self._content else None,
                http_status=None if error is None else error.status,
                retry_after_s=None if error is None else error.retry_after_s,
                request_id=answered.request_id if answered is not None else None,
                model_answered=None if completion is None else completion.model,
                finish=None if completion is None else completion.finish.value,
                input_tokens=None if usage is None else usage.input_tokens,
                output_tokens=None if usage is None else usage.output_tokens,
                cached_tokens=None if usage is None else usage.cached_tokens,
                reasoning_tokens=None if usage is None else usage.reasoning_tokens,
                cost_usd=None if end.cost_usd is None else float(end.cost_usd),
                text=completion.text if content and completion is not None else None,
                tool_calls=_calls(completion.tool_calls) if content and completion is not None else None,
                reasoning=completion.reasoning if content and completion is not None else None,
            )
        )

    def decide(self, decision: Decision) -> None:
        """Keep a decision for the workflow's record: its kind, why, and where in the route."""
        ask = self._open.get(decision.run_id)
        if ask is None:
            return
        said: dict[str, JsonValue] = {"kind": decision.kind}
        if self._content:
            said["reason"] = decision.reason
        said |= {key: decision.detail[key] for key in ("model", "from", "to", "step") if key in decision.detail}
        ask.decisions.append(said)

    def conclude(self, call: Call, *, cache_hit: bool) -> None:  # noqa: ARG002 (an answer taken again has 0 attempts)
        """Write a call, at its end."""
        if call.purpose is Purpose.FUNCTION:
            return
        step, inside = (call.key.step or "").partition("/")[0], self._workflows.get(call.run_id)
        ask = self._open.get(call.run_id)
        own = ask is not None and call.purpose is Purpose.TASK and not step
        started_at, provider = (None, None) if ask is None else ask.left_at.pop(call.id, (None, None))
        settings = call.request.settings
        self._write(
            records.Call(
                id=call.id,
                workflow_id=inside or call.run_id,
                step_id=_step_id(call.run_id, step) if step else call.run_id if inside else None,
                operation="embedding" if call.purpose is Purpose.EMBEDDING else "chat",
                provider=provider,
                started_at=started_at,
                latency_ms=call.latency.total_ms,
                attempts=call.attempts,
                answered_by=call.answered_by,
                route=call.asked_as,
                request_digest=call.request.digest() if self._content else None,
                settings={"model": settings.model, "params": dict(settings.params), "stream": settings.stream},
                messages=[one.document() for one in call.request.messages] if self._content else None,
                prompt=ask.version if ask is not None and own else None,
            )
        )

    # -- of core.ports.Store

    def find(self, request_digest: str, key: CallKey) -> Answer | None:
        """Return an earlier answer to the same request, for asks that take one."""
        if key.case_id != REUSED:
            return None
        found = self._answers.get(request_digest)
        if found is None and self.earlier is not None:
            found = self.earlier(request_digest)
        return found

    def find_all(self, wanted: Sequence[tuple[str, CallKey]], *, routed: bool = False) -> list[Answer | None]:  # noqa: ARG002 (as the test log, where a route's are found by its call)
        """Return earlier answers, in their order."""
        return [self.find(*one) for one in wanted]

    def keep(self, request_digest: str, answer: Answer) -> None:
        """Keep an answer for asks of the same request that take one."""
        self._answers[request_digest] = answer
        if len(self._answers) > _MOST_KEPT:
            self._answers.popitem(last=False)

    def begun(self, request_digest: str, key: CallKey) -> bool:  # noqa: ARG002 (the port's)
        """Say that no function with effects was called before for this ask: each is asked once."""
        return False

    def flush(self) -> None:
        """Wait for nothing: an ask that is killed shows as one that has not ended."""


class _OpenAsk:
    """An ask on its way."""

    def __init__(self, record: records.Workflow | records.Step) -> None:
        self.record = record
        self.version = str(record.attributes["version"])
        self.decisions: list[JsonValue] = []
        self.left_at: dict[str, tuple[float, str]] = {}  # by call: when it left, and the provider
        self.began: dict[str, float] = {}  # by step
        self.ended: dict[str, float] = {}
        self.cost_usd: Decimal | None = Decimal(0)


def _step_id(ask_id: str, step: str) -> str:
    return f"{ask_id}/{step}"


def _calls(calls: Sequence[records.Json]) -> JsonValue:
    return [{"id": call.id, "name": call.name, "arguments": call.arguments} for call in calls] or None
