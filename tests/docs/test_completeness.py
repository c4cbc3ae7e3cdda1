"""Nothing that a user can write is left out of the documentation, and no link in it leads nowhere."""

import re
from pathlib import Path

import pytest

from evalh.cli.main import VERBS
from evalh.core.attempt import ErrorKind
from evalh.core.declared import keys_of
from evalh.graders.registry import BUILT_IN, build_all
from evalh.providers.registry import _BUILT_IN, options_of
from evalh.report.terminal.log import SHOW
from evalh.workspace.config import ConfigFile, ModelTable, PromptTable, WorkspaceTable
from evalh.workspace.prices import PriceTable, StepTable
from evalh.workspace.prompt.front import ConfigTable, FrontMatter, InputTable, OutputTable, ToolTable
from evalh.workspace.prompt.pipelines import PipelineFile, PipelineStep
from evalh.workspace.routes import (
    BreakerTable,
    BudgetTable,
    CascadeTable,
    LimitTable,
    RepairTable,
    RetryTable,
    RouteTable,
)
from evalh.workspace.suites import BaselineTable, GateTable, SuiteFile, ValueTable

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
SOURCE = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("harness/**/*.py"))
DOCUMENTS = sorted({*re.findall(r'"(evalh\.[a-z-]+/\d+)"', SOURCE), *(f"evalh.{kind}/1" for kind in SHOW)})


def missing(page: Path, words: object, form: str = "`{}`") -> list[str]:
    text = page.read_text(encoding="utf-8")
    return [str(word) for word in words if form.format(word) not in text]  # type: ignore[attr-defined]


def test_every_verb_is_in_the_guide_or_in_the_readme() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "README.md", *DOCS.rglob("*.md")))

    assert [verb for verb in VERBS if not re.search(rf"`?evalh (-C \w+ )?{verb}\b", text)] == []


def test_every_grader_has_a_section() -> None:
    assert build_all((), None) == ()  # type: ignore[arg-type] (the registry is imported, so its kinds are known)
    assert missing(REFERENCE / "graders.md", BUILT_IN, "\n## `{}`\n") == []


def test_every_provider_has_a_section_and_every_error_kind_a_line() -> None:
    assert missing(REFERENCE / "providers.md", _BUILT_IN, "\n## `{}`\n") == []
    # A refusal is an answer (`finish`), not an attempt that failed.
    assert missing(REFERENCE / "providers.md", [kind for kind in ErrorKind if kind is not ErrorKind.REFUSAL]) == []


def test_every_key_of_evalh_toml_is_documented() -> None:
    own = [keys_of(options_of(kind)) for kind in _BUILT_IN]
    tables = (WorkspaceTable, PromptTable, ModelTable, PriceTable, StepTable)
    routes = (RouteTable, RetryTable, BreakerTable, LimitTable, RepairTable, CascadeTable, BudgetTable)
    keys = {key for known in (*own, *map(keys_of, tables), *map(keys_of, routes)) for key in known}
    text = "".join(
        (REFERENCE / name).read_text(encoding="utf-8") for name in ("config.md", "providers.md", "routes.md")
    )

    assert sorted(key for key in keys if not re.search(rf"`{key}`|\b{key}\b =", text)) == []
    assert missing(REFERENCE / "config.md", keys_of(ConfigFile), "[{}") == []


def test_every_key_of_a_suite_is_documented() -> None:
    assert missing(REFERENCE / "suite.md", keys_of(SuiteFile)) == []
    assert (
        missing(
            REFERENCE / "suite.md", [key for table in (GateTable, ValueTable, BaselineTable) for key in keys_of(table)]
        )
        == []
    )


def test_every_key_of_a_prompt_file_is_documented() -> None:
    tables = (FrontMatter, ConfigTable, InputTable, OutputTable, ToolTable)
    keys = {key for table in tables for key in keys_of(table)}

    assert missing(REFERENCE / "prompt-files.md", sorted(keys)) == []


def test_every_key_of_a_pipeline_is_documented() -> None:
    assert missing(REFERENCE / "pipelines.md", [*keys_of(PipelineFile), *keys_of(PipelineStep)]) == []


def test_every_json_document_is_listed() -> None:
    assert DOCUMENTS
    assert missing(REFERENCE / "documents.md", DOCUMENTS) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = target.partition("#")
        if "://" in target or path.endswith("commands.md"):  # which test_reference.py writes and compares
            continue
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)

    assert broken == []


def anchors(page: Path) -> set[str]:
    """Return the names that GitHub gives to a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
