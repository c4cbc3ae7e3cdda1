"""Strict JSON: large integers stay exact; duplicate keys, NaN, and numbers too large for a float are refused."""

import json
from math import isinf
from typing import Any, TypeAlias

JsonValue: TypeAlias = Any
"""A JSON value: None, bool, int of any size, float, str, list or tuple, mapping with str keys."""

_SHOWN = 40  # most characters of a number in a message


class NotStrictJson(ValueError):
    """The text is not JSON, or reading it would lose something."""

    @property
    def in_line(self) -> str:
        """What is wrong with a text that is one line of a file: its column; the file's own line is said elsewhere."""
        return str(self).replace(" at line 1, column", " at column")


def parse(text: str) -> JsonValue:
    """Read one JSON value. Raises NotStrictJson, which says what is wrong and where."""
    try:
        return DECODER.decode(text)
    except json.JSONDecodeError as exc:
        what = exc.msg.removesuffix(" at")  # as in "Unterminated string starting at"
        raise NotStrictJson(f"{what} at line {exc.lineno}, column {exc.colno}") from None
    except RecursionError:
        raise NotStrictJson("nested too deeply") from None
    except NotStrictJson:
        raise
    except ValueError as exc:  # an integer longer than the interpreter converts
        raise NotStrictJson(str(exc).partition(";")[0]) from None


def _without_duplicates(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise NotStrictJson(f"duplicate key {twice!r}")
    return mapping


def _refuse(word: str) -> JsonValue:
    raise NotStrictJson(f"{word} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if isinf(value):
        raise NotStrictJson(f"a number is too large: {text[:_SHOWN]}")
    return value


DECODER = json.JSONDecoder(object_pairs_hook=_without_duplicates, parse_constant=_refuse, parse_float=_finite)
