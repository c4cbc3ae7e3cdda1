"""The example in CONTRIBUTING.md is all that a new key of a suite takes."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from evalh.api.schemas import schema_of
from evalh.core.errors import WorkspaceError
from evalh.workspace import suites
from evalh.workspace.config import Config
from evalh.workspace.files import WorkTree

ROOT = Path(__file__).parents[2]
SECTION = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## Add a suite key")[2]
FIELD = re.search(r"```python\n(.*?)```", SECTION, re.DOTALL)[1]  # type: ignore[index]
SUITE = "prompt: triage\ndataset: triage\ngraders: [json]\n"


@pytest.fixture
def changed(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """Return the module with the example's line in it."""
    source = Path(suites.__file__).read_text(encoding="utf-8")
    after = re.search(r"^    owner: .*\n", source, re.MULTILINE)
    assert after is not None
    module = ModuleType("changed_suites")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(source[: after.end()] + FIELD + source[after.end() :], "suites.py", "exec"), vars(module))
    return module


def loaded(module: ModuleType, folder: Path, text: str) -> object:
    (folder / "evals").mkdir()
    (folder / "evals/triage.yaml").write_text(text)
    return module.load_suite(WorkTree(folder), Config(), "triage")


def test_the_key_is_read_and_described_in_the_schema(changed: ModuleType, tmp_path: Path) -> None:
    assert loaded(changed, tmp_path, f"{SUITE}tracker: https://example.com/bugs\n")
    assert schema_of(changed.SuiteFile)["properties"]["tracker"]["pattern"] == "^https://"


@pytest.mark.parametrize(
    ("line", "says"), [("tracker: example.com", "'tracker'"), ("traker: https://example.com", "'tracker'")]
)
def test_a_wrong_value_and_a_misspelt_key_are_found_at_their_line(
    changed: ModuleType, tmp_path: Path, line: str, says: str
) -> None:
    with pytest.raises(WorkspaceError) as caught:
        loaded(changed, tmp_path, f"{SUITE}{line}\n")

    assert says in f"{caught.value} {caught.value.hint}"
    assert str(caught.value.where).endswith("evals/triage.yaml:4")
