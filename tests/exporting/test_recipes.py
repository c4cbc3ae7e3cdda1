"""The programs of the guide that need a library which installs quickly; benchmarks/elsewhere.py runs the others."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from workspaces import evalh, write_workspace

PAGE = Path(__file__).parents[2] / "docs/guide/numbers-elsewhere.md"
PROGRAM = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize(("library", "told"), [("pandas", "triage@v1  good"), ("duckdb", "schema")])
def test_the_guides_program_runs(tmp_path: Path, library: str, told: str) -> None:
    pytest.importorskip(library)
    folder = write_workspace(tmp_path, cases=8)
    evalh(folder, "run")
    evalh(folder, "export", "parquet", "-o", str(folder / "exported"))
    page = PAGE.read_text(encoding="utf-8")
    program = next(text for text in PROGRAM.findall(page) if f"\nimport {library}" in f"\n{text}")

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )

    assert done.returncode == 0, done.stderr
    assert told in done.stdout


def test_each_tool_that_the_page_names_has_a_program() -> None:
    found = "".join(PROGRAM.findall(PAGE.read_text(encoding="utf-8")))

    assert [one for one in ("pandas", "duckdb", "mlflow", "wandb") if f"import {one}" not in found] == []
