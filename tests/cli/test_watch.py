"""`evalh run --watch`: a real process, a real server that counts what is asked, files that are saved."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from faults.running import until
from workspaces import PROMPT, ChatServer, chat_server, evalh, write_workspace

WAITS = "watching: save a file to run again"


def command(folder: Path) -> list[str]:
    return [sys.executable, "-m", "evalh", "-C", str(folder), "run", "--watch"]


class Watched:
    """A watch that runs, and what it printed."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [*command(folder), *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def until_it_waits(self) -> str:
        assert self.process.stdout is not None
        lines = []
        for line in self.process.stdout:
            lines.append(line)
            if line.startswith(WAITS):
                return "".join(lines)
        raise AssertionError("".join(lines))

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(60)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[ChatServer, Path]]:
    with chat_server() as (server, model):
        folder = write_workspace(tmp_path, cases=8, model=model)
        (folder / "prompts/triage/draft.prompt").write_text(PROMPT)
        yield server, folder


@pytest.fixture
def watched(served: tuple[ChatServer, Path]) -> Iterator[Watched]:
    watch = Watched(served[1])
    yield watch
    watch.process.kill()
    watch.process.wait(60)
    assert watch.process.stdout is not None
    watch.process.stdout.close()


def test_a_saved_row_asks_its_case_alone_and_says_what_changed(
    served: tuple[ChatServer, Path], watched: Watched
) -> None:
    server, folder = served
    first = watched.until_it_waits()
    assert len(server.asked) == 8
    rows = folder / "datasets/triage.jsonl"
    rows.write_text(rows.read_text().replace('"order 3"', '"order 14"'))

    second = watched.until_it_waits()

    assert "7 good · 1 bad" in first
    said = [line for line in second.splitlines() if line]
    assert re.fullmatch(r"triage@draft on small · suite triage · 1 case asked · \d\d:\d\d:\d\d", said[0])
    assert said[1:-1] == ["good 7 → 6 of 8  -12.5 points", "now bad  t-0003"]
    assert server.asked[8:] == ["order 14"]
    assert watched.interrupt() == 0
    whole = evalh(folder, "show", "last").stdout
    assert "6 good · 2 bad" in whole
    assert "grader" in whole


def test_each_saved_version_has_its_own_numbers_before_and_after(
    served: tuple[ChatServer, Path], watched: Watched
) -> None:
    _, folder = served
    rows = folder / "datasets/triage.jsonl"
    watched.until_it_waits()
    rows.write_text(rows.read_text().replace('"order 3"', '"order 14"').replace('"order 7"', '"order 8"'))
    both_ways = watched.until_it_waits()
    rows.write_text("".join(rows.read_text().splitlines(keepends=True)[:-1]))
    shorter = watched.until_it_waits()

    assert "good 7 → 7 of 8  +0.0 points" in both_ways
    assert "now bad  t-0003\nnow good  t-0007\n" in both_ways
    assert "0 cases asked" in shorter
    assert "good 7 of 8 → 6 of 7  -1.8 points\nno case changed its verdict\n" in shorter
    assert watched.interrupt() == 0


def test_a_saved_draft_is_asked_and_one_that_is_broken_is_told(
    served: tuple[ChatServer, Path], watched: Watched
) -> None:
    server, folder = served
    draft = folder / "prompts/triage/draft.prompt"
    watched.until_it_waits()
    draft.write_text(PROMPT.replace("{{ticket}}", "{{tick"))
    broken = watched.until_it_waits()
    asked = len(server.asked)
    draft.write_text(PROMPT.replace("Answer with JSON.", "Answer with JSON only."))

    mended = watched.until_it_waits()

    assert "draft.prompt:" in broken
    assert "error:" in broken
    assert asked == 8
    assert "grader" not in broken
    assert "8 cases asked" in mended
    assert "good 7 → 7 of 8  +0.0 points\nno case changed its verdict\n" in mended
    assert len(server.asked) == 16
    assert watched.interrupt() == 0


def test_what_it_prints_into_the_workspace_is_no_save(served: tuple[ChatServer, Path]) -> None:
    _, folder = served
    log, rows = folder / "watched.txt", folder / "datasets/triage.jsonl"

    def waits(times: int) -> bool:
        return log.read_text().count(WAITS) == times

    with log.open("w") as out, subprocess.Popen(command(folder), stdout=out, stderr=subprocess.STDOUT) as process:
        until(lambda: waits(1))
        rows.write_text(rows.read_text().replace('"order 3"', '"order 14"'))
        until(lambda: waits(2))
        time.sleep(2)  # many looks at the files
        assert waits(2)
        process.send_signal(signal.SIGINT)


def test_ctrl_c_in_a_run_keeps_what_was_paid(tmp_path: Path) -> None:
    with chat_server(delay_s=0.05) as (server, model):
        folder = write_workspace(tmp_path, cases=400, model=model)
        watch = Watched(folder, "--concurrency", "2")
        assert watch.process.stdout is not None
        while "/400" not in watch.process.stdout.readline():
            pass
        code = watch.interrupt()
        watch.process.stdout.close()
        paid = len(server.asked)
        evalh(folder, "run", "--concurrency", "32")

        assert code == 130
        assert paid < 400
        assert len(server.asked) <= 402


@pytest.mark.parametrize("option", ["--json", "--dry-run", "--fresh"])
def test_options_that_do_not_fit_are_refused(tmp_path: Path, option: str) -> None:
    done = evalh(write_workspace(tmp_path, cases=1), "run", "--watch", option)

    assert done.returncode == 2
    assert "--watch" in (json.loads(done.stdout)["error"]["what"] if option == "--json" else done.stderr)
