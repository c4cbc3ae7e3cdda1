"""The commands in the documentation are run, in a copy of this workspace, on the embedded model.

In a ```console block every `$ evalh …` line is a command; the lines under it are what it must print, where `…` stands
for any text (a line of its own: any lines). Under `<!-- numbers vary -->` a block shows real numbers, and any others in
their place will do: a page is for its reader. `# exit N` behind a command states its exit code. `$ sed …` and `$ git …` are
run too: a page edits a file, or commits one. `$ python app.py` runs the block that begins with `# app.py`; what it asks
of OpenAI is answered by a server here. A ```csv or ```yaml block under a line that only names a file (`faq.csv`:) is
that file. Blocks in other languages, and commands of other programs, are not run.
Each page begins in a fresh copy with an empty log, so that no page depends on another.

The README asks all 168 cases of two versions, minutes of work. There the model's name leads to a recording of what the
embedded model answered to these very requests (it holds their digests), and the first command, asked for real by
`.ci/run`, is held to the page too.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from command_line import Done, command_line
from doors.first_number import first_number_server

ROOT = Path(__file__).parents[2]
LONG = ("first-five-minutes.md", "compare.md", "pipelines.md")  # many answers of the real model
PAGES = [
    pytest.param(page, id=page.name, marks=[pytest.mark.slow] if page.name in LONG else [])
    for page in (ROOT / "README.md", *sorted((ROOT / "docs/guide").glob("*.md")))
]
WORKSPACE = ("evalh.toml", "prompts", "evals", "datasets", "steps")
RECORDED = ("README.md",)
RECORDING = """[models.small]
provider = "replay"
path = "recorded/{version}.jsonl.gz"
price = { per_hour = 0.08 }
"""
FIRST_COMMAND = "EVALH_FIRST_COMMAND"
"""A file with what the README's first command printed, where it was run by itself."""
VARY = "<!-- numbers vary -->"
NUMBER = re.compile(r"(?<![\w-])\d[\d,]*(?:\\\.\d+)?(\\ (?:ms|s|min)\b)?")
RUN = ("evalh", "git", "python", "sed")
PROGRAM = re.compile(r"^```python\n# (\w+\.py)\n.*?(?=^```$)", re.DOTALL | re.MULTILINE)
FILE = re.compile(r"^`(?P<name>[\w.-]+)`:\n\n```(?:csv|yaml)\n(?P<content>.*?)^```$", re.DOTALL | re.MULTILINE)
TIMEOUT_S = 1200.0  # twenty cases take seconds on a quiet machine, minutes on one that is shared


@dataclass
class Command:
    line: int
    text: str
    exit_code: int = 0
    output: list[str] = field(default_factory=list)
    vary: bool = False


def commands(page: Path) -> list[Command]:
    found: list[Command] = []
    inside = vary = False
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if line == VARY:
            vary = True
        elif line.startswith("```"):
            vary = vary and not inside
            inside = line.strip() == "```console"
            current = None
        elif inside and line.startswith("$ "):
            text, _, note = line[2:].partition("  # exit ")
            current = Command(number, text, int(note or 0), vary=vary)
            if text.split(" ")[0] in RUN:
                found.append(current)
        elif inside and current is not None:
            current.output.append(line)
    return found


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    for name in WORKSPACE:
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    for arguments in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "Start"]):
        subprocess.run(["git", *arguments], cwd=folder, check=True)
    return folder


@pytest.mark.model
@pytest.mark.parametrize("page", PAGES)
def test_every_command_prints_what_the_page_says(page: Path, workspace: Path) -> None:
    found = commands(page)
    if page.name in RECORDED:
        _answer_from_recordings(workspace)
    for file in FILE.finditer(page.read_text(encoding="utf-8")):
        (workspace / file["name"]).write_text(file["content"], encoding="utf-8")
    with ExitStack() as stack:
        environment = {**os.environ, "COLUMNS": "100"}
        if any(command.text.startswith("python ") for command in found):
            pytest.importorskip("openai")
            environment |= {"OPENAI_BASE_URL": stack.enter_context(first_number_server()), "OPENAI_API_KEY": "sk-test"}
            for program in PROGRAM.finditer(page.read_text(encoding="utf-8")):
                (workspace / program[1]).write_text(program[0].removeprefix("```python\n"), encoding="utf-8")
        _run(page, found, workspace, environment)


def test_the_first_command_of_all_printed_what_the_readme_says() -> None:
    if FIRST_COMMAND not in os.environ:
        pytest.skip(f"{FIRST_COMMAND} is not set: .ci/run asks the model and sets it")
    first, *_ = commands(ROOT / "README.md")
    printed = Path(os.environ[FIRST_COMMAND]).read_text(encoding="utf-8")

    assert first.text == "evalh run --prompt v3"
    assert re.fullmatch(pattern(first.output, vary=first.vary), printed.strip("\n") + "\n"), printed


def _answer_from_recordings(workspace: Path) -> None:
    config = workspace / "evalh.toml"
    rest, model, _ = config.read_text(encoding="utf-8").partition("[models.small]\n")
    assert model
    config.write_text(rest + RECORDING, encoding="utf-8")
    shutil.copytree(ROOT / "tests/recorded/triage", workspace / "recorded")


def _run(page: Path, found: list[Command], workspace: Path, environment: dict[str, str]) -> None:
    for command in found:
        arguments = shlex.split(command.text, comments=True)
        run = _quickly if arguments[0] == "evalh" and page.name not in LONG else _from_scratch
        done = run(arguments, workspace, environment)
        place = f"{page.name}:{command.line}: {command.text}"
        assert done.code == command.exit_code, f"{place}\n{done.out}{done.err}"
        if command.output:
            assert re.fullmatch(pattern(command.output, vary=command.vary), done.out.strip("\n") + "\n"), (
                f"{place}\n{done.out}"
            )


def _quickly(arguments: list[str], folder: Path, environment: dict[str, str]) -> Done:
    return command_line().run(arguments[1:], cwd=str(folder), env=environment)


def _from_scratch(arguments: list[str], folder: Path, environment: dict[str, str]) -> Done:
    """Start the program as a user does: what the long pages show takes longer than any start."""
    python = {"evalh": [sys.executable, "-m", "evalh"], "python": [sys.executable]}
    typed = [*python.get(arguments[0], arguments[:1]), *arguments[1:]]
    done = subprocess.run(
        typed, cwd=folder, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    return Done(done.returncode, done.stdout, done.stderr)


def pattern(lines: list[str], *, vary: bool = False) -> str:
    while lines and not lines[-1].strip():
        lines = lines[:-1]
    parts = []
    for line in lines:
        if line.strip() == "…":
            parts.append(r"(?:.*\n)*?")
        else:
            shown = [re.escape(part.rstrip()) for part in line.split("…")]
            shown = [varied(part) for part in shown] if vary else shown
            parts.append(r"[^\n]*?".join(shown) + r"[ ]*\n")
    return "".join(parts)


def varied(escaped: str) -> str:
    """Let any number stand for a number, in any unit of time, and any columns for these."""
    numbers = NUMBER.sub(lambda found: r"[\d.,]+" + (r" (?:ms|s|min)" if found[1] else ""), escaped)
    return re.sub(r"(?:\\ ){2,}", " +", numbers)


def test_a_block_whose_numbers_vary_is_held_to_its_words() -> None:
    shown = pattern(["latency    p50 381 ms · p95 1.2 s", "$0.0012 [1, 2.5]  168: 120 good"], vary=True)

    assert re.fullmatch(shown, "latency  p50 1.4 s · p95 12.0 s\n$0.1 [0.5, 22]   12: 3 good\n")
    assert not re.fullmatch(shown, "latency  p50 1.4 s · p99 12.0 s\n$0.1 [0.5, 22]   12: 3 good\n")
    assert not re.fullmatch(shown, "latency  p50 1.4 s · p95 12.0 s\n$0.1 [0.5, 22]   12: 3 bad\n")
    assert not re.fullmatch(pattern(["168: 120 good"]), "168: 121 good\n")
