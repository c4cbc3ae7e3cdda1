"""A judge's calibration: how well its verdicts agree with people's labels of outputs."""

from enum import StrEnum

from evalh.core.run import Estimate
from evalh.core.values import Value

FEWEST_DISAGREEMENTS = 10
"""Raters needed, people and the judge. With fewer, the intervals of kappa and of differences between versions cover
less often than stated: kappa's .33 at 2, .76 at 3, .86 at 8, .93 at 12 (people's rate .95 and .98, simulated)."""


class Confusion(Value, kw_only=True):
    """A judge's verdicts against people's majority, in outputs."""

    both_good: int
    judge_only: int  # the judge passes them, people do not
    people_only: int
    both_bad: int

    @property
    def labelled(self) -> int:
        """The number of outputs."""
        return self.both_good + self.judge_only + self.people_only + self.both_bad

    @property
    def disagreements(self) -> int:
        """The outputs on which people and the judge disagree."""
        return self.judge_only + self.people_only


class AgreementTable(Value, kw_only=True):
    """How well raters agree. `kappa` is None unless they are two; an Estimate without a value is undefined."""

    cases: int
    raters: int
    raw: Estimate
    ac1: Estimate
    kappa: Estimate | None
    alpha: Estimate

    @property
    def worse_than_chance(self) -> bool:
        """Whether kappa is shown to be below 0: the raters disagree more often than by chance."""
        return self.kappa is not None and self.kappa.high is not None and self.kappa.high < 0


class CorrectedRate(Value, kw_only=True):
    """A rate as the judge sees it, and corrected to people's: by the judge's errors that the labels show."""

    name: str  # triage@v3 on small
    run: str | None  # None: every output that was judged
    judged: int
    judge_rate: float | None
    labels: int
    corrected: Estimate  # without a value: an outcome of the judge has no label


class VersionDifference(Value, kw_only=True):
    """The difference of two versions' rates, head - base, over common cases: as the judge sees it, and corrected."""

    base: str  # triage@v2 on small
    head: str
    base_run: str | None
    head_run: str | None
    cases: int
    judge_difference: float
    labels: int  # cases with a label on both sides
    corrected: Estimate  # without a value: some kinds of pairs have no label
    shift: Estimate  # people's difference minus the judge's, over the same outputs
    few_labels: bool = False  # too few to say that the judge favours a side

    @property
    def known(self) -> bool:
        """Whether the labels are more than a handful that say the same, on which no number rests."""
        return self.corrected.low is not None or self.labels >= FEWEST_DISAGREEMENTS

    @property
    def favoured(self) -> str | None:
        """Return the side that the judge favours compared with people; None if it is not shown to favour one."""
        low, high = self.shift.low, self.shift.high
        if self.few_labels or low is None or high is None or low <= 0 <= high:
            return None
        return "head" if high < 0 else "base"


class Held(StrEnum):
    """Whether a judge, as it is now, is calibrated."""

    CALIBRATED = "calibrated"
    FEW_LABELS = "few labels"  # too few to show its error rate or that it is low
    STALE = "stale"  # the judge was changed since
    NEVER = "never"


class JudgeStanding(Value, kw_only=True):
    """What is known of a judge on whose verdicts a result rests."""

    judge: str
    required: bool
    state: Held
    at: str | None = None  # when it was last calibrated, UTC
    labels: int | None = None
    kappa: Estimate | None = None
    why: str | None = None  # what is missing, and what to type; None: nothing
    difference: VersionDifference | None = None  # in a comparison: between its sides, where labels cover both

    @property
    def relative(self) -> str | None:
        """Say why a result is relative to this judge; None if the judge is calibrated."""
        if self.why is not None:
            return f"{self.judge}: {self.why}"
        side = self.difference.favoured if self.difference is not None else None
        return None if side is None else f"{self.judge}: this judge is kinder to {side} than people are"


def judge_relative(judges: "tuple[JudgeStanding, ...]") -> tuple[str, ...]:
    """Say why a verdict is judge-relative: the doubts about each required judge; empty if there are none."""
    return tuple(why for judge in judges if judge.required and (why := judge.relative) is not None)


class PositionBias(Value, kw_only=True):
    """What the order of two outputs does to a judge of pairs that was asked in both orders."""

    pairs: int  # that were judged in both orders; outputs that are the same are none
    consistent: int  # the same output preferred in both orders
    first: int  # whichever stood first was preferred
    second: int
    ties: int  # no preference, in one order at least
    consistency: float | None  # of the pairs with a preference, the share where the order did not matter
    unsteady: bool  # the order decides too often
    p_value: float | None  # neither place is favoured, over the pairs where the order decided (exact); None: no such


class VersionPreference(Value, kw_only=True):
    """What a judge of pairs prefers of two versions, in cases; `p_value`: neither is preferred (exact)."""

    name: str  # triage@v2 → triage@v3 on small
    head: int
    base: int
    ties: int
    unjudged: int
    p_value: float | None  # None: no case with a preference


class UnusedLabels(Value, kw_only=True):
    """Labelled outputs on which no number of a calibration rests, by the reason."""

    no_verdict: int = 0  # the judge erred or abstained
    not_judged: int = 0  # in a run of the log, and not judged by this judge as it is now
    not_in_log: int = 0  # no run has them: the row or the output is another one now
    one_side: int = 0  # of a judge of pairs: the pair's other output has no label
    other_question: int = 0  # labelled as good or bad, where labels about this judge count


class Calibration(Value, kw_only=True):
    """One judge of one suite, as it is now. `judge_digest` tells a later judge from this one.

    Of a judge of pairs outputs are pairs, and to pass one is to prefer head; `rates` are win rates of head.
    """

    suite: str
    judge: str
    about: str
    judge_digest: str
    outputs: int  # distinct ones that this judge has judged
    unjudged: int  # outputs on which it erred or abstained
    labelled: int
    torn: int  # outputs on which as many people say good as bad
    authors: int
    of_others: int  # labels of outputs that this judge has not judged
    confusion: Confusion
    agreement: AgreementTable | None  # judge and people; None: nothing is labelled
    people: AgreementTable | None  # people among themselves; None: fewer than two labelled the same
    rates: tuple[CorrectedRate, ...]
    few_labels: bool  # too few to show its error rate or that it is low
    at: str  # UTC
    differences: tuple[VersionDifference, ...] = ()  # between versions of which labels cover both
    position: PositionBias | None = None  # of a judge of pairs
    preferences: tuple[VersionPreference, ...] = ()
    unused: UnusedLabels = UnusedLabels()


GOOD = "good"
"""What is asked by default: is this output good? Otherwise `about` is a grader's name: would it pass?"""


class Label(Value, kw_only=True):
    """One answer of one person. It belongs to the very row and the very output that were shown."""

    case_id: str
    case_digest: str
    output_digest: str
    about: str
    good: bool
    author: str
    at: str  # UTC, 2026-07-28T10:15:00Z
    note: str | None = None

    @property
    def item(self) -> tuple[str, str, str]:
        """What was labelled: two people who saw the same have the same item."""
        return (self.about, self.case_digest, self.output_digest)


class LabelCandidate(Value, kw_only=True):
    """An output that may be labelled. `stratum` is evalh's own verdict, which the person does not see."""

    case_id: str
    case_digest: str
    output_digest: str
    stratum: str  # good, bad, ungraded; or one grader's outcome
    run_id: str
    trial: int

    @property
    def shown(self) -> tuple[str, str]:
        """What a person would see: the row and the output."""
        return (self.case_digest, self.output_digest)


class JudgeRubric(Value):
    """What a judge judges by, for a person. `where`: its file or prompt version; None: the suite itself."""

    judge: str
    text: str | None  # None: a prompt version, which has its own command
    where: str | None
