"""A file has a subject of its own, and a class name one meaning."""

import ast
from collections import defaultdict
from pathlib import Path

import pytest

import evalh

PACKAGE = Path(evalh.__file__).parent
FEWEST_LINES = 60
SMALL = {  # why a file that is shorter is not a part of its neighbour; `cli/` has a module for each verb
    "__main__.py": "Python runs it for `python -m evalh`",
    "starting.py": "runs before everything else, and imports nothing that takes a while",
    "api/datasets.py": "nothing else in api writes rows of a dataset",
    "api/otel.py": "finds what interop sends",
    "analysis/calibration/panel.py": "what a run counts of jurors, without people's labels",
    "analysis/history.py": "one picture of the report, as tradeoff is another",
    "core/case.py": "a word of the glossary",
    "core/located.py": "the readers of YAML, of TOML and of their models share it",
    "core/model.py": "a word of the glossary",
    "core/strict_json.py": "everything that reads or carries JSON imports it, and it imports nothing",
    "core/text_forms.py": "graders of text share it",
    "core/version.py": "the build reads it, and everything may name it",
    "core/values.py": "every value is built on it, and it imports nothing",
    "graders/numbers/marks.py": "what looks like a number and counts nothing, as locales is about decimal signs",
    "graders/quoting.py": "every grader writes its reasons with it, and it imports no grader",
    "graders/spend.py": "what an output took; all other families read the output itself",
    "interop/otlp_protobuf.py": "its library is an extra, imported when this encoding is asked for",
    "interop/recording.py": "writes what providers/recording.py reads; a provider may not import the workspace",
    "pipeline/step.py": "a word of the glossary, and a layer of its own: pipelines of several steps stand on it",
    "report/documents/document.py": "every document is built on it, and it imports no subject",
    "report/terminal/explain.py": "what is decided between the calls: no neighbour tells of routes",
    "stats/multiplicity.py": "the statistician's own subject; tests of every kind share it",
    # To be settled by the owners of these packages.
    "store/locking.py": "it has a half for each operating system, and only one of them can be imported",
    # To be settled by the owners of these packages.
    # To be settled by the owners of these packages.
    "workspace/credentials.py": "…",
    "workspace/prompt/handovers.py": "what is certain of a handover; its neighbours read one step or one expression alone",
    "workspace/kept/calibrations.py": "…",
}
SEVERAL_MEANINGS = {  # class names that modules may share
    "Baseline": "a suite's `baseline:`, and what is kept of its results",
    "Prices": "a suite's `value:`, and the port to the price lists",
    "Options": "the keys of one provider, in each provider; how numerals are read",
    # What a wire's own JSON is decoded into, private to each.
    "_Answer": "a model's answer, in each provider's form",
    "_Growing": "an answer that is streamed, in each provider's form",
    "_Message": "a message, in each provider's form",
    "Words": "how messages call what a key wants, and the words of a judge's scale",
    # Private to modules that have nothing to do with each other.
    "_Place": "where a connection leads, and where a cursor stands",
    "_Row": "of a file of labels, and of a dataset",
}


def _modules() -> dict[str, Path]:
    return {str(path.relative_to(PACKAGE)): path for path in sorted(PACKAGE.rglob("*.py"))}


@pytest.mark.parametrize("name", _modules())
def test_a_short_file_says_why_it_is_not_part_of_its_neighbour(name: str) -> None:
    if name.startswith("cli/") or name.endswith("__init__.py") or name in SMALL:
        return
    assert len(_modules()[name].read_text(encoding="utf-8").splitlines()) >= FEWEST_LINES


def test_a_class_name_has_one_meaning() -> None:
    homes = defaultdict(list)
    for name, path in _modules().items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                homes[node.name].append(name)

    assert {name: where for name, where in homes.items() if len(where) > 1 and name not in SEVERAL_MEANINGS} == {}
