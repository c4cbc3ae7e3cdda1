"""JSON objects in a model's reply: strict ones, and those that any reader can repair, in one pass over the text.

Mended are comments, trailing commas, single or typographer's quotes, bare keys, Python's words and line ends in
strings. A duplicate key is never repaired: either value may be meant.
"""

import json
from collections.abc import Iterator

from evalh.core.strict_json import DECODER, JsonValue

_QUOTES = {'"': '"', "'": "'", "\u201c": "\u201d", "\u201d": "\u201d", "\u201e": "\u201c", "\u00ab": "\u00bb"}
_WORDS: dict[str, JsonValue] = {
    "true": True,
    "false": False,
    "null": None,
    "True": True,
    "False": False,
    "None": None,
}
_DEEPEST = 20
_PUNCTUATION = frozenset("{}[]:,\"'")


class _NotMended(ValueError):
    pass


def objects(text: str) -> Iterator[tuple[int, int, dict[str, JsonValue]]]:
    """Yield the objects that stand in no other, as begin, end and value, in order. Takes linear time."""
    for begin, end in _outermost(text):
        written = text[begin:end]
        try:
            value = DECODER.decode(written)
        except (ValueError, RecursionError):
            try:
                value = _Mender(written).object()
            except (_NotMended, RecursionError):
                continue
        if isinstance(value, dict):
            yield begin, end, value


def _outermost(text: str) -> list[tuple[int, int]]:
    """Pair the braces. One that is never closed encloses nothing."""
    opened: list[int] = []
    pairs: list[tuple[int, int]] = []
    inside = False  # a string: only between braces, where a quote is one
    place = 0
    for place, one in enumerate(text):
        if one == '"' and opened:
            inside = not inside if text[place - 1] != "\\" else inside
        elif one == "{" and not inside:
            opened.append(place)
        elif one == "}" and opened and not inside:
            begin = opened.pop()
            while pairs and pairs[-1][0] > begin:
                pairs.pop()
            pairs.append((begin, place + 1))
    return pairs


class _Mender:
    """Reads one object, forgivingly. Every step moves on in the text, so it takes linear time."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.place = 0

    def object(self) -> dict[str, JsonValue]:
        value = self._value(0)
        self._blanks()
        if not isinstance(value, dict) or self.place < len(self.text):
            raise _NotMended
        return value

    def _value(self, depth: int) -> JsonValue:
        one = self._next()
        if depth > _DEEPEST:
            raise _NotMended
        if one == "{":
            return self._mapping(depth)
        if one == "[":
            return self._list(depth)
        if one in _QUOTES:
            return self._string()
        word = self._word()
        if word in _WORDS:
            return _WORDS[word]
        try:
            return DECODER.decode(word)
        except ValueError:
            raise _NotMended from None

    def _mapping(self, depth: int) -> dict[str, JsonValue]:
        self.place += 1
        mapping: dict[str, JsonValue] = {}
        while self._next() != "}":
            key = self._string() if self._next() in _QUOTES else self._word()
            if self._next() != ":" or key in mapping:
                raise _NotMended
            self.place += 1
            mapping[key] = self._value(depth + 1)
            self._comma("}")
        self.place += 1
        return mapping

    def _list(self, depth: int) -> list[JsonValue]:
        self.place += 1
        values: list[JsonValue] = []
        while self._next() != "]":
            values.append(self._value(depth + 1))
            self._comma("]")
        self.place += 1
        return values

    def _comma(self, end: str) -> None:
        if self._next() == ",":
            self.place += 1
        elif self._next() != end:
            raise _NotMended

    def _next(self) -> str:
        """Return the next character that says something."""
        self._blanks()
        if self.place >= len(self.text):
            raise _NotMended
        return self.text[self.place]

    def _blanks(self) -> None:
        text = self.text
        while self.place < len(text):
            if text[self.place].isspace():
                self.place += 1
            elif text[self.place] == "#" or text.startswith("//", self.place):
                end = text.find("\n", self.place)
                self.place = len(text) if end < 0 else end
            elif text.startswith("/*", self.place):
                end = text.find("*/", self.place)
                self.place = len(text) if end < 0 else end + 2
            else:
                return

    def _word(self) -> str:
        begin = self.place
        while self.place < len(self.text) and not (
            self.text[self.place] in _PUNCTUATION or self.text[self.place].isspace()
        ):
            self.place += 1
        if begin == self.place:
            raise _NotMended
        return self.text[begin : self.place]

    def _string(self) -> str:
        """Read to the closing quote. A single quote inside a word is an apostrophe."""
        closing = _QUOTES[self.text[self.place]]
        begin = self.place = self.place + 1
        while self.place < len(self.text):
            one = self.text[self.place]
            if one == "\\":
                self.place += 2
                continue
            if one == closing and not (closing == "'" and self.text[self.place + 1 : self.place + 2].isalnum()):
                self.place += 1
                return _unescaped(self.text[begin : self.place - 1])
            self.place += 1
        raise _NotMended


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    try:
        return str(json.loads('"' + text.replace("\\'", "'").replace('"', '\\"') + '"', strict=False))
    except ValueError:
        return text
