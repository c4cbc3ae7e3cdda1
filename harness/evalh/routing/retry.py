"""The one retry loop of the stack: finite, jittered, and never against a provider's own word."""

from random import Random

from evalh.core.attempt import Call, CallError, Completion
from evalh.core.digest import JsonValue
from evalh.core.ports import Provider
from evalh.core.request import Request
from evalh.core.route import RetryPolicy
from evalh.core.values import dataclass
from evalh.routing.shared import Shared
from evalh.routing.wrapper import Wrapper


@dataclass(frozen=True, slots=True)
class Wait:
    """Send again after so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Do not send again; `reason` is None where the policy declares no retry for this kind."""

    reason: str | None = None


def after(policy: RetryPolicy, attempt: int, error: CallError, rng: Random) -> Wait | GiveUp:
    """Decide what follows attempt number `attempt` (from 1), which failed.

    Full jitter (Brooker 2015): the wait is uniform in [0, min(cap, base × 2^(attempt-1))], and never shorter than
    what the provider asked for.
    """
    if error.kind not in policy.on:
        return GiveUp()
    if attempt >= policy.attempts:
        return GiveUp(f"{attempt} attempts failed")
    asked_s = error.retry_after_s or 0.0
    if asked_s > policy.max_wait_s:
        return GiveUp(f"the provider asks to wait {asked_s:g} s, more than {policy.max_wait_s:g}")
    ceiling_s = min(policy.cap_s, policy.base_s * 2.0 ** min(attempt - 1, 60))
    return Wait(asked_s + rng.uniform(0.0, ceiling_s))


class Retrying(Wrapper):
    """Sends again what deserves it. Every retry and every end of patience is a decision in the log."""

    def __init__(self, inner: Provider, policy: RetryPolicy, shared: Shared) -> None:
        super().__init__(inner)
        self._policy = policy
        self._decisions = shared.decisions
        self._clock = shared.clock
        self._halt = shared.halt
        self._budget = shared.retries

    async def send(self, request: Request, call: Call) -> Completion:
        """Send until it is answered, or until the policy says no. Raises the last CallError, NotSent."""
        if not call.counted:  # a call may pass several places of a route: its retries are the run's
            call.counted = True
            self._budget.call()
        attempt = 1
        while True:
            try:
                return await self.inner.send(request, call)
            except CallError as error:
                # Seeded by what is asked for what, not by time: the same run waits the same times, and the trials of
                # one case, which ask the same, don't come back in lockstep.
                rng = Random(f"{request.digest()}/{call.key!r}/{attempt}")  # noqa: S311 (jitter, not a secret)
                step = after(self._policy, attempt, error, rng)
                if isinstance(step, Wait) and not self._budget.take(self._policy.share):
                    step = GiveUp(f"the run's retries are spent ({self._policy.share:g} of its calls)")
                if isinstance(step, GiveUp):
                    if step.reason is not None:
                        self._decide(call, "give_up", error, {"why": step.reason, "attempts": attempt})
                    raise
                self._decide(call, "retry", error, {"wait_s": round(step.seconds, 3), "attempt": attempt + 1})
            began = self._clock.monotonic()
            await self._halt.sleep(step.seconds)
            call.waiting_ms += (self._clock.monotonic() - began) * 1000.0
            call.reasons.append("retry")
            attempt += 1

    def _decide(self, call: Call, kind: str, error: CallError, detail: dict[str, JsonValue]) -> None:
        self._decisions.tell(call, kind, error.kind.value, {"model": self.name, **detail})
