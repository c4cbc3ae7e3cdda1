"""When an output does not fit, the next attempt is a different one."""

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from evalh.core.attempt import Call, Completion
from evalh.core.ports import Check, Provider
from evalh.core.request import Request, Settings
from evalh.core.route import RepairBy, RepairPolicy
from evalh.core.strict_json import JsonValue
from evalh.routing.asking import Inquiry
from evalh.routing.checking import Findings, asked_to_repair, examine
from evalh.routing.run_context import Decisions
from evalh.routing.wrapper import Wrapper

_WARM = 0.7  # a temperature at which a second draw differs from a first one at 0
_WARMER = 0.1  # without a seed only another temperature makes another request
_WARMEST = 1.0  # every provider takes it


class Repairing(Wrapper):
    """Checks what a model answered and asks again, differently, while it does not fit.

    An output judged invalid is never answered by the same request again. When every attempt is used up the last
    output is returned as it is: it is an answer, and graders will say what it is worth.
    """

    def __init__(
        self,
        inner: Provider,
        policy: RepairPolicy,
        checks: Sequence[Check],
        decisions: Decisions,
        inquiry: Inquiry | None = None,
    ) -> None:
        super().__init__(inner)
        self._policy = policy
        self._checks = checks
        self._decisions = decisions
        self._inquiry = inquiry

    async def send(self, request: Request, call: Call) -> Completion:
        """Return the first output that fits, else the last. Raises CallError, NotSent."""
        asked = request
        for number in range(self._policy.attempts + 1):
            completion = await self.inner.send(asked, call)
            findings = await examine(self._checks, completion, call, request, self._decisions.clock, self._inquiry)
            last = number == self._policy.attempts
            another = None if findings.trusted or last else self._different(asked, completion, findings)
            self._tell(call, findings, "fits" if findings.trusted else "repair" if another else "unrepaired")
            if another is None:
                break
            call.reasons.append("repair")
            asked = another
        return completion

    def _different(self, asked: Request, completion: Completion, findings: Findings) -> Request | None:
        # Built on what was asked last: a model that repeats itself is not told the same words a second time.
        match self._policy.by:
            case RepairBy.FEEDBACK:
                return asked_to_repair(asked, completion, findings)
            case RepairBy.VARY:
                params = _varied(asked.settings, self.params)
                if params == asked.settings.params:
                    return None  # the same request again is no repair
                return Request(asked.messages, replace(asked.settings, params=params))

    def _tell(self, call: Call, findings: Findings, kind: str) -> None:
        detail = {"model": self.name, "by": self._policy.by.value, "checks": findings.document()}
        self._decisions.tell(call, kind, findings.reason, detail)


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
