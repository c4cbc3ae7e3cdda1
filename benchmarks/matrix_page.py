"""How a matrix of 10,000 cases × 6 columns behaves in a browser: how fast it opens, scrolls and filters.

    python benchmarks/matrix_page.py [CASES] [VERSIONS]

Two models answer every version; each output has some 200 characters of its own. Needs playwright and a Chromium
(EVALH_CHROMIUM, or `chromium` on the path).
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROMPT = "---\nconfig: {{max_tokens: 80}}\ninput: {{schema: {{ticket: string}}}}\n---\nAnswer {}: {{{{ticket}}}}\n"
SUITE = "prompt: answer\ndataset: tickets\nmodel: one\ngraders:\n  - contains: [refund]\n"
TOML = '[workspace]\ndefault_suite = "answer"\n'
MODEL = """[models.{}]
provider = "scripted"
model = "{}"
function = "evals/answers.py:{}"
price = {{input = 1, output = 1}}
"""
ANSWERS = """import hashlib

WORDS = "we will look into order your parcel is on its way please send the number of a refund within days".split()


def answer(request, case_id, trial, salt="one"):
    seed = hashlib.sha256(f"{salt} {case_id} {request.messages[-1].text[:9]}".encode()).digest()
    return " ".join(WORDS[byte % len(WORDS)] for byte in seed) + f" ({case_id})"


def other(request, case_id, trial):
    return answer(request, case_id, trial, "two")
"""
FRAMES = """() => new Promise((done) => {
  const grid = document.getElementById("grid"), frames = [];
  let last = performance.now(), count = 0;
  const frame = (now) => {
    frames.push(now - last);
    last = now;
    grid.scrollTop = count % 50 === 49 ? Math.random() * grid.scrollHeight : grid.scrollTop + 400;
    if (++count < 300) requestAnimationFrame(frame); else done(frames.slice(2).sort((one, other) => one - other));
  };
  requestAnimationFrame(frame);
})"""
PRESS = """(key) => {
  const began = performance.now();
  document.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  return performance.now() - began;
}"""
FILTER = """(words) => {
  const q = document.getElementById("q"), began = performance.now();
  q.value = words;
  q.dispatchEvent(new Event("input", { bubbles: true }));
  document.getElementById("grid").getBoundingClientRect();
  return [performance.now() - began, document.getElementById("count").textContent];
}"""


def workspace(folder: Path, cases: int, versions: int) -> None:
    for name in ("prompts/answer", "evals", "datasets"):
        (folder / name).mkdir(parents=True)
    for number in range(1, versions + 1):
        (folder / f"prompts/answer/v{number}.prompt").write_text(PROMPT.format(number))
    (folder / "evals/answer.yaml").write_text(SUITE)
    (folder / "evals/answers.py").write_text(ANSWERS)
    (folder / "evalh.toml").write_text(
        TOML + MODEL.format("one", "one", "answer") + MODEL.format("two", "two", "other")
    )
    with (folder / "datasets/tickets.jsonl").open("w") as file:
        for number in range(cases):
            ticket = f"Where is order {number}? I have been waiting for {number % 30} days and nobody answers me."
            file.write(
                json.dumps({"id": f"t-{number:05d}", "inputs": {"ticket": ticket}, "tags": [f"w{number % 7}"]}) + "\n"
            )


def evalh(folder: Path, *arguments: str) -> float:
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "evalh", "-C", str(folder), *arguments], check=True, stdout=subprocess.DEVNULL
    )
    return time.perf_counter() - began


def main(cases: int = 10_000, versions: int = 3) -> None:
    from playwright.sync_api import sync_playwright

    program = os.environ.get("EVALH_CHROMIUM") or shutil.which("chromium")
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as driver:
        folder = Path(scratch)
        workspace(folder, cases, versions)
        asked = [word for number in range(1, versions + 1) for word in ("-p", f"v{number}")]
        evalh(folder, "run", *asked, "-m", "one", "-m", "two", "--json")
        page_file = folder / "matrix.html"
        written = evalh(folder, "matrix", "--report", str(page_file), "--json")
        print(f"{cases:,} cases x {2 * versions}: written in {written:.1f} s, {page_file.stat().st_size / 1e6:.1f} MB")
        chromium = driver.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        page = chromium.new_page(viewport={"width": 1280, "height": 900})
        began = time.perf_counter()
        page.goto(f"file://{page_file}")
        page.locator(".grid .line").first.wait_for()
        print(f"opens in {time.perf_counter() - began:.2f} s")
        page.wait_for_timeout(1000)  # the search is prepared while nobody waits
        frames = page.evaluate(FRAMES)
        at = lambda share: frames[int(share * (len(frames) - 1))]  # noqa: E731
        print(f"a frame while scrolling: p50 {at(0.5):.1f} ms, p95 {at(0.95):.1f} ms, at most {at(1):.1f} ms")
        page.check("input[value=all]", force=True)
        for words in ("refund", "t-00042", "of your parcel", "nothing has this", ""):
            took, left = page.evaluate(FILTER, words)
            print(f"filter {words!r}: {took:.0f} ms ({left or 'all'})")
        for key in ("d", "o", "d"):
            took = page.evaluate(PRESS, key)
            print(f"key {key}: {took:.0f} ms")
        chromium.close()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
