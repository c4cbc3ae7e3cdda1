"""What the command line prints, word for word. `make golden` writes it again; a reviewer reads the diff."""

import os
import pty
import re
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from sqlite3 import connect

import pytest

from command_line import command_line
from workspaces import write_workspace

GOLDEN = Path(__file__).parent / "golden"
WRITE = os.environ.get("EVALH_GOLDEN") == "write"

HELP = [["--help"]] + [
    [*verb.split(), "--help"]
    for verb in (
        "run",
        "compare",
        "power",
        "drift",
        "baseline accept",
        "check",
        "prompt",
        "prompt list",
        "prompt show",
        "prompt diff",
        "prompt release",
        "prompt log",
        "render",
        "show",
        "calls",
        "report",
        "view",
        "sql",
        "model",
        "model pull",
        "model list",
        "export",
        "export recorded",
        "init",
        "doctor",
    )
]
COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:[349]\d|10\d)")
SESSION = [
    ["run", "--dry-run"],
    ["run"],
    ["run"],
    ["run", "--json"],
    ["run", "--limit", "3", "--trials", "2"],
    ["run", "--at-least", "0.9"],
    ["run", "--case", "t-0007", "--json"],
    ["run", "--prompt", "v1", "--prompt", "draft"],
    ["run", "--prompt", "v9"],
    ["run", "--model", "smal"],
    ["run", "--tag", "nothing"],
    ["run", "--case", "t-7"],
    ["run", "triaje"],
    ["check"],
    ["prompt", "list"],
    ["prompt", "show", "v1"],
    ["prompt", "diff", "v1", "draft"],
    ["prompt", "release", "triage"],
    ["prompt", "release", "triage"],
    ["render", "t-0001"],
    ["show", "last"],
    ["show", "t-0007"],
    ["calls", "--errors"],
    ["calls", "--limit", "3"],
    ["sql", "select standing, count(*) as samples from samples group by 1 order by 1"],
    ["sql", "delete from samples"],
    ["sql", "selec 1"],
    ["frobnicate"],
    ["rum"],
]


COMPARISONS = [
    ["compare", "v1", "v2"],
    ["compare", "v1", "v2", "--json"],
    ["compare", "v1", "v2", "--fail-on", "worse"],
    ["compare", "v2", "v1", "--examples", "1", "--limit", "12", "--fail-on", "inconclusive"],
    ["compare", "v1", "v2", "--trials", "3", "--pass-at", "2", "--examples", "0"],
    ["compare", "v1", "v2", "--confirm", "--examples", "0", "--margin", "0.3"],
    ["compare", "v1", "v1"],
    ["compare", "v1", "--model", "small", "--model", "other", "--examples", "0"],
    ["compare", "v1@small", "v1@other", "--examples", "0"],
    ["compare", "v1", "v9"],
    ["compare", "v1", "v2@smal"],
    ["compare", "v1"],
    ["compare", "r19990101-000000-000000", "v1"],
    ["compare", "v1", "v2", "--pass-at", "2"],
    ["power"],
    ["power", "--drop", "0.05", "--json"],
    ["sql", "select base, head, verdict, n, wins, losses from comparisons order by at limit 2"],
]
REPORTS = [
    ["report"],
    ["run", "--prompt", "v1", "--prompt", "v2", "--report", "run.html"],
    ["report", "--format", "terminal"],
    ["report", "--format", "markdown"],
    ["report", "--output", "look.html"],
    ["report", "--output", "nowhere/look.html"],
    ["report", "--format", "json", "--output", "look.json"],
    ["report", "--figure", "v2-tradeoff.svg", "--figure", "fails.svg"],
    ["report", "--figure", "chart.svg"],
    ["report", "--figure", "histroy.svg"],
    ["report", "--figure", "tradeoff.pdf"],
    ["run", "--report", "nowhere/run.html"],
    ["compare", "v1", "v2", "--examples", "0", "--report", "compared.html", "--limit", "12"],
    ["report", "COMPARED", "--format", "markdown"],
    ["report", "COMPARED", "--format", "junit"],
    ["report", "r19990101-000000-000000"],
]
DRIFT = [["drift"], ["drift", "triage", "--cases", "4"], ["drift", "--prompt", "v9"], ["drift", "--alpha", "0"]]
COMPARED = """import json


def answer(request, case_id, trial, draw):
    number = int(case_id.split("-")[1])
    wrong = number % 5 in (0, 2) if "this" in str(request.messages) else number % 7 == 0
    noisy = number % 4 == 0 and (trial + draw) % 3 == 1
    return json.dumps({"label": "bug" if wrong or noisy else "billing"})
"""


@pytest.mark.parametrize("arguments", HELP, ids=" ".join)
def test_help_reads_as_recorded(arguments: list[str]) -> None:
    name = "help" + "".join(f"-{word}" for word in arguments[:-1])
    _compare(name, _transcript(Path.cwd(), [arguments]))


@pytest.mark.slow
@pytest.mark.parametrize("arguments", HELP, ids=" ".join)
def test_every_verb_starts_in_an_interpreter_that_knows_no_other(arguments: list[str]) -> None:
    done = subprocess.run(_command(arguments), env=_environment(), capture_output=True, text=True, check=True)

    shown = _masked(done.stdout, Path.cwd())
    assert f"$ evalh {' '.join(arguments)}\n{shown}-- exit 0\n\n" == _transcript(Path.cwd(), [arguments])
    assert done.stderr == ""


def test_a_session_reads_as_recorded(tmp_path: Path) -> None:
    folder = write_workspace(tmp_path, cases=30)
    draft = (folder / "prompts/triage/v1.prompt").read_text().replace("Sort the ticket.", "Sort this ticket.")
    (folder / "prompts/triage/draft.prompt").write_text(draft)

    _compare("session", _transcript(folder, SESSION))


def test_comparisons_read_as_recorded(tmp_path: Path) -> None:
    folder = write_workspace(tmp_path, cases=60)
    head = (folder / "prompts/triage/v1.prompt").read_text().replace("Sort the ticket.", "Sort this ticket.")
    (folder / "prompts/triage/v2.prompt").write_text(head)
    (folder / "evals/answers.py").write_text(COMPARED)
    model = 'provider = "scripted"\nmodel = "script-2"\nfunction = "evals/answers.py:answer"\n'
    with (folder / "evalh.toml").open("a") as config:
        config.write(f"\n[models.other]\n{model}")

    _compare("compare", _transcript(folder, COMPARISONS))


def test_reports_read_as_recorded(tmp_path: Path) -> None:
    folder = write_workspace(tmp_path, cases=60)
    head = (folder / "prompts/triage/v1.prompt").read_text().replace("Sort the ticket.", "Sort this ticket.")
    (folder / "prompts/triage/v2.prompt").write_text(head)
    (folder / "evals/answers.py").write_text(COMPARED)

    parts = [_transcript(folder, REPORTS[:-3])]
    with closing(connect(folder / ".evalh/evalh.db")) as log:
        (compared,) = log.execute("select id from comparisons").fetchone()
    session = [[compared if word == "COMPARED" else word for word in arguments] for arguments in REPORTS[-3:]]

    _compare("report", "".join([*parts, _transcript(folder, session)]))


def test_drift_reads_as_recorded(tmp_path: Path) -> None:
    folder = write_workspace(tmp_path, cases=60)
    answers = folder / "evals/answers.py"
    steady = answers.read_text()
    answers.write_text("import pathlib\n" + steady.replace("% 7", "% (2 if pathlib.Path('moved').exists() else 7)"))

    before = _transcript(folder, [["drift"], ["baseline", "accept", "v1"], ["baseline", "status"], *DRIFT])
    (folder / "moved").touch()
    after = _transcript(folder, [["drift", "--fresh"], ["drift", "--cases", "12", "--json"], ["drift", "nope"]])
    answers.write_text(steady)
    after += _transcript(folder, [["drift"], ["drift", "--json"]])

    dated = re.compile(r"\d{4}-\d\d-\d\d")
    _compare("drift", dated.sub("<date>", before + after))


def test_a_terminal_sees_colours_and_a_pipe_does_not(tmp_path: Path) -> None:
    folder = write_workspace(tmp_path, cases=30)
    assert command_line().run(["run"], cwd=str(folder), env=_environment()).code == 0

    seen = _on_terminal(folder, ["run"])

    assert "\x1b[1m" in seen
    _compare("run-on-a-terminal", _masked(seen.replace("\r\n", "\n").replace("\x1b", "<ESC>"), folder))
    assert COLOUR.search(seen)
    assert not COLOUR.search(_on_terminal(folder, ["run"], NO_COLOR="1"))
    assert "\x1b" not in _transcript(folder, [["run"]])


def _command(arguments: list[str]) -> list[str]:
    return [sys.executable, "-m", "evalh", *arguments]


def _environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in {"FORCE_COLOR", "TERM"}}
    return {**kept, "COLUMNS": "100", "LINES": "40", **more}


def _transcript(folder: Path, session: list[list[str]]) -> str:
    parts = []
    for arguments in session:
        done = command_line().run(arguments, cwd=str(folder), env=_environment())
        quoted = " ".join(f'"{word}"' if " " in word else word for word in arguments)
        parts.append(f"$ evalh {quoted}\n{done.out}")
        if done.err:
            parts.append("-- stderr\n" + done.err)
        parts.append(f"-- exit {done.code}\n\n")
    return _masked("".join(parts), folder)


def _masked(text: str, folder: Path) -> str:
    text = text.replace(str(folder), "<workspace>")
    text = re.sub(r"\br\d{8}-\d{6}-(?!0{6})[0-9a-f]{6}", "<run>", text)
    text = re.sub(r"\bc\d{8}-\d{6}-[0-9a-f]{6}", "<comparison>", text)
    text = re.sub(r"(?<=: )\d+ kB", "<n> kB", text)
    text = re.sub(r"mean [+-]\d+ ms  \[[^\]]*\]", "mean <n> ms", text)
    text = re.sub(r'("latency_ms": \{\s+"difference": )\{.*?\}', r"\1<ms>", text, flags=re.DOTALL)
    text = re.sub(r'("parts": )\{.*?\}', r"\1<ms>", text, flags=re.DOTALL)
    text = re.sub(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d+)?)?Z?", "<time>", text)
    text = re.sub(r"(?<=\S)( ) *\d+ ms", r"\1<n> ms", text)
    text = re.sub(r"(· p95 <n> ms) +", r"\1  ", text)
    return re.sub(r'("p(50|95)"|"latency_ms"|"ttft_ms"): [\d.]+', r"\1: <ms>", text)


def _on_terminal(folder: Path, arguments: list[str], **more: str) -> str:
    controller, terminal = pty.openpty()
    environment = _environment(TERM="xterm-256color", **more)
    process = subprocess.Popen(
        _command(arguments), cwd=folder, env=environment, stdout=terminal, stderr=subprocess.PIPE
    )
    os.close(terminal)
    chunks = []
    while True:
        try:
            chunk = os.read(controller, 65536)
        except OSError:  # Linux says so when the other end is closed
            break
        if not chunk:
            break
        chunks.append(chunk)
    process.communicate(timeout=60)
    os.close(controller)
    return b"".join(chunks).decode()


def _compare(name: str, text: str) -> None:
    path = GOLDEN / f"{name}.txt"
    if WRITE:
        path.write_text(text)
    assert path.exists(), f"no golden {path.name}: make golden"
    assert text == path.read_text()
