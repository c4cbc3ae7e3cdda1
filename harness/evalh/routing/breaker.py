"""A provider that is down is left alone: closed → open → half-open with one probe → closed."""

from collections import deque
from enum import StrEnum

from msgspec import Struct, field

from evalh.core.attempt import Call, CallError, Completion, ErrorKind
from evalh.core.ports import Provider
from evalh.core.request import Request
from evalh.core.route import OUTAGE, BreakerPolicy
from evalh.routing.run_context import Shared
from evalh.routing.wrapper import Wrapper

PROBES = 2
"""Failed probes in a row after which the run ends, if the provider has no fallback."""

_PROBE_S = 8.0
"""The timeout of a probe; or twice the slowest good answer so far, if longer: no silent server may hold up a run."""


class State(StrEnum):
    """Whether requests pass."""

    CLOSED = "closed"  # they do
    OPEN = "open"  # none pass until the cooldown is over
    HALF_OPEN = "half_open"  # one passes: the probe


class Breaker(Struct):
    """The state machine. Time is an argument, in seconds of a monotonic clock.

    A failure *rate* over a window opens it. A fixed count would open it at 256 in flight with 1 % errors. With few
    requests in flight a dead provider never fills a window to its minimum: one at a time that waits for a timeout makes
    a dozen in the window, or none. So it opens, too, where nothing was answered for long.
    """

    policy: BreakerPolicy
    state: State = State.CLOSED
    failed_probes: int = 0  # in a row
    _window: deque[tuple[float, bool]] = field(default_factory=deque)  # (when, failed)
    _failures: int = 0
    probe_at: float = 0.0  # when an open breaker sends its probe
    silent_since: float = 0.0  # when the first of the requests was sent since which none was answered
    _unanswered: int = 0  # in a row
    _closed_at: float = float("-inf")

    def admit(self, now: float) -> bool:
        """Return whether a request may be sent. In half-open the one that gets True is the probe.

        It must `settle` or be abandoned.
        """
        if self.state is State.OPEN and now >= self.probe_at:
            self.state = State.HALF_OPEN
            return True
        return self.state is State.CLOSED

    @property
    def rate(self) -> float:
        return self._failures / len(self._window) if self._window else 0.0

    def settle(self, now: float, *, began: float, failed: bool, probe: bool) -> State | None:
        """Record the end of a request that was admitted at `began`; return the new state if it changed."""
        if not failed:
            self._unanswered = 0
        if probe:
            return self._settle_probe(now, failed=failed)
        if self.state is not State.CLOSED or began < self._closed_at:
            return None  # sent before the breaker opened: no longer relevant
        self._window.append((now, failed))
        self._failures += failed
        while self._window[0][0] < now - self.policy.window_s:
            self._failures -= self._window.popleft()[1]
        if failed and len(self._window) >= self.policy.min and self.rate >= self.policy.rate:
            return self.trip(now)
        return None

    def silent(self, now: float, *, began: float) -> bool:
        """Record a failure of a request sent at `began`; return True if there was no answer for too long."""
        if self.state is not State.CLOSED or began < self._closed_at:
            return False  # as for the window
        if not self._unanswered:
            self.silent_since = began
        self._unanswered += 1
        policy = self.policy
        return self._unanswered >= policy.silent_failures and now - self.silent_since >= policy.silence_s

    def abandon(self, now: float) -> None:
        """Record that a probe was cancelled or not sent: another may be sent at once."""
        self.state = State.OPEN
        self.probe_at = now

    def _settle_probe(self, now: float, *, failed: bool) -> State:
        if failed:
            self.failed_probes += 1
            return self.trip(now)
        self.failed_probes = 0
        self._window.clear()
        self._failures = 0
        self.state = State.CLOSED
        self._closed_at = now
        return self.state

    def trip(self, now: float) -> State:
        """Open, regardless of the window."""
        self.state = State.OPEN
        self.probe_at = now + self.policy.cooldown_s
        return self.state


class Breaking(Wrapper):
    """Applies a provider's breaker. If there is a fallback, an open breaker refuses; otherwise it waits for the probe.

    All routes to one model share its breaker.
    """

    def __init__(self, inner: Provider, breaker: Breaker, shared: Shared, *, alone: bool) -> None:
        super().__init__(inner)
        self.breaker = breaker
        self.alone = alone
        self._shared = shared
        self._clock = shared.clock
        self._slowest_s = 0.0

    async def send(self, request: Request, call: Call) -> Completion:
        """Send if the breaker permits. Raises CallError (`breaker_open`: nothing was sent), NotSent."""
        breaker, clock = self.breaker, self._clock
        while True:
            while not breaker.admit(clock.monotonic()):
                if not self.alone or (self._shared.halt.goes_on and breaker.failed_probes >= PROBES):
                    raise self._left_alone()
                shut = clock.monotonic()
                await self._shared.halt.sleep(max(breaker.probe_at - shut, 0.05))
                call.waiting_ms += (clock.monotonic() - shut) * 1000.0
            began = clock.monotonic()
            if breaker.state is State.HALF_OPEN:
                return await self._probe(request, call, began)
            call.still_wanted = self._still_closed
            try:
                completion = await self.inner.send(request, call)
                break
            except CallError as error:
                if error.kind is ErrorKind.BREAKER_OPEN and self.alone and breaker.state is not State.CLOSED:
                    continue  # it opened while the request waited for its turn
                self._failed(call, error, began, probe=False)
                raise
            finally:
                call.still_wanted = None
        now = clock.monotonic()
        # This time includes the wait for a turn.
        took_s = now - began if completion.latency_ms is None else completion.latency_ms / 1000.0
        self._slowest_s = max(self._slowest_s, took_s)
        breaker.settle(now, began=began, failed=False, probe=False)
        return completion

    def _still_closed(self) -> None:
        """Admit a request that has waited since its first check. Raises CallError if the breaker has opened."""
        if self.breaker.state is not State.CLOSED:
            raise self._left_alone()

    def _left_alone(self) -> CallError:
        return CallError(ErrorKind.BREAKER_OPEN, f"{self.name} gets no requests after too many failures")

    async def _probe(self, request: Request, call: Call, began: float) -> Completion:
        self._decide(call, "probe", "one request is sent")
        # Counted from sending: waiting for a turn or a rate says nothing about the provider.
        call.patience_s = max(_PROBE_S, 2.0 * self._slowest_s)
        try:
            completion = await self.inner.send(request, call)
        except CallError as error:
            self._failed(call, error, began, probe=True)
            raise
        except BaseException:
            self.breaker.abandon(self._clock.monotonic())
            raise
        finally:
            call.patience_s = None
        self.breaker.settle(self._clock.monotonic(), began=began, failed=False, probe=True)
        self._decide(call, "close", "the probe was answered")
        return completion

    def _failed(self, call: Call, error: CallError, began: float, *, probe: bool) -> None:
        breaker, now = self.breaker, self._clock.monotonic()
        if error.held_back or error.hung_up or error.key_renewed:
            if probe:
                breaker.abandon(now)
            return
        # An answer of any other kind, even a refused request, shows that the provider is up.
        failed = error.kind in OUTAGE
        state = breaker.settle(now, began=began, failed=failed, probe=probe)
        reason = "the probe failed" if probe else f"{100 * breaker.rate:.0f} % of the last requests failed"
        if failed and breaker.silent(now, began=began):
            state = breaker.trip(now)
            reason = f"nothing was answered for {now - breaker.silent_since:.0f} s"
        if state is State.OPEN:
            self._decide(call, "open", f"{reason}; the last failure: {error.kind.value}")
            if self.alone and breaker.failed_probes >= PROBES:
                self._shared.halt.now(
                    f"{self.name} is down: {breaker.failed_probes} probes failed, the last with {error}"
                )
        elif state is State.CLOSED:
            self._decide(call, "close", f"the probe was answered: {error.kind.value}")

    def _decide(self, call: Call, kind: str, reason: str) -> None:
        self._shared.decisions.tell(call, kind, reason, {"model": self.name})
