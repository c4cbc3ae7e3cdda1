"""The page in a real browser: every feature clicked through, on runs of real work."""

import json
from pathlib import Path

import pytest

from browser.conftest import Browser, axe, expect
from workspaces import chat_server, evalh, label_of, write_workspace

pytestmark = pytest.mark.slow

_TWO_VERSIONS = "Sort the ticket. Answer with JSON, please."


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_workspace(tmp_path_factory.mktemp("page"), cases=60)
    first = (folder / "prompts/triage/v1.prompt").read_text()
    (folder / "prompts/triage/v2.prompt").write_text(first.replace("Sort the ticket. Answer with JSON.", _TWO_VERSIONS))
    rows = [json.loads(line) for line in (folder / "datasets/triage.jsonl").read_text().splitlines()]
    rows = [row | {"tags": ["sevens" if index % 7 == 6 else "others"]} for index, row in enumerate(rows)]
    (folder / "datasets/triage.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "evalh.toml").write_text((folder / "evalh.toml").read_text() + "price = {per_hour = 1.0}\n")
    done = evalh(folder, "run", "--prompt", "v1", "--prompt", "v2")
    assert done.returncode == 0, done.stderr
    done = evalh(folder, "report", "-o", str(folder / "report.html"))
    assert done.returncode == 0, done.stderr
    return folder / "report.html"


def test_the_first_screen_gives_the_verdict_and_leads_to_the_samples(report: Path, browser: Browser) -> None:
    opened = browser.open(report)
    page = opened.page

    assert page.inner_text("h1").startswith("triage@v2 on small is good on 52 of 60 samples: 86.7 %")
    page.locator(".look a").first.click()
    expect(page.locator("#count")).to_have_text("8 of 60 samples")
    expect(page.locator("#detail .chip.s0")).to_have_text("bad")
    assert opened.quiet(), opened


def test_filters_search_and_tags_narrow_the_list(report: Path, browser: Browser) -> None:
    page = browser.open(report).page

    assert page.locator("#n-bad").inner_text() == "8"
    page.locator("input[value=good]").check()
    assert page.locator("#count").inner_text() == "52 of 60 samples"
    page.select_option("#tag", "sevens")
    assert page.locator("#detail").inner_text() == "No sample fits these filters."
    page.locator("input[value=all]").check()
    page.fill("#q", "order 14")
    assert page.locator(".row b").all_inner_texts() == ["t-0014"]
    assert "q=order+14" in page.url


def test_keys_move_search_and_explain_themselves(report: Path, browser: Browser) -> None:
    page = browser.open(report).page

    page.keyboard.press("j")
    assert page.inner_text("#detail .head b") == "t-0014"
    page.keyboard.press("k")
    assert page.inner_text("#detail .head b") == "t-0007"
    page.keyboard.press("/")
    page.keyboard.type("order 21")
    assert page.locator(".row").count() == 1
    page.keyboard.press("Escape")
    assert page.locator(".row").count() > 1
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()


def test_a_key_leads_to_the_next_sample_that_is_not_good(report: Path, browser: Browser) -> None:
    page = browser.open(report, hash_="#sort=dataset").page
    page.check("input[value=all]", force=True)
    chosen = []
    for key in "nnnp":
        page.keyboard.press(key)
        chosen.append(page.inner_text("#detail .head b"))

    assert chosen == ["t-0007", "t-0014", "t-0021", "t-0014"]
    page.keyboard.press("p")
    page.keyboard.press("p")
    assert page.inner_text("#detail .head b") == "t-0007"


def test_a_button_copies_the_output_whole_or_selects_it(report: Path, browser: Browser) -> None:
    opened = browser.open(report, permissions=["clipboard-read", "clipboard-write"])
    page = opened.page
    page.get_by_role("button", name="Copy: Output").click()
    page.get_by_role("button", name="Copy: Output").get_by_text("Copied").wait_for()

    assert page.evaluate("navigator.clipboard.readText()") == '{"label": "bug"}'
    page.evaluate("void (navigator.clipboard.writeText = () => Promise.reject(new Error('refused')))")
    page.get_by_role("button", name="Copy: Inputs: ticket").click()
    page.get_by_role("button", name="Copy: Inputs: ticket").get_by_text("Selected").wait_for()
    assert page.evaluate("getSelection().toString()").strip() == "order 7"
    assert opened.quiet(), opened


def test_a_link_leads_to_its_sample(report: Path, browser: Browser) -> None:
    opened = browser.open(report, hash_="#case=t-0049")

    assert opened.page.inner_text("#detail .head b") == "t-0049"
    assert "Trace" in opened.page.inner_text("#detail")
    assert opened.quiet()


def test_the_table_sorts_and_the_chart_names_its_points(report: Path, browser: Browser) -> None:
    page = browser.open(report).page
    before = page.locator("#tradeoffs tbody th").all_inner_texts()

    page.get_by_role("button", name="version").click()
    page.get_by_role("button", name="version").click()
    after = page.locator("#tradeoffs tbody th").all_inner_texts()

    assert sorted(before) == sorted(after)
    assert [text.split()[0] for text in after] == ["triage@v2", "triage@v1"]
    assert sorted(page.locator("svg.plane .label").all_text_contents()) == ["v1 on small", "v2 on small"]


@pytest.mark.parametrize(
    "screen",
    [{"color_scheme": "dark"}, {"color_scheme": "light"}, {"viewport": {"width": 390, "height": 844}}],
    ids=str,
)
def test_axe_finds_nothing_serious(report: Path, browser: Browser, screen: dict[str, object]) -> None:
    page = browser.open(report, **screen).page

    assert axe(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_without_scripts_the_numbers_and_pictures_are_there(report: Path, browser: Browser) -> None:
    page = browser.open(report, java_script_enabled=False).page

    assert "86.7 %" in page.inner_text("h1")
    assert page.locator("#tradeoffs svg.plane").is_visible()
    assert page.locator("#history svg.plane").is_visible()
    assert "needs this page's own script" in page.inner_text("#samples")


def test_a_comparison_shows_both_outputs_of_what_changed(tmp_path: Path, browser: Browser) -> None:
    folder = write_workspace(tmp_path, cases=120)
    (folder / "evals/answers.py").write_text(
        "import json\n\ndef answer(request, case_id, trial):\n"
        "    number, worse = int(case_id.split('-')[1]), 'please' in request.messages[0].text\n"
        "    return json.dumps({'label': 'bug' if number % (3 if worse else 7) == 0 else 'billing'})\n"
    )
    first = (folder / "prompts/triage/v1.prompt").read_text()
    (folder / "prompts/triage/v2.prompt").write_text(first.replace("Sort the ticket. Answer with JSON.", _TWO_VERSIONS))
    done = evalh(folder, "compare", "v1", "v2", "--json")
    assert done.returncode == 0, done.stderr
    compared = json.loads(done.stdout)
    assert evalh(folder, "report", compared["id"], "-o", str(folder / "report.html")).returncode == 0

    opened = browser.open(folder / "report.html")
    page = opened.page

    assert page.inner_text("h1").startswith("triage@v1 → triage@v2: worse: head is good less often")
    assert page.locator("#count").inner_text() == f"{len(compared['regressed'])} of 120 samples"
    assert page.locator(".row b").first.inner_text() == compared["regressed"][0]
    assert page.locator("#detail mark").all_inner_texts() == ["billing", "bug"]
    assert page.locator("#detail .chip").all_inner_texts().count("got worse") == 1
    assert f"{len(compared['regressed'])} cases got worse" in page.inner_text("header.verdict")
    page.select_option("#change", "fixed")
    assert page.locator("#detail .chip").all_inner_texts().count("got better") == 1
    assert page.locator(".row b").all_inner_texts() == compared["fixed"]
    assert page.locator("#diff ins").all_inner_texts() == [", please"]
    assert axe(page) == []
    assert opened.quiet(), opened


def test_ten_thousand_cases_open_and_are_searched(tmp_path: Path, browser: Browser) -> None:
    folder = write_workspace(tmp_path, cases=10_000)
    assert evalh(folder, "run").returncode == 0
    assert evalh(folder, "report", "-o", str(folder / "report.html")).returncode == 0

    page = browser.open(folder / "report.html").page
    page.locator("input[value=all]").check()
    page.fill("#q", "order 4711")

    expect(page.locator(".row b")).to_have_text(["t-4711"])
    assert (folder / "report.html").stat().st_size < 10_000_000


def test_reasoning_is_folded_until_it_is_asked_for(tmp_path: Path, browser: Browser) -> None:
    thought = "It is <b>about</b> an order.\n" * 3
    with chat_server() as (server, model):
        server.choice = lambda ticket: {"message": {"content": f"<think>{thought}</think>{label_of(ticket)}"}}
        folder = write_workspace(tmp_path, cases=8, model=model)
        assert evalh(folder, "run").returncode == 0
    assert evalh(folder, "report", "-o", str(folder / "report.html")).returncode == 0
    opened = browser.open(folder / "report.html")
    page = opened.page

    fold = page.locator("#detail details.aloud")
    assert fold.locator("summary").inner_text() == "Reasoning, not graded"
    assert not fold.locator(".text").is_visible()
    fold.locator("summary").click()
    assert fold.locator(".text").inner_text() == thought.strip()
    page.fill("#q", "about</b> an order")
    assert page.locator("#count").inner_text() == "1 of 8 samples"  # those that are not good are shown first
    assert opened.quiet(), opened
    assert axe(page) == []
