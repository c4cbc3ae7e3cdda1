"""Checks of an output inside a route: graders that need no gold, and what they said.

How a model is told about an answer: its own that did not fit, or another model's that is in doubt.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from evalh.core.attempt import Call, Completion, Latency
from evalh.core.case import ABSENT, Case
from evalh.core.ports import Check, Clock
from evalh.core.request import Message, Request, Role
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.core.verdict import GradeContext, Outcome, Verdict, with_cause
from evalh.routing.asking import Inquiry
from evalh.routing.wrapper import spent


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


_REPAIR = """Your answer was not accepted: {reason}

Answer the request again, correctly. Give only the answer, in the form that was asked for."""

_VERIFY = """Check the answer above against the request. If it is right, repeat it word for word. If it is wrong or
incomplete, give the right answer instead. Give only the answer, in the form that was asked for."""

_REASON = 400
"""Characters of a reason that a model is told: a grader of one's own may say anything."""

REPAIR_TOKENS = len(_REPAIR) + 4 * _REASON
"""What being asked to repair adds to a request at most, beside the answer: a token for each byte."""

VERIFY_TOKENS = len(_VERIFY)
"""What being asked to verify adds."""


def asked_to_repair(request: Request, completion: Completion, findings: Findings) -> Request:
    """Return the request with the answer that did not fit, and what was wrong with it."""
    return _with(request, completion, _REPAIR.format(reason=findings.reason[:_REASON]))


def asked_to_verify(request: Request, completion: Completion) -> Request:
    """Return the request with an answer to confirm or correct."""
    return _with(request, completion, _VERIFY.replace("\n", " "))


def _with(request: Request, completion: Completion, words: str) -> Request:
    # An empty answer stands as a blank: providers refuse an empty message.
    said = Message.of(Role.ASSISTANT, completion.text or " ")
    return Request((*request.messages, said, Message.of(Role.USER, words)), request.settings)
