"""How close a run comes to what the wire allows.

Runs `evalh run` as a user would, start included, against a local server that answers after a fixed delay, and prints
the wall time as a ratio to the ideal (rounds × delay), CPU per case, peak memory, and a run answered from the log.

    python benchmarks/throughput.py --cases 10000 --in-flight 256 --delay-ms 100
"""

import argparse
import compileall
import importlib.util
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent

PROMPT = """---
config: {temperature: 0, max_tokens: 24}
input: {schema: {ticket: string}}
output:
  format: json
  schema: {label(enum): [billing, bug, account, feature, shipping]}
---
{{role "system"}}
You sort support tickets. Answer with JSON.
{{role "user"}}
{{ticket}}
"""
SUITE = """prompt: triage
dataset: triage
model: bench
graders:
  - schema
  - equals: {path: label, expected: label}
"""


def workspace(folder: Path, cases: int, port: int) -> None:
    for name in ("prompts/triage", "evals", "datasets"):
        (folder / name).mkdir(parents=True)
    (folder / "prompts/triage/v1.prompt").write_text(PROMPT)
    (folder / "evals/triage.yaml").write_text(SUITE)
    (folder / "evalh.toml").write_text(
        '[workspace]\ndefault_suite = "triage"\n[models.bench]\nprovider = "openai"\nmodel = "bench-1"\n'
        f'base_url = "http://127.0.0.1:{port}/v1"\nprice = {{input = 0.25, output = 2.0}}\n'
    )
    with (folder / "datasets/triage.jsonl").open("w") as rows:
        for number in range(cases):
            ticket = f"Order {number} was charged twice on my card, please refund one of the two payments."
            row = {"id": f"t-{number:07d}", "inputs": {"ticket": ticket}, "expected": {"label": "billing"}}
            rows.write(json.dumps(row) + "\n")


@contextmanager
def server(delay_ms: float):
    process = subprocess.Popen(
        [sys.executable, HERE / "slow_server.py", "--delay-ms", str(delay_ms)], stdout=subprocess.PIPE, text=True
    )
    try:
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait(10)


def timed(folder: Path, *arguments: str, python: str = sys.executable) -> tuple[float, float, float, dict]:
    """Return wall seconds, CPU seconds, peak MB and the document of one `evalh run`."""
    out = folder / "out.json"
    began = time.perf_counter()
    with out.open("w") as stdout:
        process = subprocess.Popen(
            [python, "-m", "evalh", "-C", folder, "run", "--json", *arguments],
            stdout=stdout,
            stderr=subprocess.DEVNULL,
        )
        _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    if status:
        raise SystemExit(f"evalh ended with status {status}: {out.read_text()[:500]}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, json.loads(out.read_text())["results"][0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--in-flight", type=int, default=256)
    parser.add_argument("--delay-ms", type=float, default=100.0)
    options = parser.parse_args()
    # pip compiles what it installs; a checkout, or a shell with PYTHONDONTWRITEBYTECODE, would compile at every start
    compileall.compile_dir(Path(importlib.util.find_spec("evalh").origin).parent, quiet=2)
    ideal = math.ceil(options.cases / options.in_flight) * options.delay_ms / 1000.0
    with server(options.delay_ms) as port, tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        workspace(folder, options.cases, port)
        print(f"{options.cases} cases, {options.in_flight} in flight, {options.delay_ms:g} ms; ideal {ideal:.2f} s")
        for label, arguments in (("asked", ()), ("from the log", ())):
            wall, cpu, peak, result = timed(folder, "--concurrency", str(options.in_flight), *arguments)
            ratio = f"{wall / ideal:.2f} × ideal" if ideal and label == "asked" else f"{options.cases / wall:,.0f}/s"
            print(
                f"{label:13s} wall {wall:6.2f} s ({ratio}) · CPU {1000 * cpu / options.cases:.3f} ms a case · "
                f"peak {peak:.0f} MB · good {result['good']} · attempts {result['attempts']} · "
                f"from the log {result['cache_hits']}"
            )


if __name__ == "__main__":
    main()
