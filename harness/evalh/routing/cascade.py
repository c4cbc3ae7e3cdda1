"""Route on the output, not on the input: a cheap first pass, checked; a stronger model for what is in doubt."""

from collections.abc import Sequence

from evalh.core.attempt import Call, Completion
from evalh.core.ports import Check, Provider
from evalh.core.request import Request
from evalh.core.route import CascadePolicy, EscalateBy
from evalh.routing.asking import Inquiry
from evalh.routing.checking import asked_to_verify, examine
from evalh.routing.run_context import Decisions
from evalh.routing.wrapper import Wrapper


class Cascading(Wrapper):
    """Asks the first model, checks what it said, and asks the stronger one where a check did not pass.

    What the checks said is stored for every call, also where the first answer was kept.
    """

    def __init__(
        self,
        first: Provider,
        stronger: Provider,
        policy: CascadePolicy,
        checks: Sequence[Check],
        decisions: Decisions,
        inquiry: Inquiry | None = None,
    ) -> None:
        super().__init__(first)
        self._stronger = stronger
        self._policy = policy
        self._checks = checks
        self._decisions = decisions
        self._inquiry = inquiry

    async def open(self) -> None:
        """Open both."""
        await self.inner.open()
        await self._stronger.open()

    async def close(self) -> None:
        """Close both."""
        await self.inner.close()
        await self._stronger.close()

    async def send(self, request: Request, call: Call) -> Completion:
        """Return the first answer where it can be trusted, else the stronger model's. Raises CallError, NotSent."""
        completion = await self.inner.send(request, call)
        findings = await examine(self._checks, completion, call, request, self._decisions.clock, self._inquiry)
        detail = {
            "from": self.name,
            "to": self._stronger.name,
            "answer": call.answered_by,  # the attempt in question: a fallback's, where the first model gave none
            "checks": findings.document(),
        }
        self._decisions.tell(call, "keep" if findings.trusted else "escalate", findings.reason, detail)
        if findings.trusted:
            return completion
        call.reasons.append("escalation")
        if self._policy.by is EscalateBy.VERIFY:
            request = asked_to_verify(request, completion)
        return await self._stronger.send(request, call)
