"""What an output is compared with: a literal from the suite, or a place in the case's `expected`."""

from evalh.core.case import ABSENT
from evalh.core.digest import JsonValue
from evalh.core.values import Value
from evalh.core.verdict import GradeContext, Verdict
from evalh.graders.kinds import Scope
from evalh.graders.paths import JsonPath

NO_EXPECTED = Verdict.abstain("the case has no expected value")


class Expectation(Value):
    """A literal, or a path in `expected` (None: all of it)."""

    literal: JsonValue = ABSENT
    path: JsonPath | None = None

    @classmethod
    def of(cls, scope: Scope, literal: JsonValue, path: str | None, literal_name: str = "value") -> "Expectation":
        """Choose. Raises WorkspaceError where both are stated, and for a path that cannot be read."""
        if literal is not ABSENT and path is not None:
            raise scope.wrong(f"states both {literal_name} and expected", "a literal, or a path in the case's expected")
        return cls(literal, scope.path(path))

    @property
    def needs_expected(self) -> bool:
        """Tell whether a case without `expected` leaves nothing to compare with."""
        return self.literal is ABSENT

    def resolve(self, ctx: GradeContext) -> JsonValue | Verdict:
        """Return the value, or the verdict that there is none: null is a value, absence is not."""
        if self.literal is not ABSENT:
            return self.literal
        expected = ctx.case.expected
        if expected is ABSENT:
            return NO_EXPECTED
        if self.path is None:
            return expected
        found = self.path.find(expected)
        return Verdict.abstain(f"the case's expected has no {self.path}") if found is ABSENT else found
