"""Threads, loops, forks and ends of processes: one loop a process asks for all of them."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import evalh
from asking.written import written
from evalh.api.asking.background import background
from evalh_trace.records import Attempt, Workflow, decode
from faults.dialects import OPENAI, slow
from faults.fault_server import Act, How
from faults.running import served, until
from workspaces import label_of

BILLING = {"label": "billing"}


def ticket(number: int) -> dict[str, str]:
    return {"ticket": f"order {number}"}


def right(number: int) -> object:
    return json.loads(label_of(str(number)))


def test_any_thread_may_ask(tmp_path: Path) -> None:
    with served(tmp_path, slow(OPENAI.right, 0.02), cases=1) as (server, folder), ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda number: evalh.ask("triage", ticket(number), workspace=folder), range(1, 101)))

    assert answers == [right(number) for number in range(1, 101)]
    assert server.most_in_flight > 8
    assert len(list((folder / ".evalh/production").glob("*.jsonl"))) == 1
    assert len(written(folder, Workflow)) == 100


async def test_gather_asks_at_once_and_each_failure_is_its_own(tmp_path: Path) -> None:
    with served(tmp_path, slow(OPENAI.right, 0.02), cases=1) as (server, folder):
        inputs = [ticket(number) if number % 5 else {} for number in range(1, 51)]
        asks = [evalh.ask_async("triage", one, workspace=folder) for one in inputs]
        answers = await asyncio.gather(*asks, return_exceptions=True)

    assert sum(isinstance(one, evalh.InvalidInputs) for one in answers) == 10
    assert [one for one in answers if not isinstance(one, Exception)] == [right(n) for n in range(1, 51) if n % 5]
    assert server.most_in_flight > 20


def test_one_loop_after_the_other_may_ask(tmp_path: Path) -> None:
    with served(tmp_path, OPENAI.right, cases=1) as (_, folder):
        answers = [asyncio.run(evalh.ask_async("triage", ticket(3), workspace=folder)) for _ in range(3)]

    assert answers == [BILLING] * 3


async def test_ask_works_inside_a_running_loop_as_in_a_notebook(tmp_path: Path) -> None:
    with served(tmp_path, OPENAI.right, cases=1) as (_, folder):
        assert evalh.ask("triage", ticket(3), workspace=folder) == BILLING


def test_an_ask_that_would_wait_for_itself_is_refused(tmp_path: Path) -> None:
    async def inside() -> None:
        evalh.ask("triage", ticket(3), workspace=tmp_path)

    with pytest.raises(evalh.EvalhError, match=r"would wait for itself[^$]*ask_async"):
        background().submit(inside()).result(10)


async def _left() -> int:
    own = asyncio.current_task()
    others = [task for task in asyncio.all_tasks() if task is not own]
    await asyncio.gather(*others, return_exceptions=True)
    return len(others)


async def test_a_cancelled_ask_leaves_nothing_running(tmp_path: Path) -> None:
    with served(tmp_path, lambda _: Act(how=How.HANG), cases=1) as (server, folder):
        ask = asyncio.ensure_future(evalh.ask_async("triage", ticket(3), workspace=folder))
        await asyncio.to_thread(until, lambda: server.in_flight)
        ask.cancel()
        with pytest.raises(asyncio.CancelledError):
            await ask
        await asyncio.wrap_future(background().submit(_left()))

        assert await asyncio.wrap_future(background().submit(_left())) == 0
    (attempt,), (workflow,) = written(folder, Attempt), written(folder, Workflow)
    assert (attempt.error_kind, workflow.error) == ("interrupted", "cancelled")


async def test_a_timeout_of_the_program_ends_what_is_in_flight(tmp_path: Path) -> None:
    with served(tmp_path, lambda _: Act(how=How.HANG), cases=1) as (_, folder):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await evalh.ask_async("triage", ticket(3), workspace=folder)
        await asyncio.wrap_future(background().submit(_left()))

    (workflow,) = written(folder, Workflow)
    assert workflow.error == "cancelled"


# -- processes of their own

FORKS = """
import os, sys
import evalh

folder = sys.argv[1]
before = evalh.ask("triage", {"ticket": "order 1"}, workspace=folder)
children = []
for number in range(3):
    child = os.fork()
    if child == 0:
        answer = evalh.ask("triage", {"ticket": f"order {number + 2}"}, workspace=folder)
        sys.exit(0 if answer == {"label": "billing"} else 9)
    children.append(child)
codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
after = evalh.ask("triage", {"ticket": "order 5"}, workspace=folder)
assert before == after == {"label": "billing"} and codes == [0, 0, 0], (before, after, codes)
"""
QUICK_END = """
import sys
import evalh
for number in range(1, 4):
    evalh.ask("triage", {"ticket": f"order {number}"}, workspace=sys.argv[1])
"""
WAITS = """
import sys
import evalh
try:
    evalh.ask("triage", {"ticket": "order 1"}, workspace=sys.argv[1])
except KeyboardInterrupt:
    sys.exit(7)
"""


def started(program: str, folder: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-W", "error", "-c", program, str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(process: "subprocess.Popen[str]") -> tuple[int, str]:
    out, err = process.communicate(timeout=15)
    return process.returncode, out + err


def workflows(folder: Path) -> dict[str, Workflow]:
    found = {}
    for file in (folder / ".evalh/production").glob("*.jsonl"):
        for record in decode(file.read_bytes()):
            assert record is not None
            if isinstance(record, Workflow):
                found[record.id] = record
    return found


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_forked_children_ask_by_a_loop_and_into_a_file_of_their_own_and_the_parent_goes_on(tmp_path: Path) -> None:
    with served(tmp_path, OPENAI.right, cases=1) as (server, folder):
        done = ended(started(FORKS, folder))

    assert done == (0, "")
    assert server.count() == 5
    assert len(list((folder / ".evalh/production").glob("*.jsonl"))) == 4
    assert [one.status for one in workflows(folder).values()] == ["ok"] * 5


def test_a_program_that_ends_at_once_has_written_everything(tmp_path: Path) -> None:
    with served(tmp_path, OPENAI.right, cases=1) as (_, folder):
        done = ended(started(QUICK_END, folder))

    assert done == (0, "")
    assert [one.status for one in workflows(folder).values()] == ["ok"] * 3


def test_ctrl_c_ends_an_ask_and_the_log_says_so(tmp_path: Path) -> None:
    with served(tmp_path, lambda _: Act(how=How.HANG), cases=1) as (server, folder):
        process = started(WAITS, folder)
        until(lambda: server.in_flight)
        process.send_signal(signal.SIGINT)
        done = ended(process)

    assert done == (7, "")
    assert [one.error for one in workflows(folder).values()] == ["cancelled"]


def test_a_killed_program_leaves_an_ask_that_has_not_ended(tmp_path: Path) -> None:
    with served(tmp_path, lambda _: Act(how=How.HANG), cases=1) as (server, folder):
        process = started(WAITS, folder)
        until(lambda: server.in_flight and workflows(folder))
        process.kill()
        ended(process)

    assert [(one.status, one.ended_at) for one in workflows(folder).values()] == [(None, None)]


def test_importing_evalh_starts_no_thread_and_loads_nothing_of_asking() -> None:
    program = "import sys, threading, evalh; print(threading.active_count(), 'evalh.api.asking.ask' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["1", "False"]


def test_threads_that_ask_first_at_one_moment_make_one_service(tmp_path: Path) -> None:
    with served(tmp_path, OPENAI.right, cases=1) as (server, folder):
        ready = threading.Barrier(8)
        answers = []

        def ask() -> None:
            ready.wait()
            answers.append(evalh.ask("triage", ticket(3), workspace=folder))

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert answers == [BILLING] * 8
    assert server.count() == len(written(folder, Workflow)) == 8
    assert len(list((folder / ".evalh/production").glob("*.jsonl"))) == 1
