"""Numbers whose places are named, as in Chinese, Japanese and Korean: 3万5千, 1億2000万, 3만 5천."""

import math
import re
from decimal import Decimal

_WRITTEN = ("〇零", "一壱壹", "二弐两兩", "三参", "四", "五", "六", "七", "八", "九")
_DIGITS = {sign: str(value) for value, signs in enumerate(_WRITTEN) for sign in signs}
_SMALL = {10: "十拾십", 100: "百佰백", 1000: "千仟천"}
_LARGE = {10**4: "万萬만", 10**8: "億亿억", 10**12: "兆조"}
_UNITS = {sign: value for table in (_SMALL, _LARGE) for value, signs in table.items() for sign in signs}
_LEAST_LARGE = 10**4

SIGNS = "".join((*_DIGITS, *_UNITS))
"""What such a number is made of besides digits."""
_NUMBER = rf"(?:[0-9]++(?:,[0-9]{{3}})*+(?:\.[0-9]++)?|[{''.join(_DIGITS)}]++)"
_UNIT = f"[{''.join(_UNITS)}]"
# Two parts at least, the first of them with its unit. Koreans put a blank between them.
PATTERN = rf"(?:{_NUMBER})?{_UNIT}++(?:(?:(?<=[가-힣]) )?{_NUMBER}{_UNIT}*+)++"
_PART = re.compile(rf"({_NUMBER})({_UNIT}*+)")


def values(text: str) -> tuple[Decimal, ...]:
    """Return what such a number comes to; nothing where its places do not go down. 3万5 is 30005 or 35000."""
    total = section = Decimal(0)
    below = above = Decimal("Infinity")  # the next part is smaller, and with its 万 smaller than the last 万
    zero = False
    parts = _PART.findall(text if text[0] not in _UNITS else f"一{text}")
    for number, units in parts:
        value = Decimal("".join(_DIGITS.get(sign, sign) for sign in number.replace(",", "")))
        if not value and not units:
            zero = True  # 3万零5: its place is told
            continue
        small = math.prod(_UNITS[unit] for unit in units if _UNITS[unit] < _LEAST_LARGE)
        large = math.prod(_UNITS[unit] for unit in units if _UNITS[unit] >= _LEAST_LARGE)
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
