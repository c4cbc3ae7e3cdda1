"""Values that know where they stand in their file, and tables of them, read key by key."""

from collections.abc import Collection, Iterator, Mapping
from decimal import Decimal
from typing import TypeAlias

from evalh.core.errors import WorkspaceError, did_you_mean
from evalh.core.strict_json import JsonValue

Path: TypeAlias = tuple[str | int, ...]


_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (type(None), "null"),
    (bool, "true or false"),
    ((int, float, Decimal), "a number"),
    (str, "text"),
    (Mapping, "a mapping"),
    ((list, tuple), "a list"),
)


class Located:
    """A file's content, and the line of each key and item in it."""

    __slots__ = ("_file", "_lines", "value")

    def __init__(self, value: JsonValue, file: str, lines: Mapping[Path, int]) -> None:
        self.value = value
        self._file = file
        self._lines = lines

    def where(self, *path: str | int) -> str:
        """Return `file:line` of a key or item; of the nearest thing around it whose line is known."""
        for depth in range(len(path), -1, -1):
            line = self._lines.get(path[:depth])
            if line is not None:
                return f"{self._file}:{line}"
        return self._file


def kind_of(value: JsonValue) -> str:
    """Say what a value is, with its article."""
    for types, words in _KINDS:
        if isinstance(value, types):
            return words
    return f"a {type(value).__name__}"


def json_of(value: JsonValue) -> JsonValue:
    """Return the value as JSON: TOML's exact numbers become floats."""
    match value:
        case Decimal():
            return float(value)
        case Mapping():
            return {key: json_of(item) for key, item in value.items()}
        case list():
            return [json_of(item) for item in value]
        case _:
            return value


class Table:
    """One mapping of a file. Each reader returns None for a key that is not there and refuses a wrong type.

    Messages name keys, never values: a value may be a secret that was put into the wrong place.
    """

    def __init__(self, located: Located, value: JsonValue, path: Path = ()) -> None:
        """Take the value at `path`. Raises WorkspaceError if it is no mapping."""
        self._located = located
        self._path = path
        if not isinstance(value, Mapping):
            what = repr(path[-1]) if path else "the file"
            raise WorkspaceError(f"{what} must be a mapping, not {kind_of(value)}", where=self.where())
        self.values: Mapping[str, JsonValue] = value

    def where(self, *path: str | int) -> str:
        """Return `file:line` of a key in this table; of the table itself without one."""
        return self._located.where(*self._path, *path)

    def refuse_unknown(self, known: Collection[str]) -> None:
        """Raise WorkspaceError for a key that is not among the known ones, naming the nearest."""
        for key in self.values:
            if key not in known:
                raise WorkspaceError(f"unknown key {key!r}", where=self.where(key), hint=did_you_mean(key, known))

    def table(self, key: str) -> "Table":
        """Return the table under a key; an empty one where there is none."""
        return Table(self._located, self.values.get(key, {}), (*self._path, key))

    def tables(self) -> "Iterator[tuple[str, Table]]":
        """Walk the tables in this table, with their names."""
        for name in self.values:
            yield name, self.table(name)

    def json(self) -> Mapping[str, JsonValue]:
        """Return the whole table as JSON."""
        return {key: json_of(value) for key, value in self.values.items()}

    def text(self, key: str) -> str | None:
        """Read text that is not empty."""
        value = self.values.get(key)
        if key in self.values and not (isinstance(value, str) and value.strip()):
            raise self._wrong(key, "text" if not isinstance(value, str) else "text that is not empty")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """Read a list of texts; empty where it is not there."""
        value = self.values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
            raise self._wrong(key, "a list of texts")
        return tuple(value)

    def count(self, key: str, most: int = 1_000_000) -> int | None:
        """Read a whole number from 1 to `most`."""
        value = self.values.get(key)
        if key in self.values and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
            raise self._wrong(key, "a whole number of at least 1")
        if value is not None and value > most:
            raise self._wrong(key, f"a whole number of at most {most:,}")
        return value

    def number(self, key: str, low: float = 0.0, high: float = float("inf")) -> Decimal | None:
        """Read a number, exactly as it was written in TOML."""
        value = self.values.get(key)
        if key not in self.values:
            return None
        limits = f"a number of at least {low:g}" if high == float("inf") else f"a number from {low:g} to {high:g}"
        if not isinstance(value, int | float | Decimal) or isinstance(value, bool) or not low <= value <= high:
            raise self._wrong(key, limits)
        return Decimal(repr(value)) if isinstance(value, float) else Decimal(value)

    def _wrong(self, key: str, wanted: str) -> WorkspaceError:
        found = kind_of(self.values[key])
        but = "" if found.split()[-1] in wanted.split() else f", not {found}"
        return WorkspaceError(f"{key!r} must be {wanted}{but}", where=self.where(key))
