"""Langfuse's dataset items, as its UI and API export them: JSON, JSON Lines or CSV, whose cells are JSON text."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path

from evalh.core.case import ABSENT
from evalh.core.errors import UsageError
from evalh.core.strict_json import JsonValue, NotStrictJson, parse
from evalh.interop.foreign.bodies import is_conversation, role_of
from evalh.interop.foreign.rows import name_of, with_id
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
)

_EXPECTED = ("expectedOutput", "expected_output")
_SOURCES = (("sourceTraceId", "source_trace_id"), ("sourceObservationId", "source_observation_id"))
_LONGEST_TAG = 100
_JSON = '{["-0123456789tfn'


def read_suite(request: ImportRequest) -> Transfer:
    """Read the items of a dataset. Raises EvalhError."""
    sheet = ProofSheet()
    stream = _records(request.source, sheet)
    first = next(stream)
    if "input" not in first.value:
        hint = "evalh import rows --map …"
        raise UsageError("is not an export of dataset items: a row has no input", where=first.where, hint=hint)
    name = name_of(request)
    transfer = Transfer(sheet=sheet)
    transfer.datasets.append(NewDataset(name, _rows(chain([first], stream), sheet)))
    if not request.data_only:
        every = _rows(_records(request.source, ProofSheet()), ProofSheet())
        add_starter(transfer, name, every, first.where)
    return transfer


def _records(source: Path, sheet: ProofSheet) -> Iterator[Record]:
    is_csv = kind_of(source) in (".csv", ".tsv")
    return (Record(one.where, _parsed(one.value)) if is_csv else one for one in records(source, sheet))


def _parsed(row: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Read the cells that are JSON; an empty cell is nothing."""
    found: dict[str, JsonValue] = {}
    for key, cell in row.items():
        if not cell.strip():
            continue
        try:
            found[key] = parse(cell) if cell.lstrip()[0] in _JSON and key not in ("id", "status") else cell
        except NotStrictJson:
            found[key] = cell
    return found


def _rows(stream: Iterable[Record], sheet: ProofSheet) -> Iterator[Row]:
    ids = CaseIds(sheet)
    for record in stream:
        if record.value.get("status") == "ARCHIVED":
            sheet.add(Fidelity.NOTE, record.where, "an archived item", "is not imported", subject=Subject.CASE)
            continue
        _tell_metadata(record, sheet)
        own = record.value.get("id")
        yield with_id(_row(record.value), own if isinstance(own, str) else None, ids, record.where)


def _tell_metadata(record: Record, sheet: ProofSheet) -> None:
    metadata = record.value.get("metadata")
    known = {tag.partition(":")[0] for tag in tags_of(metadata)}
    for key in metadata if isinstance(metadata, Mapping) else ():
        if key not in known:
            why = "is not a short text, so it is not a tag; it is not imported"
            sheet.add(Fidelity.NOTE, record.where, f"metadata {key}", why, subject=Subject.CASE)


def _row(item: Mapping[str, JsonValue]) -> Row:
    row: Row = {"inputs": inputs_of(item.get("input"))}
    expected = next((item[key] for key in _EXPECTED if key in item), ABSENT)
    if expected is not ABSENT and expected is not None:
        row["expected"] = expected
    metadata = item.get("metadata")
    if tags := tags_of(metadata):
        row["tags"] = tags
    trace, observation = (next((item[key] for key in keys if item.get(key)), None) for keys in _SOURCES)
    if isinstance(trace, str):
        row["source"] = {"trace": trace, **({"observation": observation} if isinstance(observation, str) else {})}
    return row


def inputs_of(value: JsonValue) -> dict[str, JsonValue]:
    """Return inputs: an object as it is, messages as `messages`, all else as `input`."""
    if is_conversation(value):
        return {"messages": [{"role": role_of(one["role"]) or one["role"], "content": one["content"]} for one in value]}
    if isinstance(value, Mapping):
        if is_conversation(messages := value.get("messages")):
            return {**value, **inputs_of(messages)}
        return dict(value)
    return {"input": value}


def tags_of(metadata: JsonValue) -> list[str]:
    """Return what metadata says in words: `key:value` for texts, numbers and booleans."""
    if not isinstance(metadata, Mapping):
        return []
    plain = {key: value for key, value in metadata.items() if isinstance(value, str | int | float)}
    texts = (f"{key}:{str(value).lower() if isinstance(value, bool) else value}" for key, value in plain.items())
    return [text for text in texts if len(text) <= _LONGEST_TAG and text.isprintable()]
