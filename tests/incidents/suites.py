"""A suite with incidents that all fail, and the same suite without them. Not a test itself."""

import json
from pathlib import Path
from typing import Any

from workspaces import write_workspace

# The model reads from its prompt on which tickets it is wrong, and at what price; it is wrong on incidents
# unless it is told to keep them.
ANSWERS = """import json
import re

from evalh.core.attempt import Completion


def answer(request, case_id, trial):
    told = dict(re.findall(r"([a-z]+)=(\\d+)", request.messages[0].text))
    kind, number = case_id.split("-")
    wrong = (int(number) * 7 + trial * 5) % int(told["wrong"]) == 0
    if kind == "i":
        wrong = told.get("keeps", "") != "1"
    spread = 1 + int(number) % 5 / 10
    cost = int(told.get("microcents", 100)) * 1e-6 * spread
    text = json.dumps({"label": "bug" if wrong else "billing"})
    return Completion(text=text, cost_usd=cost * (50 if kind == "i" else 1), latency_ms=100 * spread)
"""
PROMPT = """---
config: {temperature: 0, max_tokens: 24}
input: {schema: {ticket: string}}
---
{{role "system"}}
Sort the ticket. TOLD
{{role "user"}}
{{ticket}}
"""
SUITE = """prompt: triage
dataset: triage
model: small
graders:
  - equals: {path: label, expected: label}
  - not: {contains: {value: bug}, name: no_bug, required: false}
value: {bad_usd: 0.5}
"""
TAGS = (["urgent"], ["urgent", "old"], [])


def case(number: int, **more: object) -> dict[str, Any]:
    tags = {"tags": TAGS[number % 3]} if TAGS[number % 3] else {}
    cluster = {"cluster": f"c-{number // 4}"} if number % 4 < 2 else {}
    return {
        "id": f"t-{number:04d}",
        "inputs": {"ticket": f"order {number}"},
        "expected": {"label": "billing"},
        **tags,
        **cluster,
        **more,
    }


def incident(number: int, **more: object) -> dict[str, Any]:
    """A row as `evalh dataset add` writes it."""
    return {
        "id": f"i-{number:04d}",
        "inputs": {"ticket": f"let me in {number}"},
        "expected": {"label": "billing"},
        "tags": ["incident"],
        "source": {"workflow": f"w-{number}", "at": "2026-11-27T08:01:00Z"},
        **more,
    }


def rows(cases: int, incidents: int) -> list[dict[str, Any]]:
    """Rows with incidents among them; two of these would tie clusters that nothing else ties."""
    found = [case(number) for number in range(1, cases + 1)]
    more = [incident(number) for number in range(1, incidents + 1)]
    if incidents > 1 and cases:
        more[0] |= {"inputs": found[1]["inputs"], "cluster": "c-3"}
        more[1] |= {"cluster": "c-5", "inputs": found[6]["inputs"]}
    for place, one in enumerate(more):
        found.insert(5 * place, one)
    return found


def write_rows(folder: Path, cases: int, incidents: int) -> None:
    text = "".join(json.dumps(one) + "\n" for one in rows(cases, incidents))
    (folder / "datasets/triage.jsonl").write_text(text)


def write_suite(folder: Path, *, cases: int = 60, incidents: int = 0, suite: str = SUITE) -> Path:
    """Write the workspace: v1 and v2 are wrong on other tickets."""
    folder.mkdir(parents=True, exist_ok=True)
    write_workspace(folder)
    write_rows(folder, cases, incidents)
    (folder / "evals/answers.py").write_text(ANSWERS)
    (folder / "evals/triage.yaml").write_text(suite)
    for version, told in (("v1", "wrong=4"), ("v2", "wrong=3 microcents=130")):
        (folder / f"prompts/triage/{version}.prompt").write_text(PROMPT.replace("TOLD", told))
    return folder
