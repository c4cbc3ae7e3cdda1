"""Whether a failed request is sent again (`Retrying`), and which model is asked next (`FallingBack`).

`Retrying` holds the only retry loop; its `_next_step` decides after each failed attempt. The route's `retry` limits
failures (`decide_retry`). Rate limits are not failures (`RateLimitWaits`): they use up neither attempts nor the run's
retries, only the time that the route lets one call wait. Waits are random, and never shorter than a provider asks.
"""

from collections.abc import Sequence
from random import Random

from msgspec import Struct

from evalh.core.attempt import Call, CallError, Completion, ErrorKind, FinishReason
from evalh.core.ports import Provider
from evalh.core.request import Request
from evalh.core.route import RetryPolicy
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.routing.pace import LEAST_S
from evalh.routing.run_context import Decisions, RetryBudget, Shared
from evalh.routing.wrapper import Wrapper


class Wait(Value):
    """Send again after `seconds`."""

    seconds: float


class GiveUp(Value):
    """Do not send again; `reason` is None if the policy declares no retry for this kind."""

    reason: str | None = None


def decide_retry(policy: RetryPolicy, attempt: int, error: CallError, rng: Random) -> Wait | GiveUp:
    """Decide what follows failed attempt number `attempt` (from 1).

    Full jitter (Brooker 2015): the wait is uniform in [0, min(cap, base × 2^(attempt-1))], added to what the provider
    asked for.
    """
    if error.kind not in policy.on:
        return GiveUp()
    if attempt >= policy.attempts:
        return GiveUp(f"{attempt} attempts failed")
    asked_s = error.retry_after_s or 0.0
    if asked_s > policy.max_wait_s:
        return GiveUp(f"the provider asks to wait {asked_s:g} s, more than {policy.max_wait_s:g} s")
    return Wait(asked_s + _jitter_s(policy, attempt, rng))


def _jitter_s(policy: RetryPolicy, attempt: int, rng: Random) -> float:
    return rng.uniform(0.0, min(policy.cap_s, policy.base_s * 2.0 ** min(attempt - 1, 60)))


class RateLimitWaits(Struct):
    """One call's waits for rate limits."""

    most_s: float
    refusals: int = 0
    waited_s: float = 0.0

    def decide(self, policy: RetryPolicy, error: CallError, rng: Random) -> Wait | GiveUp:
        """Decide what follows a rate limit, with or without a stated wait."""
        asked_s, most_s = error.retry_after_s or 0.0, self.most_s
        if error.kind not in policy.on:
            return GiveUp()
        if asked_s > most_s:
            return GiveUp(f"the provider asks to wait {asked_s:g} s, more than {most_s:g} s")
        if self.waited_s + asked_s > most_s:
            more = f"another {asked_s:g} s would be more than {most_s:g} s" if asked_s else f"{most_s:g} s is the most"
            return GiveUp(f"waited {self.waited_s:.0f} s for rate limits; {more}")
        self.refusals += 1
        wait = Wait(max(asked_s, LEAST_S) + _jitter_s(policy, self.refusals, rng))
        self.waited_s += wait.seconds
        return wait


class Tries(Struct):
    """What one call has tried so far."""

    rate_limits: RateLimitWaits | None
    sent: int = 0
    failed: int = 0
    reconnected: bool = False
    renewed: bool = False


_HANDED_ON = "the caller already has a part of the answer"


class Retrying(Wrapper):
    """Sends a failed request again where that may help. Each retry and each giving up is a decision in the log."""

    def __init__(self, inner: Provider, policy: RetryPolicy, shared: Shared, *, wait_s: float | None = None) -> None:
        super().__init__(inner)
        self._policy = policy
        self._wait_s = wait_s  # for rate limits; None: they count as failures, and another model is asked
        self._shared = shared

    async def send(self, request: Request, call: Call) -> Completion:
        """Send until there is an answer or no retry is left. Raises the last CallError, NotSent."""
        if not call.counted:  # once per call, though a route may contain several retry loops
            call.counted = True
            self._shared.retries.call()
        tries = Tries(None if self._wait_s is None else RateLimitWaits(self._wait_s))
        call.max_wait_s = self._policy.max_wait_s if self._wait_s is None else self._wait_s
        call.backoff_s = None if self._wait_s is None else (self._policy.base_s, self._policy.cap_s)
        while True:
            tries.sent += 1
            try:
                return await self.inner.send(request, call)
            except CallError as error:
                # The seed is the request and the case, not the time: the same run waits the same times, and the
                # trials of one case, which ask the same, do not come back in lockstep.
                rng = Random(f"{request.digest()}/{call.key!r}/{tries.sent}")  # noqa: S311 (jitter, not a secret)
                step = GiveUp(_HANDED_ON) if call.handed_on else self._next_step(tries, error, rng)
                if isinstance(step, GiveUp):
                    if step.reason is not None:
                        self._record(call, "give_up", error, {"why": step.reason, "attempts": tries.sent})
                    raise
                self._record(call, "retry", error, {"wait_s": round(step.seconds, 3), "attempt": tries.sent + 1})
            began = self._shared.clock.monotonic()
            await self._shared.halt.sleep(step.seconds)
            call.waiting_ms += (self._shared.clock.monotonic() - began) * 1000.0
            call.reasons.append("retry")

    def _next_step(self, tries: Tries, error: CallError, rng: Random) -> Wait | GiveUp:
        """Decide what follows a failed attempt."""
        policy = self._policy
        if error.hung_up and not tries.reconnected:
            tries.reconnected = True  # once: the server may have closed the next connection too
            return Wait(0.0)
        if error.key_renewed and not tries.renewed:
            tries.renewed = True  # once: a new key that is refused too is a wrong one
            return Wait(0.0)
        if error.held_back and error.kind in policy.on:
            return GiveUp(error.message)  # our own limit holds this model back for longer than the call may wait
        if tries.rate_limits is not None and error.kind is ErrorKind.RATE_LIMIT:
            return tries.rate_limits.decide(policy, error, rng)
        tries.failed += 1
        step = decide_retry(policy, tries.failed, error, rng)
        if isinstance(step, Wait) and not self._shared.retries.take(policy.share):
            return GiveUp(f"the run's retries are used up ({RetryBudget.FREE}, plus {policy.share:g} of its calls)")
        return step

    def _record(self, call: Call, kind: str, error: CallError, detail: dict[str, JsonValue]) -> None:
        self._shared.decisions.tell(call, kind, error.kind.value, {"model": self.name, **detail})


_FINISHES = {ErrorKind.REFUSAL: FinishReason.REFUSAL, ErrorKind.CONTENT_FILTER: FinishReason.CONTENT_FILTER}
"""Answers that count as failures where a route falls back on them."""


class FallingBack(Wrapper):
    """Asks the next model after the kinds of failure that the route declares. Each change is a decision in the log."""

    def __init__(self, models: Sequence[Provider], on: frozenset[ErrorKind], decisions: Decisions) -> None:
        super().__init__(*models)
        self._models = models
        self._on = on
        self._finishes = {finish: kind for kind, finish in _FINISHES.items() if kind in on}
        self._decisions = decisions

    async def send(self, request: Request, call: Call) -> Completion:
        """Return the first answer. Raises the last model's CallError, or one of an undeclared kind; NotSent."""
        *others, last = self._models
        hopeless = True  # whether none of the models before the last can answer in this run
        for position, provider in enumerate(others):
            try:
                completion = await provider.send(request, call)
            except CallError as error:
                if error.kind not in self._on or call.handed_on:
                    raise
                kind = error.kind
                hopeless = hopeless and (error.ends_run or kind is ErrorKind.BREAKER_OPEN)
            else:
                declined = self._finishes.get(completion.finish)
                if declined is None:
                    return completion
                kind, hopeless = declined, False
            hop = {"from": provider.name, "to": self._models[position + 1].name}
            self._decisions.tell(call, "fallback", kind.value, hop)
            call.reasons.append("fallback")
        try:
            return await last.send(request, call)
        except CallError as error:
            error.ends_run = error.ends_run and hopeless  # the next call may be answered by another model
            raise
