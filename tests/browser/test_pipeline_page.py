"""The page of a pipeline's run in a real browser: the picture filters, a sample tells its steps, nothing hostile runs."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from browser.conftest import Browser, axe, expect
from browser.hostile import CORPUS
from stepping import ORDERS, step_server, write_pipeline
from workspaces import evalh

pytestmark = pytest.mark.slow

PIPELINE = """steps:
  extract:
    inputs: {email: inputs.email}
  order:
    when: extract.order_id < 1010
    python: steps/orders.py:find
    inputs: {order_id: extract.order_id}
  ask:
    else: order
    python: steps/orders.py:ask
    inputs: {email: inputs.email}
  reply:
    inputs: {email: inputs.email, order: order}
output: [ask, reply]
"""
PHONE = {"viewport": {"width": 360, "height": 780}}
DARK, LIGHT = {"color_scheme": "dark"}, {"color_scheme": "light"}


def run_pipeline(folder: Path, functions: str, cases: int = 40) -> dict[str, Any]:
    """Run a pipeline that branches, with faults at each of its steps; return the run's document."""
    with step_server() as (server, port):
        server.wrong_extracts = frozenset(range(3, cases, 5))
        server.no_json = frozenset({11, 12})
        server.wrong_replies = frozenset({7, 8, 9})
        write_pipeline(folder, port, cases=cases, pipeline=PIPELINE)
        (folder / "steps/orders.py").write_text(functions)
        done = evalh(folder, "run", "--json")
    assert done.returncode in {0, 4}, done.stderr  # 4: too much is ungraded
    written = evalh(folder, "report", "-o", str(folder / "report.html"))
    assert written.returncode == 0, written.stderr
    document: dict[str, Any] = json.loads(done.stdout)["results"][0]
    return document


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("steps")
    document = run_pipeline(
        folder, f"{ORDERS}\n\ndef ask(email):\n    return 'Which order, please? ' + 'We ask. ' * 20\n"
    )
    return folder / "report.html", document


@pytest.fixture(scope="module")
def report(made: tuple[Path, dict[str, Any]]) -> Path:
    return made[0]


def listed(page: Any) -> int:
    """Return how many samples the list shows."""
    told = page.inner_text("#count")
    return int(re.match(r"\d+", told)[0]) if told else 40


def test_the_table_has_the_numbers_of_the_run(made: tuple[Path, dict[str, Any]], browser: Browser) -> None:
    report, document = made
    page = browser.open(report).page

    rows = page.locator("#steps tbody tr").all()
    heads = page.locator("#steps thead th").all_inner_texts()[1:]
    for row, told in zip(rows, document["steps"], strict=True):
        cells = dict(zip(heads, row.locator("td").all_inner_texts(), strict=True))
        for head, key in {"ran": "ran", "good": "good", "bad": "bad", "first bad here": "first_bad"}.items():
            assert cells[head] == (str(told[key]) if told[key] else "·"), (told["step"], head)
    kinds = dict(reversed(text.split(" ", 1)) for text in page.locator(".kinds a").all_inner_texts())
    assert kinds == {
        "clean": str(document["samples_by_word"]["clean"]),
        "poisoned": str(document["samples_by_word"]["poisoned"]),
        "failed at the end": str(document["samples_by_word"]["failed at the end"]),
    }


def test_every_number_is_that_of_the_samples_behind_it(report: Path, browser: Browser) -> None:
    opened = browser.open(report)
    page = opened.page

    links = page.evaluate(
        "[...document.querySelectorAll('.flow.ahead .label a, .flow.ahead a.line, #steps td a, .kinds a')]"
        ".map((link) => [link.getAttribute('href'), (link.querySelector('title')?.textContent.split(': ')[1]"
        " ?? link.textContent).match(/\\d+/)[0]])"
    )
    assert len(links) > 25
    for href, number in links:
        page.evaluate("(href) => { location.hash = href; }", href)
        page.wait_for_function(
            "(href) => location.hash === href && document.getElementById('chosen').textContent", arg=href
        )
        assert listed(page) == int(number), href
    assert opened.quiet(), opened


def test_a_click_on_a_box_or_a_kind_filters_and_is_cleared(report: Path, browser: Browser) -> None:
    page = browser.open(report).page

    page.locator(".flow.ahead a.step[data-at=ask] .frame").click()
    expect(page.locator("#chosen")).to_contain_text("Only ask: reached")
    assert listed(page) < 40
    assert page.locator(".flow.ahead a.step[data-at=ask]").get_attribute("aria-current") == "true"
    page.locator("a[data-kind=poisoned]").click()
    expect(page.locator("#chosen")).to_contain_text("poisoned")
    assert {*page.locator("#list .row div:first-child span").all_inner_texts()} == {"poisoned"}
    assert page.locator("[aria-current][data-at]").count() == 0
    page.select_option("#at", "order>reply.bad")
    both = listed(page)
    page.get_by_role("button", name="Clear: poisoned").click()
    assert listed(page) >= both
    page.get_by_role("button", name="Clear: order → reply: something bad").click()
    assert listed(page) == 40
    assert not page.locator("#chosen").is_visible()
    assert page.url.endswith("#samples")


def test_the_keyboard_walks_the_picture_and_follows_it(report: Path, browser: Browser) -> None:
    page = browser.open(report).page

    page.locator(".kinds a").last.focus()
    seen = []
    for _ in range(20):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.dataset.at ?? ''"))
        if seen[-1] == "extract.first":
            break
    page.keyboard.press("Enter")

    assert {"extract>order", "extract>order.bad", "extract", "extract.first"} <= {*seen}
    expect(page.locator("#at")).to_have_value("extract.first")  # the address changes first
    assert listed(page) == 10
    page.get_by_role("button", name="Clear: extract: first bad here").focus()
    page.keyboard.press("Enter")
    assert listed(page) == 40
    assert page.evaluate("document.activeElement.id") == "at"


def test_a_sample_tells_where_it_went_wrong_and_what_was_handed_on(report: Path, browser: Browser) -> None:
    opened = browser.open(report, hash_="#case=r-0003")
    page = opened.page

    assert page.inner_text(".story") == "poisoned: “extract” was bad first; the output is bad because of “extract”"
    summaries = [" ".join(text.split()) for text in page.locator(".steps .step > summary").all_inner_texts()]
    assert "bad · first bad" in summaries[0]
    assert "tainted" in summaries[1]
    assert "order_id is 1003; expected 3" in page.locator("#detail .step").first.inner_text()
    skipped = page.locator("#detail div.step").inner_text()
    assert "skipped" in skipped
    page.locator("#detail .step summary", has_text="order").click()
    order = page.locator("#detail .step", has_text="steps/orders.py:find").inner_text()
    assert "Handed in: order_id = extract.order_id, which carried something bad Copy\n1003" in order
    assert '{"id": 1003, "state": "late"}' in order
    assert opened.quiet(), opened


def test_the_search_finds_what_a_step_gave(report: Path, browser: Browser) -> None:
    page = browser.open(report).page

    page.locator("input[value=all]").check()
    page.fill("#q", '"order_id": 1003')

    assert page.locator(".row b").all_inner_texts() == ["r-0003"]


@pytest.mark.parametrize("screen", [DARK, LIGHT, PHONE, PHONE | DARK], ids=str)
def test_light_dark_and_phone_are_whole_and_axe_finds_nothing(
    report: Path, browser: Browser, screen: dict[str, object]
) -> None:
    page = browser.open(report, hash_="#kind=poisoned&at=extract.bad", **screen).page

    phone = "viewport" in screen
    assert page.locator(".flow.down").is_visible() is phone
    assert page.locator(".flow.ahead").is_visible() is not phone
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    shown = page.locator(".flow.down" if phone else ".flow.ahead").bounding_box()
    assert shown is not None
    assert shown["x"] >= 0
    assert shown["x"] + shown["width"] <= page.viewport_size["width"]
    assert axe(page) == []


def test_without_scripts_the_picture_and_its_numbers_are_there(report: Path, browser: Browser) -> None:
    page = browser.open(report, java_script_enabled=False).page

    assert page.locator(".flow.ahead").is_visible()
    assert "10 first bad here" in (page.locator(".flow.ahead").text_content() or "")
    assert page.locator("#steps tbody tr").count() == 4


def test_nothing_hostile_in_a_step_runs_and_all_of_it_is_shown(tmp_path: Path, browser: Browser) -> None:
    texts = [re.sub(r"[\x00\ud800\udfff]", "?", text)[:400] for text in CORPUS]
    functions = (
        f"TEXTS = {texts!r}\n\n"
        "def find(order_id):\n    return {'id': order_id, 'state': 'sent', TEXTS[order_id % len(TEXTS)]: TEXTS[order_id % len(TEXTS)]}\n\n"
        "def ask(email):\n    raise ValueError(TEXTS[int(email.split()[-1][:-1]) % len(TEXTS)])\n"
    )
    run_pipeline(tmp_path, functions, cases=len(texts) + 3)
    opened = browser.open(tmp_path / "report.html", hash_="#standing=all&sort=dataset")
    page = opened.page

    for _ in range(len(texts) + 2):
        page.evaluate("for (const step of document.querySelectorAll('#detail details')) step.open = true;")
        page.keyboard.press("j")
    page.fill("#q", "</script><script>alert('end of block')</script>")
    assert page.locator(".row").count() >= 1
    page.locator("#detail .step summary", has_text="order").click()
    assert "</script><script>alert('end of block')</script>" in page.inner_text("#detail .steps")
    for element in ("#detail iframe", "#detail script", "#detail img", "#detail link", "main style"):
        assert page.locator(element).count() == 0
    assert opened.quiet(), (opened.dialogs, opened.requests, opened.complaints)
    assert axe(page) == []
