"""What a start and a case cost in two checkouts, in one run.

Each checkout is given by its interpreter. Rounds alternate between the two, so that both see the same machine. Prints
the minimum and the median of each number, and the ratio of the minimums. Where other programs run, CPU time says more
than wall time, and the minimum more than the median.

    python benchmarks/before_after.py ../before/.venv/bin/python .venv/bin/python --rounds 9 --cases 5000

Needs Linux: the CPU time up to the first request is read from the clock of the other process.
"""

import argparse
import compileall
import os
import socket
import statistics
import subprocess
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from slow_server import RESPONSE
from throughput import server, timed, workspace


def compiled(python: str) -> None:
    """Compile a checkout, as pip would have done."""
    where = [python, "-c", "import evalh; print(evalh.__path__[0])"]
    compileall.compile_dir(subprocess.run(where, check=True, capture_output=True, text=True).stdout.strip(), quiet=2)


def cpu_of(pid: int) -> float:
    """Return the CPU seconds of a running process, all its threads included (clock_getcpuclockid)."""
    return time.clock_gettime((~pid << 3) | 2)


def help_ms(python: str) -> dict[str, float]:
    began = time.perf_counter()
    process = subprocess.Popen([python, "-m", "evalh", "--help"], stdout=subprocess.DEVNULL)
    _, _, usage = os.wait4(process.pid, 0)
    cpu = usage.ru_utime + usage.ru_stime
    return {"`evalh --help`, CPU, ms": 1000 * cpu, "`evalh --help`, wall, ms": 1000 * (time.perf_counter() - began)}


def first_request_ms(python: str, listener: socket.socket, folder: Path) -> dict[str, float]:
    """Measure one `evalh run`, from its process's start until the first bytes of its first request are here."""
    command = [python, "-m", "evalh", "-C", folder, "run", "--fresh", "--limit", "1"]
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    connection, _ = listener.accept()
    with connection:
        connection.recv(65536)
        wall, cpu = time.perf_counter() - began, cpu_of(process.pid)
        connection.sendall(RESPONSE)
        if process.wait(30):
            raise SystemExit(f"evalh ended with status {process.returncode}")
    return {"first request, CPU, ms": 1000 * cpu, "first request, wall, ms": 1000 * wall}


def cases(python: str, port: int, count: int) -> dict[str, float]:
    """Measure a run of many cases, and the same run answered from the log."""
    found = {}
    with tempfile.TemporaryDirectory() as scratch:
        workspace(Path(scratch), count, port)
        for label in ("asked", "from the log"):
            _, cpu, peak, result = timed(Path(scratch), "--concurrency", "64", python=python)
            if result["good"] != count:
                raise SystemExit(f"{result['good']} of {count} outputs are good")
            found |= {f"a case {label}, CPU, µs": 1e6 * cpu / count, f"peak memory, {label}, MB": peak}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", help="the interpreter of the checkout before")
    parser.add_argument("after")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--cases", type=int, default=5000, help="0: only the start")
    options = parser.parse_args()
    sides = {"before": options.before, "after": options.after}
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for python in sides.values():
        compiled(python)
    with (
        server(0) as port,
        socket.create_server(("127.0.0.1", 0)) as listener,
        tempfile.TemporaryDirectory() as scratch,
    ):
        workspace(Path(scratch), 100, listener.getsockname()[1])
        for number in range(options.rounds):
            for side in sorted(sides, reverse=bool(number % 2)):
                numbers = help_ms(sides[side]) | first_request_ms(sides[side], listener, Path(scratch))
                if options.cases:
                    numbers |= cases(sides[side], port, options.cases)
                for name, value in numbers.items():
                    found[name, side].append(value)
    print("| | before: least | median | after: least | median | ratio |\n|---|---|---|---|---|---|")
    for name in dict.fromkeys(name for name, _ in found):
        before, after = found[name, "before"], found[name, "after"]
        shown = [f"{value:.1f}" for side in (before, after) for value in (min(side), statistics.median(side))]
        print(f"| {name} | {' | '.join(shown)} | {min(after) / min(before):.2f} |")


if __name__ == "__main__":
    main()
