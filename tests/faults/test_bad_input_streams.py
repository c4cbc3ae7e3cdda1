"""Streams that are closed, full, narrow or poor, and text that attacks the terminal behind them."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from command_line import CommandLine
from faults.test_bad_input import ACTIVE, Edit, change, content
from workspaces import PROMPT, write_workspace

ATTACK = "\x1b[31m\x1b]0;owned\x07\x9b2J\u202eevil\u2066\x00\x08"


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory, evalh: CommandLine) -> Path:
    folder = write_workspace(tmp_path_factory.mktemp("used"), cases=8)
    assert evalh(folder, "run").code == 0
    return folder


def shell(folder: Path, script: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a line of shell in which `$E` is the command line."""
    settings = {**os.environ, **env, "E": f"{sys.executable} -m evalh -C {folder}"}
    command = ["bash", "-c", f"set -o pipefail; {script}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=settings)


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("$E run | head -c 1", 0),
        ("$E run --at-least 1.0 | true", 1),
        ("$E run --at-least 1.0 --fresh 2>&1 | true", 1),
        ("$E run --model x --json | true", 2),
        ("$E run --at-least 1.0 >&-", 1),
        ("$E run --at-least 1.0 --fresh 2>&-", 1),
        ("$E run --model x 2>&- >&-", 2),
        ("$E run <&-", 0),
        ("$E run > /dev/full", 4),
        ("$E run --json > /dev/full", 4),
        ("$E --help > /dev/full", 4),
    ],
)
def test_a_stream_that_takes_nothing_changes_no_exit_code_and_ends_in_words(used: Path, script: str, code: int) -> None:
    done = shell(used, script)

    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert "bug" not in done.stderr
    assert "Exception ignored" not in done.stderr
    if code == 4:
        assert done.stderr == "error: stdout: cannot write: No space left on device\n  make room\n"


@pytest.mark.parametrize(
    "env",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "latin-1"},
    ],
)
def test_an_encoding_without_our_signs_gets_plainer_ones(used: Path, env: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "evalh", "-C", used, "show"],
        capture_output=True,
        timeout=60,
        check=False,
        env={**os.environ, **env},
    )

    assert done.returncode == 0, done.stderr
    assert "8: 7 good" in done.stdout.decode("latin-1")
    assert done.stdout.decode("latin-1").count("?") == 0
    if "latin-1" not in env.values():
        assert b"triage@v1 on small - suite triage" in done.stdout


@pytest.mark.parametrize("columns", ["0", "1", "20", "x", "-5"])
def test_a_narrow_terminal_loses_nothing(used: Path, evalh: CommandLine, columns: str) -> None:
    env = {**os.environ, "COLUMNS": columns}

    shown = evalh(used, "run", env=env)

    for word in ("triage@v1", "7 good", "schema", "equals", "cost per good output", "abstain"):
        assert word in shown.out
    assert "…" not in shown.out
    assert any(line.startswith("next: evalh show r2") for line in shown.err.splitlines())


def test_a_terminal_that_cannot_move_its_cursor_is_not_asked_to(used: Path) -> None:
    assert "\x1b" not in _on_a_terminal(used, TERM="dumb")
    assert "\x1b[K" in _on_a_terminal(used, TERM="xterm")


def test_no_color_means_no_colour(used: Path) -> None:
    assert "\x1b[32m" in _on_a_terminal(used, TERM="xterm")
    assert "\x1b[32m" not in _on_a_terminal(used, TERM="xterm", NO_COLOR="1")


def _on_a_terminal(folder: Path, **env: str) -> str:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "evalh", "-C", folder, "run"]
    process = subprocess.Popen(command, stdout=theirs, stderr=theirs, stdin=theirs, env={**os.environ, **env})
    os.close(theirs)
    text = b""
    try:
        while data := os.read(ours, 65536):
            text += data
    except OSError:  # how Linux says that the other side is gone
        pass
    os.close(ours)
    assert process.wait(30) == 0
    return text.decode()


def answer(code: str) -> Edit:
    return content("evals/answers.py", f"ATTACK = {ATTACK!r}\n\n\ndef answer(case_id):\n    {code}\n")


HOSTILE_CASE = json.dumps(
    {
        "id": f"t{ATTACK}\nnext: evalh show x",
        "inputs": {"ticket": ATTACK},
        "expected": {"label": ATTACK},
        "tags": [ATTACK],
    }
)
VERBS = [
    ["run"],
    ["run", "--fresh"],
    ["run", "--dry-run"],
    ["show"],
    ["show", f"t{ATTACK}\nnext: evalh show x"],
    ["calls"],
    ["calls", "--errors"],
    ["sql", "select * from samples"],
    ["sql", "select text from attempts"],
    ["sql", f"select 1 as '{ATTACK.replace(chr(0), '')}'"],
    ["render", f"t{ATTACK}\nnext: evalh show x"],
    ["render", ATTACK],
    ["check"],
    ["prompt", "list"],
    ["prompt", "show", "v1"],
    ["prompt", "diff", "v1", "v2"],
    ["export", "recorded"],
    ["run", "--prompt", ATTACK],
    ["run", "--case", ATTACK],
    ["doctor"],
]


@pytest.mark.parametrize("code", ["return ATTACK", "raise ValueError(ATTACK)", "raise SystemExit(ATTACK)"])
def test_no_verb_hands_hostile_text_to_the_terminal(tmp_path: Path, evalh: CommandLine, code: str) -> None:
    folder = write_workspace(tmp_path, cases=1)
    answer(code)(folder)
    content("datasets/triage.jsonl", HOSTILE_CASE + "\n")(folder)
    content("prompts/triage/v2.prompt", PROMPT.replace("Sort the", f"Sort {ATTACK.replace(chr(0), '')} the"))(folder)
    change("prompts/triage/v1.prompt", "config:", f"description: {json.dumps(ATTACK)}\nconfig:")(folder)
    content(f"prompts/{ATTACK.replace(chr(0), '').replace('/', '')}/v1.prompt", PROMPT)(folder)

    for verb in VERBS:
        typed = [part.replace("\x00", "") for part in verb]
        done = evalh(folder, *typed)

        assert not ACTIVE.search(done.out), (typed, done.out)
        assert not ACTIVE.search(done.err), (typed, done.err)
        assert "Traceback" not in done.err
        assert "\nnext: evalh show x" not in done.out + done.err


def test_what_a_plugin_prints_is_no_part_of_the_answer(tmp_path: Path, evalh: CommandLine) -> None:
    folder = write_workspace(tmp_path, cases=2)
    content("evals/g.py", 'print("noise")\n')(folder)
    change("evalh.toml", "[workspace]", '[workspace]\nplugins = ["evals/g.py"]')(folder)
    answer('print("noise"); return "{}"')(folder)

    done = evalh(folder, "run", "--json")

    assert done.document["results"][0]["samples"] == 2
    assert done.err.count("noise") == 3


def test_a_row_too_wide_for_a_table_is_shown_whole(used: Path, evalh: CommandLine) -> None:
    (wide,) = evalh(used, "sql", "select * from failures limit 1", "--json").document["rows"]

    shown = evalh(used, "sql", "select * from failures limit 1", env={**os.environ, "COLUMNS": "80"}).out

    assert f"sample_id    {wide[1]}" in shown.splitlines()
    assert "…" not in shown
