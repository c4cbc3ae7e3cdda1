"""`equals` and `one_of`: the output, or one value in it, is what was expected."""

from collections.abc import Mapping

from evalh.core.case import ABSENT
from evalh.core.digest import JsonValue
from evalh.core.verdict import GradeContext, Verdict
from evalh.graders.expectation import Expectation
from evalh.graders.kinds import Compiled, Parameters, Scope, built_in
from evalh.graders.output import Place, Unreadable, folded
from evalh.graders.quoting import kind_of, shown


class Comparison(Parameters, frozen=True, kw_only=True):
    """What both graders know about where to look and what to overlook."""

    path: str | None = None
    expected: str | None = None
    ignore_case: bool = False
    trim: bool = False
    fenced: bool = False

    def read(self, place: Place, ctx: GradeContext, wanted: JsonValue) -> JsonValue | Unreadable:
        """Return what is compared: the text with a string, the JSON with anything else; at a path always JSON."""
        got = ctx.text if place.path is None and isinstance(wanted, str) else place.json(ctx)
        return self.fold(got)

    def fold(self, value: JsonValue) -> JsonValue:
        """Overlook case and blanks as far as was asked."""
        if self.ignore_case or self.trim:
            return folded(value, ignore_case=self.ignore_case, trim=self.trim)
        return value


@built_in("equals")
class Equals(Comparison, frozen=True, kw_only=True):
    """One value is expected."""

    value: JsonValue = ABSENT

    def compile(self, scope: Scope) -> Compiled:
        """Fix where to look and what to look for."""
        place = Place(scope.path(self.path), self.fenced)
        expectation = Expectation.of(scope, self.value, self.expected)

        def judge(ctx: GradeContext) -> Verdict:
            wanted = expectation.resolve(ctx)
            if isinstance(wanted, Verdict):
                return wanted
            got = self.read(place, ctx, wanted)
            if isinstance(got, Unreadable):
                return Verdict.check(False, got.reason)
            if same(got, self.fold(wanted)):
                return Verdict.check(True, f"{place} is {shown(got)}")
            return Verdict.check(False, f"{place} is {shown(got)}; expected {shown(wanted)}")

        return Compiled(judge, needs_expected=expectation.needs_expected)


@built_in("one_of", short="values")
class OneOf(Comparison, frozen=True, kw_only=True):
    """Any of several values is expected."""

    values: list[JsonValue] | None = None

    def compile(self, scope: Scope) -> Compiled:
        """Fix where to look and what to look for."""
        if self.values == []:
            raise scope.wrong("has an empty list of values: nothing could pass")
        place = Place(scope.path(self.path), self.fenced)
        literal = ABSENT if self.values is None else self.values
        expectation = Expectation.of(scope, literal, self.expected, "values")

        def judge(ctx: GradeContext) -> Verdict:
            candidates = expectation.resolve(ctx)
            if isinstance(candidates, Verdict):
                return candidates
            if not isinstance(candidates, list) or not candidates:
                return Verdict.error(f"the case's expected is {kind_of(candidates)}; a list of values is needed")
            return self._among(place, ctx, candidates)

        return Compiled(judge, needs_expected=expectation.needs_expected)

    def _among(self, place: Place, ctx: GradeContext, candidates: list[JsonValue]) -> Verdict:
        got: JsonValue | Unreadable = ABSENT
        for wanted in candidates:
            read = self.read(place, ctx, wanted)
            if not isinstance(read, Unreadable) and same(read, self.fold(wanted)):
                return Verdict.check(True, f"{place} is {shown(read)}")
            if got is ABSENT or isinstance(got, Unreadable):
                got = read
        if isinstance(got, Unreadable):
            return Verdict.check(False, got.reason)
        return Verdict.check(False, f"{place} is {shown(got)}; expected one of {shown(candidates)}")


def same(got: JsonValue, wanted: JsonValue) -> bool:
    """Compare as JSON does: 1 equals 1.0, true does not equal 1, keys have no order, lists have one."""
    match wanted:
        case bool():
            return got is wanted
        case Mapping():
            return (
                isinstance(got, Mapping)
                and got.keys() == wanted.keys()
                and all(same(got[key], inner) for key, inner in wanted.items())
            )
        case list() | tuple():
            return isinstance(got, list | tuple) and len(got) == len(wanted) and all(map(same, got, wanted))
        case _:
            return not isinstance(got, bool) and bool(got == wanted)
