"""Samples: one (case, trial) under one version and model, and whether it is good."""

from decimal import Decimal
from enum import StrEnum

from evalh.core.attempt import CallError, Completion
from evalh.core.case import Case
from evalh.core.latency import NOT_KNOWN, Latency
from evalh.core.values import Value
from evalh.core.verdict import Verdict


class Standing(StrEnum):
    """What a sample is. `ungraded` stays in every denominator."""

    GOOD = "good"
    BAD = "bad"
    UNGRADED = "ungraded"


class Graded(Value):
    """One grader's verdict on one sample."""

    grader: str
    required: bool
    verdict: Verdict


class Sample(Value, kw_only=True):
    """The unit that is counted. Without an answer `completion` is None and `error` says why."""

    case: Case
    case_index: int  # the case's place in the dataset, from 0
    trial: int
    standing: Standing
    verdicts: tuple[Graded, ...]
    call_id: str
    attempt_id: str | None = None  # the attempt that holds the answer; in an earlier run on a cache hit
    completion: Completion | None = None
    error: CallError | None = None
    cache_hit: bool = False
    cost_usd: Decimal | None = Decimal(0)  # spent by this run; None: unknown
    cached_cost_usd: Decimal | None = Decimal(0)  # what the log's answers cost when they were bought; None: unknown
    judge_cost_usd: Decimal | None = Decimal(0)
    attempts: int = 0  # made in this run
    latency: Latency = NOT_KNOWN  # an answer from the log counts as when it was asked

    @property
    def from_log(self) -> bool:
        """Whether the log answered: the whole call, or every request of its route."""
        return self.cache_hit or (self.completion is not None and not self.attempts)
