"""The same work by evalh and by three peers, one after the other, as ratios to what the wire allows.

Installs promptfoo (npm), Inspect and pydantic_evals (pip) into a folder of their own; evalh needs none of them. Every
tool asks the same tickets of the same local server with the same number in flight and compares the same label.

    python benchmarks/peers/side_by_side.py --cases 1000 --in-flight 256 --delay-ms 100
"""

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
from throughput import server, workspace  # noqa: E402 (the benchmark beside this folder)

SYSTEM = "You sort support tickets. Answer with JSON."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--in-flight", type=int, default=256)
    parser.add_argument("--delay-ms", type=float, default=100.0)
    parser.add_argument("--rounds", type=int, default=1, help="how often the four take turns")
    parser.add_argument("--peers", type=Path, default=Path(tempfile.gettempdir()) / "evalh-bench-peers")
    options = parser.parse_args()
    ideal = math.ceil(options.cases / options.in_flight) * options.delay_ms / 1000.0
    install(options.peers)
    print(f"{options.cases} cases, {options.in_flight} in flight, {options.delay_ms:g} ms; ideal {ideal:.2f} s")
    for _ in range(options.rounds):
        ours = None
        for name, command, env in contestants(options):
            with server(options.delay_ms) as port, tempfile.TemporaryDirectory() as scratch:
                folder = Path(scratch)
                workspace(folder, options.cases, port)
                wall, cpu, peak, ended = run(command(folder, port), folder, env | reach(folder, port))
            ours = ours or wall
            print(
                f"{name:15s} wall {wall:7.2f} s ({wall / ideal:5.1f} × ideal, {wall / ours:5.1f} × evalh) · "
                f"CPU {1000 * cpu / options.cases:7.2f} ms a case · peak {peak:5.0f} MB · {ended}",
                flush=True,
            )


def install(folder: Path) -> None:
    """Install the peers once; say what cannot be had."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "py").exists():
        subprocess.run([sys.executable, "-m", "venv", folder / "py"], check=True)
        packages = ["inspect_ai", "pydantic-evals", "openai[aiohttp]"]
        subprocess.run([folder / "py/bin/pip", "install", "-q", *packages], check=True)
    if not (folder / "node_modules").exists() and shutil.which("npm"):
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--prefix", folder, "promptfoo"], check=True)


def contestants(options: argparse.Namespace) -> Iterator[tuple]:
    peers, in_flight = options.peers, str(options.in_flight)
    evalh = [sys.executable, "-m", "evalh"]
    yield "evalh", lambda folder, _: [*evalh, "-C", folder, "run", "--concurrency", in_flight], {}
    yield (
        "pydantic_evals",
        lambda *_: [peers / "py/bin/python", HERE / "pydantic_evals_run.py", in_flight],
        {},
    )
    yield (
        "Inspect",
        lambda *_: [
            *(peers / "py/bin/inspect", "eval", f"{HERE / 'inspect_task.py'}@triage", "--model", "openai/bench-1"),
            *("--max-connections", in_flight, "--max-samples", in_flight, "--display", "none"),
        ],
        {"INSPECT_LOG_DIR": "logs"},
    )
    if (peers / "node_modules/.bin/promptfoo").exists():
        yield (
            "promptfoo",
            lambda folder, port: [
                *(peers / "node_modules/.bin/promptfoo", "eval", "-c", promptfoo_config(folder, port)),
                *("-j", in_flight, "--no-table", "--no-progress-bar", "--no-cache"),
            ],
            {"PROMPTFOO_DISABLE_TELEMETRY": "1", "PROMPTFOO_DISABLE_UPDATE": "1", "PROMPTFOO_CONFIG_DIR": "home"},
        )


def reach(folder: Path, port: int) -> dict[str, str]:
    """Where the peers find the server and the tickets."""
    return {
        "OPENAI_API_KEY": "none",
        "OPENAI_BASE_URL": f"http://127.0.0.1:{port}/v1",
        "BENCH_CASES": str(folder / "datasets/triage.jsonl"),
    }


def promptfoo_config(folder: Path, port: int) -> Path:
    prompt = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": "{{ticket}}"}]
    config = {"temperature": 0, "max_tokens": 24, "apiBaseUrl": f"http://127.0.0.1:{port}/v1"}
    with (folder / "datasets/triage.jsonl").open() as rows:
        cases = [json.loads(row) for row in rows]
    check = "JSON.parse(output).label === context.vars.label"
    document = {
        "prompts": [json.dumps(prompt)],
        "providers": [{"id": "openai:chat:bench-1", "config": config}],
        "defaultTest": {"assert": [{"type": "javascript", "value": check}]},
        "tests": [{"vars": {"ticket": row["inputs"]["ticket"], "label": row["expected"]["label"]}} for row in cases],
    }
    path = folder / "promptfooconfig.json"
    path.write_text(json.dumps(document))
    return path


def run(command: list, folder: Path, env: dict[str, str]) -> tuple[float, float, float, str]:
    """Return wall seconds, CPU seconds and peak MB of one command, and how it ended."""
    began = time.perf_counter()
    with (folder / "printed").open("w") as printed:
        process = subprocess.Popen(command, cwd=folder, env=os.environ | env, stdout=printed, stderr=printed)
        _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    last = (folder / "printed").read_text().strip().splitlines()[-3:]
    ended = "ended well" if status == 0 else f"ended with {os.waitstatus_to_exitcode(status)}: {' | '.join(last)[:300]}"
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, ended


if __name__ == "__main__":
    main()
