"""How many requests a provider carries at once, and how many a minute: declared ceilings, and what it teaches."""

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

_BURST_S = 1.0  # what may leave at once: a second's worth
_MINUTE_S = 60.0 + _BURST_S  # so that no minute sees more than its rate, its burst included
_BYTES_PER_TOKEN = 4  # an estimate, settled when the provider has counted
_AT_ONCE_S = 1e-6  # a shorter wait is a rounding error
_LOOK_AGAIN_S = 0.25  # meanwhile an answer may have given tokens back
_SHRINK_ON = frozenset({ErrorKind.RATE_LIMIT, ErrorKind.OVERLOAD})
_JITTER = 0.1  # of a pause, at most a second: others with the same key come back at the same moment


@dataclass(slots=True)
class Window:
    """How many requests may be in flight: additive increase, multiplicative decrease (Chiu & Jain 1989).

    It starts at its ceiling, halves when the provider says "too many", at most once per round trip, and grows by one
    for every window's worth of good answers.
    """

    ceiling: int
    size: float = field(init=False)
    in_flight: int = 0
    _not_before: float = 0.0  # a decrease answers what was sent under the window of then

    def __post_init__(self) -> None:
        self.size = float(self.ceiling)

    @property
    def full(self) -> bool:
        """Whether one more would be too many."""
        return self.in_flight >= int(self.size)

    def good(self) -> None:
        self.size = min(float(self.ceiling), self.size + 1.0 / self.size)

    def too_many(self, now: float, began: float) -> bool:
        """Take a refusal of a request that left at `began`; True where the window shrank."""
        if began < self._not_before:
            return False
        self.size = max(1.0, self.size / 2.0)
        self._not_before = now
        return True


class Share(Struct, eq=False):
    """What one request takes of a minute, in seconds of its rate."""

    seconds: float


class RateLimit(Struct):
    """Evenly spaced leaves, a second's worth at once (the generic cell rate algorithm).

    No minute sees more than `per_minute` units, up to the size of one request. What is taken may be an estimate;
    `settle` corrects it.
    """

    per_minute: int
    _paid_until: float = 0.0
    _shares: deque[Share] = msgspec.field(default_factory=deque)  # back to back, the last ends at `_paid_until`
    _owed_s: float = 0.0  # their sum

    def wait_s(self, now: float, units: float) -> float:
        """Return how long `units` must wait; 0: they may leave."""
        wait_s = self._paid_until - now - max(_BURST_S - self._seconds(units), 0.0)
        return wait_s if wait_s > _AT_ONCE_S else 0.0

    def take(self, now: float, units: float) -> Share:
        """Take them out, as they leave."""
        shares = self._shares
        while shares and self._paid_until - self._owed_s + shares[0].seconds <= now:
            self._owed_s -= shares.popleft().seconds  # its time has passed
        self._paid_until = max(self._paid_until, now)
        return self._owe(self._seconds(units))

    def settle(self, now: float, share: Share, units: float) -> None:
        """Take that it was so many. What was too much is given back, unless its time has passed.

        Others have waited for that time already: given back to those who leave now, it would let them rush.
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
    """The door to a model: requests leave as the window, the rates and the pace allow, first come, first served."""

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
        self._because: str | None = None  # why the window is below its ceiling; None: it is not
        self._line = asyncio.Lock()  # held by the first in line, who waits for all the others
        self._freed: asyncio.Future[None] | None = None  # the first in line waits for a place
        self._held_s = 0.0  # how long the line has stood still so far for rates and pauses
        self._held_since: float | None = None

    async def send(self, request: Request, call: Call) -> Completion:
        """Wait for its turn, send, give the place back. Raises CallError, NotSent."""
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
        """Wait until a request may leave, and take its place; return what was taken of the tokens.

        Between the last look at the window and the moment at which the request leaves nobody else runs: the window
        may shrink while somebody waits.
        """
        tokens = self._tokens
        estimate = 0.0
        if tokens is not None:
            estimate = input_bytes(request) / _BYTES_PER_TOKEN + (request.settings.max_tokens or 0)
        held_s = self._held(self._clock.monotonic())
        async with self._line:
            while True:
                began = self._clock.monotonic()
                await self._shared.until_writable()  # nothing is taken of the rates for what cannot leave
                self.pace.stood(began, self._clock.monotonic())
                self._halt.check()  # while it waited the run may have ended
                if call.still_wanted is not None:
                    call.still_wanted()  # raises CallError if it would not be admitted now
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
        """Return how long the first in line must wait. Raises CallError where a pause is too long for its call."""
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
        """Close the door until the provider takes requests again: all who ask it would be told the same."""
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
