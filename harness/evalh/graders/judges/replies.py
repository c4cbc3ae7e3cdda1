"""Reading a model's reply: the last thing that looks like a verdict is the verdict, or there is none.

A reply may hold its verdict as JSON, strict or repaired (`loose_json`), and in words (`claims`). Verdicts quoted
from what was graded (`quotes`) are left out. All of the judge's own verdicts must say the same, the last one must be
readable and one of them, and nothing after it may take it back. Anything else is an error, never an earlier verdict.
Where a provider holds its model to the schema, the reply is that JSON and no prose.
"""

import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeAlias

from evalh.core.attempt import Answer
from evalh.core.reasoning import split, thinks_first
from evalh.core.strict_json import DECODER, JsonValue
from evalh.core.values import Value
from evalh.core.verdict import Form
from evalh.graders.judges.asking import Models, UnreadableReplyError
from evalh.graders.judges.claims import Claim, ClaimKind, claims
from evalh.graders.judges.loose_json import objects
from evalh.graders.judges.quotes import TELLING, GradedText, folded
from evalh.graders.judges.remarks import taken_back
from evalh.graders.judges.scales import OFF_SCALE, Part, PointScale, ScaleValue, WordScale
from evalh.graders.patterns import pattern, readable

LONGEST = 100_000
"""Characters of a reply beyond which none of it is read: what was left out might be the verdict."""

_MOST = 300  # places that look like a verdict: each is compared with the graded text
_SHORT = 40  # characters of a line that says hardly more than a scale
_SURE = 25  # folded characters, some from before a verdict, that show that it is a part of a longer quote
_ONLY_QUOTES = "its only verdict is also in the graded text"
_NOTHING = "there is no verdict in its reply"
_UNREADABLE = "its last verdict cannot be read"
_CONTRADICTS = "it says different verdicts"
_REVISED = "it goes on after its verdict, and may take it back"
_NO_REASON = "it gives no reason"
_NO_JSON = (
    "its reply is not JSON of the schema that was sent, and nothing else is read; if its server cannot use schemas: "
    'schema = "none" in its [models.…]'
)

Read: TypeAlias = "Callable[[str, Sought, Iterable[str]], ReplyReading]"
"""Reads a reply to a question about these texts. Raises UnreadableReplyError."""

_FENCED = r"^```[a-zA-Z]{0,10}\s*\n((?s:.*))\n\s*```$"
_THOUGHT = r"^\s*<reasoning>"  # what a rubric may ask for
_BOXED = r"\\(?:boxed|fbox)\{"
_STYLED = r"\\(?:text|textbf|mathrm|mathbf)\{"
_HYPOTHETICAL = (  # before an object in its line: it is not said, but spoken of
    r"(?i)(?:\bif\b.{0,60}\b(?:were|had)\b|\bwould have\b|\bwrong to\b|\bexample\b|\be\.g\.|\b(?:not|never)\W{0,4}$)"
)
_CITES = (  # I quote: … · the answer reads: …
    r"\b(?:(?:I|to) (?:quote|cite)|(?:answer|output|response|reply|text|it|author|assistant|antwort|réponse|respuesta)"
    r" (?:says|said|reads|read|states|stated|claims|claimed|writes|wrote|contains|contained|ends|(?:is|was) shown as|"
    r"lautet|dit|dice))\b[^.!?:\n]{0,30}:"
)
_SPOKEN_OF = r"(?i)^[ \t`]{0,3}(?:is|was|would|if|unless|but)\b"
_OBJECT = "\ufffc"  # stands in the prose for what is not prose


class Sought(Value, kw_only=True):
    """What a reply must say. `inside`: the key of the object that holds the parts, where there are several."""

    parts: tuple[Part, ...]
    inside: str | None = None
    reasoned: bool = True  # a reason was asked for too


class ReplyReading(Value):
    """What a reply says: one value for each part, and why."""

    values: tuple[ScaleValue, ...]
    reason: str


def reading(answer: Answer, form: Form, models: Models) -> "Read":
    """Return how a reply is read: as nothing but JSON where its model was held to a schema, else in any form."""
    return read_schema if form.output_schema is not None and models.holds_schema(answer.model) else read


def read_schema(text: str, sought: Sought, graded: Iterable[str]) -> ReplyReading:
    """Read the reply of a model that is held to a schema: one JSON object. Raises UnreadableReplyError."""
    text = text.strip()
    fenced = pattern(_FENCED).search(readable(text[:LONGEST]))
    try:
        value = DECODER.decode(fenced[1] if fenced else text)
    except (ValueError, RecursionError):
        raise UnreadableReplyError(_NO_JSON) from None
    if not isinstance(value, dict) or spoken(value.get("reason")) is None:
        raise UnreadableReplyError(_NO_JSON)
    return read(text, sought, graded)


def read(text: str, sought: Sought, graded: Iterable[str]) -> ReplyReading:
    """Read a reply in any form. Raises UnreadableReplyError, which says why there is no verdict in it."""
    if len(text) > LONGEST:
        raise UnreadableReplyError(f"its reply has {len(text):,} characters; {LONGEST:,} are read at most")
    shown = GradedText(graded, (word for part in sought.parts for word in part.words))
    if shown.is_echoed(text):
        raise UnreadableReplyError(_ONLY_QUOTES if text.strip() else _NOTHING)
    reply = _Reply.of(text, sought, shown)
    decided = [reply.decide(part) for part in sought.parts]
    reasons = [claim.reason for claim in decided if claim.reason is not None]
    if (
        sought.reasoned
        and not reasons
        and all(claim.kind is ClaimKind.OBJECT for claim in decided)
        and not reply.speaks
    ):
        raise UnreadableReplyError(_NO_REASON)
    values = tuple(claim.value for claim in decided if claim.value is not None)
    return ReplyReading(values, reasons[-1] if reasons else text.strip()[:2000])


class _Reply(Value, kw_only=True):
    """One reply: as it was written, and with its JSON blotted out."""

    text: str
    prose: str
    found: list[tuple[int, int, dict[str, JsonValue]]]
    sought: Sought
    graded: GradedText

    @classmethod
    def of(cls, text: str, sought: Sought, graded: GradedText) -> "_Reply":
        text = _without_thought(readable(text))
        found = list(objects(text))
        prose, place = [], 0
        for begin, end, _ in found:
            prose += [text[place:begin], _OBJECT * (end - begin)]
            place = end
        return cls(text=text, prose=_plain("".join([*prose, text[place:]])), found=found, sought=sought, graded=graded)

    def decide(self, part: Part) -> Claim:
        """Return the claim that decides. Raises UnreadableReplyError."""
        every = sorted([*self._of_objects(part), *claims(self.prose, part)], key=lambda claim: (claim.end, claim.begin))
        if len(every) > _MOST:
            raise UnreadableReplyError(f"it says {len(every)} verdicts")
        quoted = [claim for claim in every if self._is_quote(claim, part)]
        said = [claim for claim in every if claim not in quoted]
        own = [claim for claim in said if claim.own and claim.value is not None]
        if not own:
            raise UnreadableReplyError(_UNREADABLE if said else _ONLY_QUOTES if quoted else _NOTHING)
        last = max(own, key=lambda claim: claim.end)
        behind = [claim for claim in every if claim.begin >= last.end]
        behind = [claim for claim in behind if claim not in quoted or not self._is_surely_quoted(claim, last.end)]
        if any(claim.own and claim.value is None for claim in behind):
            raise UnreadableReplyError(_UNREADABLE)
        if {claim.value for claim in [*own, *behind]} - {last.value, None}:
            raise UnreadableReplyError(_CONTRADICTS)
        if last.value == OFF_SCALE or (isinstance(part.scale, PointScale) and self._is_elsewhere(last, part.scale)):
            raise UnreadableReplyError(f"{_NOTHING}: {OFF_SCALE}")
        if self._takes_back(last, part, quoted):
            raise UnreadableReplyError(_REVISED)
        return last

    def _is_elsewhere(self, last: Claim, scale: PointScale) -> bool:
        """Whether the line of a verdict, or a short line, says that its scale is another one."""
        begin = self.prose.rfind("\n", 0, last.begin) + 1
        end = self.prose.find("\n", last.end)
        lines = [self.prose[begin : end if end >= 0 else len(self.prose)]]
        lines += [line for line in self.prose.split("\n") if len(line) < _SHORT]
        return scale.is_elsewhere("\n".join(lines)) and not self.graded.holds("\n".join(lines))

    @property
    def speaks(self) -> bool:
        """Whether there is more in the reply than JSON."""
        return any(map(str.isalpha, self.prose))

    def _of_objects(self, part: Part) -> Iterator[Claim]:
        for begin, end, mapping in self.found:
            inner = mapping.get(self.sought.inside) if self.sought.inside is not None else None
            named, value = part.of(inner if isinstance(inner, dict) else mapping)
            if not named and not _is_inside(mapping, part):
                continue
            yield Claim(
                begin=begin,
                end=end,
                value=value if named and not self._speaks_of(begin, end) else None,
                kind=ClaimKind.OBJECT,
                text=self.text[begin:end],
                said=str(value),
                reason=spoken(mapping.get("reason")),
            )

    def _speaks_of(self, begin: int, end: int) -> bool:
        """Whether the sentence around an object mentions it, as an example, and does not assert it."""
        before = pattern(r"[.!?]\s|\n").split(self.text[max(begin - 100, 0) : begin])[-1]
        behind = self.text[end : end + 20]
        return bool(pattern(_HYPOTHETICAL).search(before) or pattern(_SPOKEN_OF).search(behind))

    def _is_quote(self, claim: Claim, part: Part) -> bool:
        graded = self.graded
        if claim.value is None:
            return len(folded(claim.text)) >= TELLING and graded.resembles(claim.text)
        if claim.kind is ClaimKind.LABEL:
            return graded.names(claim.label, _number(claim.said))
        if claim.kind is ClaimKind.LINE:
            return self._is_quoted_line(claim, part)
        if claim.kind is ClaimKind.SENTENCE or graded.holds(claim.text):  # likeness would take (a) for (b)
            held = graded.holds(claim.text) or graded.holds_parts(claim.text)
            return held or (isinstance(part.scale, PointScale) and graded.shares_words(claim.text, at_least=1.0))
        if not any(
            graded.names(key, said)
            for key in (*(part.keys or part.labels), *part.flags)
            for said in _spellings(claim, part)
        ):
            return False
        # The same verdict stands in what was graded. Where the reply holds more than this object, it may be a quote.
        reason = claim.reason or ""
        return graded.resembles(reason) or graded.shares_words(reason) or not self._is_alone(claim)

    def _is_quoted_line(self, claim: Claim, part: Part) -> bool:
        """Whether a value alone on its line is quoted: as a line, as a word, or as `5/5`; 5 alone is in many texts."""
        graded, said = self.graded, folded(claim.said)
        if graded.has_line(said) or (len(folded(claim.text)) > len(said) and graded.holds(claim.text)):
            return True
        if said.isdecimal():
            return graded.has_box(said)
        if isinstance(part.scale, WordScale) and not part.scale.alone:
            return graded.has_word(said)
        return len(said) > 1 and graded.holds(claim.said)

    def _is_surely_quoted(self, claim: Claim, start: int) -> bool:
        """Whether a quote is one by more than its few words: what stands before it, from `start` on, is quoted too."""
        cited = list(pattern(_CITES, ignore_case=True).finditer(self.text[start : claim.begin]))
        if cited and self.graded.resembles(self.text[start + cited[-1].end() : claim.end]):
            return True
        passages = [self.text[max(claim.begin - 30, start) : claim.end]]
        if claim.kind is ClaimKind.OBJECT:
            passages.append(claim.text)
        return any(len(folded(passage)) >= _SURE and self.graded.resembles(passage) for passage in passages)

    def _is_alone(self, claim: Claim) -> bool:
        around = self.text[: claim.begin] + self.text[claim.end :]
        return not pattern(r"```[a-zA-Z]{0,10}").sub("", around).strip()

    def _takes_back(self, last: Claim, part: Part, quoted: Sequence[Claim]) -> bool:
        """Whether anything behind the last verdict changes it, or may."""
        behind, place = [], last.end
        for claim in sorted(quoted, key=lambda claim: claim.begin):
            if claim.begin >= place:
                behind.append(self.prose[place : claim.begin])
                place = claim.end
        text = "\n".join([*behind, self.prose[place:]])
        suspects = taken_back(text, part, last.value, only=len(self.sought.parts) == 1)
        return any(not self._is_held(text, begin, end) for begin, end in suspects)

    def _is_held(self, text: str, begin: int, end: int) -> bool:
        """Whether a place in a text is quoted with enough of what stands around it, before it or behind it."""
        around = (text[max(begin - before, 0) : end + behind] for before, behind in ((12, 12), (0, 40), (40, 0)))
        return any(len(folded(passage)) >= TELLING and self.graded.holds(passage) for passage in around)


def _spellings(claim: Claim, part: Part) -> list[str]:
    if isinstance(part.scale, WordScale):
        words = [word for word, value in part.scale.spellings.items() if value == claim.value]
        return [*words, "true" if claim.value else "false"] if part.flags else words
    return [_number(claim.said)]


def _number(said: str) -> str:
    """Return a number without its denominator; words as they are."""
    found = pattern("^[0-9]+").search(said)
    return str(found[0]) if found else said


def _is_inside(value: JsonValue, part: Part) -> bool:
    """Whether a verdict stands further inside an object: it looks like one, but may not be the judge's."""
    waiting: list[JsonValue] = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            if part.of(one)[0]:
                return True
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
    return False


def _without_thought(text: str) -> str:
    """Leave out what a reply says it thought, where it begins so. A closing tag alone may be quoted."""
    if thinks_first(text):
        return split(text)[1]
    if pattern(_THOUGHT, ignore_case=True).search(text[:40]) is None:
        return text
    end = text.lower().find("</reasoning>")
    return text[end + len("</reasoning>") :] if end >= 0 else text


def _plain(text: str) -> str:
    """Write wide characters and formulas' boxes plainly. Offsets stay: an object in the text is where it was."""
    if not text.isascii():
        text = text.translate({ord(one): _plain_letter(one) for one in set(text) if not one.isascii()})
    text = pattern(_BOXED).sub(lambda found: "[[".ljust(len(found[0])), text)
    return str(pattern(_STYLED).sub(lambda found: " " * len(found[0]), text))


def _plain_letter(one: str) -> str:
    category = unicodedata.category(one)
    if category in ("Cf", "No"):  # what cannot be seen parts words, and a raised number is not a number
        return " " if category == "Cf" else one
    plain = unicodedata.normalize("NFKC", one)
    return plain if len(plain) == 1 else one


def spoken(value: Any) -> str | None:
    """Return a reason that says something; None for everything else."""
    return value.strip() if isinstance(value, str) and value.strip() else None
