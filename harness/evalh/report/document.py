"""`--json`: one document per verb, with its schema's name."""

from collections.abc import Sequence
from decimal import Decimal

from evalh.core.digest import JsonValue
from evalh.core.forecast import Forecast
from evalh.core.run import RunResult, RunStatus

RUN_SCHEMA = "evalh.run/1"
PLAN_SCHEMA = "evalh.plan/1"


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
        "good_rate": summary.good_rate.document(),
        "cost_usd": usd(summary.cost_usd),
        "cached_cost_usd": usd(summary.cached_cost_usd),
        "judge_cost_usd": usd(summary.judge_cost_usd),
        "cost_per_good_usd": summary.cost_per_good_usd.document(),
        "latency_ms": {"p50": summary.latency_p50_ms, "p95": summary.latency_p95_ms},
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
                "why_unknown": forecast.why_unknown,
            }
            for suite, prompt, model, forecast in plans
        ],
    }
