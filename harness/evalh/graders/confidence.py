"""`hedging` and `contradiction`: signs in the output itself that its author was not sure. Confidence, never truth.

`logprob`: how likely the model held what it wrote, where its provider says. Confidence, never truth.
"""

import re
from math import exp

from pydantic import Field

from evalh.core.verdict import GradeContext, Outcome, Verdict
from evalh.graders.kinds import Compiled, Parameters, Scope, built_in
from evalh.graders.numbers.number import NumberReader, agree
from evalh.graders.quoting import one_line
from evalh.graders.reading import OutputPlace, Placed, Unreadable, behind

HEDGES = (
    "as far as i can tell",
    "as far as i know",
    "appear to",
    "appears to",
    "can't say",
    "cannot say",
    "could be",
    "hard to say",
    "i am not certain",
    "i am not sure",
    "i assume",
    "i believe",
    "i guess",
    "i suppose",
    "i think",
    "i would guess",
    "i'd guess",
    "i'm not certain",
    "i'm not sure",
    "it is possible",
    "it's possible",
    "likely",
    "may be",
    "maybe",
    "might",
    "not entirely sure",
    "perhaps",
    "possibly",
    "presumably",
    "probably",
    "seem to",
    "seems to",
    "to the best of my knowledge",
    "uncertain",
    "unclear",
    "unlikely",
)
"""Words that take back a part of what is said, in English. A longer phrase counts once."""

_WORD = re.compile(r"\S+")


@built_in("hedging", short="max_per_100_words")
class Hedging(Parameters):
    """The output has few enough hedges, such as "I think"."""

    max_per_100_words: float = Field(0.0, ge=0, description="The largest number of hedges in 100 words.")
    also: tuple[str, ...] = Field((), description="More phrases that count.")

    def compile(self, scope: Scope) -> Compiled:
        """Compile the phrases into one pattern: alternatives of fixed words, read in one pass."""
        if not all(phrase.strip() for phrase in self.also):
            raise scope.wrong("has an empty phrase under also", at=("also",))
        phrases = sorted({*HEDGES, *(phrase.lower().strip() for phrase in self.also)}, key=len, reverse=True)
        words = "|".join(re.escape(phrase).replace(r"\ ", r"\s+") for phrase in phrases)
        pattern = re.compile(rf"(?<!\w)(?:{words})(?!\w)", re.IGNORECASE)

        def judge(ctx: GradeContext) -> Verdict:
            text = ctx.text.replace("\u2019", "'")
            words = sum(1 for _ in _WORD.finditer(text))
            found = pattern.findall(text)
            rate = 100.0 * len(found) / words if words else 0.0
            said = f"; first {one_line(found[0], 40)!r}" if found else ""
            reason = f"{rate:.1f} hedges in 100 words{said}; at most {self.max_per_100_words:g}"
            return Verdict.scored(1.0 / (1.0 + rate), 1.0 / (1.0 + self.max_per_100_words), reason)

        return Compiled(judge)


@built_in("contradiction", semantics=2)
class Contradiction(Placed):
    """The answer equals the result of the output's own reasoning."""

    after: str | None = Field(
        None, description="The text before the answer, such as ####. If there are several, the last counts."
    )
    rationale: str | None = Field(None, description="With path: the place of the reasoning in the output's JSON.")

    def compile(self, scope: Scope) -> Compiled:
        if (self.after is None) == (self.path is None) or (self.path is None) != (self.rationale is None):
            raise scope.wrong("needs after, or path and rationale", 'contradiction: {after: "####"}')
        if self.after == "":
            raise scope.wrong("has an empty tag", at=("after",))
        answer, rationale = self.place(scope), OutputPlace(scope.path(self.rationale, "rationale"), self.fenced)

        def judge(ctx: GradeContext) -> Verdict:
            if self.after is None:
                return _agree(rationale.json(ctx), answer.json(ctx))
            said = behind(ctx.text, self.after)
            return _agree(ctx.text.rpartition(self.after)[0], said)

        return Compiled(judge)


def _agree(rationale: object, answer: object) -> Verdict:
    reader = NumberReader()
    try:
        stated = reader.read(answer)
    except Unreadable as exc:
        return Verdict.check(False, f"the answer: {exc}")
    try:
        reached = reader.read(rationale)
    except Unreadable as exc:
        return Verdict.abstain(f"the reasoning: {exc}")
    same = agree(stated, reached)
    if isinstance(same, str):
        return Verdict.abstain(f"the reasoning comes to {reached}, the answer is {stated}: {same}")
    return Verdict.check(same, f"the reasoning comes to {reached}" + ("" if same else f", the answer is {stated}"))


@built_in("logprob", short="mean_at_least")
class Logprob(Parameters):
    """The model considered the tokens of its answer likely enough."""

    mean_at_least: float | None = Field(
        None, le=0, description="The lowest mean log-probability of the answer's tokens."
    )
    min_at_least: float | None = Field(None, le=0, description="The lowest log-probability of the least likely token.")

    def compile(self, scope: Scope) -> Compiled:
        """Fix the bounds. Raises WorkspaceError where there is none."""
        if self.mean_at_least is None and self.min_at_least is None:
            raise scope.wrong("needs mean_at_least or min_at_least", "logprob: {mean_at_least: -0.2}")
        return Compiled(self._judge, needs_logprobs=True)

    def _judge(self, ctx: GradeContext) -> Verdict:
        logprobs = ctx.completion.logprobs
        if logprobs is None:
            return Verdict.abstain("the answer has no token log-probabilities")
        measures = (("mean", logprobs.mean, self.mean_at_least), ("min", logprobs.least, self.min_at_least))
        bounds = [(name, value, bound) for name, value, bound in measures if bound is not None]
        reasons = [f"{name} {value:.4g}; at least {bound:g}" for name, value, bound in bounds if value is not None]
        low = any(value is not None and value < bound for _, value, bound in bounds)
        if not low and len(reasons) < len(bounds):
            return Verdict.abstain("the answer has no log-probability of its least likely token")
        return Verdict(Outcome.FAIL if low else Outcome.PASS, exp(logprobs.mean), ", ".join(reasons))
