"""The tests of a promptfoo config: found where it says, with what they inherit."""

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from evalh.core.errors import WorkspaceError
from evalh.core.located import Located
from evalh.core.strict_json import JsonValue, NotStrictJson, parse
from evalh.interop.foreign.promptfoo.csv_tests import as_test, csv_rows
from evalh.interop.foreign.promptfoo.nodes import Node, is_code
from evalh.interop.foreign.transfer import Fidelity, ProofSheet, Subject
from evalh.workspace.dataset.jsonl_rows import refuse_unholdable

_KEYS = frozenset(
    """description vars assert options metadata threshold provider providers prompts providerOutput
    assertScoringFunction type""".split()  # noqa: SIM905 (a list of words)
)
_ELSEWHERE = {
    "huggingface://": ("is kept at Hugging Face", "download it, then name the file"),
    "https://": ("is kept at a web address", "export it as CSV, then name the file"),
    "http://": ("is kept at a web address", "export it as CSV, then name the file"),
    "az://": ("is kept in Azure storage", "download it, then name the file"),
}
_SHEETS = (".xlsx", ".xls")


class ForeignTest(Struct, kw_only=True):
    """One test, before its variables are written out."""

    where: str
    description: str | None = None
    values: dict[str, JsonValue] = field(default_factory=dict)  # its variables
    asserts: tuple[Node, ...] = ()
    options: dict[str, JsonValue] = field(default_factory=dict)
    metadata: dict[str, JsonValue] = field(default_factory=dict)
    threshold: float | int | None = None
    output: str | None = None  # what a provider answered, in the source


class TestReader:
    """Reads tests, scenarios and what they inherit."""

    __test__ = False  # pytest's: this is not a test

    def __init__(self, sheet: ProofSheet) -> None:
        self._sheet = sheet

    def tests(self, root: Node) -> list[ForeignTest]:
        """Return all tests of a config; one without variables and assertions if it has none."""
        found = list(self._listed(root.raw("tests")))
        scenarios = list(root.child("scenarios").items())
        for scenario in scenarios:
            found += self._scenario(scenario)
        if not found and not root.has("tests") and not scenarios:
            found.append(ForeignTest(where=root.where))
        return found

    def default(self, root: Node) -> ForeignTest:
        """Return what every test inherits."""
        node = root.child("defaultTest")
        return self._test(node) if isinstance(node.value, Mapping) else ForeignTest(where=node.where)

    def _scenario(self, scenario: Node) -> Iterator[ForeignTest]:
        configs = [self._test(one) for one in scenario.child("config").items()]
        tests = list(self._listed(scenario.raw("tests"))) or [ForeignTest(where=scenario.where)]
        for config in configs:
            for test in tests:
                yield replace(
                    test,
                    description=test.description or config.description,
                    values={**config.values, **test.values},
                    asserts=(*config.asserts, *test.asserts),
                    options={**config.options, **test.options},
                    metadata={**config.metadata, **test.metadata},
                    threshold=config.threshold if test.threshold is None else test.threshold,
                )

    def _listed(self, node: Node) -> Iterator[ForeignTest]:
        match node.value:
            case str():
                yield from self._named(node.value, node)
            case list():
                for number in range(len(node.value)):
                    yield from self._listed(node.raw(number))
            case Mapping() if isinstance(node.value.get("path"), str):
                yield from self._named(node.value["path"], node)
            case Mapping():
                yield self._test(node)
            case None:
                return
            case _:
                self._sheet.add(Fidelity.NOT, node.where, "tests", "is not a test", subject=Subject.CASE)

    def _named(self, name: str, node: Node) -> Iterator[ForeignTest]:
        """Yield the tests of the files that a name or a pattern means."""
        elsewhere = next((why for start, why in _ELSEWHERE.items() if name.startswith(start)), None)
        if elsewhere is None and is_code(name):
            elsewhere = ("are made by a program, which is not run", "write them into a file: YAML, JSON Lines or CSV")
        if elsewhere is None and name.partition("#")[0].endswith(_SHEETS):
            elsewhere = ("is a spreadsheet", "save it as CSV, and name that file")
        if elsewhere is not None:
            why, do = elsewhere
            self._sheet.add(Fidelity.NOT, node.where, f"tests {name}", why, subject=Subject.CASE, do=do)
            return
        try:
            paths = node.files.expand(name, node.where, node.base)
        except WorkspaceError as exc:
            self._sheet.add(Fidelity.NOT, node.where, f"tests {name}", exc.what, subject=Subject.CASE)
            return
        for path in paths:
            match path.suffix:
                case ".csv":
                    yield from self._csv(node.files.text(path, node.where), node.files.label(path), node)
                case ".jsonl":
                    yield from self._json_lines(node.files.text(path, node.where), node.files.label(path), node)
                case ".yaml" | ".yml" | ".json":
                    opened = node.opened(str(path))
                    yield from self._listed(opened)
                case _:
                    why = "is not a file of tests that is read: YAML, JSON, JSON Lines or CSV"
                    self._sheet.add(Fidelity.NOT, node.where, f"tests {name}", why, subject=Subject.CASE)

    def _csv(self, text: str, name: str, node: Node) -> Iterator[ForeignTest]:
        for line, row in csv_rows(text, name):
            where = f"{name}:{line}"
            yield self._test(self._loose(as_test(row, where, self._sheet), name, line, node))

    def _json_lines(self, text: str, name: str, node: Node) -> Iterator[ForeignTest]:
        for line, source in enumerate(text.split("\n"), 1):
            if not source.strip():
                continue
            try:
                value = parse(source)
                refuse_unholdable(value, f"{name}:{line}")
            except NotStrictJson as exc:
                raise WorkspaceError(f"is not JSON: {exc.in_line}", where=f"{name}:{line}") from None
            yield self._test(self._loose(value, name, line, node))

    @staticmethod
    def _loose(value: JsonValue, name: str, line: int, node: Node) -> Node:
        """Return a value of a line as a document of its own."""
        return Node(value, Located(value, name, {(): line}), (), node.files, node.base, node.trail)

    def _test(self, node: Node) -> ForeignTest:
        for key in node.names:
            if key not in _KEYS:
                where = node.document.where(*node.path, key)
                self._sheet.add(Fidelity.NOTE, where, f"key {key!r} of a test", "promptfoo does not know this key")
        self._tell_lost(node)
        threshold = node.child("threshold").value
        number = isinstance(threshold, int | float) and not isinstance(threshold, bool)
        return ForeignTest(
            where=node.where,
            description=node.text("description"),
            values=self._values(node),
            asserts=tuple(self._asserts(node.child("assert"))),
            options=_mapping(node.child("options")),
            metadata=_mapping(node.child("metadata")),
            threshold=threshold if number else None,
            output=node.text("providerOutput"),
        )

    def _tell_lost(self, node: Node) -> None:
        for key, why, do in (
            (
                "assertScoringFunction",
                "is a program that computes the score of a test",
                "`weighted`, or a `python` grader",
            ),
            ("provider", "this test asks a model of its own", "a suite of its own, with that model"),
            ("providers", "this test asks some of the models alone", "a suite of its own"),
            ("prompts", "this test is for some of the prompts alone", "a suite of its own"),
        ):
            if node.has(key):
                where = node.document.where(*node.path, key)
                self._sheet.add(Fidelity.NOT, where, f"{key} of a test", why, subject=Subject.CASE, do=do)

    def _asserts(self, node: Node) -> Iterator[Node]:
        """Yield assertions; a name of a file stands for the list in it."""
        if isinstance(node.value, Mapping):
            yield node
        for item in node.items():
            if isinstance(item.value, list):
                yield from self._asserts(item)
            else:
                yield item

    def _values(self, node: Node) -> dict[str, JsonValue]:
        """Return the variables, read from files where `vars` names them."""
        raw = node.raw("vars")
        match raw.value:
            case Mapping():
                return dict(raw.value)
            case str():
                return self._values_of([raw.value], raw)
            case list() if all(isinstance(name, str) for name in raw.value):
                return self._values_of(raw.value, raw)
            case _:
                return {}

    def _values_of(self, names: Sequence[str], node: Node) -> dict[str, JsonValue]:
        found: dict[str, JsonValue] = {}
        for name in names:
            for path in node.files.expand(name, node.where, node.base):
                value = node.opened(str(path)).value
                found |= value if isinstance(value, Mapping) else {}
        return found


def _mapping(node: Node) -> dict[str, JsonValue]:
    return dict(node.value) if isinstance(node.value, Mapping) else {}


def inherited(test: ForeignTest, default: ForeignTest) -> ForeignTest:
    """Return a test with what the default test gives it; the default's assertions are not among them."""
    return replace(
        test,
        values={**default.values, **test.values},
        options={**default.options, **test.options},
        metadata={**default.metadata, **test.metadata},
        threshold=default.threshold if test.threshold is None else test.threshold,
    )
