"""A file's content with the place of each key and item."""

from collections.abc import Mapping
from decimal import Decimal
from typing import TypeAlias

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
        """Return `file:line` of a key or item, or of the innermost table or list around it whose line is known."""
        for depth in range(len(path), -1, -1):
            line = self._lines.get(path[:depth])
            if line is not None:
                return f"{self._file}:{line}"
        return self._file


def kind_of(value: JsonValue) -> str:
    """Name the kind of a value, with its article."""
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
