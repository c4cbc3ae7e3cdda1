"""`--map`, and what it makes of a record: which column of a file becomes what of a row."""

import json
from collections.abc import Iterator, Mapping, Sequence
from shlex import quote

from evalh.core.case import ABSENT
from evalh.core.errors import UsageError, is_typo
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.graders.paths import BadPath, JsonPath
from evalh.interop.foreign.bodies import is_slot
from evalh.interop.foreign.transfer import ColumnRole, OwnColumn, Row, slug

HISTORY = "messages"
LIFTED = ("inputs", "vars")
"""Objects whose keys are columns of their own: so evalh and other tools write inputs."""

_HINT = "--map question=prompt,expected=answer,id=key,tags=topic"


_INPUTS = "inputs"
_KEYS = (ColumnRole.ID, ColumnRole.CLUSTER, ColumnRole.TAGS, ColumnRole.SKIP)
_TARGETS = (*_KEYS, ColumnRole.EXPECTED, ColumnRole.OUTPUT, _INPUTS)
_REPEAT = (ColumnRole.TAGS, ColumnRole.OUTPUT, ColumnRole.SKIP)


class Columns(Value):
    """All columns, in the order of the file."""

    listed: tuple[OwnColumn, ...]

    def of(self, role: ColumnRole) -> tuple[OwnColumn, ...]:
        """Return the columns that are for this."""
        return tuple(one for one in self.listed if one.role is role)

    def row(self, record: Mapping[str, JsonValue]) -> Row:
        """Return a row without its id. An input that says nothing is empty; all else is left out then."""
        inputs = {one.key: value_at(record, one.name) for one in self.of(ColumnRole.INPUT)}
        row: Row = {"inputs": {key: value if says(value, blank=True) else "" for key, value in inputs.items()}}
        expected = {one.key: value_at(record, one.name) for one in self.of(ColumnRole.EXPECTED)}
        expected = {path: value for path, value in expected.items() if says(value)}
        if expected:
            row["expected"] = expected[""] if "" in expected else _nested(expected)
        tags = [tag for one in self.of(ColumnRole.TAGS) for tag in _texts(value_at(record, one.name))]
        if tags:
            row["tags"] = list(dict.fromkeys(tags))
        cluster = self._first(ColumnRole.CLUSTER, record)
        if cluster is not None:
            row["cluster"] = cluster
        return row

    def id_of(self, record: Mapping[str, JsonValue]) -> str | None:
        """Return the record's own id, as text."""
        return self._first(ColumnRole.ID, record)

    def _first(self, role: ColumnRole, record: Mapping[str, JsonValue]) -> str | None:
        return next((text for one in self.of(role) for text in _texts(value_at(record, one.name))), None)


def text_of_output(record: Mapping[str, JsonValue], column: OwnColumn, *, blank: bool) -> str | None:
    """Return what a model answered, as text; None: nothing is recorded. `blank`: an empty text is an answer."""
    value = value_at(record, column.name)
    if not says(value, blank=blank):
        return None
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def says(value: JsonValue, *, blank: bool = False) -> bool:
    """Whether a value says something: it is there, is not null, and is not a blank text unless that counts."""
    return value is not ABSENT and value is not None and (blank or not isinstance(value, str) or bool(value.strip()))


def read_map(stated: Sequence[str]) -> tuple[OwnColumn, ...]:
    """Read `input=question,expected=answer`, stated once or more often. Raises UsageError."""
    columns: list[OwnColumn] = []
    for pair in (one for text in stated for one in _pairs(text)):
        target, equals, name = (part.strip() for part in pair.partition("="))
        if not equals or not target or not name:
            raise UsageError(f"--map cannot be read: {pair.strip()!r}", hint=_HINT)
        column = _column(target, name)
        repeats = column.role in _REPEAT and not column.key
        if any(one == column or ((one.role, one.key) == (column.role, column.key) and not repeats) for one in columns):
            raise UsageError(f"--map names {target!r} twice", hint=_HINT)
        columns.append(column)
    expected = [one.key for one in columns if one.role is ColumnRole.EXPECTED]
    if "" in expected and len(expected) > 1:
        raise UsageError("--map names expected, and what is inside it", hint="one of the two")
    return tuple(columns)


def _pairs(text: str) -> Iterator[str]:
    """Yield the pairs; what has no `=` belongs to the name of the column before it, which has a comma."""
    pair: str | None = None
    for part in text.split(","):
        if pair is not None and part.strip() and "=" not in part:
            pair = f"{pair},{part}"
            continue
        if pair is not None:
            yield pair
        pair = part
    yield pair or ""


def _column(target: str, name: str) -> OwnColumn:
    head, _, rest = target.partition(".")
    if target in _KEYS:
        return OwnColumn(name, ColumnRole(target))
    if head in (ColumnRole.EXPECTED, ColumnRole.OUTPUT):
        return OwnColumn(name, ColumnRole(head), rest if head == ColumnRole.EXPECTED else slug(rest))
    key = target.removeprefix(f"{_INPUTS}.")
    if key == target and (meant := _meant(head, rest)) is not None:
        insist = f"; an input: --map {quote(f'inputs.{target}={name}')}" if names_input(target) else ""
        what = f"--map: {target!r} is close to {meant}, a key of a row"
        raise UsageError(what, hint=f"--map {quote(f'{meant}={name}')}{insist}")
    if not names_input(key):
        plain = slug(key).replace("-", "_") or "text"
        hint = f"--map {quote(f'{plain}={name}')}"
        raise UsageError(f"--map: {key!r} cannot be the name of an input", hint=hint)
    return OwnColumn(name, ColumnRole.INPUT, key)


def _meant(head: str, rest: str) -> str | None:
    """Return the key that is almost the same: as it stands, it would become an input without a word."""
    word = "".join(one for one in head.casefold() if one.isalnum())
    own = next((one for one in _TARGETS if word == one or is_typo(word, one)), None)
    if own is None and word.startswith("expect"):  # expect, expected_label
        own, rest = ColumnRole.EXPECTED, rest or head.casefold().partition("expected")[2].strip("_- ")
    if own == _INPUTS:
        return f"{_INPUTS}.{rest or 'NAME'}" if rest or word == _INPUTS else None  # `input` is an input's good name
    return f"{own}.{rest}" if rest and own in (ColumnRole.EXPECTED, ColumnRole.OUTPUT) else own


def names_input(key: str) -> bool:
    """Whether an input can have this name, so that a prompt can say it."""
    return key == HISTORY or ("." not in key and is_slot(key))


def value_at(record: Mapping[str, JsonValue], name: str) -> JsonValue:
    """Return a column, or what stands at a path (`answers.text[0]`); ABSENT if there is neither."""
    if name in record:
        return record[name]
    outer, _, inner = name.partition(".")
    lifted = record.get(outer) if outer in LIFTED else None
    if isinstance(lifted, Mapping) and inner in lifted:
        return lifted[inner]
    try:
        return JsonPath.parse(name).find(record)
    except BadPath:
        return ABSENT


def _nested(expected: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    tree: dict[str, JsonValue] = {}
    for path, value in expected.items():
        *parents, last = path.split(".")
        place = tree
        for name in parents:
            place = place.setdefault(name, {})
        place[last] = value
    return tree


def _texts(value: JsonValue) -> list[str]:
    """Return a value as texts: of a list each of its items; nothing for what is empty."""
    listed = value if isinstance(value, list | tuple) else [value]
    texts = (one if isinstance(one, str) else _number(one) for one in listed)
    return [text for one in texts if (text := one.strip())]


def _number(value: JsonValue) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, int | float) else ""
