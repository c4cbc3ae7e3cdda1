"""Samples: one case and trial under one version and model, its standing, and what a comparison needs."""

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum

from msgspec import field

from evalh.core.attempt import NOT_KNOWN, CallError, Completion, Latency
from evalh.core.case import Case
from evalh.core.values import Value
from evalh.core.verdict import Outcome, Verdict


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
    """The unit that is counted. Without an answer `completion` is None, and `error` gives the reason."""

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
    cost_usd: Decimal | None = Decimal(0)  # spent by this run; None if unknown
    cached_cost_usd: Decimal | None = Decimal(0)  # what the log's answers cost when they were bought; None if unknown
    judge_cost_usd: Decimal | None = Decimal(0)
    attempts: int = 0  # made in this run
    latency: Latency = NOT_KNOWN  # of an answer from the log: as when it was asked

    @property
    def from_log(self) -> bool:
        """Whether the log answered: the whole call, or every request of its route."""
        return self.cache_hit or (self.completion is not None and not self.attempts)


class SampleResult(Value, kw_only=True):
    """One sample, as a comparison needs it: from the store, a committed baseline or a run in progress."""

    case_id: str
    trial: int
    standing: Standing
    cost_usd: Decimal | None  # all spending on the task, the log's answers at their first cost; None if unknown
    latency_ms: float | None
    latency_whole: bool = True  # False: only the last attempt's, as in older logs
    output_digest: str | None  # equal outputs have equal digests; None: no answer
    outcomes: Mapping[str, Outcome] = field(default_factory=dict)  # by grader
    required: frozenset[str] = frozenset()  # the graders that decide what is good
    row_digest: str | None = None  # of the case's row; None if unknown
    tags: frozenset[str] = frozenset()
    cluster: str | None = None  # as the row says
    inputs_digest: str | None = None  # equal inputs make one cluster, even if no row names one; None if unknown
