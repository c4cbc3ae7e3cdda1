"""Cases: the rows of a dataset."""

from collections.abc import Mapping
from enum import Enum
from typing import Final, Literal

from evalh.core.digest import JsonValue
from evalh.core.values import dataclass


class Absent(Enum):
    """Absent is not null: a case may expect null, or expect nothing."""

    ABSENT = "absent"


ABSENT: Final = Absent.ABSENT


@dataclass(frozen=True, slots=True)
class Case:
    """One dataset row. `where` is `file:line`, for messages only."""

    id: str
    inputs: Mapping[str, JsonValue]
    expected: JsonValue | Literal[Absent.ABSENT] = ABSENT
    tags: frozenset[str] = frozenset()
    where: str = ""

    def document(self) -> dict[str, JsonValue]:
        """Return the row as JSON: what the dataset digest covers."""
        row: dict[str, JsonValue] = {"id": self.id, "inputs": self.inputs}
        if self.expected is not ABSENT:
            row["expected"] = self.expected
        if self.tags:
            row["tags"] = sorted(self.tags)
        return row
