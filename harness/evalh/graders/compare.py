"""`equals` and `one_of`: the output, or one value in it, is what was expected."""

from collections.abc import Mapping

from pydantic import Field

from evalh.core.case import ABSENT
from evalh.core.strict_json import JsonValue
from evalh.core.text_forms import Form, code_points_apart
from evalh.core.verdict import GradeContext, Verdict
from evalh.graders.kinds import Compiled, Scope, built_in
from evalh.graders.quoting import shown
from evalh.graders.reading import Compared, OutputPlace, Unreadable, absent, folded


class CompareParameters(Compared):
    """What is overlooked when values are compared."""

    ignore_case: bool = Field(False, description="Ignore upper and lower case in strings. Keys stay exact.")
    trim: bool = Field(False, description="Ignore spaces and line ends around strings.")
    normalize: Form = Field("nfc", description="The Unicode form in which strings are compared.")

    def read(self, place: OutputPlace, ctx: GradeContext, wanted: JsonValue) -> JsonValue:
        """Return what is compared: the text with a string, the JSON with anything else; at a path always JSON.

        Raises Unreadable.
        """
        return ctx.text if place.path is None and isinstance(wanted, str) else place.json(ctx)

    def alike(self, got: JsonValue, wanted: JsonValue) -> bool:
        """Whether they are the same, overlooking as much as was asked."""
        return same(got, wanted) or same(self.fold(got), self.fold(wanted))

    def fold(self, value: JsonValue) -> JsonValue:
        """Overlook case, blanks and the form of characters as far as was asked."""
        return folded(value, ignore_case=self.ignore_case, trim=self.trim, form=self.normalize)

    def apart(self, got: JsonValue, wanted: JsonValue) -> str:
        """Say which characters tell two texts apart that may look the same; with a semicolon before it."""
        got, wanted = self.fold(got), self.fold(wanted)
        apart = code_points_apart(got, wanted) if isinstance(got, str) and isinstance(wanted, str) else ""
        return f"; {apart}" if apart else ""


@built_in("equals", semantics=2)
class Equals(CompareParameters):
    """The output, or one value in it, equals the expected value."""

    value: JsonValue = Field(default_factory=absent, description="The expected value, instead of the case's.")

    def compile(self, scope: Scope) -> Compiled:
        place, expectation = self.place(scope), self.expectation(scope, self.value)

        def judge(ctx: GradeContext) -> Verdict:
            wanted = expectation.resolve(ctx)
            got = self.read(place, ctx, wanted)
            if self.alike(got, wanted):
                return Verdict.check(True, f"{place} is {shown(got)}")
            return Verdict.check(False, f"{place} is {shown(got)}; expected {shown(wanted)}{self.apart(got, wanted)}")

        return Compiled(judge, needs_expected=expectation.needs_expected)


@built_in("one_of", short="values", semantics=2)
class OneOf(CompareParameters):
    """The output, or one value in it, equals one of several values."""

    values: tuple[JsonValue, ...] | None = Field(None, description="The correct values, instead of the case's.")

    def compile(self, scope: Scope) -> Compiled:
        if self.values == ():
            raise scope.wrong("has an empty list of values: nothing could pass", at=("values",))
        place = self.place(scope)
        expectation = self.expectation(scope, ABSENT if self.values is None else self.values, "values")

        def judge(ctx: GradeContext) -> Verdict:
            candidates = expectation.resolve(ctx)
            if not isinstance(candidates, list) or not candidates:
                return Verdict.error(f"the case's expected is {shown(candidates)}; a list of values is needed")
            return self._among(place, ctx, candidates)

        return Compiled(judge, needs_expected=expectation.needs_expected)

    def _among(self, place: OutputPlace, ctx: GradeContext, candidates: list[JsonValue]) -> Verdict:
        got, unreadable = ABSENT, None
        for wanted in candidates:
            try:
                read = self.read(place, ctx, wanted)
            except Unreadable as exc:
                unreadable = exc
                continue
            if self.alike(read, wanted):
                return Verdict.check(True, f"{place} is {shown(read)}")
            got = read if got is ABSENT else got
        if got is ABSENT and unreadable is not None:
            return unreadable.verdict
        apart = self.apart(got, candidates[0]) if len(candidates) == 1 else ""
        return Verdict.check(False, f"{place} is {shown(got)}; expected one of {shown(candidates)}{apart}")


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
