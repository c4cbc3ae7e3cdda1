"""What graders see and return, and the questions that they ask models.

Also the words for an empty or unfinished answer: if the model was stopped, the prompt's wording is not at fault.
"""

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Protocol
from weakref import WeakValueDictionary

from msgspec import field
from msgspec.structs import replace

from evalh.core.attempt import Answer, Completion, FinishReason, Latency, Purpose
from evalh.core.case import Case
from evalh.core.digest import canonical
from evalh.core.request import Message, Request
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value


class Form(Value, kw_only=True, eq=False, weakref=True):
    """Everything of a question but its words and its key. Found by identity: `shared` gives equal ones as one.

    `again`: the task's own settings apply, overridden by `params`; otherwise only `params` and the schema do.
    """

    purpose: Purpose
    params: Mapping[str, JsonValue] = field(default_factory=dict)
    output_schema: Mapping[str, JsonValue] | None = None
    again: bool = False

    def shared(self) -> "Form":
        """Return the form that is in use for this content: graders of rows are built again and again."""
        return _FORMS.setdefault(canonical([self.purpose.value, self.document()]), self)

    def document(self) -> dict[str, JsonValue]:
        """Return what a grader's digest covers."""
        return {"params": dict(self.params), "output_schema": self.output_schema, "again": self.again}


_FORMS: WeakValueDictionary[bytes, Form] = WeakValueDictionary()


class Question(Value, kw_only=True):
    """One question. `draw` distinguishes questions in the same words."""

    form: Form
    messages: tuple[Message, ...]
    model: str | None = None  # a model or route of the workspace; None: the model that answered
    draw: int = 0
    shown: int = 1  # how often it contains the answer, whose size a plan does not know
    replies: int = 0  # how many earlier replies it contains
    steps: tuple[str, ...] = ()  # the steps of a pipeline whose outputs it contains, where they ran


class Outcome(StrEnum):
    """One grader's result for one sample. `error` is about the grader, never about the output."""

    PASS = "pass"  # noqa: S105 (a verdict, not a password)
    FAIL = "fail"
    ABSTAIN = "abstain"
    ERROR = "error"


class Verdict(Value):
    """An outcome, a score in [0, 1] (None if nothing was graded) and a reason for people."""

    outcome: Outcome
    score: float | None
    reason: str
    detail: Mapping[str, JsonValue] | None = None  # details for the log: votes, scores of criteria

    @classmethod
    def check(cls, passed: bool, reason: str) -> "Verdict":  # noqa: FBT001 (the six-line grader reads well so)
        """Pass with score 1 or fail with score 0."""
        return cls(Outcome.PASS, 1.0, reason) if passed else cls(Outcome.FAIL, 0.0, reason)

    @classmethod
    def scored(cls, score: float, pass_mark: float, reason: str) -> "Verdict":
        """Pass at or above the pass mark. Raises ValueError for a score or mark outside [0, 1]."""
        if not (0.0 <= score <= 1.0 and 0.0 <= pass_mark <= 1.0):
            raise ValueError(f"score {score} and pass mark {pass_mark} must lie in [0, 1]")
        return cls(Outcome.PASS if score >= pass_mark else Outcome.FAIL, score, reason)

    @classmethod
    def abstain(cls, reason: str) -> "Verdict":
        """Abstain: there is nothing to judge by."""
        return cls(Outcome.ABSTAIN, None, reason)

    @classmethod
    def error(cls, reason: str) -> "Verdict":
        """Report that the grader itself failed."""
        return cls(Outcome.ERROR, None, reason)


class PartVerdict(Value, kw_only=True):
    """The verdict of one part of a grader, as it is kept in the detail of the whole verdict."""

    grader: str
    verdict: Verdict
    weight: float
    name: str | None = None
    required: bool = True

    @property
    def label(self) -> str:
        """Its name, or else its kind. A part that does not decide is marked."""
        marked = " (weight 0)" if not self.weight else "" if self.required else " (not required)"
        return (self.name or self.grader) + marked


def parts_of(verdict: Verdict) -> tuple[PartVerdict, ...]:
    """Return the verdicts of a grader's parts; empty if it has none, or a detail of another form."""
    stated = (verdict.detail or {}).get("parts")
    try:
        return tuple(
            PartVerdict(
                grader=str(part["grader"]),
                verdict=Verdict(Outcome(part["outcome"]), part["score"], str(part["reason"]), part.get("detail")),
                weight=float(part["weight"]),
                name=part.get("name"),
                required=part.get("required") is not False,
            )
            for part in (stated if isinstance(stated, list) else ())
        )
    except (AttributeError, KeyError, TypeError, ValueError):  # another kind's detail is its own affair
        return ()


class EarlyVerdict(Exception):
    """Ends a grader's work with a verdict, because there is nothing to read or to compare with."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.reason)
        self.verdict = verdict


class Asker(Protocol):
    """Asks models for the graders of one sample. The cost belongs to the sample."""

    async def ask(self, question: Question) -> Answer:
        """Return the reply, from the log or new, with its price. Raises CallError; NotSent if the run is ending."""


class StepOutput(Value):
    """Inputs and output of a step of the sample, for the suite's graders."""

    output: JsonValue  # JSON if the step's prompt has JSON output or it is a function; text otherwise
    inputs: Mapping[str, JsonValue]  # empty if a double replaced the step


class GradeContext(Value, kw_only=True):
    """One sample, as a grader sees it."""

    case: Case
    completion: Completion
    request: Request | None = None  # None: no longer known
    output_schema: Mapping[str, JsonValue] | None = None  # the version's own
    cost_usd: Decimal | None = None
    latency: Latency | None = None  # of the call so far; None if only the completion's own is known
    trial: int = 0
    step: str | None = None  # of a pipeline: the step that gave this output
    steps: Mapping[str, StepOutput] = field(default_factory=dict)  # of a pipeline, for suite graders: those that ran
    asker: Asker | None = None  # None if no model can be asked here
    cache: dict[str, object] = field(default_factory=dict)  # parsed once for all graders

    @property
    def text(self) -> str:
        """The output's text."""
        return self.completion.text

    @property
    def expected(self) -> JsonValue:
        """The case's `expected`; `core.case.ABSENT` if it has none."""
        return self.case.expected

    @property
    def inputs(self) -> Mapping[str, JsonValue]:
        """The case's inputs."""
        return self.case.inputs


_STOPPED = {
    FinishReason.CONTENT_FILTER: ("the answer was cut off", "the answer was blocked"),
    FinishReason.REFUSAL: ("the model refused", "the model refused without a word"),
    FinishReason.LENGTH: ("cut off: its tokens ran out", "the answer is empty: its tokens ran out"),
}
"""The words for a truncated answer and for an empty one."""
_BLOCKED = frozenset({FinishReason.CONTENT_FILTER, FinishReason.REFUSAL})


def shortfall(completion: Completion) -> str | None:
    """Say why an answer is empty or unfinished; None if nothing is known to be missing."""
    empty = not completion.text.strip()
    if completion.tool_calls and empty:
        return None
    said, unsaid = _STOPPED.get(completion.finish, (None, None))
    if not empty:
        return said
    return unsaid if completion.finish in _BLOCKED else _unsaid(completion, unsaid)


def told(completion: Completion) -> str | None:
    """Say the same, with the provider's word and what to do."""
    words = shortfall(completion)
    if words is None:
        return None
    finish = completion.finish
    advice = "; raise max_tokens" if finish is FinishReason.LENGTH and not completion.text.strip() else ""
    by = " by the provider's content filter" if finish is FinishReason.CONTENT_FILTER else ""
    return f"{words}{by} (finish: {finish.value}){advice}"


def _unsaid(completion: Completion, otherwise: str | None) -> str | None:
    tokens = completion.usage.reasoning_tokens
    if not tokens and not completion.reasoning:
        return otherwise
    output = completion.usage.output_tokens
    if not tokens:
        return "the answer is empty: there is nothing but reasoning"
    share = "all" if output is not None and tokens >= output else f"{tokens:,} of its"
    count = f"{output:,} " if output is not None else ""
    return f"the answer is empty: {share} {count}tokens went into reasoning"


def with_cause(verdict: Verdict, completion: Completion) -> Verdict:
    """Replace `the output is ""` in a failing verdict by the reason why the model stopped."""
    if verdict.outcome is not Outcome.FAIL:
        return verdict
    cause = told(completion)
    if cause is None:
        return verdict
    empty = not completion.text.strip()
    return replace(verdict, reason=cause if empty else f"{cause}; {verdict.reason}")
