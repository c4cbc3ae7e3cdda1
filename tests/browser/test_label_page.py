"""Labelling and making a case in a real browser: by keys, by mouse, without a script, with hostile texts, on a phone."""

import json
from pathlib import Path

import pytest

from browser.conftest import Browser, axe
from browser.hostile import CORPUS
from command_line import command_line
from evalh.api.workspace import Workspace
from evalh_trace.records import Workflow
from viewing import viewing
from workspaces import write_workspace

pytestmark = pytest.mark.slow

TEXTS = [text for text in CORPUS if text.encode("utf-8", "ignore").decode() == text]  # a dataset holds no others
PHONE = {"viewport": {"width": 390, "height": 844}}
DARK = {"color_scheme": "dark"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_workspace(tmp_path, cases=8)
    assert command_line()(tmp_path, "run").code == 0
    return tmp_path


def labels(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "datasets/labels/triage/ada.jsonl").read_text().splitlines()]


def test_keys_label_and_calibrate_finds_the_labels(folder: Path, browser: Browser) -> None:
    with viewing(folder, author="ada") as viewer:
        opened = browser.visit(f"{viewer.door.url}label/triage?about=equals")
        page = opened.page
        for number, key in enumerate("gbynGB", 1):
            page.keyboard.press(key)
            page.locator(f"text=triage · {number} of 8").wait_for()
        page.keyboard.press("u")
        page.locator("text=Should this output pass equals?").wait_for()
        page.keyboard.press("w")
        page.keyboard.type("good after all")
        page.keyboard.press("Escape")
        page.keyboard.press("g")
        page.locator("text=Written: good.").wait_for()
        page.goto(f"{viewer.door.url}label")
        assert page.inner_text("li:has-text('triage')") == "triage · equals, 6 labelled"
        page.get_by_role("link", name="equals").click()
        page.locator("text=triage · 6 of 8").wait_for()
        assert opened.complaints == []
        assert opened.dialogs == []

    kept = labels(folder)
    assert [row["good"] for row in kept] == [True, False, True, False, True, False, True]
    assert kept[-1]["note"] == "good after all"
    done = command_line()(folder, "calibrate", "equals", "--json")
    assert json.loads(done.out)["labelled"] == 6


def test_without_a_script_the_form_works(folder: Path, browser: Browser) -> None:
    with viewing(folder, author="ada") as viewer:
        page = browser.visit(f"{viewer.door.url}label", java_script_enabled=False).page
        page.get_by_role("link", name="triage").click()
        page.fill("#note", "said twice")
        page.get_by_role("button", name="Bad").click()
        page.locator("text=Written: bad.").wait_for()
        page.get_by_role("link", name="Skip").click()
        page.get_by_role("button", name="Good").click()

    assert [row["good"] for row in labels(folder)] == [False, True]


def test_a_failed_workflow_is_made_a_case(folder: Path, browser: Browser) -> None:
    with Workspace.open(folder).production_writer() as production:
        asked = {"inputs": {"ticket": "charged twice for order 12"}, "output": {"label": "bug"}}
        production.write([Workflow(id="w-1", name="triage", door="trace", started_at=1.0, status="ok", **asked)])  # type: ignore[arg-type]
    with viewing(folder, author="ada") as viewer:
        opened = browser.visit(f"{viewer.door.url}production/w-1")
        page = opened.page
        page.get_by_role("link", name="Make a case of it").click()
        page.get_by_role("link", name="triage").click()
        assert page.input_value("textarea").split() == ["{", '"label":', '"bug"', "}"]
        page.fill("textarea", '{"label": "billing"}')
        page.get_by_role("button", name="Add the case").click()
        page.locator("h1:has-text('Added incident-w-1')").wait_for()
        assert opened.complaints == []

    row = json.loads((folder / "datasets/triage.jsonl").read_text().splitlines()[-1])
    assert (row["id"], row["expected"], row["tags"]) == ("incident-w-1", {"label": "billing"}, ["incident"])


@pytest.mark.parametrize("look", [{}, DARK, PHONE], ids=["light", "dark", "phone"])
def test_the_pages_are_accessible_and_fit(folder: Path, browser: Browser, look: dict[str, object]) -> None:
    with viewing(folder, author="ada") as viewer:
        for path in ("label", "label/triage"):
            page = browser.visit(f"{viewer.door.url}{path}", **look).page
            assert axe(page) == []
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_hostile_texts_are_labelled_and_run_nothing(tmp_path: Path, browser: Browser) -> None:
    write_workspace(tmp_path, cases=1)
    rows = [{"id": f"h-{number}", "inputs": {"ticket": text}} for number, text in enumerate(TEXTS)]
    (tmp_path / "datasets/triage.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
    answers = "def answer(request, case_id, trial):\n    return request.messages[-1].text\n"
    (tmp_path / "evals/answers.py").write_text(answers)
    command_line()(tmp_path, "run")
    with viewing(tmp_path, author="ada") as viewer:
        opened = browser.visit(f"{viewer.door.url}label/triage")
        asked = len(opened.requests)
        while opened.page.locator("#bad").count():
            opened.page.keyboard.press("w")
            opened.page.keyboard.type("<img src=x onerror=alert(1)>")
            with opened.page.expect_navigation():
                opened.page.get_by_role("button", name="Bad").click()
        own = [url for url in opened.requests[asked:] if not url.startswith(viewer.door.url)]

    assert own == []
    assert opened.dialogs == []
    assert opened.complaints == []
    assert len({row["case"] for row in labels(tmp_path)}) == len(rows)
