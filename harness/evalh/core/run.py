"""Runs: one execution of a suite for one version and model, its forecast, and the numbers at its end."""

from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import StrEnum

import msgspec
from msgspec import Struct, field

from evalh.core.strict_json import JsonValue
from evalh.core.values import Value


class RunStatus(StrEnum):
    """The state of a run. Only `complete` means that every planned sample was evaluated."""

    RUNNING = "running"
    COMPLETE = "complete"
    STOPPED = "stopped"  # ended early on purpose: a dead provider, a spent budget
    INTERRUPTED = "interrupted"  # Ctrl-C, SIGTERM, kill -9


class RunKind(StrEnum):
    """What a run was made for. The newest run, and a suite's history, are of the first two kinds."""

    RUN = "run"  # a person asked for it: `evalh run`
    COMPARE = "compare"  # a side of `evalh compare` that was not in the log
    GATE = "gate"
    BASELINE = "baseline"
    DRIFT = "drift"
    PRODUCTION = "production"  # answers that production gave, graded: nobody was asked
    BLAME = "blame"  # with outputs of steps replaced: it does not say how good a version is


class Fingerprint(Value, kw_only=True):
    """One digest for each part, so that a message can name the part that differs."""

    prompt: str
    dataset: str
    graders: str
    model: str
    route: str

    def document(self) -> dict[str, str]:
        """Return the JSON form."""
        return msgspec.structs.asdict(self)


class StepRecord(Value, kw_only=True):
    """One step of a pipeline, as a run asked it."""

    step: str
    prompt: str | None = None  # "extract@v2"; None: a function
    prompt_digest: str | None = None
    function: str | None = None  # "steps/orders.py:find"
    function_digest: str | None = None
    model: str | None = None  # the name in the workspace; None: a function
    reads: tuple[str, ...] = ()  # the steps whose output it is handed, or its condition looks at
    settings_document: Mapping[str, JsonValue] | None = None  # of its requests; None: a function


class RunRecord(Value, kw_only=True):
    """What identifies a run: its row in the store."""

    id: str
    suite: str
    prompt: str  # "triage@v3"
    model: str  # the name in the workspace: "small"
    model_sent: str  # the name on the wire
    fingerprint: Fingerprint
    trials: int
    planned: int  # samples
    started_at: float  # seconds since the epoch, UTC
    owner: str | None = None
    prompt_digest: str = ""
    prompt_document: Mapping[str, JsonValue] = field(default_factory=dict)
    settings_document: Mapping[str, JsonValue] = field(default_factory=dict)  # of the task's request
    commit: str | None = None
    dirty: bool | None = None
    evalh_version: str = ""
    selection: Mapping[str, JsonValue] = field(default_factory=dict)  # --limit, --tag, --case
    max_ungraded: float = 0.02
    graders_document: Sequence[Mapping[str, JsonValue]] = ()  # by name: what the graders judge by
    kind: RunKind = RunKind.RUN
    steps: tuple[StepRecord, ...] = ()  # of a pipeline, each after all that it reads

    def unmeasured(self, part: "RunSummary | Incidents") -> bool:
        """Whether more of these samples are ungraded than the suite allows."""
        return part.ungraded > self.max_ungraded * part.samples


class Estimate(Value):
    """A number with its interval (95 %, two-sided) and its method. None if unknown, or no finite limit."""

    value: float | None
    low: float | None
    high: float | None
    method: str

    def document(self) -> dict[str, JsonValue]:
        """Return the JSON form."""
        return msgspec.structs.asdict(self)


class Downstream(Value, kw_only=True):
    """The consequences of one version's outputs, at a suite's prices, in samples. A reviewed bad output is withheld."""

    bad_usd: float
    review_usd: float
    abstain_usd: float
    accepted_bad: int  # ungraded ones too
    reviewed: int
    withheld: int
    net_cost_per_good_usd: Estimate  # spend and consequences, over accepted good outputs

    def document(self) -> dict[str, JsonValue]:
        """Return the JSON form."""
        return msgspec.structs.asdict(self) | {"net_cost_per_good_usd": self.net_cost_per_good_usd.document()}


class DownstreamComparison(Value, kw_only=True):
    """The consequences of two versions' outputs. If one is not priced, everything but the sides is None or empty."""

    base: Downstream
    head: Downstream
    loss_usd: Estimate = Estimate(None, None, None, "unpriced")  # for each case and trial, head - base
    crossing_bad_usd: float | None = None  # the price of a bad output at which the preferred version flips
    head_above: bool | None = None  # head is preferred above it, base below; None: no flip
    chance_of_head: float | None = None  # probability that head's mean loss is lower, at the suite's prices
    curve: tuple[tuple[float, float], ...] = ()  # (price of a bad output, that probability)

    def document(self) -> dict[str, JsonValue]:
        """Return the JSON form."""
        return msgspec.structs.asdict(self) | {
            "base": self.base.document(),
            "head": self.head.document(),
            "loss_usd": self.loss_usd.document(),
            "curve": [{"bad_usd": price, "chance_of_head": chance} for price, chance in self.curve],
        }


class GraderTally(Struct, kw_only=True):
    """How often a grader gave each outcome."""

    grader: str
    required: bool
    passed: int = 0
    failed: int = 0
    abstained: int = 0
    erred: int = 0
    panel: Mapping[str, JsonValue] | None = None  # of a panel of judges

    def document(self) -> dict[str, JsonValue]:
        """Return the JSON form."""
        return {
            "grader": self.grader,
            "required": self.required,
            "pass": self.passed,
            "fail": self.failed,
            "abstain": self.abstained,
            "error": self.erred,
            **({} if self.panel is None else {"panel": dict(self.panel)}),
        }


class ConditionalRate(Value, kw_only=True):
    """How often something happened where it could have, and its rate over cases."""

    count: int
    of: int  # occasions
    cases: int  # that had an occasion
    rate: Estimate

    @property
    def complement(self) -> "ConditionalRate":
        """How often it did not happen."""
        rate = self.rate
        if rate.value is not None and rate.low is not None and rate.high is not None:
            rate = Estimate(1 - rate.value, 1 - rate.high, 1 - rate.low, rate.method)
        return ConditionalRate(count=self.of - self.count, of=self.of, cases=self.cases, rate=rate)


class StepTally(Value, kw_only=True):
    """One step of a pipeline over the samples of a run. In each it ran, was skipped, stopped or given, or failed."""

    step: str
    ran: int
    skipped: int
    stopped: int
    given: int
    failed: int
    good: int
    bad: int
    unknown: int
    first_bad: int  # samples that went wrong here first
    responsible: float  # samples whose fault here reached the output; where several steps share it, their parts
    cost_usd: Decimal | None  # spent by this run; None: not priced
    cached_cost_usd: Decimal | None  # what the log's answers cost when they were bought
    judge_cost_usd: Decimal | None
    latency_p50_ms: float | None
    own_error: ConditionalRate  # bad, where all that it reads is good
    propagation: ConditionalRate  # bad, where something that it reads is bad

    @property
    def recovery(self) -> ConditionalRate:
        """Good, where something that it reads is bad."""
        return self.propagation.complement


class SpentAfterBad(Value, kw_only=True):
    """What was spent after a bad step: what stopping there would have saved, and lost.

    It is an upper bound, since checks without gold find fewer bad steps.
    """

    usd: Decimal | None  # an answer of the log at what it cost when bought; None: not priced
    samples: int  # in which a step after a bad one ran
    good: int  # the good ones of these: stopping would have lost them


class PipelineSummary(Value, kw_only=True):
    """Where the samples of a pipeline went wrong. A rate is None if too much is unknown, or there are too few cases."""

    steps: tuple[StepTally, ...]
    words: Mapping[str, int]  # samples by word, all words
    propagation: ConditionalRate  # steps that were bad, where something that they read was bad
    latent: ConditionalRate  # good samples that bad steps lead to
    unexplained: ConditionalRate  # bad samples that no bad step leads to
    after_bad: SpentAfterBad

    @property
    def recovery(self) -> ConditionalRate:
        """Steps that were good, where something that they read was bad."""
        return self.propagation.complement


class Incidents(Value, kw_only=True):
    """The samples of incidents: of cases that were chosen because they failed. A rate must not be over such cases."""

    samples: int = 0
    good: int = 0
    bad: int = 0
    ungraded: int = 0
    cost_usd: Decimal | None = Decimal(0)  # spent by this run, and in its costs; None: not priced
    cached_cost_usd: Decimal | None = Decimal(0)
    errors: Mapping[str, int] = field(default_factory=dict)  # samples without an answer, by error kind

    @property
    def share(self) -> float | None:
        """The share that is good; None if nothing was graded."""
        return self.good / self.samples if self.samples > self.ungraded else None


class RunSummary(Value, kw_only=True):
    """The numbers at the end of a run. `samples` counts every planned sample that was evaluated, ungraded ones too.

    Incidents are counted apart. What was spent, the calls and the attempts include them; no other number does.
    """

    samples: int
    good: int
    bad: int
    ungraded: int
    good_rate: Estimate
    cost_usd: Decimal | None  # spent by this run; None: not priced
    cached_cost_usd: Decimal | None  # what the store's answers cost when they were bought
    judge_cost_usd: Decimal | None
    cost_per_good_usd: Estimate
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    calls: int
    attempts: int
    cache_hits: int
    graders: tuple[GraderTally, ...]
    errors: Mapping[str, int] = field(default_factory=dict)  # samples without an answer, by error kind
    downstream: Downstream | None = None  # None: the suite states no value
    latency_parts_ms: Mapping[str, float] | None = None  # means: attempts, waiting, checks; None if unknown
    by_the_hour: bool = False  # a price per hour: costs depend on how busy the machine was
    last_attempts: int | None = None  # samples whose latency is the last attempt's alone; None: all, an older evalh's
    clusters: int | None = None  # of cases that are alike, which the intervals count; None: an older evalh did not say
    pipeline: PipelineSummary | None = None  # None: a plain suite
    incidents: Incidents | None = None  # None: an older evalh's, which counted them with the others

    @property
    def apart(self) -> Incidents:
        """The incidents that were counted apart; none in a summary of an older evalh."""
        return self.incidents or Incidents()

    @property
    def evaluated(self) -> int:
        """How many samples were evaluated, incidents too."""
        return self.samples + self.apart.samples

    @property
    def of_incidents_alone(self) -> bool:
        """Whether there is no rate, because every sample is one of an incident."""
        return not self.samples and self.apart.samples > 0

    @property
    def all_errors(self) -> Mapping[str, int]:
        """All samples without an answer, those of incidents too, by error kind."""
        return dict(sorted((Counter(self.errors) + Counter(self.apart.errors)).items()))

    @property
    def cost_per_good(self) -> float | None:
        """The cost of one good output in USD; None: not priced, or no output was good."""
        return self.cost_per_good_usd.value


class FailedSample(Value, kw_only=True):
    """An example to look at: the inputs, the output, and the graders' reasons."""

    case_id: str
    trial: int
    standing: str
    inputs: Mapping[str, JsonValue]
    output: str | None
    reasons: tuple[tuple[str, str], ...]  # (grader, reason), required graders that did not pass
    error: str | None = None


class RunResult(Value, kw_only=True):
    """A run, how it ended, its numbers, and a few failures to look at."""

    record: RunRecord
    status: RunStatus
    summary: RunSummary
    failures: tuple[FailedSample, ...] = ()
    stopped_because: str | None = None


class Forecast(Value, kw_only=True):
    """The plan in numbers. `worst_case_usd` is None if a price or a bound on output tokens is missing."""

    samples: int
    answered: int  # by the store
    to_ask: int
    once_usd: Decimal | None  # if the first model answers every first attempt
    worst_case_usd: Decimal | None  # if all attempts that the route allows are made and billed
    judges_usd: Decimal | None = Decimal(0)  # the graders' part of that
    why_unknown: str | None = None
    not_called: tuple[str, ...] = ()  # functions of a pipeline: what reads them counts as asked
    by_chars: bool = False  # outputs of functions count with the most characters that they may have
