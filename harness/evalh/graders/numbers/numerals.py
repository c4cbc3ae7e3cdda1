"""What a numeral's digits and marks can be read as: grouped, with decimals, as a power or a fraction.

A line is written in plain signs first: digits of any script as 0 to 9, LaTeX as text, one kind of minus. Numbers whose
places are named are read too, as in Chinese, Japanese and Korean: 3万5千, 1億2000万, 3만 5천.
"""

import math
import re
from decimal import Decimal, DecimalException
from html import unescape
from typing import Literal
from unicodedata import category, decimal, normalize

from msgspec.structs import replace

from evalh.core.values import Value
from evalh.graders.numbers.locales import DecimalMark

GROUP = "\u2009"
"""A mark that does nothing but group digits, however it was written: a thin space, `{,}`, an Arabic mark."""

_GROUPS = "\u00a0\u2007\u2008\u2009\u200a\u202f"
_WRITTEN = (
    dict.fromkeys("\u2010\u2011\u2012\u2013\u2212\ufe63\u02d7\u2796", "-")
    | dict.fromkeys("\u2019\u02bc\u2018", "'")
    | dict.fromkeys("\u2219\u2217\u2715\u2716\u2a2f", "\u00d7")
    | dict.fromkeys("\u02c4\u02c6", "^")
    | {"\u066c": GROUP, "\u2015": "\u2014"}
)
_KEPT = 0x3000  # code points below are remembered: a hostile text cannot fill the memory with the others


class _Plain(dict[int, str]):
    """What each character is written as, found when it is first seen."""

    def __missing__(self, code: int) -> str:
        written = _plain(chr(code))
        if code < _KEPT:
            self[code] = written
        return written


def _plain(character: str) -> str:
    match category(character):
        case "Nd":
            return str(decimal(character))
        case "Cf":  # a mark of direction may stand between a sign and its digits
            return ""
        case "Zs":
            return GROUP if character in _GROUPS else " "
        case "Sc":  # a wide or small form of a currency
            same = normalize("NFKC", character)
            return same if len(same) == 1 else character
    if "\uff01" <= character <= "\uff5e":  # full-width ASCII
        return chr(ord(character) - 0xFEE0)
    return _WRITTEN.get(character, character)


_PLAIN = _Plain({code: chr(code) for code in range(0x80)})

_ARGUMENT = r"\s*+(?:\{{\s*+(?P<s{0}>-?)\s*+(?P<n{0}>[0-9][0-9.,\u2009]*+)\s*+\}}|(?P<d{0}>[0-9]))"
_FRACTION = re.compile(r"\\(?:[dtcs]|nice)?frac" + _ARGUMENT.format(1) + _ARGUMENT.format(2))
_SPACE = r"(?:\\[,;:!> ]|\\thinspace(?![A-Za-z]) ?)"
_LATEX_GROUP = re.compile(
    rf"(?:(?:\\!)?,\\!|(?:\{{|\\(?:text|mathord|mathpunct)\{{)(?:,|'|{_SPACE})\}}(?:\\!)?|{_SPACE}|~)"
    r"(?=[0-9]|\\[a-z]{0,4}frac)"
)
_RAISED_DIGIT = "\u2070\u00b9\u00b2\u00b3\u2074-\u2079"
_SMALL_FRACTION = re.compile(f"(?<![{_RAISED_DIGIT}])([{_RAISED_DIGIT}]++)[/\u2044]([\u2080-\u2089]++)")
# A sign before the box or the markup that its number stands in, but not one between two things.
_SIGN_OUTSIDE = re.compile(r"(?<![\w)\]}$])-((?:(?:\\[A-Za-z]++)?\{|<[a-z]{1,10}>)++)(?=[0-9.$\\])")
_RAISED_TAG = re.compile(r"<(su[pb])>[ \t]*+([-+]?[0-9]++)[ \t]*+</\1>")
_COMMAND = re.compile(r"\\([A-Za-z]++|[-$%\[\]()*_^])")
_COMMANDS = {
    "times": "\u00d7", "cdot": "\u00d7", "div": "\u00f7", "pm": "\u00b1", "sqrt": "\u221a", "pi": "\u03c0",
    "left": "", "right": "", "displaystyle": "", "textminus": "-", "over": "/", "-": "-", "^": "^",
    "$": "$", "%": "%", "*": "*", "_": "_",
    "[": " ", "]": " ", "(": " ", ")": " ",
}  # fmt: skip


def plain(line: str) -> str:
    """Write one line so; it may become shorter or longer. Takes linear time."""
    if "&" in line and ";" in line:
        line = unescape(line)
    if not line.isascii():
        line = _SMALL_FRACTION.sub(_small_fraction, line.translate(_PLAIN))
    if "<su" in line:
        line = _RAISED_TAG.sub(lambda tag: f"^{{{tag[2]}}}" if tag[1] == "sup" else f"_{tag[2]}", line)
    if "{" in line or "<" in line:
        line = _SIGN_OUTSIDE.sub(r"\1-", line.replace("{.}", ".").replace("{-}", "-"))
    if "\\" in line or "{" in line or "~" in line:
        line = _LATEX_GROUP.sub(GROUP, line)
    if "\\" in line:
        line = _COMMAND.sub(lambda found: _COMMANDS.get(found[1], f"{found[0]} "), _FRACTION.sub(_fraction, line))
    return line


def _small_fraction(found: re.Match[str]) -> str:
    above, below = normalize("NFKC", found[1]), normalize("NFKC", found[2])
    return f"{_blank(found)}{above}/{below} "


def _blank(found: re.Match[str]) -> str:
    return " " if found.string[found.start() - 1 : found.start()].isdigit() else ""  # 1\frac12 is 1 1/2


def _fraction(found: re.Match[str]) -> str:
    above, below = found["n1"] or found["d1"], found["n2"] or found["d2"]
    return f"{_blank(found)}{found['s1'] or ''}{above}/{found['s2'] or ''}{below} "


LARGEST = 308
"""The power of ten beyond which an exponent is not worked out: 1e400 is not a number in other readers either."""

_MOST_DIGITS = 400  # of what is raised to a power
_RAISED = str.maketrans(
    "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079\u207b\u207a", "0123456789-+"
)  # fmt: skip
_GROUPED = re.compile(
    r"[1-9][0-9]*(?:'[0-9]{3})+"  # an apostrophe does nothing else
    rf"|[1-9][0-9]{{0,2}}(?P<three>[.,'_{GROUP}])[0-9]{{3}}(?:(?P=three)[0-9]{{3}})*"
    rf"|[1-9][0-9]?(?P<two>[,'_{GROUP}])[0-9]{{2}}(?:(?P=two)[0-9]{{2}})*(?P=two)[0-9]{{3}}"  # India: 1,00,000
    rf"|[1-9][0-9]{{0,3}}(?P<four>[_{GROUP}])[0-9]{{4}}(?:(?P=four)[0-9]{{4}})*"
)
_DECIMALS = re.compile(rf"[0-9]+|[0-9]{{3}}(?:[_{GROUP}][0-9]{{3}})*(?:[_{GROUP}][0-9]{{1,3}})?")
_MARK = re.compile("[^0-9]")


class Candidates(Value):
    """The numbers that something can be; none: it is not a number."""

    values: tuple[Decimal, ...] = ()
    believed: bool = False  # the first is what is read; the others are only named where it does not fit
    doubt: bool = False  # it may not be a number at all


class How(Value):
    """How numerals are read."""

    decimal: DecimalMark | None = None  # None: by the numeral alone
    fractions: bool = True
    which: Literal["first", "last"] = "last"  # of a list such as 1,2: which one is asked for


def options(found: re.Match[str], how: How) -> Candidates:
    """Return what a match of `readings.NUMERAL` can be, without its sign."""
    if found["cjk"] is not None:
        can_be = cjk_values(found["cjk"])
        return Candidates(can_be, believed=len(can_be) == 1)
    if found["alone"] is not None:
        return _some(_sum(Decimal(0), found["alone"]))
    if how.decimal is None and (found["e"] or found["ten"]) and "." in found["body"]:
        how = replace(how, decimal=".")  # 1.234e3: no one groups digits there
    body = of_body(found["body"], how)
    values = tuple(_worked_out(value, found, how) for value in body.values)
    known = tuple(value for value in values if value is not None)
    if len(known) < len(values):
        return Candidates()
    if found["whole"] is not None and len(known) == 1:
        return _mixed(found, known[0])
    return Candidates(known, body.believed, body.doubt)


def _some(value: Decimal | None) -> Candidates:
    return Candidates() if value is None else Candidates((value,), believed=True)


def _mixed(found: re.Match[str], part: Decimal) -> Candidates:
    if not 0 < part < 1:
        return Candidates((part,), believed=True, doubt=True)  # 1 3/2: two numbers
    above, below = Decimal(found["body"]), Decimal(found["below"])
    return Candidates(((Decimal(found["whole"].replace(",", "")) * below + above) / below, part), believed=True)


def of_body(body: str, how: How) -> Candidates:
    """Return what digits with marks between them can be."""
    if body.isdigit():
        return Candidates((Decimal(body),), believed=True)
    if " " in body:
        return _of_blanks(body, how)
    whole = Decimal(_MARK.sub("", body)) if _GROUPED.fullmatch(body) else None
    mark = next((mark for mark in ".,\u066b" if _pointed(body, mark) is not None), "")
    pointed = _pointed(body, mark) if mark else None
    if whole is None and (pointed is None or (mark == "," and how.decimal != ",")):
        return _of_several(body, pointed, how)
    if whole is None or pointed is None:
        return _some(whole if pointed is None else pointed)
    if how.decimal is not None:
        return _some(pointed if mark == how.decimal else whole)
    # English is what models write most, so a comma before three digits groups. A point may do both.
    return Candidates((whole, pointed), believed=True) if mark == "," else Candidates((pointed, whole))


def _of_several(body: str, pointed: Decimal | None, how: How) -> Candidates:
    """Return what 1,5 or 1,2,3 can be: perhaps a number with decimals, perhaps several numbers."""
    mark = next((mark for mark in ("," if body[0] != "," else "", GROUP) if mark and mark in body), "")
    plain_list = mark == GROUP or body.replace(",", "").isdigit()
    if not mark or not plain_list:
        return _some(pointed)
    piece = of_body(_piece(body, mark, how), how).values
    return Candidates(piece, doubt=True) if pointed is None else Candidates((pointed, *piece))


def _of_blanks(body: str, how: How) -> Candidates:
    pieces = body.split(" ")
    joined = of_body(body.replace(" ", GROUP), how)
    piece = of_body(_piece(body, " ", how), how)
    if not joined.values:
        return Candidates(piece.values, doubt=True)
    if any(one.startswith("0") for one in pieces[1:]):
        return joined  # no number of its own begins so
    return Candidates((*joined.values, *piece.values), believed=joined.believed and len(pieces) > 2)  # noqa: PLR2004


def _piece(body: str, mark: str, how: How) -> str:
    return body.split(mark)[0 if how.which == "first" else -1]


def _pointed(body: str, mark: str) -> Decimal | None:
    """Return the number whose decimals begin behind this mark."""
    before, _, decimals = body.partition(mark)
    if not decimals or not _DECIMALS.fullmatch(decimals):
        return None
    if before and not before.isdigit():
        grouped = _GROUPED.fullmatch(before)
        if grouped is None:
            return None
        before = _MARK.sub("", before)
    return Decimal(f"{before or '0'}.{_MARK.sub('', decimals)}")


def _worked_out(value: Decimal, found: re.Match[str], how: How) -> Decimal | None:
    """Return a value with what follows its digits: a vulgar fraction, an exponent, a power, a divisor."""
    power = found["braced"] or found["bracketed"] or found["bare"] or found["raised"]
    result: Decimal | None = value
    if found["vulgar"] is not None:
        result = _sum(value, found["vulgar"])
    try:
        if result is not None and found["e"] is not None:
            result = _shifted(result, found["e"][1:])
        elif result is not None and found["ten"] is not None:
            result = None if power is None else _shifted(result, power)
        elif result is not None and power is not None:
            result = _power(result, power)
        if result is not None and found["below"] is not None:
            result = _divided(result, found["below"], how)
    except DecimalException:
        return None
    return result


def _sum(value: Decimal, vulgar: str) -> Decimal | None:
    above, _, below = normalize("NFKC", vulgar).partition("\u2044")
    return (value * Decimal(below) + Decimal(above)) / Decimal(below) if below != "0" else None


def _exponent(text: str) -> int | None:
    text = text.translate(_RAISED)
    return int(text) if len(text) <= len("-1000") else None


def _shifted(value: Decimal, exponent: str) -> Decimal | None:
    places = _exponent(exponent)
    if places is None:
        return None
    moved = shifted(value, places)
    return moved if not moved or abs(moved.adjusted()) <= LARGEST else None


def shifted(value: Decimal, places: int) -> Decimal:
    """Move the decimal point; exact, where arithmetic would round."""
    sign, digits, begin = value.as_tuple()
    assert isinstance(begin, int)
    return Decimal((sign, digits, begin + places))


def _power(value: Decimal, exponent: str) -> Decimal | None:
    times = _exponent(exponent)
    if times is None or abs(times) * len(value.as_tuple().digits) > _MOST_DIGITS:
        return None
    if times >= 0 and value == value.to_integral_value() and value.adjusted() < _MOST_DIGITS:
        result = Decimal(int(value) ** times)
    else:
        result = value**times
    return result if not result or abs(result.adjusted()) <= LARGEST else None


def _divided(value: Decimal, below: str, how: How) -> Decimal | None:
    divisor = of_body(below.lstrip("-"), how)
    if not how.fractions or len(divisor.values) != 1 or divisor.doubt or not divisor.values[0]:
        return None
    result = value / divisor.values[0]
    return result.copy_negate() if below.startswith("-") else result


_CJK_WRITTEN = ("〇零", "一壱壹", "二弐两兩", "三参", "四", "五", "六", "七", "八", "九")
_CJK_DIGITS = {sign: str(value) for value, signs in enumerate(_CJK_WRITTEN) for sign in signs}
_SMALL = {10: "十拾십", 100: "百佰백", 1000: "千仟천"}
_LARGE = {10**4: "万萬만", 10**8: "億亿억", 10**12: "兆조"}
_CJK_UNITS = {sign: value for table in (_SMALL, _LARGE) for value, signs in table.items() for sign in signs}
_LEAST_LARGE = 10**4

CJK_SIGNS = "".join((*_CJK_DIGITS, *_CJK_UNITS))
"""What such a number is made of besides digits."""
_CJK_NUMBER = rf"(?:[0-9]++(?:,[0-9]{{3}})*+(?:\.[0-9]++)?|[{''.join(_CJK_DIGITS)}]++)"
_CJK_UNIT = f"[{''.join(_CJK_UNITS)}]"
# Two parts at least, the first of them with its unit. Koreans put a space between them.
CJK_PATTERN = rf"(?:{_CJK_NUMBER})?{_CJK_UNIT}++(?:(?:(?<=[가-힣]) )?{_CJK_NUMBER}{_CJK_UNIT}*+)++"
_CJK_PART = re.compile(rf"({_CJK_NUMBER})({_CJK_UNIT}*+)")


def cjk_values(text: str) -> tuple[Decimal, ...]:
    """Return what such a number comes to; nothing where its places do not go down. 3万5 is 30005 or 35000."""
    total = section = Decimal(0)
    below = above = Decimal("Infinity")  # the next part is smaller, and with its 万 smaller than the last 万
    zero = False
    parts = _CJK_PART.findall(text if text[0] not in _CJK_UNITS else f"一{text}")
    for number, units in parts:
        value = Decimal("".join(_CJK_DIGITS.get(sign, sign) for sign in number.replace(",", "")))
        if not value and not units:
            zero = True  # 3万零5: its place is told
            continue
        small = math.prod(_CJK_UNITS[unit] for unit in units if _CJK_UNITS[unit] < _LEAST_LARGE)
        large = math.prod(_CJK_UNITS[unit] for unit in units if _CJK_UNITS[unit] >= _LEAST_LARGE)
        section += value * small
        if value * small >= below or section * large >= above or value % 1:
            return ()
        if not units:
            short = len(number) == 1 and not zero
            return (total + section, total + section + value * (below / 10 - 1)) if short else (total + section,)
        below = Decimal(small)
        if large > 1:
            total, section, below, above = total + section * large, Decimal(0), Decimal(large), Decimal(large)
    return (total + section,)
