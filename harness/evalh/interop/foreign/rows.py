"""`evalh import rows`: a file of questions, and of answers if it has them, becomes a dataset."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path

from evalh.core.strict_json import JsonValue
from evalh.interop.foreign.bodies import is_slot
from evalh.interop.foreign.mapping import Mapped, guessed
from evalh.interop.foreign.tables import Record, kind_of, records
from evalh.interop.foreign.transfer import (
    CaseIds,
    Fidelity,
    ImportRequest,
    NewDataset,
    NewVersion,
    ProofSheet,
    Row,
    Subject,
    Transfer,
    slug,
)

_SHOWN = 20
_HISTORY = "messages"
_MOST_TOKENS = 256


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
            use = "to keep these ids" if name == "id" else "if the prompt uses it"
            do = f"--map {slug(name) or 'name'}={name}, {use}"
            sheet.add(Fidelity.NOTE, where, f"column {name}", "--map does not name it", subject=Subject.CASE, do=do)
    if not mapped.expected:
        listed = ", ".join(columns[:_SHOWN])
        do = "--map expected=COLUMN, if one holds the right answer"
        sheet.add(
            Fidelity.NOTE,
            where,
            "expected",
            f"no column has this name; there are: {listed}",
            subject=Subject.CASE,
            do=do,
        )


# -- what a file of rows lacks to be run


def add_starter(transfer: Transfer, name: str, first: Row, where: str) -> None:
    """Add a prompt and a suite for a dataset, by its first row."""
    inputs = first["inputs"]
    slots = [key for key in inputs if is_slot(key)]
    lines = [f"{{{{{slots[0]}}}}}"] if len(slots) == 1 else [f"{key}: {{{{{key}}}}}" for key in slots]
    if _HISTORY in inputs:
        lines += ["{{history}}"]
    # A bound, since a small model may run on until its context is full.
    transfer.prompts[name] = [NewVersion("\n".join(lines) or "Answer.", {"config": {"max_tokens": _MOST_TOKENS}})]
    grader, why = _grader(first)
    transfer.suites[name] = {"prompt": name, "dataset": name, "graders": [grader]}
    _tell(transfer.sheet, where, name, why)


def _tell(sheet: ProofSheet, where: str, name: str, why: str) -> None:
    what = "the rows alone are imported: this prompt is a start, and no model is stated"
    do = f"write what is asked into prompts/{name}/, then: evalh run {name} --model …"
    sheet.add(Fidelity.NOTE, where, f"prompts/{name}/v1.prompt", what, subject=Subject.PROMPT, do=do)
    sheet.add(Fidelity.NOTE, where, f"evals/{name}.yaml", why, subject=Subject.GRADER, do="docs/reference/graders.md")


def _grader(row: Mapping[str, JsonValue]) -> tuple[JsonValue, str]:
    """Return a grader that fits what the first row expects, and what it asks for."""
    expected = row.get("expected")
    match expected:
        case None:
            return {"length": {"min_chars": 1}}, "no row says what is expected: any answer that is not empty is good"
        case bool() | int() | float():
            return "number", "an answer is good if its number is the expected one"
        case list():
            return {"one_of": {"trim": True, "ignore_case": True}}, "an answer is good if it equals an expected one"
        case Mapping():
            return "json_subset", "an answer is good if it is JSON that holds what is expected"
        case _:
            equal = {"equals": {"trim": True, "ignore_case": True}}
            return equal, "an answer is good if it equals what is expected, but for blanks and capitals"
