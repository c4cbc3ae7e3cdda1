"""A real Chromium; where there is none the tests are skipped and say so."""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

WATCH = "addEventListener('securitypolicyviolation', (event) => console.error(`policy: ${event.violatedDirective}`))"
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")


@dataclass
class Opened:
    """A page and what happened while it was open."""

    page: Any
    dialogs: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def quiet(self) -> bool:
        return not (self.dialogs or self.requests or self.complaints)


def expect(found: Any) -> Any:
    """Return what one may claim of an element: each claim waits until it is true.

    After a click on a link into the page the address changes first, and the page follows it a moment later.
    """
    from playwright.sync_api import expect as expecting

    return expecting(found)


class Browser:
    """Opens a file and listens."""

    def __init__(self, chromium: Any) -> None:
        self._chromium = chromium

    def open(self, path: Path, *, hash_: str = "", **context: Any) -> Opened:
        opened = self.visit(f"file://{path}{hash_}", **context)
        opened.requests = [url for url in opened.requests if not url.startswith(f"file://{path}")]
        return opened

    def visit(self, url: str, **context: Any) -> Opened:
        still = {"reduced_motion": "reduce"}  # scrolling smoothly is waited for
        page = self._chromium.new_context(**still | context).new_page()
        opened = Opened(page)
        page.on("dialog", lambda dialog: (opened.dialogs.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: opened.requests.append(request.url))
        page.on("console", lambda message: opened.complaints.append(message.text))
        page.on("pageerror", lambda error: opened.complaints.append(str(error)))
        page.add_init_script(WATCH)
        page.goto(url)
        return opened


@pytest.fixture(scope="module")  # the driver's event loop runs as long: no test beside these could start one of its own
def browser() -> Iterator[Browser]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = os.environ.get("EVALH_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("no Chromium here: install Debian's chromium, or name one in EVALH_CHROMIUM")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=program, args=list(FLAGS))
        yield Browser(chromium)
        chromium.close()


def axe(page: Any) -> list[str]:
    """Return what axe finds serious or critical."""
    library = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    found = library.Axe().run(page).response["violations"]
    return [
        json.dumps([one["id"], one["help"], [node["html"][:160] for node in one["nodes"]][:3]])
        for one in found
        if one["impact"] in {"serious", "critical"}
    ]
