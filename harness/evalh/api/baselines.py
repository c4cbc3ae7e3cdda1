"""Baselines: the accepted results of one version on one model, committed to git."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from evalh.core.attempt import Answer, CallKey, Completion, FinishReason, Logprobs, Usage
from evalh.core.case import Case
from evalh.core.digest import JsonValue, digest
from evalh.core.errors import CannotMeasure, EvalhError
from evalh.core.ports import Tree
from evalh.core.result import SampleResult
from evalh.core.sample import Sample, Standing
from evalh.core.verdict import Outcome
from evalh.engine.plan import Plan
from evalh.workspace.baselines import SCHEMA, Baseline, baseline_path, baseline_paths, read_baseline, write_baseline

if TYPE_CHECKING:
    from evalh.api.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Answers:
    """What is known of a plan without asking."""

    answers: Mapping[tuple[str, CallKey], Answer] = field(default_factory=dict)  # by request digest
    results: Mapping[tuple[str, int], SampleResult] = field(default_factory=dict)

    def beside(self, answers: Mapping[tuple[str, CallKey], Answer]) -> "Answers":
        """Add answers: the same request is the same request, whichever side sends it."""
        return Answers(answers={**answers, **self.answers}, results=self.results)


@dataclass(frozen=True, slots=True)
class Recollection:
    """The baselines of a tree: the merge base's, never head's."""

    tree: Tree | None = None

    def of(self, plan: Plan) -> Answers:
        """Return what is known of a plan's samples. Raises WorkspaceError for a baseline that was edited by hand."""
        if self.tree is None:
            return Answers()
        path = baseline_path(plan.suite.name, plan.version.version, plan.target.name)
        baseline = read_baseline(self.tree, path)
        if baseline is None:
            return Answers()
        if baseline.outputs:
            return Answers(answers=dict(_answer(path, row) for row in baseline.outputs))
        return Answers(results=dict(_results(baseline, plan)))


def _answer(path: str, row: Mapping[str, JsonValue]) -> tuple[tuple[str, CallKey], Answer]:
    completion = Completion(
        text=row["output"],
        finish=FinishReason(row["finish"]),
        usage=Usage(*row["usage"]),
        latency_ms=row["latency_ms"],
        model=row["model"],
        logprobs=Logprobs(*row["logprobs"]) if "logprobs" in row else None,
    )
    cost = row["cost_usd"]
    answer = Answer(f"{path}/{row['id']}/{row['trial']}", completion, None if cost is None else Decimal(cost))
    return (row["request"], CallKey(row["id"], row["trial"], row["step"])), answer


def _results(baseline: Baseline, plan: Plan) -> Iterator[tuple[tuple[str, int], SampleResult]]:
    """Yield the samples of a baseline without outputs, as far as nothing that they depend on has changed."""
    if baseline.header["fingerprint"]["graders"] != plan.fingerprint().graders:
        return  # other graders: what is not kept cannot be graded again
    cases = {case.id: case for case in plan.cases}
    required = frozenset(grader.name for grader in plan.graders if grader.required)
    for row in baseline.rows:
        case = cases.get(row["id"])
        if case is None or digest(case.document()) != row["row"] or plan.step.request(case).digest() != row["request"]:
            continue
        yield (
            (case.id, row["trial"]),
            SampleResult(
                case_id=case.id,
                trial=row["trial"],
                standing=Standing(row["standing"]),
                cost_usd=None if row["cost_usd"] is None else Decimal(row["cost_usd"]),
                latency_ms=row["latency_ms"],
                output_digest=row["output_digest"],
                outcomes={name: Outcome(outcome) for name, outcome in row["outcomes"].items()},
                required=required,
                tags=case.tags,
            ),
        )


def accept(
    workspace: "Workspace", ref: str | None, suite: str | None, model: str | None, *, outputs: bool
) -> list[Path]:
    """Write the baseline of a version; what the log does not hold is asked. Raises EvalhError; CannotMeasure."""
    from evalh.api.gating import collected
    from evalh.api.runs import RunOptions

    options = RunOptions(target=suite, prompts=(ref,) if ref else (), models=(model,) if model else ())
    written = []
    for plan in workspace.plans(options):
        samples = collected(workspace, plan)
        ungraded = sum(one.standing is Standing.UNGRADED for one in samples)
        if len(samples) < plan.planned or ungraded > plan.suite.max_ungraded * plan.planned:
            what = f"{plan.version.label}: {ungraded} of {plan.planned} samples are ungraded"
            raise CannotMeasure(f"{what}: that is nothing to accept", hint="evalh calls --errors; then again")
        written += write_baseline(workspace.root, _baseline(plan, samples, outputs=outputs))
    return written


def _baseline(plan: Plan, samples: list[Sample], *, outputs: bool) -> Baseline:
    good = sum(one.standing is Standing.GOOD for one in samples)
    models = {one.completion.model for one in samples if one.completion is not None and one.completion.model}
    header = {
        "schema": SCHEMA,
        "suite": plan.suite.name,
        "prompt": plan.version.label,
        "model": plan.target.name,
        "fingerprint": plan.fingerprint().document(),
        "answering_models": sorted(models),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "trials": plan.trials,
        "summary": {"samples": len(samples), "good": good, "good_rate": good / len(samples)},
    }
    path = baseline_path(plan.suite.name, plan.version.version, plan.target.name)
    kept = [_output(plan, one) for one in samples if one.completion is not None and not one.completion.tool_calls]
    return Baseline(
        path=path, header=header, rows=[_row(plan, one) for one in samples], outputs=kept if outputs else ()
    )


def _cost(sample: Sample) -> str | None:
    if sample.cost_usd is None or sample.cached_cost_usd is None:
        return None
    return str(sample.cost_usd + sample.cached_cost_usd)


def _asked(plan: Plan, case: Case) -> str:
    return plan.step.request(case).digest()


def _row(plan: Plan, sample: Sample) -> dict[str, JsonValue]:
    completion = sample.completion
    return {
        "id": sample.case.id,
        "trial": sample.trial,
        "standing": sample.standing.value,
        "cost_usd": _cost(sample),
        "latency_ms": None if completion is None else completion.latency_ms,
        "output_digest": None if completion is None else completion.digest(),
        "outcomes": {one.grader: one.verdict.outcome.value for one in sample.verdicts},
        "row": digest(sample.case.document()),
        "request": _asked(plan, sample.case),
    }


def _output(plan: Plan, sample: Sample) -> dict[str, JsonValue]:
    completion = sample.completion
    assert completion is not None
    usage, told = completion.usage, completion.logprobs
    row: dict[str, JsonValue] = {
        "id": sample.case.id,
        "trial": sample.trial,
        "step": plan.step.name,
        "output": completion.text,
        "finish": completion.finish.value,
        "usage": [usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.reasoning_tokens],
        "latency_ms": completion.latency_ms,
        "model": completion.model,
        "cost_usd": _cost(sample),
        "request": _asked(plan, sample.case),
    }
    return row if told is None else row | {"logprobs": [told.mean, told.least, told.count]}


@dataclass(frozen=True, slots=True)
class BaselineState:
    """One committed baseline, and why it is stale; fresh where nothing is named."""

    path: str
    date: str
    good_rate: float | None
    stale: tuple[str, ...]


def states(workspace: "Workspace") -> list[BaselineState]:
    """Say of every baseline whether it still stands for what a run would measure now."""
    return [_state(workspace, path) for path in baseline_paths(workspace.tree)]


def _state(workspace: "Workspace", path: str) -> BaselineState:
    from evalh.api.runs import RunOptions

    try:
        baseline = read_baseline(workspace.tree, path)
        assert baseline is not None
        header = baseline.header
        options = RunOptions(target=header["suite"], prompts=(header["prompt"],), models=(header["model"],))
        (plan,) = workspace.plans(options)
        now = plan.fingerprint().document()
        stale = tuple(f"{part} changed" for part, before in header["fingerprint"].items() if now.get(part) != before)
        return BaselineState(path, header["date"], header.get("summary", {}).get("good_rate"), stale)
    except EvalhError as exc:
        return BaselineState(path, "", None, (exc.what,))
