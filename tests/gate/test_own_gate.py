"""This repository's own gate, on a good and on a bad branch, with what the embedded model really answered.

The recordings hold one trial of every case and five of what must pass. To make them again, in the repository:

    evalh run --prompt v3 && evalh export recorded last -o whole.jsonl
    evalh run --prompt v3 --tag takeover --trials 5 && evalh export recorded last -o takeover.jsonl
    (cat whole.jsonl; grep -v '"trial": 0' takeover.jsonl) | gzip -9n > tests/recorded/triage/v3.jsonl.gz
"""

import shutil
import subprocess
from pathlib import Path

import pytest

from workspaces import document, evalh

ROOT = Path(__file__).parents[2]
RECORDED = '\n[models.recorded]\nprovider = "replay"\npath = "tests/recorded/{prompt}/{version}.jsonl.gz"\n'


GATE = ("gate", "triage", "--base", "main", "--head", "HEAD", "--model", "recorded")


def branch(folder: Path, *, before: str, after: str, must_pass: bool = True) -> Path:
    """A copy of this workspace as a repository: `before` is live on main, `after` on the branch."""
    for part in ("prompts", "evals", "datasets", "steps", "tests/recorded"):
        shutil.copytree(ROOT / part, folder / part)
    (folder / "prompts/triage/draft.prompt").unlink()  # the gate would compare drafts
    (folder / ".gitignore").write_text(".evalh/\n")
    if not must_pass:
        suite = folder / "evals/triage.yaml"
        lines = suite.read_text(encoding="utf-8").splitlines(keepends=True)
        suite.write_text("".join(line for line in lines if "must_pass" not in line), encoding="utf-8")
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

    done = evalh(folder, *GATE, "--junit", str(tmp_path / "gate.xml"), "--json")

    assert done.returncode == code, done.stdout + done.stderr
    (suite,) = document(done)["suites"]
    assert suite["stopped_at"] < suite["of"] == 168
    assert ("<failure " in (tmp_path / "gate.xml").read_text(encoding="utf-8")) is bool(code)
    if code:  # the model sends a case of account takeover to the wrong team, in every trial
        assert suite["broken"] == ["t-090"]
        assert "t-090 0 of 5" in suite["reasons"][0]
    else:
        assert "must_pass holds: 3 cases, 5 of 5 trials good" in done.stdout


def test_the_bad_branch_is_shown_to_be_worse_where_no_case_must_pass(tmp_path: Path) -> None:
    folder = branch(tmp_path / "repo", before="v3", after="v2", must_pass=False)

    done = evalh(folder, *GATE, "--json")

    assert done.returncode == 1, done.stdout + done.stderr
    (suite,) = document(done)["suites"]
    assert 0 < suite["stopped_at"] < suite["of"]
    assert "shown to be worse" in suite["reasons"][0]
    assert suite["broken"][0] in suite["reasons"][0]
