"""What a pipeline costs beside plain samples: as many requests, in three steps, in one run each, alternating.

python benchmarks/pipelines.py --cases 3000 --delay-ms 100 --rounds 3
"""

import argparse
import compileall
import importlib.util
import tempfile
from pathlib import Path

from throughput import PROMPT, server, timed, workspace

STEPS = """steps:
  one: {inputs: {ticket: inputs.ticket}}
  two: {inputs: {ticket: inputs.ticket, label: one.label}}
  three: {inputs: {ticket: inputs.ticket, label: two.label}}
"""


def pipeline(folder: Path, cases: int, port: int) -> None:
    """Write the workspace of throughput.py with three prompts in a row in place of its one."""
    workspace(folder, cases, port)
    (folder / "prompts/triage/v1.prompt").unlink()
    (folder / "prompts/triage/v1.pipeline.yaml").write_text(
        STEPS.replace("inputs:", "prompt: one@v1, inputs:", 1)
        .replace("two: {inputs:", "two: {prompt: two@v1, inputs:")
        .replace("three: {inputs:", "three: {prompt: three@v1, inputs:")
    )
    labelled = PROMPT.replace("{ticket: string}", "{ticket: string, label: string}")
    for name in ("one", "two", "three"):
        (folder / f"prompts/{name}").mkdir()
        text = PROMPT if name == "one" else labelled.replace("{{ticket}}", "{{ticket}} ({{label}})")
        (folder / f"prompts/{name}/v1.prompt").write_text(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=3000)
    parser.add_argument("--in-flight", type=int, default=256)
    parser.add_argument("--delay-ms", type=float, default=100.0)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    compileall.compile_dir(Path(importlib.util.find_spec("evalh").origin).parent, quiet=2)
    least: dict[tuple[str, str], tuple[float, float]] = {}
    with server(options.delay_ms) as port, tempfile.TemporaryDirectory() as scratch:
        for number in range(options.rounds):
            for kind, write, cases in (("plain", workspace, 3 * options.cases), ("steps", pipeline, options.cases)):
                folder = Path(scratch) / f"{kind}{number}"
                write(folder, cases, port)
                for label in ("asked", "from the log"):
                    wall, cpu, _, _ = timed(folder, "--concurrency", str(options.in_flight))
                    before = least.get((kind, label), (wall, cpu))
                    least[kind, label] = (min(before[0], wall), min(before[1], cpu))
    print(f"{3 * options.cases} plain samples beside {options.cases} samples of 3 steps, least of {options.rounds}")
    for label in ("asked", "from the log"):
        plain, steps = least["plain", label], least["steps", label]
        print(
            f"{label:13s} wall {plain[0]:6.2f} s, {steps[0]:6.2f} s: {steps[0] / plain[0]:.2f} × · "
            f"CPU {plain[1]:6.2f} s, {steps[1]:6.2f} s: {steps[1] / plain[1]:.2f} ×"
        )


if __name__ == "__main__":
    main()
