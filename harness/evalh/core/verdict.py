"""What graders see and say."""

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from msgspec import field

from evalh.core.asking import Question
from evalh.core.attempt import Answer, Completion
from evalh.core.case import Case
from evalh.core.digest import JsonValue
from evalh.core.latency import Latency
from evalh.core.request import Request
from evalh.core.values import Value


class Outcome(StrEnum):
    """What one grader says of one sample. `error` is about the grader, never about the output."""

    PASS = "pass"  # noqa: S105 (a verdict, not a password)
    FAIL = "fail"
    ABSTAIN = "abstain"
    ERROR = "error"


class Verdict(Value):
    """An outcome, a score in [0, 1] (None where nothing was graded) and a reason for people."""

    outcome: Outcome
    score: float | None
    reason: str
    detail: Mapping[str, JsonValue] | None = None  # what it was made of: votes, scores of criteria; for the log

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
        """Say that there is nothing to judge by."""
        return cls(Outcome.ABSTAIN, None, reason)

    @classmethod
    def error(cls, reason: str) -> "Verdict":
        """Say that the grader itself failed."""
        return cls(Outcome.ERROR, None, reason)


class Asker(Protocol):
    """Asks models for the graders of one sample. What it spends is booked on that sample."""

    async def ask(self, question: Question) -> Answer:
        """Return the reply, the log's or a new one, with its price. Raises CallError; NotSent: the run is ending."""


class GradeContext(Value, kw_only=True):
    """One sample, as a grader sees it."""

    case: Case
    completion: Completion
    request: Request | None = None  # what was asked; None: not known any more
    output_schema: Mapping[str, JsonValue] | None = None  # the version's own
    cost_usd: Decimal | None = None
    latency: Latency | None = None  # of the call, so far; None: the completion's own is all there is
    trial: int = 0
    step: str | None = None
    asker: Asker | None = None  # None: no model can be asked here
    cache: dict[str, object] = field(default_factory=dict)  # one parse for all graders

    @property
    def text(self) -> str:
        """The output's text."""
        return self.completion.text

    @property
    def expected(self) -> JsonValue:
        """The case's `expected`; `core.case.ABSENT` where it has none."""
        return self.case.expected

    @property
    def inputs(self) -> Mapping[str, JsonValue]:
        """The case's inputs."""
        return self.case.inputs
