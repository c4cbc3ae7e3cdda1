"""The document of `evalh gate --json`, which the log keeps and every report of a gate reads."""

from decimal import Decimal

import msgspec
from msgspec import field

from evalh.analysis.drift import DriftResult, DriftVerdict
from evalh.analysis.gate.decision import Evidence, Finding, GateDecision, GateStatus, Series, SuiteDecision
from evalh.core.errors import EvalhError, ExitCode, WorkspaceError
from evalh.core.log import GateRow
from evalh.core.values import Value
from evalh.report.documents.compare import ComparisonDocument, JudgeDocument, comparison_document
from evalh.report.documents.document import Document, document_of
from evalh.report.documents.drift import CanaryDocument, numbers
from evalh.report.documents.prompts import PromptDiffDocument, changed_document
from evalh.report.terminal.drift import drift_cost_line, drift_sentence


class FindingDocument(Value, kw_only=True):
    """What one rule found."""

    rule: str
    status: GateStatus = field(name="decision")
    doubt: bool = False
    exit: ExitCode
    reason: str
    cases: tuple[str, ...]


class SuiteDocument(Value, kw_only=True):
    """One suite's part. A default stands for what an older log does not hold."""

    suite: str
    status: GateStatus = field(name="decision")
    doubt: bool = False
    exit: ExitCode
    reasons: tuple[str, ...]
    require: str
    parts: tuple[str, ...] = field(name="changed")
    base: str | None
    head: str
    model: str
    margin: float
    alpha: float = 0.05
    detectable_drop: float | None
    cases_needed: int | None
    stopped_at: int
    of: int
    incidents: int | None = None
    saved: int
    asked: int
    findings: tuple[FindingDocument, ...]
    broken: tuple[str, ...]
    comparison: ComparisonDocument | None
    canary: CanaryDocument | None = None
    notices: tuple[str, ...]
    judge_relative: tuple[str, ...] = ()
    judges: tuple[JudgeDocument, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    difference: PromptDiffDocument | None = field(name="diff", default=None)
    spent_usd: Decimal | None = None
    recorded: bool = False


class GateDocument(Document, tag="evalh.gate/1", kw_only=True):
    """`evalh gate --json`. A default stands for what an older log does not hold."""

    gate: str | None = None
    status: GateStatus = field(name="decision")
    doubt: bool = False
    exit: ExitCode
    reasons: tuple[str, ...]
    judge_relative: bool = False
    base: str
    head: str
    merge_base: str | None
    series: Series | None = None
    suites: tuple[SuiteDocument, ...]
    unchanged: tuple[str, ...]
    findings: tuple[FindingDocument, ...] = ()
    notices: tuple[str, ...]


def gate_document(decision: GateDecision) -> GateDocument:
    return document_of(GateDocument, decision, gate=decision.id, suites=tuple(map(_suite, decision.suites)))


def _suite(suite: SuiteDecision) -> SuiteDocument:
    comparison, canary, difference = suite.comparison, suite.canary, suite.difference
    return document_of(
        SuiteDocument,
        suite,
        comparison=None if comparison is None else comparison_document(comparison),
        diff=None if difference is None else changed_document(difference),
        canary=None if canary is None else document_of(CanaryDocument, canary, told=_told(canary), **numbers(canary)),
    )


def _told(canary: DriftResult) -> str:
    return f"{'moved' if canary.verdict is DriftVerdict.MOVED else drift_sentence(canary)} · {drift_cost_line(canary)}"


def undecided_document(error: EvalhError, base: str, head: str) -> GateDocument:
    """Return the document of a gate that came to no decision: it says why, and what to do next."""
    what = f"{error.where}: {error.what}" if error.where else error.what
    reasons = (what, *(error.hint or "").splitlines())
    finding = Finding("decided", ExitCode.CANNOT_MEASURE, "\n".join(reasons))
    return GateDocument(
        status=GateStatus.INCONCLUSIVE,
        exit=error.exit_code,
        reasons=reasons,
        base=base,
        head=head,
        merge_base=None,
        suites=(),
        unchanged=(),
        findings=(document_of(FindingDocument, finding),),
        notices=(),
    )


def kept_gate(row: GateRow) -> GateDocument:
    """Read the decision in a row of the log, also of older versions. Raises WorkspaceError for a damaged row."""
    try:
        document = msgspec.json.decode(row.content, type=GateDocument)
    except (msgspec.MsgspecError, UnicodeError) as exc:
        hint = "the same evalh gate decides again"
        raise WorkspaceError(f"the log holds no decision under {row.id}: {exc}", hint=hint) from None
    return msgspec.structs.replace(document, gate=row.id)  # an older version left its id out
