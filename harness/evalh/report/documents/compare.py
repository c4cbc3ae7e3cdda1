"""The document of `evalh compare --json`, which a gate's document holds too."""

from msgspec import field

from evalh.analysis.compare.comparison import (
    Comparison,
    ComparisonVerdict,
    Confirmed,
    Flip,
    IncidentGoods,
    Mismatch,
    PartDifference,
    PassAt,
    Preferred,
    SideName,
)
from evalh.core.calibration import Held, VersionDifference
from evalh.core.run import Downstream, DownstreamComparison, Estimate, Fingerprint
from evalh.core.values import Value
from evalh.report.documents.document import Document, document_of


class JudgeDocument(Value, kw_only=True):
    """A judge on whose verdicts a result rests, and whether it is calibrated with people's labels."""

    judge: str
    required: bool
    state: Held = field(name="calibration")
    at: str | None
    labels: int | None
    kappa: Estimate | None
    relative: str | None
    difference: VersionDifference | None = None


class SideLatency(Value, kw_only=True):
    """Latencies of one side."""

    latency_p50_ms: float | None = field(name="p50")
    latency_p95_ms: float | None = field(name="p95")
    last_attempts: int = 0


class SideDocument(Value, kw_only=True):
    """One side, over the cases that were compared."""

    run: str | None
    suite: str
    prompt: str
    model: str
    fingerprint: Fingerprint
    trials: int
    samples: int
    good: int
    bad: int
    ungraded: int
    good_rate: Estimate
    cost_per_good_usd: Estimate
    by_the_hour: bool = False
    latency_ms: SideLatency


class SidesDocument(Value, kw_only=True):
    """Both sides."""

    base: SideDocument
    head: SideDocument


class MissingDocument(Value, kw_only=True):
    """Samples that only one side has."""

    case_id: str = field(name="case")
    absent_from: SideName
    trials: tuple[int, ...]


class _PartNumbers(Value, kw_only=True):
    n: int
    wins: int
    losses: int
    ties: int
    base_rate: Estimate
    head_rate: Estimate
    difference: Estimate
    p_value: float | None
    p_adjusted: float | None
    adjusted_by: str
    shown: bool


class GraderPart(_PartNumbers):
    """The comparison seen through one grader."""

    name: str = field(name="grader")
    required: bool


class TagPart(_PartNumbers):
    """The comparison over the cases of one tag."""

    name: str = field(name="tag")


class IncidentDocument(Value, kw_only=True):
    """An incident, on both sides."""

    case_id: str = field(name="case")
    base: IncidentGoods
    head: IncidentGoods


class LatencyDifference(Value):
    """The mean of the cases' differences."""

    difference_ms: Estimate = field(name="difference")


class BothRates(Value):
    """A rate on both sides."""

    base: Estimate
    head: Estimate


class PassAtDocument(Value, kw_only=True):
    """pass@k and pass^k."""

    k: int
    any_good: BothRates = field(name="any")
    all_good: BothRates = field(name="all")


class FreshTrials(Value, kw_only=True):
    """How often one side was good when a case was asked again."""

    good: int
    trials: int


class ConfirmedDocument(Value, kw_only=True):
    """A case that got worse, asked again on both sides."""

    case_id: str = field(name="case")
    base: FreshTrials
    head: FreshTrials
    p_value: float | None
    p_adjusted: float | None
    p_worse: float | None
    label: Flip


class CurvePoint(Value):
    """The chance that head is cheaper, at one price of a bad output."""

    bad_usd: float
    chance_of_head: float


class DownstreamDocument(Value, kw_only=True):
    """What follows the outputs of both sides, at the suite's prices."""

    base: Downstream
    head: Downstream
    loss_usd: Estimate
    crossing_bad_usd: float | None
    head_above: bool | None
    chance_of_head: float | None
    curve: tuple[CurvePoint, ...]


class ComparisonDocument(Document, tag="evalh.compare/1", kw_only=True, omit_defaults=False):
    """`evalh compare --json`. A default stands for what an older log does not hold."""

    base: str
    head: str
    sides: SidesDocument
    comparable: bool
    mismatches: tuple[Mismatch, ...]
    missing: tuple[MissingDocument, ...]
    intersection: bool
    identical: bool
    n: int
    clusters: int | None = None
    uneven: bool = False
    wins: int
    losses: int
    ties: int
    undecided: int
    difference: Estimate
    p_value: float | None
    test: str
    margin: float
    p_no_worse: float | None
    verdict: ComparisonVerdict
    reason: str
    measured: bool
    detectable_drop: float | None
    cases_needed: int | None
    cost_per_good_ratio: Estimate
    latency: LatencyDifference = field(name="latency_ms")
    graders: tuple[GraderPart, ...]
    tags: tuple[TagPart, ...]
    regressed: tuple[str, ...]
    fixed: tuple[str, ...]
    unstable: tuple[str, ...]
    pass_at: PassAtDocument | None
    confirmed: tuple[ConfirmedDocument, ...] = ()
    downstream: DownstreamDocument | None = None
    preferred: tuple[Preferred, ...] = ()
    judge_relative: tuple[str, ...] = ()
    judges: tuple[JudgeDocument, ...] = ()
    notices: tuple[str, ...]
    incidents: tuple[IncidentDocument, ...] = ()
    differing: tuple[PartDifference, ...] = ()


class ComparedDocument(ComparisonDocument, tag="evalh.compare/1", kw_only=True):
    """`evalh compare --json`: the comparison, and the id under which the log keeps it."""

    id: str


def comparison_document(comparison: Comparison) -> ComparisonDocument:
    """Return a comparison as a gate's document holds it."""
    return document_of(ComparisonDocument, comparison, **_parts(comparison))


def compared_document(comparison: Comparison, comparison_id: str) -> ComparedDocument:
    return document_of(ComparedDocument, comparison, id=comparison_id, **_parts(comparison))


def _parts(comparison: Comparison) -> dict[str, object]:
    base, head, downstream = comparison.base, comparison.head, comparison.downstream
    return {
        "base": base.prompt,
        "head": head.prompt,
        "sides": {
            side: document_of(SideDocument, one, latency_ms=one) for side, one in (("base", base), ("head", head))
        },
        "pass_at": None if comparison.pass_at is None else _pass_at(comparison.pass_at),
        "confirmed": tuple(map(confirmed_document, comparison.confirmed)),
        "downstream": None if downstream is None else _downstream(downstream),
    }


def _pass_at(pass_at: PassAt) -> PassAtDocument:
    return PassAtDocument(
        k=pass_at.k,
        any_good=BothRates(pass_at.base_any, pass_at.head_any),
        all_good=BothRates(pass_at.base_all, pass_at.head_all),
    )


def _downstream(downstream: DownstreamComparison) -> DownstreamDocument:
    curve = tuple(CurvePoint(price, chance) for price, chance in downstream.curve)
    return document_of(DownstreamDocument, downstream, curve=curve)


def confirmed_document(confirmed: Confirmed) -> ConfirmedDocument:
    """Return a case that was asked again."""
    return document_of(
        ConfirmedDocument,
        confirmed,
        base=FreshTrials(good=confirmed.base_good, trials=confirmed.base_trials),
        head=FreshTrials(good=confirmed.head_good, trials=confirmed.head_trials),
    )
