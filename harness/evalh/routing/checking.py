"""Checks of an output inside a route, by graders that need no gold, and what follows where one does not pass.

A repair asks the same model again, differently. A cascade routes on the output, not on the input: a cheap first pass,
and a stronger model for what is in doubt.
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
        """Whether every check passed. One that abstains or errs is no reason to trust."""
        return all(verdict.outcome is Outcome.PASS for _, verdict in self.verdicts)

    @property
    def reason(self) -> str:
        """The first verdict that is not a pass, for people."""
        for name, verdict in self.verdicts:
            if verdict.outcome is not Outcome.PASS:
                return f"{name}: {verdict.reason}"
        return "every check passed"

    def document(self) -> list[JsonValue]:
        """Return the verdicts as JSON; they are stored in any case, so that thresholds can be studied."""
        return [
            {"check": name, "outcome": verdict.outcome.value, "score": verdict.score, "reason": verdict.reason}
            for name, verdict in self.verdicts
        ]


class Examiner(Value):
    """Asks a route's checks about an output, and writes down what follows."""

    checks: Sequence[Check]
    decisions: Decisions
    inquiry: Inquiry | None = None  # who asks for checks that ask models

    async def examine(self, completion: Completion, call: Call, request: Request) -> Findings:
        """Ask every check, also after one has failed: what they would have said is worth knowing.

        What checks spend on models is part of what the call costs, and their time of how long it takes.
        """
        asker = None if self.inquiry is None else self.inquiry.about(call, part=True)
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
        clock = self.decisions.clock
        began = clock.monotonic()
        verdicts = [(check.name, with_cause(await check.check(context), completion)) for check in self.checks]
        took_ms = (clock.monotonic() - began) * 1000.0
        call.latency = call.latency.plus(Latency(checks_ms=took_ms) if asker is None else asker.spans.checks(took_ms))
        return Findings(tuple(verdicts))


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


def _asked_about(request: Request, completion: Completion, words: str) -> Request:
    """Return the request with an answer to it, and what is to be done about that."""
    # An empty answer becomes a blank: providers refuse an empty message.
    answer = Message.of(Role.ASSISTANT, completion.text or " ")
    return Request((*request.messages, answer, Message.of(Role.USER, words)), request.settings)


_WARM = 0.7  # a temperature at which a second draw differs from a first one at 0
_WARMER = 0.1  # without a seed only another temperature makes another request
_WARMEST = 1.0  # every provider takes it


class Repairing(Wrapper):
    """Checks what a model answered and asks again, differently, while it does not fit.

    An output judged invalid is never answered by the same request again. When every attempt is used up the last
    output is returned as it is: it is an answer, and graders will say what it is worth.
    """

    def __init__(self, inner: Provider, policy: RepairPolicy, examiner: Examiner) -> None:
        super().__init__(inner)
        self._policy = policy
        self._examiner = examiner

    async def send(self, request: Request, call: Call) -> Completion:
        """Return the first output that fits, else the last. Raises CallError, NotSent."""
        asked = request
        for number in range(self._policy.attempts + 1):
            completion = await self.inner.send(asked, call)
            findings = await self._examiner.examine(completion, call, request)
            last = number == self._policy.attempts
            another = None if findings.trusted or last else self._different(asked, completion, findings)
            kind = "fits" if findings.trusted else "repair" if another else "unrepaired"
            detail = {"model": self.name, "by": self._policy.by.value, "checks": findings.document()}
            self._examiner.decisions.tell(call, kind, findings.reason, detail)
            if another is None:
                break
            call.reasons.append("repair")
            asked = another
        return completion

    def _different(self, asked: Request, completion: Completion, findings: Findings) -> Request | None:
        # Built on what was asked last: a model that repeats itself is not told the same words a second time.
        match self._policy.by:
            case RepairBy.FEEDBACK:
                return _asked_about(asked, completion, _REPAIR.format(reason=findings.reason[:_REASON]))
            case RepairBy.VARY:
                params = _varied(asked.settings, self.params)
                if params == asked.settings.params:
                    return None  # the same request again is no repair
                return Request(asked.messages, replace(asked.settings, params=params))


def _varied(settings: Settings, stated: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return params warm enough for another answer, and with the next seed; the same where neither may be sent.

    `stated` are the workspace's overrides: null leaves out what the model refuses.
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
    """Asks the first model, checks its answer, and asks the stronger one where a check did not pass.

    The checks' verdicts are stored for every call, also where the first answer was kept.
    """

    def __init__(self, first: Provider, stronger: Provider, policy: CascadePolicy, examiner: Examiner) -> None:
        super().__init__(first, stronger)
        self._stronger = stronger
        self._policy = policy
        self._examiner = examiner

    async def send(self, request: Request, call: Call) -> Completion:
        """Return the first answer where it can be trusted, else the stronger model's. Raises CallError, NotSent."""
        completion = await self.inner.send(request, call)
        findings = await self._examiner.examine(completion, call, request)
        detail = {
            "from": self.name,
            "to": self._stronger.name,
            "answer": call.answered_by,  # the attempt in question: a fallback's, where the first model gave none
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
