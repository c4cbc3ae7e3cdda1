"""`self_consistency` and `revision_stability`: does the model say the same again? Confidence, never truth.

When two answers say the same: by their label, by a number, or as JSON.
"""

from collections import Counter
from collections.abc import Callable, Hashable
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta
from msgspec.structs import replace

from evalh.core.attempt import CallError, Completion, Purpose
from evalh.core.digest import canonical
from evalh.core.request import Message, Role
from evalh.core.strict_json import JsonValue
from evalh.core.verdict import Asker, Form, GradeContext, Outcome, Question, Verdict
from evalh.graders.judges.asking import UnreadableReplyError, by_asking
from evalh.graders.judges.panel import asked_all
from evalh.graders.kinds import Compiled, Parameters, Scope, built_in
from evalh.graders.numbers.number import number_reader
from evalh.graders.quoting import one_line
from evalh.graders.reading import OutputPlace, Unreadable, folded

By: TypeAlias = Literal["label", "number", "json"]
Reduced: TypeAlias = Hashable | Unreadable
Reduce: TypeAlias = Callable[[GradeContext], Reduced]
"""Reduces an answer to what must agree."""

_ENDS = " \t\n.,;:!?*_`'\"()[]"


def reducing(scope: Scope, by: By, path: str | None, after: str | None, *, fenced: bool) -> Reduce:
    """Return what reduces an answer. Raises WorkspaceError for a path that cannot be read, or where both are stated."""
    if path is not None and after is not None:
        raise scope.wrong("states both path and after", "one of them says where the answer stands")
    if after == "":
        raise scope.wrong("has an empty tag")
    if by == "json" and after is not None:
        raise scope.wrong("compares JSON, which has no tag", "path: label")
    place = OutputPlace(scope.path(path), fenced)
    reader = number_reader()

    def reduce(ctx: GradeContext) -> Reduced:
        source = place.json(ctx) if by == "json" or path is not None else _behind(ctx.text, after)
        if isinstance(source, Unreadable):
            return source
        if by == "number":
            reading = reader.read(source)
            if isinstance(reading, Unreadable):
                return reading
            return Unreadable(reading.doubt) if reading.doubt else reading.key
        if by == "json":
            return canonical(_numbers(folded(source, ignore_case=True, trim=True)))
        text = source if isinstance(source, str) else canonical(source).decode("utf-8", "surrogatepass")
        label = " ".join(text.split()).strip(_ENDS).casefold()
        return label or Unreadable("there is no answer in it")

    return reduce


def _behind(text: str, after: str | None) -> str | Unreadable:
    if after is None:
        return text
    _, tag, behind = text.rpartition(after)
    return behind if tag else Unreadable(f"there is no {after!r} in it")


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


Share = Annotated[float, Meta(ge=0, le=1)]
MOST = 50

_REVISE = """Look at your answer again. What did it assume? What would have to be true for it to be wrong? Then give
your final answer to the request, in the form that was asked for, and nothing else."""


@built_in("self_consistency", short="k", semantics=2)
class SelfConsistency(Parameters, frozen=True, kw_only=True):
    """The model, asked k times more, says the same."""

    k: Annotated[int, Meta(ge=1, le=MOST)] = 5
    threshold: Share = 0.6
    by: By = "label"
    path: str | None = None
    after: str | None = None
    fenced: bool = False
    temperature: Annotated[float, Meta(ge=0)] = 0.8

    def compile(self, scope: Scope) -> Compiled:
        """Fix what is asked and what must agree. Raises WorkspaceError."""
        reduce = reducing(scope, self.by, self.path, self.after, fenced=self.fenced)
        # A form for each draw: a provider that draws by its seed would draw the same again.
        forms = tuple(
            Form(purpose=Purpose.SAMPLE, params={"temperature": self.temperature, "seed": draw}, again=True)
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
            if isinstance(own, Unreadable):
                return Verdict.check(False, own.reason)
            replies = await asked_all(asker, questions(ctx))
            for reply in replies:
                if isinstance(reply, CallError):
                    raise reply
            said = [reduce(another(ctx, one.completion)) for one in replies if not isinstance(one, CallError)]
            return self._verdict(own, Counter(one for one in said if not isinstance(one, Unreadable)))

        return Compiled(by_asking("the model", ask), forms=forms, questions=questions)

    def _verdict(self, own: object, said: "Counter[object]") -> Verdict:
        agree = said[own]
        most = max(said.values(), default=0)
        share = agree / self.k
        reason = f"{agree} of {self.k} samples agree; at least {self.threshold:g} must"
        if agree < most:
            return Verdict(Outcome.FAIL, share, f"{reason}; {most} say something else")
        return Verdict.scored(share, self.threshold, reason)


@built_in("revision_stability", semantics=2)
class RevisionStability(Parameters, frozen=True, kw_only=True):
    """The answer survives its own critique: asked to look again, the model says the same."""

    by: By = "label"
    path: str | None = None
    after: str | None = None
    fenced: bool = False

    def compile(self, scope: Scope) -> Compiled:
        """Fix what must stay the same. Raises WorkspaceError."""
        reduce = reducing(scope, self.by, self.path, self.after, fenced=self.fenced)
        form = Form(purpose=Purpose.CRITIQUE, again=True)

        def questions(ctx: GradeContext) -> tuple[Question, ...]:
            before = ctx.request.messages if ctx.request is not None else ()
            said = Message.of(Role.ASSISTANT, ctx.text or " ")  # providers refuse an empty message
            messages = (*before, said, Message.of(Role.USER, _REVISE.replace("\n", " ")))
            return (Question(form=form, messages=messages, draw=1),)

        async def ask(ctx: GradeContext, asker: Asker) -> Verdict:
            if ctx.request is None:
                return Verdict.error("what was asked is not known any more")
            own = reduce(ctx)
            if isinstance(own, Unreadable):
                return Verdict.check(False, own.reason)
            revised = reduce(another(ctx, (await asker.ask(questions(ctx)[0])).completion))
            if isinstance(revised, Unreadable):
                raise UnreadableReplyError(f"after its critique: {revised.reason}")
            same = revised == own
            return Verdict.check(
                same, "the answer stays" if same else one_line(f"after its critique it says {revised}")
            )

        return Compiled(by_asking("the model", ask), forms=(form,), questions=questions)
