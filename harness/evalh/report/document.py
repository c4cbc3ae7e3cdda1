"""`--json`: one document per verb, with its schema's name.

What documents say of the judges on whose verdicts they rest.
"""

from collections.abc import Sequence
from decimal import Decimal

from msgspec import to_builtins

from evalh.analysis.compare.comparison import Comparison, Confirmed, PartComparison, PassAt, Preferred, Side
from evalh.core.calibration import JudgeStanding
from evalh.core.run import Forecast, RunResult, RunStatus
from evalh.core.strict_json import JsonValue


def judges_document(judges: Sequence[JudgeStanding]) -> list[dict[str, JsonValue]]:
    """Return what documents say of the judges on whose verdicts they rest."""
    return [
        {
            "judge": judge.judge,
            "required": judge.required,
            "calibration": judge.state.value,
            "at": judge.at,
            "labels": judge.labels,
            "kappa": None if judge.kappa is None else judge.kappa.document(),
            "relative": judge.relative,
            "difference": None if judge.difference is None else to_builtins(judge.difference),
        }
        for judge in judges
    ]


RUN_SCHEMA = "evalh.run/1"
PLAN_SCHEMA = "evalh.plan/1"
COMPARE_SCHEMA = "evalh.compare/1"


def usd(amount: Decimal | None) -> float | None:
    """Return an amount as a JSON number; null where it is not known."""
    return None if amount is None else float(amount)


def run_document(results: Sequence[RunResult]) -> dict[str, JsonValue]:
    """Return the document of `evalh run --json`."""
    statuses = {result.status for result in results}
    status = RunStatus.COMPLETE if statuses <= {RunStatus.COMPLETE} else (statuses - {RunStatus.COMPLETE}).pop()
    return {"schema": RUN_SCHEMA, "status": status.value, "results": [_result(result) for result in results]}


def _result(result: RunResult) -> dict[str, JsonValue]:
    record, summary = result.record, result.summary
    return {
        "run": record.id,
        "status": result.status.value,
        "stopped_because": result.stopped_because,
        "suite": record.suite,
        "prompt": record.prompt,
        "model": record.model,
        "fingerprint": record.fingerprint.document(),
        "selection": dict(record.selection),
        "trials": record.trials,
        "planned": record.planned,
        "samples": summary.samples,
        "good": summary.good,
        "bad": summary.bad,
        "ungraded": summary.ungraded,
        "clusters": summary.clusters,
        "good_rate": summary.good_rate.document(),
        "cost_usd": usd(summary.cost_usd),
        "cached_cost_usd": usd(summary.cached_cost_usd),
        "judge_cost_usd": usd(summary.judge_cost_usd),
        "cost_per_good_usd": summary.cost_per_good_usd.document(),
        "by_the_hour": summary.by_the_hour,
        "downstream": None if summary.downstream is None else summary.downstream.document(),
        "latency_ms": {
            "p50": summary.latency_p50_ms,
            "p95": summary.latency_p95_ms,
            "parts": None if summary.latency_parts_ms is None else dict(summary.latency_parts_ms),
            "last_attempts": summary.last_attempts,
        },
        "calls": summary.calls,
        "attempts": summary.attempts,
        "cache_hits": summary.cache_hits,
        "graders": [tally.document() for tally in summary.graders],
        "errors": dict(summary.errors),
    }


def plan_document(plans: Sequence[tuple[str, str, str, Forecast]]) -> dict[str, JsonValue]:
    """Return the document of `evalh run --dry-run --json`; plans are (suite, prompt, model, forecast)."""
    return {
        "schema": PLAN_SCHEMA,
        "plans": [
            {
                "suite": suite,
                "prompt": prompt,
                "model": model,
                "samples": forecast.samples,
                "answered": forecast.answered,
                "to_ask": forecast.to_ask,
                "once_usd": usd(forecast.once_usd),
                "worst_case_usd": usd(forecast.worst_case_usd),
                "judges_usd": usd(forecast.judges_usd),
                "why_unknown": forecast.why_unknown,
            }
            for suite, prompt, model, forecast in plans
        ],
    }


def comparison_document(comparison: Comparison) -> dict[str, JsonValue]:
    """Return the document of `evalh compare --json`."""
    return {
        "schema": COMPARE_SCHEMA,
        "base": comparison.base.prompt,
        "head": comparison.head.prompt,
        "sides": {"base": _side(comparison.base), "head": _side(comparison.head)},
        "comparable": comparison.comparable,
        "mismatches": [to_builtins(mismatch) | {"cases": list(mismatch.cases)} for mismatch in comparison.mismatches],
        "missing": [
            {"case": one.case_id, "absent_from": one.absent_from.value, "trials": list(one.trials)}
            for one in comparison.missing
        ],
        "intersection": comparison.intersection,
        "identical": comparison.identical,
        "n": comparison.n,
        "clusters": comparison.clusters,
        "uneven": comparison.uneven,
        "wins": comparison.wins,
        "losses": comparison.losses,
        "ties": comparison.ties,
        "undecided": comparison.undecided,
        "difference": comparison.difference.document(),
        "p_value": comparison.p_value,
        "test": comparison.test,
        "margin": comparison.margin,
        "p_no_worse": comparison.p_no_worse,
        "verdict": comparison.verdict.value,
        "reason": comparison.reason,
        "measured": comparison.measured,
        "detectable_drop": comparison.detectable_drop,
        "cases_needed": comparison.cases_needed,
        "cost_per_good_ratio": comparison.cost_per_good_ratio.document(),
        "latency_ms": {"difference": comparison.latency.difference_ms.document()},
        "graders": [_part("grader", part) for part in comparison.graders],
        "tags": [_part("tag", part) for part in comparison.tags],
        "regressed": list(comparison.regressed),
        "fixed": list(comparison.fixed),
        "unstable": list(comparison.unstable),
        "pass_at": None if comparison.pass_at is None else _pass_at(comparison.pass_at),
        "confirmed": [confirmed_document(one) for one in comparison.confirmed],
        "downstream": None if comparison.downstream is None else comparison.downstream.document(),
        "preferred": [_preferred(one) for one in comparison.preferred],
        "judge_relative": list(comparison.judge_relative),
        "judges": judges_document(comparison.judges),
        "notices": list(comparison.notices),
    }


def _preferred(one: Preferred) -> dict[str, JsonValue]:
    costs = {"judge_cost_usd": usd(one.judge_cost_usd), "cached_cost_usd": usd(one.cached_cost_usd)}
    return {**to_builtins(one), **costs}


def _side(side: Side) -> dict[str, JsonValue]:
    return {
        "run": side.run,
        "suite": side.suite,
        "prompt": side.prompt,
        "model": side.model,
        "fingerprint": side.fingerprint.document(),
        "trials": side.trials,
        "samples": side.samples,
        "good": side.good,
        "bad": side.bad,
        "ungraded": side.ungraded,
        "good_rate": side.good_rate.document(),
        "cost_per_good_usd": side.cost_per_good_usd.document(),
        "by_the_hour": side.by_the_hour,
        "latency_ms": {
            "p50": side.latency_p50_ms,
            "p95": side.latency_p95_ms,
            "last_attempts": side.last_attempts,
        },
    }


def _part(kind: str, part: PartComparison) -> dict[str, JsonValue]:
    return {
        kind: part.name,
        **({"required": part.required} if kind == "grader" else {}),
        "n": part.n,
        "wins": part.wins,
        "losses": part.losses,
        "ties": part.ties,
        "base_rate": part.base_rate.document(),
        "head_rate": part.head_rate.document(),
        "difference": part.difference.document(),
        "p_value": part.p_value,
        "p_adjusted": part.p_adjusted,
        "adjusted_by": part.adjusted_by,
        "shown": part.shown,
    }


def _pass_at(pass_at: PassAt) -> dict[str, JsonValue]:
    return {
        "k": pass_at.k,
        "any": {"base": pass_at.base_any.document(), "head": pass_at.head_any.document()},
        "all": {"base": pass_at.base_all.document(), "head": pass_at.head_all.document()},
    }


def confirmed_document(one: Confirmed) -> dict[str, JsonValue]:
    """Return a case that was asked again, as JSON."""
    return {
        "case": one.case_id,
        "base": {"good": one.base_good, "trials": one.base_trials},
        "head": {"good": one.head_good, "trials": one.head_trials},
        "p_value": one.p_value,
        "p_adjusted": one.p_adjusted,
        "p_worse": one.p_worse,
        "label": one.label.value,
    }
