"""Completion in real shells, at a terminal: a line is typed, Tab is pressed, and what the shell made of it is read."""

import os
import pty
import re
import select
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from workspaces import evalh, write_workspace

SHELLS = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}
SETUP = {
    "bash": 'PS1="> "; bind "set enable-bracketed-paste off"; eval "$(evalh completion bash)"',
    "zsh": 'PS1="> "; unsetopt zle_bracketed_paste 2>/dev/null; autoload -Uz compinit; compinit -u -D;'
    ' bindkey -e; eval "$(evalh completion zsh)"',
    "fish": "function fish_prompt; echo -n '> '; end; function fish_greeting; end; evalh completion fish | source",
}
PATIENCE_S = 30.0


class Terminal:
    """A shell at a terminal of its own."""

    def __init__(self, shell: str, folder: Path) -> None:
        self.shell = shell
        bin_folder = str(Path(sys.executable).parent)
        env = {
            "PATH": f"{bin_folder}:{os.environ['PATH']}",
            "HOME": str(folder),
            "TERM": "xterm" if shell == "fish" else "dumb",
            "LANG": "C.UTF-8",
            "COLUMNS": "200",
        }
        self._pid, self._fd = pty.fork()
        if self._pid == 0:
            os.chdir(folder)
            os.execvpe(SHELLS[shell][0], SHELLS[shell], env)
        self._run(SETUP[shell])

    def _run(self, line: str) -> str:
        """Run a line; return what it printed."""
        mark = f"done{time.monotonic_ns()}"
        os.write(self._fd, f"{line}; echo {mark[:4]}'{mark[4:]}'\n".encode())
        return self._until(rf"{mark}\n")

    def completed(self, line: str) -> str:
        """Type a line, press Tab, and return the line that the shell made of it."""
        os.write(self._fd, f"{line}\t".encode())
        self._until_quiet()
        mark = f"done{time.monotonic_ns()}"
        os.write(self._fd, f"'\x01echo {mark[:4]}'{mark[4:]}'='\x05\n".encode())
        return re.findall(rf"{mark}=(.*)\n", self._until(rf"{mark}=.*\n"))[-1].strip()

    def _until(self, pattern: str) -> str:
        text, deadline = "", time.monotonic() + PATIENCE_S
        while not re.search(pattern, text):
            assert time.monotonic() < deadline, f"{self.shell} has not come back: {text[-2000:]!r}"
            if select.select([self._fd], [], [], 0.1)[0]:
                text += os.read(self._fd, 65536).decode("utf-8", "replace").replace("\r", "")
        return text

    def _until_quiet(self) -> None:
        """Read until nothing came for a while: the completion has been put into the line."""
        quiet, deadline = time.monotonic(), time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and time.monotonic() - quiet < 1.5:
            if select.select([self._fd], [], [], 0.1)[0]:
                os.read(self._fd, 65536)
                quiet = time.monotonic()

    def close(self) -> None:
        os.close(self._fd)
        os.waitpid(self._pid, 0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = write_workspace(tmp_path_factory.mktemp("completing"), cases=3)
    with (place / "evalh.toml").open("a") as config:
        config.write('[routes.careful]\nmodel = "small"\n')
    ran = evalh(place, "run")
    assert ran.returncode == 0, ran.stderr
    return place


@pytest.fixture(params=SHELLS)
def terminal(request: pytest.FixtureRequest, folder: Path) -> Iterator[Terminal]:
    if shutil.which(request.param) is None:
        pytest.skip(f"no {request.param} here")
    one = Terminal(request.param, folder)
    yield one
    one.close()


@pytest.mark.slow
def test_verbs_options_and_names_are_completed(terminal: Terminal, folder: Path) -> None:
    with sqlite3.connect(folder / ".evalh/evalh.db") as log:
        ((run,),) = log.execute("select id from runs").fetchall()

    for typed, made in {
        "evalh comple": "evalh completion",
        "evalh run --at-l": "evalh run --at-least",
        "evalh run tri": "evalh run triage",
        "evalh run --prompt triage@": "evalh run --prompt triage@v1",
        "evalh compare triage@v": "evalh compare triage@v1",
        "evalh run --model sm": "evalh run --model small",
        "evalh explain car": "evalh explain careful",
        "evalh show r2": f"evalh show {run}",
        "evalh show t-0002": "evalh show t-0002",
        "evalh prompt rel": "evalh prompt release",
        "evalh dataset clu": "evalh dataset clusters",
        "evalh dataset clusters tri": "evalh dataset clusters triage",
        "evalh dataset split tri": "evalh dataset split triage",
        "evalh prompt log tri": "evalh prompt log triage",
        "evalh report --format mark": "evalh report --format markdown",
    }.items():
        assert terminal.completed(typed) == made, typed


def asked(folder: Path, line: str, **more: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ["PATH"], "_EVALH_COMPLETE": "bash_complete", "COMP_LINE": line, **more}
    env = {"COMP_POINT": str(len(line)), **env}
    return subprocess.run(
        [sys.executable, "-m", "evalh"], cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize(
    "config",
    ["", "[[[", '[workspace]\nevals = 3\nprompts = "/nowhere"\n', "models = 3\n", '[models]\nsmall = "x"\n', None],
)
def test_a_broken_workspace_has_no_names_and_prints_nothing(tmp_path: Path, config: str | None) -> None:
    if config is not None:
        (tmp_path / "evalh.toml").write_text(config)
    (tmp_path / ".evalh").mkdir()
    (tmp_path / ".evalh/evalh.db").write_bytes(b"no database")

    for line in ("evalh run ", "evalh show ", "evalh run --model ", "evalh run -p ", "evalh nonsense ", "evalh run '"):
        done = asked(tmp_path, line)
        assert (done.returncode, done.stderr) == (0, ""), line


def test_names_that_a_shell_would_read_as_more_are_not_offered(tmp_path: Path) -> None:
    folder = write_workspace(tmp_path)
    for name in ("$(touch owned)", "a b", "a;b", "`x`", "good-1"):
        (folder / f"evals/{name}.yaml").write_text("")

    done = asked(folder, "evalh gate ")

    assert done.stdout.split() == ["plain,good-1", "plain,triage"]


def test_datasets_are_completed_where_the_workspace_keeps_them(tmp_path: Path) -> None:
    folder = write_workspace(tmp_path)
    for name in (
        "rows/deep/routing.csv",
        "rows/triage.jsonl",
        "rows/notes.txt",
        "rows/.hidden/x.csv",
        "rows/labels/triage/me.jsonl",
        "rows/a b.csv",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")

    at_home = asked(folder, "evalh dataset clusters ").stdout.split()
    config = (folder / "evalh.toml").read_text()
    (folder / "evalh.toml").write_text(config.replace("[workspace]", '[workspace]\ndatasets = "rows"'))
    elsewhere = asked(folder, "evalh dataset clusters --write ").stdout.split()

    assert at_home == ["plain,triage"]
    assert elsewhere == ["plain,deep/routing", "plain,triage"]


def test_a_workspace_elsewhere_is_completed(tmp_path: Path) -> None:
    folder = write_workspace(tmp_path / "there")

    assert asked(tmp_path, f"evalh -C {folder} run --model ").stdout.strip() == "plain,small"


@pytest.mark.parametrize("instruction", ["", "bash", "bash_complete", "zsh_complete", "tcsh_complete", "x_source"])
def test_an_odd_question_is_answered_by_silence(tmp_path: Path, instruction: str) -> None:
    env = {"PATH": os.environ["PATH"], "_EVALH_COMPLETE": instruction}
    done = subprocess.run(
        [sys.executable, "-m", "evalh"], cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=60
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_nothing_heavy_is_imported_to_complete_a_name(tmp_path: Path) -> None:
    folder = write_workspace(tmp_path, cases=1)
    evalh(folder, "run")
    code = (
        "import sys; from evalh.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print([one for one in ('yaml', 'git', 'numpy', 'scipy', 'aiohttp', 'rich', 'jinja2') if one in sys.modules])"
    )
    line = "evalh show r"
    env = {"PATH": os.environ["PATH"], "_EVALH_COMPLETE": "bash_complete", "COMP_LINE": line, "COMP_POINT": "12"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=60
    )

    *names, heavy = done.stdout.splitlines()
    assert len(names) == 1
    assert heavy == "[]"
