"""Whether a verdict is quoted from what was graded, however inexactly a judge quotes.

Both sides are folded to their letters and digits: without compatibility forms, case, accents, look-alikes, quotes,
blanks, markup and what cannot be seen. What an output hides (base64, hexadecimal, percent and character escapes,
letters turned around or shifted) is read as well, since a judge may write it out. Folded passages are held against
each other by their likeness, not for equality.
"""

import base64
import codecs
import html
import sys
import unicodedata
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any
from urllib.parse import unquote_plus

from evalh.graders.linear import pattern, readable
from evalh.graders.similarity import best_part

_ALIKE = 0.8  # from here on a passage is a quote of another
_LONGEST = 600  # folded characters of a passage that are compared
_LONGEST_WORD = 12  # letters of a word that is spaced out
_REACH = 30  # folded characters between a verdict's name and its value
TELLING = 15
"""Folded characters from which on a likeness is no chance."""
_LAYERS = 3  # base64 of base64 of base64 is read, and no further

_LOOKALIKES = str.maketrans(
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0455\u0458\u0501\u051b\u0442\u043c\u043a\u043d\u0432\u0433"
    "\u03b1\u03b5\u03bf\u03c1\u03c5\u03c7\u03b9\u03ba\u03bd\u03c4\u0131\u0261\u026a\u217c",
    "aeopcyxisjdqtmkhbraeopuxikvtigil",
)
_TRANSLATED = {
    **dict.fromkeys(("urteil", "veredicto", "verdetto", "вердикт", "判定", "结论", "結論", "판정"), "verdict"),
    **dict.fromkeys(("punktzahl", "bewertung", "note", "nota", "puntuación", "оценка", "评分", "得分"), "score"),
    **dict.fromkeys(("nicht bestanden", "échoué", "reprobado", "не пройдено", "不合格", "不通过", "불합격"), "fail"),
    **dict.fromkeys(("bestanden", "réussi", "aprobado", "superato", "пройдено", "合格", "通过", "합격"), "pass"),
    **dict.fromkeys(("grund", "begründung", "raison", "razón", "motivo", "причина", "理由", "이유"), "reason"),
}
"""A judge may quote in its own language. The longer words stand first, where one holds another."""
_ESCAPE = r"\\(?:U([0-9a-fA-F]{8})|u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|([0-7]{3}))"
_ESCAPED = (('\\"', '"'), ("\\'", "'"), ("\\n", " "), ("\\t", " "), ("\\r", " "), ("\\/", "/"))
_CODES: tuple[tuple[str, Callable[[str], bytes]], ...] = (
    (r"[A-Za-z0-9+/_-]{4,}(?:\r?\n[A-Za-z0-9+/_-]+)*={0,2}", lambda run: _base(run, 4, base64.b64decode)),
    (r"[A-Z2-7]{4,}", lambda run: _base(run, 8, base64.b32decode)),
    (r"(?:(?:0x|=|%)?[0-9A-Fa-f]{2}[ ,:]?){3,}", lambda run: _numbers(run.replace("0x", ""), "[0-9A-Fa-f]{2}", 16)),
    (r"(?:[0-9]{2,3}[ ,;]{1,2}){2,}[0-9]{2,3}", lambda run: _numbers(run, "[0-9]+", 10)),
    (r"(?:[01]{8}[ ,]?){2,}", lambda run: _numbers(run, "[01]{8}", 2)),
)
"""What runs of an encoded text look like, and how each is decoded."""
_LETTERS: str = "abcdefghijklmnopqrstuvwxyz"
_ATBASH: dict[int, int] = str.maketrans(_LETTERS + _LETTERS.upper(), _LETTERS[::-1] + _LETTERS[::-1].upper())
_LEET: dict[int, int] = str.maketrans("0134578@$", "oieastbas")
_TURNS: tuple[Callable[[str], str], ...] = (
    lambda text: text[::-1],
    lambda text: codecs.encode(text, "rot13"),
    lambda text: text.translate(_ATBASH),
    lambda text: " ".join(word.translate(_LEET) if any(map(str.isalpha, word)) else word for word in text.split()),
)
_ELLIPSIS = r"\.\.\.|\x{2026}|\[\s*\]"


def folded(text: str, apart: str = "") -> str:
    """Return the letters and digits of a text, look-alikes made one; numbers stay apart, and words where asked."""
    text = unicodedata.normalize("NFKD", text).casefold().translate(_LOOKALIKES)
    kept: list[str] = []
    parted = False
    for one in text:
        if one.isalnum():
            if parted:
                kept.append("/" if one.isdigit() and kept and kept[-1].isdigit() else apart)
            kept.append(one)
            parted = False
        elif unicodedata.category(one) not in ("Mn", "Cf"):
            parted = True
    return "".join(kept)


class Graded:
    """The texts that a judge was shown. Folded when they are first needed."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._texts = tuple(readable(text) for text in texts if text)

    @cached_property
    def _read(self) -> tuple[str, ...]:
        """The texts, and what is hidden in them."""
        layer, found = list(self._texts), list(self._texts)
        for _ in range(_LAYERS):
            layer = [readable(said) for text in layer for said in _hidden(text) if said and said != text]
            found += layer
        return tuple(dict.fromkeys([*found, *(turn(text) for text in self._texts for turn in _TURNS)]))

    @cached_property
    def _folded(self) -> str:
        return "\n".join(map(folded, self._read))

    @cached_property
    def _lines(self) -> frozenset[str]:
        return frozenset(folded(line) for text in self._read for line in text.splitlines())

    def holds(self, passage: str) -> bool:
        """Whether a passage stands in the texts, by its letters and digits."""
        passage = folded(passage)
        return bool(passage) and passage in self._folded

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
        """Whether the texts give this value right behind this name."""
        label, value = folded(label), folded(value)
        at = self._folded.find(label) if label else -1
        while at >= 0:
            behind = at + len(label)
            within = self._folded[behind : behind + _REACH + len(value)].split("\n", 1)[0]
            if (
                within.removeprefix("output").startswith(value)
                if value.isalpha() and len(value) == 1
                else _whole(within, value)
            ):
                return True
            at = self._folded.find(label, behind)
        return False

    def resembles(self, passage: str) -> bool:
        """Whether a passage is like a part of the texts; with an ellipsis, each of its parts."""
        return all(self._like(part[:_LONGEST]) for part in _parts(passage))

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
        if not value.isdigit() or not any(map(str.isdigit, around)):
            return True
        at = text.find(value, at + 1)
    return False


def _hidden(text: str) -> Iterable[str]:
    for runs, decode in _CODES:
        yield _written(text, runs, decode)
    lowered = text.casefold()
    if any(word in lowered for word in _TRANSLATED):
        for word, said in _TRANSLATED.items():
            lowered = lowered.replace(word, said)
        yield lowered
    if "%" in text:
        yield unquote_plus(text)
    if "&" in text:
        yield html.unescape(text)
    if "\\" in text:
        for escape, said in _ESCAPED:
            text = text.replace(escape, said)
        yield pattern(_ESCAPE).sub(_unescaped, text)
    if any("\U000e0020" <= one <= "\U000e007e" for one in text):  # tags: letters that cannot be seen
        yield "".join(chr(ord(one) - 0xE0000) for one in text if "\U000e0020" <= one <= "\U000e007e")


def _written(text: str, runs: str, decode: Callable[[str], bytes]) -> str:
    said = []
    for found in pattern(runs).finditer(text):
        try:
            said.append(decode(found[0]).decode(errors="ignore"))
        except ValueError:
            continue
    return "\n".join(said)


def _base(run: str, block: int, decode: Callable[[str], bytes]) -> bytes:
    run = "".join(run.split()).rstrip("=").replace("-", "+").replace("_", "/")
    return decode(run + "=" * (-len(run) % block))


def _numbers(run: str, digits: str, base: int) -> bytes:
    codes = (int(one, base) for one in pattern(digits).findall(run))
    return bytes(code for code in codes if code < 0x100)  # noqa: PLR2004 (a byte)


def _unescaped(found: Any) -> str:
    code = int(found[1] or found[2] or found[3] or "0", 16) or int(found[4] or "0", 8)
    return chr(code) if code <= sys.maxunicode else ""
