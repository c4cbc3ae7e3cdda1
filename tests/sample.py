"""Makes `reports/sample.html`: this repository's own suite, answered from the recordings of two versions.

`make sample` writes it; `tests/docs/test_sample.py` says when it is out of date. Not a test itself.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "reports/sample.html"
RECORDED = '\n[models.recorded]\nprovider = "replay"\npath = "recorded/{version}.jsonl.gz"\n'


def make(target: Path) -> None:
    """Run v2 and v3, and write the page about v3."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for part in ("prompts", "evals", "datasets", "steps"):
            shutil.copytree(ROOT / part, folder / part)
        shutil.copytree(ROOT / "tests/recorded/triage", folder / "recorded")
        (folder / "evalh.toml").write_text((ROOT / "evalh.toml").read_text() + RECORDED)
        ran = json.loads(_evalh(folder, "run", "--prompt", "v2", "--prompt", "v3", "--model", "recorded", "--json"))
        _evalh(folder, "report", ran["results"][-1]["run"], "--output", str(target))


def structure(page: str) -> list[str]:
    """Return what a reader finds on a page, in order: headings and places, without their numbers."""
    body = re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.DOTALL)
    found = re.findall(r"<h[1-3][^>]*>(.*?)</h[1-3]>|<section[^>]*\bid=\"([\w-]+)\"", body, re.DOTALL)
    return [re.sub(r"<[^>]*>|\d[\d.,]*", "", heading or place).strip() for heading, place in found]


def _evalh(folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "evalh", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout


if __name__ == "__main__":
    make(SAMPLE)
