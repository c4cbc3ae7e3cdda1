"""The rows of a dataset that tests become, and the graders that stand in the suite for all of them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct, field

from evalh.core.errors import WorkspaceError
from evalh.core.strict_json import JsonValue
from evalh.interop.foreign.promptfoo.assertions import AssertionReader, Surroundings, weighed
from evalh.interop.foreign.promptfoo.code_assertions import FROM_PROVIDER
from evalh.interop.foreign.promptfoo.nunjucks import input_name
from evalh.interop.foreign.promptfoo.sources import REMOVED
from evalh.interop.foreign.promptfoo.tests import ForeignTest
from evalh.interop.foreign.promptfoo.variables import Variables
from evalh.interop.foreign.transfer import CaseIds, Fidelity, ProofSheet, Row, Subject

_OF_GRADERS = ("transform", "postprocess", "provider", "rubricPrompt")  # options on which a grader depends
_KNOWN = frozenset(
    """prefix suffix transform postprocess provider rubricPrompt repeat disableDefaultAsserts disableVarExpansion
    storeOutputAs""".split()  # noqa: SIM905 (a list of words)
)
_NOTHING = {"length": {"min_chars": 0, "name": "nothing is checked"}}


class ForeignRows(Struct):
    """What became of the tests."""

    rows: list[Row] = field(default_factory=list)
    graders: list[JsonValue] = field(default_factory=list)  # of the suite
    values: list[Mapping[str, JsonValue]] = field(default_factory=list)  # the source's variables of each row
    outputs: dict[str, str] = field(default_factory=dict)  # recorded answers, by id
    around: tuple[str, str] = ("", "")  # what stands before and after every prompt
    varying: bool = False  # that is an input of each row
    repeat: int = 1


class RowWriter:
    """Writes rows."""

    def __init__(self, reader: AssertionReader, variables: Variables, sheet: ProofSheet, transform: JsonValue) -> None:
        self._reader, self._variables, self._sheet = reader, variables, sheet
        self._transform = transform
        self._ids = CaseIds(sheet)
        self._objects = False

    def rows(self, tests: Sequence[ForeignTest], default: ForeignTest, *, objects: bool) -> ForeignRows:
        """Return the rows of all tests, and the suite's graders."""
        self._objects = objects
        found = ForeignRows()
        self._around(tests, found)
        shared = self._shared(tests, default)
        lost_all: list[Row] = []
        unchecked: list[Row] = []
        for test in tests:
            inherits = not shared and test.options.get("disableDefaultAsserts") is not True
            nodes = (*(default.asserts if inherits else ()), *test.asserts)
            before = self._reader.lost
            for row in self._rows_of(test, nodes, found):
                found.rows.append(row)
                if "graders" not in row and not (shared and default.asserts):
                    lost = bool(nodes) and self._reader.lost > before
                    (lost_all if lost else unchecked).append(row)
                    what = "a test that lost all its assertions" if lost else "a test without assertions"
                    why = "is ungraded" if lost else "checks nothing, and passes, as in promptfoo"
                    self._sheet.add(Fidelity.NOTE, test.where, what, why, subject=Subject.CASE)
        if shared and default.asserts:
            found.graders += self._suite_graders(default)
        self._close(found, lost_all, unchecked)
        return found

    def _close(self, found: ForeignRows, lost_all: Sequence[Row], unchecked: Sequence[Row]) -> None:
        """Say what rows without graders of their own get: they pass, unless what they asked for is lost."""
        if lost_all:
            for row in unchecked:
                row["graders"] = [_NOTHING]
        owners = sum("graders" in row for row in found.rows)
        if owners or not found.graders:
            found.graders.append("case" if lost_all or owners == len(found.rows) else {"case": {"none": "pass"}})

    def _shared(self, tests: Sequence[ForeignTest], default: ForeignTest) -> bool:
        """Whether the default assertions are the suite's: the same for every test."""
        if any(test.threshold is not None or "disableDefaultAsserts" in test.options for test in tests):
            return False
        if any(test.options.get(key) != default.options.get(key) for test in tests for key in _OF_GRADERS):
            return False
        texts = (json.dumps(node.value, default=str) for node in default.asserts)
        return not any("{{" in text or "{%" in text or "assert-set" in text for text in texts)

    def _suite_graders(self, default: ForeignTest) -> list[JsonValue]:
        around = Surroundings(values={}, options=self._options(default), objects=self._objects)
        return [_of_suite(entry) for entry in self._reader.graders(default.asserts, around)]

    def _options(self, test: ForeignTest) -> dict[str, JsonValue]:
        return {**test.options, FROM_PROVIDER: self._transform} if self._transform else test.options

    def _rows_of(self, test: ForeignTest, nodes: Sequence[Any], found: ForeignRows) -> list[Row]:
        self._tell_options(test)
        try:
            expand = test.options.get("disableVarExpansion") is not True
            combinations = list(self._variables.combinations(test.values, test.where, expand=expand))
        except WorkspaceError as exc:
            self._sheet.add(Fidelity.NOT, test.where, "test", exc.what, subject=Subject.CASE)
            return []
        rows = []
        for resolved, values in combinations:
            found.values.append(resolved)
            row: Row = {"id": "", "inputs": self._inputs(values, test, found)}
            if tags := self._tags(test):
                row["tags"] = tags
            if graders := self._graders(test, nodes, values):
                row["graders"] = graders
            about = test.description if len(combinations) == 1 else None
            if about is None and test.description:
                about = f"{test.description[:40]} {CaseIds.of_content(row)[-6:]}"
            row["id"] = self._ids.of(row, test.where, about=about)
            if test.output is not None:
                found.outputs[str(row["id"])] = test.output
            rows.append(row)
        return rows

    def _graders(self, test: ForeignTest, nodes: Sequence[Any], values: Mapping[str, JsonValue]) -> list[JsonValue]:
        around = Surroundings(values=values, options=self._options(test), objects=self._objects)
        graders = self._reader.graders(nodes, around)
        if test.threshold is None or not graders:
            return graders
        threshold = min(1, max(0, test.threshold))
        return [{"weighted": {"graders": [weighed(one) for one in graders], "threshold": threshold}}]

    def _inputs(self, values: Mapping[str, JsonValue], test: ForeignTest, found: ForeignRows) -> dict[str, JsonValue]:
        inputs: dict[str, JsonValue] = {}
        for name, value in values.items():
            kept = input_name(name)
            if kept != name:
                why = f"has a meaning for template languages: the input is called {kept}"
                self._sheet.add(Fidelity.NOTE, test.where, f"variable {name}", why, subject=Subject.CASE)
            inputs[kept] = value
        if REMOVED in repr(inputs):
            why = "a key that stood in a variable was removed"
            self._sheet.add(Fidelity.NEAR, test.where, "variables", why, subject=Subject.CASE)
        if found.varying:
            inputs |= {
                "prompt_prefix": test.options.get("prefix") or "",
                "prompt_suffix": test.options.get("suffix") or "",
            }
        return inputs

    def _tags(self, test: ForeignTest) -> list[str]:
        tags: list[str] = []
        for key, value in test.metadata.items():
            for one in value if isinstance(value, list) else [value]:
                if isinstance(one, str) and one.strip():
                    tags.append(" ".join(f"{key}:{one}".split()))
                else:
                    why = "metadata that is not text is not carried over"
                    self._sheet.add(Fidelity.NOTE, test.where, f"metadata.{key}", why, subject=Subject.CASE)
        return list(dict.fromkeys(tags))

    def _around(self, tests: Sequence[ForeignTest], found: ForeignRows) -> None:
        stated = {(str(test.options.get("prefix") or ""), str(test.options.get("suffix") or "")) for test in tests}
        if len(stated) > 1:
            found.varying = True
            found.around = ("{{prompt_prefix}}", "{{prompt_suffix}}")
        elif stated:
            found.around = stated.pop()
        repeats = {test.options.get("repeat") for test in tests}
        if len(repeats) == 1 and isinstance(repeat := repeats.pop(), int):
            found.repeat = repeat

    def _tell_options(self, test: ForeignTest) -> None:
        for key in test.options:
            if key == "transformVars":
                why = "variables are changed by a program"
                self._sheet.add(Fidelity.NOT, test.where, "options.transformVars", why, subject=Subject.CASE)
            elif key not in _KNOWN:
                self._sheet.add(
                    Fidelity.NOTE, test.where, f"options.{key}", "is not carried over", subject=Subject.CASE
                )


def _of_suite(entry: JsonValue) -> JsonValue:
    """Return a row's entry as a suite's, which has no weights: a weight of 0 decides nothing."""
    if not isinstance(entry, dict):
        return entry
    ((kind, params),) = entry.items()
    if not isinstance(params, dict) or "weight" not in params:
        return entry
    rest = {key: value for key, value in params.items() if key != "weight"}
    return {kind: {**rest, "required": False} if not params["weight"] else rest}
