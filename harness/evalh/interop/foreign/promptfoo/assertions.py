"""From assertions to graders: which kind, with what parameters, under what name and weight, and what of it is lost."""

from collections.abc import Mapping, Sequence
from typing import Any

from evalh.core.errors import WorkspaceError
from evalh.core.strict_json import JsonValue
from evalh.core.suite import GraderSpec
from evalh.core.values import Value
from evalh.graders.javascript.isolate import missing_engine
from evalh.graders.kinds import GraderEnvironment
from evalh.graders.registry import build
from evalh.interop.foreign.promptfoo import code_assertions, model_assertions, text_assertions
from evalh.interop.foreign.promptfoo.entries import ForeignAssertion, GraderEntry, NoEntryError
from evalh.interop.foreign.promptfoo.kept_code import KeptCode
from evalh.interop.foreign.promptfoo.kinds import KINDS, LOST
from evalh.interop.foreign.promptfoo.model_assertions import JudgeOf
from evalh.interop.foreign.promptfoo.nodes import Node, is_code
from evalh.interop.foreign.promptfoo.nunjucks import NotRenderedError, render
from evalh.interop.foreign.promptfoo.sources import REMOVED
from evalh.interop.foreign.transfer import Fidelity, ProofSheet, Subject

_KEYS = frozenset(
    """type value threshold weight metric transform provider config rubricPrompt assert contextTransform description
    $ref""".split()  # noqa: SIM905 (a list of words)
)
_OPENLY = ("javascript", "python")  # kinds whose value may name a program
_HEAVIEST = 1_000_000


class Surroundings(Value, kw_only=True):
    """What the assertions of one test are read with."""

    values: Mapping[str, JsonValue]
    options: Mapping[str, JsonValue]
    objects: bool = False


class AssertionReader:
    """Reads assertions, and tells what became of each."""

    def __init__(self, sheet: ProofSheet, code: KeptCode, judge: JudgeOf) -> None:
        self._sheet, self._code, self._judge = sheet, code, judge
        self._built: dict[str, str | None] = {}
        self.lost = 0

    def graders(self, nodes: Sequence[Node], around: Surroundings) -> list[JsonValue]:
        """Return the graders that a list of assertions becomes; those without a counterpart are told."""
        found: list[JsonValue] = []
        names: set[str] = set()
        for node in nodes:
            document = self._grader(node, around, names)
            if document is not None:
                found.append(document)
        return found

    def _grader(self, node: Node, around: Surroundings, names: set[str]) -> JsonValue | None:
        kind = node.text("type") if isinstance(node.value, Mapping) else None
        if kind is None:
            self._tell_lost(node, "assert without a type", NoEntryError("is not an assertion"))
            return None
        for key in node.names:
            if key not in _KEYS:
                why = "promptfoo does not know this key and ignores it"
                self._sheet.add(Fidelity.NOTE, node.document.where(*node.path, key), f"key {key!r}", why)
        if kind == "human":
            self._sheet.add(Fidelity.NOTE, node.where, "assert human", "a person judges", do="evalh label")
            return None
        try:
            entry = self._set(node, around, names) if kind == "assert-set" else self._entry(kind, node, around)
            more = self._more(node, around, names)
            self._build(entry, node)
            if REMOVED in repr(entry.params):
                entry = entry.nearly("a key that stood in it was removed")
        except NoEntryError as exc:
            self._tell_lost(node, f"assert {kind}", exc)
            return None
        self._sheet.add(entry.status, node.where, f"assert {kind}", entry.why, subject=Subject.GRADER, do=entry.do)
        return entry.document(more)

    def _tell_lost(self, node: Node, what: str, why: NoEntryError) -> None:
        self.lost += 1
        self._sheet.add(Fidelity.NOT, node.where, what, why.why, subject=Subject.GRADER, do=why.do)

    def _set(self, node: Node, around: Surroundings, names: set[str]) -> GraderEntry:
        nodes = list(node.child("assert").items())
        before = self.lost
        graders = [one for one in (self._grader(part, around, names) for part in nodes) if one is not None]
        if not graders:
            raise NoEntryError("none of its assertions has a counterpart")
        params: dict[str, JsonValue] = {"graders": [weighed(grader) for grader in graders]}
        threshold = node.child("threshold").value
        if isinstance(threshold, int | float):
            params["threshold"] = min(1, max(0, threshold))
        entry = GraderEntry(kind="weighted", params=params)
        return entry if self.lost == before else entry.nearly("some of its assertions are left out")

    def _entry(self, kind: str, node: Node, around: Surroundings) -> GraderEntry:
        inverse = kind.startswith("not-")
        base = kind.removeprefix("not-")
        if base in LOST:
            raise NoEntryError(*LOST[base])
        asked = ForeignAssertion(
            kind=base,
            value=self._value(base, node, around),
            node=node,
            values=around.values,
            options=around.options,
            objects=around.objects,
        )
        entry = code_assertions.with_transform(self._read(asked), asked, self._code)
        if around.objects and entry.kind not in ("javascript", "json", "schema", "latency", "cost", "judge"):
            entry = entry.nearly("promptfoo compares the output's JSON written without spaces")
        if not inverse:
            return entry
        if entry.kind == "embedding_similarity":
            raise NoEntryError("a similarity of meaning has no opposite that is decided by a threshold")
        if entry.params.pop("throws", None) is not None:
            entry = entry.nearly("an exception is not a verdict; promptfoo fails the output")
        return GraderEntry(
            kind="not", params={"grader": entry.document()}, status=entry.status, why=entry.why, do=entry.do
        )

    def _read(self, asked: ForeignAssertion) -> GraderEntry:
        if asked.kind == "javascript":
            return code_assertions.javascript(asked, self._code)
        if asked.kind == "python":
            return code_assertions.python(asked, self._code)
        if asked.kind in text_assertions.READERS:
            return text_assertions.READERS[asked.kind](asked)
        if asked.kind in model_assertions.READERS:
            return model_assertions.READERS[asked.kind](asked, self._judge)
        if asked.kind in KINDS:
            raise NoEntryError("has no counterpart yet", "a `python` grader")
        raise NoEntryError("is not a kind that promptfoo knows")

    def _value(self, kind: str, node: Node, around: Surroundings) -> JsonValue:
        """Return an assertion's value with its templates filled and the data of a file that it names."""
        raw = node.raw("value")
        value = raw.value
        if isinstance(value, str) and value.startswith("file://"):
            if is_code(value) and kind in _OPENLY:
                return value
            if is_code(value):
                raise NoEntryError("its value is computed by a program", "write the value out")
            return self._file(value, raw)
        try:
            if isinstance(value, str):
                return render(value, around.values)
            if isinstance(value, list):
                return [render(one, around.values) if isinstance(one, str) else one for one in value]
        except NotRenderedError as exc:
            raise NoEntryError(f"its value is a template with {exc}", "write the value out for each case") from None
        return value

    def _file(self, name: str, node: Node) -> JsonValue:
        try:
            opened = node.resolved()
            if opened is not node and opened.value != name:
                return opened.value
            return node.files.text(node.files.place(name, node.where), node.where).strip()
        except WorkspaceError as exc:
            raise NoEntryError(exc.what) from None

    def _more(self, node: Node, around: Surroundings, names: set[str]) -> dict[str, JsonValue]:
        """Return weight and name, which belong to the place of a grader and not to its kind."""
        more: dict[str, JsonValue] = {}
        weight = node.child("weight").value
        if isinstance(weight, int | float) and weight != 1:
            if not 0 <= weight <= _HEAVIEST:
                raise NoEntryError("its weight is negative or too large")
            more["weight"] = weight
        metric = node.text("metric")
        if metric:
            more["name"] = self._name(metric, node, around, names)
        return more

    def _name(self, metric: str, node: Node, around: Surroundings, names: set[str]) -> str:
        try:
            metric = render(metric, around.values)
        except NotRenderedError:
            self._sheet.add(Fidelity.NOTE, node.where, "metric", "its name is a template that is not filled here")
        wanted = " ".join(metric.split()) or "metric"
        name, number = wanted, 1
        while name in names:
            number += 1
            name = f"{wanted}-{number}"
        if name != wanted:
            why = "several assertions of a test have this metric; here each name counts once"
            self._sheet.add(Fidelity.NOTE, node.where, f"metric {wanted!r}", why)
        names.add(name)
        return name

    def _build(self, entry: GraderEntry, node: Node) -> None:
        """Build the grader, as a run will. Raises NoEntryError for one that evalh refuses."""
        key = repr(entry.document())
        if key not in self._built:
            spec = GraderSpec(kind=entry.kind, name=entry.kind, params=dict(entry.params), where=node.where)
            self._built[key] = _refusal(spec) if _is_checked(entry) else None
        if (refusal := self._built[key]) is not None:
            raise NoEntryError(refusal)


_CHECKED = frozenset({"equals", "contains", "regex", "json", "schema", "length", "latency", "cost", "tool_calls"})
"""Kinds that are built without a model, a file or an engine."""


def weighed(grader: JsonValue) -> JsonValue:
    """Return an entry as one inside `weighted`, where a similarity of meaning counts if its weight is stated."""
    if not isinstance(grader, dict) or "embedding_similarity" not in grader:
        return grader
    params = {key: value for key, value in grader["embedding_similarity"].items() if key != "required"}
    return {"embedding_similarity": {"weight": 1, **params}}


def _is_checked(entry: GraderEntry) -> bool:
    if entry.kind == "javascript" and "code" in entry.params:
        steps = entry.params.get("transform", ())
        return missing_engine() is None and all(isinstance(step, str) for step in steps)
    return entry.kind in _CHECKED


def _refusal(spec: GraderSpec) -> str | None:
    nobody: Any = None  # these kinds ask for no model, no text and no function
    try:
        build(spec, GraderEnvironment(load_function=nobody, models=nobody, texts=nobody, kinds={}))
    except WorkspaceError as exc:
        return exc.what
    return None
