"""Rows back to values; the other half of `rows`."""

import json
from collections.abc import Mapping
from sqlite3 import Row
from typing import Any, TypeAlias

from msgspec.structs import replace

from evalh.core.attempt import Completion, FinishReason, Logprobs, Usage, latency_of
from evalh.core.case import ABSENT, NO_DOUBLES, NO_GRADERS, Case
from evalh.core.log import AttemptRow, ComparisonRow, DecisionRow, GateRow, RunRow, SampleRow
from evalh.core.money import from_stored
from evalh.core.request import ToolCall
from evalh.core.run import Estimate, Fingerprint, RunKind, RunRecord, RunStatus, RunSummary, StepRecord
from evalh.core.sample import (
    Graded,
    SampleWord,
    Standing,
    StepGrade,
    StepResult,
    StepState,
    StepWord,
    Story,
)
from evalh.core.verdict import Outcome, Verdict
from evalh.store.columns import read_instant, read_json, restored, restored_or_none

Fields: TypeAlias = Row | Mapping[str, Any]

_FINISHES = {str(reason): reason for reason in FinishReason}


def run_from(row: Row) -> RunRow:
    parts = ("prompt", "dataset", "graders", "model", "route")
    record = RunRecord(
        id=row["id"],
        suite=restored(row["suite"]),
        prompt=restored(row["prompt"]),
        model=restored(row["model"]),
        model_sent=restored(row["model_sent"]),
        fingerprint=Fingerprint(**{part: row[f"fingerprint_{part}"] for part in parts}),
        trials=row["trials"],
        planned=row["planned"],
        started_at=read_instant(row["started_at"]),
        owner=restored_or_none(row["owner"]),
        prompt_digest=row["prompt_digest"],
        prompt_document=read_json(row["content"]) or {},
        settings_document=read_json(row["settings"]),
        commit=row["git_commit"],
        dirty=None if row["git_dirty"] is None else bool(row["git_dirty"]),
        evalh_version=row["evalh_version"],
        selection=read_json(row["selection"]),
        max_ungraded=row["max_ungraded"],
        graders_document=tuple(read_json(row["graders"]) or ()),
        kind=RunKind(row["kind"]),
    )
    return RunRow(
        record=record,
        status=RunStatus(row["status"]),
        reason=restored_or_none(row["reason"]),
        finished_at=None if row["finished_at"] is None else read_instant(row["finished_at"]),
        summary=_summary(row["summary"]),
    )


def step_record_from(row: Row) -> StepRecord:
    """Read a row of `run_steps`."""
    texts = ("prompt", "function", "model")
    return StepRecord(
        **{name: restored_or_none(row[name]) for name in texts},
        step=restored(row["step"]),
        prompt_digest=row["prompt_digest"],
        function_digest=row["function_digest"],
        reads=tuple(read_json(row["reads"])),
        settings_document=read_json(row["settings"]),
    )


def _summary(text: str | None) -> RunSummary | None:
    from msgspec.json import decode

    if text is None:
        return None
    summary = decode(text, type=RunSummary)
    if summary.samples and summary.samples == summary.ungraded:  # older logs call that a rate of 0
        return replace(summary, good_rate=Estimate(None, None, None, "ungraded"))
    return summary


def comparison_from(row: Row) -> ComparisonRow:
    plain = "id base_run head_run verdict n wins losses difference low high p_value"
    texts = ("suite", "base", "head", "base_model", "head_model", "content")
    values: dict[str, Any] = {name: row[name] for name in plain.split()}
    return ComparisonRow(
        **values | {name: restored(row[name]) for name in texts},
        at=read_instant(row["at"]),
        comparable=bool(row["comparable"]),
    )


def case_from(row: Fields) -> Case:
    return Case(
        id=restored(row["id"]),
        inputs=read_json(row["inputs"]),
        expected=ABSENT if row["expected"] is None else read_json(row["expected"]),
        tags=frozenset(read_json(row["tags"])),
        cluster=restored_or_none(row["cluster"]),
        given=read_json(row["given"]) or NO_DOUBLES,
        graders=read_json(row["graders"]) or NO_GRADERS,
    )


def sample_from(row: Fields, verdicts: tuple[Graded, ...], steps: tuple[StepResult, ...] = ()) -> SampleRow:
    """Read a row of `samples`."""
    plain = "id run_id case_digest case_index trial call_id answered_by attempts finish error_kind output_digest"
    return SampleRow(
        **{name: row[name] for name in plain.split()},
        case_id=restored(row["case_id"]),
        standing=Standing(row["standing"]),
        latency=latency_of(row["latency_ms"], row["waited_ms"], row["checks_ms"]),
        cache_hit=bool(row["cache_hit"]),
        cost_usd=from_stored(row["cost_usd"]),
        cached_cost_usd=from_stored(row["cached_cost_usd"]),
        judge_cost_usd=from_stored(row["judge_cost_usd"]),
        error=restored_or_none(row["error"]),
        verdicts=verdicts,
        steps=steps,
        story=None if row["word"] is None else story_from(row),
        step_output=restored_or_none(row["step_output"]),
        review=restored_or_none(row["review"]),
    )


def story_from(row: Fields) -> Story:
    """Read what a sample of a pipeline was; its `word` is not null."""
    first_bad = restored_or_none(row["first_bad"])
    return Story(word=SampleWord(row["word"]), first_bad=first_bad, responsible=tuple(read_json(row["responsible"])))


def step_from(row: Row, verdicts: tuple[Graded, ...], texts: Mapping[str, str]) -> StepResult:
    """Read a row of `step_results`; `texts` holds its large values by digest."""
    inputs: Any = read_json(row["inputs"])
    if row["large_inputs"] is not None:
        inputs |= {name: read_json(texts[digest]) for name, digest in read_json(row["large_inputs"]).items()}
    return StepResult(
        step=restored(row["step"]),
        state=StepState(row["state"]),
        reason=restored_or_none(row["reason"]),
        grade=None if row["grade"] is None else StepGrade(row["grade"]),
        inputs=inputs,
        output=read_json(row["output"] if row["large_output"] is None else texts[row["large_output"]]),
        call_id=row["call_id"],
        attempt_id=row["answered_by"],
        cache_hit=bool(row["cache_hit"]),
        cost_usd=from_stored(row["cost_usd"]),
        cached_cost_usd=from_stored(row["cached_cost_usd"]),
        judge_cost_usd=from_stored(row["judge_cost_usd"]),
        attempts=row["attempts"],
        latency=latency_of(row["latency_ms"], row["waited_ms"], row["checks_ms"]),
        verdicts=verdicts,
        word=None if row["word"] is None else StepWord(row["word"]),
        tainted=bool(row["tainted"]),
    )


def verdict_from(row: Row) -> Graded:
    detail = read_json(row["detail"])
    verdict = Verdict(Outcome(row["outcome"]), row["score"], restored(row["reason"]), detail)
    return Graded(restored(row["grader"]), bool(row["required"]), verdict)


def attempt_from(row: Row) -> AttemptRow:
    plain = "id call_id number model provider request_digest reason status latency_ms error_kind http_status"
    return AttemptRow(
        **{name: row[name] for name in f"{plain} retry_after_s".split()},
        started_at=read_instant(row["started_at"]),
        messages=read_json(restored_or_none(row["messages"])),
        completion=completion_from(row) if row["status"] == "ok" else None,
        error=restored_or_none(row["error"]),
        request_id=restored_or_none(row["request_id"]),
        usage=usage_from(row),
        cost_usd=from_stored(row["cost_usd"]),
        estimated=bool(row["estimated"]),
    )


def decision_from(row: Row) -> DecisionRow:
    return DecisionRow(
        kind=row["kind"],
        reason=restored(row["reason"]),
        at=read_instant(row["at"]),
        detail=read_json(restored(row["detail"])),
    )


def completion_from(row: Row) -> Completion:
    """Read the answer of an attempt, whole but for `cost_usd`, which is the attempt's."""
    mean = row["mean_logprob"]
    return Completion(
        text=restored(row["text"]),
        finish=_FINISHES.get(row["finish"], FinishReason.OTHER),
        tool_calls=tool_calls_from(row["tool_calls"]),
        usage=usage_from(row),
        latency_ms=row["latency_ms"],
        ttft_ms=row["ttft_ms"],
        model=restored_or_none(row["model_answered"]),
        request_id=restored_or_none(row["request_id"]),
        raw=restored_or_none(row["raw"]),
        logprobs=None if mean is None else Logprobs(mean, row["min_logprob"], row["logprob_tokens"]),
        reasoning=restored_or_none(row["reasoning"]),
    )


def usage_from(row: Row) -> Usage:
    return Usage(row["input_tokens"], row["output_tokens"], row["cached_tokens"], row["reasoning_tokens"])


def tool_calls_from(text: str | None) -> tuple[ToolCall, ...]:
    return () if text is None else tuple(ToolCall(**call) for call in json.loads(text))


def gate_from(row: Row) -> GateRow:
    values: dict[str, Any] = {name: row[name] for name in ("id", "decision", "exit")}
    return GateRow(
        **values | {name: restored(row[name]) for name in ("base", "head", "reasons", "content")},
        at=read_instant(row["at"]),
        merge_base=restored_or_none(row["merge_base"]),
    )
