"""What tracing costs the program: CPU of the caller's thread for each call, the slowest of them, and the import.

Then what a busy program beside it costs a suite's run in the same workspace: 50 × CALLS traced calls of 8 threads, at
2,000 a second. Rounds alternate between a run alone and a run beside it, so that both see the same machine.

python benchmarks/tracing.py [CALLS]
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from throughput import server, timed, workspace

from evalh.api.workspace import Workspace
from evalh_trace import call, client, configure, flush, step, workflow

CALLS = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000
SIZES = (0, 10, 100)  # kB of the prompt
TARGET_US, TARGET_US_PER_KB, TARGET_P99_MS = 50.0, 1.0, 1.0
ROUNDS, BESIDE, PACE, TARGET_RATIO = 5, 50 * CALLS, 2_000, 1.1
DELAY_MS, IN_FLIGHT = 50.0, 16
PROGRAM = """
import sys, threading, time
from evalh import trace

store, calls, pace = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
trace.configure(store=store, content=True)
request = {"model": "m", "messages": [{"role": "user", "content": "x" * 1000}]}

def work():
    began = time.perf_counter()
    for number in range(calls // 8):
        with trace.workflow("refund"):
            trace.call(request, "four", input_tokens=3)
        time.sleep(max(0.0, began + (number + 1) * 8 / pace - time.perf_counter()))

threads = [threading.Thread(target=work) for _ in range(8)]
print("begins", flush=True)
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
trace.flush(60)
"""


def _answer(_: httpx.Request) -> httpx.Response:
    return httpx.Response(200, stream=_Stream())


class _Stream(httpx.SyncByteStream):
    body = json.dumps(
        {
            "model": "m",
            "choices": [{"message": {"content": "four"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 20, "completion_tokens": 2},
        }
    ).encode()

    def __iter__(self) -> Any:
        yield self.body


def _times(work: Callable[[], object]) -> list[float]:
    """Return the seconds of the caller's CPU for each call."""
    for _ in range(50):
        work()
    flush(20)
    taken = []
    for number in range(CALLS):
        begun = time.thread_time()
        work()
        taken.append(time.thread_time() - begun)
        if number % 200 == 199:
            flush(20)  # what is measured is the path, not a full queue
    return taken


def _row(name: str, kb: float, bare: list[float], traced: list[float]) -> None:
    added = (statistics.median(traced) - statistics.median(bare)) * 1e6
    mean = (statistics.fmean(traced) - statistics.fmean(bare)) * 1e6
    p99 = sorted(traced)[int(len(traced) * 0.99)] * 1e3
    target = TARGET_US + TARGET_US_PER_KB * kb
    verdict = "ok" if added <= target and p99 <= TARGET_P99_MS else "OVER"
    told = f"{added:>7.1f} us median  {mean:>7.1f} us mean  (target {target:>4.0f})  p99 {p99:.3f} ms"
    print(f"{name:<28} {kb:>6.0f} kB  {told}  {verdict}")


def _imports() -> None:
    code = "import time; t = time.process_time(); import {}; print((time.process_time() - t) * 1e3)"
    for module in ("evalh_trace", "evalh.trace"):
        command = [sys.executable, "-c", code.format(module)]
        times = [float(subprocess.run(command, capture_output=True, check=True).stdout) for _ in range(7)]
        told = f"{min(times):.1f} ms of CPU at best, {statistics.median(times):.1f} ms median (target 20)"
        print(f"import {module:<21} {told}")


def main() -> None:
    _imports()
    configure(store=tempfile.mkdtemp(), content=True)
    for kb in SIZES:
        body = json.dumps(
            {"model": "m", "temperature": 0, "messages": [{"role": "user", "content": "x" * int(kb * 1000)}]}
        ).encode()

        def ask(one: httpx.Client, body: bytes = body) -> Callable[[], object]:
            return lambda: one.post("http://model/v1/chat/completions", content=body)

        bare = _times(ask(httpx.Client(transport=httpx.MockTransport(_answer))))
        traced = _times(ask(client(httpx.Client(transport=httpx.MockTransport(_answer)))))
        _row("trace.client, one call", kb, bare, traced)

    for kb in SIZES:
        _around_functions(kb)
    _beside()


def _beside() -> None:
    calls = BESIDE // ROUNDS // 8 * 8
    cases = max(IN_FLIGHT, int(calls / PACE / (DELAY_MS / 1000) * IN_FLIGHT))
    alone, beside = [], []
    with server(DELAY_MS) as port, tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        workspace(folder, cases, port)
        asking = ("--fresh", "--concurrency", str(IN_FLIGHT))
        timed(folder, *asking)  # what is compiled, is compiled now
        for _ in range(ROUNDS):
            alone.append(timed(folder, *asking)[:2])
            program = [sys.executable, "-c", PROGRAM, str(folder / ".evalh"), str(calls), str(PACE)]
            with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as running:
                assert running.stdout is not None
                running.stdout.readline()
                beside.append(timed(folder, *asking)[:2])
        reader = Workspace.open(folder).production
        (((stored,),), ((lost,),)) = (
            list(reader.query(f"select coalesce({what}, 0) from {table}")[1])
            for what, table in (("count(*)", "calls"), ("sum(count)", "losses"))
        )
    wall, cpu = ([beside[at][which] / alone[at][which] for at in range(ROUNDS)] for which in (0, 1))
    ratio = statistics.median(wall)
    verdict = "ok" if ratio <= TARGET_RATIO else "OVER"
    print(
        f"a run of {cases:,} cases beside {stored:,} traced calls ({lost:,} lost): {ratio:.3f} x alone (target "
        f"{TARGET_RATIO}; {min(wall):.3f} to {max(wall):.3f}), its CPU {statistics.median(cpu):.3f} x  {verdict}"
    )


def _around_functions(kb: int) -> None:
    ticket, items = "x" * (kb * 1000), [{"id": number} for number in range(10)]
    request = {"model": "m", "messages": [{"role": "user", "content": ticket}]}

    def work(ticket: str, items: list[dict[str, int]]) -> object:
        return ticket and items

    bare = _times(lambda: work(ticket, items))
    traced, part = workflow("w")(work), step("s")(work)
    _row("@trace.workflow", kb, bare, _times(lambda: traced(ticket, items)))
    with workflow("around"):
        _row("@trace.step", kb, bare, _times(lambda: part(ticket, items)))
    _row("trace.call", kb, bare, _times(lambda: call(request, "four", input_tokens=3)))


main()
