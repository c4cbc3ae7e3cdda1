"""JSON as servers really write it: half a surrogate, bytes that are not UTF-8, NaN.

None of that may cost an answer. A body that a strict reader refuses is repaired and read again; everything else in it
is kept.
What has no place in JSON travels through the reader as private characters, so that an emoji whose halves came in two
chunks is put together at the end; what stays half becomes U+FFFD.
"""

import re
from collections.abc import Callable
from typing import TypeVar

import msgspec

_T = TypeVar("_T")

_BEGINNINGS = frozenset((b"{", b"[", b'"'))  # of bodies that are worth a repair
_EMPTY = frozenset((b"", b"null", b"{}", b"[]", b'""', b"false"))

_WORD = "\U0010f6ff"  # stands before a number that JSON does not have, or nothing can hold, made a string
_BYTE = 0x10F700  # plus a byte that is not UTF-8
_HALF = 0x10F800 - 0xD800  # plus a surrogate that stands alone

_BOM = "\ufeff"
_TOKEN = re.compile(
    r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)'
    r"|[+-]?\b(?:NaN|nan|Infinity|infinity|Inf|inf|\d+(?:\.\d+)?[eE]\+?\d{3,}|\d{300,}(?:\.\d+)?)\b",
    re.DOTALL,
)
_IN_STRING = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a whole pair
    r"|\\u([dD][89a-fA-F][0-9a-fA-F]{2})"
    r"|(\\u(?![0-9a-fA-F]{4})[0-9a-fA-F]{0,3})"
    r"|\\."
    r"|([\x00-\x1f\udc80-\udcff])",
    re.DOTALL,
)
_BYTES = re.compile("[\U0010f780-\U0010f7ff]+")
_HALVES = re.compile("[\U0010f800-\U0010ffff]")
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_ALONE = re.compile("[\ud800-\udfff]")
_WORDS = re.compile(f'"{_WORD}([^"]*)"')


def empty(raw: msgspec.Raw) -> bool:
    """Whether a field holds nothing, in any of the spellings that servers have for it."""
    return bytes(raw) in _EMPTY


class RepairedJson:
    """Reads the JSON of one answer, all its events."""

    def __init__(self) -> None:
        self.mended = False  # whether a text may hold characters that stand for others until it is whole

    def read(self, decode: Callable[[bytes | msgspec.Raw], _T], body: bytes | msgspec.Raw) -> _T:
        """Decode, with repairs if needed. Raises ValueError."""
        try:
            return decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            text = bytes(body)
            if text[:64].lstrip(b"\xef\xbb\xbf \t\r\n")[:1] not in _BEGINNINGS:
                raise
        self.mended = True
        return decode(_mend(text))

    def items(self, decode: Callable[[bytes | msgspec.Raw], list[_T]], raw: msgspec.Raw) -> list[_T]:
        """Decode a list; none where the field holds nothing. Raises ValueError."""
        return [] if empty(raw) else self.read(decode, raw)

    def text(self, text: str) -> str:
        """Return what a string says, once all its pieces are there."""
        if not self.mended:
            return text
        text = _BYTES.sub(lambda match: bytes(ord(one) - _BYTE for one in match[0]).decode("utf-8", "replace"), text)
        text = _HALVES.sub(lambda match: chr(ord(match[0]) - _HALF), text)
        text = _PAIR.sub(lambda match: match[0].encode("utf-16", "surrogatepass").decode("utf-16"), text)
        return _WORDS.sub(r"\1", _ALONE.sub("\ufffd", text))


def _mend(body: bytes) -> bytes:
    text = body.decode("utf-8", "surrogateescape").removeprefix(_BOM)
    return _TOKEN.sub(_token, text).encode("utf-8", "replace")


def _token(match: re.Match[str]) -> str:
    token = match[0]
    return _IN_STRING.sub(_piece, token) if token[0] == '"' else f'"{_WORD}{token}"'


def _piece(match: re.Match[str]) -> str:
    half, cut, char = match.groups()
    if half:
        return chr(int(half, 16) + _HALF)
    if cut:
        return "\ufffd"
    if char:
        return f"\\u{ord(char):04x}" if char < " " else chr(_BYTE + ord(char) - 0xDC00)
    return match[0]
