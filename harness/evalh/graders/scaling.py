"""The words behind a number that may multiply it: `3 million`, `3 Mrd.`, `2 dozen`, `2 thirds`."""

from decimal import Decimal
from itertools import chain

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
_PARTS = {
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
_DIVISORS = {word: below for below, words in _PARTS.items() for word in words.split()}

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


def shifted(value: Decimal, places: int) -> Decimal:
    """Move the decimal point; exact, where arithmetic would round."""
    sign, digits, begin = value.as_tuple()
    assert isinstance(begin, int)
    return Decimal((sign, digits, begin + places)) if places else value
