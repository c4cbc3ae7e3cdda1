"""The documents of `evalh report`: what a page tells without its samples, and the files that were written."""

from msgspec import field

from evalh.analysis.confusion import LabelConfusion
from evalh.core.run import Estimate, RunResult
from evalh.core.values import Value
from evalh.report.advice import advice
from evalh.report.documents.compare import JudgeDocument
from evalh.report.documents.document import Document, document_of
from evalh.report.documents.run import ResultDocument, result_document
from evalh.report.words import RunReport, pointers, verdict


class MeasuredVersion(Value, kw_only=True):
    """A version on a model that the same cases measured."""

    id: str = field(name="run")
    prompt: str
    model: str
    good_rate: Estimate
    cost_per_good_usd: Estimate
    front: bool
    measured: bool


class PastRun(Value, kw_only=True):
    """An earlier run of the suite."""

    id: str = field(name="run")
    prompt: str
    model: str
    commit: str | None
    dirty: bool | None
    good_rate: Estimate
    cost_per_good_usd: Estimate
    measured: bool


class ReasonCount(Value, kw_only=True):
    """Why samples are not good."""

    grader: str
    text: str = field(name="reason")
    count: int


class MissedShare(Value, kw_only=True):
    """Samples of a tag that a grader does not pass; `tag` null: all samples."""

    grader: str
    tag: str | None
    missed: int
    samples: int


class ConfusedDocument(Value, kw_only=True):
    """How often a label was said where another one, or the same, is gold."""

    gold: str
    said: str
    count: int


class ConfusionDocument(Value, kw_only=True):
    """The confusion matrix of a suite whose gold is a label. `counts` are those above 0."""

    grader: str
    golds: tuple[str, ...]
    said: tuple[str, ...]
    counts: tuple[ConfusedDocument, ...]


class ReportDocument(Document, tag="evalh.report/1", kw_only=True):
    """`evalh report --format json`."""

    verdict: str
    look_at: tuple[str, ...]
    run: ResultDocument
    advice: tuple[str, ...]
    versions: tuple[MeasuredVersion, ...]
    history: tuple[PastRun, ...]
    reasons: tuple[ReasonCount, ...]
    missed: tuple[MissedShare, ...]
    judges: tuple[JudgeDocument, ...]
    confusion: ConfusionDocument | None


class ReportFile(Value, kw_only=True):
    """One file."""

    output: str
    bytes: int


class ReportFileDocument(Document, tag="evalh.report-file/1", kw_only=True):
    """`evalh report -o FILE --json`; the first of `files` stands beside them."""

    output: str
    bytes: int
    files: tuple[ReportFile, ...]


def report_document(result: RunResult, report: RunReport) -> ReportDocument:
    failings, heat = report.failings, report.failings.heat()
    return document_of(
        ReportDocument,
        verdict=verdict(report.run),
        look_at=[pointer.words for pointer in pointers(report.run, failings)],
        run=result_document(result),
        advice=advice(report.chosen),
        versions=[document_of(MeasuredVersion, point.record, point.summary, point) for point in report.chosen.points],
        history=[document_of(PastRun, moment.record, moment.summary, moment) for moment in report.past.moments],
        reasons=failings.reasons(),
        missed=[
            MissedShare(
                grader=grader, tag=tag or None, missed=heat.missed.get((grader, tag), 0), samples=heat.totals[tag]
            )
            for grader in heat.graders
            for tag in heat.tags
        ],
        judges=report.judges,
        confusion=None if report.confusion is None else _confusion(report.confusion),
    )


def _confusion(one: LabelConfusion) -> ConfusionDocument:
    pairs = ((gold, said, one.counts.get((gold, said), 0)) for gold in one.golds for said in one.said)
    counts = tuple(ConfusedDocument(gold=gold, said=said, count=count) for gold, said, count in pairs if count)
    return ConfusionDocument(grader=one.grader, golds=one.golds, said=one.said, counts=counts)
