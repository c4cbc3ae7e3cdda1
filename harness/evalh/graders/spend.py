"""`latency` and `cost`: what the output took. An answer from the store counts as when it was bought."""

from decimal import Decimal

from pydantic import Field

from evalh.core.attempt import Latency
from evalh.core.verdict import GradeContext, Verdict
from evalh.graders.kinds import Compiled, Parameters, Scope, built_in


@built_in("latency", short="max_ms", semantics=2)
class MaxLatency(Parameters):
    """The answer was fast enough."""

    max_ms: float = Field(ge=0, description="Milliseconds.")

    def compile(self, scope: Scope) -> Compiled:  # noqa: ARG002 (every kind is compiled alike)
        def judge(ctx: GradeContext) -> Verdict:
            latency = Latency(ctx.completion.latency_ms) if ctx.latency is None else ctx.latency
            took = latency.total_ms
            if took is None:
                return Verdict.abstain("the latency is not known")
            of = "" if latency.whole else " in its last attempt (an older evalh recorded only that)"
            return Verdict.check(took <= self.max_ms, f"{took:.0f} ms{of}; at most {self.max_ms:g}")

        return Compiled(judge)


@built_in("cost", short="max_usd")
class Cost(Parameters):
    """The answer was cheap enough, failed attempts included."""

    max_usd: float = Field(ge=0, description="US dollars.")

    def compile(self, scope: Scope) -> Compiled:  # noqa: ARG002 (every kind is compiled alike)
        limit = Decimal(str(self.max_usd))

        def judge(ctx: GradeContext) -> Verdict:
            cost = ctx.cost_usd
            if cost is None:
                return Verdict.abstain("the cost is not known")
            return Verdict.check(cost <= limit, f"{cost:f} USD; at most {limit:f}")

        return Compiled(judge)
