"""A comparison of two results, base and head: what `evalh compare` and the gate state.

Values only; `analysis.compare.compare` fills them in. Cases are counted; clusters of cases that are alike are
tested: five trials of one case, or five copies of it, are one observation.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import StrEnum

from evalh.core.calibration import JudgeStanding, judge_relative
from evalh.core.run import DownstreamComparison, Estimate, Fingerprint
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value


class SideName(StrEnum):
    """The two sides of a comparison."""

    BASE = "base"
    HEAD = "head"


class ComparisonVerdict(StrEnum):
    """What the difference's interval says of head, with `margin` as the drop that would still be harmless."""

    BETTER = "better"  # the whole interval lies above 0
    NO_WORSE = "no_worse"  # a drop of `margin` or more is excluded
    WORSE = "worse"  # the whole interval lies below 0
    INCONCLUSIVE = "inconclusive"


class Flip(StrEnum):
    """What fresh trials say of a case that base got right and head got wrong."""

    REGRESSED = "regressed"  # shown again on fresh answers
    UNSTABLE = "unstable"  # good in some fresh trials and bad in others: the flip may be chance
    NOISE = "noise"  # in the fresh trials head is no worse on it


class Side(Value, kw_only=True):
    """One side, over the cases that were compared."""

    run: str | None  # the store's; None: a committed baseline
    suite: str
    prompt: str  # triage@v3
    model: str
    fingerprint: Fingerprint
    trials: int  # planned for each case
    samples: int
    good: int
    bad: int
    ungraded: int
    good_rate: Estimate
    cost_per_good_usd: Estimate
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    by_the_hour: bool = False
    last_attempts: int = 0  # samples whose latency is the last attempt's alone, as older logs have it


class Mismatch(Value, kw_only=True):
    """A part of the fingerprint that must be the same and is not. `cases` are named where rows differ."""

    part: str  # dataset, graders
    what: str  # one sentence for people
    base: str  # digests
    head: str
    cases: tuple[str, ...] = ()


class PartDifference(Value, kw_only=True):
    """A part of the fingerprint in which the sides differ, whether or not that makes them incomparable."""

    part: str  # prompt, dataset, graders, model, route
    details: tuple[str, ...] = ()  # a few words each; empty: nothing more is known


class Missing(Value, kw_only=True):
    """Samples that one side has and the other lacks."""

    case_id: str
    absent_from: SideName
    trials: tuple[int, ...]


class IncidentGoods(Value):
    """What an incident did on one side, in trials."""

    good: int
    ungraded: int
    trials: int


class IncidentPair(Value, kw_only=True):
    """An incident on both sides: a promise to look at, which is in no number."""

    case_id: str
    base: IncidentGoods
    head: IncidentGoods


class PartComparison(Value, kw_only=True):
    """The comparison seen through one grader, or over the cases of one tag.

    `p_adjusted` is adjusted for the number of views: Holm for required graders, Benjamini-Hochberg elsewhere.
    """

    name: str
    required: bool  # a grader that decides what is good; a tag never decides
    n: int
    wins: int
    losses: int
    ties: int
    base_rate: Estimate
    head_rate: Estimate
    difference: Estimate
    p_value: float | None
    p_adjusted: float | None
    adjusted_by: str  # holm, bh
    shown: bool  # p_adjusted is at or below the level: 0.05 for holm, 0.10 for bh


class LatencyChange(Value, kw_only=True):
    """How long the answers took, over the paired cases. From the log they may have been measured on different days."""

    difference_ms: Estimate  # the mean of the cases' differences, head - base


class PassAt(Value, kw_only=True):
    """pass@k (at least one of k trials is good) and pass^k (all are), averaged over cases."""

    k: int
    base_any: Estimate
    head_any: Estimate
    base_all: Estimate
    head_all: Estimate


class Confirmed(Value, kw_only=True):
    """A case that got worse, asked again on both sides."""

    case_id: str
    base_good: int
    base_trials: int  # graded ones
    head_good: int
    head_trials: int
    p_value: float | None  # Fisher's exact test, one-sided, on the fresh trials alone
    p_adjusted: float | None  # Benjamini-Hochberg over the cases that were asked again
    p_worse: float | None  # the chance that head's good rate on this case is below base's, under Jeffreys' prior
    label: Flip


class Preferred(Value, kw_only=True):
    """What a grader that reads both outputs said, in cases. Equal outputs are ties without being asked about."""

    grader: str
    head: int  # cases where head's output was preferred, in both orders
    base: int
    ties: int  # the order decided, or the judge saw no difference
    unjudged: int
    p_value: float | None  # neither version is preferred, over the cases where the order did not matter; None: no such
    model: str = ""
    first: int = 0  # of the ties: whichever output stood first was preferred
    second: int = 0
    win_rate: float | None = None  # of head, a tie counts half
    consistency: float | None = None  # of the cases with a preference, the share where the order did not matter
    unsteady: bool = False  # the order decides too often
    position_p: float | None = None  # neither place is favoured, over the cases where the order decided
    judge_cost_usd: Decimal | None = Decimal(0)  # spent by this comparison
    cached_cost_usd: Decimal | None = Decimal(0)  # what judgements from the log cost when they were bought
    head_cases: tuple[str, ...] = ()
    base_cases: tuple[str, ...] = ()
    unjudged_cases: tuple[str, ...] = ()
    why_unjudged: str | None = None  # of the first


class Comparison(Value, kw_only=True):
    """Base against head. `n` = `wins` + `losses` + `ties`, in cases.

    An ungraded sample helps no claim: the difference's interval reaches from the lowest limit to the highest that the
    ungraded samples could give, and a case whose sign hangs on them is a tie, counted in `undecided` too.
    """

    base: Side
    head: Side
    comparable: bool
    mismatches: tuple[Mismatch, ...]
    missing: tuple[Missing, ...]
    intersection: bool  # the common cases were compared, on request, although others differ
    identical: bool  # the very same answers on both sides: there was nothing to compare
    n: int
    clusters: int  # that the cases are in: what the statistics count
    uneven: bool  # clusters differ in size: the difference is the mean over clusters, not over cases
    wins: int
    losses: int
    ties: int
    undecided: int
    difference: Estimate  # head's good rate - base's, the mean over clusters
    p_value: float | None  # two-sided, no difference; None if the cases were looked at while they came in
    test: str  # mcnemar-midp, mcnemar-exact, sign-flip, none
    margin: float
    p_no_worse: float | None  # one-sided: head is worse by `margin` or more
    verdict: ComparisonVerdict
    reason: str  # why there is no verdict, or its basis, in one sentence
    measured: bool  # False: more samples are ungraded than the suite allows; there is no verdict then
    detectable_drop: float | None  # the smallest that so many such cases call worse with 80 % power; None: no drop
    cases_needed: int | None  # where it is inconclusive: to show that a version that is no worse is no worse
    cost_per_good_ratio: Estimate  # head's over base's
    latency: LatencyChange
    graders: tuple[PartComparison, ...]
    tags: tuple[PartComparison, ...]
    regressed: tuple[str, ...]  # losses, in the dataset's order
    fixed: tuple[str, ...]  # wins
    unstable: tuple[str, ...]  # good in some trials of one side and not in others: no flip, whatever the sign
    pass_at: PassAt | None = None
    confirmed: tuple[Confirmed, ...] = ()
    preferred: tuple[Preferred, ...] = ()
    downstream: DownstreamComparison | None = None  # None: the suite states no value
    judges: tuple[JudgeStanding, ...] = ()  # models that grade, and whether they are calibrated
    notices: tuple[str, ...] = ()  # other reasons not to trust it
    incidents: tuple[IncidentPair, ...] = ()  # cases that are incidents on either side: they are in no other number
    differing: tuple[PartDifference, ...] = ()  # also in what may differ, such as the prompt

    @property
    def judge_relative(self) -> tuple[str, ...]:
        """Say why the verdict is relative to its judges; empty if they are calibrated."""
        return judge_relative(self.judges)

    @property
    def detail(self) -> str:
        """Name what stands in the way of a comparison; empty if nothing does."""
        return "; ".join(mismatch.what for mismatch in self.mismatches)


class Example(Value, kw_only=True):
    """One case to look at, as both sides answered it; an output is None if there was no answer."""

    case_id: str
    better: bool  # False: it got worse
    trial: int
    inputs: Mapping[str, JsonValue]
    base_output: str | None
    head_output: str | None
    base_reasons: tuple[tuple[str, str], ...]  # (grader, reason), required graders that did not pass
    head_reasons: tuple[tuple[str, str], ...]


def listed(names: Sequence[str], most: int = 8) -> str:
    """List names, and say how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
