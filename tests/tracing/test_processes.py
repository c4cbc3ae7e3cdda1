"""Disks, forks, threads, kills and exits: nothing is lost without being counted, and nothing reaches the program."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from evalh import trace
from evalh_trace import spool, tracer
from evalh_trace.records import decode
from evalh_trace.tracer import TRACER
from tracing.model_server import Recorded, completion

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="forks, signals and limits of POSIX")
Read = Callable[[], Recorded]
PRELUDE = """
import os, signal, sys, threading
from evalh_trace import call, configure, flush, step, workflow
def ask(number): call(model="m", messages=[{"role": "user", "content": f"{number}"}], text="x" * 100)
"""


def program(folder: Path, text: str, code: int | None = 0) -> str:
    """Run a program with its store beside it, content on; return what it printed."""
    (folder / "evalh.toml").write_text("[trace]\ncontent = true\n")
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + text], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert code is None or done.returncode == code, done.stderr
    assert done.stderr == ""
    return done.stdout.strip()


def test_what_was_recorded_is_written_at_exit_without_a_flush(tmp_path: Path) -> None:
    program(tmp_path, "for number in range(500): ask(number)")

    found = Recorded(tmp_path / ".evalh")
    assert len(found.calls) == 500
    assert all(one.kept == "all" for one in found.workflows)


FORKING = """
def child(first):
    for number in range(first, first + 500): ask(number)
ask("before")
with workflow("parent") as w:
    ask("in it")
    pids = []
    for number in range(4):
        pid = os.fork()
        if pid == 0:
            child(1000 * number)
            sys.exit(0)
        pids.append(pid)
    child(9000)
    for pid in pids: assert os.waitpid(pid, 0)[1] == 0
ask("after")
"""


def test_four_forked_processes_write_a_file_each_and_nothing_twice_or_lost(tmp_path: Path) -> None:
    program(tmp_path, FORKING)

    found = Recorded(tmp_path / ".evalh")
    asked = [one.messages[0]["parts"][0] for one in found.calls]
    numbers = [first + number for first in (0, 1000, 2000, 3000, 9000) for number in range(500)]
    assert sorted(asked) == sorted(["before", "in it", "after", *map(str, numbers)])
    assert len(found.files) == 5
    ended = [one for one in found.workflows if one.name == "parent"]
    assert [one.status for one in ended] == ["ok"]  # by the parent alone, though a child left the block, too
    (parent,) = ended
    assert sum(one.workflow_id == parent.id for one in found.calls) == 2501
    assert (found.losses, found.unreadable) == ({}, 0)
    records = [
        record for file in found.files for record in decode(file.read_bytes()) if type(record).__name__ == "Call"
    ]
    assert len(records) == len(found.calls)


def test_processes_of_multiprocessing_write_what_they_have_at_their_end(tmp_path: Path) -> None:
    program(
        tmp_path,
        """
import multiprocessing
def work(number):
    for one in range(100): ask(100 * number + one)
if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    ask("parent")
    children = [context.Process(target=work, args=(number,)) for number in range(4)]
    for one in children: one.start()
    for one in children: one.join()
""",
    )

    assert len(Recorded(tmp_path / ".evalh").calls) == 401


def test_a_fork_while_other_threads_record_loses_nothing_and_does_not_hang(tmp_path: Path) -> None:
    program(
        tmp_path,
        """
go = threading.Event()
def work(first):
    for number in range(first, first + 400): ask(number)
threads = [threading.Thread(target=work, args=(1000 * one,)) for one in range(4)]
for one in threads: one.start()
for number in range(5):
    pid = os.fork()
    if pid == 0:
        ask(f"child {number}")
        flush(20)
        os._exit(0)
    os.waitpid(pid, 0)
for one in threads: one.join()
""",
    )

    found = Recorded(tmp_path / ".evalh")
    assert len(found.calls) == 1600 + 5
    assert found.losses == {}


def test_a_process_that_is_killed_leaves_lines_that_are_read_and_its_lock_is_gone(tmp_path: Path) -> None:
    text = """
with workflow("long", inputs={"id": 7}):
    with step("first"):
        ask(1)
    flush(20)
    print("ready", flush=True)
    signal.pause()
"""
    (tmp_path / "evalh.toml").write_text("[trace]\ncontent = true\n")
    with subprocess.Popen(
        [sys.executable, "-c", PRELUDE + text], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as one:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
        (file,) = (tmp_path / ".evalh" / "production").glob("*.jsonl")
        assert is_locked(file)
        one.send_signal(signal.SIGKILL)
        one.wait(20)

    found = Recorded(tmp_path / ".evalh")
    (workflow,) = found.workflows
    assert (workflow.name, workflow.inputs, workflow.status, workflow.process) == ("long", {"id": 7}, None, file.stem)
    assert (found.steps[0].status, len(found.calls), found.unreadable) == ("ok", 1, 0)
    assert not is_locked(file)


def test_sigterm_keeps_its_default_and_the_file_stays_readable(tmp_path: Path) -> None:
    text = "ask(1); flush(20); os.kill(os.getpid(), signal.SIGTERM); signal.pause()"
    program(tmp_path, text, code=-signal.SIGTERM)

    assert len(Recorded(tmp_path / ".evalh").calls) == 1


def is_locked(file: Path) -> bool:
    import fcntl

    with file.open("rb") as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_a_full_disk_is_no_matter_to_the_program_and_the_loss_is_told_once_there_is_room(tmp_path: Path) -> None:
    told = program(
        tmp_path,
        """
import resource
for number in range(10): ask(number)
assert flush(20)
resource.setrlimit(resource.RLIMIT_FSIZE, (16_000, resource.RLIM_INFINITY))
for number in range(10, 200): ask(number)
print(flush(20))
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
for number in range(200, 210): ask(number)
print(flush(20))
""",
    )

    found = Recorded(tmp_path / ".evalh")
    records = [record for file in found.files for record in decode(file.read_bytes())]
    assert told.split() == ["False", "True"]
    assert found.unreadable == 0  # no line is half written
    kept = sum(type(record).__name__ != "Loss" for record in records)
    assert kept + found.losses["disk"] == 210 * 4  # a workflow's begin and end, a call, an attempt
    assert len(found.calls) >= 20


def test_a_folder_that_cannot_be_made_is_told_once_it_can(tmp_path: Path) -> None:
    (tmp_path / ".evalh").write_text("a file in the way")

    told = program(
        tmp_path,
        """
for number in range(5): ask(number)
print(flush(20))
os.remove(".evalh")
ask(5)
print(flush(20))
""",
    )

    found = Recorded(tmp_path / ".evalh")
    assert told.split() == ["False", "True"]
    assert (len(found.calls), found.losses) == (1, {"disk": 20})


def test_eight_threads_lose_nothing_that_is_not_counted(recorded: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracer, "MOST_EVENTS", 200)  # far too few
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=completion()))
    with trace.client(httpx.Client(transport=transport)) as client:

        def work() -> None:
            for _ in range(250):
                client.post("http://model/v1/chat/completions", json={"model": "m", "messages": []})

        threads = [threading.Thread(target=work) for _ in range(8)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()

    found = recorded()
    answered = sum(one.status == "ok" for one in found.attempts)
    assert answered + found.losses.get("full", 0) == 2000
    assert answered > 0


@pytest.mark.slow
def test_a_hundred_thousand_calls_from_eight_threads_are_recorded_or_counted(tmp_path: Path) -> None:
    program(
        tmp_path,
        """
def work(first):
    for number in range(first, first + 12_500): ask(number)
threads = [threading.Thread(target=work, args=(100_000 * one,)) for one in range(8)]
for one in threads: one.start()
for one in threads: one.join()
flush(120)
""",
    )

    found = Recorded(tmp_path / ".evalh")
    assert len(found.calls) + found.losses.get("full", 0) == 100_000
    assert found.unreadable == 0


@pytest.mark.slow
def test_a_hundred_thousand_calls_from_four_forked_processes_are_recorded_or_counted(tmp_path: Path) -> None:
    program(
        tmp_path,
        """
ask("before")
pids = []
for one in range(4):
    if (pid := os.fork()) == 0:
        for number in range(25_000): ask(100_000 * one + number)
        flush(120)
        os._exit(0)
    pids.append(pid)
for pid in pids: os.waitpid(pid, 0)
""",
    )

    found = Recorded(tmp_path / ".evalh")
    assert len(found.calls) + found.losses.get("full", 0) == 100_001
    assert found.unreadable == 0


def test_files_are_rotated_and_only_the_one_in_use_is_locked(
    recorded: Read, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "ROTATE_BYTES", 10_000)
    for number in range(60):
        trace.call(model="m", text="x" * 200)
        if number % 10 == 9:
            trace.flush(20)

    found = recorded()
    assert len(found.calls) == 60
    assert len(found.files) > 2
    process = {one.process for one in found.workflows}
    assert len(process) == 1
    stem = process.pop() or ""
    assert {file.name for file in found.files} == {
        f"{stem}.jsonl",
        *(f"{stem}.{number}.jsonl" for number in range(2, len(found.files) + 1)),
    }
    assert [file.name for file in found.files if is_locked(file)] == [f"{stem}.{len(found.files)}.jsonl"]


def test_a_file_that_somebody_removes_is_made_again(recorded: Read, store: Path) -> None:
    trace.call(model="m", text="first")
    trace.flush(20)
    for file in (store / "production").glob("*.jsonl"):
        file.unlink()

    trace.call(model="m", text="second")

    assert [one.text for one in recorded().attempts] == ["second"]


def test_a_signal_handler_may_trace_while_the_program_traces(recorded: Read) -> None:
    def handler(*_: object) -> None:
        trace.feedback("w", kind="signal")

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        for number in range(300):
            trace.feedback("w", kind="plain")
            if number % 10 == 0:
                os.kill(os.getpid(), signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)

    assert len(recorded().feedback) == 330


def test_memory_is_bounded_and_what_does_not_fit_is_counted(recorded: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    trace.flush(20)
    monkeypatch.setattr(tracer, "MOST_BYTES", 100_000)
    assert TRACER.recorder is not None
    monkeypatch.setattr(TRACER.recorder, "take", lambda *_: hold.wait(20))
    hold = threading.Event()

    for _ in range(50):
        trace.call(model="m", text="x" * 10_000)
    held = TRACER._held
    lost = TRACER._dropped["full"]
    monkeypatch.undo()
    hold.set()

    assert held <= 100_000
    assert lost >= 40


def test_nothing_heavy_is_imported_before_the_first_call() -> None:
    code = "import sys, evalh_trace; print([m for m in ('msgspec', 'httpx', 'inspect', 'asyncio', 'ssl', 'json') if m in sys.modules])"
    for module in ("evalh_trace", "evalh.trace"):
        done = subprocess.run(
            [sys.executable, "-c", code.replace("evalh_trace", module)], capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == "[]"


def test_the_tracer_stands_alone() -> None:
    code = (
        "import sys\nclass Lacking:\n    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in {'evalh', 'httpx', 'numpy', 'pydantic', 'orjson', 're2'}: raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Lacking())\nimport os, tempfile\nfrom evalh_trace import call, configure, flush\n"
        "configure(store=tempfile.mkdtemp(), redact=['email'])\ncall(model='m', text='x')\nassert flush(20)\n"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
