"""What an ask costs over the bare transport: CPU of the whole process for each call, side by side in one run.

The bare transport sends the same bytes over the same pool of connections and does nothing else. The asks are
`ask_async` from one loop, and `ask` from eight threads; all of them go through the stack, the log included.

    python benchmarks/asking.py --calls 5000 --in-flight 64
"""

import argparse
import asyncio
import contextlib
import json
import statistics
import tempfile
import threading
import time
from pathlib import Path

from throughput import server, workspace

import evalh
from evalh.api.asking.background import background
from evalh.api.asking.service import service_of
from evalh.providers.http.direct import DirectTransport
from evalh.providers.http.egress import Egress

THREADS = 8


def inputs(number: int) -> dict[str, str]:
    return {"ticket": f"Order {number} was charged twice on my card, please refund one of the two payments."}


async def in_flight(send, calls: int, width: int) -> None:
    numbers = iter(range(calls))

    async def worker() -> None:
        for number in numbers:
            await send(number)

    await asyncio.gather(*(worker() for _ in range(width)))


def cpu_ms(work, calls: int) -> float:
    began = time.process_time()
    work()
    return (time.process_time() - began) * 1000.0 / calls


def bare(port: int, calls: int, width: int) -> float:
    """On the background loop too: the same kind of loop, on the same kind of thread."""
    body = {"model": "bench-1", "temperature": 0, "max_tokens": 24}
    url, headers = f"http://127.0.0.1:{port}/v1/chat/completions", {"Content-Type": "application/json"}

    async def run() -> None:
        transport = DirectTransport(Egress.of({}))

        async def send(number: int) -> None:
            messages = [{"role": "user", "content": inputs(number)["ticket"]}]
            data = json.dumps({**body, "messages": messages}).encode()
            await transport.post(url, headers, data, timeout_s=30.0)

        await in_flight(send, calls, width)
        await transport.close()

    return cpu_ms(lambda: background().submit(run()).result(), calls)


def from_a_loop(folder: Path, calls: int, width: int) -> float:
    async def send(number: int) -> None:
        await evalh.ask_async("triage", inputs(number), workspace=folder, model="bench")

    async def run() -> None:
        await in_flight(send, calls, width)

    def work() -> None:
        with asyncio.Runner(loop_factory=_loop()) as runner:
            runner.run(run())
        service_of(folder).flush()

    return cpu_ms(work, calls)


def from_threads(folder: Path, calls: int) -> float:
    numbers = iter(range(calls))

    def worker() -> None:
        for number in numbers:
            evalh.ask("triage", inputs(number), workspace=folder)

    def work() -> None:
        threads = [threading.Thread(target=worker) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        service_of(folder).flush()

    return cpu_ms(work, calls)


def _loop():
    with contextlib.suppress(ImportError):
        import uvloop

        return uvloop.new_event_loop
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=5000)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--delay-ms", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary, server(options.delay_ms) as port:
        folder = Path(temporary)
        workspace(folder, 1, port)
        evalh.ask("triage", inputs(0), workspace=folder)
        few = options.calls // 5
        found: dict[str, tuple[list[float], list[float]]] = {"ask_async": ([], []), f"ask, {THREADS} threads": ([], [])}
        for _ in range(options.rounds):
            for (bares, asks), width in zip(found.values(), (options.in_flight, THREADS), strict=True):
                calls = options.calls if width == options.in_flight else few
                bares.append(bare(port, calls, width))
                asks.append(from_a_loop(folder, calls, width) if calls != few else from_threads(folder, calls))
    print("CPU for each call, median of the rounds (least to most); the transport with as many in flight")
    for name, (bares, asks) in found.items():
        base, middle = statistics.median(bares), statistics.median(asks)
        print(
            f"  {name:16} {middle:.3f} ms ({min(asks):.3f} to {max(asks):.3f}), transport {base:.3f} ms:"
            f" +{middle - base:.3f} ms, {middle / base:.1f} ×"
        )


if __name__ == "__main__":
    main()
