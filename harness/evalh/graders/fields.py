"""`json_subset` and `json_fields`: how much of the expected JSON the output holds."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from evalh.core.case import ABSENT
from evalh.core.digest import JsonValue
from evalh.core.unicode_form import Form
from evalh.core.values import Value
from evalh.core.verdict import GradeContext, Verdict
from evalh.graders.alike import Subset, Tolerance, TooMuchError
from evalh.graders.compare import Comparison
from evalh.graders.expectation import Expectation
from evalh.graders.kinds import Compiled, Scope, built_in
from evalh.graders.output import Place, Unreadable, folded
from evalh.graders.paths import JsonPath
from evalh.graders.quoting import kind_of, one_line, shown

AtLeast = Annotated[float, Meta(ge=0)]
Share = Annotated[float, Meta(gt=0, le=1)]
Weight = Annotated[float, Meta(gt=0)]
_ROUNDING = 1e-9  # a sum of weights may fall short of a pass mark by so much


@built_in("json_subset", semantics=2)
class JsonSubset(Comparison, frozen=True, kw_only=True):
    """The output's JSON holds everything that is expected, and may hold more."""

    value: JsonValue = ABSENT
    lists: Literal["ordered", "any_order"] = "ordered"
    abs_tol: AtLeast = 0.0
    rel_tol: AtLeast = 0.0
    pass_mark: Share = 1.0

    def compile(self, scope: Scope) -> Compiled:
        """Fix where to look and what to look for."""
        place = Place(scope.path(self.path), self.fenced)
        expectation = Expectation.of(scope, self.value, self.expected)
        tolerance = Tolerance(self.abs_tol, self.rel_tol)

        def judge(ctx: GradeContext) -> Verdict:
            wanted = expectation.resolve(ctx)
            if isinstance(wanted, Verdict):
                return wanted
            got = place.json(ctx)
            if isinstance(got, Unreadable):
                return Verdict.check(False, got.reason)
            subset = Subset(tolerance, self.lists)
            try:
                fit, of = subset.count(self.fold(got), self.fold(wanted))
            except TooMuchError as exc:
                return Verdict.error(str(exc))
            missing = "" if subset.missing is None else f"; not {one_line(subset.missing, 60)}"
            return Verdict.scored(fit / of, self.pass_mark, f"{fit} of {of} values are as expected{missing}")

        return Compiled(judge, needs_expected=expectation.needs_expected)


class Field(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one field counts, and how it is compared."""

    weight: Weight = 1.0
    expected: str | None = None
    critical: bool = False
    abs_tol: AtLeast = 0.0
    rel_tol: AtLeast = 0.0
    ignore_case: bool = False
    trim: bool = False


class _Wanted(Value):
    rule: Field
    got: JsonPath
    expected: JsonPath
    form: Form

    def fits(self, got: JsonValue, wanted: JsonValue) -> bool:
        rule = self.rule
        got, wanted = (
            folded(one, ignore_case=rule.ignore_case, trim=rule.trim, form=self.form) for one in (got, wanted)
        )
        return Tolerance(rule.abs_tol, rule.rel_tol).fits(got, wanted)


@built_in("json_fields", semantics=2)
class JsonFields(Comparison, frozen=True, kw_only=True):
    """The output's fields are the expected ones; the score is the share of their weights."""

    fields: dict[str, Weight | Field]
    pass_mark: Share = 1.0

    def compile(self, scope: Scope) -> Compiled:
        """Fix the fields, their places and their weights."""
        if not self.fields:
            raise scope.wrong("compares no fields", "fields: {label: 2, order.id: 1}")
        place = Place(scope.path(self.path), self.fenced)
        expectation = Expectation.of(scope, ABSENT, self.expected)
        fields = [self._field(scope, name, rule) for name, rule in self.fields.items()]

        def judge(ctx: GradeContext) -> Verdict:
            wanted = expectation.resolve(ctx)
            if isinstance(wanted, Verdict):
                return wanted
            known = [(one, value) for one in fields if (value := one.expected.find(wanted)) is not ABSENT]
            if not known:
                return Verdict.abstain(f"the case's expected, {kind_of(wanted)}, has none of the fields")
            got = place.json(ctx)
            if isinstance(got, Unreadable):
                return Verdict.check(False, got.reason)
            return self._judge(got, known)

        return Compiled(judge, needs_expected=True)

    def _field(self, scope: Scope, name: str, rule: float | Field) -> _Wanted:
        if not isinstance(rule, Field):
            rule = Field(weight=rule)
        if self.ignore_case or self.trim:
            rule = msgspec.structs.replace(
                rule, ignore_case=rule.ignore_case or self.ignore_case, trim=rule.trim or self.trim
            )
        got, expected = scope.path(name), scope.path(rule.expected or name)
        assert got is not None
        assert expected is not None
        return _Wanted(rule, got, expected, self.normalize)

    def _judge(self, got: JsonValue, known: list[tuple[_Wanted, JsonValue]]) -> Verdict:
        fit, wrong, critical = 0.0, [], False
        for field, wanted in known:
            value = field.got.find(got)
            if value is not ABSENT and field.fits(value, wanted):
                fit += field.rule.weight
            else:
                is_there = "missing" if value is ABSENT else shown(value)
                wrong.append(f"{field.got} is {is_there}; expected {shown(wanted)}")
                critical |= field.rule.critical
        score = min(fit / sum(field.rule.weight for field, _ in known), 1.0)
        more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        reason = f"{len(known) - len(wrong)} of {len(known)} fields fit" + (
            f"; {one_line(wrong[0])}{more}" if wrong else ""
        )
        passed = score + _ROUNDING >= self.pass_mark and not critical
        return Verdict(Verdict.check(passed, "").outcome, score, reason)
