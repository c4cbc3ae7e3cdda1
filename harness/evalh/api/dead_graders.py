"""Graders that decide nothing, found without asking a model: `evalh check` names them.

A path that the version's closed output schema does not have, an `expected` that no row has, gold that the schema
refuses; and labels that the schema knows and no row expects, which nothing tests.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

from evalh.api.gold import GoldComparison, allow_in_schema, named, schema_at
from evalh.core.case import ABSENT, Case
from evalh.core.errors import EvalhError, WorkspaceError, did_you_mean, some_of
from evalh.core.prompt import PromptVersion
from evalh.core.strict_json import JsonValue
from evalh.core.suite import GraderSpec
from evalh.graders.json_output import BadSchemaError, compiled_schema
from evalh.graders.kinds import Grader
from evalh.graders.paths import BadPath, JsonPath
from evalh.graders.quoting import shown
from evalh.graders.reading import Placed
from evalh.report.text import plural

_SAYS_MORE = frozenset({"$ref", "anyOf", "oneOf", "allOf", "if", "patternProperties", "dependentSchemas"})
_LOOSE = frozenset({"ignore_case", "trim", "normalize"})
_ROWS_PER_LABEL = 2  # fewer rows do not mean to test every label


def dead_graders(
    graders: Sequence[Grader], version: PromptVersion, cases: Iterable[Case], refused: Sequence[EvalhError]
) -> Iterator[EvalhError | str]:
    """Yield an error for each grader that can only fail or abstain, and a notice where it matters less.

    `refused` are the golds that were named already.
    """
    schema = version.output_schema
    if schema is not None:
        for grader in graders:
            yield from _lost_paths(grader, schema, version)
    told = {one.where for one in refused if one.where is not None}
    comparisons = [found for one in graders if schema is not None and (found := _exact(one.spec))]
    golds = [_Golds(one, schema or {}, version) for one in comparisons]
    lacking = {one: _wanted(one) for one in graders if _abstains_without_gold(one)}
    rows = 0
    for case in cases:
        rows += 1
        lacking = {one: path for one, path in lacking.items() if _lacks(case, path)}
        for gold in golds:
            gold.add(case)
    for gold in golds:
        yield from gold.told(told, rows)
    for grader, path in lacking.items() if rows else ():
        where = grader.spec.where_of("expected")
        what = f"no row has expected{f'.{path}' if path and path.steps else ''}: {grader.name} can only abstain"
        problem = WorkspaceError(what, where=where, hint='add "expected" to rows, or remove the grader')
        yield problem if grader.required else f"{where}: {what}"


def _abstains_without_gold(grader: Grader) -> bool:
    """Whether a grader says nothing of a row without gold. One made of others, of rows, or a person's own may."""
    compiled = grader.compiled
    made = compiled.parts or compiled.over is not None or compiled.rows is not None
    return grader.needs_expected and not made and grader.kind.where == "evalh" and grader.spec.kind != "python"


def _wanted(grader: Grader) -> JsonPath | None:
    stated = grader.spec.params.get("expected")
    try:
        return JsonPath.parse(stated) if isinstance(stated, str) else None
    except BadPath:  # a kind that reads it in its own way
        return None


def _lacks(case: Case, path: JsonPath | None) -> bool:
    if case.expected is ABSENT:
        return True
    return path is not None and path.find(case.expected) is ABSENT


# -- paths


def _lost_paths(grader: Grader, schema: JsonValue, version: PromptVersion) -> Iterator[WorkspaceError]:
    """Find the paths of a grader, and of its parts, that no output of the version can have."""
    spec = grader.spec
    stated = spec.params.get("path")
    if isinstance(stated, str) and issubclass(grader.kind.parameters, Placed):
        with suppress(BadPath):  # reported elsewhere
            lost = _lost(schema, JsonPath.parse(stated).steps)
            if lost is not None:
                step, known = lost
                what = f"{spec.name} looks at {stated}, and {version.label}'s output schema has no {step!r}"
                hint = did_you_mean(step, known) if known else "correct the path, or add the field to the output"
                yield WorkspaceError(
                    f"{what}: every output gets the same verdict", where=spec.where_of("path"), hint=hint
                )
    for part in grader.compiled.parts:
        yield from _lost_paths(part, schema, version)


def _lost(schema: JsonValue, steps: Sequence[str | int]) -> tuple[str, list[str]] | None:
    """Return the first step that a closed object does not have, and what it has; None: all are there, or unknown."""
    for step in steps:
        if not isinstance(schema, Mapping) or _SAYS_MORE & schema.keys():
            return None
        if isinstance(step, int):
            schema = schema.get("items")
            continue
        properties = schema.get("properties")
        if not isinstance(properties, Mapping):
            return None
        if step not in properties:
            closed = schema.get("additionalProperties") is False
            return (step, list(properties)) if closed else None
        schema = properties[step]
    return None


# -- gold


def _exact(spec: GraderSpec) -> GoldComparison | None:
    """Read an `equals` that compares with the rows' gold exactly."""
    found = GoldComparison.of(spec) if spec.kind == "equals" else None
    return None if found is None or _LOOSE & spec.params.keys() else found


class _Golds:
    """What the rows expect at one place of the output."""

    def __init__(self, comparison: GoldComparison, schema: Mapping[str, JsonValue], version: PromptVersion) -> None:
        self._of, self._version = comparison, version
        here = schema_at(schema, () if comparison.place is None else comparison.place.steps)
        self._check = None
        self._labels: list[JsonValue] = []
        self._seen: list[JsonValue] = []
        self._refused: list[tuple[Case, str]] = []
        if isinstance(here, Mapping):
            labels = here.get("enum")
            self._labels = list(labels) if isinstance(labels, list | tuple) else []
            shared = {key: schema[key] for key in ("$defs", "definitions") if key in schema}
            try:
                self._check = compiled_schema({**shared, **here}, formats=False)
            except BadSchemaError:  # reported with the version
                return

    def add(self, case: Case) -> None:
        gold = self._of.gold(case)
        if gold is ABSENT or self._check is None:
            return
        if self._labels and gold not in self._seen:
            self._seen.append(gold)
        if isinstance(gold, str) and self._of.place is None:  # the whole output is compared as text with a text
            return
        wrong = self._check(gold)
        if wrong is not None:
            self._refused.append((case, shown(gold)))

    def told(self, known: set[str], rows: int) -> Iterator[EvalhError | str]:
        place = "the output" if self._of.place is None else str(self._of.place)
        fresh = [one for one in self._refused if one[0].where not in known]
        if fresh and len(fresh) == len(self._refused):
            case, gold = fresh[0]
            more = f" ({plural(len(fresh) - 1, 'more row')} like it)" if len(fresh) > 1 else ""
            what = (
                f"case {case.id!r} expects {gold} at {place}, which {self._version.label}'s output schema refuses{more}"
            )
            allowed = f"; the schema allows: {some_of(list(map(shown, self._labels)), most=8)}" if self._labels else ""
            hint = f"correct what the row expects{allowed}\n{allow_in_schema(self._version)}"
            yield WorkspaceError(f"{what}: {named(self._of.spec)} can never pass there", where=case.where, hint=hint)
        unused = [shown(one) for one in self._labels if one is not None and one not in self._seen]
        if self._seen and unused and rows >= _ROWS_PER_LABEL * len(self._labels):
            yield (
                f"{self._of.spec.where}: no row expects {some_of(unused, most=8)} at {place}, which"
                f" {self._version.label} may answer: nothing tests it"
            )
