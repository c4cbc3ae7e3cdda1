"""A call of production belongs to the version whose template its messages fit, whatever program rendered it."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from evalh.api.workspace import Workspace
from evalh_trace.records import Call, Workflow

NOW = 1_800_000_000.0
PROMPT = '{{role "system"}}\nSort it, VERSION.\n{{role "user"}}\n{{ticket}}\n'


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True)


def prompt(folder: Path, name: str, version: str) -> None:
    path = folder / "prompts/triage" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(PROMPT.replace("VERSION", version))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "evalh.toml").write_text("")
    prompt(tmp_path, "v1.prompt", "please")
    prompt(tmp_path, "draft.prompt", "at once")
    return Workspace.open(tmp_path)


def asked(workspace: Workspace, *versions: str) -> None:
    with workspace.production_writer() as production:
        for version in versions:
            messages = [{"role": "system", "parts": [f"Sort it, {version}."]}, {"role": "user", "parts": ["ticket"]}]
            production.write(
                [
                    Workflow(id=version, name="app", door="trace", started_at=NOW, probability=0.5, kept="rate"),
                    Call(id=f"{version}.c", workflow_id=version, messages=messages),
                ]
            )


def fits(workspace: Workspace) -> dict[str, Any]:
    sql = "select workflow_id, versions from calls order by 1"
    return dict(Workspace.open(workspace.root).production.query(sql)[1])


def test_each_call_names_the_versions_that_it_fits(workspace: Workspace) -> None:
    asked(workspace, "please", "at once", "not now")
    assert fits(workspace) == {"at once": '["triage@draft"]', "not now": "[]", "please": '["triage@v1"]'}


def test_two_versions_with_the_same_texts_are_both_named(workspace: Workspace) -> None:
    prompt(workspace.root, "draft.prompt", "please")
    asked(workspace, "please")
    assert fits(workspace) == {"please": '["triage@v1","triage@draft"]'}


def test_a_template_that_is_only_slots_fits_everything_and_answered_nothing(workspace: Workspace) -> None:
    slots = '{{role "system"}}\n{{rules}}\n{{role "user"}}\n{{ticket}}\n'
    (workspace.root / "prompts/triage/v2.prompt").write_text(slots)
    asked(workspace, "please", "not now")
    assert fits(workspace) == {"not now": "[]", "please": '["triage@v1"]'}


def test_a_draft_that_only_git_remembers_is_named_by_its_commit(workspace: Workspace) -> None:
    git(workspace.root, "init", "-q")
    git(workspace.root, "add", "-A")
    git(workspace.root, "commit", "-q", "-m", "One")
    prompt(workspace.root, "draft.prompt", "tomorrow")
    asked(workspace, "at once", "tomorrow")
    found = fits(workspace)
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=workspace.root, capture_output=True, text=True, check=True
    )
    assert found == {"at once": f'["{commit.stdout[:10]}:triage@draft"]', "tomorrow": '["triage@draft"]'}


def test_calls_are_looked_at_again_when_there_is_another_version(workspace: Workspace) -> None:
    asked(workspace, "not now")
    assert fits(workspace) == {"not now": "[]"}
    prompt(workspace.root, "v2.prompt", "not now")
    asked(workspace, "please")
    assert fits(workspace) == {"not now": '["triage@v2"]', "please": '["triage@v1"]'}


def test_the_view_counts_what_calls_stand_for(workspace: Workspace) -> None:
    asked(workspace, "please", "at once")
    rows = workspace.production.query("select version, calls, stands_for from versions_answered order by 1")[1]
    assert list(rows) == [("triage@draft", 1, 2.0), ("triage@v1", 1, 2.0)]


def test_a_prompt_that_is_broken_hinders_no_other(workspace: Workspace) -> None:
    (workspace.root / "prompts/other").mkdir()
    (workspace.root / "prompts/other/v1.prompt").write_text("---\nnonsense: [\n---\n{{a")
    asked(workspace, "please")
    assert fits(workspace) == {"please": '["triage@v1"]'}
