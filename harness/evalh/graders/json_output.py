"""`json` and `schema`: the output parses, and it fits.

`json_subset` and `json_fields`: how much of the expected JSON the output holds.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import Field

from evalh.core.case import ABSENT
from evalh.core.declared import FileModel
from evalh.core.strict_json import JsonValue
from evalh.core.text_forms import Form
from evalh.core.values import Value
from evalh.core.verdict import GradeContext, Verdict
from evalh.graders.compare import CompareParameters
from evalh.graders.json_likeness import Subset, Tolerance, TooMuchError
from evalh.graders.kinds import Compiled, Scope, built_in
from evalh.graders.paths import JsonPath
from evalh.graders.quoting import kind_of, one_line, shown
from evalh.graders.reading import Fenced, absent, folded, json_text, output_json

_FORMATS = (
    "date, time, date-time, duration, email, idn-email, hostname, idn-hostname, ipv4, ipv6, uri, uri-reference, "
    "uri-template, iri, iri-reference, uuid, regex, json-pointer, relative-json-pointer"
)
_Check = Callable[[JsonValue], str | None]
"""Says what is wrong with a value; None: nothing."""


@built_in("json", semantics=2)
class Json(Fenced):
    """The output is JSON."""

    def compile(self, scope: Scope) -> Compiled:  # noqa: ARG002 (every kind is compiled alike)
        return Compiled(
            lambda ctx: Verdict.check(True, f"the output is {kind_of(output_json(ctx, fenced=self.fenced))}")
        )


@built_in("schema", semantics=2)
class Schema(Fenced):
    """The output fits a JSON Schema (the version's own by default) or a pydantic model."""

    stated: dict[str, JsonValue] | None = Field(
        None, alias="schema", description="A JSON Schema to use instead of the version's own."
    )
    pydantic: str | None = Field(None, description="A pydantic model to use instead: evals/models.py:Ticket.")
    formats: bool = Field(True, description="Check format: date, email, uri and the other formats of JSON Schema.")

    def compile(self, scope: Scope) -> Compiled:
        """Compile a stated schema now; the version's own is compiled when the first output comes."""
        if self.stated is not None and self.pydantic is not None:
            raise scope.wrong("states both schema and pydantic", "state only one of them")
        if self.pydantic is not None:
            return Compiled(partial(self._fits_model, _model(scope, self.pydantic)))
        if self.stated is None:
            return Compiled(self._fits_own_schema())
        try:
            check = compiled_schema(self.stated, formats=self.formats)
            unknown = unknown_format(self.stated) if self.formats else None
        except BadSchemaError as exc:
            raise scope.wrong(f"has a schema that cannot be used: {exc}", at=("schema",)) from None
        if unknown is not None:
            what = f"has a schema with a format that is not known: {unknown}"
            raise scope.wrong(what, f"one of {_FORMATS}; or formats: false", ("schema",))
        return Compiled(lambda ctx: self._fits(ctx, check))

    def _fits(self, ctx: GradeContext, check: _Check, unchecked: str = "") -> Verdict:
        wrong = check(output_json(ctx, fenced=self.fenced))
        return Verdict.check(wrong is None, wrong or f"fits the schema{unchecked}")

    def _fits_own_schema(self) -> Callable[[GradeContext], Verdict]:
        last: tuple[Mapping[str, JsonValue], _Check, str] | None = None

        def judge(ctx: GradeContext) -> Verdict:
            nonlocal last
            schema = ctx.output_schema
            if schema is None:
                return Verdict.abstain("the version has no output schema")
            if last is None or last[0] is not schema:  # a run has one: identity is enough, and the schema stays alive
                try:
                    check = compiled_schema(dict(schema), formats=self.formats)
                    # A frozen version cannot be fixed, so an unknown format is reported instead of refused.
                    unknown = unknown_format(dict(schema)) if self.formats else None
                except BadSchemaError as exc:
                    return Verdict.error(f"the version's output schema cannot be used: {exc}")
                last = schema, check, "" if unknown is None else f"; its format {unknown} is not known and not checked"
            return self._fits(ctx, last[1], last[2])

        return judge

    def _fits_model(self, validate: Callable[[str], Any], ctx: GradeContext) -> Verdict:
        output_json(ctx, fenced=self.fenced)  # pydantic takes duplicate keys and NaN
        try:
            validate(json_text(ctx, fenced=self.fenced))
        except ValueError as exc:  # pydantic.ValidationError is one
            return Verdict.check(False, _first_error(exc))
        return Verdict.check(True, "fits the model")


class BadSchemaError(ValueError):
    """A schema cannot be compiled; the message says why."""


def compiled_schema(schema: dict[str, JsonValue], *, formats: bool = True) -> _Check:
    """Compile a JSON Schema. Integers of any size are exact; `$ref` never leaves the schema. Raises BadSchemaError.

    Formats that are not known are overlooked.
    """
    validator = _validator(schema, formats=formats)

    def check(value: JsonValue) -> str | None:
        try:
            if validator.is_valid(value):
                return None
            error = next(validator.iter_errors(value))
        except UnicodeEncodeError:
            return "the output holds a lone surrogate, which is not text"
        place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in error.instance_path)
        return one_line(f"{place.lstrip('.')}: {error.message}" if place else error.message)

    return check


def unknown_format(schema: dict[str, JsonValue]) -> str | None:
    """Name a format of a schema that is not known, and so never checked; None: all are known."""
    try:
        _validator(schema, formats=True, ignore_unknown_formats=False)
    except BadSchemaError as exc:
        return str(exc).partition("'")[2].partition("'. ")[0]
    return None


def _validator(schema: dict[str, JsonValue], *, formats: bool, ignore_unknown_formats: bool = True) -> Any:
    import jsonschema_rs

    outside: list[str] = []

    def refuse_to_fetch(uri: str) -> JsonValue:
        outside.append(uri)
        raise ValueError(uri)

    try:
        return jsonschema_rs.validator_for(
            schema,
            retriever=refuse_to_fetch,
            # RegexOptions: an engine without backtracking, so that no `pattern` can take for ever.
            pattern_options=jsonschema_rs.RegexOptions(),
            validate_formats=formats,
            ignore_unknown_formats=ignore_unknown_formats,
        )
    except ValueError as exc:
        why = f"{shown(outside[0])} lies outside the schema" if outside else str(exc).partition("\n")[0]
        raise BadSchemaError(one_line(why)) from None


def _model(scope: Scope, path: str) -> Callable[[str], Any]:
    model = scope.function(path)
    validate = getattr(model, "model_validate_json", None)
    if not callable(validate):
        raise scope.wrong(
            f"needs a pydantic model, and {path!r} is not one", "a class derived from pydantic.BaseModel", ("pydantic",)
        )
    return validate  # type: ignore[no-any-return]


def _first_error(exc: ValueError) -> str:
    errors = getattr(exc, "errors", None)
    if not callable(errors):
        return one_line(str(exc))
    first = errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(map(str, first["loc"]))
    return one_line(f"{place}: {first['msg']}" if place else str(first["msg"]))


Weight = Annotated[float, Field(gt=0)]
_ROUNDING = 1e-9  # a sum of weights may fall short of a pass mark by so much


@built_in("json_subset", semantics=2)
class JsonSubset(CompareParameters):
    """The output's JSON contains everything that is expected, and may contain more."""

    value: JsonValue = Field(default_factory=absent, description="The expected value, instead of the case's.")
    lists: Literal["ordered", "any_order"] = Field("ordered", description="Whether the order of lists counts.")
    abs_tol: float = Field(0.0, ge=0, description="How far numbers may differ.")
    rel_tol: float = Field(0.0, ge=0, description="How far numbers may differ, as a share of the expected number.")
    pass_mark: float = Field(1.0, gt=0, le=1, description="The share of values that must be as expected.")

    def compile(self, scope: Scope) -> Compiled:
        place, expectation = self.place(scope), self.expectation(scope, self.value)
        tolerance = Tolerance(self.abs_tol, self.rel_tol)

        def judge(ctx: GradeContext) -> Verdict:
            wanted = self.fold(expectation.resolve(ctx))
            subset = Subset(tolerance, self.lists)
            try:
                fit, of = subset.count(self.fold(place.json(ctx)), wanted)
            except TooMuchError as exc:
                return Verdict.error(str(exc))
            missing = "" if subset.missing is None else f"; {one_line(subset.missing, 60)} is not"
            return Verdict.scored(fit / of, self.pass_mark, f"{fit} of {of} values are as expected{missing}")

        return Compiled(judge, needs_expected=expectation.needs_expected)


class FieldRule(FileModel):
    """How one field counts, and how it is compared."""

    weight: float = Field(1.0, gt=0, description="How much the field counts.")
    expected: str | None = Field(None, description="The place in the case's expected, if it differs.")
    critical: bool = Field(False, description="If it does not match, the sample fails.")
    abs_tol: float = Field(0.0, ge=0, description="How far numbers may differ.")
    rel_tol: float = Field(0.0, ge=0, description="How far numbers may differ, as a share of the expected number.")
    ignore_case: bool = Field(False, description="Ignore upper and lower case.")
    trim: bool = Field(False, description="Ignore spaces and line ends around the text.")


class _Wanted(Value):
    rule: FieldRule
    got: JsonPath
    expected: JsonPath
    form: Form

    def fits(self, got: JsonValue, wanted: JsonValue) -> bool:
        rule = self.rule
        fold = partial(folded, ignore_case=rule.ignore_case, trim=rule.trim, form=self.form)
        return Tolerance(rule.abs_tol, rule.rel_tol).fits(fold(got), fold(wanted))


@built_in("json_fields", semantics=2)
class JsonFields(CompareParameters):
    """The fields of the output's JSON match; the score is the share of their weights."""

    fields: dict[str, Weight | FieldRule] = Field(description="Each field's path, with its weight or its rule.")
    pass_mark: float = Field(1.0, gt=0, le=1, description="The score that passes.")

    def compile(self, scope: Scope) -> Compiled:
        if not self.fields:
            raise scope.wrong("compares no fields", "fields: {label: 2, order.id: 1}", ("fields",))
        place, expectation = self.place(scope), self.expectation(scope, ABSENT)
        fields = [self._field(scope, name, rule) for name, rule in self.fields.items()]

        def judge(ctx: GradeContext) -> Verdict:
            wanted = expectation.resolve(ctx)
            known = [(one, value) for one in fields if (value := one.expected.find(wanted)) is not ABSENT]
            if not known:
                return Verdict.abstain(f"the case's expected, {kind_of(wanted)}, has none of the fields")
            return self._judge(place.json(ctx), known)

        return Compiled(judge, needs_expected=True)

    def _field(self, scope: Scope, name: str, rule: float | FieldRule) -> _Wanted:
        if not isinstance(rule, FieldRule):
            rule = FieldRule.model_validate({"weight": rule})
        ignore_case, trim = rule.ignore_case or self.ignore_case, rule.trim or self.trim
        rule = rule.model_copy(update={"ignore_case": ignore_case, "trim": trim})
        wanted = scope.path(rule.expected or name, "fields", name, "expected")
        return _Wanted(rule, scope.path(name, "fields", name), wanted, self.normalize)

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
        first = f"; {one_line(wrong[0])}{more}" if wrong else ""
        reason = f"{len(known) - len(wrong)} of {len(known)} fields fit{first}"
        passed = score + _ROUNDING >= self.pass_mark and not critical
        return Verdict(Verdict.check(passed, "").outcome, score, reason)
