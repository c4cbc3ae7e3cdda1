"""What an assertion asks, and the grader's entry that it becomes."""

from collections.abc import Mapping

from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.interop.foreign.promptfoo.nodes import Node
from evalh.interop.foreign.transfer import Fidelity


class ForeignAssertion(Value, kw_only=True):
    """One assertion of one test, with its templates filled."""

    kind: str  # without `not-`
    value: JsonValue  # rendered; a file's content where it named one of data
    node: Node  # as it stands in the source
    values: Mapping[str, JsonValue]  # the test's variables
    options: Mapping[str, JsonValue]  # of the test
    objects: bool  # the provider hands over objects where it was asked for JSON

    @property
    def threshold(self) -> float | int | None:
        """The number that passes, if one is stated."""
        value = self.node.child("threshold").value
        return value if isinstance(value, int | float) and not isinstance(value, bool) else None

    @property
    def text(self) -> str:
        """The value, which must be text that is not empty. Raises NoEntryError."""
        if not isinstance(self.value, str) or not self.value:
            raise NoEntryError("needs a text that is not empty; promptfoo stops with an error here")
        return self.value


class GraderEntry(Value, kw_only=True):
    """A grader's kind and parameters, and how near it is."""

    kind: str
    params: dict[str, JsonValue]
    status: Fidelity = Fidelity.SAME
    why: str | None = None
    do: str | None = None

    def nearly(self, why: str, do: str | None = None) -> "GraderEntry":
        """Return the entry as one that differs in this way."""
        told = why if self.why is None else f"{self.why}; {why}"
        return GraderEntry(kind=self.kind, params=self.params, status=Fidelity.NEAR, why=told, do=do or self.do)

    def document(self, more: Mapping[str, JsonValue] | None = None) -> JsonValue:
        """Return it as it stands in a list of graders."""
        params = {**self.params, **(more or {})}
        return {self.kind: params} if params else self.kind


class NoEntryError(Exception):
    """An assertion has no counterpart: why, and what to do."""

    def __init__(self, why: str, do: str | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.do = do
