"""`logprob`: how likely the model held what it wrote, where its provider says. Confidence, never truth."""

from math import exp
from typing import Annotated

from msgspec import Meta

from evalh.core.verdict import GradeContext, Outcome, Verdict
from evalh.graders.kinds import Compiled, Parameters, Scope, built_in

Bound = Annotated[float, Meta(le=0)]


@built_in("logprob", short="mean_at_least")
class Logprob(Parameters, frozen=True, kw_only=True):
    """The output's tokens were likely enough to the model that wrote them."""

    mean_at_least: Bound | None = None
    min_at_least: Bound | None = None

    def compile(self, scope: Scope) -> Compiled:
        """Fix the bounds. Raises WorkspaceError where there is none."""
        if self.mean_at_least is None and self.min_at_least is None:
            raise scope.wrong("needs mean_at_least or min_at_least", "logprob: {mean_at_least: -0.2}")
        return Compiled(self._judge, needs_logprobs=True)

    def _judge(self, ctx: GradeContext) -> Verdict:
        told = ctx.completion.logprobs
        if told is None:
            return Verdict.abstain("the answer carries no token log-probabilities")
        measures = (("mean", told.mean, self.mean_at_least), ("min", told.least, self.min_at_least))
        stated = [(name, value, bound) for name, value, bound in measures if bound is not None]
        said = [f"{name} {value:.4g}; at least {bound:g}" for name, value, bound in stated if value is not None]
        low = any(value is not None and value < bound for _, value, bound in stated)
        if not low and len(said) < len(stated):
            return Verdict.abstain("the answer does not say its least likely token's log-probability")
        return Verdict(Outcome.FAIL if low else Outcome.PASS, exp(told.mean), ", ".join(said))
