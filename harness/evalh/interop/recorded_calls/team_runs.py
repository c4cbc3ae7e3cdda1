"""Runs of a team of agents as the Who&When data set has them: a question, the turns, and the first decisive mistake.

The mistake is what people annotated: the agent, the turn (from 0) and the reason.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from evalh.core.digest import digest
from evalh.core.located import kind_of
from evalh.interop.recorded_calls.lines import NotRead, RecordedFile, Row, text_at
from evalh_trace.records import AnyRecord, Score, Step, Workflow

MISTAKE = "first_mistake"
_UNNAMED = "agent"


def fits(row: Row) -> bool:
    """Whether a line is a run of a team."""
    return isinstance(row.get("steps"), list) and "question" in row


class TeamRuns:
    """Reads the runs of a file. No turn says its time: a workflow has the file's."""

    def __init__(self, source: RecordedFile) -> None:
        self._source = source

    def records(self, row: Row) -> Iterator[AnyRecord]:
        """Yield a run's workflow, its steps and the annotation. Raises NotRead."""
        return _records(row, self._source)


def _records(row: Row, source: RecordedFile) -> Iterator[AnyRecord]:
    turns = row.get("steps")
    if not isinstance(turns, list) or not turns:
        raise NotRead("'steps' must be a list of turns that is not empty")
    workflow_id = f"run-{digest(row).removeprefix('sha256:')[:24]}"
    steps = [_step(workflow_id, place, turn, f"step {place}") for place, turn in enumerate(turns)]
    annotation = _annotation(row, workflow_id, steps)
    known = {key: row[key] for key in ("id", "ground_truth", "mistake_agent") if row.get(key) is not None}
    yield Workflow(
        id=workflow_id,
        name=text_at(row, "name") or source.default_name,
        door="whowhen",
        started_at=source.at,
        status="ok",
        inputs={"question": row.get("question")},
        output=steps[-1].output,
        attributes=known,
        kept="all",
    )
    yield from steps
    if annotation is not None:
        yield annotation


def _step(workflow_id: str, place: int, turn: Any, where: str) -> Step:
    if not isinstance(turn, Mapping):
        raise NotRead(f"{where} must be an object, not {kind_of(turn)}")
    content = turn.get("content")
    if content is None:
        raise NotRead(f"{where} has no content")
    role = turn.get("role")
    return Step(
        id=f"{workflow_id}:{place}",
        workflow_id=workflow_id,
        name=text_at(turn, "agent") or text_at(turn, "name") or (role if isinstance(role, str) else _UNNAMED),
        kind="agent",
        position=place,
        status="ok",
        output=content,
        attributes={} if role is None else {"role": role},
    )


def _annotation(row: Row, workflow_id: str, steps: list[Step]) -> Score | None:
    """Return what people said of the run; None if nobody did. Raises NotRead for a turn that is not there."""
    place = row.get("mistake_step")
    if place is None:
        return None
    if isinstance(place, str) and place.isascii() and place.isdecimal() and len(place) < len(str(len(steps))) + 1:
        place = int(place)  # the data set as published has texts
    if isinstance(place, bool) or not isinstance(place, int):
        raise NotRead(f"'mistake_step' must be the number of a step, not {kind_of(place)}")
    if not 0 <= place < len(steps):
        raise NotRead(f"'mistake_step' is {place}, and the run has the steps 0 to {len(steps) - 1}")
    return Score(
        id=f"{workflow_id}:{MISTAKE}",
        workflow_id=workflow_id,
        name=MISTAKE,
        step_id=steps[place].id,
        outcome="fail",
        text=text_at(row, "mistake_reason"),
        source="people",
    )
