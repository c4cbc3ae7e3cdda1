"""The matrix in a real browser: two models and three versions on one page, by mouse, by keyboard, by link."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from browser.conftest import Browser, axe, expect
from browser.hostile import CORPUS
from viewing import viewing
from workspaces import PROMPT, evalh, write_workspace

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
DARK, LIGHT = {"color_scheme": "dark"}, {"color_scheme": "light"}
PHONE = {"viewport": {"width": 390, "height": 844}}
MODELS = """provider = "scripted"
model = "one-1"
function = "evals/answers.py:one"

[models.large]
provider = "scripted"
model = "two-1"
function = "evals/answers.py:two"
"""
ANSWERS = """import json


def label(request, number, every):
    version = request.messages[0].text.count("!")
    return json.dumps({"label": "bug" if number % (every + version) == 0 else "billing"})


def one(request, case_id, trial):
    return label(request, int(case_id.split("-")[1]), 5)


def two(request, case_id, trial):
    return label(request, int(case_id.split("-")[1]), 7)
"""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_workspace(tmp_path_factory.mktemp("matrix"), cases=400, model=MODELS)
    for number in (2, 3):
        prompt = PROMPT.replace("Sort the ticket.", f"Sort the ticket{'!' * (number - 1)}")
        (folder / f"prompts/triage/v{number}.prompt").write_text(prompt)
    (folder / "evals/answers.py").write_text(ANSWERS)
    asked = ("-p", "v1", "-p", "v2", "-p", "v3", "-m", "small", "-m", "large")
    done = evalh(folder, "run", *asked)
    assert done.returncode == 0, done.stderr
    assert "next: evalh matrix triage --report matrix.html" in done.stderr
    return folder


@pytest.fixture(scope="module")
def matrix(workspace: Path) -> Path:
    assert evalh(workspace, "matrix", "--report", str(workspace / "matrix.html")).returncode == 0
    return workspace / "matrix.html"


def heads(page: Any) -> list[str]:
    return [head.split("\n")[0] for head in page.locator(".heads [role=columnheader]").all_inner_texts()]


def test_two_models_and_three_versions_are_one_page_of_which_only_rows_in_sight_are_drawn(
    matrix: Path, browser: Browser
) -> None:
    opened = browser.open(matrix)
    page = opened.page

    assert page.locator("#versions tbody tr").count() == 6
    assert heads(page) == ["case", *["triage@v1"] * 2, *["triage@v2"] * 2, *["triage@v3"] * 2]
    assert page.locator(".grid .line").count() < 40
    page.check("input[value=all]", force=True)
    assert page.get_attribute("#grid", "aria-rowcount") == "401"
    page.evaluate("document.getElementById('grid').scrollTop = 1e9")
    page.locator("#c-399-0").wait_for()
    assert page.locator(".grid .line").count() < 40
    assert opened.quiet(), opened.complaints


def test_numbers_are_the_runs_own(matrix: Path, workspace: Path, browser: Browser) -> None:
    told = json.loads(evalh(workspace, "matrix", "--json").stdout)
    shown = browser.open(matrix).page.locator(".heads strong").all_inner_texts()

    assert shown == [f"{100 * column['good_rate']['value']:.1f} %" for column in told["columns"]]
    assert told["cases"] == 400


def test_filters_search_and_order_follow_the_columns_that_are_shown(matrix: Path, browser: Browser) -> None:
    page = browser.open(matrix).page
    counts = [int(page.inner_text(f"#n-{name}")) for name in ("all", "differs", "outputs")]

    assert counts[0] == 400
    assert 0 < counts[1] <= counts[2] < 400
    first = page.locator("#c-0-0").inner_text()
    page.select_option("#sort", "dataset")
    assert page.locator("#c-0-0").inner_text() != first
    page.fill("#q", "order 35")
    assert page.inner_text("#count").endswith("of 400 cases")
    assert "order 35" in page.locator("#c-0-0").inner_text()
    page.fill("#q", "")
    page.locator(".columns summary").click()
    for box in page.locator("#columns input").all()[1:]:
        box.uncheck()
    assert heads(page) == ["case", "triage@v1"]
    assert page.inner_text("#n-differs") == "0"
    assert "No case fits" in page.inner_text("#grid")


def test_the_keyboard_alone_reaches_every_cell_and_what_is_in_it(matrix: Path, browser: Browser) -> None:
    page = browser.open(matrix).page
    page.keyboard.press("g")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("l")
    page.keyboard.press("l")
    assert page.get_attribute("#grid", "aria-activedescendant") == "c-1-2"
    page.keyboard.press("Enter")
    detail = page.locator("#detail")
    assert detail.locator("h2").inner_text() == "triage@v1 on small"
    assert detail.locator(".other").count() == 5
    page.keyboard.press("ArrowRight")
    assert detail.locator("h2").inner_text().startswith("triage@v2")
    page.keyboard.press("Escape")
    assert detail.is_hidden()
    page.keyboard.press("End")
    assert page.get_attribute("#grid", "aria-activedescendant") == f"c-{int(page.inner_text('#n-differs')) - 1}-3"
    page.keyboard.press("d")
    assert page.is_checked("input[value=all]")
    page.keyboard.press("/")
    page.keyboard.type("t-0007")
    assert page.inner_text("#n-all") == "1"
    page.keyboard.press("Escape")
    assert page.inner_text("#n-all") == "400"
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()


def test_a_key_leads_to_the_next_cell_that_is_not_good_and_back(matrix: Path, browser: Browser) -> None:
    page = browser.open(matrix, hash_="#show=all&sort=dataset").page
    place = lambda: page.get_attribute("#grid", "aria-activedescendant")  # noqa: E731
    words = lambda: page.locator(f"#{place()} .mark").inner_text()  # noqa: E731
    seen = []
    for _ in range(8):
        page.keyboard.press("n")
        assert words().startswith("bad")
        seen.append(place())

    assert len(set(seen)) == 8
    page.keyboard.press("p")
    assert place() == seen[-2]
    for _ in range(20):
        page.keyboard.press("p")
    assert place() == seen[0]


def test_rows_that_a_grader_failed_are_filtered_and_linked_to(matrix: Path, browser: Browser) -> None:
    page = browser.open(matrix).page
    page.check("input[value=all]", force=True)
    page.select_option("#grader", "equals")
    failed = int(page.inner_text("#n-all"))

    assert 0 < failed < 400
    assert failed == int(page.inner_text("#n-differs")) + int(page.inner_text("#n-none"))
    address = page.evaluate("location.hash")
    assert "grader=equals" in address
    assert browser.open(matrix, hash_=address).page.inner_text("#n-all") == str(failed)
    page.select_option("#grader", "schema")
    assert page.inner_text("#n-all") == "0"


def test_a_link_opens_the_same_filter_columns_and_cell(matrix: Path, browser: Browser) -> None:
    page = browser.open(matrix, hash_="#show=all&q=t-00&sort=worst&hide=0.3&cell=2~t-0035").page
    page.locator("#detail h2").wait_for()

    assert len(heads(page)) == 1 + 4
    assert page.inner_text("#detail .head b") == "t-0035"
    assert page.inner_text("#detail h2").startswith("triage@v2")
    page.focus("#grid")
    page.keyboard.press("ArrowLeft")
    assert "cell=1%7Et-0035" in page.evaluate("location.hash")
    assert page.inner_text("#detail h2").startswith("triage@v1")


@pytest.mark.parametrize("screen", [LIGHT, DARK, PHONE], ids=["light", "dark", "phone"])
def test_axe_finds_nothing_serious_and_the_page_is_no_wider_than_the_screen(
    matrix: Path, browser: Browser, screen: dict[str, Any]
) -> None:
    page = browser.open(matrix, **screen).page
    assert axe(page) == []
    page.keyboard.press("g")
    page.keyboard.press("l")
    page.keyboard.press("Enter")

    assert axe(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_what_fits_is_printed_as_far_as_a_person_reads(matrix: Path, browser: Browser) -> None:
    page = browser.open(matrix).page
    page.check("input[value=all]", force=True)
    page.evaluate("dispatchEvent(new Event('beforeprint'))")

    assert page.locator(".grid .line").count() == 300
    assert "100 more cases are not printed" in page.inner_text("#grid")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator(".grid .line").count() < 40


def test_hostile_texts_stay_text_in_every_cell(tmp_path: Path, browser: Browser) -> None:
    folder = write_workspace(tmp_path, cases=len(CORPUS), model=MODELS)
    (folder / "prompts/triage/v2.prompt").write_text(PROMPT.replace("Sort", "Please sort"))
    (folder / "evals/corpus.json").write_text(json.dumps(CORPUS))
    (folder / "evals/answers.py").write_text(
        "import json\nfrom pathlib import Path\n\nCORPUS = json.loads((Path(__file__).parent / 'corpus.json').read_text())"
        "\n\n\ndef one(request, case_id, trial):\n    return CORPUS[int(case_id.split('-')[1]) - 1]\n\n\ntwo = one\n"
    )
    rows = [json.loads(line) for line in (folder / "datasets/triage.jsonl").read_text().splitlines()]
    for row, text in zip(rows, CORPUS, strict=True):
        shown = text[:4000].encode("ascii", "replace").decode().replace("\x00", "?")
        row |= {"inputs": {"ticket": shown}, "tags": [shown[:40]], "expected": {"label": shown}}
    (folder / "datasets/triage.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert evalh(folder, "run", "-p", "v1", "-p", "v2").returncode == 0
    done = evalh(folder, "matrix", "--all", "--limit", "99", "--report", str(folder / "matrix.html"))
    assert not {"\x1b", "\u202e", "\x00"} & set(done.stdout)

    opened = browser.open(folder / "matrix.html")
    opened.page.check("input[value=all]", force=True)
    opened.page.keyboard.press("g")
    opened.page.keyboard.press("l")
    opened.page.keyboard.press("Enter")
    for _ in CORPUS:
        opened.page.keyboard.press("j")
    for element in ("iframe", "img", "link", "main script", "main style", "main a[href*=':']"):
        assert opened.page.locator(element).count() == 0, element
    assert opened.quiet(), (opened.dialogs, opened.requests, opened.complaints)
    with viewing(folder) as viewer:
        seen = browser.visit(f"{viewer.door.url}suite/triage")
        assert not seen.complaints
        assert not seen.dialogs


def test_a_cell_of_a_pipeline_opens_its_steps_and_a_step_can_be_a_column(tmp_path: Path, browser: Browser) -> None:
    for part in ("prompts", "evals", "datasets", "steps"):
        shutil.copytree(ROOT / part, tmp_path / part)
    shutil.copy(ROOT / "tests/recorded/order_status.jsonl.gz", tmp_path / "orders.jsonl.gz")
    recorded = '\n[models.recorded]\nprovider = "replay"\npath = "orders.jsonl.gz"\n'
    (tmp_path / "evalh.toml").write_text((ROOT / "evalh.toml").read_text() + recorded)
    done = evalh(tmp_path, "run", "order_status", "-m", "recorded", "--json")
    assert done.returncode == 0, done.stderr
    assert evalh(tmp_path, "matrix", "order_status", "--report", str(tmp_path / "matrix.html")).returncode == 0

    opened = browser.open(tmp_path / "matrix.html", hash_="#show=none&sort=dataset")
    page = opened.page
    page.locator("#c-0-1").click()
    names = page.locator("#detail .step .name").all_inner_texts()
    assert names == ["read", "order", "reply", "ask"]
    page.locator("#detail .close").click()
    page.locator(".columns summary").click()
    page.get_by_role("checkbox", name="· read").check()
    assert [head.strip() for head in heads(page)[1:]] == ["order_status@v4", "read (order_status@v4)"]
    assert page.locator("#c-0-2 .mark").inner_text().split()[0] in {"good", "bad"}
    assert axe(page) == []
    assert opened.quiet(), opened.complaints


def test_ticked_runs_lead_to_their_comparison_and_to_their_matrix(workspace: Path, browser: Browser) -> None:
    with viewing(workspace) as viewer:
        page = browser.visit(viewer.door.url).page
        page.locator(".tick input").nth(0).check()
        assert "tick another one" in page.inner_text("#ticked")
        page.locator(".tick input").nth(1).check()
        page.locator("#ticked a", has_text="Compare").click()
        page.locator("#sides").wait_for()
        assert "triage@v3" in page.inner_text("h1")
        assert "/compare/" in page.url
        page.get_by_role("link", name="All runs").click()
        assert page.url == viewer.door.url
        page.go_back()
        page.go_back()
        assert page.inner_text("#ticked").startswith("2 runs ticked")
        page.locator(".tick input").nth(2).check()
        page.locator("#ticked a", has_text="Matrix").click()
        page.locator(".grid .line").first.wait_for()
        assert len(heads(page)) == 1 + 3
        page.keyboard.press("g")
        page.keyboard.press("l")
        page.keyboard.press("Enter")
        case = page.inner_text("#detail .head b")
        page.locator("#detail a", has_text="page").click()
        page.locator("#detail .head b").wait_for()
        assert page.inner_text("#detail .head b") == case
        assert "/run/" in page.url
        page.goto(viewer.door.url)
        page.locator(".matrices a").click()
        page.locator(".grid .line").first.wait_for()
        assert len(heads(page)) == 1 + 6


def test_no_link_of_the_bar_is_cut_on_a_phone(workspace: Path, browser: Browser) -> None:
    with viewing(workspace) as viewer:
        for path in ("", "suite/triage", "production", "live"):
            page = browser.visit(f"{viewer.door.url}{path}", **PHONE).page
            for link in page.locator(".top nav a").all():
                box = link.bounding_box()
                assert box is not None
                assert 0 <= box["x"] < box["x"] + box["width"] <= 390, (path, link.inner_text())


def test_a_phone_shows_every_runs_good_rate(workspace: Path, browser: Browser) -> None:
    with viewing(workspace) as viewer:
        page = browser.visit(viewer.door.url, **PHONE).page
        rates = page.locator("#runs tbody tr td:nth-child(3)")

        assert rates.count() == 6
        for rate in rates.all():
            box = rate.bounding_box()
            assert box is not None
            assert box["x"] + box["width"] <= 390
            assert rate.inner_text().endswith("%")


def test_a_number_of_the_confusion_matrix_leads_to_its_samples(workspace: Path, browser: Browser) -> None:
    rows = [json.loads(line) for line in (workspace / "datasets/triage.jsonl").read_text().splitlines()]
    labelled = workspace / "datasets/labelled.jsonl"
    for row in rows:
        number = int(row["id"].split("-")[1])
        row["expected"] = {"label": "bug" if number % 3 == 0 else "billing"}
    labelled.write_text("".join(json.dumps(row) + "\n" for row in rows))
    suite = (workspace / "evals/triage.yaml").read_text().replace("dataset: triage", "dataset: labelled")
    (workspace / "evals/labelled.yaml").write_text(suite)
    assert evalh(workspace, "run", "labelled", "-p", "v1", "--report", str(workspace / "labels.html")).returncode == 0
    opened = browser.open(workspace / "labels.html")
    page = opened.page

    cell = page.get_by_label("gold bug, said billing:")
    count = cell.inner_text()
    cell.click()
    expect(page.locator("#gold")).to_have_value("bug")
    expect(page.locator("#said")).to_have_value("billing")
    assert page.inner_text("#n-all") == count
    assert axe(page) == []
    assert opened.quiet(), opened.complaints


INTENTS = (
    "card_arrival",
    "card_linking",
    "exchange_rate",
    "card_payment_wrong_exchange_rate",
    "extra_charge_on_statement",
    "pending_cash_withdrawal",
    "fiat_currency_support",
    "card_delivery_estimate",
)


@pytest.mark.parametrize("many", [4, 8])
@pytest.mark.parametrize("width", [1200, 1440])
def test_the_last_column_of_the_confusion_matrix_is_in_sight(
    tmp_path: Path, browser: Browser, many: int, width: int
) -> None:
    folder = write_workspace(tmp_path, cases=80)
    rows = [json.loads(line) for line in (folder / "datasets/triage.jsonl").read_text().splitlines()]
    for number, row in enumerate(rows):
        row["expected"] = {"label": INTENTS[number % many]}
    (folder / "datasets/triage.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "evals/answers.py").write_text(
        "import json\n\n\ndef answer(request, case_id, trial):\n"
        f"    number = int(case_id.split('-')[1]) - 1\n    names = {INTENTS[:many]}\n"
        "    return json.dumps({'label': names[(number + (number % 5 == 0)) % len(names)]})\n"
    )
    suite = (folder / "evals/triage.yaml").read_text()
    (folder / "evals/triage.yaml").write_text(suite.replace("  - schema\n", ""))
    assert evalh(folder, "run", "--report", str(folder / "labels.html")).returncode == 0

    page = browser.open(folder / "labels.html", viewport={"width": width, "height": 900}).page
    region = page.locator(".scroll:has(.confusion)")
    frame = region.bounding_box()

    assert region.evaluate("one => one.scrollWidth <= one.clientWidth")
    for head in region.locator("thead th").all():
        box = head.bounding_box()
        assert frame is not None
        assert box is not None
        assert frame["x"] <= box["x"]
        assert box["x"] + box["width"] <= frame["x"] + frame["width"] + 1
    assert (region.locator(".turned").count() == 1) == (many == 8)
