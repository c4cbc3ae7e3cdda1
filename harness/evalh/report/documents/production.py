"""Documents about production: what its answers were worth."""

from collections.abc import Mapping

from evalh.analysis.production import GradedProduction, ProductionChange, ProductionRate
from evalh.core.run import Estimate
from evalh.core.values import Value
from evalh.report.documents.document import Document, document_of
from evalh.report.documents.run import ResultStep, RunFaults


class GradedRate(Value, kw_only=True):
    """The numbers of one version's answers."""

    version: str
    run: str | None
    answers: int
    good: int
    bad: int
    ungraded: int
    stands_for: float
    sessions: int
    good_rate: Estimate
    cost_usd: float | None
    cost_per_good_usd: float | None
    steps: tuple[ResultStep, ...]  # none of a plain suite
    samples_by_word: Mapping[str, int]
    faults: RunFaults | None


class GradedChange(Value, kw_only=True):
    """Two windows of time."""

    base: GradedRate
    head: GradedRate
    difference: Estimate
    cost_p_value: float | None


class GradedDocument(Document, tag="evalh.graded/1", kw_only=True):
    """`evalh grade --production --json`."""

    suite: str
    versions: tuple[GradedRate, ...]
    whole: GradedRate
    change: GradedChange | None
    by_feedback: Mapping[str, GradedRate]  # good, bad, none; empty: nobody voted
    left_out: Mapping[str, int]
    without_gold: tuple[str, ...]
    doubtful: int


def graded_document(graded: GradedProduction) -> GradedDocument:
    return document_of(
        GradedDocument,
        graded,
        versions=tuple(map(_rate, graded.versions)),
        whole=_rate(graded.whole),
        change=None if graded.change is None else _change(graded.change),
        by_feedback={str(voted): _rate(rate) for voted, rate in graded.by_feedback.items()},
    )


def _change(change: ProductionChange) -> GradedChange:
    return document_of(GradedChange, change, base=_rate(change.base), head=_rate(change.head))


def _rate(rate: ProductionRate) -> GradedRate:
    summary = rate.pipeline
    steps, words = ((), {}) if summary is None else (summary.steps, summary.words)
    return document_of(GradedRate, rate, steps=steps, samples_by_word=words, faults=summary)
