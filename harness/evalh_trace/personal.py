"""Where personal data stands in a text.

To hide too much costs a word, to hide too little a person's address: what looks like it counts. Every pattern is of
bounded length and can be read in one way only, so any text takes linear time.
"""

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

Span: TypeAlias = tuple[int, int]

_SECRETS = (  # each behind one of the signs that it needs, which are quicker to look for
    (
        ("=",),
        re.compile(
            r"(?i)(?<=[?&;])(?:[\w.-]{0,40}(?:key|token|secret|signature|password)|sig|auth|code|pwd)="
            r"([^&\s'\"<>#]{1,4096})"
        ),
    ),
    (("://",), re.compile(r"(?i)://([^\s/@:'\"<>]{1,256}:[^\s/@'\"<>]{1,256})@")),
    (("earer ", "EARER ", "asic ", "ASIC "), re.compile(r"(?i)\b(?:bearer|basic) ([\w.~+/=-]{8,4096})")),
    (
        ("sk-", "pk-", "rk-", "AIza", "ghp_", "xox"),
        re.compile(r"\b((?:sk|pk|rk)-[\w-]{16,512}|AIza[\w-]{30,64}|ghp_\w{30,64}|xox[a-z]-[\w-]{10,200})"),
    ),
)
_MAILBOX = re.compile(r"[\w.+%'-]{1,64}\Z")
_AT = re.compile(r"@|%40|\uff20")
_DOMAIN = re.compile(r"(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}|\[[0-9A-Fa-f:.]{2,45}\]")
_LONGEST_MAILBOX = 64
_CARD = re.compile(r"(?<![0-9])[2-6][0-9]{3}(?:[ -]?[0-9]){8,15}(?![0-9])")
_IBAN = re.compile(r"(?<![^\W_])[A-Za-z]{2}[0-9]{2}(?:[ -]?[A-Za-z0-9]){11,30}")
_SHORTEST_IBAN, _LONGEST_IBAN = 15, 34
_SSN = re.compile(r"(?<![0-9-])(?!000|666|9)[0-9]{3}([ -])(?!00)[0-9]{2}\1(?!0000)[0-9]{4}(?![0-9]|-[0-9])")
_IPV4 = re.compile(r"(?<![\w.])[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?!\w|\.[0-9])")
_IPV6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?![\w:])")
_PHONES = (
    re.compile(r"(?<![\w+])(?:\+|00)[1-9](?:[ ./()\u00a0-]{0,2}[0-9]){6,14}(?!\w|\.[0-9])"),  # +49 30 12345678
    re.compile(
        r"(?<![\w+.-])(?:1[ .-])?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[ .-]?)[2-9][0-9]{2}[ .-]?[0-9]{4}"
        r"(?!\w|[.-][0-9])"
    ),  # (212) 555-0123
    re.compile(
        r"(?<![\w+.\-/])(?:\(0[1-9][0-9]{0,4}\)|0[1-9][0-9]{0,4})[ /-]?[0-9]{2,8}(?:[ -][0-9]{2,8}){0,4}"
        r"(?!\w|[.\-/:][0-9])"
    ),  # 030 12345678
)
_TRUNK_DIGITS = range(9, 13)  # of a number with a leading 0; with fewer it may be a date


def find_personal(text: str, kind: str) -> Iterator[Span]:
    """Yield where data of a kind stands, in order and apart from each other."""
    end = 0
    for begin, until in sorted(_FINDERS[kind](text)):
        if begin >= end:
            yield begin, until
            end = until


def mask_secrets(text: str) -> str:
    """Return a text without keys: in the query of an address, before its host, behind "Bearer", and by their shape."""
    for signs, pattern in _SECRETS:
        if any(sign in text for sign in signs):
            text = pattern.sub(_masked, text)
    return text


def _masked(found: re.Match[str]) -> str:
    whole, begin = found.group(), found.start(1) - found.start()
    return f"{whole[:begin]}[key]{whole[begin + len(found.group(1)) :]}"


def _emails(text: str) -> Iterator[Span]:
    end = 0
    for sign in _AT.finditer(text):
        domain = _DOMAIN.match(text, sign.end())
        start = max(sign.start() - _LONGEST_MAILBOX, end)
        mailbox = _MAILBOX.search(text, start, sign.start()) if domain else None
        if domain and mailbox:
            end = domain.end()
            yield mailbox.start(), end


def _ibans(text: str) -> Iterator[Span]:
    for found in _IBAN.finditer(text):
        written = found.group()
        number = "".join(filter(str.isalnum, written)).upper()
        for length in range(min(len(number), _LONGEST_IBAN), _SHORTEST_IBAN - 1, -1):
            one = number[4:length] + number[:4]
            if int("".join(str(int(sign, 36)) for sign in one)) % 97 == 1:  # ISO 7064
                yield found.start(), found.start() + _end_of(written, length)
                break


def _end_of(text: str, length: int) -> int:
    """Return where the first `length` letters and digits end; the pattern may have read on into the next word."""
    seen = 0
    for end, sign in enumerate(text, start=1):
        seen += sign.isalnum()
        if seen == length:
            return end
    return len(text)


def _cards(text: str) -> Iterator[Span]:
    for found in _CARD.finditer(text):
        digits = [int(one) for one in found.group() if one.isdecimal()]
        doubled = sum(sum(divmod(2 * one, 10)) for one in digits[-2::-2])
        if (sum(digits[-1::-2]) + doubled) % 10 == 0:  # Luhn
            yield found.span()


def _ips(text: str) -> Iterator[Span]:
    for pattern in (_IPV4, _IPV6):
        for found in pattern.finditer(text):
            try:
                address = ipaddress.ip_address(found.group())
            except ValueError:
                continue
            if not (address.is_loopback or address.is_unspecified):
                yield found.span()


def _phones(text: str) -> Iterator[Span]:
    for pattern in _PHONES:
        for found in pattern.finditer(text):
            number = found.group()
            trunk = number.lstrip("(")[:1] == "0" and not number.startswith("00")
            if not trunk or sum(map(str.isdecimal, number)) in _TRUNK_DIGITS:
                yield found.span()


def _ssns(text: str) -> Iterator[Span]:
    return (found.span() for found in _SSN.finditer(text))


_FINDERS: Mapping[str, Callable[[str], Iterator[Span]]] = {
    "email": _emails,
    "iban": _ibans,
    "card": _cards,
    "ssn": _ssns,
    "ip": _ips,
    "phone": _phones,
}
KINDS = tuple(_FINDERS)
"""In the order in which they are looked for: a telephone number is what no checksum has claimed."""
