"""Unicode's normal forms, in linear time, and the difference of two texts that look the same."""

import re
from itertools import zip_longest
from typing import Literal, TypeAlias
from unicodedata import normalize

Form: TypeAlias = Literal["nfc", "nfkc", "none"]

# `unicodedata.normalize` sorts a run of combining marks by insertion: 80,000 of them take seconds, a megabyte of them
# minutes. No word has 64.
_MARKS = re.compile(r"([^\w\x00-\x7f]{64,})")


def in_form(text: str, form: Form) -> str:
    """Return a text in a normal form; runs of 64 or more combining marks are not changed."""
    if form == "none" or text.isascii():
        return text
    name: Literal["NFC", "NFKC"] = "NFC" if form == "nfc" else "NFKC"
    parts = _MARKS.split(text)
    return "".join(part if place % 2 else normalize(name, part) for place, part in enumerate(parts))


def code_points_apart(got: str, wanted: str) -> str:
    """Name the first characters that differ in two texts, if one of them is not ASCII; otherwise return ""."""
    pairs = enumerate(zip_longest(got, wanted, fillvalue=""), start=1)
    place, one, other = next(((place, *pair) for place, pair in pairs if pair[0] != pair[1]), (0, "", ""))
    if not place or f"{one}{other}".isascii():
        return ""
    return f"character {place} is {_named(one)}, not {_named(other)}"


def _named(character: str) -> str:
    return f"U+{ord(character):04X}" if character else "the end"
