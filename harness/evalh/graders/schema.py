"""`json` and `schema`: the output parses, and it fits."""

from collections.abc import Callable, Mapping
from typing import Any

from evalh.core.digest import JsonValue
from evalh.core.verdict import GradeContext, Verdict
from evalh.graders.kinds import Compiled, Parameters, Scope, built_in
from evalh.graders.output import Unreadable, json_text, output_json
from evalh.graders.quoting import kind_of, one_line, shown

_FORMATS = (
    "date, time, date-time, duration, email, idn-email, hostname, idn-hostname, ipv4, ipv6, uri, uri-reference, "
    "uri-template, iri, iri-reference, uuid, regex, json-pointer, relative-json-pointer"
)
_Check = Callable[[JsonValue], str | None]
"""Says what is wrong with a value; None: nothing."""


@built_in("json", semantics=2)
class Json(Parameters, frozen=True, kw_only=True):
    """The output is JSON."""

    fenced: bool = False

    def compile(self, scope: Scope) -> Compiled:  # noqa: ARG002 (every kind is compiled alike)
        """Fix how strictly the text is read."""

        def judge(ctx: GradeContext) -> Verdict:
            value = output_json(ctx, fenced=self.fenced)
            if isinstance(value, Unreadable):
                return Verdict.check(False, value.reason)
            return Verdict.check(True, f"the output is {kind_of(value)}")

        return Compiled(judge)


@built_in("schema", semantics=2)
class Schema(Parameters, frozen=True, kw_only=True):
    """The output fits a JSON Schema (the version's own by default) or a pydantic model."""

    schema: dict[str, JsonValue] | None = None
    pydantic: str | None = None
    formats: bool = True
    fenced: bool = False

    def compile(self, scope: Scope) -> Compiled:
        """Compile a stated schema now; the version's own is compiled when the first output comes."""
        if self.schema is not None and self.pydantic is not None:
            raise scope.wrong("states both schema and pydantic", "one of them decides")
        if self.pydantic is not None:
            return Compiled(self._fits_model(_model(scope, self.pydantic)))
        if self.schema is None:
            return Compiled(self._fits_own_schema())
        try:
            check = compiled_schema(self.schema, formats=self.formats)
            unknown = unknown_format(self.schema) if self.formats else None
        except BadSchemaError as exc:
            raise scope.wrong(f"has a schema that cannot be used: {exc}") from None
        if unknown is not None:
            raise scope.wrong(
                f"has a schema with a format that is not known: {unknown}", f"one of {_FORMATS}; or formats: false"
            )
        return Compiled(lambda ctx: self._fits(ctx, check))

    def _fits(self, ctx: GradeContext, check: _Check, unchecked: str = "") -> Verdict:
        value = output_json(ctx, fenced=self.fenced)
        if isinstance(value, Unreadable):
            return Verdict.check(False, value.reason)
        wrong = check(value)
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
                    # A frozen version cannot be mended, so a format that is not known is told instead of refused.
                    unknown = unknown_format(dict(schema)) if self.formats else None
                except BadSchemaError as exc:
                    return Verdict.error(f"the version's output schema cannot be used: {exc}")
                last = schema, check, "" if unknown is None else f"; its format {unknown} is not known and not checked"
            return self._fits(ctx, last[1], last[2])

        return judge

    def _fits_model(self, validate: Callable[[str], Any]) -> Callable[[GradeContext], Verdict]:
        def judge(ctx: GradeContext) -> Verdict:
            value = output_json(ctx, fenced=self.fenced)  # pydantic takes duplicate keys and NaN
            text = json_text(ctx, fenced=self.fenced)
            if isinstance(value, Unreadable) or isinstance(text, Unreadable):
                return Verdict.check(False, value.reason)
            try:
                validate(text)
            except ValueError as exc:  # pydantic.ValidationError is one
                return Verdict.check(False, _first_error(exc))
            return Verdict.check(True, "fits the model")

        return judge


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
        raise scope.wrong(f"needs a pydantic model, and {path!r} is none", "a class derived from pydantic.BaseModel")
    return validate  # type: ignore[no-any-return]


def _first_error(exc: ValueError) -> str:
    errors = getattr(exc, "errors", None)
    if not callable(errors):
        return one_line(str(exc))
    first = errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(map(str, first["loc"]))
    return one_line(f"{place}: {first['msg']}" if place else str(first["msg"]))
