"""The words behind a number that may multiply it by a power of ten: `3 million`, `3 Mrd.`, `5 lakh`, `3 tenths`."""

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
_TABLES = (_WORDS, _SIGNS, _LETTERS)
_PLACES = {word: places for table in _TABLES for places, words in table.items() for word in words.split()}

WORDS = tuple(chain.from_iterable(words.split() for words in _WORDS.values()))
SIGNS = tuple(chain.from_iterable(words.split() for words in _SIGNS.values()))


def scale_of(word: str) -> int:
    """Return by how many places a word moves the decimal point."""
    return _PLACES.get(word.strip().lower(), 0)
