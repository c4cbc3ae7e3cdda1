"""`evalh import rows`: a file of questions, and of answers if it has them, becomes a dataset."""

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from evalh.interop.foreign.mapping import Mapped, guessed
from evalh.interop.foreign.starter import add_starter
from evalh.interop.foreign.tables import Record, kind_of, records
from evalh.interop.foreign.transfer import (
    CaseIds,
    Fidelity,
    ImportRequest,
    NewDataset,
    ProofSheet,
    Row,
    Subject,
    Transfer,
    slug,
)

_SHOWN = 20


def read_suite(request: ImportRequest) -> Transfer:
    """Read rows by `--map`, or by the names of their columns. Raises EvalhError."""
    sheet = ProofSheet()
    stream = records(request.source, sheet)
    first = next(stream)
    columns = list(first.value)
    mapped = Mapped.read(request.mapping) if request.mapping else guessed(columns)
    mapped.check(columns, first.value)
    _tell_columns(sheet, mapped, columns, first.where)
    name = name_of(request)
    transfer = Transfer(sheet=sheet)
    rows = _rows(chain([first], stream), mapped, sheet)
    transfer.datasets.append(NewDataset(name, rows))
    if not request.data_only:
        add_starter(transfer, name, mapped.row(first.value), first.where)
    return transfer


def name_of(request: ImportRequest) -> str:
    """Return what dataset, prompt and suite are called: as the user said, or as the file."""
    return slug(request.name or "") or slug(stem(request.source)) or "rows"


def stem(path: Path) -> str:
    """Return a file's name without its endings."""
    return path.resolve().name.removesuffix(".gz").removesuffix(kind_of(path))


def _rows(stream: Iterator[Record], mapped: Mapped, sheet: ProofSheet) -> Iterator[Row]:
    ids = CaseIds(sheet)
    for record in stream:
        row = mapped.row(record.value)
        yield with_id(row, mapped.id_of(record.value), ids, record.where)


def with_id(row: Row, own: str | None, ids: CaseIds, where: str) -> Row:
    """Return a row with its id first: its own if it can be printed, otherwise one made of its content."""
    printable = own if own is not None and own.isprintable() else None
    return {"id": ids.of(row, where, own=printable), **row}


def _tell_columns(sheet: ProofSheet, mapped: Mapped, columns: Sequence[str], where: str) -> None:
    """Tell which columns are not imported, and whether something is expected."""
    for name in columns[:_SHOWN]:
        if not mapped.rest and not mapped.takes(name):
            do = f"--map {slug(name) or 'name'}={name}, if the prompt uses it"
            sheet.add(Fidelity.NOTE, where, f"column {name}", "--map does not name it", subject=Subject.CASE, do=do)
    if not mapped.expected:
        listed = ", ".join(columns[:_SHOWN])
        do = "--map expected=COLUMN, if one holds the right answer"
        sheet.add(Fidelity.NOTE, where, "expected", f"no column is: {listed}", subject=Subject.CASE, do=do)
