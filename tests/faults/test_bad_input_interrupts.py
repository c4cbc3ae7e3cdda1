"""Ctrl-C and SIGTERM at odd moments: exit 130, no traceback, one document under `--json`, what was paid for saved."""

import json
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from faults.running import start
from faults.test_bad_input import change, content
from workspaces import chat_server, document, evalh, write_workspace


def listens(process: subprocess.Popen[str]) -> bool:
    """Whether evalh handles SIGTERM: from here on it says how it ends."""
    assert process.poll() is None, process.communicate()
    status = Path(f"/proc/{process.pid}/status").read_text()
    caught = int(status.partition("SigCgt:")[2].split()[0], 16)
    return bool(caught >> (signal.SIGTERM - 1) & 1)


def interrupted(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Hold what every interruption has in common."""
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "never retrieved" not in err
    assert "Exception ignored" not in err
    return out, err


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_while_a_plugin_loads(tmp_path: Path, sign: signal.Signals) -> None:
    folder = write_workspace(tmp_path, cases=2)
    content("evals/g.py", 'import pathlib, time\npathlib.Path(__file__ + ".on").touch()\ntime.sleep(60)\n')(folder)
    change("evalh.toml", "[workspace]", '[workspace]\nplugins = ["evals/g.py"]')(folder)
    process = start(folder, "run", "--json")
    while not (folder / "evals/g.py.on").exists():
        time.sleep(0.01)

    process.send_signal(sign)

    out, err = interrupted(process)
    assert json.loads(out)["error"] == {
        "what": "interrupted",
        "where": None,
        "hint": "paid answers are saved",
        "exit": 130,
    }
    assert err == ""


def test_while_a_dataset_is_read(tmp_path: Path) -> None:
    folder = write_workspace(tmp_path, cases=1)
    with (folder / "datasets/triage.jsonl").open("w") as file:
        file.writelines(f'{{"id": "t-{number}", "inputs": {{"ticket": "a"}}}}\n' for number in range(600_000))
    process = start(folder, "check", "--json")
    while not listens(process):
        time.sleep(0.01)
    time.sleep(0.5)

    process.send_signal(signal.SIGTERM)

    out, _ = interrupted(process)
    assert json.loads(out)["error"]["exit"] == 130


@pytest.mark.parametrize("signs", [[signal.SIGINT] * 2, [signal.SIGTERM, signal.SIGINT]])
def test_twice_in_a_row_during_a_run_saves_what_was_answered(tmp_path: Path, signs: list[signal.Signals]) -> None:
    with chat_server(delay_s=0.1) as (server, model):
        folder = write_workspace(tmp_path, cases=60, model=model)
        process = start(folder, "run", "--concurrency", "4")
        while len(server.asked) < 20:
            time.sleep(0.01)

        for sign in signs:
            process.send_signal(sign)
            time.sleep(0.02)

        interrupted(process)
        asked = len(server.asked)
        finished = document(evalh(folder, "run", "--json"))["results"][0]

    assert (finished["samples"], finished["status"]) == (60, "complete")
    assert finished["cache_hits"] >= asked - 4 - 4  # in flight, and inside the window before a commit
    with closing(sqlite3.connect(folder / ".evalh/evalh.db")) as db:
        assert db.execute("select count(*) from runs where status = 'running'").fetchone() == (0,)


EARLY = """
import os, signal, sys
real = signal.signal
def early(number, handler):
    before = real(number, handler)
    if getattr(handler, "__name__", "") in {"_interrupt", "default_int_handler"}:
        os.kill(os.getpid(), number)
    return before
sys.argv = ["evalh", "run", "--json"]
import evalh.starting
for number in (signal.SIGINT, signal.SIGTERM):
    real(number, evalh.starting.end_the_start)
from evalh.cli import main
signal.signal = early
main()
"""


def test_an_interrupt_while_the_program_takes_over_is_told_in_a_document(tmp_path: Path) -> None:
    folder = write_workspace(tmp_path, cases=3)

    done = subprocess.run(
        [sys.executable, "-c", EARLY], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )

    assert done.returncode == 130, done.stderr
    assert json.loads(done.stdout)["error"]["what"] == "interrupted"


def test_at_any_moment_a_process_ends_at_once_and_the_log_stays_whole(tmp_path: Path) -> None:
    folder = write_workspace(tmp_path, cases=300)
    for number in range(6):
        process = start(folder, "run", "--fresh", "--json")
        while not listens(process):
            time.sleep(0.005)
        time.sleep(0.02 + 0.05 * number)
        process.send_signal(signal.SIGTERM if number % 2 else signal.SIGINT)
        out, err = process.communicate(timeout=20)

        assert "Traceback" not in err
        assert json.loads(out)
        through = {-signal.SIGTERM, -signal.SIGINT}  # the interpreter was through with evalh, and had said all
        assert process.returncode in {0, 130} | through, err
    if (folder / ".evalh/evalh.db").exists():  # on a busy machine no process may have come so far
        with closing(sqlite3.connect(folder / ".evalh/evalh.db")) as db:
            assert db.execute("pragma integrity_check").fetchone() == ("ok",)
    assert document(evalh(folder, "run", "--json"))["results"][0]["samples"] == 300
