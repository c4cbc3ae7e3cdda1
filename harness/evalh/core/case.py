"""Cases: the rows of a dataset."""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Final, Literal

from evalh.core.digest import digest
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value


class Absent(Enum):
    """Absent is not null: a case may expect null, or expect nothing."""

    ABSENT = "absent"


ABSENT: Final = Absent.ABSENT


def ties(cluster: str | None, inputs_digest: str | None) -> tuple[tuple[str, str], ...]:
    """Return what makes a case similar to others: the cluster that its row names, and its inputs."""
    named = (("cluster", cluster), ("inputs", inputs_digest))
    return tuple((kind, name) for kind, name in named if name is not None)


INCIDENT = "incident"
"""The tag of a case that was chosen because it failed. It is a promise, and counted apart from the good rate."""

NO_DOUBLES: dict[str, JsonValue] = {}
NO_GRADERS: tuple[str | dict[str, JsonValue], ...] = ()


class Case(Value):
    """One dataset row. `where` is `file:line`, for messages only."""

    id: str
    inputs: Mapping[str, JsonValue]
    expected: JsonValue | Literal[Absent.ABSENT] = ABSENT
    tags: frozenset[str] = frozenset()
    where: str = ""
    cluster: str | None = None  # of cases that are alike, as the row names it
    given: Mapping[str, JsonValue] = NO_DOUBLES  # the row's doubles, by step
    source: Mapping[str, JsonValue] | None = None  # where it was found: no digest covers it, for it asks nothing
    graders: Sequence[str | dict[str, JsonValue]] = NO_GRADERS  # of its own, as under `graders:` in a suite

    @property
    def incident(self) -> bool:
        """Whether it is counted apart from the good rate."""
        return INCIDENT in self.tags

    @property
    def inputs_digest(self) -> str:
        """Cases with equal inputs are one cluster, even if their rows do not name one."""
        return digest(self.inputs)

    def gold_of(self, step: str) -> JsonValue | Literal[Absent.ABSENT]:
        """Return what is expected of a pipeline's step: `expected.steps.<step>`."""
        steps = self.expected.get("steps") if isinstance(self.expected, Mapping) else None
        return steps.get(step, ABSENT) if isinstance(steps, Mapping) else ABSENT

    def document(self) -> dict[str, JsonValue]:
        """Return the row as JSON, as the dataset digest covers it."""
        row: dict[str, JsonValue] = {"id": self.id, "inputs": self.inputs}
        if self.expected is not ABSENT:
            row["expected"] = self.expected
        if self.tags:
            row["tags"] = sorted(self.tags)
        if self.cluster is not None:
            row["cluster"] = self.cluster
        if self.given:
            row["given"] = self.given
        if self.graders:
            row["graders"] = list(self.graders)
        return row
