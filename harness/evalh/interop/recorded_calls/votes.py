"""What users did with answers, from a file: one vote a line.

`{"workflow": "…", "good": false, "kind": "vote", "note": "…", "user": "…", "at": "2026-07-28T10:15:00Z"}`
"""

from collections.abc import Iterator
from typing import Any

from evalh.core.digest import digest
from evalh.core.errors import did_you_mean
from evalh.core.located import kind_of
from evalh.interop.recorded_calls.lines import NotRead, RecordedFile, Row, text_at
from evalh.interop.recorded_calls.pairs import instant
from evalh_trace.records import AnyRecord, Feedback

VOTE = "vote"
_KEYS = ("workflow", "good", "kind", "note", "user", "at")


def fits(row: Row) -> bool:
    """Whether a line is a vote."""
    return "workflow" in row and ("good" in row or "kind" in row)


class VoteLines:
    """Reads the votes of a file."""

    def __init__(self, source: RecordedFile) -> None:
        self._source = source

    def records(self, row: Row) -> Iterator[AnyRecord]:
        """Yield a vote. Raises NotRead."""
        for key in row:
            if key not in _KEYS:
                raise NotRead(f"unknown key {key!r}: {did_you_mean(key, _KEYS)}")
        workflow = text_at(row, "workflow")
        if not workflow:
            raise NotRead("'workflow' must be the id of a workflow")
        good, kind = row.get("good"), text_at(row, "kind") or VOTE
        if good is not None and not isinstance(good, bool):
            raise NotRead(f"'good' must be true or false, not {kind_of(good)}")
        if good is None and kind == VOTE:
            raise NotRead("says neither 'good' nor a kind, such as copied, retried, escalated")
        yield Feedback(
            id=f"feedback-{digest(row).removeprefix('sha256:')[:24]}",
            workflow_id=workflow,
            at=self._time(row.get("at")),
            good=good,
            kind=kind,
            note=text_at(row, "note"),
            user=text_at(row, "user"),
        )

    def _time(self, stated: Any) -> float:
        if stated is None:
            return self._source.at
        at = instant(stated)
        if at is None:
            raise NotRead("'at' must be a time, such as 2026-07-28T10:15:00Z")
        return at
