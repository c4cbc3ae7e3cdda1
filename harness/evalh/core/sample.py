"""Samples: one (case, trial) under one version and model, whether it is good, and what comparing needs of it.

A pipeline's sample says what became of each of its steps too.
"""

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum

from msgspec import field

from evalh.core.attempt import NOT_KNOWN, CallError, Completion, Latency
from evalh.core.case import INCIDENT, Case
from evalh.core.money import plus
from evalh.core.strict_json import JsonValue
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


class StepState(StrEnum):
    """What became of a step in one sample."""

    RAN = "ran"
    SKIPPED = "skipped"  # its condition was false, or what it reads was skipped
    GIVEN = "given"  # a double gave the output
    STOPPED = "stopped"  # did not run: a step before it was bad
    FAILED = "failed"  # no answer, or the function raised: infrastructure, not a bad output


class StepGrade(StrEnum):
    """Whether a step's output is good. A step without graders and checks has none, but for the one with the output."""

    GOOD = "good"
    BAD = "bad"
    UNKNOWN = "unknown"  # a grader abstained or erred


class StepWord(StrEnum):
    """What a step's grade says beside those of the steps that it reads. A good step that reads good ones has none."""

    ORIGIN = "origin"  # bad, though all that it reads is good
    PROPAGATED = "propagated"  # bad, and so is something that it reads
    RECOVERED = "recovered"  # good, though something that it reads is bad
    POSSIBLE = "possible"  # something that it reads is not known, and could make it another word


class StepResult(Value, kw_only=True):
    """One step of one sample."""

    step: str
    state: StepState
    reason: str | None = None  # why it did not run, or what is wrong with it
    grade: StepGrade | None = None  # of the step that gave the output, where nothing grades it, the sample's
    inputs: JsonValue = None  # as they were handed to it
    output: JsonValue = None
    call_id: str | None = None  # None: no model was asked
    attempt_id: str | None = None
    cache_hit: bool = False
    cost_usd: Decimal | None = Decimal(0)
    cached_cost_usd: Decimal | None = Decimal(0)
    judge_cost_usd: Decimal | None = Decimal(0)
    attempts: int = 0
    latency: Latency = NOT_KNOWN
    verdicts: tuple[Graded, ...] = ()
    word: StepWord | None = None  # None: not graded, or good and so is all that it reads
    tainted: bool = False  # bad, or reads what is tainted: provenance alone

    @property
    def gave(self) -> bool:
        """Whether there is an output that others may read."""
        return self.state in (StepState.RAN, StepState.GIVEN)


class SampleWord(StrEnum):
    """What a sample of a pipeline was; docs/guide has a picture."""

    CLEAN = "clean"  # good, and no step was bad
    RECOVERED = "recovered"  # good; a step was bad, and a later one corrected it
    LATENT = "latent"  # good, though bad steps lead to its output: no harm done, or a grader is wrong
    UNEXPLAINED = "unexplained"  # bad, and no bad step leads to the output
    POISONED = "poisoned"  # bad: bad steps lead from an early one to the output
    FAILED_AT_END = "failed at the end"  # bad: only the last step was
    NOT_KNOWN = "not known"  # steps that were not graded could make it another word


class Story(Value, kw_only=True):
    """A sample's word, where it went wrong first, and which bad step reached the output."""

    word: SampleWord
    first_bad: str | None = None  # the earliest step that is bad though all that it reads is good
    responsible: tuple[str, ...] = ()  # the origins whose fault reached the output; several have equal shares


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
    latency: Latency = NOT_KNOWN  # an answer from the log counts as when it was asked
    steps: tuple[StepResult, ...] = ()  # of a pipeline, each after all that it reads
    story: Story | None = None  # of a pipeline
    review: str | None = None  # why a person must look at it before it is used

    def result(self) -> "SampleResult":
        """Return it as a comparison needs it."""
        completion = self.completion
        return SampleResult(
            case_id=self.case.id,
            trial=self.trial,
            standing=self.standing,
            cost_usd=plus(self.cost_usd, self.cached_cost_usd),
            latency_ms=None if completion is None else self.latency.total_ms,
            latency_whole=self.latency.whole,
            output_digest=None if completion is None else completion.digest(),
            outcomes={one.grader: one.verdict.outcome for one in self.verdicts},
            required=frozenset(one.grader for one in self.verdicts if one.required),
            tags=self.case.tags,
            cluster=self.case.cluster,
            inputs_digest=self.case.inputs_digest,
        )

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

    @property
    def incident(self) -> bool:
        """Whether its case is counted apart from the good rate."""
        return INCIDENT in self.tags
