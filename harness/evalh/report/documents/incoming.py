"""Documents about what comes in: files of production and of other programs, cases that were made of failures."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Literal

from msgspec import field

from evalh.core.sample import Standing
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.core.verdict import Outcome
from evalh.report.documents.document import Document


class RecordedVerdict(Value, kw_only=True):
    """What a grader says of the recorded answer."""

    grader: str
    required: bool
    outcome: Outcome
    reason: str


class LiveTrials(Value, kw_only=True):
    """What the live version made of a case."""

    version: str
    run: str
    trials: int
    good: int
    bad: int
    ungraded: int


class AddedRow(Value, kw_only=True):
    """One case that was added."""

    id: str
    dataset: str
    line: int
    source: Mapping[str, JsonValue]
    inputs_from: str
    given: tuple[str, ...]
    replaced: Mapping[str, int]
    near: tuple[str, ...]
    standing: Standing | None
    verdicts: tuple[RecordedVerdict, ...]
    not_asked: tuple[str, ...]
    notes: tuple[str, ...]
    live: LiveTrials | None


class AddedDocument(Document, tag="evalh.added/1", kw_only=True):
    """`evalh dataset add --json`."""

    suite: str
    added: tuple[AddedRow, ...]


class LineMistake(Value):
    """A line of an imported file that could not be read."""

    where: str
    what: str


class ImportDocument(Document, tag="evalh.import/1", kw_only=True):
    """`evalh import --json`."""

    file: str
    form: str
    counts: Mapping[str, int]
    repeated: int
    bad_lines: int
    mistakes: tuple[LineMistake, ...]
    content: bool
    dropped: int
    newest: str | None
    unknown: tuple[str, ...]
    not_here: int


class FetchedDocument(Document, tag="evalh.fetched/1", kw_only=True):
    """`evalh import langfuse --json` and `evalh import phoenix --json`."""

    service: str
    rows: int
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
    not_here: int
    left_out: Mapping[str, int]
    losses: Mapping[str, int]
    bad_lines: int
    mistakes: tuple[LineMistake, ...]
    content: str
    trouble: str | None


class ImportedPart(Value, kw_only=True):
    """What became of a part of the source; equal parts are one item."""

    where: tuple[str, ...]
    what: str
    subject: str
    status: str
    why: str | None
    do: str | None
    count: int


class ImportedColumn(Value, kw_only=True):
    """A column of rows: what it is for, and what an input, a part of `expected` or an output's model is called."""

    name: str = field(name="column")
    role: Literal["id", "input", "expected", "tags", "cluster", "output", "skip"]
    key: str = field(name="name")
    guessed: bool


class ImportedSuiteDocument(Document, tag="evalh.import-suite/1", kw_only=True):
    """`evalh import promptfoo --json`, and of the other formats."""

    source: str
    format: str
    into: str
    written: tuple[str, ...]
    dry_run: bool
    cases: int
    prompts: int
    models: int
    graders: Mapping[str, int]
    columns: tuple[ImportedColumn, ...]  # of rows; empty for other formats
    items: tuple[ImportedPart, ...]
    there: tuple[str, ...]  # of a dry run: files that are there already, so that nothing could be written
    tables: str | None
