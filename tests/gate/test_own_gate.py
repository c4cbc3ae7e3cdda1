"""This repository's own gate, on a good and on a bad branch, with what the embedded model really answered."""

import shutil
import subprocess
from pathlib import Path

import pytest

from workspaces import document, evalh

ROOT = Path(__file__).parents[2]
RECORDED = '\n[models.recorded]\nprovider = "replay"\npath = "tests/recorded/{prompt}/{version}.jsonl.gz"\n'


def branch(folder: Path, *, before: str, after: str) -> Path:
    """A copy of this workspace as a repository: `before` is live on main, `after` on the branch."""
    for part in ("prompts", "evals", "datasets", "tests/recorded"):
        shutil.copytree(ROOT / part, folder / part)
    (folder / "prompts/triage/draft.prompt").unlink()  # the gate would compare drafts
    (folder / ".gitignore").write_text(".evalh/\n")
    go_live(folder, before)
    for command in (
        ("init", "-q", "-b", "main"),
        ("add", "-A"),
        ("commit", "-qm", "Main"),
        ("switch", "-qc", "change"),
    ):
        subprocess.run(["git", *command], cwd=folder, check=True)
    go_live(folder, after)
    subprocess.run(["git", "commit", "-qam", f"Go live with {after}"], cwd=folder, check=True)
    return folder


def go_live(folder: Path, version: str) -> None:
    config = (ROOT / "evalh.toml").read_text(encoding="utf-8") + RECORDED
    (folder / "evalh.toml").write_text(config.replace('live = "v3"', f'live = "{version}"'), encoding="utf-8")


@pytest.mark.parametrize(("before", "after", "code"), [("v2", "v3", 0), ("v3", "v2", 1)])
def test_a_good_branch_passes_and_a_bad_one_is_refused(tmp_path: Path, before: str, after: str, code: int) -> None:
    folder = branch(tmp_path / "repo", before=before, after=after)

    gate = ("gate", "triage", "--base", "main", "--head", "HEAD", "--model", "recorded")
    done = evalh(folder, *gate, "--junit", str(tmp_path / "gate.xml"), "--json")

    assert done.returncode == code, done.stdout + done.stderr
    (suite,) = document(done)["suites"]
    assert suite["stopped_at"] < suite["of"] == 168
    assert ("<failure " in (tmp_path / "gate.xml").read_text(encoding="utf-8")) is bool(code)
    if code:
        assert suite["broken"]
        assert suite["broken"][0] in done.stdout
