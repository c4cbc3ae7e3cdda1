"""How long an answer took: the one definition that the log, reports, comparisons, the gate and spans share.

A call's latency runs from the moment it may start to the answer that counted: every attempt, every wait at a limit and
between attempts, every check. What it waited for our own concurrency (a place among the calls in flight, a budget that
others had reserved, a log that was locked) is left out: that says how busy we were, not how fast the answer is. It is
the sum of its parts, so an answer from the log or a recording counts with the time it took when it was asked.
"""

from evalh.core.values import Value


class Latency(Value):
    """A latency by its parts, in milliseconds. Without waits and checks it is the one attempt's own."""

    attempts_ms: float | None = 0.0  # in flight, failed attempts too; None: a recording does not say
    waited_ms: float | None = (
        0.0  # at rates, as the provider asked, between attempts; None: an older log's, see `whole`
    )
    checks_ms: float | None = 0.0  # of a route's checks, with what they asked

    @property
    def total_ms(self) -> float | None:
        """All of it; None: not known. Where it is not `whole`, the last attempt's alone."""
        if self.attempts_ms is None:
            return None
        # To a nanosecond: read back from its parts it must be the same number.
        return round(self.attempts_ms + (self.waited_ms or 0.0) + (self.checks_ms or 0.0), 6)

    @property
    def whole(self) -> bool:
        """Whether all parts are there. Logs before schema 9 hold the last attempt's alone: not the same quantity."""
        return self.waited_ms is not None and self.checks_ms is not None

    def plus(self, other: "Latency") -> "Latency":
        """Return both, one after the other."""
        return Latency(
            _plus(self.attempts_ms, other.attempts_ms),
            _plus(self.waited_ms, other.waited_ms),
            _plus(self.checks_ms, other.checks_ms),
        )


NOT_KNOWN = Latency(None, None, None)


def latency_of(total_ms: float | None, waited_ms: float | None, checks_ms: float | None) -> Latency:
    """Read what was stored as a total and two of its parts."""
    attempts_ms = None if total_ms is None else total_ms - (waited_ms or 0.0) - (checks_ms or 0.0)
    return Latency(attempts_ms, waited_ms, checks_ms)


def _plus(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other
