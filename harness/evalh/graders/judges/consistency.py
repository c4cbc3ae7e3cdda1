"""`self_consistency` and `revision_stability`: does the model say the same again? Confidence, never truth."""

from collections import Counter
from collections.abc import Callable, Hashable
from contextlib import suppress
from typing import Literal, TypeAlias

from msgspec.structs import replace
from pydantic import Field

from evalh.core.attempt import Completion, Purpose
from evalh.core.digest import canonical
from evalh.core.request import Message, Role
from evalh.core.strict_json import JsonValue
from evalh.core.verdict import Asker, Form, GradeContext, Outcome, Question, Verdict
from evalh.graders.judges.asking import UnreadableReplyError, by_asking
from evalh.graders.judges.panel import answers
from evalh.graders.kinds import Compiled, Scope, built_in
from evalh.graders.numbers.number import NumberReader
from evalh.graders.quoting import one_line
from evalh.graders.reading import Placed, Unreadable, behind, folded

By: TypeAlias = Literal["label", "number", "json"]
Reduce: TypeAlias = Callable[[GradeContext], Hashable]
"""Reduces an answer to what must agree. Raises Unreadable."""

_ENDS = " \t\n.,;:!?*_`'\"()[]"


class Agreement(Placed):
    """What two answers must agree in."""

    by: By = Field("label", description="What is compared: the text, its last number, or all of it as JSON.")
    after: str | None = Field(
        None, description="The text before the answer, such as ####. If there are several, the last counts."
    )

    def reducing(self, scope: Scope) -> Reduce:
        """Return what reduces an answer. Raises WorkspaceError for parameters that contradict each other."""
        if self.path is not None and self.after is not None:
            raise scope.wrong("states both path and after", "state only one of them", ("after",))
        if self.after == "":
            raise scope.wrong("has an empty tag", at=("after",))
        if self.by == "json" and self.after is not None:
            raise scope.wrong(
                "compares JSON, in which no tag is looked for", "state a path instead: path: label", ("after",)
            )
        place, reader = self.place(scope), NumberReader()

        def reduce(ctx: GradeContext) -> Hashable:
            if self.by == "json" or self.path is not None:
                source = place.json(ctx)
            else:
                source = ctx.text if self.after is None else behind(ctx.text, self.after)
            if self.by == "number":
                reading = reader.read(source)
                if reading.doubt:
                    raise Unreadable(reading.doubt)
                return reading.key
            if self.by == "json":
                return canonical(_numbers(folded(source, ignore_case=True, trim=True)))
            text = source if isinstance(source, str) else canonical(source).decode("utf-8", "surrogatepass")
            label = " ".join(text.split()).strip(_ENDS).casefold()
            if not label:
                raise Unreadable("there is no answer in it")
            return label

        return reduce


def _numbers(value: JsonValue) -> JsonValue:
    """Write numbers that are whole as such: in JSON `4.0` is `4`."""
    match value:
        case float() if value.is_integer():
            return int(value)
        case dict():
            return {key: _numbers(inner) for key, inner in value.items()}
        case list():
            return [_numbers(inner) for inner in value]
        case _:
            return value


def another(ctx: GradeContext, completion: Completion) -> GradeContext:
    """Return the same sample with another answer."""
    return replace(ctx, completion=completion, cache={})


MOST = 50

_REVISE = """Look at your answer again. What did it assume? What would have to be true for it to be wrong? Then give
your final answer to the request, in the form that was asked for, and nothing else."""


@built_in("self_consistency", short="k", semantics=2)
class SelfConsistency(Agreement):
    """The same model, asked k more times, gives the same answer."""

    k: int = Field(5, ge=1, le=MOST, description="How many samples are drawn.")
    threshold: float = Field(0.6, ge=0, le=1, description="The share that must agree.")
    temperature: float = Field(0.8, ge=0, description="The temperature of the samples.")

    def compile(self, scope: Scope) -> Compiled:
        reduce = self.reducing(scope)
        # A form for each draw: a provider that draws by its seed would draw the same again.
        forms = tuple(
            Form(purpose=Purpose.SAMPLE, params={"temperature": self.temperature, "seed": draw}, again=True).shared()
            for draw in range(1, self.k + 1)
        )

        def questions(ctx: GradeContext) -> tuple[Question, ...]:
            messages = ctx.request.messages if ctx.request is not None else ()
            return tuple(
                Question(form=form, messages=messages, draw=draw, shown=0) for draw, form in enumerate(forms, start=1)
            )

        async def ask(ctx: GradeContext, asker: Asker) -> Verdict:
            if ctx.request is None:
                return Verdict.error("what was asked is not known any more")
            own = reduce(ctx)
            said: Counter[Hashable] = Counter()
            for reply in await answers(asker, questions(ctx)):
                with suppress(Unreadable):
                    said[reduce(another(ctx, reply.completion))] += 1
            agree, most = said[own], max(said.values(), default=0)
            reason = f"{agree} of {self.k} samples agree; at least {self.threshold:g} must"
            if agree < most:
                return Verdict(Outcome.FAIL, agree / self.k, f"{reason}; another answer: {most} of {self.k}")
            return Verdict.scored(agree / self.k, self.threshold, reason)

        return Compiled(by_asking("the model", ask), forms=forms, questions=questions)


@built_in("revision_stability", semantics=2)
class RevisionStability(Agreement):
    """The model gives the same answer when it is asked to look at it again."""

    def compile(self, scope: Scope) -> Compiled:
        reduce = self.reducing(scope)
        form = Form(purpose=Purpose.CRITIQUE, again=True).shared()

        def questions(ctx: GradeContext) -> tuple[Question, ...]:
            before = ctx.request.messages if ctx.request is not None else ()
            said = Message.of(Role.ASSISTANT, ctx.text or " ")  # providers refuse an empty message
            messages = (*before, said, Message.of(Role.USER, _REVISE.replace("\n", " ")))
            return (Question(form=form, messages=messages, draw=1),)

        async def ask(ctx: GradeContext, asker: Asker) -> Verdict:
            if ctx.request is None:
                return Verdict.error("what was asked is not known any more")
            own = reduce(ctx)
            try:
                revised = reduce(another(ctx, (await asker.ask(questions(ctx)[0])).completion))
            except Unreadable as exc:
                raise UnreadableReplyError(f"after its critique: {exc}") from None
            if revised == own:
                return Verdict.check(True, "the answer did not change")
            return Verdict.check(False, one_line(f"after its critique it says {revised}"))

        return Compiled(by_asking("the model", ask), forms=(form,), questions=questions)
