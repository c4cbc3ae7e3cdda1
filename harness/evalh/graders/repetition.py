"""`repetition`: the output says the same again and again, as a model does that has run into a loop."""

import zlib
from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta

from evalh.core.values import Value
from evalh.core.verdict import GradeContext, Verdict
from evalh.graders.kinds import Compiled, Parameters, Scope, built_in
from evalh.graders.output import Place, Unreadable, output_json, strings_in
from evalh.graders.quoting import one_line

_READ = 100_000  # characters, from the end: that is where a model loops until it is cut
_GRAM = 4  # words
_TOO_SHORT = 100  # bytes under which compression says nothing

Share = Annotated[float, Meta(gt=0, le=1)]
AtLeastOne = Annotated[float, Meta(ge=1)]


@built_in("repetition", semantics=2)
class Repetition(Parameters, frozen=True, kw_only=True):
    """The output repeats itself no more than it may."""

    max_share: Share = 0.5
    max_in_a_row: Annotated[int, Meta(ge=1)] = 5
    max_compression: AtLeastOne = 5.0
    path: str | None = None
    fenced: bool = False

    def compile(self, scope: Scope) -> Compiled:
        """Fix where to look and how much may be repeated."""
        place = Place(scope.path(self.path), self.fenced)

        def judge(ctx: GradeContext) -> Verdict:
            text = place.text(ctx) if place.path is not None else _prose(ctx, fenced=self.fenced)
            if isinstance(text, Unreadable):
                return Verdict.check(False, text.reason)
            return self._judge(text[-_READ:])

        return Compiled(judge)

    def _judge(self, text: str) -> Verdict:
        """Score 1 / (1 + the worst measure as a share of its bound): 0.5 where it stands at the bound."""
        said = repeated(text.split())
        compression = compressed(text)
        share = f"{said.share:.0%} of its {_GRAM}-word phrases stand in it before"
        measures = [
            (said.in_a_row / self.max_in_a_row, f"{one_line(said.phrase, 40)!r} {said.in_a_row} times in a row"),
            (said.share / self.max_share, share),
            (compression / self.max_compression, f"it shrinks to 1/{compression:.1f} when it is compressed"),
        ]
        worst = max(measure for measure, _ in measures)
        reason = next((reason for measure, reason in measures if measure > 1.0), share)
        return Verdict.scored(1.0 / (1.0 + worst), 0.5, reason)


class Repeated(Value):
    """How far words repeat: `share` of the 4-word phrases that occurred before, and the longest row of one phrase."""

    share: float
    in_a_row: int
    phrase: str


def repeated(words: Sequence[str]) -> Repeated:
    """Look at each phrase once. A row is one phrase directly behind itself: `a b a b a b` are three `a b`."""
    last: dict[tuple[str, ...], int] = {}
    again = same_distance = distance = 0
    times, end, length = 1, 0, 0
    for place, gram in enumerate(zip(*(words[skipped:] for skipped in range(_GRAM)), strict=False)):
        before = last.get(gram)
        last[gram] = place
        if before is None:
            distance = 0
            continue
        again += 1
        same_distance = same_distance + 1 if place - before == distance else 1
        distance = place - before
        now = (same_distance + _GRAM - 1) // distance + 1
        if now > times:
            times, end, length = now, place + _GRAM, distance
    grams = max(len(words) - _GRAM + 1, 1)
    return Repeated(again / grams, times, " ".join(words[end - length : end]))


def compressed(text: str) -> float:
    """Return how many times smaller DEFLATE makes the text; 1 where it is too short to tell."""
    data = text.encode("utf-8", "surrogatepass")
    return max(len(data) / len(zlib.compress(data, 1)), 1.0) if len(data) >= _TOO_SHORT else 1.0


def _prose(ctx: GradeContext, *, fenced: bool) -> str:
    """Return what is read: the longest string of a JSON output, since records repeat their keys, else the text."""
    if fenced or ctx.text.lstrip()[:1] in ("{", "["):
        value = output_json(ctx, fenced=fenced)
        if isinstance(value, dict | list):
            return max(strings_in(value), key=len, default="")
    return ctx.text
