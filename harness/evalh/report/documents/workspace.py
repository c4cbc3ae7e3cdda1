"""Documents about a workspace and the machine: what was written, checked, found, fetched."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Literal

from msgspec import UNSET, UnsetType, field

from evalh.analysis.power import Power
from evalh.core.errors import ExitCode
from evalh.core.values import Value
from evalh.report.documents.document import Document
from evalh.report.documents.incoming import ImportedColumn, ImportedPart


class Problem(Value, kw_only=True):
    """What is wrong, where, and what to type next."""

    what: str
    where: str | None
    hint: str | None


class CheckDocument(Document, tag="evalh.check/1", kw_only=True):
    """`evalh check --json`."""

    problems: tuple[Problem, ...]
    notices: tuple[str, ...]
    counts: Mapping[str, int]
    datasets: Mapping[str, int]


class EndedWith(Problem, kw_only=True):
    """An error, with the exit code; `others`: what else is wrong in the same file."""

    exit: ExitCode
    others: tuple[Problem, ...] | UnsetType = UNSET


class ErrorDocument(Document, tag="evalh.error/1", kw_only=True):
    """`--json` of a verb that ends with an error."""

    error: EndedWith


class SymptomDocument(Value, kw_only=True):
    """One thing that was looked at."""

    state: Literal["ok", "missing", "wrong"]
    subject: str
    what: str
    hint: str | None


class DoctorDocument(Document, tag="evalh.doctor/1", kw_only=True):
    """`evalh doctor --json`."""

    findings: tuple[SymptomDocument, ...]


class InitDocument(Document, tag="evalh.init/1", kw_only=True):
    """`evalh init --json`."""

    folder: str
    written: tuple[str, ...]
    model: Literal["small", "recorded", "openai", "anthropic", "gemini", "server"]
    columns: tuple[ImportedColumn, ...] = ()
    items: tuple[ImportedPart, ...] = ()


class DoubtDocument(Value, kw_only=True):
    """A suite's file, and what became of `--doubt` in it."""

    path: str = field(name="file")
    said: Literal["written", "already", "otherwise", "by_hand"] = field(name="doubt")


class CiDocument(Document, tag="evalh.ci/1", kw_only=True):
    """`evalh ci init --json`."""

    file: str
    written: bool
    text: str
    doubt: str | None
    suites: tuple[DoubtDocument, ...]


class SkillDocument(Document, tag="evalh.skill/1", kw_only=True):
    """`evalh skill --json`; `file` null: it was only printed."""

    file: str | None
    state: Literal["written", "updated", "current"] | None
    text: str


class AcceptedDocument(Document, tag="evalh.accepted/1", kw_only=True):
    """`evalh baseline accept --json`."""

    files: tuple[str, ...]


class BaselineState(Value, kw_only=True):
    """A committed baseline, and why it is stale; fresh where nothing is named."""

    path: str
    date: str
    good_rate: float | None
    stale: tuple[str, ...]
    outputs: bool | None  # whether they are kept; None if unknown
    again: str | None  # what accepts a stale one again; None: it is fresh, or cannot be read


class BaselinesDocument(Document, tag="evalh.baselines/1", kw_only=True):
    """`evalh baseline status --json`."""

    baselines: tuple[BaselineState, ...]


class PowerDocument(Power, tag_field="schema", tag="evalh.power/1", kw_only=True):
    """`evalh power --json`."""


class RecordedExport(Document, tag="evalh.export/1", kw_only=True):
    """`evalh export recorded -o FILE --json`."""

    output: str
    rows: int


class ExportedFile(Value, kw_only=True):
    """A file of `evalh export csv` or `parquet`."""

    table: str
    output: str
    rows: int


class TablesExport(Document, tag="evalh.export/1", kw_only=True):
    """`evalh export csv -o FOLDER --json`, `evalh export parquet --json`."""

    files: tuple[ExportedFile, ...]


class SentRecords(Value, kw_only=True):
    """Verdicts that were sent as log records."""

    taken: int
    rejected: int
    message: str


class SpansExport(Document, tag="evalh.export/1", kw_only=True):
    """`evalh export otel --json`."""

    run: str
    endpoint: str
    spans: int
    rejected: int
    message: str | None
    batches: int
    retries: int
    logs: SentRecords | None


class ForwardedBatches(Value):
    """Batches that `evalh collect --forward` sent on, and those that it could not."""

    sent: int
    failed: int
    why: str | None


class CollectedDocument(Document, tag="evalh.collected/1", kw_only=True):
    """`evalh collect --json` at its end, and `evalh import otel --json`."""

    workflows: int
    steps: int
    calls: int
    input_tokens: int
    output_tokens: int
    uncounted: int
    cost_usd: Decimal
    unpriced: int
    feedback: int
    scores: int
    dropped: int
    losses: Mapping[str, int]
    content: str
    silent: tuple[str, ...]
    trouble: str | None
    exit: int | None = None
    forwarding: ForwardedBatches | None = None


class ViewDocument(Document, tag="evalh.view/1", kw_only=True):
    """`evalh view --json`, once it serves."""

    url: str
    host: str
    port: int


class ModelDocument(Document, tag="evalh.model/1", kw_only=True):
    """`evalh model pull --json`."""

    name: str
    path: str
    bytes: int


class WeightsEntry(Value, kw_only=True):
    """A model that evalh knows; `path` null: its weights are not here."""

    name: str
    bytes: int
    path: str | None


class ModelsDocument(Document, tag="evalh.models/1", kw_only=True):
    """`evalh model list --json`."""

    models: tuple[WeightsEntry, ...]


class ModelPriceDocument(Document, tag="evalh.model-price/1", kw_only=True):
    """`evalh model price --json`: how fast a model is alone, and what a million tokens cost at its price per hour."""

    model: str
    per_hour_usd: Decimal
    read_tokens_per_s: float
    written_tokens_per_s: float
    input_usd: Decimal = field(name="input")
    output_usd: Decimal = field(name="output")
