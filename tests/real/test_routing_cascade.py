"""A cascade over two real models' recorded answers gives what a direct computation on the file gives."""

import gzip
import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from workspaces import document, evalh

WEAK_USD, STRONG_USD = 0.0004, 0.03
PROMPT = """---
config: {max_tokens: 400}
input: {schema: {question: string}}
---
{{question}}
"""
SUITE = """prompt: gsm8k
dataset: gsm8k
model: weak
graders:
  - python: {function: "evals/graders.py:recorded_as_right"}
"""
GRADER = """from evalh import GradeContext, Verdict


def recorded_as_right(ctx: GradeContext) -> Verdict:
    return Verdict.check(ctx.expected[ctx.completion.model], "as it was recorded")
"""
CONFIG = """[models.weak]
provider = "replay"
path = "recorded/weak.jsonl"

[models.strong]
provider = "replay"
path = "recorded/strong.jsonl"

[routes.marked]
model = "weak"
cascade = {checks = [{regex = '####\\s*-?[\\d,.]+'}], escalate_to = "strong"}

[routes.watched]
model = "weak"
cascade = {checks = ["refusal", "repetition", "truncation", "leaked_prompt", "pii"], escalate_to = "strong"}

[routes.short]
model = "weak"
cascade = {checks = [{length = {max_words = 60}}, {regex = '####'}], escalate_to = "strong"}
"""
Row = dict[str, Any]


def marked(row: Row) -> bool:
    """Whether the weak model's answer has the mark that it was taught: the check of `marked`, by Python's `re`."""
    return re.search(r"####\s*-?[\d,.]+", row["weak_output"]) is not None


def short(row: Row) -> bool:
    return len(row["weak_output"].split()) <= 60 and "####" in row["weak_output"]


@pytest.fixture(scope="module")
def rows(real_data: Path) -> list[Row]:
    with gzip.open(real_data / "routing/gsm8k-weak-strong.jsonl.gz", "rt") as lines:
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def workspace(rows: list[Row], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("routing")
    for name in ("prompts/gsm8k", "evals", "datasets", "recorded"):
        (folder / name).mkdir(parents=True)
    (folder / "evalh.toml").write_text(CONFIG)
    (folder / "evals/gsm8k.yaml").write_text(SUITE)
    (folder / "evals/graders.py").write_text(GRADER)
    (folder / "prompts/gsm8k/v1.prompt").write_text(PROMPT)
    cases = [
        {
            "id": row["id"],
            "inputs": {"question": row["question"]},
            "expected": {"weak": row["weak_correct"], "strong": row["strong_correct"]},
        }
        for row in rows
    ]
    _write(folder / "datasets/gsm8k.jsonl", cases)
    for model, usd in (("weak", WEAK_USD), ("strong", STRONG_USD)):
        recorded = [{"id": r["id"], "output": r[f"{model}_output"], "model": model, "cost_usd": usd} for r in rows]
        _write(folder / f"recorded/{model}.jsonl", recorded)
    return folder


def _write(path: Path, rows: list[Row]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.mark.parametrize(("route", "trusted"), [("marked", marked), ("short", short)])
def test_a_cascade_equals_a_direct_computation_on_the_file(
    workspace: Path, rows: list[Row], route: str, trusted: Callable[[Row], bool]
) -> None:
    done = evalh(workspace, "run", "gsm8k", "--model", route, "--fresh", "--json")
    assert done.returncode == 0, done.stderr
    result = document(done)["results"][0]

    escalated = [row for row in rows if not trusted(row)]
    good = sum(row["weak_correct"] if trusted(row) else row["strong_correct"] for row in rows)
    spent = WEAK_USD * len(rows) + STRONG_USD * len(escalated)
    assert 0 < len(escalated) < len(rows)
    assert result["good"] == good
    assert result["good_rate"]["value"] == pytest.approx(good / len(rows), abs=1e-12)
    assert result["cost_usd"] == pytest.approx(spent, abs=1e-9)
    assert result["cost_per_good_usd"]["value"] == pytest.approx(spent / good, rel=1e-9)
    assert result["attempts"] == len(rows) + len(escalated)
    assert _escalated(workspace, result["run"]) == {row["id"] for row in escalated}


def test_what_was_bought_for_the_weak_model_alone_serves_the_cascade(workspace: Path, rows: list[Row]) -> None:
    evalh(workspace, "run", "gsm8k", "--model", "weak", "--json")

    first = document(evalh(workspace, "run", "gsm8k", "--model", "marked", "--limit", "500", "--json"))["results"][0]
    again = document(evalh(workspace, "run", "gsm8k", "--model", "marked", "--limit", "500", "--json"))["results"][0]

    assert again["attempts"] == 0
    assert again["cache_hits"] == 500
    for part in ("good", "good_rate", "cost_per_good_usd"):
        assert again[part] == first[part]
    escalated = sum(not marked(row) for row in rows[:500])
    assert first["attempts"] in (0, escalated)  # 0: the test above has run, and the route is answered already


def test_explain_says_how_often_escalation_helped_and_what_it_cost(workspace: Path, rows: list[Row]) -> None:
    evalh(workspace, "run", "gsm8k", "--model", "short", "--fresh", "--json")

    (explained,) = document(evalh(workspace, "explain", "short", "--last", "1", "--json"))["routes"]

    (decision,) = [one for one in explained["decisions"] if one["then"] == "strong answers the same request"]
    escalated = [row for row in rows if not short(row)]
    helped = sum(row["strong_correct"] and not row["weak_correct"] for row in escalated)
    harmed = sum(row["weak_correct"] and not row["strong_correct"] for row in escalated)
    same = len(escalated) - helped - harmed
    assert decision["taken"] == len(escalated)
    assert decision["cost_usd"] == pytest.approx(STRONG_USD * len(escalated), abs=1e-9)
    assert decision["helped"] == f"{helped} bad → good, {harmed} good → bad, {same} the same"


def _escalated(folder: Path, run_id: str) -> set[str]:
    with closing(sqlite3.connect(folder / ".evalh/evalh.db")) as db:
        query = "select distinct case_id from escalations where run_id = ? and escalated"
        return {case_id for (case_id,) in db.execute(query, (run_id,))}


def test_checks_of_the_output_stand_in_a_route_and_see_what_was_asked(workspace: Path, rows: list[Row]) -> None:
    done = evalh(workspace, "run", "gsm8k", "--model", "watched", "--fresh", "--json")

    assert done.returncode == 0, done.stderr
    escalated = _escalated(workspace, document(done)["results"][0]["run"])
    cut = {row["id"] for row in rows if row["weak_output"].rstrip().endswith(("75 -", "3 x"))}
    refused = {row["id"] for row in rows if "I can't provide" in row["weak_output"]}
    assert escalated == cut | refused
    assert len(escalated) == 3
