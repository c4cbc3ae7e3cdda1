"""Reports of runs of real models, clicked through from top to bottom: the embedded model, LLMBar's judges, GSM8K."""

import gzip
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from browser.conftest import Browser, expect
from workspaces import document, evalh

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
RECORDED = '[models.recorded]\nprovider = "replay"\nmodel = "{version}"\npath = "recorded/{version}.jsonl.gz"\n'
PROMPT = "---\ninput: {schema: {question: string}}\n---\n{{question}}\n"
NAMES = """import re

from evalh import GradeContext, Verdict, grader


@grader("names_the_better")
def names_the_better(ctx: GradeContext) -> Verdict:
    said = re.findall(r"Output \\(([ab])\\)", ctx.text.strip().splitlines()[-1])
    return Verdict.check(bool(said) and said[-1] == ctx.expected["better"], f"names {said[-1] if said else 'neither'}")
"""


def written(folder: Path, suite: str, rows: list[dict[str, Any]]) -> Path:
    for name in ("prompts/suite", "evals", "datasets", "recorded"):
        (folder / name).mkdir(parents=True)
    (folder / "evalh.toml").write_text(
        f'[workspace]\ndefault_suite = "suite"\nplugins = ["evals/names.py"]\n\n{RECORDED}'
    )
    (folder / "evals/names.py").write_text(NAMES)
    (folder / "evals/suite.yaml").write_text(f"prompt: suite\ndataset: suite\nmodel: recorded\ngraders:\n{suite}")
    for version in ("v1", "v2"):
        (folder / f"prompts/suite/{version}.prompt").write_text(f"{PROMPT}Answer as {version} does.\n")
    (folder / "datasets/suite.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def read(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def gsm8k(folder: Path, data: Path) -> Path:
    """Two fine-tuned models on grade-school mathematics: 1,319 cases."""
    rows = [
        {
            "id": case["id"],
            "inputs": {"question": case["question"]},
            "expected": {"answer": case["answer"]},
            "tags": ["long" if len(case["question"]) > 240 else "short"],
        }
        for case in read(data / "gsm8k/cases.jsonl.gz")
    ]
    written(folder, "  - number: {expected: answer}\n", rows)
    for version, name in (("v1", "6b_finetuning"), ("v2", "6b_verification")):
        shutil.copy(data / f"gsm8k/outputs-{name}.jsonl.gz", folder / f"recorded/{version}.jsonl.gz")
    return folder


def llmbar(folder: Path, data: Path) -> Path:
    """ChatGPT and GPT-4 say which of two outputs follows an instruction."""
    rows = [
        {
            "id": pair["id"],
            "inputs": {"question": pair["instruction"], "a": pair["output_1"], "b": pair["output_2"]},
            "expected": {"better": "ab"[int(pair["human_label"]) - 1]},
            "tags": ["natural"],
        }
        for pair in read(data / "llmbar/natural-cases.jsonl.gz")
    ]
    written(folder, "  - names_the_better\n", rows)
    said = read(data / "llmbar/natural-outputs.jsonl.gz")
    for version, model in (("v1", "ChatGPT"), ("v2", "GPT-4")):
        own = [row for row in said if (row["model"], row["prompt"], row["swapped"]) == (model, "CoT", False)]
        with gzip.open(folder / f"recorded/{version}.jsonl.gz", "wt") as file:
            file.writelines(json.dumps({"id": row["id"], "output": row["output"]}) + "\n" for row in own)
    return folder


def embedded(folder: Path, _: Path) -> Path:
    """This repository's own workspace, and what the embedded model answered."""
    for part in ("prompts", "evals", "datasets", "steps"):
        shutil.copytree(ROOT / part, folder / part)
    shutil.copytree(ROOT / "tests/recorded/triage", folder / "recorded")
    (folder / "evalh.toml").write_text((ROOT / "evalh.toml").read_text() + "\n" + RECORDED)
    return folder


@pytest.mark.parametrize(
    ("build", "versions"),
    [(embedded, ("v2", "v3")), (llmbar, ("v1", "v2")), (gsm8k, ("v1", "v2"))],
    ids=["embedded", "llmbar", "gsm8k"],
)
def test_every_feature_answers_on_real_runs(
    build: Callable[[Path, Path], Path], versions: tuple[str, str], real_data: Path, tmp_path: Path, browser: Browser
) -> None:
    folder = build(tmp_path / "workspace", real_data)
    done = evalh(folder, "compare", *versions, "--model", "recorded", "--json", "--report", str(tmp_path / "both.html"))
    assert done.returncode in (0, 4), done.stderr
    compared = document(done)
    assert evalh(folder, "report", "-o", str(tmp_path / "run.html")).returncode == 0

    _click_through_a_run(browser, tmp_path / "run.html", compared["sides"]["head"])
    _click_through_a_comparison(browser, tmp_path / "both.html", compared)


def _click_through_a_run(browser: Browser, file: Path, head: dict[str, Any]) -> None:
    opened = browser.open(file)
    page = opened.page
    assert f"good on {head['good']:,} of {head['samples']:,} samples" in page.inner_text("h1")
    for place in page.locator(".top nav a").all():
        place.click()
        assert page.url.endswith(place.get_attribute("href") or "?")
    assert page.locator("#tradeoffs svg.plane circle").count() == 2
    assert page.locator("#history svg.plane .moment").count() >= 3
    page.get_by_role("button", name="good rate").click()
    page.locator(".look a").first.click()
    expect(page.locator("#count")).to_have_text(re.compile(r"^[\d,]+ of [\d,]+ samples"))
    page.locator(".heat a").first.click()
    page.locator(".reasons a").first.click()
    expect(page.locator("#detail .chip.s0, #detail .chip.s1")).to_have_count(1)
    for kind, count in (("good", head["good"]), ("bad", head["bad"]), ("ungraded", head["ungraded"])):
        page.evaluate("location.hash = '#standing=all'")
        expect(page.locator("input[value=all]")).to_be_checked()
        page.locator(f"input[value={kind}]").check()
        assert page.inner_text(f"#n-{kind}") == f"{count:,}"
    page.evaluate("location.hash = '#standing=all&sort=latency'")
    expect(page.locator("#sort")).to_have_value("latency")
    _walk(page)
    assert opened.quiet(), (opened.dialogs, opened.requests[:3], opened.complaints[:3])


def _walk(page: Any) -> None:
    page.keyboard.press("g")
    for key in "jjjk":
        page.keyboard.press(key)
    chosen = page.inner_text("#detail .head b")
    assert page.locator("#detail .verdicts tr").count() >= 1
    page.locator("#detail .head a").click()
    assert f"case={chosen.replace('/', '%2F')}" in page.url
    page.keyboard.press("/")
    page.keyboard.type(chosen)
    assert page.locator(".row").count() >= 1
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.get_by_role("button", name="Close").click()


def _click_through_a_comparison(browser: Browser, file: Path, compared: dict[str, Any]) -> None:
    opened = browser.open(file)
    page = opened.page
    for change in ("regressed", "fixed"):
        page.select_option("#change", change)
        shown = int(page.inner_text("#n-all").replace(",", ""))
        assert shown == len(compared[change]), change
        if shown:
            page.locator(".row").first.click()
            assert page.locator("#detail mark").count()
            assert "Verdicts on base" in page.inner_text("#detail")
    assert page.locator("#diff ins, #diff del").count()
    for place in page.locator(".top nav a").all():
        place.click()
    assert opened.quiet(), (opened.dialogs, opened.requests[:3], opened.complaints[:3])
