"""The `number` grader on two real models' recorded solutions of 1,319 problems."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from evalh.core.attempt import Completion
from evalh.core.case import Case
from evalh.core.suite import GraderSpec
from evalh.core.verdict import GradeContext, Outcome
from evalh.graders.kinds import Grader
from evalh.graders.registry import build
from grading import environment as grading_environment


def rows(file: Path) -> list[dict[str, Any]]:
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def number(**params: Any) -> Grader:
    return build(GraderSpec(kind="number", name="number", params=params), grading_environment())


@pytest.mark.parametrize(("model", "good"), [("6b_finetuning", 286), ("6b_verification", 515)])
@pytest.mark.parametrize(
    ("grader", "expected"),
    [
        (number(), "{}"),
        (number(after="A:", expected_after="####"), "16 - 3 - 4 = <<16-3-4=9>>9\n#### {}"),
    ],
    ids=["last number", "tagged number"],
)
def test_every_recorded_judgement_is_reproduced(
    real_data: Path, grader: Grader, expected: str, model: str, good: int
) -> None:
    folder = real_data / "gsm8k"
    cases = {row["id"]: Case(row["id"], {}, expected.format(row["answer"])) for row in rows(folder / "cases.jsonl.gz")}
    outputs = rows(folder / f"outputs-{model}.jsonl.gz")

    verdicts = [
        grader.judge(GradeContext(case=cases[row["id"]], completion=Completion(text=row["output"]))) for row in outputs
    ]

    assert [verdict.outcome is Outcome.PASS for verdict in verdicts] == [row["is_correct"] for row in outputs]
    assert {verdict.outcome for verdict in verdicts} == {Outcome.PASS, Outcome.FAIL}
    assert sum(verdict.outcome is Outcome.PASS for verdict in verdicts) == good
