"""Whether a verdict is quoted from what was graded, however inexactly a judge quotes.

Both sides are folded to their letters and digits: without compatibility forms, case, accents, look-alikes, quotes,
blanks, markup and what cannot be seen. What an output hides (base64, hexadecimal, percent and character escapes,
letters turned around or shifted) is read as well, since a judge may write it out. Folded passages are held against
each other by their likeness, not for equality.
"""

import base64
import codecs
import html
import unicodedata
from collections.abc import Callable, Iterable
from functools import cached_property
from urllib.parse import unquote_plus

from evalh.graders.linear import pattern, readable
from evalh.graders.similarity import best_part

_ALIKE = 0.8  # from here on a passage is a quote of another
_LONGEST = 600  # folded characters of a passage that are compared
_REACH = 30  # folded characters between a verdict's name and its value
TELLING = 15
"""Folded characters from which on a likeness is no chance."""
_LAYERS = 2  # base64 of base64 is read, and no further
_HIDDEN = 16  # characters from which on a run may be an encoded text

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
_BASE64 = r"[A-Za-z0-9+/_-]{12,}(?:\r?\n[A-Za-z0-9+/_-]{4,})*={0,2}"
_HEX = r"(?:[0-9A-Fa-f]{2}[ :]?){8,}"
_ESCAPE = r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2}))"
_ESCAPED = (('\\"', '"'), ("\\'", "'"), ("\\n", " "), ("\\t", " "), ("\\r", " "), ("\\/", "/"))
_ELLIPSIS = r"\.\.\.|\x{2026}|\[\s*\]"


def folded(text: str) -> str:
    """Return the letters and digits of a text, look-alikes made one; numbers stay apart from each other."""
    text = unicodedata.normalize("NFKD", text).casefold().translate(_LOOKALIKES)
    kept: list[str] = []
    apart = False
    for one in text:
        if one.isalnum():
            if apart and one.isdigit() and kept and kept[-1].isdigit():
                kept.append("/")
            kept.append(one)
            apart = False
        elif unicodedata.category(one) not in ("Mn", "Cf"):
            apart = True
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
        return tuple(dict.fromkeys([*found, *(turn(text) for text in self._texts for turn in (_turned, _shifted))]))

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
        parts = [folded(part) for part in pattern(_ELLIPSIS).sub("\0", passage).split("\0")]
        return all(self._like(part[:_LONGEST]) for part in parts if part)

    def _like(self, part: str) -> bool:
        return part in self._folded or best_part(part, self._folded, at_least=_ALIKE) >= _ALIKE


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
    yield _written(text, _BASE64, lambda run: base64.b64decode(run + "=" * (-len(run) % 4), altchars=None))
    yield _written(text, _HEX, lambda run: bytes.fromhex(run.replace(":", "")))
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
        yield pattern(_ESCAPE).sub(lambda found: chr(int(found[1] or found[2], 16)), text)
    if any("\U000e0020" <= one <= "\U000e007e" for one in text):  # tags: letters that cannot be seen
        yield "".join(chr(ord(one) - 0xE0000) for one in text if "\U000e0020" <= one <= "\U000e007e")


def _written(text: str, runs: str, decode: Callable[[str], bytes]) -> str:
    said = []
    for found in pattern(runs).finditer(text):
        run = "".join(found[0].split()).rstrip("=")
        if len(run) < _HIDDEN:
            continue
        try:
            said.append(decode(run.replace("-", "+").replace("_", "/")).decode(errors="ignore"))
        except ValueError:
            continue
    return "\n".join(said)


def _turned(text: str) -> str:
    return text[::-1]


def _shifted(text: str) -> str:
    return codecs.encode(text, "rot13")
