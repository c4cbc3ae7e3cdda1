"""What stands in a text as a number, and what it can be read as where the text does not say.

The grammar is in `docs/reference/graders.md` under `number`. A numeral is taken whole or not at all: a tail of
one is never read as a number of its own; words behind it may multiply it: `3 million`, `3 Mrd.`, `2 thirds`.
"""

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import chain

from evalh.core.values import Value
from evalh.graders.numbers.marks import may_be_mark, without_citations
from evalh.graders.numbers.numerals import CJK_PATTERN, CJK_SIGNS, GROUP, Candidates, How, options, plain, shifted
from evalh.graders.quoting import one_line

_WORDS = {
    -6: "millionth millionths",
    -3: "thousandth thousandths",
    -2: "hundredth hundredths",
    -1: "tenth tenths",
    2: "hundred hundreds",
    3: "thousand thousands tausend tsd duizend mille mil mila tusen ribu nghìn nguìn tys tysięcy "
    "тыс тысяч тысяча тысячи "
    "हज़ार हजार ألف آلاف",
    5: "lakh lakhs lac lacs लाख",
    6: "million millions mln mio millionen millón millones milhão milhões milione milioni miljoen "
    "miljoner milion miliony milionów milyon juta triệu "
    "млн миллион миллиона "
    "миллионов мільйонів "
    "مليون ملايين",
    7: "crore crores करोड़ करोड़",
    9: "billion billions bln mrd mld mlrd milliard milliards milliarde milliarden miljard miljarder "
    "miliardi miliard miliardy miliardów milyar miliar tỷ "
    "млрд миллиард миллиарда "
    "миллиардов مليار",
    12: "trillion trillions trillionen billionen billones",
    15: "quadrillion quadrillions billiarden",
}
# These stand without a blank, so nothing says where they end.
_SIGNS = {
    1: "十 십 สิบ", 2: "百 백 ร้อย",
    3: "千 천 พัน", 4: "万 萬 만 หมื่น",
    5: "แสน", 6: "ล้าน", 8: "億 亿 억", 12: "兆 조",
}  # fmt: skip
_LETTERS = {3: "k", 6: "m mm mn", 9: "b bn", 12: "t"}
_DOZENS = frozenset(
    """
dozen dozens dz doz dutzend douzaine douzaines docena docenas dúzia dúzias dozzina dozzine dozijn dussin tusin düzine
lusin tucet tuctu tuctů tucat tuzin tuziny tuzinów дюжина дюжины дюжин дюжині दर्जन ডজন درزن ダース 打
    """.split()  # noqa: SIM905 (a table reads better)
)
_FRACTION_PARTS = {
    2: "half halves medios demis",
    3: "third thirds drittel tiers tercio tercios terço terços terzi derde derden трети третьих",
    4: "quarter quarters fourth fourths viertel cuarto cuartos kwart четверти четвертей",
    5: "fifth fifths fünftel cinquième cinquièmes quinto quintos quinti",
    6: "sixth sixths sechstel sixième sixièmes sexto sextos sesti",
    7: "seventh sevenths siebtel septième septièmes séptimos sétimos settimi",
    8: "eighth eighths achtel huitième huitièmes octavo octavos oitavos ottavi",
    9: "ninth ninths neuntel neuvième neuvièmes noveno novenos nonos noni",
    11: "eleventh elevenths elftel", 12: "twelfth twelfths zwölftel",
    15: "fifteenth fifteenths", 16: "sixteenth sixteenths", 20: "twentieth twentieths zwanzigstel",
    32: "thirty-second thirty-seconds", 64: "sixty-fourth sixty-fourths",
}  # fmt: skip
_TABLES = (_WORDS, _SIGNS, _LETTERS)
_PLACES = {word: places for table in _TABLES for places, words in table.items() for word in words.split()}
_DIVISORS = {word: below for below, words in _FRACTION_PARTS.items() for word in words.split()}

PARTS = (*_DIVISORS, *(word for places in (-6, -3, -2, -1) for word in _WORDS[places].split()))
"""Words for less than one."""
WORDS = (
    *chain.from_iterable(words.split() for words in _WORDS.values()),
    *sorted(chain(_DIVISORS, _DOZENS, ("gross",)), key=len, reverse=True),
)
SIGNS = (*chain.from_iterable(words.split() for words in _SIGNS.values()), "打", "ダース")


def scaled(value: Decimal, word: str) -> Decimal:
    """Return what a number and the word behind it come to."""
    word = word.strip().lower()
    if word in _DIVISORS:
        return value / _DIVISORS[word]
    if word == "gross":
        return 144 * value
    return 12 * value if word in _DOZENS else shifted(value, _PLACES.get(word, 0))


def fits(value: Decimal, word: str) -> bool:
    """Whether a word may scale a number: 1 third, but not 2 third, which is the second thing of some."""
    word = word.strip().lower()
    singular = word == "half" or (word in _DIVISORS and f"{word}s" in _DIVISORS)
    return value == 1 or not singular


def is_counted(value: Decimal, word: str) -> bool:
    """Whether a word is more likely what is counted: 16 quarters are coins, and dozens stand in shops."""
    word = word.strip().lower()
    return word == "dozens" or value >= _DIVISORS.get(word, value + 1)


_AROUND = 64  # characters beside a numeral that say what it is a part of
_SHORT, _LONG = 256, 65_536  # characters of a piece that is read at once
_SHOWN = 40
_PLAIN_DIGITS = 18

_LETTER = "A-Za-z\u00c0-\u024f\u0370-\u03bf\u03c1-\u052f"  # of scripts that part words by blanks; pi is a number
_VULGAR = "\u00bc-\u00be\u2150-\u215e\u2189"
_RAISED = "\u2070\u00b9\u00b2\u00b3\u2074-\u2079"
_B = f"[ \t{GROUP}]"
_BODY = rf"[0-9]++(?:[.,'_\u066b{GROUP}][0-9]++|(?<![0-9]{{4}})[ ](?=[0-9]{{3}}(?![0-9]))[0-9]++)*+"
_AND = rf"(?:(?i:and|&|und|et|y|e){_B}{{1,2}})?"  # 5 and 1/2
_POWER = (
    rf"(?:{_B}?(?:\^|\*\*){_B}?(?:\{{{_B}?(?P<braced>[-+]?[0-9]++){_B}?\}}|\({_B}?(?P<bracketed>[-+]?[0-9]++){_B}?\)"
    rf"|(?P<bare>[-+]?[0-9]++))|(?P<raised>[\u207b\u207a]?[{_RAISED}]++))"
)
# `re`, not RE2: these patterns are ours, never go back over more than a few characters, and need to look behind.
NUMERAL = re.compile(
    rf"(?P<code>0[xXbBoO][0-9a-fA-F]++(?![{_LETTER}0-9])"  # 0x1F
    rf"|(?:(?<=[{_LETTER}])|(?<=[{_LETTER}0-9]_)|(?<=[{_LETTER}0-9]__)|(?<=\^)|(?<=\^\{{)|(?<=\^-)|(?<=\^\{{-))"
    rf"[0-9](?:[.,:/'_^-]?[{_LETTER}0-9])*+)"  # v2.1, H2O, x^2
    r"|(?P<stamp>[0-9]++(?:(?::[0-9]++)++(?:\.[0-9]++)?|(?:/[0-9]++){2,}+|(?:-[0-9]++){2,}+))"  # 10:30, 2024-05-01
    rf"|(?P<cjk>(?=[{CJK_SIGNS}]{{0,20}}[0-9]){CJK_PATTERN})"  # 3万5千
    rf"|(?P<number>(?:(?P<whole>[0-9]{{1,9}}(?:,[0-9]{{3}}){{0,3}}){_B}{{1,2}}{_AND}(?=[0-9]{{1,9}}{_B}?[/\u2044]{_B}?[0-9]))?"
    rf"(?:(?P<body>(?:(?<![{_LETTER}0-9_.)\]])[.\u066b])?{_BODY})(?:{_B}?(?:{_B}{_AND})?(?P<vulgar>[{_VULGAR}]))?"
    rf"(?:(?P<e>[eE][-+]?[0-9]++)"
    rf"|{_B}{{0,2}}(?P<ten>[\u00d7xX*\u00b7\u22c5\u2022]){_B}{{0,2}}10(?={_B}?(?:\^|\*\*|[{_RAISED}\u207b])))?"
    rf"(?:{_POWER})?(?:{_B}{{0,2}}[/\u2044]{_B}{{0,2}}(?P<below>-?{_BODY}))?|(?P<alone>[{_VULGAR}])))"
)
_BEGINS = re.compile(f"[0-9.\u066b{_VULGAR}{CJK_SIGNS}]")
_DIGIT = re.compile(rf"[\d{_VULGAR}\u2080-\u2089]|&#")
# Between lines, between words, and inside words of scripts that do without blanks.
_CUT = re.compile(
    r"\n|(?<=[^\W\d_])[ \t](?=[^\W\d_])|(?<=[\u0e00-\u0e4e\u3040-\ud7a3])"
    rf"(?<![{CJK_SIGNS}])(?=[\u0e00-\u0e4e\u3040-\ud7a3])"
)
_CODES = (
    "USD|EUR|GBP|CHF|INR|JPY|CNY|AUD|CAD|NZD|SGD|HKD|TWD|KRW|THB|IDR|MYR|VND|PKR|BDT|LKR|NPR|SEK|NOK|DKK|ISK|PLN|CZK|HUF"
    "|RON|RUB|UAH|ILS|AED|SAR|EGP|NGN|KES|BRL|MXN|ARS|CLP|ZAR|Rs|Rp|Fr|kr|zł|Kč|Ft"
)
_CODE = re.compile(rf"\b(?:{_CODES})(?=[0-9])")
_MONEY = (
    rf"(?:[A-Z]{{0,3}}\${{1,2}}(?:US|CA|AU)?|[\u5186\u5713\u5706\u5143\u7440\uc6d0\u20a0-\u20cf\u00a2-\u00a5\u058f\u060b\u09f2\u09f3\u0bf9\u0e3f\u17db\ufdfc%\u066a]"
    rf"|\b(?:{_CODES})\b\.?)"
)
_NOT_MONEY = "".join(f"(?<!{code})" for code in _CODES.split("|"))
_OPERATOR = rf"(?:{_B}?{_MONEY})?{_B}{{0,2}}(?:[-+\u2014\u00d7\u00b7\u22c5\u00f7/\u00b1]|\.\.+){_B}{{0,2}}"
# What parts two numbers without a blank; any other sign between digits makes them parts of one thing.
_PARTS = (
    "=;?!|<>#&\u201c\u201d\u201e\u00ab\u00bb\u2192\u21d2\u2248\u2260\u2264\u2265\u3001\u3002\u300c-\u300f\u3010\u3011"
)
_LINK = rf"(?:[^\w\s{_PARTS}]|_){{1,4}}"
_JOINED = re.compile(
    rf"(?:(?:[0-9{_VULGAR}{_RAISED}\u03c0)\]}}%\u00b0\u2032\u2033][*_`]*{_OPERATOR}"  # 30-7.5, 3 to 5 as 3-5
    rf"|[0-9{_VULGAR}{_RAISED}\u03c0][*_`]*{_B}{{0,2}}(?:\*\*?|{_B}[xX]{_B}|{_B}minus{_B}){_B}{{0,2}}"  # 3 * 5
    rf"|[0-9][*_`]*(?:[.,:'\u00b0\u2032\u2033]|{_B}:{_B}){_MONEY}?|[{_LETTER}]{_NOT_MONEY}-)[*_`]*{_MONEY}?"
    rf"|[0-9{_VULGAR}{_RAISED}]{_LINK}|[0-9][*_`]*{_B}?|[0-9]%|[)\]}}]|\u221a[\[0-9\]]*[{{(]?|\}}\{{"
    rf"|[0-9]{_B}to{_B}the{_B}(?:power{_B}of{_B})?|[0-9]\^\{{?\\[a-z]+{_B}\{{)[*_`]*\Z"
)
_PREFIX = re.compile(
    rf"(?P<sign>[-+\u2014\u00b1\u207b]|\b(?:minus|negative)(?={_B}))?(?P<gap>{_B}*+)[*_`]*+(?P<money>{_MONEY})?{_B}*+[*_`]*+"
    rf"(?P<late>[-+])?{_B}*+\Z",
    re.IGNORECASE,
)
_GOES_ON = re.compile(
    rf"[%\u00b0]?{_OPERATOR}{_MONEY}?[0-9({{]|{_B}{{0,2}}(?:\*|{_B}[xX:]{_B}|{_B}minus{_B}){_B}{{0,2}}[0-9]"
    rf"|{_LINK}[0-9]|(?:[{_LETTER}]+|[.,:'_*`\u00b0\u2032\u2033]+|{_B})[0-9]"
    rf"|{_B}[eE][-+]?[0-9]|{_B}(?:squared|cubed)\b(?!{_B}[a-z])|{_B}to{_B}the{_B}(?:power\b|[0-9])"
    rf"|[)\]}}]*{_B}?(?:\^|\*\*(?=[-({{0-9])|[{_RAISED}\u207b])|{_B}?[\u03c0\u221a]|\}}\{{|[(][0-9]"
)
_PART_BEHIND = re.compile(  # 5 and a half, 2 and three quarters
    rf"{_B}and{_B}(?P<above>an?|one|two|three|four|five|[0-9]{{1,3}})[ -](?P<part>{'|'.join(PARTS)})(?![^\W\d_])",
    re.IGNORECASE,
)
_ABOVE = {"a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5}
_WHOLE_BEFORE = re.compile(rf"(?<![0-9.,/])(?P<whole>[0-9]{{1,9}}){_B}and{_B}\Z")  # 5 and |2 thirds
_OTHER_SIGN = re.compile(
    r"(?:^|[\s=:(])-[^\s\w*_`$]{0,3}[^\W\da-zA-Z_]{0,3}\Z"
)  # a currency that is not known, perhaps
_PARTS_OF = re.compile(r"(?<![0-9])([0-9]{1,9})(?:分[の之]|분의) ?([0-9]++)")  # 5分の3 is 3/5
_CLOSING = r"[*_`}]*+"
_SCALE = re.compile(
    rf"{_CLOSING}(?:{_B}|-|\\[A-Za-z]++ \{{){{0,4}}(?P<word>{'|'.join(WORDS)})(?![^\W\d_])"
    rf"|{_CLOSING}(?P<letter>[kKMBT]|bn|mn|(?-i:{_B}?(?:MM?|B|bn|mn)))(?![{_LETTER}0-9])"
    rf"|{_B}?(?P<sign>{'|'.join(SIGNS)})",
    re.IGNORECASE,
)
_CLOSES = re.compile(rf"{_B}?{_MONEY}?\)")
_EQUALS = "=\u2248<>\u2264\u2265(\u2192\u21d2{["


class NumberReading(Value):
    """What a numeral can be read as; several values where the text does not say."""

    written: str
    values: tuple[Decimal, ...]
    believed: bool = False  # the first value is read; the others only keep it from being called wrong
    doubt: str = ""  # why it may not be a number, or not the one that is asked for: it cannot pass then
    literal: str = ""  # how it stands, where only its marks leave a choice
    mark: bool = False  # it may only count the items of a list, or refer to a source

    @property
    def key(self) -> Decimal | frozenset[Decimal]:
        """What must be the same where answers are counted."""
        return self.values[0] if self.believed or len(self.values) == 1 else frozenset(self.values)

    def or_else(self, other: "NumberReading") -> "NumberReading":
        """Return what it is where it cannot be told whether this one or the other is meant."""
        values = tuple(dict.fromkeys((*self.values, *other.values)))
        return other if values == other.values else NumberReading("the number", values, doubt=other.doubt)

    def __str__(self) -> str:
        return said(self.values[:1] if self.believed else self.values)


def said(values: Sequence[Decimal]) -> str:
    """Write numbers for a reason: in plain digits as far as people read them so."""
    return " or ".join(
        one_line(f"{value:f}" if -_PLAIN_DIGITS < value.adjusted() < _PLAIN_DIGITS else f"{value}", _SHOWN)
        for value in values
    )


def numerals(text: str, how: How) -> Iterator[NumberReading]:
    """Find what stands as a number, from the end or from the front; digits inside a word are left out.

    A reading without values is a date, a time or something else that is not one number. Takes linear time.
    """
    last = how.which == "last"
    for piece, torn in _pieces(text, last=last):
        found = _found(plain(piece)) if _DIGIT.search(piece) else iter(())
        for one in reversed(list(found)) if last else found:
            at_the_edge = one.start() < _AROUND if last else one.end() > len(one.string) - _AROUND
            if one["code"] is None:
                yield NumberReading(one_line(one.group(), _SHOWN), ()) if torn and at_the_edge else _reading(one, how)


def _found(text: str) -> Iterator[re.Match[str]]:
    text = _CODE.sub(r"\g<0> ", _PARTS_OF.sub(r"\2/\1", without_citations(text)))
    place = 0
    while (begins := _BEGINS.search(text, place)) is not None:
        found = NUMERAL.match(text, begins.start())
        if found is not None:
            yield found
        place = begins.end() if found is None else found.end()


def _pieces(text: str, *, last: bool) -> Iterator[tuple[str, bool]]:
    """Cut a text where no numeral can stand, into short pieces first; also tell where a long one had to be torn."""
    size, begin, end = _SHORT, 0, len(text)
    while begin < end:
        if last:
            place = max(end - size, 0)
            found = _CUT.search(text, place, end - 1) if place else None
            cut = found.end() if found else place
        else:
            place = min(begin + size, end)
            found = _CUT.search(text, place, min(place + size, end)) if place < end else None
            cut = found.end() if found else min(place + size, end)
        torn = found is None and 0 < cut < end if last else found is None and cut < end
        if torn and size < _LONG:
            size *= 8
            continue
        yield (text[cut:end] if last else text[begin:cut]), torn
        begin, end = (begin, cut) if last else (cut, end)
        size = min(size * 8, _LONG)


def _reading(found: re.Match[str], how: How) -> NumberReading:
    begin, end = found.span()
    written = found.group()
    can_be = Candidates() if found["stamp"] is not None else options(found, how)
    if not can_be.values:
        return NumberReading(one_line(written, _SHOWN), ())
    left = found.string[max(0, begin - _AROUND) : begin].rpartition("\n")[2]
    right = found.string[end : end + _AROUND].partition("\n")[0]
    doubt = "" if not can_be.doubt else f"{one_line(written, _SHOWN)} may be several numbers"
    bold = left.endswith("*") and "**" in written  # **4**2 is not a power
    if bold or _JOINED.search(left) or _GOES_ON.match(right):
        around = f"{left[-8:]}{one_line(written, _SHOWN)}{right[:8]}".strip()
        values = can_be.values
        if left.endswith("-") and not left[-2:-1].isdigit():
            values += tuple(value.copy_negate() for value in values)
        return NumberReading(
            one_line(written, _SHOWN),
            values,
            doubt=f"it may be a part of {one_line(around)!r}",
            mark=may_be_mark(left, written, right),
        )
    signed = _signed(left, right)
    scale = _SCALE.match(right)
    word = "" if scale is None else scale.group(scale.lastgroup or 0)
    if not fits(can_be.values[0], word) or (word == "gross" and signed.written):  # $500 gross is before taxes
        scale, word = None, ""
    bare = [value.copy_negate() if minus else value for value in can_be.values for minus in signed.minus]
    read_as = dict.fromkeys([*bare, *(scaled(value, word) for value in bare if word)])
    if (part := _PART_BEHIND.match(right)) is not None:
        above = part["above"].lower()
        more = scaled(Decimal(_ABOVE.get(above) or above), part["part"])
        read_as = dict.fromkeys(value + more.copy_sign(value) for value in bare) | read_as
    elif word.lower() in PARTS and (whole := _WHOLE_BEFORE.search(left)) is not None:
        read_as |= {Decimal(whole["whole"]) + scaled(value, word): None for value in can_be.values}
    sure = len(signed.minus) == 1 and scale is None
    counted = len(signed.minus) == 1 and is_counted(can_be.values[0], word)
    around = f"{signed.written}{written}{'' if scale is None else scale.group()}"
    return NumberReading(
        one_line(f"{around})" if around.startswith("(") else around, _SHOWN),
        tuple(read_as),
        believed=can_be.believed and (sure or counted or (scale is None and signed.believed)),
        doubt=doubt or signed.doubt,
        literal=f"{'-' if signed.minus == (True,) else ''}{written}" if sure else "",
        mark=may_be_mark(left, written, right),
    )


class _Sign(Value):
    """What stands before a numeral: whether it is negative, or both where that cannot be told."""

    written: str
    minus: tuple[bool, ...] = (False,)
    believed: bool = False
    doubt: str = ""


def _signed(left: str, right: str) -> _Sign:
    found = _PREFIX.search(left)
    assert found is not None  # all of it is optional
    sign, late = found["sign"] or "", found["late"]
    before, written = left[: found.start()], left[found.start() :].lstrip()
    if sign == "\u00b1" or (sign and late):
        return _Sign(written, doubt=f"{one_line(written)!r} stands before it")
    if late is not None:
        return _Sign(written, (late == "-",))
    if sign == "\u2014":  # a dash: a sign only where nothing stands before it
        negative = not found["gap"] and not before.strip()
        return _Sign(written, (True, False) if negative else (False,))
    if sign == "-" and found["gap"]:
        return _after_blank(written, before, right)
    other = None if sign else _OTHER_SIGN.search(left)
    in_brackets = not sign and before.endswith("(") and _CLOSES.match(right) is not None  # -5 in a balance sheet
    if other is not None or in_brackets:
        return _Sign(f"({written}" if other is None else other[0].strip(), (False, True))
    return _Sign(written, (sign not in {"", "+"},))


def _after_blank(written: str, before: str, right: str) -> _Sign:
    """Judge `- 5`: a minus behind an equals sign; else a minus or a dash, and before an item of a list a bullet."""
    before = before.rstrip()
    if before and before[-1] in _EQUALS:
        return _Sign(written, (True,))
    bullet = not before and any(map(str.isalpha, right))
    return _Sign(written, (False, True), believed=bullet)
