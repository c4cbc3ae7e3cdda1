"""What tracing costs the program: CPU of the caller's thread for each call, the slowest of them, and the import.

python benchmarks/tracing.py [CALLS]
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import httpx

from evalh_trace import call, client, configure, flush, step, workflow

CALLS = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000
SIZES = (0, 10, 100)  # kB of the prompt
TARGET_US, TARGET_US_PER_KB, TARGET_P99_MS = 50.0, 1.0, 1.0


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
