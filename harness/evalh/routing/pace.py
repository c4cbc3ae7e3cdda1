"""A provider's rate limit as its refusals show it: until when it takes nothing more, and how fast it answers."""

from collections.abc import Awaitable, Callable

from msgspec import Struct

from evalh.core.ports import CallLog, Progress

_FORGETS_S = 60.0  # the learned rate doubles in this time: a limit may have been another's use of the key
LEAST_S = 0.1
"""A named wait counts as this at least: a wait of 0 would close no door, and such waits would never add up."""

_IN_A_ROW = 3
_TOO_FAST_S = 1e-3  # a shorter gap slows nobody down


class Pace(Struct):
    """A pause until the provider takes requests again, and the gap between two of them that it keeps up with.

    The gap is learned from whole cycles, from the end of a pause to the end of the next: so many answers in so long.
    Time is an argument: seconds that never go back.
    """

    until: float = 0.0  # nothing leaves before
    quiet_s: float = 0.0  # all pauses since the last answer
    _unnamed: int = 0  # refusals without a wait since the last answer
    _answers: int = 0  # of the cycle that began at `until`
    _gap_s: float = 0.0  # 0: nothing is learned
    _learned_at: float = 0.0
    _next: float = 0.0
    _stood_s: float = 0.0  # of the cycle, in which nothing could leave for reasons of our own
    _stood_until: float = 0.0

    def paused_s(self, now: float) -> float:
        """Return how long the provider still wants nothing."""
        return max(0.0, self.until - now)

    def wait_s(self, now: float) -> float:
        """Return how long the next request must wait; 0: it may leave."""
        return max(0.0, self.until - now, self._next - now)

    def leave(self, now: float) -> None:
        gap_s = self.gap_s(now)
        if gap_s:
            self._next = now + gap_s

    def stood(self, began: float, now: float) -> None:
        """Take that nothing could leave from `began` on for reasons of our own: that says nothing of the provider."""
        began = max(began, self.until, self._stood_until)  # several doors may say so of the same moments
        self._stood_s += max(0.0, now - began)
        self._stood_until = max(now, self._stood_until)

    def gap_s(self, now: float) -> float:
        """Return the gap between two requests that is learned."""
        if not self._gap_s:
            return 0.0
        gap_s: float = self._gap_s * 0.5 ** (max(0.0, now - self._learned_at) / _FORGETS_S)
        if gap_s < _TOO_FAST_S:
            self._gap_s = gap_s = 0.0
        return gap_s

    def answered(self, began: float) -> None:
        """Take an answer to a request that left at `began`."""
        self._unnamed = 0
        if began >= self.until:
            self._answers += 1
            self.quiet_s = 0.0

    def refused(self, now: float, began: float, wait_s: float, *, named: bool = True) -> None:
        """Take that a request which left at `began` was refused, and that the provider wants nothing for `wait_s`.

        A wait that it did not name slows nobody down once it is over: a server may refuse at random.
        """
        until = max(self.until, now + wait_s)
        if began >= self.until:  # it did not leave before the pause that is known
            self._learn(now, until, wait_s if named else 0.0)
        self.quiet_s += until - max(self.until, now)
        self.until = until

    def unnamed_s(self, began: float, first_s: float, most_s: float) -> float | None:
        """Take a refusal, of a request that left at `began`, that names no wait; return how long nothing is to leave.

        As long again as nothing was answered, so each pause in a row is about twice the last. None: too few refusals
        in a row to tell a limit from a server that refuses at random.
        """
        self._unnamed += 1
        if self._unnamed < _IN_A_ROW or began < self.until:
            return None
        return min(max(first_s, self.quiet_s), most_s)

    def _learn(self, now: float, until: float, wait_s: float) -> None:
        """Take a whole cycle. A refusal slows the pace down no further than to one request in twice the wait it names.

        Without that bound a server that refuses at random would be asked ever more rarely: a cycle of few answers is
        mostly our own gaps.
        """
        known_s = self.gap_s(now)
        if self.until and self._answers:
            gap_s = max(0.0, until - self.until - self._stood_s) / self._answers
        else:  # the first cycle began with whatever others had used; one without an answer was still too fast
            gap_s = 2.0 * known_s
        self._gap_s = min(gap_s, max(known_s, 2.0 * wait_s))
        self._learned_at = until
        self._answers = 0
        self._stood_s = 0.0


_LOOK_AGAIN_S = 0.25
_LOOKS_UNTOLD = 3  # a disk that is busy for a moment is not worth a line


async def until_writable(
    log: CallLog, sleep: Callable[[float], Awaitable[None]], progress: Progress | None = None
) -> None:
    """Wait while the log is blocked: an answer that cannot be stored would be bought twice.

    Raises EvalhError when the log has failed, and what `sleep` raises.
    """
    looks = 0
    while (because := log.blocked()) is not None:
        looks += 1
        if progress is not None and looks > _LOOKS_UNTOLD:
            progress.paused(because)
        await sleep(_LOOK_AGAIN_S)
    if progress is not None and looks > _LOOKS_UNTOLD:
        progress.paused(None)
