"""A traced workflow as an outline: each step with what happened inside it, in order, on one time axis."""

from collections import defaultdict
from collections.abc import Iterator
from typing import TypeAlias

from evalh.core.production import WorkflowDetail
from evalh.core.values import Value
from evalh_trace.records import Attempt, Call, Score, Step

Item: TypeAlias = Step | Call


class OutlineLine(Value, kw_only=True):
    """One step or call. Times are seconds since the workflow began; None: unknown."""

    depth: int
    item: Item
    begin_s: float | None
    took_s: float | None
    attempts: tuple[Attempt, ...] = ()  # of a call
    scores: tuple[Score, ...] = ()  # of a step


def outline(detail: WorkflowDetail) -> tuple[OutlineLine, ...]:
    """Return every step and call once. One whose parent is unknown, or its own descendant, stands at the top."""
    steps = {one.id: one for one in detail.steps}
    inside: defaultdict[str | None, list[Item]] = defaultdict(list)
    items: list[Item] = [*detail.steps, *detail.calls]
    for item in items:
        parent = item.parent_id if isinstance(item, Step) else item.step_id
        inside[parent if parent in steps else None].append(item)
    attempts, scores = defaultdict(list), defaultdict(list)
    for attempt in detail.attempts:
        attempts[attempt.call_id].append(attempt)
    for score in detail.scores:
        scores[score.step_id].append(score)
    placed = list(_walk(None, inside, steps))
    seen = {item.id for _, item in placed}
    placed += [(0, one) for one in items if one.id not in seen]  # in a circle of parents
    begun = detail.workflow.started_at
    return tuple(
        OutlineLine(
            depth=depth,
            item=item,
            begin_s=None if item.started_at is None else max(0.0, item.started_at - begun),
            took_s=_took_s(item),
            attempts=tuple(attempts[item.id]) if isinstance(item, Call) else (),
            scores=tuple(scores[item.id]) if isinstance(item, Step) else (),
        )
        for depth, item in placed
    )


def _walk(top: str | None, inside: dict[str | None, list[Item]], steps: dict[str, Step]) -> Iterator[tuple[int, Item]]:
    waiting = [(0, item) for item in reversed(_ordered(inside.get(top, [])))]
    while waiting:
        depth, item = waiting.pop()
        yield depth, item
        if item.id in steps:
            waiting += [(depth + 1, one) for one in reversed(_ordered(inside.pop(item.id, [])))]


def _ordered(items: list[Item]) -> list[Item]:
    """Order by position where it is known, otherwise by time; calls stand with the steps of their time."""

    def key(place: int) -> tuple[float, float, int]:
        item = items[place]
        position = item.position if isinstance(item, Step) else None
        begun = item.started_at
        return (position if position is not None else 1e18, begun if begun is not None else 1e18, place)

    return [items[place] for place in sorted(range(len(items)), key=key)]


def _took_s(item: Item) -> float | None:
    if isinstance(item, Call):
        return None if item.latency_ms is None else max(0.0, item.latency_ms / 1000.0)
    if item.started_at is None or item.ended_at is None:
        return None
    return max(0.0, item.ended_at - item.started_at)
