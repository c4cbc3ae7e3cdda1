"""The programs of docs/guide/numbers-elsewhere.md, and Inspect's reading of our log, with the real libraries.

Makes an environment of its own (some 700 MB, kept in --env), since no test should install these. For a nightly job.

    python benchmarks/elsewhere.py
    python benchmarks/elsewhere.py --env /tmp/elsewhere --only mlflow
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/guide/numbers-elsewhere.md"
PROGRAM = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
NEEDS = {
    "pandas": ["pandas", "pyarrow"],
    "duckdb": ["duckdb"],
    "mlflow": ["mlflow-skinny", "sqlalchemy", "alembic"],
    "wandb": ["wandb"],
}


def program(library: str) -> str:
    """Return the page's program that imports this library."""
    page = PAGE.read_text(encoding="utf-8")
    return next(text for text in PROGRAM.findall(page) if f"\nimport {library}" in f"\n{text}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--env", type=Path, default=Path(tempfile.gettempdir()) / "evalh-elsewhere")
    parser.add_argument("--only", choices=[*NEEDS, "inspect"])
    asked = parser.parse_args()
    python = asked.env / "bin/python"
    if not python.exists():
        venv.create(asked.env, with_pip=True)
    wanted = [asked.only] if asked.only else [*NEEDS, "inspect"]
    packages = [package for one in wanted for package in NEEDS.get(one, ["inspect_ai"])]
    subprocess.run([python, "-m", "pip", "install", "-q", *packages], check=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sys.path.insert(0, str(ROOT / "tests"))
        from workspaces import write_workspace

        write_workspace(folder, cases=20)
        for words in (["run"], ["export", "parquet", "-o", "exported"]):
            subprocess.run([sys.executable, "-m", "evalh", *words], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        env = {
            **os.environ,
            "PATH": path,
            "WANDB_MODE": "offline",
            "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
        }
        for library in (one for one in wanted if one in NEEDS):
            subprocess.run([python, "-c", program(library)], cwd=folder, env=env, check=True)
            print(f"{library}: runs")
    if "inspect" in wanted:
        test = ["-m", "pytest", "-q", "-n", "0", str(ROOT / "tests/exporting/test_inspect.py")]
        subprocess.run([sys.executable, *test], cwd=ROOT, env={**os.environ, "EVALH_INSPECT": str(python)}, check=True)
        print("inspect: reads")


if __name__ == "__main__":
    main()
