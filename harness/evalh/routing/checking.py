"""Checks of an output inside a route: graders that need no gold, and what they said."""

from collections.abc import Sequence

from msgspec.structs import replace

from evalh.core.attempt import Call, Completion
from evalh.core.case import ABSENT, Case
from evalh.core.digest import JsonValue
from evalh.core.latency import Latency
from evalh.core.ports import Check, Clock
from evalh.core.request import Request
from evalh.core.shortfall import with_cause
from evalh.core.values import Value
from evalh.core.verdict import GradeContext, Outcome, Verdict
from evalh.routing.asking import Inquiry
from evalh.routing.remembered import spent


class Findings(Value):
    """What every check said of one output, in the route's order."""

    verdicts: tuple[tuple[str, Verdict], ...]

    @property
    def trusted(self) -> bool:
        """Whether every check passed. One that abstains or errs is no reason to trust."""
        return all(verdict.outcome is Outcome.PASS for _, verdict in self.verdicts)

    @property
    def reason(self) -> str:
        """The first thing that was found, for people."""
        for name, verdict in self.verdicts:
            if verdict.outcome is not Outcome.PASS:
                return f"{name}: {verdict.reason}"
        return "every check passed"

    def document(self) -> list[JsonValue]:
        """Return the verdicts as JSON: they are stored even where nothing followed, so thresholds can be studied."""
        return [
            {"check": name, "outcome": verdict.outcome.value, "score": verdict.score, "reason": verdict.reason}
            for name, verdict in self.verdicts
        ]


async def examine(
    checks: Sequence[Check],
    completion: Completion,
    call: Call,
    request: Request,
    clock: Clock,
    inquiry: Inquiry | None = None,
) -> Findings:
    """Ask every check. All are asked, also after one has failed: what they would have said is worth knowing.

    What checks spend on models is part of what the call costs, and their time of how long it takes.
    """
    asker = None if inquiry is None else inquiry.about(call, part=True)
    case = call.case or Case(call.key.case_id, {})
    context = GradeContext(
        case=replace(case, expected=ABSENT),  # a route works where nobody knows the right answer
        completion=completion,
        request=call.request,
        output_schema=request.settings.output_schema,
        cost_usd=spent(call),
        trial=call.key.trial,
        step=call.key.step,
        latency=call.latency,
        asker=asker,
    )
    began = clock.monotonic()
    findings = Findings(tuple([(one.name, with_cause(await one.check(context), completion)) for one in checks]))
    took_ms = (clock.monotonic() - began) * 1000.0
    call.latency = call.latency.plus(Latency(checks_ms=took_ms) if asker is None else asker.spans.checks(took_ms))
    return findings
