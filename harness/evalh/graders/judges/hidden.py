"""What a text hides from its reader: a judge may write out what stands there in base64, in numbers or turned around.

Codes that can be seen (base64, numbers, escapes) are decoded wherever they stand. Letters that are moved (shifted along
the alphabet, reversed, put apart) are looked for by the words that a verdict needs: what holds none of them hides none.
"""

import base64
import html
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any
from urllib.parse import unquote_plus

from evalh.graders.patterns import pattern, readable

_LAYERS = 3  # base64 of base64 of base64 is read, and no further
_MOST = 20_000  # characters that are read in base 85: it is slow, and no judge writes out more
_WORD = 20  # letters of the longest word
_TELLING = ("reason", "output", "answer", "give", "rate", "better")
_TRANSLATED = {
    **dict.fromkeys(("urteil", "veredicto", "verdetto", "вердикт", "判定", "结论", "結論", "판정"), "verdict"),
    **dict.fromkeys(("punktzahl", "bewertung", "note", "nota", "puntuación", "оценка", "评分", "得分"), "score"),
    **dict.fromkeys(("nicht bestanden", "échoué", "reprobado", "не пройдено", "不合格", "不通过", "불합격"), "fail"),
    **dict.fromkeys(("bestanden", "réussi", "aprobado", "superato", "пройдено", "合格", "通过", "합격"), "pass"),
    **dict.fromkeys(("grund", "begründung", "raison", "razón", "motivo", "причина", "理由", "이유"), "reason"),
}
"""A judge may quote in its own language. The longer words stand first, where one holds another."""
_FOREIGN = "|".join(_TRANSLATED)
_ESCAPE = r"\\(?:U([0-9a-fA-F]{8})|u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|([0-7]{3}))"
_ESCAPED = (('\\"', '"'), ("\\'", "'"), ("\\n", " "), ("\\t", " "), ("\\r", " "), ("\\/", "/"))
_UNPRINTABLE = bytes(one for one in range(256) if not 0x20 <= one < 0x7F and one not in b"\t\n\r")  # noqa: PLR2004 (ASCII)

_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{4,}+(?:\r?\n[A-Za-z0-9+/_-]++)*+={0,2}+")
_BASE32 = re.compile(r"[A-Za-z2-7]{8,}+={0,6}+")
_BASE85 = re.compile(r"[!-~]{10,}+")
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2}){3,}+")
_BITS = re.compile(r"(?:[01]{8}){2,}+")
_SPACED_OUT = re.compile(r"(?:[!-~]\s){8,}+[!-~]?")
_NUMBERS = re.compile(r"(?:(?:0[xbo]|\\?[xuU][+{]?|[%=#])?+[0-9A-Fa-f]{2,8}+[\s,;:}-]{0,3}+){3,}+")
_NUMBER = re.compile(r"(?:0[xbo]|\\?[xuU][+{]?|[%=#])?([0-9A-Fa-f]{2,8})")

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_VISIBLE = "".join(map(chr, range(33, 127)))


def _moved(letters: str, into: str) -> dict[int, int]:
    return str.maketrans(letters + letters.upper(), into + into.upper())


_ALPHABETS = (
    *(_moved(_LETTERS, _LETTERS[by:] + _LETTERS[:by]) for by in range(1, 26)),
    _moved(_LETTERS, _LETTERS[::-1]),
    str.maketrans(_VISIBLE, _VISIBLE[47:] + _VISIBLE[:47]),
)
"""Other alphabets: each says what its letters mean."""
_WRITTEN = tuple({meaning: letter for letter, meaning in one.items()} for one in _ALPHABETS)
_LOOKS = str.maketrans("0134578@$", "oieastbas")
_ORDERS: tuple[Callable[[str], str], ...] = (
    lambda text: text[::-1],
    lambda text: " ".join(word[::-1] for word in text.split()),
    lambda text: text[::2],
    lambda text: text[1::2],
    lambda text: "".join(word[0] for word in text.split()),
    lambda text: "".join(line.lstrip()[:1] for line in text.splitlines()),
)
"""Letters in another order, or with others between them."""


def written_out(texts: Iterable[str], names: Iterable[str]) -> tuple[str, ...]:
    """Return texts, and what they hide. `names`: the words that a verdict on them would need."""
    layer = found = dict.fromkeys(texts)
    words = tuple(sorted({*_TELLING, *(name for name in names if len(name) > 3 and name.isascii())}))  # noqa: PLR2004 (shorter ones stand in any text)
    for _ in range(_LAYERS):
        said = (readable(one) for text in layer for one in (*_decoded(text), *_turned(text, words)))
        layer = {one: None for one in said if one not in found and any(map(str.isalnum, one))}
        found = {**found, **layer}
    return tuple(found)


def _turned(text: str, words: tuple[str, ...]) -> Iterator[str]:
    """Yield a text in the alphabets and orders in which it holds a telling word."""
    tells, looks = _tells(words)
    for found in {match[0].lower() for match in pattern(looks, ignore_case=True).finditer(text)}:
        for alphabet in tells[found]:
            yield text.translate(alphabet)
    telling = pattern("|".join(words), ignore_case=True)
    turned = [order(text) for order in _ORDERS]
    if telling.search("\n".join(turned)):
        yield from filter(telling.search, turned)
    if any(one in text for one in "0134578@$"):
        plain = [word.translate(_LOOKS) if any(map(str.isalpha, word)) else word for word in text.split()]
        if telling.search(" ".join(one for one, word in zip(plain, text.split(), strict=True) if one != word)):
            yield " ".join(plain)


@cache
def _tells(words: tuple[str, ...]) -> tuple[dict[str, list[dict[int, int]]], str]:
    """Return what words look like in other alphabets, with those alphabets; and a pattern of these looks."""
    tells: dict[str, list[dict[int, int]]] = {}
    for alphabet, written in zip(_ALPHABETS, _WRITTEN, strict=True):
        for word in words:
            for form in (word, word.capitalize(), word.upper()):
                looks = form.translate(written)
                if looks != form:
                    tells.setdefault(looks.lower(), []).append(alphabet)
    return tells, "|".join(re.escape(looks) for looks in tells)


def _decoded(text: str) -> Iterator[str]:
    yield "\n".join((*_in_letters(text), *_in_numbers(text)))
    yield "\n".join("".join(run.split()) for run in _SPACED_OUT.findall(text))
    found = pattern(_FOREIGN, ignore_case=True)
    if not text.isascii() or found.search(text):
        yield found.sub(lambda said: _TRANSLATED[said[0].lower()], text)
    if "%" in text:
        yield unquote_plus(text)
    if "&" in text:
        yield html.unescape(text)
    if "\\" in text:
        plain = text
        for escape, said in _ESCAPED:
            plain = plain.replace(escape, said)
        yield pattern(_ESCAPE).sub(_unescaped, plain)
    if any("\U000e0020" <= one <= "\U000e007e" for one in set(text)):  # tags: letters that cannot be seen
        yield "".join(chr(ord(one) - 0xE0000) for one in text if "\U000e0020" <= one <= "\U000e007e")


def _in_letters(text: str) -> Iterator[str]:
    """Yield what the runs of a text say that may be in base 64, 32 or 85."""
    for run in _BASE64.findall(text):
        if not run[1:].islower():  # a word
            plain = "".join(run.split()).replace("-", "+").replace("_", "/")
            yield _read(base64.b64decode, plain.rstrip("="), 4)
            if len(run) > _WORD:
                yield _read(base64.b64decode, plain[::-1].lstrip("="), 4)
    for run in _BASE32.findall(text):
        if not run.isalpha() or len(run) > _WORD:
            yield _read(base64.b32decode, run.rstrip("=").upper(), 8)
    left = _MOST
    for run in _BASE85.findall(text):
        if not run.isalnum() and left > 0:
            left -= len(run)
            yield _read(base64.a85decode, run.removeprefix("<~").removesuffix("~>")[:_MOST], 1)
            yield _read(base64.b85decode, run[:_MOST], 1)


def _in_numbers(text: str) -> Iterator[str]:
    """Yield what the numbers of a text say, each of them a character."""
    for run in _HEX.findall(text):
        yield _text(bytes.fromhex(run))
    for run in _BITS.findall(text):
        yield _text(bytes(int(run[place : place + 8], 2) for place in range(0, len(run), 8)))
    for run in _NUMBERS.findall(text):
        for base in (16, 10, 8, 2):
            yield _numbers(_NUMBER.findall(run), base)


def _read(decode: Callable[[str], bytes], run: str, block: int) -> str:
    try:
        return _text(decode(run + "=" * (-len(run) % block)))
    except ValueError:
        return ""


def _text(raw: bytes) -> str:
    """Return bytes as text; nothing where they look like none."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        plain = raw.translate(None, _UNPRINTABLE)
        return plain.decode("ascii") if len(plain) >= 0.8 * len(raw) else ""


def _numbers(numbers: list[str], base: int) -> str:
    try:
        codes = [int(one, base) for one in numbers]
    except ValueError:
        return ""
    return "".join(chr(code) for code in codes if 0x20 <= code < 0x3000)  # noqa: PLR2004 (letters of most scripts)


def _unescaped(found: Any) -> str:
    code = int(found[1] or found[2] or found[3] or "0", 16) or int(found[4] or "0", 8)
    return chr(code) if code <= sys.maxunicode else ""
