"""What readers of the log return: its rows as values (fields are named like columns), and what reports derive."""

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import TypeAlias

from evalh.core.attempt import NOT_KNOWN, CallKey, Completion, Latency, Usage
from evalh.core.case import INCIDENT, Case
from evalh.core.request import ToolCall
from evalh.core.run import Estimate, Incidents, RunRecord, RunStatus, RunSummary, StepRecord
from evalh.core.sample import Graded, Standing, StepResult, Story
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value


class RunRow(Value, kw_only=True):
    """A run. `summary` is None while it runs, and if it was killed."""

    record: RunRecord
    status: RunStatus
    reason: str | None
    finished_at: float | None  # seconds since the epoch, UTC
    summary: RunSummary | None


class SampleRow(Value, kw_only=True):
    """A sample with its verdicts. Its attempt has the output and the usage."""

    id: str
    run_id: str
    case_id: str
    case_digest: str
    case_index: int
    trial: int
    standing: Standing
    call_id: str
    answered_by: str | None
    cache_hit: bool
    cost_usd: Decimal | None  # spent by this run
    cached_cost_usd: Decimal | None  # what the store's answer cost when it was bought
    judge_cost_usd: Decimal | None
    attempts: int
    latency: Latency
    finish: str | None
    error_kind: str | None
    error: str | None
    output_digest: str | None
    verdicts: tuple[Graded, ...]
    steps: tuple[StepResult, ...] = ()  # of a pipeline, each after all that it reads
    story: Story | None = None  # of a pipeline
    step_output: str | None = None  # of a pipeline: the output that a function or a double gave
    review: str | None = None  # why a person must look at it


class AttemptRow(Value, kw_only=True):
    """One physical request and its end."""

    id: str
    call_id: str
    number: int
    model: str
    provider: str
    request_digest: str
    started_at: float
    reason: str
    messages: JsonValue  # None: the call's
    status: str  # sent, ok, error, interrupted
    latency_ms: float | None
    completion: Completion | None  # of an answered attempt, whose cost_usd is None: see below
    error_kind: str | None
    error: str | None
    http_status: int | None
    retry_after_s: float | None
    request_id: str | None
    usage: Usage
    cost_usd: Decimal | None
    estimated: bool


class DecisionRow(Value, kw_only=True):
    """A decision of evalh about a call, with its reason."""

    kind: str
    reason: str
    at: float  # seconds since the epoch, UTC
    detail: Mapping[str, JsonValue]


class CallRow(Value, kw_only=True):
    """One logical request with its attempts."""

    id: str
    run_id: str
    case_id: str
    trial: int
    step: str | None
    draw: int
    purpose: str
    request_digest: str
    cache_hit: bool = False
    answered_by: str | None = None
    cost_usd: Decimal | None = None
    cached_cost_usd: Decimal | None = None
    latency: Latency = NOT_KNOWN
    route: str | None = None  # None: a model was asked directly
    reasons: tuple[str, ...] = ()
    settings: Mapping[str, JsonValue]
    messages: JsonValue = None  # None: the run was killed before the answer
    attempts: tuple[AttemptRow, ...]  # of this call; none on a cache hit
    decisions: tuple[DecisionRow, ...]
    answer: AttemptRow | None = None  # the attempt that holds the answer, of an earlier run on a cache hit
    origin: "CallRow | None" = None  # on a cache hit: the call that bought the answer


class ComparisonRow(Value, kw_only=True):
    """A comparison of two results."""

    id: str
    at: float  # seconds since the epoch, UTC
    suite: str
    base: str  # triage@v2
    head: str
    base_model: str
    head_model: str
    base_run: str | None
    head_run: str | None
    verdict: str
    comparable: bool
    n: int
    wins: int
    losses: int
    difference: float | None
    low: float | None
    high: float | None
    p_value: float | None
    content: str  # JSON: `analysis.compare.comparison.Comparison`


class FirstAnswer(Value, kw_only=True):
    """The first answer of a cascade that asked the stronger model, and the final standing of the sample."""

    suite: str
    case: Case
    completion: Completion
    output_schema: Mapping[str, JsonValue] | None
    standing: Standing  # final, of the sample
    key: CallKey  # of the call


class SampleDetail(Value, kw_only=True):
    """A sample, its case as it was then, and all its calls: for the answer, of judges and of critics."""

    sample: SampleRow
    case: Case
    calls: tuple[CallRow, ...]
    asked: tuple[StepRecord, ...] = ()  # a pipeline's steps, as the run asked them


class TracedSample(Value, kw_only=True):
    """A sample with its calls in order; `sample` is None if the run ended before it was evaluated."""

    case_id: str
    trial: int
    sample: SampleRow | None
    calls: tuple[CallRow, ...]


class CaseDetail(Value, kw_only=True):
    """A case in one run: a sample for each trial."""

    case_id: str
    run: RunRow
    samples: tuple[SampleDetail, ...]


class GateRow(Value, kw_only=True):
    """A gate's decision."""

    id: str
    at: float  # seconds since the epoch, UTC
    base: str  # as the user wrote it
    head: str
    merge_base: str | None
    decision: str  # accept, refuse, inconclusive
    exit: int
    reasons: str  # one per line
    content: str  # JSON: the document of `evalh gate --json`


Shown: TypeAlias = RunRow | CaseDetail | SampleDetail | CallRow | ComparisonRow | GateRow
"""The kinds of things that an id can name. An attempt's id shows its call."""


class CallFilter(StrEnum):
    """A filter for calls."""

    ALL = "all"
    ERRORS = "errors"  # at least one attempt failed or was interrupted
    SLOW = "slow"  # slowest first
    RETRIED = "retried"  # more than one attempt
    ESCALATED = "escalated"  # the first answer failed a check, and the stronger model was asked


class SampleStory(Value, kw_only=True):
    """One sample, its case as it was then, and the answer."""

    sample: SampleRow
    case: Case
    output: str | None  # None: no answer
    reasoning: str | None  # text before the answer; None: not looked for
    tool_calls: tuple[ToolCall, ...]
    usage: Usage
    model_answered: str | None  # the model's name as it answered


class TracedAttempt(Value, kw_only=True):
    """One physical request, without its texts."""

    number: int
    model: str
    started_at: float  # seconds since the epoch, UTC
    reason: str  # first, retry, repair, fallback, escalation
    status: str
    latency_ms: float | None
    error_kind: str | None
    error: str | None
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: Decimal | None
    estimated: bool


class TracedCall(Value, kw_only=True):
    """One call of a sample: its attempts and decisions; on a cache hit those of the call that bought the answer."""

    id: str
    step: str | None
    draw: int
    purpose: str
    cache_hit: bool
    route: str | None
    attempts: tuple[TracedAttempt, ...]
    decisions: tuple[DecisionRow, ...]

    @property
    def eventful(self) -> bool:
        """Whether there is more than one attempt and one answer."""
        return len(self.attempts) != 1 or bool(self.decisions) or self.attempts[0].status != "ok"


class CaseTally(Value, kw_only=True):
    """One case of a run: its trials so far."""

    samples: int
    good: int
    bad: int
    hits: int  # answered by the log
    spent_usd: Decimal | None  # by this run; None if unknown
    task_usd: Decimal | None  # with the first cost of the log's answers
    errors: Mapping[str, int]  # samples without an answer, by error kind
    ties: tuple[tuple[str, str], ...] = ()  # to other cases: `core.case.ties`
    tags: frozenset[str] = frozenset()

    @property
    def incident(self) -> bool:
        """Whether it is counted apart from the good rate."""
        return INCIDENT in self.tags


class UnderWay(Value, kw_only=True):
    """A run with its numbers so far. Its incidents are in `hits` and in what was spent, and else apart."""

    run: RunRow
    samples: int
    good: int
    bad: int
    ungraded: int
    hits: int
    good_rate: Estimate
    spent_usd: Decimal | None
    cost_per_good_usd: Estimate
    errors: Mapping[str, int]
    incidents: Incidents

    @property
    def evaluated(self) -> int:
        """Count the samples so far, incidents too."""
        return self.samples + self.incidents.samples


class TriedOutput(Value, kw_only=True):
    """One output and its verdict."""

    case_id: str
    outcome: str
    score: float | None
    reason: str
    output: str
    parts: tuple[JsonValue, ...] = ()  # what its parts said, where the grader has parts


class GraderTrial(Value, kw_only=True):
    """One grader, with the parameters of a suite or with its defaults."""

    grader: str
    where: str  # file:line, of the suite's entry or of the code
    params: Mapping[str, JsonValue]
    run: str | None  # whose outputs were judged; None: no run yet
    outputs: int
    counts: Mapping[str, int]  # pass, fail, abstain, error
    ms_each: float | None
    examples: tuple[TriedOutput, ...]
