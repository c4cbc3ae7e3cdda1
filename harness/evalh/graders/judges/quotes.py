"""Whether a verdict is quoted from what was graded, however inexactly a judge quotes.

Both sides are folded to their letters and digits: without compatibility forms, case, accents, look-alikes, quotes,
blanks, markup and what cannot be seen. What an output hides is read as well, since a judge may write it out (`hidden`).
Folded passages are compared by similarity, not for equality.
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import cached_property, lru_cache

from evalh.graders.judges.hidden import written_out
from evalh.graders.patterns import pattern, readable
from evalh.graders.similarity import best_part

_ALIKE = 0.8  # from here on a passage is a quote of another
_LONGEST = 600  # folded characters of a passage that are compared
_LONGEST_WORD = 12  # letters of a word that is spaced out
_REACH = 30  # folded characters between a verdict's name and its value
TELLING = 15
"""From this many folded characters on, a likeness is not chance."""

_LOOKALIKES = dict(
    zip(
        "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0455\u0458\u0501\u051b\u0442\u043c\u043a\u043d\u0432\u0433"
        "\u03b1\u03b5\u03bf\u03c1\u03c5\u03c7\u03b9\u03ba\u03bd\u03c4",
        "aeopcyxisjdqtmkhbraeopuxikvt",
        strict=True,
    )
)
_LETTER = re.compile(r"^(?:LATIN|REGIONAL|NEGATIVE)\b.* ([A-Z])(?: WITH\b.*)?$")
_ASCII = {code: chr(code).lower() if chr(code).isalnum() else " " for code in range(128)}
_BETWEEN_NUMBERS = re.compile(r"(?<=[0-9]) (?=[0-9])")
_ELLIPSIS = r"\.\.\.|\x{2026}|\[\s*\]"


def folded(text: str, apart: str = "") -> str:
    """Return the letters and digits of a text, look-alikes made one; numbers stay apart, and words where asked."""
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text).casefold()
        text = text.translate({ord(one): _plain(one) for one in set(text) if not one.isascii()})
    words = " ".join(text.translate(_ASCII).split())
    return _BETWEEN_NUMBERS.sub("/", words).replace(" ", apart)


@lru_cache(4096)
def _plain(one: str) -> str:
    """Return the letter that a character looks like, by its name: a small capital, a turned letter, one in a square."""
    if one in _LOOKALIKES:
        return _LOOKALIKES[one]
    if unicodedata.category(one) in ("Mn", "Cf"):
        return ""
    letter = _LETTER.search(unicodedata.name(one, ""))
    if letter is not None:
        return letter[1].lower()
    return str(unicodedata.digit(one, one)) if one.isalnum() else " "


class GradedText:
    """The texts that a judge was shown, and the words of a verdict on them. Folded when they are first needed."""

    def __init__(self, texts: Iterable[str], names: Iterable[str]) -> None:
        self._texts = tuple(readable(text) for text in texts if text)
        self._names = tuple(names)

    @cached_property
    def _read(self) -> tuple[str, ...]:
        """The texts, and what is hidden in them."""
        return written_out(self._texts, self._names)

    @cached_property
    def _folded(self) -> str:
        return "\n".join(map(folded, self._read))

    @cached_property
    def _lines(self) -> frozenset[str]:
        return frozenset(folded(line) for text in self._read for line in text.splitlines())

    def holds(self, passage: str) -> bool:
        """Whether a passage stands in the texts, by its letters and digits."""
        words = folded(passage, apart=" ").split()
        return bool(words) and any("".join(said) in self._folded for said in (words, words[::-1]))

    def is_echoed(self, reply: str) -> bool:
        """Whether a reply is one of the texts, or a telling part of one, and nothing of its own."""
        reply = folded(reply)
        return (
            reply in self._lines
            or reply in self._folded.split("\n")
            or (len(reply) >= TELLING and reply in self._folded)
        )

    def has_word(self, word: str) -> bool:
        """Whether the texts hold this word by itself, be it spaced out."""
        return folded(word) in self._words

    @cached_property
    def _words(self) -> frozenset[str]:
        words: set[str] = set()
        for text in self._read:
            letters = ""
            for word in folded(text, apart=" ").split():
                words.add(word)
                letters = letters + word if len(word) == 1 else ""
                if len(letters) <= _LONGEST_WORD:
                    words.add(letters)
        return frozenset(words)

    def has_box(self, value: str) -> bool:
        """Whether the texts hold a value in double brackets."""
        return any(f"[[{value}]]" in text for text in self._squeezed)

    @cached_property
    def _squeezed(self) -> tuple[str, ...]:
        shown = (
            unicodedata.normalize("NFKD", text).casefold() for text in self._read if "[" in text or "\uff3b" in text
        )
        return tuple("".join(one for one in text if one.isalnum() or one in "[]") for text in shown)

    def has_line(self, line: str) -> bool:
        """Whether a line of the texts says this and nothing else."""
        return folded(line) in self._lines

    def names(self, label: str, value: str) -> bool:
        """Whether the texts give this value near this name; a value of one letter right behind it."""
        label, value = folded(label), folded(value)
        at = self._folded.find(label) if label else -1
        while at >= 0:
            behind = at + len(label)
            within = self._folded[behind : behind + _REACH + len(value)].split("\n", 1)[0]
            if value.isalpha() and len(value) == 1:
                if within.removeprefix("output").startswith(value):
                    return True
            elif _whole(within, value) or _whole(self._folded[max(at - _REACH, 0) : at].rsplit("\n", 1)[-1], value):
                return True
            at = self._folded.find(label, behind)
        return False

    def resembles(self, passage: str) -> bool:
        """Whether a passage is like a part of the texts; with an ellipsis, each of its parts."""
        return all(self._like(part[:_LONGEST]) for part in _parts(passage))

    def shares_words(self, passage: str, at_least: float = _ALIKE) -> bool:
        """Whether so many letters of a passage are of words that the texts hold, in any order, with others between."""
        words = folded(passage, apart=" ").split()
        shared = sum(len(word) for word in words if word in self._words)
        return shared >= at_least * sum(map(len, words))

    def holds_parts(self, passage: str) -> bool:
        """Whether the parts of a passage stand in the texts as they are, what an ellipsis left out aside."""
        return all(part in self._folded for part in _parts(passage))

    def _like(self, part: str) -> bool:
        return part in self._folded or best_part(part, self._folded, at_least=_ALIKE) >= _ALIKE


def _parts(passage: str) -> list[str]:
    return [part for part in map(folded, pattern(_ELLIPSIS).sub("\0", passage).split("\0")) if part]


def _whole(text: str, value: str) -> bool:
    """Whether a value stands in a text, and as a number by itself."""
    at = text.find(value)
    while at >= 0:
        around = text[at - 1 : at] + text[at + len(value) : at + len(value) + 1]
        if not value.isdecimal() or not any(map(str.isdecimal, around)):
            return True
        at = text.find(value, at + 1)
    return False
