"""How long checks take that ask models: without what their questions waited for places among our own calls."""

from evalh.core.latency import Latency


class Spans:
    """The questions of one answer's checks: when each was asked, when answered, and its latency."""

    def __init__(self) -> None:
        self._asked: list[tuple[float, float, Latency]] = []

    def add(self, began_s: float, ended_s: float, took: Latency) -> None:
        """Take one question with its answer, or its last error."""
        self._asked.append((began_s * 1000.0, ended_s * 1000.0, took))

    def checks(self, by_clock_ms: float) -> Latency:
        """Return the checks' part of a latency; by the clock they took `by_clock_ms`.

        Questions that overlap are asked together: such a group takes as long as its slowest question would alone.
        """
        if any(took.total_ms is None for _, _, took in self._asked):
            return Latency(None)
        if not all(took.whole for _, _, took in self._asked):
            return Latency(0.0, None, None)
        groups: list[tuple[float, float]] = []  # when each ended, and when it would have ended alone
        for began, ended, took in sorted(self._asked, key=lambda one: one[:2]):
            alone = began + (took.total_ms or 0.0)
            if groups and began < groups[-1][0]:
                groups[-1] = (max(groups[-1][0], ended), max(groups[-1][1], alone))
            else:
                groups.append((ended, alone))
        return Latency(checks_ms=by_clock_ms + sum(alone - ended for ended, alone in groups))
