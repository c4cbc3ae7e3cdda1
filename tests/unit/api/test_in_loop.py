"""Signals while work runs on a loop of its own: the work is cancelled, and reported as one interruption."""

import signal
import subprocess
import sys

import pytest

WORK = """import asyncio, signal, sys
from evalh.api.event_loop import in_loop

async def work():
    for sign in sys.argv[1:]:
        signal.raise_signal(int(sign))
    await asyncio.sleep(30)

try:
    in_loop(work())
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.parametrize("signs", [["INT"], ["TERM"], ["TERM", "INT"], ["INT", "TERM"]])
def test_however_often_it_is_interrupted_it_is_one_interruption(signs: list[str]) -> None:
    numbers = [str(int(signal.Signals[f"SIG{sign}"])) for sign in signs]
    script = f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n{WORK}"
    done = subprocess.run(
        [sys.executable, "-c", script, *numbers], capture_output=True, text=True, timeout=30, check=False
    )

    assert (done.returncode, done.stdout) == (0, "interrupted\n"), done.stderr
