"""The benchmarks that the docs name run: a short version of each. What they measure is for a quiet machine."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["throughput.py", "--cases", "40", "--in-flight", "8", "--delay-ms", "1"], "from the log 40"),
        (["store_writes.py", "--cases", "200", "--pace", "0"], "200 cases"),
        (["store_writes.py", "--cases", "200", "--watch"], "99 % within"),
        pytest.param(["embedded_model.py", "--cases", "1"], "v3, 1 cases", marks=pytest.mark.slow),
        (["peers/side_by_side.py", "--help"], "--in-flight"),
        (["tracing.py", "50"], "trace.client, one call"),
        (["asking.py", "--calls", "50", "--in-flight", "8", "--delay-ms", "1", "--rounds", "1"], "ask_async"),
        (["elsewhere.py", "--help"], "--only {pandas,duckdb,mlflow,wandb,inspect}"),
        (["judge_words.py", "--help"], "--words"),
        (["house.py"], "modules under 60 lines"),
        pytest.param(
            ["whowhen.py"],
            "126 runs, 1,099 turns",
            marks=pytest.mark.skipif("EVALH_REAL_DATA" not in os.environ, reason="the recorded runs are not here"),
        ),
    ],
)
def test_a_benchmark_runs(words: list[str], told: str) -> None:
    done = subprocess.run(
        [sys.executable, BENCHMARKS / words[0], *words[1:]], capture_output=True, text=True, timeout=300, check=False
    )

    assert done.returncode == 0, done.stderr
    assert told in done.stdout
