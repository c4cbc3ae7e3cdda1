"""Like values in the place of personal data: the same form, the same one everywhere in a case, and nobody's.

What is taken for personal data is what the grader `pii` finds. A replaced address is at example.com, a telephone number
has the digits 555 01.., which are given to nobody, accounts and cards have right check digits.
"""

from collections import Counter
from collections.abc import Callable, Mapping

from evalh.core.strict_json import JsonValue
from evalh.graders.pii import KINDS, PersonalData, PersonalKind, personal

_SUBSCRIBER_DIGITS = 7
_CARD_BEGINS = 4
_BLOCK = 254  # addresses in one block that is kept for examples


class LikeValues:
    """Replaces personal data in one case. The first address that is met becomes person1@example.com, and so on."""

    def __init__(self) -> None:
        self.counts: Counter[PersonalKind] = Counter()  # how many different ones were replaced
        self._numbers: dict[tuple[PersonalKind, str], int] = {}
        self._written: dict[str, str] = {}  # as it stood, and what stands there now

    def value(self, value: JsonValue) -> JsonValue:
        """Return a value with every text in it replaced, keys of objects and whole numbers too."""
        self._replaced(value)  # what is seen in one place only is replaced in the places before it, too
        return self._replaced(value)

    def _replaced(self, value: JsonValue) -> JsonValue:
        match value:
            case str():
                return self.text(value)
            case Mapping():
                return {self.text(key): self._replaced(inner) for key, inner in value.items()}
            case list() | tuple():
                return [self._replaced(inner) for inner in value]
            case bool():
                return value
            case int():
                return self._number(value)
            case _:
                return value

    def text(self, text: str) -> str:
        """Return a text with its personal data replaced."""
        found = sorted(personal(text, KINDS), key=lambda one: one.place)
        kept, place = [], 0
        for one in found:
            kept += [text[place : one.place], self._like(one)]
            place = one.place + len(one.text)
        kept.append(text[place:])
        return "".join([part if at % 2 else self._again(part) for at, part in enumerate(kept)])

    def _again(self, text: str) -> str:
        """Replace what was personal elsewhere, and is not seen as such here: in the middle of a word, say."""
        for before, after in self._written.items():
            text = text.replace(before, after)
        return text

    def _number(self, number: int) -> int:
        text = str(number)
        found = list(personal(text, KINDS))
        return int(self._like(found[0])) if len(found) == 1 and found[0].text == text else number

    def _like(self, one: PersonalData) -> str:
        key = (one.kind, one.plain)
        if key not in self._numbers:
            self.counts[one.kind] += 1
            self._numbers[key] = self.counts[one.kind]
        like = _LIKE[one.kind](one.text, self._numbers[key])
        self._written[one.text] = like
        return like


def _email(text: str, number: int) -> str:
    del text
    return f"person{number}@example.com"


def _iban(text: str, number: int) -> str:
    """Keep the country and the grouping; the check digits are those of ISO 7064."""
    signs = [sign for sign in text if sign != " "]
    body = str(number).rjust(len(signs) - 4, "0")
    country = "".join(signs[:2])
    rest = int("".join(str(int(sign, 36)) for sign in f"{body}{country}00"))
    return _regrouped(text, f"{country}{98 - rest % 97:02d}{body}", str.isalnum)


def _card(text: str, number: int) -> str:
    """Keep the network and the grouping; the last digit is Luhn's."""
    digits = [sign for sign in text if sign.isdigit()]
    body = "".join(digits[:_CARD_BEGINS]) + str(number).rjust(len(digits) - _CARD_BEGINS - 1, "0")
    doubled = sum(sum(divmod(2 * int(sign), 10)) for sign in body[-1::-2])
    check = -(doubled + sum(map(int, body[-2::-2]))) % 10
    return _regrouped(text, f"{body}{check}", str.isdigit)


def _ssn(text: str, number: int) -> str:
    return _regrouped(text, f"899{number % 99 + 1:02d}{number % 9999 + 1:04d}", str.isdigit)


def _ip(text: str, number: int) -> str:
    """Return an address of the blocks that are kept for examples (RFC 5737, RFC 3849)."""
    return f"2001:db8::{number:x}" if ":" in text else f"192.0.2.{(number - 1) % _BLOCK + 1}"


def _phone(text: str, number: int) -> str:
    """Keep the country, the area and how it is written."""
    digits = "".join(sign for sign in text if sign.isdigit())
    own = f"5550{(number - 1) % 900 + 100}"
    return _regrouped(text, digits[:-_SUBSCRIBER_DIGITS] + own, str.isdigit)


def _regrouped(text: str, signs: str, counts: Callable[[str], bool]) -> str:
    """Write other signs where the text has letters and digits; blanks and dashes stay."""
    left = iter(signs)
    return "".join(next(left) if counts(sign) else sign for sign in text)


_LIKE: Mapping[PersonalKind, Callable[[str, int], str]] = {
    "email": _email,
    "iban": _iban,
    "card": _card,
    "ssn": _ssn,
    "ip": _ip,
    "phone": _phone,
}
