"""Hostile outputs, inputs, ids and tags in a real browser: nothing runs, nothing is fetched, nothing is missing."""

import csv
import io
import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from browser.conftest import Browser, axe
from browser.hostile import CORPUS
from workspaces import evalh

pytestmark = pytest.mark.slow

SUITE = """prompt: echo
dataset: echo
model: mirror
graders:
  - contains: {value: "never said"}
"""
MIRROR = """import csv
import json
import re
from pathlib import Path

CORPUS = json.loads((Path(__file__).parent / "corpus.json").read_text())


def answer(request, case_id, trial):
    return CORPUS[int(case_id.rpartition("-")[2])]
"""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    for name in ("prompts/echo", "evals", "datasets"):
        (folder / name).mkdir(parents=True)
    (folder / "evalh.toml").write_text(
        '[workspace]\ndefault_suite = "echo"\n\n[models.mirror]\nprovider = "scripted"\nmodel = "mirror-1"\n'
        'function = "evals/mirror.py:answer"\n'
    )
    (folder / "prompts/echo/v1.prompt").write_text(
        "---\nconfig: {max_tokens: 9}\n---\n</script><b onclick=alert(1)>{{text}}"
    )
    (folder / "evals/echo.yaml").write_text(SUITE)
    (folder / "evals/mirror.py").write_text(MIRROR)
    (folder / "evals/corpus.json").write_text(json.dumps(CORPUS))
    rows = [
        {"id": f"{text[:40]}-{index}", "inputs": {"text": text}, "expected": {"say": text}, "tags": [text[:40]]}
        for index, text in enumerate(CORPUS)
    ]
    lines = [re.sub(r"\\u(?:0000|d800|dfff)", "?", json.dumps(row)) for row in rows]  # which no dataset may hold
    (folder / "datasets/echo.jsonl").write_text("\n".join(lines) + "\n")
    done = evalh(folder, "run", "--json")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def report(workspace: Path) -> Path:
    done = evalh(workspace, "report", "-o", str(workspace / "report.html"))
    assert done.returncode == 0, done.stderr
    return workspace / "report.html"


def test_nothing_hostile_runs_or_is_fetched(report: Path, browser: Browser) -> None:
    opened = browser.open(report)

    assert opened.page.locator(".row").count() > 5
    for _ in CORPUS:
        opened.page.keyboard.press("j")
        opened.page.locator("#detail").hover()
    for element in ("#detail iframe", "#detail script", "#detail img", "#detail link", "main style"):
        assert opened.page.locator(element).count() == 0
    opened.page.mouse.wheel(0, 2000)
    opened.page.wait_for_timeout(200)
    assert opened.quiet(), (opened.dialogs, opened.requests, opened.complaints)


def test_hostile_texts_are_shown_as_they_are(report: Path, browser: Browser) -> None:
    opened = browser.open(report)
    opened.page.fill("#q", "alert('end of block')")

    shown = opened.page.locator("#detail .text").all_inner_texts()

    assert "</script><script>alert('end of block')</script>" in shown
    assert opened.quiet()


def test_a_megabyte_on_one_line_is_cut_and_says_so(report: Path, browser: Browser) -> None:
    opened = browser.open(report)
    opened.page.fill("#q", "aaaaaaaaaaaaaaaaaaaa")

    assert "1,000,0" in (opened.page.locator("#detail .clip").first.text_content() or "")
    assert report.stat().st_size < 400_000


def test_nothing_hostile_runs_in_a_comparison_nor_is_live_in_its_texts(workspace: Path, browser: Browser) -> None:
    first = (workspace / "prompts/echo/v1.prompt").read_text()
    (workspace / "prompts/echo/v2.prompt").write_text(first + "<img src=x onerror=alert('diff')>")
    done = evalh(workspace, "compare", "v1", "v2", "--json", "--report", str(workspace / "both.html"))
    compared = json.loads(done.stdout)["id"]

    opened = browser.open(workspace / "both.html")
    opened.page.select_option("#change", "")
    for _ in CORPUS:
        opened.page.keyboard.press("j")
    told = {
        form: evalh(workspace, "report", compared, "--format", form).stdout for form in ("terminal", "csv", "junit")
    }
    rows = list(csv.reader(io.StringIO(told["csv"])))

    assert opened.quiet(), (opened.dialogs, opened.requests, opened.complaints)
    assert not [name for name, text in told.items() if re.search("[\x1b\u202e\x00]", text)]
    assert len(rows) == len(CORPUS) + 1
    assert not [cell for row in rows[1:] for cell in row if cell.lstrip(" ").startswith(("=", "+", "-", "@", "\t"))]
    assert len(ET.fromstring(told["junit"]).findall(".//testcase")) == len(CORPUS)


def test_axe_finds_nothing_serious_in_hostile_pages(report: Path, browser: Browser) -> None:
    for scheme in ("light", "dark"):
        assert axe(browser.open(report, color_scheme=scheme).page) == []
