"""`similarity`: the output is nearly the expected text, by one of the known measures.

The words of a text, for measures that compare words: by Unicode's word boundaries (UAX 29), in every script.
"""

import re
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Literal, TypeAlias

from pydantic import Field

from evalh.core.case import ABSENT
from evalh.core.text_forms import in_form
from evalh.core.verdict import GradeContext, Verdict
from evalh.graders.kinds import Compiled, Scope, built_in
from evalh.graders.quoting import shown
from evalh.graders.reading import Compared

# Scripts without blanks between words: their letters count in pairs, so that an order of letters makes a difference.
_UNPARTED = r"[\p{Han}\p{Hiragana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tai_Le}\p{New_Tai_Lue}\p{Tai_Tham}]"
_BOUNDARY = r"(?wV1)\b"
# Not what ends or encloses a sentence.
_COUNTS = r"(?V1)[[\p{L}\p{N}\p{M}\p{S}\p{Cs}\p{Co}\p{Cn}#%&@/\\*\u00a7\u2030]--[\p{Sk}\s]]"
_SIGN = re.compile(r"(?<![\w)\]}.])[-\u2010-\u2013\u2212](?=\.?\d)")
_MINUS = "\u2796"  # a symbol, so that it counts; the hyphen is punctuation
_INNER_STOP = re.compile(r"(?<=[^\W\d])[.:\u00b7](?=[^\W\d])")  # UAX 29 joins what a missing blank joins
_EMPHASIS = re.compile(
    r"(?<![\w*])(\*{1,3})(?=[^\s*])([^*\n]*)(?<=[^\s*])\1(?!\*)|(?<!\w)(_{1,3})(?=[^\W_])([^_\n]*)\3(?!\w)"
)


def bag(text: str) -> Counter[str]:
    """Count the words of a text, without case and punctuation; signs and symbols are words of their own.

    Takes linear time.
    """
    import regex

    text = in_form(in_form(text, "nfc").casefold(), "nfc").replace("\u2019", "'")
    text = _EMPHASIS.sub(lambda found: found[2] or found[4] or "", text)
    text = _INNER_STOP.sub(" ", _SIGN.sub(f" {_MINUS} ", text))
    counts = regex.compile(_COUNTS)
    unparted = regex.compile(_UNPARTED + "++")
    words: Counter[str] = Counter()
    for run in unparted.findall(text):
        words.update(map("".join, pairwise(run)) if len(run) > 1 else (run,))
    pieces = Counter(regex.split(_BOUNDARY, unparted.sub(" ", text)))
    words.update({piece: times for piece, times in pieces.items() if counts.search(piece)})
    return words


Measure: TypeAlias = Callable[[str, str], float]
_LONGEST = 20_000  # characters: the measures by characters take time by the product of two lengths
_LONGEST_OF = {"partial": 2_000}  # it tries every part of the longer text


@built_in("similarity", short="pass_mark", semantics=2)
class Similarity(Compared):
    """The output is similar enough to the expected text. The most similar of several texts counts."""

    pass_mark: float = Field(gt=0, le=1, description="The score that passes.")
    measure: Literal["ratio", "partial", "token_sort", "token_set", "token_f1", "jaro_winkler"] = Field(
        "ratio", description="How similarity is measured."
    )
    value: str | tuple[str, ...] | None = Field(None, description="A text, or a list of texts, instead of the case's.")
    ignore_case: bool = Field(False, description="Ignore upper and lower case.")

    def compile(self, scope: Scope) -> Compiled:
        if self.value == ():
            raise scope.wrong("has an empty list of texts: nothing could pass")
        place = self.place(scope)
        expectation = self.expectation(scope, ABSENT if self.value is None else self.value)
        measure = token_f1 if self.measure == "token_f1" else _by_characters(self.measure)

        def judge(ctx: GradeContext) -> Verdict:
            texts = expectation.texts(ctx)
            return self._judge(measure, place.text(ctx), texts)

        return Compiled(judge, needs_expected=expectation.needs_expected)

    def _judge(self, measure: Measure, got: str, texts: list[str]) -> Verdict:
        longest = _LONGEST_OF.get(self.measure, _LONGEST)
        if self.measure != "token_f1" and max(len(got), *map(len, texts)) > longest:
            return Verdict.error(
                f"too long to compare by {self.measure}: over {longest} characters; token_f1 has no limit"
            )
        got, texts = in_form(got, "nfc"), [in_form(text, "nfc") for text in texts]
        if self.ignore_case:
            got, texts = got.casefold(), [text.casefold() for text in texts]
        score, nearest = max((min(max(measure(got, text), 0.0), 1.0), text) for text in texts)
        return Verdict.scored(score, self.pass_mark, f"{self.measure} {score:.3f} to {shown(nearest)}")


def token_f1(got: str, wanted: str) -> float:
    """Return 2·P·R/(P + R) of the words as a bag, without case and punctuation: SQuAD's, but articles count."""
    one, other = bag(got), bag(wanted)
    if not one or not other:
        return float(not one and not other and got.split() == wanted.split())
    return 2.0 * (one & other).total() / (one.total() + other.total())


def best_part(passage: str, text: str, *, at_least: float) -> float:
    """Return how like a part of a text is to a passage, in [0, 1]; 0 where that is less than `at_least`."""
    from rapidfuzz import fuzz

    measure = fuzz.partial_ratio if len(passage) <= len(text) else fuzz.ratio
    return float(measure(passage, text, score_cutoff=100.0 * at_least)) / 100.0


def _by_characters(name: str) -> Measure:
    def measure(got: str, wanted: str) -> float:
        from rapidfuzz import distance, fuzz

        if name == "jaro_winkler":
            return float(distance.JaroWinkler.similarity(got, wanted))
        if not got or not wanted:
            return float(got == wanted)
        functions = {
            "ratio": fuzz.ratio,
            "partial": fuzz.partial_ratio,
            "token_sort": fuzz.token_sort_ratio,
            "token_set": fuzz.token_set_ratio,
        }
        return float(functions[name](got, wanted)) / 100.0

    return measure
