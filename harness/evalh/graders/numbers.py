"""`number`: the number that a text comes to, compared with the expected one.

Numbers are read as people write them: `1,234.50`, `-$5`, `12%`, `.5`, `6.02e23`, `3 kg`. A currency sign, a percent
sign and a unit are no part of the number: `50%` is 50. Values are decimals, so `0.1` is 0.1 and no digit is lost.
"""

import re
from decimal import Decimal, DecimalException
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from evalh.core.case import ABSENT
from evalh.core.digest import JsonValue
from evalh.core.values import dataclass
from evalh.core.verdict import GradeContext, Verdict
from evalh.graders.expectation import Expectation
from evalh.graders.kinds import Compiled, Parameters, Scope, built_in
from evalh.graders.output import Place, Unreadable
from evalh.graders.quoting import kind_of, one_line, shown

Tolerance: TypeAlias = Annotated[float, Meta(ge=0)]

_DIGITS = "0123456789"
_BLANK = re.compile(r"[ \t\n\r\f\v]")
_SEPARATORS = re.compile("[,\u00a0\u202f\u2009]")
_MINUS = ("-", "\u2212")
_WINDOW = 512  # characters that are read from the end where the last word with a digit holds no number


def _written_number(point: str, *, fractions: bool) -> re.Pattern[str]:
    # `re`, not RE2: this pattern is ours, cannot backtrack far, and needs to look behind. A number does not begin
    # inside a word (`v2`, `H2O`), and a minus behind a digit, a word or a bracket subtracts.
    comma = re.escape("," if point == "." else ".") + "\u00a0\u202f\u2009"
    point = re.escape(point)
    return re.compile(
        r"(?:(?<![0-9A-Za-z_)\]}])(?P<sign>[-+\u2212]))?"
        r"(?:(?P<money>[$\u20ac\u00a3\u00a5])(?P<late_sign>[-\u2212])?)?"
        r"(?<![0-9A-Za-z_])(?P<number>"
        rf"(?:(?:[0-9]{{1,3}}(?:[{comma}][0-9]{{3}})+(?![0-9])|[0-9]+)(?:{point}[0-9]+)?|{point}[0-9]+)"
        r"(?:[eE][-+]?[0-9]{1,4}(?![0-9]))?)" + ("(?:/(?P<divisor>[0-9]+))?" if fractions else "(?P<divisor>(?!))?")
    )


@dataclass(frozen=True, slots=True)
class Reader:
    """Finds a number in a text: the first or last one, or the first one behind a tag."""

    pattern: re.Pattern[str]
    decimal_comma: bool
    which: Literal["first", "last"]
    after: str | None

    def value(self, source: JsonValue) -> Decimal | Unreadable:
        """Return the number that a JSON number is or a text holds."""
        if isinstance(source, str):
            return self._in_text(source)
        if isinstance(source, bool) or not isinstance(source, int | float):
            return Unreadable(f"{kind_of(source)} is no number")
        number = Decimal(str(source)) if isinstance(source, float) else Decimal(source)
        return number if number.is_finite() else Unreadable(f"{source} is no number")

    def _in_text(self, text: str) -> Decimal | Unreadable:
        if self.after is not None:
            place = text.rfind(self.after) if self.which == "last" else text.find(self.after)
            if place < 0:
                return Unreadable(f"there is no {shown(self.after)} in it")
            found = self.pattern.search(text[place + len(self.after) :])
        else:
            found = self._last(text) if self.which == "last" else self.pattern.search(text)
        return Unreadable("there is no number in it") if found is None else self._decimal(found)

    def _last(self, text: str) -> re.Match[str] | None:
        # Most texts end with their number, so the last word comes first, then growing windows from the end. A number
        # holds no blank: a window that begins behind one shows what the whole text would show.
        begin = max(text.rfind(" "), text.rfind("\n")) + 1
        found = self._last_within(text, begin, len(text))
        end = max(map(text.rfind, _DIGITS)) + 1 if found is None and begin else 0
        size = _WINDOW
        while found is None and begin and end:
            blank = _BLANK.search(text, end - size, min(begin, end)) if size < end else None
            begin = blank.end() if blank else 0
            found = self._last_within(text, begin, end)
            size *= 8
        return found

    def _last_within(self, text: str, begin: int, end: int) -> re.Match[str] | None:
        found = None
        for found in self.pattern.finditer(text, begin, end):  # noqa: B007 (the last one is what is wanted)
            pass
        return found

    def _decimal(self, found: re.Match[str]) -> Decimal | Unreadable:
        written, divisor = found["number"], found["divisor"]
        if self.decimal_comma:
            written = written.replace(".", "").replace(",", ".")
        if "," in written or not written.isascii():
            written = _SEPARATORS.sub("", written)
        minus = "-" if found["sign"] in _MINUS or found["late_sign"] in _MINUS else ""
        try:
            number = Decimal(minus + written)
            return number if divisor is None else number / Decimal(divisor)
        except DecimalException:
            return Unreadable(f"{one_line(found.group(), 40)} is no number")


def number_reader() -> Reader:
    """Return what finds the last number of a text, as `number` does by default."""
    return Reader(_written_number(".", fractions=False), decimal_comma=False, which="last", after=None)


@built_in("number")
class Number(Parameters, frozen=True, kw_only=True):
    """The output comes to the expected number."""

    value: int | float | None = None
    expected: str | None = None
    path: str | None = None
    which: Literal["first", "last"] = "last"
    after: str | None = None
    expected_after: str | None = None
    abs_tol: Tolerance = 0.0
    rel_tol: Tolerance = 0.0
    fractions: bool = False
    decimal_comma: bool = False
    fenced: bool = False

    def compile(self, scope: Scope) -> Compiled:
        """Fix where to look and what to look for."""
        if "" in (self.after, self.expected_after):
            raise scope.wrong("has an empty tag", "leave it out: the last number counts then")
        place = Place(scope.path(self.path), self.fenced)
        reader = self._reader(self.after, self.which)
        expected_reader = self._reader(self.expected_after, "last")
        expectation = Expectation.of(scope, ABSENT if self.value is None else self.value, self.expected)

        def judge(ctx: GradeContext) -> Verdict:
            stated = expectation.resolve(ctx)
            if isinstance(stated, Verdict):
                return stated
            wanted = expected_reader.value(stated)
            if isinstance(wanted, Unreadable):
                return Verdict.error(f"the case's expected, {shown(stated)}: {wanted.reason}")
            source = ctx.text if place.path is None else place.json(ctx)
            if isinstance(source, Unreadable):
                return Verdict.check(False, source.reason)
            got = reader.value(source)
            if isinstance(got, Unreadable):
                return Verdict.check(False, f"{place}: {got.reason}")
            return self._compare(got, wanted)

        return Compiled(judge, needs_expected=expectation.needs_expected)

    def _reader(self, after: str | None, which: Literal["first", "last"]) -> Reader:
        pattern = _written_number("," if self.decimal_comma else ".", fractions=self.fractions)
        return Reader(pattern, self.decimal_comma, which, after)

    def _compare(self, got: Decimal, wanted: Decimal) -> Verdict:
        """Pass where |got - wanted| <= max(abs_tol, rel_tol * |wanted|)."""
        close = got == wanted
        if not close and (self.abs_tol or self.rel_tol):
            try:
                allowed = max(Decimal(str(self.abs_tol)), Decimal(str(self.rel_tol)) * abs(wanted))
                close = abs(got - wanted) <= allowed
            except DecimalException:  # an exponent past what decimals reach: far from anything
                close = False
        reason = one_line(f"{got}", 40)
        return Verdict.check(close, reason if close else f"{reason}; expected {one_line(f'{wanted}', 40)}")
