"""Recorded outputs of real models as versions: what compare counts is what a direct count on the files gives."""

import gzip
import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from math import isfinite
from pathlib import Path
from typing import Any

import pytest

from workspaces import document, evalh

JUDGES = ("Vanilla_NoRules", "Metrics_Reference", "CoT")
PROMPT = """---
description: {description}
input: {{schema: {{instruction: string, output_1: string, output_2: string}}}}
---
{{{{instruction}}}}
{{{{output_1}}}}
{{{{output_2}}}}
"""
CONFIG = """[workspace]
default_suite = "{name}"

[models.recorded]
provider = "replay"
model = "{{version}}"
path = "recorded/{{version}}.jsonl"
"""


def rows_of(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt") as lines:
        yield from map(json.loads, lines)


def write(folder: Path, name: str, prompts: list[str], grader: str) -> Path:
    for part in (f"prompts/{name}", "evals", "datasets", "recorded"):
        (folder / part).mkdir(parents=True)
    (folder / "evalh.toml").write_text(CONFIG.format(name=name))
    (folder / f"evals/{name}.yaml").write_text(
        f"prompt: {name}\ndataset: {name}\nmodel: recorded\ngraders:\n  - {grader}\n"
    )
    for number, text in enumerate(prompts, 1):
        (folder / f"prompts/{name}/v{number}.prompt").write_text(text)
    return folder


def dump(path: Path, rows: Any) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="module")
def llmbar(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """GPT-4 as a judge of 134 hard pairs, under three judge prompts; good is what the human preferred."""
    folder = write(
        tmp_path_factory.mktemp("llmbar"),
        "judge",
        [PROMPT.format(description=judge) for judge in JUDGES],
        "equals: {expected: winner}",
    )
    cases = list(rows_of(real_data / "llmbar/neighbor-cases.jsonl.gz"))
    inputs = ("instruction", "output_1", "output_2")
    dump(
        folder / "datasets/judge.jsonl",
        [
            {"id": c["id"], "inputs": {k: c[k] for k in inputs}, "expected": {"winner": str(c["human_label"])}}
            for c in cases
        ],
    )
    for number, judge in enumerate(JUDGES, 1):
        dump(
            folder / f"recorded/v{number}.jsonl",
            [{"id": one, "output": w or ""} for one, w in winners(real_data, judge).items()],
        )
    return folder


def winners(real_data: Path, judge: str) -> dict[str, str]:
    rows = rows_of(real_data / "llmbar/neighbor-outputs.jsonl.gz")
    return {r["id"]: r["winner"] for r in rows if (r["model"], r["prompt"], r["swapped"]) == ("GPT-4", judge, False)}


@pytest.mark.parametrize(("base", "head"), [(1, 2), (2, 3), (1, 3)])
def test_wins_and_losses_of_judge_prompts_are_those_of_the_files(
    llmbar: Path, real_data: Path, base: int, head: int
) -> None:
    truth = {c["id"]: str(c["human_label"]) for c in rows_of(real_data / "llmbar/neighbor-cases.jsonl.gz")}
    before, after = (winners(real_data, JUDGES[number - 1]) for number in (base, head))
    won = {case for case in truth if before[case] != truth[case] == after[case]}
    lost = {case for case in truth if before[case] == truth[case] != after[case]}

    done = evalh(llmbar, "compare", f"v{base}", f"v{head}", "--json")

    told = document(done)
    assert done.returncode == 0, done.stderr
    assert (told["n"], told["wins"], told["losses"]) == (134, len(won), len(lost))
    assert (set(told["fixed"]), set(told["regressed"])) == (won, lost)
    low, high = told["difference"]["low"], told["difference"]["high"]
    expected = (
        "worse" if high < 0 else "better" if low > 0 else "no_worse" if told["p_no_worse"] <= 0.05 else "inconclusive"
    )
    assert told["verdict"] == expected
    assert isfinite(told["p_value"])


@pytest.fixture(scope="module")
def gsm8k(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    prompt = "---\ninput: {{schema: {{question: string}}}}\n---\n{{{{question}}}}{}\n"
    folder = write(
        tmp_path_factory.mktemp("gsm8k"), "gsm8k", [prompt.format(""), prompt.format(" ")], "number: {expected: answer}"
    )
    (folder / "evalh.toml").write_text(CONFIG.format(name="gsm8k").replace(".jsonl", ".jsonl.gz"))
    for number, name in enumerate(("6b_finetuning", "6b_verification"), 1):
        shutil.copy(real_data / f"gsm8k/outputs-{name}.jsonl.gz", folder / f"recorded/v{number}.jsonl.gz")
    dump(
        folder / "datasets/gsm8k.jsonl",
        [
            {"id": c["id"], "inputs": {"question": c["question"]}, "expected": {"answer": c["answer"]}}
            for c in rows_of(real_data / "gsm8k/cases.jsonl.gz")
        ],
    )
    return folder


@pytest.mark.slow
def test_verification_is_better_than_finetuning(gsm8k: Path, real_data: Path) -> None:
    right = [
        {row["id"]: row["is_correct"] for row in rows_of(real_data / f"gsm8k/outputs-{name}.jsonl.gz")}
        for name in ("6b_finetuning", "6b_verification")
    ]

    done = evalh(gsm8k, "compare", "v1", "v2", "--fail-on", "worse", "--json")

    told = document(done)
    assert done.returncode == 0, done.stderr
    assert told["verdict"] == "better"
    assert [told["sides"][side]["good"] for side in ("base", "head")] == [286, 515]
    assert told["wins"] == sum(right[1][case] and not right[0][case] for case in right[0])
    assert told["losses"] == sum(right[0][case] and not right[1][case] for case in right[0])
    with closing(sqlite3.connect(gsm8k / ".evalh/evalh.db")) as db:
        assert db.execute("select verdict, n from comparisons").fetchall() == [("better", 1319)]
    swapped = evalh(gsm8k, "compare", "v2", "v1", "--fail-on", "worse", "--json")
    assert swapped.returncode == 1
    assert document(swapped)["regressed"] == told["fixed"]
