"""A person's own rows for a new workspace: which column means what, and the cases that they become.

`evalh init --from FILE` reads JSON Lines or CSV of any shape. What a column is for is guessed from its name, unless
`--map NAME=COLUMN` states it.
"""

import csv
import io
import json
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from unicodedata import normalize

from evalh.core.errors import UsageError, WorkspaceError, did_you_mean
from evalh.core.strict_json import JsonValue, NotStrictJson, parse
from evalh.core.values import Value
from evalh.interop.foreign.mapping import Mapped
from evalh.workspace.files import decode, refuse_conflict, refuse_other_encodings

_LARGEST = 200_000_000  # bytes: the file is read whole, once
_MOST_COLUMNS = 200
_SUFFIXES = (".jsonl", ".csv", ".tsv")
_RESERVED = frozenset("role media history messages input this if each else unless with lookup log".split())  # noqa: SIM905
_LONGEST_ID = 200


class ColumnRole(StrEnum):
    """What a column is for."""

    ID = "id"
    INPUT = "input"
    EXPECTED = "expected"
    TAGS = "tags"
    CLUSTER = "cluster"
    SKIP = "skip"


_GUESSES = {
    ColumnRole.ID: ("id", "caseid", "caseids", "uuid", "rowid", "exampleid"),
    ColumnRole.TAGS: ("tags", "tag"),
    ColumnRole.CLUSTER: ("cluster",),
}
_GOLD = (
    *("expected", "label", "labels", "gold", "target", "ideal", "expectedoutput", "reference", "referenceoutput"),
    *("category", "intent", "class", "answer", "output", "response", "completion"),
)
"""Names of the column with what is expected, the surest first: only one column is it."""


class OwnColumn(Value):
    """One column: its name in the file, what it is for, and its name in a case."""

    name: str
    role: ColumnRole
    key: str


class OwnCase(Value, kw_only=True):
    """One row, as the dataset holds it."""

    id: str
    inputs: Mapping[str, str]
    expected: JsonValue = None  # None: the row says nothing
    tags: tuple[str, ...] = ()
    cluster: str | None = None

    def line(self) -> str:
        """Return the row as JSON."""
        row: dict[str, JsonValue] = {"id": self.id, "inputs": dict(self.inputs)}
        if self.expected is not None:
            row["expected"] = self.expected
        if self.tags:
            row["tags"] = list(self.tags)
        if self.cluster:
            row["cluster"] = self.cluster
        return json.dumps(row, ensure_ascii=False)


class OwnRows(Value, kw_only=True):
    """A file's rows as cases, and which column became what."""

    name: str  # of the dataset, the suite and the prompt
    columns: tuple[OwnColumn, ...]
    cases: tuple[OwnCase, ...]

    def content(self) -> bytes:
        """Return the dataset's file."""
        return "".join(f"{case.line()}\n" for case in self.cases).encode("utf-8", "surrogatepass")

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the inputs, in the file's order."""
        return tuple(column.key for column in self.columns if column.role is ColumnRole.INPUT)


def read_rows(path: Path, mapping: Sequence[str]) -> OwnRows:
    """Read a file, and find out what its columns are for. Raises UsageError, WorkspaceError."""
    rows = list(_rows(path))
    if not rows:
        raise UsageError("has no rows", where=str(path), hint="one JSON object a line, or a header and records")
    names = list(dict.fromkeys(name for _, row in rows for name in row))
    if len(names) > _MOST_COLUMNS:
        raise UsageError(f"has {len(names):,} columns; at most {_MOST_COLUMNS}", where=str(path))
    columns = _columns(names, [row for _, row in rows], _stated(mapping, names, path))
    if not any(column.role is ColumnRole.INPUT for column in columns):
        hint = f"--map text={names[0]}"
        raise UsageError("no column is an input of the prompt", where=str(path), hint=hint)
    stem = _identifier(path.stem) or "own"
    return OwnRows(name=stem, columns=columns, cases=tuple(_cases(rows, columns, stem, path)))


def _rows(path: Path) -> Iterator[tuple[int, Mapping[str, JsonValue]]]:
    if path.suffix.lower() not in _SUFFIXES:
        raise UsageError("is not .jsonl, .csv or .tsv", where=str(path), hint="one JSON object a line: data.jsonl")
    try:
        if path.stat().st_size > _LARGEST:
            most = f"{_LARGEST // 1_000_000} MB"
            raise UsageError(f"is larger than {most}", where=str(path), hint=f"head -n 1000 {path.name} > part.jsonl")
        data = path.read_bytes()
    except OSError as exc:
        raise UsageError(f"cannot be read: {exc.strerror or exc}", where=str(path)) from None
    refuse_other_encodings(data, str(path))
    text = decode(data.removeprefix(BOM_UTF8), str(path))
    refuse_conflict(text, str(path))
    yield from _json_rows(text, path) if path.suffix.lower() == ".jsonl" else _csv_rows(text, path)


def _json_rows(text: str, path: Path) -> Iterator[tuple[int, Mapping[str, JsonValue]]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            row = parse(line)
        except NotStrictJson as exc:
            raise WorkspaceError(f"is not JSON: {exc}", where=where, hint="one JSON object a line") from None
        if not isinstance(row, dict):
            raise WorkspaceError("is not a JSON object", where=where, hint='{"text": "…", "label": "…"}')
        yield number, _flat(row)


def _flat(row: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
    """Lift what `inputs` or `vars` holds, as other tools write it."""
    flat: dict[str, JsonValue] = {}
    for name, value in row.items():
        if name in ("inputs", "vars") and isinstance(value, dict):
            flat |= {f"inputs.{inner}": held for inner, held in value.items()}
        else:
            flat[name] = value
    return flat


def _csv_rows(text: str, path: Path) -> Iterator[tuple[int, Mapping[str, JsonValue]]]:
    first = text.partition("\n")[0]
    separator = "\t" if path.suffix.lower() == ".tsv" else max(",;\t", key=first.count)
    csv.field_size_limit(max(csv.field_size_limit(), _LARGEST))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        header = [name.strip() for name in next(reader, [])]
        twice = next((name for name, times in Counter(header).items() if name and times > 1), None)
        if twice is not None:
            raise WorkspaceError(f"two columns are called {twice!r}", where=f"{path}:1", hint="rename one of them")
        for cells in reader:
            where = f"{path}:{reader.line_num}"
            if any(cells[len(header) :]):
                raise WorkspaceError(f"has {len(cells)} cells where the header has {len(header)}", where=where)
            if any(cells):
                yield reader.line_num, {name: cell for name, cell in zip(header, cells, strict=False) if name}
    except csv.Error as exc:
        raise WorkspaceError(f"is not CSV: {exc}", where=f"{path}:{reader.line_num}") from None


def _stated(mapping: Sequence[str], names: Sequence[str], path: Path) -> dict[str, tuple[ColumnRole, str | None]]:
    """Read `--map NAME=COLUMN` as `evalh import rows` does; with an input named, other columns are none.

    Raises UsageError.
    """
    if not mapping:
        return {}
    mapped = Mapped.read(mapping)
    if mapped.expected.keys() - {""}:
        raise UsageError("--map names what is inside expected", hint=f"evalh import rows {path.name} --map … does that")
    single = ((ColumnRole.ID, mapped.id), (ColumnRole.EXPECTED, mapped.expected.get("")))
    pairs = [*single, (ColumnRole.CLUSTER, mapped.cluster), *((ColumnRole.TAGS, one) for one in mapped.tags[:1])]
    stated: dict[str, tuple[ColumnRole, str | None]] = {
        _found(column, names, path): (role, None) for role, column in pairs if column is not None
    }
    for key, column in mapped.inputs.items():
        if _identifier(key) != key:
            hint = f"--map {_identifier(key) or 'text'}={column}"
            raise UsageError(f"--map: {key!r} cannot be the name of an input", hint=hint)
        stated[_found(column, names, path)] = (ColumnRole.INPUT, key)
    return stated


def _found(column: str, names: Sequence[str], path: Path) -> str:
    found = column if column in names else f"inputs.{column}"
    if found not in names:
        raise UsageError(f"--map: there is no column {column!r}", where=str(path), hint=did_you_mean(column, names))
    return found


def _columns(
    names: Sequence[str], rows: Sequence[Mapping[str, JsonValue]], stated: Mapping[str, tuple[ColumnRole, str | None]]
) -> tuple[OwnColumn, ...]:
    roles = {name: role for name, (role, _) in stated.items()}
    for role, words in _GUESSES.items():
        free = [name for name in names if name not in roles and _bare(name) in words]
        if role not in roles.values() and free and (role is not ColumnRole.ID or _distinct(free[0], rows)):
            roles[free[0]] = role
    if ColumnRole.EXPECTED not in roles.values():
        free = [name for name in names if name not in roles and not name.startswith("inputs.")]
        gold = next((name for word in _GOLD for name in free if _bare(name) == word), None)
        if (gold is not None and len(free) > 1) or (gold is not None and any(n.startswith("inputs.") for n in names)):
            roles[gold] = ColumnRole.EXPECTED
    columns: list[OwnColumn] = []
    rest = ColumnRole.SKIP if ColumnRole.INPUT in roles.values() else ColumnRole.INPUT
    for name in names:
        role = roles.get(name, rest)
        key = stated[name][1] if name in stated else None
        taken = {column.key for column in columns}
        columns.append(OwnColumn(name, role, key or _free(_identifier(name.removeprefix("inputs.")) or "text", taken)))
    return tuple(columns)


def _distinct(name: str, rows: Sequence[Mapping[str, JsonValue]]) -> bool:
    values = [_text(row.get(name)).strip() for row in rows]
    return all(values) and len(set(values)) == len(values) and max(map(len, values)) <= _LONGEST_ID


def _cases(
    rows: Sequence[tuple[int, Mapping[str, JsonValue]]], columns: Sequence[OwnColumn], stem: str, path: Path
) -> Iterator[OwnCase]:
    by_role = {role: [column for column in columns if column.role is role] for role in ColumnRole}
    gold = by_role[ColumnRole.EXPECTED]
    seen: dict[str, int] = {}
    width = max(3, len(str(len(rows))))
    for at, (number, row) in enumerate(rows, start=1):
        ids = by_role[ColumnRole.ID]
        case_id = _text(row.get(ids[0].name)).strip() if ids else f"{stem}-{at:0{width}}"
        first = seen.setdefault(case_id, number)
        if not case_id or first != number:
            what = "is empty" if not case_id else f"{case_id[:60]!r} stands on line {first} too"
            hint = "name another: --map id=COLUMN; or the inputs alone: the rows are numbered then"
            raise WorkspaceError(f"the id {what}", where=f"{path}:{number}", hint=hint)
        expected = row.get(gold[0].name) if gold else None
        tags = row.get(by_role[ColumnRole.TAGS][0].name) if by_role[ColumnRole.TAGS] else None
        cluster = row.get(by_role[ColumnRole.CLUSTER][0].name) if by_role[ColumnRole.CLUSTER] else None
        yield OwnCase(
            id=case_id,
            inputs={column.key: _text(row.get(column.name)) for column in by_role[ColumnRole.INPUT]},
            expected=None if expected == "" else expected,
            tags=_tags(tags),
            cluster=_text(cluster).strip() or None,
        )


def _tags(value: JsonValue) -> tuple[str, ...]:
    parts = (
        [_text(one) for one in value]
        if isinstance(value, list)
        else _text(value).replace(";", " ").replace(",", " ").split()
    )
    return tuple(dict.fromkeys(part.strip() for part in parts if part.strip()))


def _text(value: JsonValue) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _bare(name: str) -> str:
    return _plain(normalize("NFKC", name)).replace(" ", "")


def _identifier(name: str) -> str:
    """Return a name as a prompt's slot takes it: small letters, digits and _."""
    plain = _plain(normalize("NFKD", name.casefold()).encode("ascii", "ignore").decode()).replace(" ", "_")[:40]
    if not plain:
        return ""
    plain = plain if plain[0].isalpha() else f"c_{plain}"
    return f"{plain}_text" if plain in _RESERVED else plain


def _plain(text: str) -> str:
    """Return the words of a text: ASCII letters and digits, in small letters, a blank between."""
    return " ".join("".join(one if one.isascii() and one.isalnum() else " " for one in text.casefold()).split())


def _free(name: str, taken: "set[str]") -> str:
    number = 2
    free = name
    while free in taken:
        free, number = f"{name}_{number}", number + 1
    return free
