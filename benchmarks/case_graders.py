"""Load a dataset whose rows bring graders: `python benchmarks/case_graders.py [rows]`.

What `evalh check` and `evalh run` do before anything is sent: read and check every row, then build the graders of all.
Each row has three: the same in every row; each row's own texts; each row's own patterns, which are compiled.
Prints seconds and the peak memory.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CONFIG = '[models.small]\nprovider = "scripted"\ntable = {a = "b"}\n'
SUITE = "prompt: p\ndataset: d\nmodel: small\ngraders:\n  - case\n"


KINDS = ("the same in every row", "each row's own texts", "each row's own patterns")


def graders_of(kind: str, number: int) -> list[object]:
    """Return the graders of a row."""
    if kind == KINDS[2]:
        return [{"regex": f"{word}: {number}[0-9]*"} for word in ("total", "order", "sum")]
    order = 0 if kind == KINDS[0] else number
    return [
        {"contains": f"order {order}"},
        {"contains": {"value": [f"refund {order}", "refused"], "match": "any"}},
        {"equals": {"value": f"order {order}", "ignore_case": True}},
    ]


def write(folder: Path, rows: int, kind: str) -> None:
    """Write a workspace."""
    for path, text in {"evalh.toml": CONFIG, "prompts/p/v1.prompt": "{{q}}\n", "evals/s.yaml": SUITE}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    (folder / "datasets").mkdir()
    with (folder / "datasets/d.jsonl").open("w", encoding="utf-8") as file:
        for number in range(rows):
            inputs = {"q": f"Where is order {number}?"}
            row = {"id": f"r{number}", "inputs": inputs, "graders": graders_of(kind, number)}
            file.write(json.dumps(row) + "\n")


def load(folder: Path) -> None:
    """Load it in a process of its own, and print what it took."""
    from evalh.api.workspace import Workspace

    parts = Workspace.open(folder)
    suite, imported_kb = parts.suite("s"), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began, cpu = time.perf_counter(), time.process_time()
    dataset = parts.dataset_of(suite)
    read = time.perf_counter()
    parts.graders_of(suite, dataset)
    built, spent = time.perf_counter(), time.process_time() - cpu
    peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    took = f"{built - began:.1f} s (rows {read - began:.1f}, graders {built - read:.1f}; {spent:.1f} of CPU)"
    print(f"{len(dataset):,} rows: {took}, peak {peak_kb / 1024:.0f} MB ({imported_kb / 1024:.0f} before)")


def main() -> None:
    """Write the workspace and load it."""
    if sys.argv[1:2] == ["load"]:
        load(Path(sys.argv[2]))
        return
    numbers = [int(one) for one in sys.argv[1:] if one.isdigit()]
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder), numbers[0] if numbers else 100_000, kind)
            print(kind, end=": ", flush=True)
            subprocess.run([sys.executable, __file__, "load", folder], check=True)


if __name__ == "__main__":
    main()
