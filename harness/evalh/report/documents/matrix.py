"""The document of `evalh matrix`: versions and models as columns, cases as rows, an output in each cell."""

from collections.abc import Sequence

from msgspec import field

from evalh.analysis.matrix import Matrix, MatrixRow
from evalh.core.case import ABSENT
from evalh.core.run import Estimate
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.report.documents.document import Document, document_of


class ColumnDocument(Value, kw_only=True):
    """A version on a model, or one step of it; `good_rate` is the run's, null where it has no numbers."""

    id: str = field(name="run")
    prompt: str
    model: str
    step: str | None
    good_rate: Estimate | None


class CellDocument(Value, kw_only=True):
    """A case under one column; `output` and `reason` are those of its worst trial."""

    standing: str | None
    trials: int
    good: int
    bad: int
    ungraded: int
    output: str | None
    reason: str


class MatrixRowDocument(Value, kw_only=True):
    """A case: a cell for each column, null where the column's run does not have the case."""

    case: str
    inputs: dict[str, JsonValue]
    expected: JsonValue
    tags: tuple[str, ...]
    differs: bool
    cells: tuple[CellDocument | None, ...]


class MatrixDocument(Document, tag="evalh.matrix/1", kw_only=True):
    """`evalh matrix --json`; `cases` and `differ` count all of them, `rows` holds those that were asked for."""

    suite: str
    cases: int
    differ: int
    columns: tuple[ColumnDocument, ...]
    rows: tuple[MatrixRowDocument, ...]


def matrix_document(matrix: Matrix, rows: Sequence[MatrixRow]) -> MatrixDocument:
    columns = []
    for one in matrix.columns:
        rate = None if one.run.summary is None else one.run.summary.good_rate
        columns.append(document_of(ColumnDocument, one.run.record, step=one.step, good_rate=rate))
    return MatrixDocument(
        suite=matrix.columns[0].run.record.suite,
        cases=len(matrix.rows),
        differ=sum(row.differs for row in matrix.rows.values()),
        columns=tuple(columns),
        rows=tuple(map(_row, rows)),
    )


def _row(row: MatrixRow) -> MatrixRowDocument:
    case = row.case
    return MatrixRowDocument(
        case=case.id,
        inputs=dict(case.inputs),
        expected=None if case.expected is ABSENT else case.expected,
        tags=tuple(sorted(case.tags)),
        differs=row.differs,
        cells=tuple(None if cell is None else document_of(CellDocument, cell) for cell in row.cells),
    )
