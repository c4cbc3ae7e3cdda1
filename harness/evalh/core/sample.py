"""Samples: one (case, trial) under one version and model, whether it is good, and what comparing needs of it."""

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


class SampleResult(Value, kw_only=True):
    """One sample, as far as comparing needs it: from the store, from a committed baseline, or from a run under way."""

    case_id: str
    trial: int
    standing: Standing
    cost_usd: Decimal | None  # all task spend, an answer from the store at what it cost when bought; None: unknown
    latency_ms: float | None
    latency_whole: bool = True  # False: the last attempt's alone, as older logs have it
    output_digest: str | None  # equal outputs have equal digests; None: no answer
    outcomes: Mapping[str, Outcome] = field(default_factory=dict)  # by grader
    required: frozenset[str] = frozenset()  # the graders that decide what is good
    row_digest: str | None = None  # of the case's row; None: not known
    tags: frozenset[str] = frozenset()
    cluster: str | None = None  # as the row says
    inputs_digest: str | None = None  # equal inputs make one cluster, though no row says so; None: not known
