"""Pictures of the report and of the matrix for the documentation. Run in a workspace that has runs.

    python benchmarks/report_pages.py WORKSPACE [RUN | COMPARISON]

Needs playwright and a Chromium (EVALH_CHROMIUM, or `chromium` on the path).
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

IMAGES = Path(__file__).parents[1] / "docs/images"
SCREENS = {
    "report-light": {"viewport": {"width": 1180, "height": 860}, "color_scheme": "light"},
    "report-dark": {"viewport": {"width": 1180, "height": 860}, "color_scheme": "dark"},
    "report-phone": {"viewport": {"width": 390, "height": 780}, "color_scheme": "light"},
}
MATRIX = {"viewport": {"width": 1500, "height": 840}, "color_scheme": "light"}
KEYS = ("ArrowRight", "ArrowDown", "ArrowRight", "ArrowRight", "Enter")  # a cell of the third column, open
PLACES = {"report-dark": "#standing=missed"}


def main(workspace: str, name: str = "last") -> None:
    from playwright.sync_api import sync_playwright

    program = os.environ.get("EVALH_CHROMIUM") or shutil.which("chromium")
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        page_file = Path(folder) / "report.html"
        command = [sys.executable, "-m", "evalh", "-C", workspace, "report", name, "--output", str(page_file)]
        subprocess.run(command, check=True)
        matrix_file = Path(folder) / "matrix.html"
        subprocess.run(
            [*command[:5], "matrix", "--report", str(matrix_file), "--json"], check=True, capture_output=True
        )
        chromium = driver.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        for image, screen in SCREENS.items():
            page = chromium.new_context(reduced_motion="reduce", **screen).new_page()
            page.goto(f"file://{page_file}{PLACES.get(image, '')}")
            page.wait_for_timeout(200)
            save(page, image)
        page = chromium.new_context(reduced_motion="reduce", **MATRIX).new_page()
        page.goto(f"file://{matrix_file}")
        page.focus("#grid")
        for key in KEYS:
            page.keyboard.press(key)
        page.wait_for_timeout(200)
        page.evaluate("scrollTo(0, 0)")
        save(page, "matrix-light")
        chromium.close()


def save(page: Any, image: str) -> None:
    target = IMAGES / f"{image}.png"
    page.screenshot(path=str(target))
    print(f"{target}: {target.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(*sys.argv[1:])
