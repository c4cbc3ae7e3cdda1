"""Production in a real browser: filters, a workflow by mouse and by keyboard, hostile content, a program that runs."""

from pathlib import Path

import pytest

from browser.conftest import Browser, axe, expect
from browser.hostile import CORPUS
from evalh_trace.records import Attempt, Call, Feedback, Score, Step, Workflow
from traced import BEGAN, every_kind, keep, refund
from viewing import viewing
from workspaces import write_workspace

pytestmark = pytest.mark.slow

DARK, LIGHT = {"color_scheme": "dark"}, {"color_scheme": "light"}
PHONE = {"viewport": {"width": 390, "height": 844}}


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = write_workspace(tmp_path)
    keep(folder, every_kind())
    return folder


def test_filters_narrow_the_list_and_stand_in_the_address(workspace: Path, browser: Browser) -> None:
    with viewing(workspace) as viewer:
        opened = browser.visit(f"{viewer.door.url}production")
        page = opened.page
        rows = page.locator("#found tbody tr")
        assert rows.count() == 6

        page.locator("label:has(input[value=failed])").click()
        page.locator("#count:has-text('3 workflows')").wait_for()
        page.keyboard.press("/")
        page.keyboard.type("disl")
        page.locator("#count:has-text('1 workflow ')").wait_for()
        assert rows.count() == 1
        assert page.inner_text("#n-all") == "1"
        assert page.url.endswith("production?kind=failed&text=disl")
        page.reload()
        assert rows.count() == 1
        page.keyboard.press("/")
        page.keyboard.press("Escape")
        page.locator("#count:has-text('3 workflows')").wait_for()
        page.get_by_role("link", name="s-2").click()
        expect(page.locator(".chip:has-text('session s-2')")).to_be_visible()
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        page.locator("#detail").wait_for()
        assert page.inner_text("h1") == "refund ok"
        page.go_back()
        page.locator(".chip:has-text('session s-2')").click()
        expect(rows).to_have_count(6)
        assert opened.complaints == []


def test_without_a_script_the_filters_and_the_links_to_steps_work(workspace: Path, browser: Browser) -> None:
    with viewing(workspace) as viewer:
        page = browser.visit(f"{viewer.door.url}production", java_script_enabled=False).page
        page.locator("label:has(input[value=thumbs_down])").click()
        page.get_by_role("button", name="Show").click()
        expect(page.locator("#found tbody tr")).to_have_count(1)
        page.locator("#found th a").click()
        page.locator(".line").nth(1).click()
        expect(page.locator("#p1")).to_be_visible()


def test_a_workflow_is_read_by_mouse_and_by_keyboard(workspace: Path, browser: Browser) -> None:
    with viewing(workspace) as viewer:
        opened = browser.visit(f"{viewer.door.url}production/quiet")
        page, panel = opened.page, opened.page.locator(".panel:visible")
        assert "it is a refund" in panel.inner_text()

        page.locator(".line:has-text('gpt-4o-mini')").click()
        expect(panel).to_contain_text("rate_limit: slow down")
        assert "I refund one." in panel.inner_text()
        assert page.url.endswith("#p4")
        page.keyboard.press("k")
        assert panel.get_attribute("id") == "p3"
        page.keyboard.press("ArrowUp")
        page.keyboard.press("Enter")
        assert panel.get_attribute("id") == "p2"
        assert page.evaluate("document.activeElement.id") == "detail"
        page.keyboard.press("f")
        assert panel.get_attribute("id") == "p1"
        page.keyboard.press("Home")
        assert "charged twice" in panel.inner_text()
        page.get_by_role("link", name="classify").first.click()
        expect(panel).to_have_id("p1")
        page.goto(f"{page.url.partition('#')[0]}#p4")
        expect(panel).to_have_id("p4")
        assert panel.count() == 1
        assert opened.complaints == []


def test_a_workflow_that_goes_on_is_followed_to_its_end(workspace: Path, browser: Browser) -> None:
    with viewing(workspace) as viewer:
        page = browser.visit(f"{viewer.door.url}production/running").page
        page.locator(".line").nth(1).click()
        assert page.inner_text("h1") == "refund not ended"

        keep(workspace, refund("running", BEGAN + 40))

        page.locator("h1:has-text('ok')").wait_for(timeout=15_000)
        expect(page.locator(".line")).to_have_count(5)
        assert page.locator(".panel:visible").get_attribute("id") == "p1"
        assert "billing" in page.locator(".panel:visible").inner_text()


@pytest.mark.parametrize("screen", [LIGHT, DARK, PHONE, DARK | PHONE], ids=["light", "dark", "phone", "dark-phone"])
def test_every_page_satisfies_axe_and_fits_the_screen(
    workspace: Path, browser: Browser, screen: dict[str, object]
) -> None:
    with viewing(workspace) as viewer:
        for path in (
            "production",
            "production?session=s-2",
            "production/quiet",
            "production/broken",
            "production/untimed",
        ):
            opened = browser.visit(f"{viewer.door.url}{path}", **screen)
            assert axe(opened.page) == [], path
            assert opened.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
            assert opened.complaints == [], path


def test_on_paper_the_steps_and_the_chosen_one_are_there(workspace: Path, browser: Browser) -> None:
    with viewing(workspace) as viewer:
        page = browser.visit(f"{viewer.door.url}production/quiet").page
        page.emulate_media(media="print")

        assert page.locator(".line").last.is_visible()
        assert page.locator(".panel:visible").get_attribute("id") == "p1"
        assert not page.locator(".top").is_visible()


def test_hostile_content_stays_text(tmp_path: Path, browser: Browser) -> None:
    folder = write_workspace(tmp_path)
    for number, text in enumerate(CORPUS):
        id_ = f"w{number}"
        about = {"session": text[:200], "user": text[:200], "tags": (text[:200],), "attributes": {text[:200]: text}}
        whole = Workflow(
            id=id_,
            name=text,
            door=text[:50],
            started_at=BEGAN + number,
            status="error",
            error=text,
            inputs={text[:200]: text},
            output=text,
            **about,
        )  # type: ignore[arg-type]
        step = Step(
            id=f"s{text[:100]}{number}",
            workflow_id=id_,
            name=text,
            kind=text[:50],
            status="error",
            error=text,
            output=text,
        )
        said = [{"role": text[:50], "parts": [text, {"tool_call": {"name": text[:50], "arguments": text}}]}]
        call = Call(
            id=f"c{number}", workflow_id=id_, step_id=step.id, messages=said, settings={"model": text}, prompt=text[:50]
        )
        attempt = Attempt(
            id=f"a{number}", workflow_id=id_, call_id=call.id, status="error", error=text, text=text, reasoning=text
        )
        score = Score(
            id=f"m{number}",
            workflow_id=id_,
            step_id=step.id,
            name=text[:50],
            outcome="fail",
            source=text[:50],
            text=text,
        )
        keep(
            folder,
            iter((whole, step, call, attempt, score, Feedback(id=f"f{number}", workflow_id=id_, at=BEGAN, note=text))),
        )
    with viewing(folder) as viewer:
        opened = browser.visit(f"{viewer.door.url}production")
        opened.page.locator("label:has(input[value=failed])").click()
        opened.page.locator(f"#count:has-text('{len(CORPUS)} workflows')").wait_for()
        for number in range(len(CORPUS)):
            opened.page.goto(f"{viewer.door.url}production/w{number}")
            opened.page.keyboard.press("j")
            assert opened.page.locator(".panel:visible").count() == 1
        assert opened.dialogs == []
        assert opened.complaints == []
        assert all(url.startswith(viewer.door.url) for url in opened.requests)
