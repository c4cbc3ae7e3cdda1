"""What follows a failure: the one retry loop (finite, jittered, never sooner than a provider asks), and fallbacks.

A failure is sent again as often as the route's `retry` allows. A rate limit is not a failure: it takes nothing from the
attempts nor from the run's retries, and ends at what the route lets one call wait.
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
from evalh.routing.run_context import Decisions, Shared
from evalh.routing.wrapper import Wrapper


class Wait(Value):
    """Send again after so many seconds."""

    seconds: float


class GiveUp(Value):
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
    return Wait(asked_s + _jitter_s(policy, attempt, rng))


def _jitter_s(policy: RetryPolicy, attempt: int, rng: Random) -> float:
    return rng.uniform(0.0, min(policy.cap_s, policy.base_s * 2.0 ** min(attempt - 1, 60)))


class Patience(Struct):
    """One call's waits for rate limits."""

    most_s: float
    refusals: int = 0
    waited_s: float = 0.0

    def after(self, policy: RetryPolicy, error: CallError, rng: Random) -> Wait | GiveUp:
        """Decide what follows a rate limit, whether it names its wait or not."""
        asked_s, most_s = error.retry_after_s or 0.0, self.most_s
        if error.kind not in policy.on:
            return GiveUp()
        if asked_s > most_s:
            return GiveUp(f"the provider asks to wait {asked_s:g} s, more than {most_s:g}")
        if self.waited_s + asked_s > most_s:
            more = f"another {asked_s:g} s would pass {most_s:g} s" if asked_s else f"{most_s:g} s is the most"
            return GiveUp(f"waited {self.waited_s:.0f} s for rate limits; {more}")
        self.refusals += 1
        wait = Wait(max(asked_s, LEAST_S) + _jitter_s(policy, self.refusals, rng))
        self.waited_s += wait.seconds
        return wait


class Retrying(Wrapper):
    """Sends again what deserves it. Every retry and every end of patience is a decision in the log."""

    def __init__(self, inner: Provider, policy: RetryPolicy, shared: Shared, *, wait_s: float | None = None) -> None:
        super().__init__(inner)
        self._policy = policy
        self._wait_s = wait_s  # for rate limits; None: they are failures, after which another model is asked
        self._shared = shared

    async def send(self, request: Request, call: Call) -> Completion:
        """Send until it is answered, or until the policy says no. Raises the last CallError, NotSent."""
        if not call.counted:  # a call may pass several places of a route: its retries are the run's
            call.counted = True
            self._shared.retries.call()
        call.max_wait_s = self._policy.max_wait_s if self._wait_s is None else self._wait_s
        patience = None if self._wait_s is None else Patience(self._wait_s)
        call.backoff_s = None if patience is None else (self._policy.base_s, self._policy.cap_s)
        reconnects = True  # once: the server may have closed the next one too
        sent = failed = 0
        while True:
            sent += 1
            try:
                return await self.inner.send(request, call)
            except CallError as error:
                # Seeded by what is asked for what, not by time: the same run waits the same times, and the trials of
                # one case, which ask the same, don't come back in lockstep.
                rng = Random(f"{request.digest()}/{call.key!r}/{sent}")  # noqa: S311 (jitter, not a secret)
                step: Wait | GiveUp
                if error.hung_up and reconnects:
                    reconnects, step = False, Wait(0.0)
                elif error.kind in self._policy.on and error.held_back:
                    step = GiveUp(error.message)  # the door is closed for longer than may be waited
                elif patience is not None and error.kind is ErrorKind.RATE_LIMIT:
                    step = patience.after(self._policy, error, rng)
                else:
                    failed += 1
                    step = after(self._policy, failed, error, rng)
                    if isinstance(step, Wait) and not self._shared.retries.take(self._policy.share):
                        step = GiveUp(f"the run's retries are spent ({self._policy.share:g} of its calls)")
                if isinstance(step, GiveUp):
                    if step.reason is not None:
                        self._decide(call, "give_up", error, {"why": step.reason, "attempts": sent})
                    raise
                self._decide(call, "retry", error, {"wait_s": round(step.seconds, 3), "attempt": sent + 1})
            began = self._shared.clock.monotonic()
            await self._shared.halt.sleep(step.seconds)
            call.waiting_ms += (self._shared.clock.monotonic() - began) * 1000.0
            call.reasons.append("retry")

    def _decide(self, call: Call, kind: str, error: CallError, detail: dict[str, JsonValue]) -> None:
        self._shared.decisions.tell(call, kind, error.kind.value, {"model": self.name, **detail})


_FINISHES = {ErrorKind.REFUSAL: FinishReason.REFUSAL, ErrorKind.CONTENT_FILTER: FinishReason.CONTENT_FILTER}
"""Answers that refuse: a route may declare that the next model is asked then."""


class FallingBack(Wrapper):
    """Asks in order, on the kinds of failure that the route declares. Each hop is a decision in the log."""

    def __init__(self, chain: Sequence[Provider], on: frozenset[ErrorKind], decisions: Decisions) -> None:
        super().__init__(*chain)
        self._chain = chain
        self._on = on
        self._finishes = {finish: kind for kind, finish in _FINISHES.items() if kind in on}
        self._decisions = decisions

    async def send(self, request: Request, call: Call) -> Completion:
        """Return the first answer. Raises the last model's CallError, or one that is not declared; NotSent."""
        *firsts, last = self._chain
        hopeless = True  # whether the models before the last are refused, or left alone, for the whole run
        for position, provider in enumerate(firsts):
            try:
                completion = await provider.send(request, call)
            except CallError as error:
                if error.kind not in self._on:
                    raise
                kind = error.kind
                hopeless = hopeless and (error.ends_run or kind is ErrorKind.BREAKER_OPEN)
            else:
                declined = self._finishes.get(completion.finish)
                if declined is None:
                    return completion
                kind, hopeless = declined, False
            hop = {"from": provider.name, "to": self._chain[position + 1].name}
            self._decisions.tell(call, "fallback", kind.value, hop)
            call.reasons.append("fallback")
        try:
            return await last.send(request, call)
        except CallError as error:
            error.ends_run = error.ends_run and hopeless  # the next call may be answered by another model
            raise
