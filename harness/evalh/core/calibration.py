"""A judge's calibration: what its verdicts are worth, held against people's labels."""

from evalh.core.run import Estimate
from evalh.core.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """A judge's verdicts against people's majority, in outputs."""

    both_good: int
    judge_only: int  # the judge passes it, people do not
    people_only: int
    both_bad: int

    @property
    def labelled(self) -> int:
        """All of them."""
        return self.both_good + self.judge_only + self.people_only + self.both_bad


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreementTable:
    """How far raters agree. `kappa` is None where they are not two; an Estimate without a value is not defined."""

    cases: int
    raters: int
    raw: Estimate
    ac1: Estimate
    kappa: Estimate | None
    alpha: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectedRate:
    """A rate as the judge sees it, and as people would: corrected by what the labels show of the judge's errors."""

    name: str  # triage@v3 on small
    run: str | None  # None: every output that was judged
    judged: int
    judge_rate: float | None
    labels: int
    corrected: Estimate  # without a value: an outcome of the judge has no label


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """One judge of one suite, as it is now. `judge_digest` tells a later judge from this one."""

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
    few_labels: bool
    at: str  # UTC
