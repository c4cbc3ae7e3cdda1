"""Expectations that no output can meet: text where the version's output schema does not allow text.

A spreadsheet's cell is text, and so is a quoted number; the model would be blamed for it on every case.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from shlex import quote

from evalh.core.case import ABSENT, Case
from evalh.core.errors import WorkspaceError
from evalh.core.prompt import DRAFT, PromptVersion
from evalh.core.strict_json import JsonValue
from evalh.core.suite import GraderSpec
from evalh.core.values import Value
from evalh.graders.kinds import Grader
from evalh.graders.paths import BadPath, JsonPath

_COMPARES = ("equals", "one_of")
_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null", dict: "object"}
_DEEPEST = 32


class GoldComparison(Value):
    """One `equals` or `one_of`: where it looks in the output, and in the case's expectation."""

    spec: GraderSpec
    place: JsonPath | None
    wanted: JsonPath | None

    @classmethod
    def of(cls, spec: GraderSpec) -> "GoldComparison | None":
        """Read a grader's parameters; None if it compares with no gold, or cannot be read (reported elsewhere)."""
        params = spec.params
        if spec.kind not in _COMPARES or "value" in params or "values" in params:
            return None
        try:
            paths = [
                None if (text := params.get(key)) is None else JsonPath.parse(text) for key in ("path", "expected")
            ]
        except (BadPath, TypeError):
            return None
        return cls(spec, *paths)

    def gold(self, case: Case) -> JsonValue:
        """Return what the case expects here; ABSENT: nothing."""
        if case.expected is ABSENT or self.wanted is None:
            return case.expected
        return self.wanted.find(case.expected)


def impossible_golds(
    graders: Iterable[GraderSpec], version: PromptVersion, cases: Iterable[Case]
) -> Iterator[WorkspaceError]:
    """Name the first case, for each grader, whose gold is text where the version's outputs hold none."""
    schema = version.output_schema
    if schema is None:
        return
    comparisons = [one for one in map(GoldComparison.of, graders) if one is not None]
    for case in cases:
        if not comparisons:
            return
        for one in tuple(comparisons):
            found = _impossible(one, schema, case)
            if found is not None:
                comparisons.remove(one)
                yield _told(one, version, case, *found)


def missing_golds(graders: Iterable[Grader], step: str, cases: Iterable[Case]) -> Iterator[WorkspaceError]:
    """Yield an error for each grader of a step without gold in any case: it could only abstain."""
    lacking = [(grader, _wanted(grader)) for grader in graders if grader.needs_expected]
    for case in cases:
        gold = case.gold_of(step)
        if gold is not ABSENT:
            lacking = [(one, path) for one, path in lacking if path is not None and path.find(gold) is ABSENT]
        if not lacking:
            return
    for grader, path in lacking:
        place = f"expected.steps.{step}" if path is None or not path.steps else f"expected.steps.{step}.{path}"
        what = f"no case has {place}: {grader.name} can only abstain, so the grade of step {step!r} is never known"
        yield WorkspaceError(
            what, where=grader.spec.where, hint=f'"expected": {{"steps": {{"{step}": …}}}} in some rows'
        )


def _wanted(grader: Grader) -> JsonPath | None:
    """Return where a grader looks in the gold; None: at all of it, or in its own way."""
    stated = grader.spec.params.get("expected")
    return JsonPath.parse(stated) if isinstance(stated, str) else None


def _told(one: GoldComparison, version: PromptVersion, case: Case, place: str, types: str) -> WorkspaceError:
    csv = case.where.rpartition(":")[0].endswith(".csv")
    hint = "give the column a name that ends in :json" if csv else "write the value without quotes"
    there = f"{place}, where {version.label} answers {types}"
    return WorkspaceError(
        f"case {case.id!r} expects text at {there}: {named(one.spec)} can never pass",
        where=case.where,
        hint=f"{hint}\n{allow_in_schema(version)}",
    )


def named(spec: GraderSpec) -> str:
    """Name a grader with its line in the suite: `equals (evals/triage.yaml:6)`."""
    return f"{spec.name} ({spec.where})" if spec.where else spec.name


def allow_in_schema(version: PromptVersion) -> str:
    """Say where a version's output schema is, to be changed; a frozen one is changed by releasing another."""
    where = version.places.get("output", version.path)
    if version.version == DRAFT:
        return f"or allow it in the output schema: {where}"
    file = PurePosixPath(version.path)
    draft = file.with_name(file.name.replace(version.version, DRAFT, 1))
    return (
        f"or allow it in the output schema ({where} has the frozen one): edit {draft};"
        f" evalh prompt release {quote(version.name)}"
    )


def _impossible(one: GoldComparison, schema: Mapping[str, JsonValue], case: Case) -> tuple[str, str] | None:
    """Return the place of a gold that cannot be met, and what is there instead; None if it can be met or is unknown."""
    gold = one.gold(case)
    here = schema_at(schema, () if one.place is None else one.place.steps)
    if here is None or gold is ABSENT:
        return None
    at = "the output" if one.place is None else str(one.place)
    if one.spec.kind == "one_of":
        found = [_text(value, here, at, _DEEPEST, whole=one.place is None) for value in gold] if _listed(gold) else []
        return found[0] if found and None not in found else None
    return _text(gold, here, at, _DEEPEST, whole=one.place is None)


def _listed(value: JsonValue) -> bool:
    return isinstance(value, list | tuple)


def _text(gold: JsonValue, schema: JsonValue, at: str, levels: int, *, whole: bool) -> tuple[str, str] | None:
    """Find text in a gold where the schema knows none. The whole output is compared as text with a text."""
    if not levels:
        return None
    if isinstance(gold, str):
        types = _types(schema)
        return None if whole or types is None or "string" in types else (at, " or ".join(sorted(types)))
    inner: list[tuple[str, JsonValue, JsonValue]] = []
    if isinstance(gold, Mapping):
        inner = [(f"{at}.{key}", value, schema_at(schema, (key,))) for key, value in gold.items()]
    elif _listed(gold):
        inner = [(f"{at}[{number}]", value, schema_at(schema, (number,))) for number, value in enumerate(gold)]
    found = (_text(value, below, place, levels - 1, whole=False) for place, value, below in inner if below is not None)
    return next((one for one in found if one is not None), None)


def schema_at(schema: JsonValue, steps: Sequence[str | int]) -> JsonValue:
    """Return the schema of what stands at a path; None if it is not plainly said."""
    for step in steps:
        if not isinstance(schema, Mapping):
            return None
        below = schema.get("properties" if isinstance(step, str) else "items")
        schema = below.get(step) if isinstance(step, str) and isinstance(below, Mapping) else below
    return schema if isinstance(schema, Mapping) else None


def _types(schema: JsonValue) -> set[str] | None:
    """Return the types that a schema allows; None if it does not say plainly."""
    if not isinstance(schema, Mapping) or "$ref" in schema:
        return None
    for key in ("anyOf", "oneOf"):
        if isinstance(choices := schema.get(key), list):
            told = [_types(choice) for choice in choices]
            return None if None in told else set().union(*(one for one in told if one is not None))
    if isinstance(values := schema.get("enum", [schema["const"]] if "const" in schema else None), list):
        return {_TYPES.get(type(value), "array") for value in values}
    stated = schema.get("type")
    return {stated} if isinstance(stated, str) else set(stated) if isinstance(stated, list) else None
