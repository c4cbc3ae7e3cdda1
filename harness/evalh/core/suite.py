"""Suites: a prompt, a dataset, graders, and what is asked of them."""

from collections.abc import Mapping

from msgspec import field

from evalh.core.digest import JsonValue
from evalh.core.policy import BaselinePolicy, GatePolicy
from evalh.core.value import OutputValue
from evalh.core.values import Value

ADVISORY = frozenset({"embedding_similarity"})
"""Kinds of graders that decide nothing unless a suite says of them `required: true`."""


class GraderSpec(Value, kw_only=True):
    """One entry under `graders:`, before the registry builds it.

    `name` is what reports print: the kind, or `kind(param)` where a suite uses a kind twice.
    """

    kind: str
    name: str
    params: Mapping[str, JsonValue] = field(default_factory=dict)
    required: bool = True
    where: str = ""  # file:line

    def document(self) -> dict[str, JsonValue]:
        """Return what the suite digest covers."""
        return {"kind": self.kind, "params": dict(self.params), "required": self.required}


class Suite(Value, kw_only=True):
    """`evals/<name>.yaml`."""

    name: str
    prompt: str
    dataset: str
    graders: tuple[GraderSpec, ...]
    model: str | None = None
    owner: str | None = None
    trials: int = 1
    max_ungraded: float = 0.02  # share of samples; above it a run could not measure
    gate: GatePolicy = field(default_factory=GatePolicy)
    baseline: BaselinePolicy = field(default_factory=BaselinePolicy)
    value: OutputValue | None = None
    compare: tuple[GraderSpec, ...] = ()
    where: str = ""
    places: Mapping[str, str] = field(default_factory=dict)  # file:line of each key

    def where_of(self, key: str) -> str:
        """Return where a key stands; of one that is not there, the suite's own place."""
        return self.places.get(key, self.where)
