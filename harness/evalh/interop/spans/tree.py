"""The spans of one trace as a tree: which are kept, which is the root, which calls are counted.

Nothing here follows a parent by recursion: a trace may be as deep as it has spans, and its parents may form a circle.
"""

from collections.abc import Collection, Mapping

from msgspec import Struct

from evalh.interop.spans.received import ReceivedSpan
from evalh.interop.spans.told import LLM, Told


class TraceTree(Struct):
    """What a trace's spans are to each other. Spans that are neither GenAI nor above one are not in it."""

    root: str  # the one without a parent; where none was seen, the highest
    whole: bool  # the root has no parent
    order: list[str]  # each after its parent
    parents: dict[str, str]  # of those that were seen
    calls: list[str]  # model calls that count: innermost, in order
    hidden: set[str]  # calls inside one that counts already

    def above(self, span: str, steps: Collection[str]) -> str | None:
        """Return the nearest span above that is a step; None: the workflow itself."""
        place = self.parents.get(span)
        while place is not None and place not in steps:
            place = self.parents.get(place)
        return place if place != self.root else None


def tree_of(spans: Mapping[str, ReceivedSpan], told: Mapping[str, Told], counted: Collection[str]) -> TraceTree | None:
    """Sort a trace's spans. None where none is of GenAI.

    `counted` are calls that were recorded before: they stay calls, though an inner one may have come since.
    """
    kept = _kept(spans, told)
    if not kept:
        return None
    parents = {span: parent for span in kept if (parent := spans[span].parent) in kept and parent is not None}
    _cut_circles(parents, spans)
    order = _order(kept, parents, spans)
    tops = [span for span in order if span not in parents]
    roots = [span for span in tops if spans[span].parent is None]
    calls, hidden = _innermost(order, parents, {span for span in kept if _is_call(told, span)}, counted)
    return TraceTree(
        root=(roots or tops)[0],
        whole=bool(roots),
        order=order,
        parents=parents,
        calls=[span for span in order if span in calls],
        hidden=hidden,
    )


def _is_call(told: Mapping[str, Told], span: str) -> bool:
    return span in told and told[span].kind == LLM


def _kept(spans: Mapping[str, ReceivedSpan], told: Mapping[str, Told]) -> set[str]:
    kept: set[str] = set()
    for span in told:
        place: str | None = span
        while place is not None and place in spans and place not in kept:
            kept.add(place)
            place = spans[place].parent
    return kept


def _cut_circles(parents: dict[str, str], spans: Mapping[str, ReceivedSpan]) -> None:
    """Take the parent from one span of each circle: the one that began first."""
    done: set[str] = set()
    for start in list(parents):
        path: list[str] = []
        on_path: set[str] = set()
        place: str | None = start
        while place is not None and place not in done and place not in on_path:
            path.append(place)
            on_path.add(place)
            place = parents.get(place)
        if place is not None and place in on_path:
            circle = path[path.index(place) :]
            del parents[min(circle, key=lambda span: _began(spans[span]))]
        done |= on_path


def _order(kept: set[str], parents: Mapping[str, str], spans: Mapping[str, ReceivedSpan]) -> list[str]:
    below: dict[str | None, list[str]] = {}
    for span in sorted(kept, key=lambda span: _began(spans[span])):
        below.setdefault(parents.get(span), []).append(span)
    order: list[str] = []
    waiting = list(reversed(below.get(None, [])))
    while waiting:
        span = waiting.pop()
        order.append(span)
        waiting += reversed(below.get(span, []))
    return order


def _began(span: ReceivedSpan) -> tuple[float, str]:
    if span.whole:
        return (float("-inf"), span.span)
    return (float("inf") if span.started_at is None else span.started_at, span.span)


def _innermost(
    order: list[str], parents: Mapping[str, str], candidates: set[str], counted: Collection[str]
) -> tuple[set[str], set[str]]:
    """Return the calls without a call inside, and those inside a call that counts already."""
    hidden: set[str] = set()
    inside: set[str] = set()
    for span in order:  # from the top
        parent = parents.get(span)
        if parent is not None and (parent in inside or (parent in counted and parent in candidates)):
            inside.add(span)
            if span in candidates and span not in counted:
                hidden.add(span)
    with_call: set[str] = set()
    calls: set[str] = set()
    for span in reversed(order):  # from the bottom
        if span in candidates and span not in hidden and (span in counted or span not in with_call):
            calls.add(span)
        parent = parents.get(span)
        if parent is not None and (span in with_call or (span in candidates and span not in hidden)):
            with_call.add(parent)
    return calls, hidden
