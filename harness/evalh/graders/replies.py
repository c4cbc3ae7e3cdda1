"""Reading a model's reply: the last well-formed verdict that is the model's own.

What was graded may hold verdicts too, and a judge may quote it. A verdict that stands in the graded text, blanks and
case aside, is a quote and never counts; nor does one that lacks its reason, nor one inside another object.
"""

import json
import re
from collections.abc import Callable, Iterable
from typing import TypeAlias, TypeVar

from evalh.core.digest import JsonValue
from evalh.core.strict_json import DECODER
from evalh.graders.asking import UnreadableReplyError

T = TypeVar("T")
Fits: TypeAlias = Callable[[JsonValue], T | None]
"""Reads a verdict from a JSON object; None: it is none."""

_ESCAPE = re.compile(r"""\\(?:u(?P<code>[0-9a-fA-F]{4})|(?P<quoted>["\\/])|[bfnrt])""")
_READ = 50_000  # characters of a reply that are read, from its end
_MOST = 300  # braces that are tried
_ONLY_QUOTES = "its only verdict is one that stands in what was graded"
_NOTHING = "there is no verdict in its reply"


def last_object(text: str, fits: Fits[T], graded: Iterable[str]) -> T:
    """Return the last JSON object that is a verdict and no quote. Raises UnreadableReplyError."""
    folded: str | None = None
    for source, value in _objects(text):
        verdict = fits(value)
        if verdict is None:
            continue
        if folded is None:
            folded = _folded("\n".join(graded))
        if not _is_quote(source, value, folded):
            return verdict
    raise UnreadableReplyError(_NOTHING if folded is None else _ONLY_QUOTES)


def last_line(text: str, pattern: re.Pattern[str], graded: Iterable[str]) -> str:
    """Return what the last match's group says that is no quote, in lower case. Raises UnreadableReplyError."""
    found = list(pattern.finditer(text[-_READ:]))
    folded = _folded("\n".join(graded)) if found else ""
    for one in reversed(found):
        if _folded(one[0]) not in folded:
            return next(group for group in one.groups() if group is not None).lower()
    raise UnreadableReplyError(_ONLY_QUOTES if found else _NOTHING)


def _is_quote(source: str, value: dict[str, JsonValue], folded: str) -> bool:
    """Tell whether an object stands in the graded text, or its reason does: however its JSON was printed anew."""
    if _folded(source) in folded:
        return True
    return _folded('"reason":' + json.dumps(value.get("reason"), ensure_ascii=False)) in folded


def _folded(text: str) -> str:
    """Leave out blanks, case and JSON's escapes: what a quotation may change."""
    if "\\" in text:
        text = _ESCAPE.sub(_unescaped, text)
    return "".join(text.split()).casefold()


def _unescaped(found: re.Match[str]) -> str:
    return chr(int(found["code"], 16)) if found["code"] else found["quoted"] or " "


def _objects(text: str) -> list[tuple[str, dict[str, JsonValue]]]:
    """Return the JSON objects in a text that stand in no other, the last first."""
    text = text[-_READ:]
    place = len(text)
    found: list[tuple[int, int, dict[str, JsonValue]]] = []
    for _ in range(_MOST):
        place = text.rfind("{", 0, place) if place else -1
        if place < 0:
            break
        try:
            value, end = DECODER.raw_decode(text, place)
        except (ValueError, RecursionError):
            continue
        found = [one for one in found if one[0] >= end]
        found.append((place, end, value))
    found.sort(key=lambda one: -one[0])
    return [(text[start:end], value) for start, end, value in found]


def whole_number(value: JsonValue) -> int | None:
    """Return a JSON number that is whole; None for everything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
        return None
    return int(value)


def spoken(value: JsonValue) -> str | None:
    """Return a reason that says something; None for everything else."""
    return value.strip() if isinstance(value, str) and value.strip() else None
