"""`number`: the number that a text comes to, compared with the expected one.

Numbers are read as people write them, by `readings`. A currency sign, a percent sign and a unit are not part of the
number: `50%` is 50. Values are decimals, so `0.1` is 0.1 and no digit is lost.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Literal, TypeAlias

from msgspec.structs import replace
from pydantic import Field

from evalh.core.case import ABSENT
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.core.verdict import GradeContext, Verdict
from evalh.graders.json_likeness import Tolerance
from evalh.graders.kinds import Compiled, Scope, built_in
from evalh.graders.numbers.locales import DecimalMark, decimal_mark
from evalh.graders.numbers.numerals import How
from evalh.graders.numbers.readings import NumberReading, numerals, said
from evalh.graders.quoting import kind_of, shown
from evalh.graders.reading import Compared, Unreadable

Close: TypeAlias = Callable[[Decimal, Decimal], bool]

_MARKS = 200  # of a list, likewise
_SKIPPED = 4  # dates, times and the like that are passed over to find the number


class NumberReader(Value):
    """Finds a number in a text: the first or last one, or the first one behind a tag."""

    how: How = How()
    after: str | None = None

    def read(self, source: JsonValue) -> NumberReading:
        """Return what a JSON number is or a text holds. Every reading has a value. Raises Unreadable."""
        if isinstance(source, str):
            return self._in_text(source)
        if isinstance(source, bool) or not isinstance(source, int | float):
            raise Unreadable(f"{kind_of(source)} is not a number")
        number = Decimal(str(source)) if isinstance(source, float) else Decimal(source)
        if not number.is_finite():
            raise Unreadable(f"{source} is not a number")
        return NumberReading(said((number,)), (number,), believed=True, literal=f"{number}")

    def _in_text(self, text: str) -> NumberReading:
        how = self.how
        if self.after is not None:
            place = text.rfind(self.after) if how.which == "last" else text.find(self.after)
            if place < 0:
                raise Unreadable(f"there is no {shown(self.after)} in it")
            text, how = text[place + len(self.after) :], replace(how, which="first")
        passed_over: list[str] = []
        marks: list[NumberReading] = []
        for reading in numerals(text, how):
            if reading.mark and self.after is None:  # what a tag announces is not a mark
                marks.append(reading)
            elif reading.values:
                doubt = f"{passed_over[0]} is nearer, but not a number" if passed_over else reading.doubt
                found = replace(reading, doubt=doubt)
                return marks[0].or_else(found) if marks else found
            else:
                passed_over.append(reading.written)
            if len(passed_over) == _SKIPPED or len(marks) == _MARKS:
                break
        if marks:
            return marks[0]
        raise Unreadable(f"{passed_over[0]} is not a number" if passed_over else "there is no number in it")


def agree(got: NumberReading, wanted: NumberReading, close: Close = Decimal.__eq__) -> bool | str:
    """Whether two numbers agree; where that hangs on how one of them is read, say why it cannot be told."""
    pairs = [close(one, other) for one in got.values for other in wanted.values]
    doubt = got.doubt or wanted.doubt
    if not any(pairs):
        return False
    believed = got.believed and wanted.believed
    if not doubt and (all(pairs) or (pairs[0] and (believed or got.literal == wanted.literal != ""))):
        return True
    unclear = got if len(got.values) > 1 else wanted
    return doubt or f"{unclear.written} is {said(unclear.values)}"


@built_in("number", semantics=2)
class Number(Compared):
    """The number in the output is the expected one."""

    value: int | float | None = Field(None, description="The number, instead of the case's.")
    which: Literal["first", "last"] = Field("last", description="Take the last or the first number of the text.")
    after: str | None = Field(None, description="Take the first number after this tag, for example ####.")
    expected_after: str | None = Field(None, description="In an expected text: take the first number after this tag.")
    abs_tol: float = Field(0.0, ge=0, description="How far the number may differ.")
    rel_tol: float = Field(0.0, ge=0, description="How far the number may differ, as a share of the expected one.")
    locale: str | None = Field(None, description="de, de-CH, pt-BR: sets the decimal separator.")
    decimal_comma: bool = Field(False, description="The same as a locale with a decimal comma.")
    fractions: bool = Field(True, description="Read 3/4 as 0.75.")

    def compile(self, scope: Scope) -> Compiled:
        if "" in (self.after, self.expected_after):
            raise scope.wrong("has an empty tag", "leave it out: the last number counts then", ("after",))
        decimal = self._decimal(scope)
        place = self.place(scope)
        reader = NumberReader(How(decimal, self.fractions, self.which), self.after)
        expected_reader = NumberReader(How(decimal, self.fractions), self.expected_after)
        expectation = self.expectation(scope, ABSENT if self.value is None else self.value)

        def judge(ctx: GradeContext) -> Verdict:
            stated = expectation.resolve(ctx)
            try:
                wanted = expected_reader.read(stated)
            except Unreadable as exc:
                return Verdict.error(f"the case's expected, {shown(stated)}: {exc}")
            source = ctx.text if place.path is None else place.json(ctx)
            try:
                return self._compare(reader.read(source), wanted)
            except Unreadable as exc:
                return Verdict.check(False, f"{place}: {exc}")

        return Compiled(judge, needs_expected=expectation.needs_expected)

    def _decimal(self, scope: Scope) -> DecimalMark | None:
        if self.locale is None:
            return "," if self.decimal_comma else None
        if self.decimal_comma:
            raise scope.wrong(
                "states both locale and decimal_comma",
                "state only locale: it sets the decimal separator",
                ("decimal_comma",),
            )
        mark = decimal_mark(self.locale)
        if mark is None:
            raise scope.wrong(
                f"has a locale that is not known: {self.locale!r}", "write it as de, de-CH or pt-BR", ("locale",)
            )
        return mark

    def _compare(self, got: NumberReading, wanted: NumberReading) -> Verdict:
        same = agree(got, wanted, Tolerance(self.abs_tol, self.rel_tol).close)
        if isinstance(same, str):
            hint = "" if self.locale else "; locale: sets the decimal separator"
            return Verdict.abstain(f"{same}; expected {wanted}{hint if len(got.values) > 1 and got.literal else ''}")
        return Verdict.check(same, f"{got}" if same else f"{got}; expected {wanted}")
