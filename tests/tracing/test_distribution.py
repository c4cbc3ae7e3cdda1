"""The small distribution: its wheel holds only the package, and works without evalh."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import evalh
import evalh_trace

ROOT = Path(__file__).parents[2]
USE = """
import sys, tempfile
sys.path.insert(0, sys.argv[1])
import evalh_trace
assert evalh_trace.__file__.startswith(sys.argv[1]), evalh_trace.__file__
evalh_trace.configure(store=tempfile.mkdtemp())
with evalh_trace.workflow("w"):
    evalh_trace.call(model="m", text="x")
assert evalh_trace.flush(20)
"""


@pytest.mark.slow
def test_the_small_wheel_holds_the_package_and_works(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", tmp_path, ROOT / "harness/evalh_trace"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = tmp_path.glob("*.whl")

    with zipfile.ZipFile(wheel) as packed:
        names = packed.namelist()
        packed.extractall(tmp_path / "installed")
    used = subprocess.run(
        [sys.executable, "-c", USE, tmp_path / "installed"], capture_output=True, text=True, check=False, cwd=tmp_path
    )

    sources = {
        f"evalh_trace/{one.relative_to(ROOT / 'harness/evalh_trace').as_posix()}"
        for one in (ROOT / "harness/evalh_trace").rglob("*.py")
    }
    assert {name for name in names if ".dist-info/" not in name} == {*sources, "evalh_trace/py.typed"}
    assert (used.returncode, used.stderr) == (0, "")


def test_both_distributions_have_one_version() -> None:
    assert evalh_trace.__version__ == evalh.__version__


def test_the_public_names_are_these_and_evalhs_are_the_same() -> None:
    from evalh import trace

    names = {"Span", "call", "client", "configure", "context", "feedback", "flush", "step", "workflow"}
    assert set(evalh_trace.__all__) == set(trace.__all__) == names
    assert all(getattr(trace, name) is getattr(evalh_trace, name) for name in names)
