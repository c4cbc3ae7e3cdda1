"""A signal while the program starts: 130 at any moment, and never a traceback."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from workspaces import write_workspace

# The moment is chosen by where the program is, not by a clock: after so many lines of any code, it signals itself.
CHILD = """
import os, sys
sys.orig_argv = ["python", "-m", "evalh"]
count, at, sign = 0, int(sys.argv.pop(1)), int(sys.argv.pop(1))
def trace(frame, event, _):
    global count
    count += 1
    if count == at:
        sys.settrace(None)
        os.kill(os.getpid(), sign)
    return trace
sys.argv = ["evalh", *sys.argv[1:]]
import evalh.starting
sys.settrace(trace)
from evalh.cli import main
main()
"""


def ended(folder: Path, at: int, sign: signal.Signals) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", CHILD, str(at), str(int(sign)), "-C", str(folder), "run", "--fresh"]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace that takes a moment."""
    return write_workspace(tmp_path_factory.mktemp("starting"), cases=50)


@pytest.mark.parametrize("at", [1, 2, 5, 20, 100, 400, 1_500, 5_000, 12_000, 25_000, 50_000, 90_000, 140_000])
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_at_any_moment_of_the_start_ends_with_130(folder: Path, at: int, sign: signal.Signals) -> None:
    done = ended(folder, at, sign)

    assert done.returncode in {0, 130}, done.stderr  # 0: it was over before
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_the_first_moments_are_reached_at_all(folder: Path) -> None:
    assert {ended(folder, at, signal.SIGINT).returncode for at in (1, 400, 5_000, 25_000)} == {130}


SEEN = """
import signal, sys
sys.orig_argv, sys.argv = {words!r}, {arguments!r}
import evalh, evalh.starting as starting
print([signal.getsignal(sign) is starting.end_the_start for sign in (signal.SIGINT, signal.SIGTERM)])
"""
SCRIPT = "/usr/bin/evalh"


@pytest.mark.parametrize(
    ("words", "arguments", "ours"),
    [
        (["python", SCRIPT, "run"], [SCRIPT, "run"], True),
        (["python", "-sP", SCRIPT, "run"], [SCRIPT, "run"], True),  # as Fedora's first lines say
        (["python", "-m", "evalh", "run"], ["-m", "run"], True),
        (["python", "-X", "utf8", "-Wd", "-B", "-s", "-I", "-m", "evalh", "run"], ["-m", "run"], True),
        (["python", "-Im", "evalh"], ["-m"], True),
        (["python", "-mevalh", "run", "-m", "small"], ["-m", "run", "-m", "small"], True),
        (["python", "-m", "other", "-m", "evalh"], ["-m", "-m", "evalh"], False),
        (["python", "-m", "notevalh"], ["-m"], False),
        (["python", "other.py", "evalh"], ["other.py", "evalh"], False),
        (["python", "-c", "import evalh", "-m", "evalh"], ["-c", "-m", "evalh"], False),
        (["python"], [""], False),
    ],
)
def test_the_handlers_stand_from_our_first_line_on(words: list[str], arguments: list[str], ours: bool) -> None:
    """Every way to start the program finds them, and `import evalh` in another program does not."""
    child = [sys.executable, "-c", SEEN.format(words=words, arguments=arguments)]
    done = subprocess.run(child, capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.strip() == str([ours, ours])


@pytest.mark.parametrize("options", [["-m", "evalh"], ["-Bm", "evalh"], ["-mevalh"], ["-s", "-m", "evalh"]])
def test_python_says_of_itself_what_the_start_reads(options: list[str], tmp_path: Path) -> None:
    (tmp_path / "evalh").mkdir()
    (tmp_path / "evalh/__init__.py").write_text("import sys; print([sys.orig_argv[1:], sys.argv])")
    (tmp_path / "evalh/__main__.py").write_text("")
    done = subprocess.run(
        [sys.executable, *options, "run"], capture_output=True, text=True, timeout=60, check=True, cwd=tmp_path
    )

    assert done.stdout.strip() == str([[*options, "run"], ["-m", "run"]])
