"""What a verdict may be, and how it is read where a text says it: one of some words, or points on a scale."""

from collections.abc import Mapping
from typing import Any, Literal

from evalh.core.values import Value
from evalh.graders.patterns import pattern

OFF_SCALE = "a value that is not on the scale"
ScaleValue = int | str

DASHES = "-\u2010\u2011\u2012\u2013\u2014\u2212"

NUMBERS = dict(
    zip("zero one two three four five six seven eight nine ten".split(), map(str, range(11)), strict=True)  # noqa: SIM905
)
"""Number words, as digits."""
_ANY = rf"([0-9]{{1,4}}|{'|'.join(NUMBERS)}|hundred)"
_ENDS = r"[\"'*_`~)\]}>|\s\x{201d}\x{2019}\x{bb}]{0,8}"  # what may close a value
_OR = r"(?:/|\||\bor\b|\boder\b|,)\s{0,2}[\"'*_`]{0,3}"  # pass or fail
_GOES_ON = (  # pass? · pass → fail · pass-through · pass/5 · pass is not what I give
    rf"^{_ENDS}(?:\?|\x{{2192}}|[-=]>)|^-\pL|^/[0-9]"
    rf"|^{_ENDS}(?i:(?:is|was)(?:n['\x{{2019}}]t|\s(?:not|wrong|too|what|un\pL+))|would|nothing|nobody)\b"
    rf"|^{_ENDS}[:=?]\s{{0,2}}(?i:no|false|0)\s{{0,2}}(?:$|[.,;!])"  # Pass: no
)
_CLAUSE_ENDS = r"^[\"'*_`)\]}]{0,6}\s{0,3}(?:$|[.,;:!|<>\n(}\x{2014}\x{2013}-])"
_NUMBER = r"^([0-9]{1,4})(?:\.([0-9]{1,4})|,([0-9]{1,2}))?"
_OUT_OF = (
    r"^[*_`\"')\](}[\s]{0,6}(?:</[a-z]{1,6}>\s?)?(?:(?:points?|pts?\.?|stars?|marks?)\s)?(?:/{1,2}|[\x{2044}\x{2215}\x{f7}]|"
    r"(?:out of|of|von|sur|su|de|van|uit|из|av|in|über)\s)(?:a possible |a total of )?"
    rf"[*_`\"'(\[\s]{{0,6}}{_ANY}(?:\.0{{1,2}})?"
)
_NO_SCORE = "|".join(
    (
        r"^[*_`\s]{0,4}(?:\x{2192}|[-=]>)",  # 4 → 2
        r"^\s?[(\[]?(?:out )?of \pL",  # 4 out of ten
        rf"^[*_` \t]{{0,4}}(?:[{DASHES}~]\s?|\bto\b|\bor\b|\bbis\b|/)\s{{0,2}}[0-9]",  # 4 to 5
        r"^\s{0,2}[%+\x{b0}]|^[\pL\pN]|^[.,/|][0-9]",  # 4 % · 4th · 4,000
        r"^\s?(?:per\s?cent|,?\s?minus|plus|times|less)\b|^\s?[\^\x{d7}:]\s?[0-9]|^[ \t][0-9]",  # 4^2 · 4 1/2
        r"^['\x{2019}_][0-9]|^\s?(?:\.{2,}|\x{2026}|\*|&|and\b)\s?[0-9]",  # 4'000 · 4...5 · 2*2 · 4 and 5
    )
)
_OTHER_BEST = (  # of which the number is: on a scale of 1-10 · (max 10)
    r"(?i)^[^\n.;]{0,16}?(?:\b(?:scale|range)\b[^\n.;0-9]{0,8}[0-9]{1,4}\s?(?:[-\x{2013}]|to)\s?|\bmax(?:imum)?\b[^\n.;0-9]{0,6})"
    r"([0-9]{1,4})"
)
_RANGE = (  # 4 (0-10) · 4 (10 is best)
    r"^\s?[(\[](?:[0-9]{1,3}\s?[-\x{2013}]\s?([0-9]{1,4})|([0-9]{1,4}) (?:is (?:the )?(?:best|max|highest)|max))"
)
_ELSEWHERE = "|".join(  # that another scale is meant
    (
        rf"\b{_ANY}[- ]?points? scale\b",
        rf"\bscale(?: of| from|:)?\s{{0,2}}(?:(?:[0-9]{{1,4}}|zero|one)\s?(?:[-\x{{2013}}]|to|through)\s?)?{_ANY}\b",
        rf"\bmax(?:imum)?\b(?: score| points)?\W{{1,3}}{_ANY}\W{{0,3}}$",
        rf"\b(?:max(?:imum)?|best)\W{{1,3}}{_ANY}[)\]]",
        rf"\b{_ANY} (?:is|=|being|means) (?:the )?(?:best|max|maximum|highest|top|perfect)\b",
        rf"(?:[(\[]\s?(?:out )?|\b(?:score|rating|grade) out |^\W{{0,3}}out )of {_ANY}\b",
    )
)
_BESTS = frozenset(  # keys beside a score
    """
    max maximum max_score score_max maximum_score max_points out_of of denominator best scale range
    """.split()  # noqa: SIM905 (a table reads better)
)
_ALONE_TOO = ("final", "corrected", "revised", "adjusted")
_LATER = ("final", "overall", "corrected", "revised", "updated", "adjusted", "new")


class WordScale(Value):
    """A scale of words: what each spelling means."""

    spellings: Mapping[str, ScaleValue]
    alone: bool = False  # a value must end its clause: "a" is an article too
    before: str = ""  # what may stand before a value, as a pattern

    def read(self, text: str) -> tuple[ScaleValue | None, int]:
        """Return the value that a text begins with, and how long it is; 0 where there is none."""
        words = "|".join(sorted(self.spellings, key=len, reverse=True))
        found = pattern(rf"^{self.before}({words})(?:[^\pL\pN]|$)", ignore_case=True).search(text)
        if found is None:
            return None, 0
        word, end = found[1].lower(), found.end(1)
        behind = text[end : end + 40]
        other = pattern(rf"^{_ENDS}{_OR}({words})(?:[^\pL\pN]|$)", ignore_case=True)
        if pattern(_GOES_ON).search(behind) or other.search(behind):
            return None, end
        if self.alone and not pattern(_CLAUSE_ENDS).search(behind):
            return None, end
        return self.spellings[word], end


class PointScale(Value):
    """A scale of whole numbers."""

    low: int
    high: int

    def read(self, text: str) -> tuple[ScaleValue | None, int]:
        """Return the number that a text begins with, and how long it is with its denominator; 0 where there is none."""
        found = pattern(_NUMBER).search(text)
        if found is None:
            return None, 0
        end, whole = found.end(), not (found[2] or found[3] or "").strip("0")
        best = pattern(_OUT_OF).search(text[end : end + 40])
        end += best.end() if best else 0
        behind = text[end : end + 12]
        others = [best, *(pattern(other).search(text[end : end + 60]) for other in (_OTHER_BEST, _RANGE))]
        if (
            not whole
            or any(one and _number(one[one.lastindex]) != self.high for one in others)
            or pattern(_NO_SCORE).search(behind)
        ):
            return OFF_SCALE, end
        number = int(found[1])
        return (number if self.low <= number <= self.high else OFF_SCALE), end

    def is_other(self, text: str) -> bool:
        """Whether a text says that another scale is meant, as in `Score (0-10): 4`."""
        found = pattern(r"[0-9]{1,4}\s?(?:[-\x{2013}]|to)\s?([0-9]{1,4})").search(text)
        return (found is not None and int(found[1]) != self.high) or self.is_elsewhere(text)

    def is_named(self, text: str) -> bool:
        """Whether a text says which scale is meant."""
        return pattern(_ELSEWHERE, ignore_case=True).search(text) is not None

    def is_elsewhere(self, text: str) -> bool:
        """Whether a line says that its scale is another one, as "on a ten-point scale" does."""
        said = pattern(_ELSEWHERE, ignore_case=True, multiline=True).finditer(text)
        return any(_number(one) != self.high for found in said for one in found.groups() if one)


def _number(said: str) -> int:
    said = NUMBERS.get(said.lower(), said)
    return int(said) if said.isdecimal() else 100


class Part(Value, kw_only=True):
    """One thing that a reply must say: its names, and its scale. `sentence`: a pattern whose groups hold a value."""

    labels: tuple[str, ...]
    scale: WordScale | PointScale
    lines: Literal["any", "last", "none"] = "any"  # whether a value alone on a line counts
    sentence: str = ""
    keys: tuple[str, ...] = ()  # in JSON; the labels, where there are none
    flags: tuple[str, ...] = ()  # keys whose true is 1 and whose false is 0

    @property
    def words(self) -> tuple[str, ...]:
        """The words that say it: its names, and its values."""
        return (*self.labels, *self.keys, *(self.scale.spellings if isinstance(self.scale, WordScale) else ()))

    def of(self, mapping: Mapping[str, Any]) -> tuple[bool, ScaleValue | None]:
        """Whether an object has this part, and its value; None: it cannot be read."""
        named = {str(key).strip().lower(): value for key, value in mapping.items()}
        for key in self.keys or self.labels:
            if key in named:
                value = self.value(named[key])
                later = [named[one] for word in _LATER if (one := f"{word}_{key}") in named]
                later += [named[one] for one in _ALONE_TOO if self.value(named.get(one)) is not None]
                flags = [int(named[flag]) for flag in self.flags if isinstance(named.get(flag), bool)]
                if {*map(self.value, later), *flags} - {value} or self._has_other_best(named):
                    return True, None
                return True, value
        for key in self.flags:
            if isinstance(named.get(key), bool):
                return True, int(named[key])
        return False, None

    def _has_other_best(self, named: Mapping[str, Any]) -> bool:
        """Whether an object says that its scale ends elsewhere."""
        if not isinstance(self.scale, PointScale):
            return False
        said = [pattern(r"([0-9]{1,4})\D*$").search(str(named[key])[:40]) for key in _BESTS & named.keys()]
        return any(one is not None and int(one[1]) != self.scale.high for one in said)

    def value(self, said: object) -> ScaleValue | None:
        """Read one JSON value whole."""
        if isinstance(said, bool):
            said = str(said).lower()
        elif isinstance(said, float) and said.is_integer() and abs(said) < 1e9:  # noqa: PLR2004 (digits that are read)
            said = int(said)
        if not isinstance(said, int | float | str):
            return None
        text = str(said).strip()
        if text.startswith("-"):
            return OFF_SCALE
        value, end = self.scale.read(text[:200])
        return value if end and not text[end:].strip(" .") else None
