"""A file has a subject of its own, and a class name has one meaning."""

import ast
from collections import defaultdict
from pathlib import Path

import pytest

import evalh

PACKAGE = Path(evalh.__file__).parent
FEWEST_LINES = 60
SMALL = {  # why a shorter file is not part of its neighbour; `cli/` has a module for each verb
    "__main__.py": "Python runs it for `python -m evalh`",
    "starting.py": "runs before everything else, and imports nothing slow",
    "api/otel.py": "finds what interop sends",
    "analysis/calibration/feedback.py": "users' votes, which are not labels: nothing else here reads them",
    "analysis/calibration/panel.py": "what a run counts of jurors, without people's labels",
    "analysis/history.py": "one picture of the report, as tradeoff is another",
    "core/case.py": "a word of the glossary",
    "core/located.py": "shared by the readers of YAML, of TOML and of their models",
    "core/model.py": "a word of the glossary",
    "core/production.py": "read from one file and shown by another; the log of tests has values of its own",
    "core/strict_json.py": "everything that reads or carries JSON imports it, and it imports nothing",
    "store/views.py": "SQL of the newest views; the migrations that make them are a full file",
    "core/tables.py": "read by the store, written by report and interop, which do not know each other",
    "core/text_forms.py": "shared by the graders of text",
    "core/version.py": "the build reads it, and everything may import it",
    "core/values.py": "every value is built on it, and it imports nothing",
    "graders/numbers/marks.py": "text that looks like a number but is not one, as locales is about decimal signs",
    "graders/quoting.py": "every grader writes its reasons with it, and it imports no grader",
    "graders/spend.py": "judges what an output cost; all other kinds read the output itself",
    "interop/otlp_protobuf.py": "its library is an extra, imported when this encoding is asked for",
    "engine/pipeline/replaying.py": "it asks nobody, and shares nothing with asking but the walk that it inherits",
    "engine/pipeline/tools.py": "asking, grading and kept functions share it; inside one of them it would close a circle",
    "interop/foreign/formats.py": "the table of formats, which the command line reads without reading any",
    "interop/foreign/promptfoo/judges.py": "models that tests state; the providers beside it are the config's own",
    "interop/foreign/promptfoo/kinds.py": "the names of another program's kinds, a table without code",
    "interop/recording.py": "writes what providers/recording.py reads; a provider may not import the workspace",
    "pipeline/contracts.py": "it compiles schemas; the walk beside it asks no library",
    "pipeline/step.py": "a word of the glossary, and a layer of its own: pipelines of several steps stand on it",
    "report/documents/document.py": "every document is built on it, and it imports no subject",
    "report/markdown/compare.py": "one subject of this form, as its neighbours are",
    "report/markdown/imported.py": "the one sheet that is written beside a workspace's, not about a run of it",
    "report/terminal/imported.py": "shows an import of files; workflows, calls and collected spans are beside it",
    "report/terminal/explain.py": "the decisions between the calls; no other report is about routes",
    "stats/unpaired.py": "different cases on the two sides: everything in paired is about the same ones",
    "stats/multiplicity.py": "a subject of its own in statistics, shared by tests of every kind",
    "store/locking.py": "it has a half for each operating system, and only one of them can be imported",
    "trace.py": "the name under which users know the package evalh_trace, which stands alone",
    "workspace/credentials.py": "the patterns of secrets, which a security review reads by themselves",
    "workspace/kept/calibrations.py": "one kind of kept file, as baselines and labels are",
}
SEVERAL_MEANINGS = {  # class names that modules may share
    "Options": "the keys of one provider, in each provider",
    # The JSON of one API, private to its provider.
    "_Answer": "a model's answer",
    "_Growing": "an answer that is streamed",
    "_Message": "a message",
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


def test_a_reason_names_a_file_that_exists() -> None:
    assert set(SMALL) <= set(_modules())


def test_a_class_name_has_one_meaning() -> None:
    homes = defaultdict(list)
    for name, path in _modules().items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                homes[node.name].append(name)

    assert {name for name, where in homes.items() if len(where) > 1} == set(SEVERAL_MEANINGS)
