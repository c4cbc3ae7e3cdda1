"""How many requests a provider carries at once, and how many a minute: declared ceilings, and a window below them."""

import asyncio
from collections import deque
from dataclasses import field

from evalh.core.attempt import Call, CallError, Completion, ErrorKind
from evalh.core.ports import Provider
from evalh.core.request import Request
from evalh.core.route import LimitPolicy
from evalh.core.values import dataclass
from evalh.routing.shared import Shared
from evalh.routing.worst_case import input_bytes
from evalh.routing.wrapper import Wrapper

_BURST_S = 1.0  # what may leave at once: a second's worth
_MINUTE_S = 60.0 + _BURST_S  # so that no minute sees more than its rate, its burst included
_BYTES_PER_TOKEN = 4  # an estimate, settled when the provider has counted
_AT_ONCE_S = 1e-6  # a shorter wait is a rounding error
_LOOK_AGAIN_S = 0.25  # meanwhile an answer may have given tokens back
_SHRINK_ON = frozenset({ErrorKind.RATE_LIMIT, ErrorKind.OVERLOAD})


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
        """Take an answer."""
        self.size = min(float(self.ceiling), self.size + 1.0 / self.size)

    def too_many(self, now: float, began: float) -> bool:
        """Take a refusal of a request that left at `began`; True where the window shrank."""
        if began < self._not_before:
            return False
        self.size = max(1.0, self.size / 2.0)
        self._not_before = now
        return True


@dataclass(slots=True, eq=False)
class Share:
    """What one request takes of a minute, in seconds of its rate."""

    seconds: float


@dataclass(slots=True)
class Rate:
    """Evenly spaced leaves, a second's worth at once (the generic cell rate algorithm).

    No minute sees more than `per_minute` units, up to the size of one request. What is taken may be an estimate;
    `settle` corrects it.
    """

    per_minute: int
    _paid_until: float = 0.0
    _shares: deque[Share] = field(default_factory=deque)  # back to back, the last ends at `_paid_until`
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
    """Lets requests through as the window and the rates allow, first come, first served."""

    def __init__(self, inner: Provider, policy: LimitPolicy, concurrency: int, shared: Shared) -> None:
        super().__init__(inner)
        ceilings = (concurrency, policy.concurrency, inner.max_in_flight)
        self.window = Window(min(ceiling for ceiling in ceilings if ceiling is not None))
        self._requests = Rate(policy.rpm) if policy.rpm else None
        self._tokens = Rate(policy.tpm) if policy.tpm else None
        self._decisions = shared.decisions
        self._clock = shared.clock
        self._halt = shared.halt
        self._progress = shared.progress
        self._until_writable = shared.until_writable
        self._because: str | None = None  # why the window is below its ceiling; None: it is not
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._next = asyncio.Lock()  # first come, first served: held by whoever waits for the rates

    async def send(self, request: Request, call: Call) -> Completion:
        """Wait for a place, send, give it back. Raises CallError, NotSent."""
        await self._enter()
        try:
            self._halt.check()  # while it waited the run may have ended
            _leave_if_wanted(call)
            share = await self._pay(request, call)
            _leave_if_wanted(call)
            began = self._clock.monotonic()
            try:
                completion = await self.inner.send(request, call)
            except CallError as error:
                if error.kind in _SHRINK_ON and self.window.too_many(self._clock.monotonic(), began):
                    self._tell(call, error)
                raise
            self._good()
            if self._tokens is not None and share is not None:
                self._settle(self._tokens, share, completion)
            return completion
        finally:
            self._leave()

    def _good(self) -> None:
        window = self.window
        before = int(window.size)
        window.good()
        because = self._because
        if because is None or int(window.size) == before:
            return
        if before + 1 >= window.ceiling:
            self._because = None
        self._show(because)

    async def _enter(self) -> None:
        window = self.window
        if window.full or self._waiting:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn  # whoever leaves has counted us in
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._leave()  # the place was ours already
                raise
            return
        window.in_flight += 1

    def _leave(self) -> None:
        window = self.window
        window.in_flight -= 1
        while self._waiting and not window.full:
            turn = self._waiting.popleft()
            if not turn.done():
                window.in_flight += 1
                turn.set_result(None)

    async def _pay(self, request: Request, call: Call) -> Share | None:
        """Wait until the rates allow it; return what was taken of the tokens."""
        requests, tokens = self._requests, self._tokens
        if requests is None and tokens is None:
            return None
        estimate = input_bytes(request) / _BYTES_PER_TOKEN + (request.settings.max_tokens or 0) if tokens else 0.0
        began, waits = self._clock.monotonic(), self._next.locked()
        async with self._next:
            while True:
                await self._until_writable()  # nothing is taken of the rates for what cannot leave
                self._halt.check()
                now = self._clock.monotonic()
                wait_s = max(
                    requests.wait_s(now, 1.0) if requests else 0.0,
                    tokens.wait_s(now, estimate) if tokens else 0.0,
                )
                if not wait_s:
                    break
                waits = True
                await self._halt.sleep(min(wait_s, _LOOK_AGAIN_S) if tokens else wait_s)
            if waits:
                call.waiting_ms += (now - began) * 1000.0
            if requests:
                requests.take(now, 1.0)
            return tokens.take(now, estimate) if tokens else None

    def _settle(self, tokens: Rate, share: Share, completion: Completion) -> None:
        usage = completion.usage
        if usage.input_tokens is not None and usage.output_tokens is not None:
            tokens.settle(self._clock.monotonic(), share, usage.input_tokens + usage.output_tokens)

    def _tell(self, call: Call, error: CallError) -> None:
        detail = {"model": self.name, "window": int(self.window.size)}
        self._decisions.tell(call, "shrink", error.kind.value, detail)
        self._because = f"{error.status or error.kind.value} from {self.kind}"
        self._show(self._because)

    def _show(self, because: str) -> None:
        if self._progress is not None:
            self._progress.window(self.name, int(self.window.size), self.window.ceiling, because)


def _leave_if_wanted(call: Call) -> None:
    """Raise CallError where whoever admitted a request would not do so now, after its wait."""
    if call.still_wanted is not None:
        call.still_wanted()
