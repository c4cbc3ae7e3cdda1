"""A gate runs when an application's own files change, and each side is answered by its own."""

import subprocess
from pathlib import Path

import pytest

from workspaces import evalh, write_workspace

PYTHON = 'provider = "python"\ncall = "app/flow.py:handle"\n'
COMMAND = 'provider = "command"\ncommand = ["python3", "./app/main.py"]\nfiles = ["app/*.py"]\noutput = "out"\n'
FILES = {
    "app/flow.py": "from app.labels import LABEL\n\n\ndef handle(ticket):\n    return {'label': LABEL}\n",
    "app/main.py": "import json\nfrom labels import LABEL\nprint(json.dumps({'out': {'label': LABEL}}))\n",
    "app/labels.py": "LABEL = 'billing'\n",
    "README": "first\n",
    ".gitignore": ".evalh/\n__pycache__/\n",
}


@pytest.fixture(params=[PYTHON, COMMAND], ids=["python", "command"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    write_workspace(tmp_path, cases=25, model=request.param)
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    git(tmp_path, "init", "-q", "-b", "main")
    commit(tmp_path)
    git(tmp_path, "checkout", "-qb", "next")
    return tmp_path


def git(folder: Path, *arguments: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@b.test")
    subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True)


def commit(folder: Path) -> None:
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "change")


def test_a_change_for_the_worse_in_a_file_beside_it_is_refused(folder: Path) -> None:
    (folder / "app/labels.py").write_text("LABEL = 'bug'\n")
    commit(folder)

    done = evalh(folder, "gate", "--base", "main")

    assert done.returncode == 1, done.stdout + done.stderr
    assert "good: 100.0 % → 0.0 %" in done.stdout
    assert "sides differ in: model" in done.stdout


def test_a_change_that_is_none_of_its_files_runs_nothing(folder: Path) -> None:
    (folder / "README").write_text("second\n")
    commit(folder)

    done = evalh(folder, "gate", "--base", "main")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "no suite ran" in done.stdout
