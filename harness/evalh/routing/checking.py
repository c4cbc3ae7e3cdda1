"""Checks of an output inside a route, by graders that need no gold; repairs and cascades.

A repair asks the same model again, differently. A cascade routes by the output, not by the input: a cheap first model,
and a stronger one if its answer is in doubt.
"""

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from evalh.core.attempt import Call, Completion, Latency
from evalh.core.case import ABSENT, Case
from evalh.core.ports import Check, Provider
from evalh.core.request import Message, Request, Role, Settings
from evalh.core.route import CascadePolicy, EscalateBy, RepairBy, RepairPolicy
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.core.verdict import GradeContext, Outcome, Verdict, with_cause
from evalh.routing.asking import Inquiry
from evalh.routing.run_context import Decisions
from evalh.routing.wrapper import Wrapper, spent


class Findings(Value):
    """The checks' verdicts on one output, in the route's order."""

    verdicts: tuple[tuple[str, Verdict], ...]

    @property
    def trusted(self) -> bool:
        """Whether every check passed. A check that abstains or errs has not passed."""
        return all(verdict.outcome is Outcome.PASS for _, verdict in self.verdicts)

    @property
    def reason(self) -> str:
        """The first verdict that is not a pass, for people."""
        for name, verdict in self.verdicts:
            if verdict.outcome is not Outcome.PASS:
                return f"{name}: {verdict.reason}"
        return "every check passed"

    def document(self) -> list[JsonValue]:
        """Return the verdicts as JSON; they are always stored, so that thresholds can be studied."""
        return [
            {"check": name, "outcome": verdict.outcome.value, "score": verdict.score, "reason": verdict.reason}
            for name, verdict in self.verdicts
        ]


class Examiner(Value):
    """Runs a route's checks on an output, and records the decision."""

    checks: Sequence[Check]
    decisions: Decisions
    inquiry: Inquiry | None = None  # for checks that ask models

    async def examine(self, completion: Completion, call: Call, request: Request) -> Findings:
        """Run every check, also after one has failed: their verdicts are recorded.

        Their spending is part of the call's cost, and their time of its latency.
        """
        asker = None if self.inquiry is None else self.inquiry.about(call, part=True)
        case = call.case or Case(call.key.case_id, {})
        context = GradeContext(
            case=replace(case, expected=ABSENT),  # a route must work without gold
            completion=completion,
            request=call.request,
            output_schema=request.settings.output_schema,
            cost_usd=spent(call),
            trial=call.key.trial,
            step=call.key.step,
            latency=call.latency,
            asker=asker,
        )
        clock = self.decisions.clock
        began = clock.monotonic()
        verdicts = [(check.name, with_cause(await check.check(context), completion)) for check in self.checks]
        took_ms = (clock.monotonic() - began) * 1000.0
        call.latency = call.latency.plus(Latency(checks_ms=took_ms) if asker is None else asker.checks(took_ms))
        return Findings(tuple(verdicts))


_REPAIR = """Your answer was not accepted: {reason}

Answer the request again, correctly. Give only the answer, in the form that was asked for."""

_VERIFY = """Check the answer above against the request. If it is right, repeat it word for word. If it is wrong or
incomplete, give the right answer instead. Give only the answer, in the form that was asked for."""

_REASON = 400
"""Most characters of a reason in a repair request: a user's grader may return any text."""

REPAIR_TOKENS = len(_REPAIR) + 4 * _REASON
"""The most tokens that a repair adds to a request, beside the answer: one per byte."""

VERIFY_TOKENS = len(_VERIFY)
"""The most tokens that a verification adds."""


def _asked_about(request: Request, completion: Completion, words: str) -> Request:
    """Return the request with an answer to it, and what is to be done about that."""
    # An empty answer becomes a blank: providers refuse an empty message.
    answer = Message.of(Role.ASSISTANT, completion.text or " ")
    return Request((*request.messages, answer, Message.of(Role.USER, words)), request.settings, inputs=request.inputs)


_WARM = 0.7  # warm enough for a second draw to differ from a first one at 0
_WARMER = 0.1  # without a seed only the temperature can change the request
_WARMEST = 1.0  # every provider accepts it


class Repairing(Wrapper):
    """Checks a model's answer and asks again, differently, while a check does not pass.

    The same request is never sent again for an invalid output. After the last attempt the last
    output is returned as it is: it is an answer, and the graders judge it.
    """

    def __init__(self, inner: Provider, policy: RepairPolicy, examiner: Examiner) -> None:
        super().__init__(inner)
        self._policy = policy
        self._examiner = examiner

    async def send(self, request: Request, call: Call) -> Completion:
        """Return the first output that passes, otherwise the last. Raises CallError, NotSent."""
        current = request
        for number in range(self._policy.attempts + 1):
            completion = await self.inner.send(current, call)
            findings = await self._examiner.examine(completion, call, request)
            last = number == self._policy.attempts
            another = None if findings.trusted or last else self._different(current, completion, findings)
            kind = "fits" if findings.trusted else "repair" if another else "unrepaired"
            detail = {"model": self.name, "by": self._policy.by.value, "checks": findings.document()}
            self._examiner.decisions.tell(call, kind, findings.reason, detail)
            if another is None:
                break
            call.reasons.append("repair")
            current = another
        return completion

    def _different(self, previous: Request, completion: Completion, findings: Findings) -> Request | None:
        # Built on the last request, so that a model that repeats itself does not get the same request again.
        match self._policy.by:
            case RepairBy.FEEDBACK:
                return _asked_about(previous, completion, _REPAIR.format(reason=findings.reason[:_REASON]))
            case RepairBy.VARY:
                params = _varied(previous.settings, self.params)
                if params == previous.settings.params:
                    return None  # the same request would not be a repair
                return Request(previous.messages, replace(previous.settings, params=params), inputs=previous.inputs)


def _varied(settings: Settings, stated: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return params with a higher temperature and the next seed; unchanged if neither may be sent.

    `stated` are the workspace's overrides; null removes a param that the model refuses.
    """
    params = dict(settings.params)
    temperature, seed = params.get("temperature"), params.get("seed")
    seeded = "seed" not in stated or stated["seed"] is not None
    if seeded:
        params["seed"] = seed + 1 if isinstance(seed, int) else 1
    if "temperature" not in stated or stated["temperature"] is not None:
        known = temperature if isinstance(temperature, int | float) else 0.0
        params["temperature"] = max(_WARM, known if seeded or known >= _WARMEST else round(known + _WARMER, 3))
    return params


class Cascading(Wrapper):
    """Asks the first model, checks its answer, and asks the stronger one if a check does not pass.

    The checks' verdicts are stored for every call, also if the first answer is kept.
    """

    def __init__(self, first: Provider, stronger: Provider, policy: CascadePolicy, examiner: Examiner) -> None:
        super().__init__(first, stronger)
        self._stronger = stronger
        self._policy = policy
        self._examiner = examiner

    async def send(self, request: Request, call: Call) -> Completion:
        """Return the first answer if it passes, otherwise the stronger model's. Raises CallError, NotSent."""
        completion = await self.inner.send(request, call)
        findings = await self._examiner.examine(completion, call, request)
        detail = {
            "from": self.name,
            "to": self._stronger.name,
            "answer": call.answered_by,  # the attempt in question: a fallback's, if the first model gave no answer
            "checks": findings.document(),
        }
        kind = "keep" if findings.trusted else "escalate"
        self._examiner.decisions.tell(call, kind, findings.reason, detail)
        if findings.trusted:
            return completion
        call.reasons.append("escalation")
        if self._policy.by is EscalateBy.VERIFY:
            request = _asked_about(request, completion, _VERIFY.replace("\n", " "))
        return await self._stronger.send(request, call)
