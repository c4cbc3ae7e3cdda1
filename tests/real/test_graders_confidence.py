"""What checks of the output tell about a real model's errors: measured, not assumed."""

import gzip
import json
from pathlib import Path

import pytest

from evalh.core.attempt import Completion
from evalh.core.case import Case
from evalh.core.suite import GraderSpec
from evalh.core.verdict import GradeContext, Outcome
from evalh.graders.registry import build
from grading import environment as grading_environment


@pytest.fixture(scope="module")
def rows(real_data: Path) -> list[dict]:
    with gzip.open(real_data / "routing/gsm8k-weak-strong.jsonl.gz", "rt") as lines:
        return [json.loads(line) for line in lines]


def outcomes(rows: list[dict], kind: str, **params: object) -> list[Outcome]:
    grader = build(GraderSpec(kind=kind, name=kind, params=params), grading_environment())
    contexts = (GradeContext(case=Case(r["id"], {}), completion=Completion(text=r["weak_output"])) for r in rows)
    return [grader.judge(context).outcome for context in contexts]


def right(rows: list[dict], said: list[Outcome], outcome: Outcome) -> float:
    chosen = [row["weak_correct"] for row, one in zip(rows, said, strict=True) if one is outcome]
    return sum(chosen) / len(chosen)


def test_a_contradiction_is_a_sign_of_error(rows: list[dict]) -> None:
    said = outcomes(rows, "contradiction", after="####")

    agreeing, contradicting = right(rows, said, Outcome.PASS), right(rows, said, Outcome.FAIL)
    assert said.count(Outcome.FAIL) > 30
    assert contradicting < agreeing - 0.2


def test_hedging_tells_little_about_errors(rows: list[dict]) -> None:
    said = outcomes(rows, "hedging")

    assert 0 < said.count(Outcome.FAIL) < len(rows) / 4
    assert abs(right(rows, said, Outcome.PASS) - 0.638362) < 0.02  # as good as asking nothing
