"""The documents of `evalh run --json`: results, and plans."""

from collections.abc import Mapping, Sequence

from msgspec import field

from evalh.core.run import ConditionalRate, Downstream, Estimate, Fingerprint, Forecast, RunResult, RunStatus
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.report.documents.document import Document, document_of


class RunLatency(Value, kw_only=True):
    """Latencies of a run's samples."""

    latency_p50_ms: float | None = field(name="p50")
    latency_p95_ms: float | None = field(name="p95")
    latency_parts_ms: Mapping[str, float] | None = field(name="parts")
    last_attempts: int | None


class RunGrader(Value, kw_only=True, omit_defaults=True):
    """How often a grader said what; `panel` where several judges make it up."""

    grader: str
    required: bool
    passed: int = field(name="pass")
    failed: int = field(name="fail")
    abstained: int = field(name="abstain")
    erred: int = field(name="error")
    panel: Mapping[str, JsonValue] | None = None


class ResultStep(Value, kw_only=True):
    """A pipeline's step in a run's samples."""

    step: str
    ran: int
    skipped: int
    stopped: int
    given: int
    failed: int
    good: int
    bad: int
    unknown: int
    first_bad: int
    responsible: float
    cost_usd: float | None
    cached_cost_usd: float | None
    judge_cost_usd: float | None
    latency_p50_ms: float | None = field(name="latency_ms")
    own_error: ConditionalRate
    propagation: ConditionalRate
    recovery: ConditionalRate


class SpentAfter(Value, kw_only=True):
    """What was spent after a bad step, in how many samples, and how many of these were good."""

    usd: float | None
    samples: int
    good: int


class RunFaults(Value, kw_only=True):
    """How faults spread through a pipeline's steps."""

    propagation: ConditionalRate
    recovery: ConditionalRate
    latent: ConditionalRate
    unexplained: ConditionalRate
    after_bad: SpentAfter


class RunIncidents(Value, kw_only=True):
    """The samples of incidents, which are in no rate."""

    samples: int
    good: int
    bad: int
    ungraded: int
    cost_usd: float | None
    cached_cost_usd: float | None
    errors: Mapping[str, int]


class ResultDocument(Value, kw_only=True):
    """One run."""

    run: str
    status: RunStatus
    stopped_because: str | None
    suite: str
    prompt: str
    model: str
    fingerprint: Fingerprint
    selection: Mapping[str, JsonValue]
    trials: int
    planned: int
    samples: int
    good: int
    bad: int
    ungraded: int
    clusters: int | None
    good_rate: Estimate
    cost_usd: float | None
    cached_cost_usd: float | None
    judge_cost_usd: float | None
    cost_per_good_usd: Estimate
    by_the_hour: bool
    downstream: Downstream | None
    latency_ms: RunLatency
    calls: int
    attempts: int
    cache_hits: int
    graders: tuple[RunGrader, ...]
    errors: Mapping[str, int]
    steps: tuple[ResultStep, ...]  # none of a plain suite
    samples_by_word: Mapping[str, int]
    faults: RunFaults | None
    incidents: RunIncidents | None  # null: an older evalh counted them with the others


class RunDocument(Document, tag="evalh.run/1", kw_only=True):
    """`evalh run --json`."""

    status: RunStatus
    results: tuple[ResultDocument, ...]


class PlanRow(Value, kw_only=True):
    """What one run would send, and what it costs at most."""

    suite: str
    prompt: str
    model: str
    samples: int
    answered: int
    to_ask: int
    once_usd: float | None
    worst_case_usd: float | None
    judges_usd: float | None
    why_unknown: str | None
    not_called: tuple[str, ...]


class PlanDocument(Document, tag="evalh.plan/1", kw_only=True):
    """`evalh run --dry-run --json`."""

    plans: tuple[PlanRow, ...]


def run_document(results: Sequence[RunResult]) -> RunDocument:
    incomplete = {result.status for result in results} - {RunStatus.COMPLETE}
    status = incomplete.pop() if incomplete else RunStatus.COMPLETE
    return RunDocument(status=status, results=tuple(map(result_document, results)))


def result_document(result: RunResult) -> ResultDocument:
    """Return one run as documents hold it."""
    record, summary = result.record, result.summary
    steps, words = ((), {}) if summary.pipeline is None else (summary.pipeline.steps, summary.pipeline.words)
    return document_of(
        ResultDocument,
        result,
        record,
        summary,
        run=record.id,
        latency_ms=summary,
        steps=steps,
        samples_by_word=words,
        faults=summary.pipeline,
    )


def plan_document(plans: Sequence[tuple[str, str, str, Forecast]]) -> PlanDocument:
    """Return the document of `evalh run --dry-run --json`; plans are (suite, prompt, model, forecast)."""
    rows = [
        document_of(PlanRow, forecast, suite=suite, prompt=prompt, model=model)
        for suite, prompt, model, forecast in plans
    ]
    return PlanDocument(plans=tuple(rows))
