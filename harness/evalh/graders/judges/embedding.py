"""`embedding_similarity`: the output means nearly what the expected text means, as a model's embeddings tell."""

from collections.abc import Sequence
from math import fsum, isfinite, sqrt

import msgspec
from pydantic import Field

from evalh.core.attempt import Answer, Purpose
from evalh.core.case import ABSENT
from evalh.core.request import Message, Role
from evalh.core.strict_json import JsonValue
from evalh.core.verdict import Asker, EarlyVerdict, Form, GradeContext, Question, Verdict
from evalh.graders.judges.asking import UnreadableReplyError, by_asking
from evalh.graders.judges.panel import answers
from evalh.graders.kinds import Compiled, Scope, built_in
from evalh.graders.quoting import shown
from evalh.graders.reading import Compared, Expectation, Unreadable

_MOST_TEXTS = 16  # that one output is compared with: each is a request of its own
_NOTHING_WRITTEN = {"max_tokens": 0}  # what bounds the output, and its price


@built_in("embedding_similarity", semantics=2)
class EmbeddingSimilarity(Compared):
    """The cosine of two texts' embeddings reaches the pass mark. The most similar of several expected texts counts."""

    model: str = Field(description="The model whose embeddings are compared.")
    pass_mark: float = Field(gt=0, le=1, description="The cosine that passes.")
    value: str | tuple[str, ...] | None = Field(None, description="A text, or a list of texts, instead of the case's.")

    def compile(self, scope: Scope) -> Compiled:
        """Fix whom to ask, where to look and what to compare with. Raises WorkspaceError."""
        texts = [self.value] if isinstance(self.value, str) else self.value
        if texts is not None and not (texts and all(text.strip() for text in texts)):
            raise scope.wrong("has an empty value, which has no meaning to compare with", at=("value",))
        scope.environment.models.require(self.model, scope.where_of("model"), embeds=True)
        place = self.place(scope)
        expectation = self.expectation(scope, ABSENT if self.value is None else self.value)
        form = Form(purpose=Purpose.EMBEDDING, params=_NOTHING_WRITTEN).shared()

        def questions(ctx: GradeContext) -> tuple[Question, ...]:
            try:
                wanted = _texts(expectation, ctx)
            except EarlyVerdict:
                return ()
            try:
                return self._questions(form, place.text(ctx), wanted)
            except Unreadable:
                return self._questions(form, "", wanted)

        async def ask(ctx: GradeContext, asker: Asker) -> Verdict:
            wanted = _texts(expectation, ctx)
            got = place.text(ctx)
            if got in wanted:
                return Verdict.scored(1.0, self.pass_mark, f"the same text as {shown(got)}")
            if not got.strip():
                return Verdict.check(False, f"{place} is empty")
            return self._verdict(await answers(asker, self._questions(form, got, wanted)), wanted)

        models = scope.environment.models

        def judges_by() -> JsonValue:
            stated = {name: value for name, value in self.model_dump(exclude={"model"}).items() if value}
            return [models.document(self.model), stated]

        return Compiled(
            by_asking(f"the embeddings of {self.model!r}", ask),
            needs_expected=expectation.needs_expected,
            models=(self.model,),
            forms=(form,),
            questions=questions,
            judges_by=judges_by,
        )

    def _questions(self, form: Form, got: str, wanted: Sequence[str]) -> tuple[Question, ...]:
        """Ask for each text by itself: an expected one is bought once for all versions that are compared with it."""
        return tuple(
            Question(form=form, messages=(Message.of(Role.USER, text),), model=self.model, shown=0 if number else 1)
            for number, text in enumerate((got, *wanted))
        )

    def _verdict(self, replies: Sequence[Answer], wanted: Sequence[str]) -> Verdict:
        """Compare. Raises UnreadableReplyError: where one is missing, the nearest is not known."""
        names = {reply.completion.model for reply in replies}
        if len(names) > 1:
            said = " and ".join(sorted(map(str, names)))
            raise UnreadableReplyError(f"they come from {said}, and cannot be compared; --fresh asks for all again")
        got, *others = [_vector(reply.completion.text) for reply in replies]
        score, nearest = max((cosine(got, other), text) for other, text in zip(others, wanted, strict=True))
        return Verdict.scored(min(max(score, 0.0), 1.0), self.pass_mark, f"cosine {score:.3f} to {shown(nearest)}")


def _texts(expectation: Expectation, ctx: GradeContext) -> list[str]:
    """Return the texts to compare with, each once. Raises EarlyVerdict."""
    texts = list(dict.fromkeys(expectation.texts(ctx, blank=False)))
    if len(texts) > _MOST_TEXTS:
        raise EarlyVerdict(Verdict.error(f"{len(texts)} expected texts; at most {_MOST_TEXTS} are compared"))
    return texts


def _vector(reply: str) -> list[float]:
    try:
        return msgspec.json.decode(reply, type=list[float])
    except msgspec.DecodeError:
        raise UnreadableReplyError("a reply is not a list of numbers") from None


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the cosine of the angle between two vectors. Raises UnreadableReplyError where there is no angle."""
    if len(one) != len(other):
        raise UnreadableReplyError(f"two differ in length: {len(one)} and {len(other)} numbers")
    try:
        lengths = sqrt(fsum(x * x for x in one)) * sqrt(fsum(x * x for x in other))
        value = fsum(x * y for x, y in zip(one, other, strict=True)) / lengths
    except (ZeroDivisionError, OverflowError, ValueError):
        value = float("nan")
    if not isfinite(value):
        raise UnreadableReplyError("one cannot be compared: its numbers are all 0, or too large")
    return value
