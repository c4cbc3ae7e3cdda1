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


@pytest.mark.parametrize("start", [[sys.executable, "-m", "evalh"], [str(Path(sys.executable).with_name("evalh"))]])
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_the_handlers_stand_from_our_first_line_on(folder: Path, start: list[str], sign: signal.Signals) -> None:
    """Both ways to start the program find them, and `import evalh` in another program does not."""
    env = {**os.environ, "PYTHONINSPECT": ""}
    code = "import evalh, signal; print(signal.getsignal(signal.SIGTERM) == signal.SIG_DFL, signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    other = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True, env=env
    )

    words = [*start, "--help"]
    seen = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys; sys.orig_argv = {['python', *start[-2:]] if len(start) > 1 else ['python', *start]!r}; import evalh, signal, evalh.starting as s; print(signal.getsignal({int(sign)}) is s.end_the_start)",
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert other.stdout.strip() == "True True"
    assert seen.stdout.strip() == "True"
    assert subprocess.run(words, capture_output=True, timeout=60, check=False).returncode == 0
