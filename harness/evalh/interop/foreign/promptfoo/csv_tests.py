"""Tests in a CSV file: which columns are variables, and what a cell of assertions says."""

import csv
import io
import re
from collections.abc import Iterator, Mapping
from typing import Any

from evalh.core.errors import WorkspaceError
from evalh.core.strict_json import JsonValue
from evalh.interop.foreign.promptfoo.kinds import CELL
from evalh.interop.foreign.transfer import Fidelity, ProofSheet, Subject

_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?")
_CONFIG = re.compile(r"__expected(?P<number>[1-9]\d*)?:(?P<key>[^:]*)")
_LISTS = ("contains-all", "contains-any", "icontains-all", "icontains-any")
_WITH_MARK = frozenset(
    (
        *("answer-relevance", "classifier", "context-faithfulness", "context-recall", "context-relevance", "cost"),
        *("latency", "levenshtein", "perplexity", "perplexity-score", "rouge-n", "similar", "starts-with"),
    )
)
_MARK, _MARK_SIMILAR = 0.75, 0.8
_WORDS = {
    **dict.fromkeys(("javascript:", "fn:", "eval:"), "javascript"),
    **dict.fromkeys(("grade:", "llm-rubric:"), "llm-rubric"),
    "python:": "python",
}
_SCRIPTS = (".js", ".cjs", ".mjs", ".ts", ".cts", ".mts")
_COLUMNS = (*("__prefix", "__suffix", "__description", "__providerOutput", "__metric", "__threshold", "__metadata"),)
_ONE_UNDERSCORE = re.compile(r"_(expected|prefix|suffix|description|providerOutput|metric|threshold|metadata|config)")
_LARGEST_CELL = 16 * 2**20


def csv_rows(text: str, name: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield each record's line and its cells by column. Raises WorkspaceError."""
    csv.field_size_limit(max(csv.field_size_limit(), _LARGEST_CELL))
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff")))
    header: list[str] | None = None
    line = 1
    try:
        for record in reader:
            first, line = line, reader.line_num + 1
            if not record:
                continue
            if header is None:
                header = [cell.strip() for cell in record]
                continue
            if len(record) != len(header):
                what = f"{len(record)} cells, but the header has {len(header)}"
                raise WorkspaceError(
                    what, where=f"{name}:{first}", hint='a cell with a comma is in double quotes: "a, b"'
                )
            yield first, dict(zip(header, record, strict=True))
    except csv.Error as exc:
        raise WorkspaceError(f"is not CSV: {exc}", where=f"{name}:{line}") from None


def as_test(row: Mapping[str, str], where: str, sheet: ProofSheet) -> dict[str, JsonValue]:
    """Return a record as a test, in the form that it has in YAML. Raises WorkspaceError."""
    test: dict[str, Any] = {"vars": {}, "assert": [], "options": {}, "metadata": {}}
    marks: dict[int, float] = {}
    for key, cell in row.items():
        if key.startswith("__expected"):
            test["assert"] += [assertion_of_cell(cell.strip(), where)] if cell.strip() else []
        elif key.startswith("__config:"):
            _config(key.removeprefix("__config:"), cell, where, marks)
        elif key.startswith("__metadata:"):
            _metadata(key.removeprefix("__metadata:"), cell, test["metadata"])
        elif key in _COLUMNS:
            _own(key[2:], cell, test)
        else:
            test["vars"][key] = cell
            if _ONE_UNDERSCORE.match(key):
                why = "is a variable; two underscores may be meant"
                sheet.add(Fidelity.NOTE, where, f"column {key}", why, subject=Subject.CASE)
    for number, assertion in enumerate(test["assert"]):
        assertion["metric"] = test.get("metric")
        if number in marks:
            assertion["threshold"] = marks[number]
    return {key: value for key, value in test.items() if key != "metric" and value not in ("", None)}


def _own(key: str, cell: str, test: dict[str, Any]) -> None:
    """Put a cell of one of promptfoo's own columns into a test."""
    if key in ("prefix", "suffix"):
        test["options"][key] = cell
    elif key == "threshold":
        test["threshold"] = _number(cell)
    elif key != "metadata":
        test[key] = cell


def _config(key: str, cell: str, where: str, marks: dict[int, float]) -> None:
    found = _CONFIG.fullmatch(key)
    number = _number(cell)
    if found is None or found["key"] != "threshold" or number is None:
        raise WorkspaceError(
            f"the column '__config:{key}' is not one that is read, or its cell is not a number",
            where=where,
            hint="__config:__expected:threshold, or __config:__expected2:threshold",
        )
    marks[int(found["number"] or 1) - 1] = number


def _metadata(key: str, cell: str, metadata: dict[str, Any]) -> None:
    if not cell.strip():
        return
    if key.endswith("[]"):
        metadata[key[:-2]] = [one.strip().replace("\\,", ",") for one in re.split(r"(?<!\\),", cell)]
    else:
        metadata[key] = cell


def _number(cell: str) -> float | int | None:
    text = cell.strip()
    if not _NUMBER.fullmatch(text):
        return None
    number = float(text)
    return int(number) if number.is_integer() else number


def assertion_of_cell(cell: str, where: str) -> dict[str, Any]:
    """Return what a cell of `__expected` asks for. Raises WorkspaceError."""
    for word, kind in _WORDS.items():
        if cell.startswith(word):
            value = cell.removeprefix(word)
            return {"type": kind, "value": value if kind == "llm-rubric" else value.strip()}
    if cell.startswith("file://") and cell.endswith(_SCRIPTS):
        return {"type": "javascript", "value": cell}
    if cell.startswith("file://") and (cell.endswith(".py") or ".py:" in cell):
        return {"type": "python", "value": cell}
    found = CELL.fullmatch(cell)
    if found is None:
        return {"type": "equals", "value": cell}
    base, value = found["base"], found["value"]
    if base in _LISTS:
        return {"type": found["type"], "value": split_list(value, where) if value else value}
    plain = base in ("contains-json", "is-json") or value is None
    assertion: dict[str, Any] = {"type": found["type"], "value": value if plain else value.strip()}
    if base in _WITH_MARK:
        default = _MARK_SIMILAR if base == "similar" else _MARK
        assertion["threshold"] = _number(found["mark"]) if found["mark"] else default
    return assertion


def split_list(text: str, where: str) -> list[str]:
    """Split a text at its commas; a part may must be in double quotes. Raises WorkspaceError."""
    parts: list[str] = []
    place = 0
    while True:
        while place < len(text) and (text[place].isspace() or text[place] == ","):
            place += 1
        if place >= len(text):
            return parts
        if text[place] != '"':
            end = text.find(",", place)
            end = len(text) if end < 0 else end
            parts.append(text[place:end].strip())
            place = end
            continue
        part, place = _quoted(text, place + 1, where)
        parts.append(part)
        while place < len(text) and text[place].isspace():
            place += 1
        if place < len(text) and text[place] != ",":
            raise WorkspaceError("a comma must follow a part in quotes", where=where)


def _quoted(text: str, place: int, where: str) -> tuple[str, int]:
    part: list[str] = []
    while place < len(text):
        pair = text[place : place + 2]
        if pair in ('\\"', "\\\\", '""'):
            part.append(pair[1])
            place += 2
        elif text[place] == '"':
            return "".join(part), place + 1
        else:
            part.append(text[place])
            place += 1
    raise WorkspaceError("a part in quotes has no end", where=where)
