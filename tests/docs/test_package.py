"""What is published: a wheel and a source archive, built, installed beside nothing else, and used as a newcomer would."""

import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from evalh import __version__
from evalh.api.new_workspace import RECORDED, NewWorkspace, write_workspace
from workspaces import document, evalh

ROOT = Path(__file__).parents[2]


def run(*command: str | Path, folder: Path) -> str:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def test_the_recordings_that_are_shipped_answer_the_prompts_that_are_shipped(tmp_path: Path) -> None:
    write_workspace(tmp_path, NewWorkspace(model=RECORDED))

    for version in ("v1", "v2", "draft"):
        done = evalh(tmp_path, "run", "--prompt", version, "--json")
        assert done.returncode == 0, done.stderr
        (result,) = document(done)["results"]
        assert (result["model"], result["samples"], result["ungraded"]) == ("recorded", 24, 0)


def test_a_shipped_recording_does_not_answer_for_an_edited_prompt(tmp_path: Path) -> None:
    write_workspace(tmp_path, NewWorkspace(model=RECORDED))
    prompt = tmp_path / "prompts/sentiment/draft.prompt"
    prompt.write_text(prompt.read_text().replace("Is the customer", "Is this customer"))

    done = evalh(tmp_path, "run", "--json")

    assert done.returncode == 4
    assert document(done)["results"][0]["errors"] == {"not_recorded": 24}


@pytest.mark.slow
def test_the_wheel_works_in_a_clean_environment_and_the_archive_holds_no_stray_files(tmp_path: Path) -> None:
    run(sys.executable, "-m", "build", "--outdir", tmp_path, ROOT, folder=tmp_path)
    (wheel,), (archive,) = tmp_path.glob("*.whl"), tmp_path.glob("*.tar.gz")
    top = f"evalh-{__version__}"
    with tarfile.open(archive) as packed:
        names = {name.removeprefix(f"{top}/") for name in packed.getnames()}
    outside = {name for name in names if not name.startswith(("harness/evalh/", "harness/evalh_trace/"))}
    assert outside == {".gitignore", "LICENSE", "PKG-INFO", "README.md", "pyproject.toml"}
    with zipfile.ZipFile(wheel) as packed:
        places = {name.split("/")[0] for name in packed.namelist()}
        assert places == {"evalh", "evalh_trace", f"{top}.dist-info"}
        assert not [name for name in packed.namelist() if name.endswith(".pyc")]

    venv.create(tmp_path / "clean", with_pip=True)
    python = tmp_path / "clean/bin/python"
    run(python, "-m", "pip", "install", "-q", wheel, folder=tmp_path)
    program = tmp_path / "clean/bin/evalh"
    (tmp_path / "new").mkdir()
    begun = run(program, "init", folder=tmp_path / "new")
    told = run(program, "run", folder=tmp_path / "new")

    assert "the first run uses recorded answers" in begun
    assert "sentiment@draft on recorded" in told
    assert "note: recorded answers were used, the model was not asked" in told
    assert "24: 19 good · 5 bad · 0 ungraded" in told
    assert run(program, "--version", folder=tmp_path).strip() == f"evalh {__version__}"
