"""How many requests a provider gets at once and per minute: declared limits, and limits learned from its refusals."""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from random import Random

import msgspec
from msgspec import Struct

from evalh.core.attempt import Call, CallError, Completion, ErrorKind
from evalh.core.ports import Provider
from evalh.core.request import Request
from evalh.core.route import LimitPolicy
from evalh.routing.budget import input_bytes
from evalh.routing.pace import LEAST_S, Pace
from evalh.routing.run_context import Shared
from evalh.routing.wrapper import Wrapper

_BURST_S = 1.0  # burst: a second's worth of requests
_MINUTE_S = 60.0 + _BURST_S  # so that no minute exceeds the rate, bursts included
_BYTES_PER_TOKEN = 4  # an estimate, corrected when the provider has counted
_AT_ONCE_S = 1e-6  # shorter waits are rounding errors
_LOOK_AGAIN_S = 0.25  # an answer may have returned tokens meanwhile
_SHRINK_ON = frozenset({ErrorKind.RATE_LIMIT, ErrorKind.OVERLOAD})
_JITTER = 0.1  # added to a pause, at most a second: others with the same key return at the same moment


@dataclass(slots=True, eq=False, repr=False)
class Window:
    """How many requests may be in flight: additive increase, multiplicative decrease (Chiu & Jain 1989).

    It starts at its ceiling, halves when the provider refuses a request, at most once per round trip, and grows
    by one for every window's worth of good answers.
    """

    ceiling: int
    size: float = field(init=False)
    in_flight: int = 0
    _not_before: float = 0.0  # one decrease answers all requests sent under the earlier window

    def __post_init__(self) -> None:
        self.size = float(self.ceiling)

    @property
    def full(self) -> bool:
        """Whether one more request would be too many."""
        return self.in_flight >= int(self.size)

    def good(self) -> None:
        self.size = min(float(self.ceiling), self.size + 1.0 / self.size)

    def too_many(self, now: float, began: float) -> bool:
        """Record a refusal of a request sent at `began`; return True if the window shrank."""
        if began < self._not_before:
            return False
        self.size = max(1.0, self.size / 2.0)
        self._not_before = now
        return True


class Share(Struct, eq=False):
    """The share of a minute that one request uses, in seconds of its rate."""

    seconds: float


class RateLimit(Struct):
    """Evenly spaced requests, with bursts of a second's worth (the generic cell rate algorithm).

    No minute exceeds `per_minute` units by more than one request. Amounts may be estimates;
    `settle` corrects them.
    """

    per_minute: int
    _paid_until: float = 0.0
    _shares: deque[Share] = msgspec.field(default_factory=deque)  # back to back; the last ends at `_paid_until`
    _owed_s: float = 0.0  # their sum

    def wait_s(self, now: float, units: float) -> float:
        """Return how long `units` must wait; 0: not at all."""
        wait_s = self._paid_until - now - max(_BURST_S - self._seconds(units), 0.0)
        return wait_s if wait_s > _AT_ONCE_S else 0.0

    def take(self, now: float, units: float) -> Share:
        """Take the units of a request that is sent now."""
        shares = self._shares
        while shares and self._paid_until - self._owed_s + shares[0].seconds <= now:
            self._owed_s -= shares.popleft().seconds  # its time is over
        self._paid_until = max(self._paid_until, now)
        return self._owe(self._seconds(units))

    def settle(self, now: float, share: Share, units: float) -> None:
        """Correct an estimate. Excess units are returned, unless their time is over.

        Others have waited for that time already; returned now, it would allow a burst.
        """
        more_s = self._seconds(units) - share.seconds
        if more_s > 0.0:
            self._owe(more_s)
            return
        ends = self._paid_until
        for one in reversed(self._shares):
            if one is share:
                back_s = max(0.0, min(-more_s, ends - now))
                share.seconds -= back_s
                self._owed_s -= back_s
                self._paid_until -= back_s
                return
            ends -= one.seconds

    def _owe(self, seconds: float) -> Share:
        share = Share(seconds)
        self._shares.append(share)
        self._owed_s += seconds
        self._paid_until += seconds
        return share

    def _seconds(self, units: float) -> float:
        return units * _MINUTE_S / self.per_minute


class Limited(Wrapper):
    """Sends requests to a model as the window, the rates and the pace allow, first come, first served."""

    def __init__(
        self, inner: Provider, policy: LimitPolicy, concurrency: int, shared: Shared, pace: Pace | None = None
    ) -> None:
        super().__init__(inner)
        ceilings = (concurrency, policy.concurrency, inner.max_in_flight)
        self.window = Window(min(ceiling for ceiling in ceilings if ceiling is not None))
        self.pace = pace or Pace()  # shared by all names of one model and key
        self._requests = RateLimit(policy.rpm) if policy.rpm else None
        self._tokens = RateLimit(policy.tpm) if policy.tpm else None
        self._shared = shared
        self._clock = shared.clock
        self._halt = shared.halt
        self._because: str | None = None  # why the window is below its ceiling; None if it is not
        self._line = asyncio.Lock()  # held by the first request in line
        self._freed: asyncio.Future[None] | None = None  # the first in line waits for the window
        self._held_s = 0.0  # how long the line has waited so far for rates and pauses
        self._held_since: float | None = None

    async def send(self, request: Request, call: Call) -> Completion:
        """Wait for a turn, send, release the slot. Raises CallError, NotSent."""
        share = await self._turn(request, call)
        began = self._clock.monotonic()
        try:
            try:
                completion = await self.inner.send(request, call)
            except CallError as error:
                self._refused(call, error, began)
                raise
            self._good(began)
            if self._tokens is not None and share is not None:
                usage = completion.usage
                if usage.input_tokens is not None and usage.output_tokens is not None:
                    counted = usage.input_tokens + usage.output_tokens
                    self._tokens.settle(self._clock.monotonic(), share, counted)
            return completion
        finally:
            self.window.in_flight -= 1
            freed = self._freed
            if freed is not None and not freed.done() and not self.window.full:
                freed.set_result(None)

    async def _turn(self, request: Request, call: Call) -> Share | None:
        """Wait until a request may be sent, and take a slot; return what was taken of the tokens.

        Nothing else runs between the last check of the window and the sending of the request; the window
        may shrink during a wait.
        """
        tokens = self._tokens
        estimate = 0.0
        if tokens is not None:
            estimate = input_bytes(request) / _BYTES_PER_TOKEN + (request.settings.max_tokens or 0)
        held_s = self._held(self._clock.monotonic())
        async with self._line:
            while True:
                began = self._clock.monotonic()
                await self._shared.until_writable()  # take nothing of the rates for a request that cannot be sent
                self.pace.stood(began, self._clock.monotonic())
                self._halt.check()  # the run may have ended meanwhile
                if call.still_wanted is not None:
                    call.still_wanted()  # raises CallError if the breaker has opened
                if self.window.full:
                    self._freed = asyncio.get_running_loop().create_future()
                    await self._freed
                    continue
                now = self._clock.monotonic()
                wait_s = self._wait_s(now, estimate, call)
                if not wait_s:
                    break
                self._held_since = now
                try:
                    await self._halt.sleep(min(wait_s, _LOOK_AGAIN_S) if tokens else wait_s)
                finally:
                    self._held_s, self._held_since = self._held(self._clock.monotonic()), None
            call.waiting_ms += (self._held(now) - held_s) * 1000.0
            self.window.in_flight += 1
            self.pace.leave(now)
            if self._requests:
                self._requests.take(now, 1.0)
            return tokens.take(now, estimate) if tokens else None

    def _held(self, now: float) -> float:
        return self._held_s if self._held_since is None else self._held_s + now - self._held_since

    def _wait_s(self, now: float, estimate: float, call: Call) -> float:
        """Return how long the first in line must wait. Raises CallError if a pause is too long for its call."""
        wait_s = self.pace.wait_s(now)
        if wait_s and call.max_wait_s is not None:
            self._refuse(now, call.max_wait_s)
        if self._requests is not None:
            wait_s = max(wait_s, self._requests.wait_s(now, 1.0))
        if self._tokens is not None:
            wait_s = max(wait_s, self._tokens.wait_s(now, estimate))
        return wait_s

    def _refuse(self, now: float, most_s: float) -> None:
        paused_s, quiet_s = self.pace.paused_s(now), self.pace.quiet_s
        if not paused_s or max(paused_s, quiet_s) <= most_s:
            return
        so_far = f" after {quiet_s:.0f} s without an answer" if paused_s <= most_s else ""
        limited = f"{self._place} is at its rate limit for another {paused_s:.0f} s{so_far}"
        error = CallError(ErrorKind.RATE_LIMIT, f"{limited}; a call waits {most_s:g} s at most", retry_after_s=paused_s)
        error.held_back = True
        raise error

    def _good(self, began: float) -> None:
        self.pace.answered(began)
        window = self.window
        before = int(window.size)
        window.good()
        because = self._because
        if because is None or int(window.size) == before:
            return
        if before + 1 >= window.ceiling:
            self._because = None
        self._show(because)

    def _refused(self, call: Call, error: CallError, began: float) -> None:
        if error.kind not in _SHRINK_ON:
            return
        now = self._clock.monotonic()
        if error.kind is ErrorKind.RATE_LIMIT:
            self._pause(call, error.retry_after_s, began, now)
        if self.window.too_many(now, began):
            detail = {"model": self.name, "window": int(self.window.size)}
            self._shared.decisions.tell(call, "shrink", error.kind.value, detail)
            self._because = f"{error.status or error.kind.value} from {self.kind}"
            self._show(self._because)

    def _pause(self, call: Call, named_s: float | None, began: float, now: float) -> None:
        """Pause until the provider accepts requests again: all other requests would be refused too."""
        asked_s = named_s
        if asked_s is None and call.backoff_s is not None:
            asked_s = self.pace.unnamed_s(began, *call.backoff_s)
        if asked_s is None:
            return
        asked_s = max(asked_s, LEAST_S)
        rng = Random(f"{call.id}/{call.attempts}")  # noqa: S311 (jitter, not a secret)
        wait_s = asked_s + rng.uniform(0.0, min(1.0, _JITTER * asked_s))
        self.pace.refused(now, began, wait_s, named=named_s is not None)
        if self._shared.progress is not None:
            self._shared.progress.waiting(self.pace.paused_s(now), f"rate limit of {self._place}")

    @property
    def _place(self) -> str:
        return f"{self.kind}:{self.model}"

    def _show(self, because: str) -> None:
        if self._shared.progress is not None:
            self._shared.progress.window(self.name, int(self.window.size), self.window.ceiling, because)
