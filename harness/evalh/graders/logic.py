"""`not`, `any_of` and `all_of`: graders made of graders.

Three-valued logic: `abstain` and `error` both mean "not known". A grader made of graders says "not known" only where
what is known does not decide, and then it says `error` if any part erred.
"""

from collections.abc import Awaitable
from typing import Annotated

from pydantic import Field

from evalh.core.declared import Words
from evalh.core.verdict import GradeContext, Outcome, Verdict
from evalh.graders.kinds import Compiled, Grader, Parameters, Scope, built_in
from evalh.graders.parts import Entry, plain_part
from evalh.graders.quoting import one_line

_OPPOSITES = {Outcome.PASS: Outcome.FAIL, Outcome.FAIL: Outcome.PASS}


@built_in("not", short="grader", holds_entry=True)
class Not(Parameters):
    """The opposite of another grader: pass and fail are swapped. abstain and error stay."""

    grader: Entry = Field(description="A grader, written as in a suite's list of graders.")

    def compile(self, scope: Scope) -> Compiled:
        part = plain_part(scope.at("grader"), self.grader)

        def judge(ctx: GradeContext) -> Verdict | Awaitable[Verdict]:
            verdict = part.judge(ctx)
            return _opposite(part, verdict) if isinstance(verdict, Verdict) else later(verdict)

        async def later(verdict: Awaitable[Verdict]) -> Verdict:
            return _opposite(part, await verdict)

        return Compiled(judge, needs_expected=part.needs_expected, parts=(part,))


def _opposite(part: Grader, verdict: Verdict) -> Verdict:
    reason = f"not {part.name}: {verdict.reason}"
    outcome = _OPPOSITES.get(verdict.outcome)
    if outcome is None:
        return Verdict(verdict.outcome, None, reason)
    return Verdict(outcome, None if verdict.score is None else 1.0 - verdict.score, reason)


class _Several(Parameters):
    graders: Annotated[tuple[Entry, ...], Words("a list of graders")] = Field(
        description="Graders, written as in a suite's list of graders."
    )

    def joined(self, scope: Scope, decisive: Outcome) -> Compiled:
        """Ask the graders in order, up to the first whose outcome decides."""
        if not self.graders:
            raise scope.wrong("has no graders")
        parts = tuple(plain_part(scope.at("graders", place), entry) for place, entry in enumerate(self.graders))

        def judge(ctx: GradeContext) -> Verdict | Awaitable[Verdict]:
            said: list[Verdict] = []
            for part in parts:
                verdict = part.judge(ctx)
                if not isinstance(verdict, Verdict):
                    return later(ctx, verdict, said)
                said.append(verdict)
                if verdict.outcome is decisive:
                    break
            return _joined(parts, said, decisive)

        async def later(ctx: GradeContext, pending: Awaitable[Verdict], said: list[Verdict]) -> Verdict:
            said.append(await pending)
            while said[-1].outcome is not decisive and len(said) < len(parts):
                verdict = parts[len(said)].judge(ctx)
                said.append(verdict if isinstance(verdict, Verdict) else await verdict)
            return _joined(parts, said, decisive)

        return Compiled(judge, needs_expected=any(part.needs_expected for part in parts), parts=parts)


def _joined(parts: tuple[Grader, ...], said: list[Verdict], decisive: Outcome) -> Verdict:
    """Combine: the decisive outcome wins; then what is not known, error before abstain; else its opposite.

    The score is the best one of `any_of` and the worst of `all_of`, among the graders that were asked.
    """
    outcomes = {verdict.outcome for verdict in said}
    order = (decisive, Outcome.ERROR, Outcome.ABSTAIN)
    outcome = next((one for one in order if one in outcomes), _OPPOSITES[decisive])
    telling = [
        f"{part.name}: {verdict.reason}"
        for part, verdict in zip(parts, said, strict=False)  # those behind the decisive one were not asked
        if verdict.outcome is outcome
    ]
    reason = one_line("; ".join(telling), 400)
    if outcome in {Outcome.ABSTAIN, Outcome.ERROR}:
        return Verdict(outcome, None, reason)
    pick = max if decisive is Outcome.PASS else min
    return Verdict(outcome, pick(verdict.score for verdict in said if verdict.score is not None), reason)


@built_in("any_of", short="graders")
class AnyOf(_Several):
    """One of the graders passes. They run in order until one passes."""

    def compile(self, scope: Scope) -> Compiled:
        return self.joined(scope, Outcome.PASS)


@built_in("all_of", short="graders")
class AllOf(_Several):
    """All of the graders pass. They run in order until one fails."""

    def compile(self, scope: Scope) -> Compiled:
        return self.joined(scope, Outcome.FAIL)
