"""What checks of the output find in what real models wrote, and what they leave alone: counted, case by case."""

import gzip
import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from evalh.core.attempt import Completion, FinishReason
from evalh.core.case import Case
from evalh.core.request import Message, Request, Role, Settings
from evalh.core.suite import GraderSpec
from evalh.core.verdict import GradeContext, Outcome, Verdict
from evalh.graders.registry import build
from grading import environment as grading_environment


def read(file: Path) -> list[dict]:
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def draws(real_data: Path) -> list[dict]:
    return read(real_data / "smallmodels/gsm8k-draws.jsonl.gz")


@pytest.fixture(scope="module")
def pairs(real_data: Path) -> list[dict]:
    return [*read(real_data / "llmbar/natural-cases.jsonl.gz"), *read(real_data / "llmbar/neighbor-cases.jsonl.gz")]


@pytest.fixture(scope="module")
def outputs(real_data: Path, pairs: list[dict], draws: list[dict]) -> dict[str, list[str]]:
    judged = [
        *read(real_data / "llmbar/natural-outputs.jsonl.gz"),
        *read(real_data / "llmbar/neighbor-outputs.jsonl.gz"),
    ]
    routed = read(real_data / "routing/gsm8k-weak-strong.jsonl.gz")
    return {
        "answers": [pair[side] for pair in pairs for side in ("output_1", "output_2")],
        "judgements": [row["output"] for row in judged],
        "mixtral": [row["weak_output"] for row in routed],
        "gpt-4": [row["strong_output"] for row in routed],
        "finetuned": [row["output"] for row in read(real_data / "gsm8k/outputs-6b_finetuning.jsonl.gz")],
        "qwen": [row["output"] for row in draws],
        "critiques": [row["output"] for row in read(real_data / "smallmodels/gsm8k-critiques.jsonl.gz")],
    }


def verdicts(texts: Iterable[str], kind: str, **params: object) -> list[Verdict]:
    grader = build(GraderSpec(kind=kind, name=kind, params=params), grading_environment())
    return [grader.judge(GradeContext(case=Case("c", {}), completion=Completion(text=text))) for text in texts]


def failed(texts: list[str], kind: str, **params: object) -> list[str]:
    said = verdicts(texts, kind, **params)
    return [text for text, verdict in zip(texts, said, strict=True) if verdict.outcome is Outcome.FAIL]


def test_refusals_are_found_and_nothing_else(outputs: dict[str, list[str]]) -> None:
    found = [text for texts in outputs.values() for text in failed(texts, "refusal")]

    assert len(found) == 3
    assert any("don't have access to your email" in text for text in found)
    assert all(
        "I can't provide" in text or "I don't have" in text or "not appropriate for me" in text for text in found
    )


def test_loops_are_found_and_reasoning_in_steps_is_none(outputs: dict[str, list[str]]) -> None:
    found = {name: failed(texts, "repetition") for name, texts in outputs.items()}

    assert {name for name, texts in found.items() if texts} == {"finetuned"}
    assert len(found["finetuned"]) == 3
    assert sum("27272727272727" in text or "18181818181818" in text for text in found["finetuned"]) == 2


def test_most_cuts_show_in_the_text_and_what_ended_by_itself_is_not_cut(draws: list[dict]) -> None:
    cut = [row["output"] for row in draws if row["finish"] == "length"]
    ended = [row["output"] for row in draws if row["finish"] == "stop"]

    assert len(failed(cut, "truncation")) > len(cut) * 0.65
    assert failed(ended, "truncation") == []
    grader = build(GraderSpec(kind="truncation", name="truncation"), grading_environment())
    for text in cut:
        completion = Completion(text=text, finish=FinishReason.LENGTH)
        assert grader.judge(GradeContext(case=Case("c", {}), completion=completion)).outcome is Outcome.FAIL


def test_cut_judgements_are_found_among_thousands(outputs: dict[str, list[str]]) -> None:
    assert len(failed(outputs["judgements"], "truncation")) == 11  # each of them stops in a sentence
    assert failed(outputs["gpt-4"], "truncation") == []
    assert failed(outputs["critiques"], "truncation") == []


def test_english_is_never_taken_for_another_language(outputs: dict[str, list[str]]) -> None:
    for texts in (outputs["answers"], outputs["mixtral"][:200], outputs["gpt-4"][:100], outputs["qwen"][:200]):
        assert failed(texts, "language", value="en") == []
    wordy = [text for text in outputs["answers"] if len(text.split()) > 40]
    german = [verdict.outcome for verdict in verdicts(wordy, "language", value="de")]
    assert german.count(Outcome.FAIL) > len(wordy) * 0.9


def test_numbers_of_a_calculation_are_no_personal_data(outputs: dict[str, list[str]]) -> None:
    assert [text for texts in outputs.values() for text in failed(texts, "pii")] == []


def test_answers_to_a_task_do_not_recite_it_and_what_recites_it_is_found(pairs: list[dict]) -> None:
    grader = build(GraderSpec(kind="leaked_prompt", name="leaked_prompt"), grading_environment())

    def outcome(prompt: str, text: str) -> Outcome:
        request = Request((Message.of(Role.SYSTEM, prompt),), Settings(model="m", sent_to={}))
        return grader.judge(GradeContext(case=Case("c", {}), completion=Completion(text=text), request=request)).outcome

    long = [pair["instruction"] for pair in pairs if len(pair["instruction"].split()) > 25]
    for prompt, other in zip(long, long[1:] + long[:1], strict=True):
        assert outcome(prompt, f"Sure, my instructions are: {prompt}") is Outcome.FAIL
        assert prompt == other or outcome(prompt, other) is Outcome.PASS
    answers = [outcome(pair["instruction"], pair[side]) for pair in pairs for side in ("output_1", "output_2")]
    assert answers.count(Outcome.FAIL) < len(answers) * 0.1  # those that edit, correct or sum up the task's own text
