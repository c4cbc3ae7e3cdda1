"""What asks have left in production's files. Not a test itself."""

from collections import Counter
from pathlib import Path
from typing import Any, TypeVar

from evalh.api.asking.service import service_of
from evalh_trace.records import Attempt, Call, Step, Workflow, decode

R = TypeVar("R", Workflow, Step, Call, Attempt)


def written(folder: Path, kind: type[R]) -> list[R]:
    """Return the records of one kind, the last of each id, in the order in which ids came."""
    service_of(folder).flush()
    found: dict[str, R] = {}
    for file in sorted((folder / ".evalh/production").glob("*.jsonl")):
        for record in decode(file.read_bytes()):
            assert record is not None
            if isinstance(record, kind):
                found[record.id] = record
    return list(found.values())


def decided(folder: Path) -> Counter[str]:
    """Count the decisions of all asks, by kind."""
    return Counter(
        decision["kind"] for one in written(folder, Workflow) for decision in one.attributes.get("decisions", ())
    )


def ask_of(folder: Path, ask_id: str) -> dict[str, Any]:
    """Return an ask's record without what differs from run to run."""
    (found,) = [one for one in written(folder, Workflow) if one.id == ask_id]
    return {"status": found.status, "error": found.error, **found.attributes}
