"""A provider's rate limit, learned from its refusals: how long it accepts nothing, and how fast it answers."""

from collections.abc import Awaitable, Callable

from msgspec import Struct

from evalh.core.ports import CallLog, Progress

_FORGETS_S = 60.0  # the learned rate doubles in this time: someone else may have used up the key's limit
LEAST_S = 0.1
"""A stated wait counts as at least this much: waits of 0 would pause nothing and never add up."""

_IN_A_ROW = 3
_TOO_FAST_S = 1e-3  # a shorter gap has no effect


class Pace(Struct):
    """A pause until the provider accepts requests again, and the gap between requests that it can keep up with.

    The gap is learned from whole cycles, from the end of one pause to the end of the next: answers per time.
    Time is an argument, in seconds of a monotonic clock.
    """

    until: float = 0.0  # nothing is sent before
    quiet_s: float = 0.0  # all pauses since the last answer
    _unnamed: int = 0  # refusals without a stated wait since the last answer
    _answers: int = 0  # of the cycle that began at `until`
    _gap_s: float = 0.0  # 0: nothing learned yet
    _learned_at: float = 0.0
    _next: float = 0.0
    _stood_s: float = 0.0  # of the cycle, in which we ourselves could not send
    _stood_until: float = 0.0

    def paused_s(self, now: float) -> float:
        """Return how long the pause still lasts."""
        return max(0.0, self.until - now)

    def wait_s(self, now: float) -> float:
        """Return how long the next request must wait; 0: not at all."""
        return max(0.0, self.until - now, self._next - now)

    def leave(self, now: float) -> None:
        gap_s = self.gap_s(now)
        if gap_s:
            self._next = now + gap_s

    def stood(self, began: float, now: float) -> None:
        """Record that we ourselves could not send from `began` on; that says nothing about the provider."""
        began = max(began, self.until, self._stood_until)  # several limiters may report the same time
        self._stood_s += max(0.0, now - began)
        self._stood_until = max(now, self._stood_until)

    def gap_s(self, now: float) -> float:
        """Return the learned gap between two requests."""
        if not self._gap_s:
            return 0.0
        gap_s: float = self._gap_s * 0.5 ** (max(0.0, now - self._learned_at) / _FORGETS_S)
        if gap_s < _TOO_FAST_S:
            self._gap_s = gap_s = 0.0
        return gap_s

    def answered(self, began: float) -> None:
        """Record an answer to a request sent at `began`."""
        self._unnamed = 0
        if began >= self.until:
            self._answers += 1
            self.quiet_s = 0.0

    def refused(self, now: float, began: float, wait_s: float, *, named: bool = True) -> None:
        """Record that a request sent at `began` was refused, and that the provider accepts nothing for `wait_s`.

        A wait that it did not state leaves no gap behind: a server may refuse at random.
        """
        until = max(self.until, now + wait_s)
        if began >= self.until:  # sent after the known pause began
            self._learn(now, until, wait_s if named else 0.0)
        self.quiet_s += until - max(self.until, now)
        self.until = until

    def unnamed_s(self, began: float, first_s: float, most_s: float) -> float | None:
        """Record a refusal without a stated wait, of a request sent at `began`; return how long to pause.

        The pause is as long as the time without an answer, so each one is about twice the last. None: too few refusals
        in a row to distinguish a limit from a server that refuses at random.
        """
        self._unnamed += 1
        if self._unnamed < _IN_A_ROW or began < self.until:
            return None
        return min(max(first_s, self.quiet_s), most_s)

    def _learn(self, now: float, until: float, wait_s: float) -> None:
        """Learn from a whole cycle. A refusal slows the pace to at slowest one request in twice its stated wait.

        Without that bound a server that refuses at random would be asked less and less: a cycle of few answers is
        mostly our own gaps.
        """
        known_s = self.gap_s(now)
        if self.until and self._answers:
            gap_s = max(0.0, until - self.until - self._stood_s) / self._answers
        else:  # others may have used part of the first cycle; a cycle without an answer was too fast
            gap_s = 2.0 * known_s
        self._gap_s = min(gap_s, max(known_s, 2.0 * wait_s))
        self._learned_at = until
        self._answers = 0
        self._stood_s = 0.0


_LOOK_AGAIN_S = 0.25
_LOOKS_UNTOLD = 3  # a disk that is busy for a moment needs no notice


async def until_writable(
    log: CallLog, sleep: Callable[[float], Awaitable[None]], progress: Progress | None = None
) -> None:
    """Wait while the log is blocked: an answer that cannot be stored would be bought twice.

    Raises EvalhError if the log has failed, and what `sleep` raises.
    """
    looks = 0
    while (because := log.blocked()) is not None:
        looks += 1
        if progress is not None and looks > _LOOKS_UNTOLD:
            progress.paused(because)
        await sleep(_LOOK_AGAIN_S)
    if progress is not None and looks > _LOOKS_UNTOLD:
        progress.paused(None)
