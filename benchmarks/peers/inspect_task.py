"""The benchmark's work as an Inspect task: every ticket asked once, the label compared."""

import json
import os
from pathlib import Path

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import GenerateConfig
from inspect_ai.scorer import Score, Target, accuracy, scorer
from inspect_ai.solver import TaskState, generate, system_message


@scorer(metrics=[accuracy()])
def label():
    async def score(state: TaskState, target: Target) -> Score:
        return Score(value=json.loads(state.output.completion)["label"] == target.text)

    return score


@task
def triage() -> Task:
    cases = [json.loads(row) for row in Path(os.environ["BENCH_CASES"]).read_text().splitlines()]
    samples = [
        Sample(id=case["id"], input=case["inputs"]["ticket"], target=case["expected"]["label"]) for case in cases
    ]
    return Task(
        dataset=MemoryDataset(samples),
        solver=[system_message("You sort support tickets. Answer with JSON."), generate()],
        scorer=label(),
        config=GenerateConfig(temperature=0, max_tokens=24),
    )
