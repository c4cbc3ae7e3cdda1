"""`evalh import rows` and `evalh init --from`: a file of questions, of answers, and of what models answered."""

import shlex
from collections.abc import Iterator
from pathlib import Path

from evalh.interop.foreign.columns import LONGEST_ID, Survey, identifier
from evalh.interop.foreign.mapping import Columns, read_map, text_of_output
from evalh.interop.foreign.starter import add_starter
from evalh.interop.foreign.tables import Record, kind_of, records
from evalh.interop.foreign.transfer import (
    CaseIds,
    ColumnRole,
    Fidelity,
    ImportRequest,
    NewDataset,
    OwnColumn,
    ProofSheet,
    Row,
    Subject,
    Transfer,
    slug,
)

_NO_LABELS = frozenset("expected gold target ideal reference output answer ground_truth human_label labels".split())  # noqa: SIM905


def read_suite(request: ImportRequest) -> Transfer:
    """Read rows by `--map`, and guess what it does not say. Raises EvalhError.

    The file is read several times: all rows decide, and none of them is kept in memory.
    """
    survey = Survey(read_map(request.mapping), request.source)
    where = ""
    for record in records(request.source, ProofSheet()):
        where = where or record.where
        survey.add(record.value)
    columns = survey.columns(request.taken)
    transfer = Transfer(sheet=ProofSheet(), columns=columns.listed)
    _tell(transfer.sheet, survey, columns, where)
    name = name_of(request)
    rows = _OwnRows(request.source, columns)
    transfer.datasets.append(NewDataset(name, rows.cases(transfer.sheet)))
    outputs = columns.of(ColumnRole.OUTPUT)
    for one in outputs:
        _record(transfer, rows, one, name, survey.rows)
    if not request.data_only:
        given = (text for one in outputs for text in rows.outputs(one)) if outputs else None
        add_starter(transfer, name, rows.contents(), where, key=_key(columns), outputs=given)
        transfer.suites[name] |= {"model": outputs[0].key} if outputs else {}
    return transfer


def name_of(request: ImportRequest) -> str:
    """Return what dataset, prompt and suite are called: as the user said, or as the file."""
    return slug(request.name or "") or slug(stem(request.source)) or "rows"


def stem(path: Path) -> str:
    """Return a file's name without its endings."""
    return path.resolve().name.removesuffix(".gz").removesuffix(kind_of(path))


class _OwnRows:
    """The rows of a source: each reading of them gives the same cases, with the same ids."""

    def __init__(self, source: Path, columns: Columns) -> None:
        self._source, self._columns = source, columns
        self._blank = kind_of(source) not in (".csv", ".tsv")  # an empty cell is not an answer, an empty text is one

    def cases(self, sheet: ProofSheet) -> Iterator[Row]:
        """Yield the cases; `sheet` is told of rows that cannot be read."""
        return (row for row, _ in self._both(sheet))

    def contents(self) -> Iterator[Row]:
        """Yield the cases without their ids."""
        return (self._columns.row(record.value) for record in records(self._source, ProofSheet()))

    def outputs(self, column: OwnColumn) -> Iterator[str]:
        """Yield what a model answered."""
        texts = (self._output(record, column) for record in records(self._source, ProofSheet()))
        return (text for text in texts if text is not None)

    def recorded(self, column: OwnColumn) -> Iterator[Row]:
        """Yield the rows of a recording."""
        for row, record in self._both(ProofSheet()):
            text = self._output(record, column)
            if text is not None:
                yield {"id": row["id"], "output": text}

    def _output(self, record: Record, column: OwnColumn) -> str | None:
        return text_of_output(record.value, column, blank=self._blank)

    def _both(self, sheet: ProofSheet) -> Iterator[tuple[Row, Record]]:
        ids = CaseIds(sheet)
        for record in records(self._source, sheet):
            yield with_id(self._columns.row(record.value), self._columns.id_of(record.value), ids, record.where), record


def with_id(row: Row, own: str | None, ids: CaseIds, where: str) -> Row:
    """Return a row with its id first: its own if it is short and can be printed, otherwise one made of its content."""
    usable = own is not None and own.isprintable() and len(own) <= LONGEST_ID
    return {"id": ids.of(row, where, own=own if usable else None), **row}


def _record(transfer: Transfer, rows: _OwnRows, column: OwnColumn, name: str, total: int) -> None:
    """Add the recording of a column, and the model that answers from it."""
    path = f"recorded/{name}-{column.key}.jsonl"
    transfer.recordings[path] = rows.recorded(column)
    transfer.models[column.key] = {"provider": "replay", "path": path}
    given = sum(1 for _ in rows.outputs(column))
    none = "1 row has none, and is" if total - given == 1 else f"{total - given:,} rows have none, and are"
    empty = f"; {none} ungraded" if given < total else ""
    some = "1 recorded output" if given == 1 else f"{given:,} recorded outputs"
    why = f"{some}{empty}: graders judge them, and no model is asked"
    sheet, do = transfer.sheet, f"evalh run {shlex.quote(name)} --model {shlex.quote(column.key)}"
    sheet.add(Fidelity.NOTE, path, f"column {column.name}", why, subject=Subject.MODEL, do=do)


def _key(columns: Columns) -> str:
    """Return what an answer calls its label: as the column, if that says what it is."""
    expected = columns.of(ColumnRole.EXPECTED)
    name = identifier(expected[0].name) if len(expected) == 1 else ""
    return "label" if name in _NO_LABELS else name or "label"


def _tell(sheet: ProofSheet, survey: Survey, columns: Columns, where: str) -> None:
    """Whether something is expected, and which inputs are empty in some rows."""
    if not columns.of(ColumnRole.EXPECTED):
        do = "--map expected=COLUMN"
        what = f"no column is named as the right answer, such as expected, label or answer: {do} says which one it is"
        for name, count in survey.like_labels(columns)[:1]:
            do = f"--map {shlex.quote(f'expected={name}')}"
            what = f"no column is named as the right answer; {name} has {count} different values: if it is, add {do}"
        sheet.add(Fidelity.NOTE, where, "expected", what, subject=Subject.CASE, do=do)
    for column, rows in survey.lacking(columns):
        what = f"{rows:,} of {survey.rows:,} rows have no value: it is empty there"
        sheet.add(Fidelity.NOTE, where, f"column {column.name}", what, subject=Subject.CASE)
