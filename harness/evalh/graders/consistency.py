"""`self_consistency` and `revision_stability`: does the model say the same again? Confidence, never truth."""

from collections import Counter
from typing import Annotated

from msgspec import Meta

from evalh.core.asking import Form, Question
from evalh.core.attempt import CallError, Purpose
from evalh.core.request import Message, Role
from evalh.core.verdict import Asker, GradeContext, Outcome, Verdict
from evalh.graders.asking import UnreadableReplyError, by_asking
from evalh.graders.kinds import Compiled, Parameters, Scope, built_in
from evalh.graders.output import Unreadable
from evalh.graders.panel import asked_all
from evalh.graders.quoting import one_line
from evalh.graders.sameness import By, another, reducing

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
