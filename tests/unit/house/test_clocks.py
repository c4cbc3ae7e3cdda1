"""How fast something is, no test asserts: the machine is shared, and a busy one would break the build."""

import re
from pathlib import Path

TESTS = Path(__file__).parents[2]
_CLOCK = re.compile(r"\b(?:process|thread)_time\b|\bperf_counter|\bgetrusage")


def test_only_the_bounds_against_hanging_read_a_fine_clock() -> None:
    files = {file for file in TESTS.rglob("*.py") if _CLOCK.search(file.read_text(encoding="utf-8"))}

    assert files == {TESTS / "hanging.py"}
