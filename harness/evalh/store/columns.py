"""How values become columns, and columns become values.

Any SQLite tool can show a column: UTF-8 text without NUL, JSON text, ISO-8601 instants in
UTC, US dollars as REAL. Outputs are hostile, and may hold lone surrogates and NUL (where SQLite's own
functions stop reading). Both are replaced, reversibly, by code points that text does not use: see `stored`.
"""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from time import gmtime, strftime

import orjson

from evalh.core.strict_json import JsonValue

_NUL_SIGN = "\u2400"  # ␀, which is visible
_LITERAL = "\U0010f7ff"  # escapes the next character
_SURROGATES = 0xD800
_LAST_SURROGATE = 0xDFFF
_OFFSET = 0x10F800 - _SURROGATES  # private use, one for each of the 2,048 surrogates
_UNSTORABLE = re.compile("[\0\u2400\ud800-\udfff\U0010f7ff-\U0010ffff]")
_STORED = re.compile("\U0010f7ff(.)|\u2400|[\U0010f800-\U0010ffff]", re.DOTALL)
_LARGEST = 2**63 - 1


def stored(text: str) -> str:
    """Make any str storable. NUL becomes `␀`, a lone surrogate U+D800+n becomes U+10F800+n.

    Characters that look like replacements are escaped by U+10F7FF, so `restored` returns exactly the same text.
    """
    if text.isascii() and "\0" not in text:
        return text
    return _UNSTORABLE.sub(_replace, text)


def _replace(match: re.Match[str]) -> str:
    char = match[0]
    if char == "\0":
        return _NUL_SIGN
    lone_surrogate = _SURROGATES <= ord(char) <= _LAST_SURROGATE
    return chr(ord(char) + _OFFSET) if lone_surrogate else _LITERAL + char


def restored(text: str) -> str:
    """Undo `stored`."""
    return text if text.isascii() else _STORED.sub(_put_back, text)


def restored_or_none(text: str | None) -> str | None:
    """Undo `stored`; NULL stays None."""
    return None if text is None else restored(text)


def _put_back(match: re.Match[str]) -> str:
    literal: str | None = match[1]
    if literal is not None:
        return literal
    return "\0" if match[0] == _NUL_SIGN else chr(ord(match[0]) - _OFFSET)


def json_text(value: JsonValue) -> str:
    """Write JSON as ASCII or UTF-8. Integers of any size stay exact; what UTF-8 cannot encode is escaped."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # large integers, lone surrogates, mappings other than dict
        return json.dumps(value, separators=(",", ":"), default=_plain)


def _plain(value: object) -> JsonValue:
    # The log loses nothing: a decision's detail that is not JSON is kept as text.
    return dict(value) if isinstance(value, Mapping) else str(value)


def read_json(text: str | None) -> JsonValue:
    """Read a JSON column; NULL is None."""
    return None if text is None else json.loads(text)


class Instants:
    """Writes seconds since the epoch as `2026-07-28T10:15:00.123Z`: it sorts, and SQLite's date functions read it."""

    def __init__(self) -> None:
        self._second = -1
        self._prefix = ""

    def text(self, seconds: float) -> str:
        """Write one instant, in milliseconds. Instants come in order, so the last second is cached."""
        whole, milliseconds = divmod(round(seconds * 1000.0), 1000)
        if whole != self._second:
            self._prefix = strftime("%Y-%m-%dT%H:%M:%S", gmtime(whole))
            self._second = whole
        return f"{self._prefix}.{milliseconds:03d}Z"


def read_instant(text: str) -> float:
    """Read an instant back as seconds since the epoch."""
    return datetime.fromisoformat(text).timestamp()


def dollars(amount: Decimal | None) -> float | None:
    """Write an amount; an unknown one is NULL. `core.money.from_stored` reads it back."""
    return None if amount is None else float(amount)


def whole_number(number: int | None) -> int | None:
    """Write a count that a provider reported; NULL if it is impossible (SQLite holds 64 bits)."""
    return number if number is not None and -_LARGEST <= number <= _LARGEST else None
