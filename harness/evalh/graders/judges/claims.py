"""Where a reply says its verdict in words: `Verdict: pass`, `**Rating:** 4/5`, a table's cell, a word on its own line.

    claim   := prefix label gap value           Verdict: pass · **Score** (strict): 4/5 · <verdict>fail</verdict>
             | a line that is a value alone     PASS · 4 out of 5 · [[fail]]
             | a table's cell under a label
             | a sentence of its kind           I rate this 4/5 · Output (a) is better
    prefix  := words such as "so my final": with any other ("the tone's score") the claim is of a part, or of another
    value   := what the scale holds; a number off the scale, a negative one, a range, a denominator that is not the
               scale's best, "pass/fail" and "pass?" are claims that cannot be read

Every claim is kept, readable or not: the last one decides, so none may be overlooked.
"""

from collections.abc import Iterator
from enum import Enum, auto

from evalh.core.values import Value
from evalh.graders.judges.scales import DASHES, OFF_SCALE, Part, PointScale, ScaleValue
from evalh.graders.patterns import pattern

_STOPS = frozenset(".!?;,")  # what no gap holds: behind it another sentence begins
_LINKS = frozenset("is was of be equals lautet ist est es".split())  # noqa: SIM905 (a table reads better)
_FILLERS = frozenset(
    """
    be a an the this that it answer output response reply gets deserves now clearly therefore thus still
    """.split()  # noqa: SIM905 (a table reads better)
)
_BOUNDARIES = frozenset("<>~\u2248\u2264\u2265")  # "less than 4" is not 4
_CHECKS, _CROSSES = frozenset("\u2705\u2714\u2713\U0001f44d"), frozenset("\u274c\u2718\u2717\U0001f44e")
_DOUBTS = frozenset(
    """
    if whether doubt false wrong untrue not unless would were neither nor deny claims says some
    """.split()  # noqa: SIM905 (a table reads better)
)
_WITHDRAWN = (  # than (b)? · than nothing · at first sight, but (b) wins
    r"(?i)^[^.!\n]{0,60}(?:\?|\bthan nothing\b|\bnobody\b|\bno one\b"
    r"|\bbut\b[^.!\n]{0,40}\b(?:wins|prevails|better|prefer)\b)"
)
_OPENING = (
    r"^(?:(?:final|update|updated|edit|revised|revision|correction|still|so|hence|thus|therefore)\b[\s:,*_]{0,4}){1,3}"
)
_WIDEST = 40  # characters between a name and its value
_RATED = r"\b(?:I(?:'d|'ll| would| will)?\s(?:rate|give|score|award|grade|assign|say)|rated|deserves)\b[^.!?\n0-9]*"
_EXPLICIT = frozenset(":=|>\u2192\u21d2-\u2013\u2014\n\"'")
_MARKUP = " \t*_`~#>|\"'\u201c\u201d\u2018\u2019\u00ab\u00bb[](){}$\\\u2705\u274c\u2714\u2718\ufe0f\u2713\u2717\u2022"
_BOUNDS = ".!?;|\n\ufffc{}()<>\u2022\u3002\u2014\u2013"
_CONCLUDES = frozenset(
    """
    so therefore thus hence accordingly consequently daher somit also donc quindi dunque
    """.split()  # noqa: SIM905 (a table reads better)
)
_PREFIX = frozenset(
    """
    a accordingly actual answer an and assessment assign award be combined conclusion consequently corrected
    deserves earns evaluation final following for gets give grade hence here here's honest i i'd in is it
    judgement judgment my new now of on one only scale from to out our output overall own rate real receives
    response revised score short single so sum summary that the therefore this thus total true ultimately
    updated verdict with would end as result also daher das dies endgültig endgültiges endgültige ergebnis
    fazit ist lautet mein meine somit urteil alors donc est finale le la ma mon ainsi por lo tanto el mi es
    conclusión finalmente il mio quindi dunque é o minha meu portanto nota het mijn dus eindoordeel поэтому
    итог мой вердикт оценка 最终 我的 因此 所以 判定 評価 スコア 最終 따라서 최종
    """.split()  # noqa: SIM905 (a table reads better)
)


class ClaimKind(Enum):
    """How a claim was made, which says what a quote of it would look like."""

    OBJECT = auto()
    LABEL = auto()
    LINE = auto()
    SENTENCE = auto()


class Claim(Value, kw_only=True):
    """One place that looks like a verdict. `value` None: it cannot be read. `own`: said of the whole, by the judge."""

    begin: int
    end: int
    value: ScaleValue | None
    kind: ClaimKind
    text: str
    said: str = ""  # the value's own words
    label: str = ""
    own: bool = True
    reason: str | None = None


def claims(text: str, part: Part) -> Iterator[Claim]:
    """Yield every place in a text that looks like this part's verdict, in no order. Takes linear time."""
    taken: list[tuple[int, int]] = []
    for claim in _labelled(text, part):
        taken.append((claim.begin, claim.end))
        yield claim
    lines = _lines(text)
    yield from _cells(text, lines, part)
    if part.lines != "none":
        yield from _alone(lines, part, taken)
    if isinstance(part.scale, PointScale):
        yield from _rated(text, part)
    if part.sentence:
        yield from _sentences(text, part)


def _labelled(text: str, part: Part) -> Iterator[Claim]:
    labels = "|".join(sorted(part.labels, key=len, reverse=True))
    cut_off = _unclosed(text)
    for found in pattern(f"({labels})", ignore_case=True).finditer(text):
        begin, end = found.span()
        if text[begin - 1 : begin].isalnum() or text[end : end + 1].isalnum():
            continue
        ahead = text[end : end + 160]
        own, key = _is_own(text, begin, end)
        gap, value, length = _behind(ahead, part)
        if length and isinstance(part.scale, PointScale) and (_is_negative(gap) or part.scale.is_other(gap)):
            value = OFF_SCALE
        if length and (_belies(value, gap) or (gap.rstrip()[-1:] in _BOUNDARIES and not key)):
            value = None
        if (key and begin > cut_off) or text[begin - 2 : begin] == "~~":
            value = None  # what came of this object is not known, or it is struck out
        explicit = not _EXPLICIT.isdisjoint(gap)
        # A colon says that its value follows; a dash in prose need not.
        states = any(one in gap for one in ":=\u2192>|")
        if not length and not (explicit and own and ("\n" not in gap or key) and states):
            continue
        if length and not (own or explicit):
            continue
        stop = end + len(gap) + length
        if length and "\n" in gap and not key and text[stop : stop + 60].split("\n", 1)[0].strip(_MARKUP + ".!"):
            continue  # the next paragraph begins with such a word
        yield Claim(
            begin=begin,
            end=stop,
            value=value,
            kind=ClaimKind.LABEL,
            text=text[begin : stop + 20],
            said=text[stop - length : stop],
            label=found[0],
            own=own,
        )


def _belies(value: ScaleValue | None, around: str) -> bool:
    """Whether a cross stands beside a pass, or a check mark beside a fail."""
    return (value == 1 and not _CROSSES.isdisjoint(around)) or (value == 0 and not _CHECKS.isdisjoint(around))


def _unclosed(text: str) -> int:
    """Return where the first brace stands that is never closed; the text's end where all are."""
    opened: list[int] = []
    for place, one in enumerate(text):
        if one == "{":
            opened.append(place)
        elif one == "}" and opened:
            opened.pop()
    return opened[0] if opened else len(text)


def _behind(ahead: str, part: Part) -> tuple[str, ScaleValue | None, int]:
    """Return what stands between a name and its value, the value, and how long that is; 0 where there is none."""
    place = _note(ahead)
    place = first = _skipped(ahead, place)
    value, length = part.scale.read(ahead[place:])
    for words in (_LINKS, _FILLERS, _FILLERS, _FILLERS, _LINKS | _FILLERS, _FILLERS):
        if length:
            break
        found = pattern(r"^\pL{1,9}").search(ahead[place : place + 10])
        if found is not None and found[0].lower() in words:
            place = _skipped(ahead, place + len(found[0]))
            value, length = part.scale.read(ahead[place:])
    return ahead[: place if length else first], value, length


def _note(ahead: str) -> int:
    """Return where a note in brackets ends, as in `Verdict (strict): pass`."""
    start = len(ahead) - len(ahead.lstrip(" *_`"))
    closing = {"(": ")", "[": "]"}.get(ahead[start : start + 1])
    end = ahead.find(closing, start, start + 60) if closing else -1
    return end + 1 if end >= 0 and "\n" not in ahead[:end] else 0


def _skipped(ahead: str, place: int) -> int:
    """Return where the next word or number begins; what ends a sentence is not passed."""
    end = min(place + _WIDEST, len(ahead))
    while place < end and not (ahead[place].isalnum() or ahead[place] in _STOPS):
        place += 1
    return place


def _is_negative(gap: str) -> bool:
    """Whether a number has a sign. A dash between blanks, where nothing else parts name and value, is a dash."""
    dashed = gap.rstrip()
    if not dashed or dashed[-1] not in DASHES:
        return False
    rest = dashed[:-1]
    return dashed == gap or not _EXPLICIT.isdisjoint(rest.strip()) or not rest


def _is_own(text: str, begin: int, end: int) -> tuple[bool, bool]:
    """Whether a name is the judge's for the whole, and whether it stands as a key or a tag."""
    for word in ("final_", "overall_"):
        begin -= len(word) if text[max(begin - len(word), 0) : begin].lower() == word else 0
    before, behind = text[begin - 1 : begin], text[end : end + 1]
    if before in ('"', "'", "\u201c") and behind in ('"', "'", "\u201d"):
        return True, True
    if before == "<" and behind == ">":
        return True, True
    start = max(begin - 80, 0)
    prefix = text[start:begin]
    cut = max(prefix.rfind(one) for one in _BOUNDS)
    if cut < 0 and start > 0:
        return False, False
    words = [word.strip(_MARKUP + "0123456789-+=:,") for word in prefix[cut + 1 :].lower().split()]
    after = max((place for place, word in enumerate(words) if word in _CONCLUDES), default=0)
    return all(word in _PREFIX or not word for word in words[after:]), False


def _lines(text: str) -> list[tuple[int, str]]:
    """Return the lines that say something, with their places."""
    place, lines = 0, []
    for line in text.split("\n"):
        if line.strip():
            lines.append((place, line))
        place += len(line) + 1
    return lines


def _alone(lines: list[tuple[int, str]], part: Part, taken: list[tuple[int, int]]) -> Iterator[Claim]:
    ends = {end for _, end in taken}
    for number, (place, line) in enumerate(lines):
        if len(line) > 200 or (line.lstrip().startswith("|") and line.count("|") > 1):  # noqa: PLR2004 (a table)
            continue
        if pattern(r"^\s*[-*+]?\s*(?:\[\s?\]|\x{2610})").search(line):
            continue  # a box that is not ticked
        said = line.strip(_MARKUP + "\r")
        said = pattern(_OPENING, ignore_case=True).sub("", said)
        value, length = part.scale.read(said)
        begin = place + line.find(said)
        if not length or any(one in ends for one in range(begin, begin + length + 1)):
            continue
        rest = _beside(said[length:], part, only=len(lines) == 1)
        bare = isinstance(part.scale, PointScale) and said[:length].isdecimal()
        last, marked = number == len(lines) - 1, "[[" in line
        if part.lines == "last" and length == 1 and not last:
            continue
        if bare and not marked and (rest or _goes_on(lines, number)):
            continue  # "1." begins an item of a list, and a line that goes on from the one before says nothing alone
        if not rest.strip(".!"):
            if bare and not (marked or last):
                continue
        elif number or bare or part.lines == "last" or rest[0] not in ".:,;!-\u2013\u2014(":
            continue
        yield Claim(
            begin=begin,
            end=begin + length,
            value=None if _belies(value, line) else value,
            kind=ClaimKind.LINE,
            text=said,
            said=said[:length],
        )


def _beside(rest: str, part: Part, *, only: bool) -> str:
    """Return what a line says beside its value; nothing where that is a number's scale in a reply of one line."""
    rest = rest.strip(_MARKUP)
    if only and isinstance(part.scale, PointScale) and (rest == "." or part.scale.is_named(rest[:_WIDEST])):
        return ""
    return rest


def _goes_on(lines: list[tuple[int, str]], number: int) -> bool:
    """Whether a line goes on from the one right before it, which does not end as a sentence or a heading does."""
    place, before = lines[number - 1] if number else (0, "")
    above = place + len(before) + 1 == lines[number][0]
    return above and before.strip()[-1:].isalnum() and not before.lstrip().startswith("#")


def _cells(text: str, lines: list[tuple[int, str]], part: Part) -> Iterator[Claim]:
    """Yield what a table with one row says under a name of the part."""
    rows = [
        (place, [cell.strip(_MARKUP) for cell in line.strip().strip("|").split("|")])
        for place, line in lines
        if "|" in line
    ]
    for (_, head), (place, rule), (row, cells), behind in zip(
        rows, rows[1:], rows[2:], [*rows[3:], (len(text), [""])], strict=False
    ):
        if any(set(cell) - set(":- ") for cell in rule) or len(cells) != len(head):
            continue
        if len(behind[1]) == len(head) and behind[1] != [""]:
            continue  # several rows: which one is of the whole is said by its name
        for name, cell in zip(head, cells, strict=True):
            if name.lower() in part.labels:
                value, length = part.scale.read(cell)
                yield Claim(
                    begin=place,
                    end=row + 1,
                    value=value if length else None,
                    kind=ClaimKind.LABEL,
                    text=f"{name} {cell}",
                    said=cell[:length],
                    label=name,
                )


def _rated(text: str, part: Part) -> Iterator[Claim]:
    for found in pattern(_RATED, ignore_case=True).finditer(text):
        value, length = part.scale.read(text[found.end() : found.end() + 40])
        said = text[found.end() : found.end() + length]
        if length and ("/" in said or " " in said):
            end = found.end() + length
            yield Claim(
                begin=found.start(), end=end, value=value, kind=ClaimKind.SENTENCE, text=text[found.start() : end]
            )


def _sentences(text: str, part: Part) -> Iterator[Claim]:
    """Yield what whole sentences say; a group `no` that caught something takes the sentence back."""
    for found in pattern(part.sentence, ignore_case=True).finditer(text):
        value, _ = part.scale.read(found["value"])
        before = pattern(r"[.!?\n]").split(text[max(found.start() - 80, 0) : found.start()])[-1].lower().split()
        taken_back = (
            found["no"]
            or not _DOUBTS.isdisjoint(before)
            or pattern(_WITHDRAWN).search(text[found.end() : found.end() + 80])
        )
        yield Claim(
            begin=found.start(),
            end=found.end(),
            value=None if taken_back else value,
            kind=ClaimKind.SENTENCE,
            text=found[0],
        )
