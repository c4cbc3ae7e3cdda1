"""Whether what stands behind a verdict takes it back, or may: in words that say so, or in a remark with another value.

A remark is a short sentence or line that says a value and hardly more: "no, 2", "then fail", "Pass? No.", "(b)". It
looks like a verdict, so it must say the same one.
"""

import re
from collections.abc import Iterator

from evalh.graders.judges.scales import NUMBERS, Part, PointScale, ScaleValue, WordScale
from evalh.graders.patterns import pattern

_REVISES = (
    r"\bwait\b\s{0,2}[,:.!\x{2014}\x{2013}-]|\b(?:no|but|oh),?\swait\b|\bactually\b\s{0,2}[,:]|\bon second thoughts?\b|"
    r"\bon reflection\b|\b(?:scratch|strike) (?:that|this|it)\b|\bcorrection\b\s{0,2}[,:.]|\btake (?:it|that) back\b|"
    r"\bchanged? my (?:mind|verdict|score)\b|\breconsider|\bhmm+\b|"
    r"\b(?:disregard|ignore) (?:that|this|the above|my)\b|\bjust kidding\b|^\W{0,4}(?:edit|revised|update)\b\s?:|"
    r"\b(?:closer|second|further) (?:look|reading|inspection)\b|\b(?:previous|above|earlier|first) (?:verdict|score)\b|"
    r"\bthe opposite\b|\bnot really\b|\bnot!|^\W{0,4}sorry\b"
)
_MARKS: dict[ScaleValue | None, str] = {  # alone on their line they say the other word
    1: r"^\s*[\x{274c}\x{2718}\x{2717}\x{1f44e}]\x{fe0f}?\s*$",
    0: r"^\s*[\x{2705}\x{2714}\x{2713}\x{1f44d}]\x{fe0f}?\s*$",
}
_CHANGED = (
    (
        r"\b(?:should be|make (?:it|that)|(?:lower|rais|chang|reduc|increas|downgrad|upgrad|correct)\pL{0,4} "
        r"(?:(?:it|this|that|my score) )?to|more like|closer to|or (?:maybe|perhaps)|rather)\W{1,4}(?:an? |\pL{1,6} )?"
        r"([0-9]{1,3})"
    ),
    r"\b(?:maybe|perhaps|down to|up to|no[:,])\W{1,4}(?:an? )?([0-9]{1,3})\W{0,4}$",
)
_PREFERS = (
    r"(?:\b(?:no[:,]|hm+[,.]?|prefer|or|over to)\s|^\W{0,4})(?:output )?\(?([ab])\)?(?: is better| wins|[.,;!\n]|$)"
)
_HALF_OBJECT = r"\{\s{0,8}[\"'\x{201c}]"
_TAKES_BACK = frozenset(
    """
    not n't never no none cannot hardly neither nor without isn't doesn't don't didn't won't can't
    """.split()  # noqa: SIM905 (a table reads better)
)
_SUPPOSES = frozenset("to would could might may if had or unless nothing can".split())  # noqa: SIM905 (a table reads better)
_OBLIGES = frozenset(("have", "has", "need", "needs", "going"))  # "I have to fail it"
_LONGEST = 80  # characters of a remark
_PIECE_ENDS = re.compile(r"(?<![0-9][.])(?<=[.!?;])\s+|\n")  # no item of a list ends behind its number
_TOKEN = re.compile(r"[0-9]+(?:[.,][0-9]+)?|[^\W\d_]+(?:['\u2019][^\W\d_]+)?|[\U0001f44d\U0001f44e\u274c\u2705]")
_FILLERS = frozenset(
    """
    a actually although an and answer answers be better bad but by choose choice clearly corrected correction do does
    down edit erratum final finally grade hence here holds i i'd i'll in instead is it it's its just lower make mean
    meant mistake my now of ok okay on only oops or out output overall pick prefer preferred raise rather rating really
    reflection remains result revised say score should so sorry stands stays still that the then therefore this thus to
    total update updated verdict wait was well winner wins with yes yet
    """.split()  # noqa: SIM905 (a table reads better)
)
_AGAINST = frozenset("no not never nope nah wrong incorrect don't isn't doesn't".split())  # noqa: SIM905 (a table reads better)
_ANSWERS = frozenset(("yes", "no", "nope", "nah", "not", "never"))
_BEFORE = _AGAINST - {"no", "nope", "nah", "wrong", "incorrect"}  # "not 2", but "no, 2"
_WORDS: dict[str, ScaleValue] = {
    **dict.fromkeys(("acceptable", "accept", "accepted", "approved", "passing", "true", "agree"), 1),
    **dict.fromkeys(("correct", "\U0001f44d", "\u2705"), 1),
    **dict.fromkeys(("unacceptable", "reject", "rejected", "failing", "failure", "declined", "x", "\u274c"), 0),
    **dict.fromkeys(("false", "disagree", "disagreed", "\U0001f44e", "0", "zero"), 0),
}
"""What other words say of a verdict, where they stand in a remark."""


def taken_back(text: str, part: Part, value: ScaleValue | None, *, only: bool) -> list[tuple[int, int]]:
    """Return where a text behind a verdict may take it back. `only`: this is all that the reply must say."""
    remarks = list(_remarks(text, part, value)) if only else []
    same = [(begin, end) for begin, end, differs in remarks if not differs]
    suspects = [
        found.span() for found in pattern(f"{_REVISES}|{_HALF_OBJECT}", ignore_case=True, multiline=True).finditer(text)
    ]
    if isinstance(part.scale, PointScale):
        suspects += [
            found.span()
            for changed in _CHANGED
            for found in pattern(changed, ignore_case=True, multiline=True).finditer(text)
            if found[1] != str(value)
        ]
    elif part.scale.alone:
        found_other = pattern(_PREFERS, ignore_case=True).finditer(text)
        suspects += [found.span() for found in found_other if found[1].lower() != value]
    elif only:
        suspects += _contrary(text, part.scale, value)
        suspects += [found.span() for found in pattern(_MARKS[value], multiline=True).finditer(text)]
    suspects = [one for one in suspects if not any(begin < one[1] and one[0] < end for begin, end in same)]
    return [*suspects, *((begin, end) for begin, end, differs in remarks if differs)]


def _remarks(text: str, part: Part, value: ScaleValue | None) -> Iterator[tuple[int, int, bool]]:
    """Yield the remarks of a text that say a value, and whether it is another one."""
    asked: set[ScaleValue] | None = None
    question: tuple[int, int, bool] | None = None
    place = 0
    for found in [*_PIECE_ENDS.finditer(text), None]:
        begin, place, end = place, found.end() if found else len(text), found.start() if found else len(text)
        short = end - begin <= _LONGEST and text.count("|", begin, end) < 2  # noqa: PLR2004 (a table's line)
        tokens = _TOKEN.findall(text[begin:end].lower().replace("\u2019", "'")) if short else []
        if short and not tokens:
            continue
        said = _differs(tokens, part, value, asked)
        if question is not None and (said is None or {*tokens}.isdisjoint(_ANSWERS)):
            yield question
        asks = text[begin:end].rstrip().endswith("?")
        asked = {one for token in tokens if (one := _value(token, part)) is not None} if asks else None
        question = (begin, end, said) if asks and said is not None else None
        if said is not None and not asks:
            yield begin, end, said
    if question is not None:
        yield question


def _differs(tokens: list[str], part: Part, value: ScaleValue | None, asked: set[ScaleValue] | None) -> bool | None:
    """Whether a remark says another value; None: it says none. `asked`: the values in the question before it."""
    values = [(place, one) for place, token in enumerate(tokens) if (one := _value(token, part)) is not None]
    if any(one not in _FILLERS and one not in _AGAINST and _value(one, part) is None for one in tokens):
        return None
    against = [place for place, token in enumerate(tokens) if token in _AGAINST]
    if not values:
        if asked is not None:
            answers = asked and (against or "yes" in tokens)
            return (value in asked) == bool(against) if answers else None
        return value != 0 if against else None
    if isinstance(part.scale, PointScale):
        best = {part.scale.high} if "of" in tokens and len(values) < 3 else set()  # noqa: PLR2004 (4 of 5)
        return bool({one for _, one in values} - {value} - best)
    behind = values[-1][0] if len(values) > 1 else values[0][0]  # "Pass: no"
    denied = {place for place, _ in values if _BEFORE & {*tokens[:place]} or any(one > behind for one in against)}
    return any((one == value) == (place in denied) for place, one in values)


def _value(token: str, part: Part) -> ScaleValue | None:
    """Return what a word of a remark says of this part."""
    if isinstance(part.scale, PointScale):
        number = NUMBERS.get(token, token)
        return int(number) if number.isdecimal() and len(number) <= 4 else None  # noqa: PLR2004 (digits that are read)
    if part.scale.alone:
        return part.scale.spellings.get(token)
    said = part.scale.spellings.get(token, _WORDS.get(token))
    return None if token in ("no", "yes") else said


def _contrary(text: str, scale: WordScale, value: ScaleValue | None) -> Iterator[tuple[int, int]]:
    """Yield where a text says the other word, and means it: not "to pass", nor "does not fail", nor "fails to"."""
    words = "|".join(sorted({*scale.spellings} - {"yes", "no"}, key=len, reverse=True))
    for found in pattern(rf"(?:^|[^\pL\pN])({words})(?:[^\pL\pN]|$)", ignore_case=True, multiline=True).finditer(text):
        begin, end = found.span(1)
        clause = pattern("[,;:(]").split(text[max(begin - 40, 0) : begin].lower().replace("\u2019", "'"))[-1]
        before = [word.strip('()*_"`') for word in clause.split()[-4:]]
        supposed = any(word in _SUPPOSES or word.endswith("'d") for word in before)
        if (supposed and _OBLIGES.isdisjoint(before)) or pattern(
            r"^(?i:\?\W{0,3}no\b| to\b| mark\b| rate\b|[/-]| the \pL+ (?:check|test))"
        ).search(text[end : end + 24]):
            continue
        means = scale.spellings[found[1].lower()]
        if (means != value) != (not _TAKES_BACK.isdisjoint(before)):
            yield begin, end
