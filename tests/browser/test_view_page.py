"""The viewer in a real browser: a run that continues while someone watches it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from browser.conftest import Browser, axe
from viewing import keep_gate, viewing
from workspaces import PROMPT, chat_server, evalh, write_workspace

pytestmark = pytest.mark.slow

DARK, LIGHT = {"color_scheme": "dark"}, {"color_scheme": "light"}
PHONE = {"viewport": {"width": 390, "height": 844}}


def test_a_run_is_watched_from_its_beginning_to_its_end(tmp_path: Path, browser: Browser) -> None:
    with chat_server(0.12) as (_, model), viewing(write_workspace(tmp_path, cases=60, model=model)) as viewer:
        opened = browser.visit(f"{viewer.door.url}live")
        page = opened.page
        assert page.locator("#empty").is_visible()

        command = [sys.executable, "-m", "evalh", "-C", str(tmp_path), "run", "--concurrency", "2", "--json"]
        run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        page.locator(".card").wait_for(timeout=15_000)
        seen = set()
        for _ in range(300):
            over = page.locator(".card.over").count()
            seen.add(page.locator("progress").evaluate("(bar) => bar.value"))
            if over:
                break
            page.wait_for_timeout(200)
        done = json.loads(run.communicate(timeout=20)[0])["results"][0]

        assert len(seen) >= 3
        assert max(seen) == 60
        assert page.inner_text("[data-f=done]").startswith("triage@v1 on small is good on 52 of 60 samples: 86.7 %")
        assert page.inner_text("#ended") == page.inner_text("[data-f=done]")
        assert page.title() == "Under way · evalh"
        page.locator(".card a").click()
        page.locator(".row").first.wait_for()
        assert page.inner_text("h1").startswith("triage@v1 on small is good on 52 of 60 samples")
        assert page.url.endswith(f"/run/{done['run']}")
        assert not opened.complaints
        assert not opened.dialogs
        assert all(url.startswith(viewer.door.url) for url in opened.requests)


def test_a_run_that_is_killed_and_a_server_that_is_gone_are_told(tmp_path: Path, browser: Browser) -> None:
    with chat_server(0.2) as (_, model):
        with viewing(write_workspace(tmp_path, cases=200, model=model)) as viewer:
            command = [sys.executable, "-m", "evalh", "-C", str(tmp_path), "run", "--concurrency", "2"]
            run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            page = browser.visit(f"{viewer.door.url}live").page
            page.locator("progress[value]:not([value='0'])").wait_for(timeout=15_000)
            run.kill()
            run.wait()
            page.locator(".card.over").wait_for(timeout=15_000)

            assert "interrupted" in page.inner_text(".card")
        page.locator("#trouble:has-text('does not answer')").wait_for(timeout=15_000)


def test_lists_and_gates_are_quiet_sort_filter_and_satisfy_axe(tmp_path: Path, browser: Browser) -> None:
    folder = write_workspace(tmp_path, cases=40)
    (folder / "prompts/triage/v2.prompt").write_text(PROMPT.replace("Sort the", "Sort this"))
    assert evalh(folder, "compare", "v1", "v2").returncode == 0
    hostile = "<img src=x onerror=alert(1)>"
    keep_gate(folder, "g1", hostile)
    with viewing(folder) as viewer:
        for path, screen in (("", DARK), ("", PHONE), ("gate/g1", PHONE), ("live", LIGHT), ("nowhere", DARK)):
            opened = browser.visit(f"{viewer.door.url}{path}", **screen)
            assert axe(opened.page) == [], path
            assert opened.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
            assert not opened.dialogs
            assert [words for words in opened.complaints if path != "nowhere"] == []
        page = browser.visit(viewer.door.url).page
        page.keyboard.press("/")
        page.keyboard.type("v2 complete")
        assert page.locator("#runs tbody tr:visible").count() == 1
        assert page.inner_text("#count") == "1 of 2"
        page.keyboard.press("Escape")
        page.keyboard.press("j")
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        page.locator(".row").first.wait_for()
        assert page.inner_text("h1").startswith("triage@v1 on small")
        page.go_back()
        page.get_by_role("button", name="version").first.click()
        assert page.locator("#runs tbody th").all_inner_texts() == ["triage@v1", "triage@v2"]
