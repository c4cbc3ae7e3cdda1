"""Baselines: the accepted results of one version on one model, committed to git.

Which committed baselines still stand for what a run would measure now, and why the others do not.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from shlex import quote

from evalh.api.event_loop import SystemClock
from evalh.api.options import AcceptOptions, RunOptions
from evalh.api.parts import Parts
from evalh.api.runs import collected
from evalh.core.attempt import Answer, CallKey, Completion, FinishReason, Latency, Logprobs, Usage, latency_of
from evalh.core.case import Case
from evalh.core.digest import digest
from evalh.core.errors import CannotMeasure, EvalhError, NotFound
from evalh.core.ports import Progress, Tree
from evalh.core.prompt import PromptRef
from evalh.core.run import Incidents, RunKind
from evalh.core.sample import Sample, SampleResult, Standing
from evalh.core.strict_json import JsonValue
from evalh.core.suite import BaselinePolicy
from evalh.core.values import Value
from evalh.core.verdict import Outcome
from evalh.engine.plan import ANY_AGE, Known, Plan
from evalh.report.documents.workspace import BaselineState
from evalh.workspace.kept.baselines import (
    SCHEMA,
    Baseline,
    baseline_path,
    baseline_paths,
    read_baseline,
    write_baseline,
)


def states(parts: Parts, now: float | None = None) -> list[BaselineState]:
    """Say of every baseline whether it still stands for what a run would measure now (seconds since the epoch)."""
    moment = SystemClock().now() if now is None else now
    return [_state(parts, path, moment) for path in baseline_paths(parts.tree)]


def too_old(baseline: Baseline, policy: BaselinePolicy, now: float) -> str | None:
    """Say that a baseline is older than its suite allows; None: it is not."""
    if policy.max_age_days is None:
        return None
    try:
        accepted = date.fromisoformat(baseline.header["date"])
    except (TypeError, ValueError):
        return "it has no date"
    days = (datetime.fromtimestamp(now, UTC).date() - accepted).days
    return f"{days} days old, more than {policy.max_age_days}" if days > policy.max_age_days else None


def _state(parts: Parts, path: str, now: float) -> BaselineState:
    try:
        baseline = read_baseline(parts.tree, path)
        assert baseline is not None
        header = baseline.header
        options = RunOptions(target=header["suite"], prompts=(header["prompt"],), models=(header["model"],))
        (plan,) = parts.plans(options)
        reasons, asks = [*_reasons(baseline, plan)], [*_asks_again(parts, baseline, plan, now)]
        prompt, suite, model = (quote(header[key]) for key in ("prompt", "suite", "model"))
        # Without --fresh, what the log has would be accepted again: the other model's answers, or the old ones.
        fresh = " --fresh" if asks else ""
        again = f"evalh baseline accept{fresh} {prompt} --suite {suite} -m {model}"
        return BaselineState(
            path=path,
            date=header["date"],
            good_rate=header.get("summary", {}).get("good_rate"),
            stale=(*reasons, *asks),
            outputs=bool(header.get("outputs")),
            again=again if reasons or asks else None,
        )
    except EvalhError as exc:
        return BaselineState(path=path, date="", good_rate=None, stale=(exc.what,), outputs=None, again=None)


def _reasons(baseline: Baseline, plan: Plan) -> Iterator[str]:
    header, current = baseline.header, plan.fingerprint().document()
    yield from (f"{part} changed" for part, before in header["fingerprint"].items() if current.get(part) != before)
    if header.get("outputs") and not plan.suite.baseline.outputs:
        yield "has outputs, which the suite does not allow: accept it again, and remove them from git's history"


def _asks_again(parts: Parts, baseline: Baseline, plan: Plan, now: float) -> Iterator[str]:
    """Say why the answers themselves are out of date."""
    header, old = baseline.header, too_old(baseline, plan.suite.baseline, now)
    if old is not None:
        yield old
    then, today = sorted(header.get("answering_models", ())), _answering(parts, plan, header["date"])
    if then and today is not None and today not in then:
        yield f"{today} answers now, {', '.join(then)} then"


def _answering(parts: Parts, plan: Plan, since: str) -> str | None:
    """Return the model that gave the newest answer of the log since then; None: it cannot be known."""
    if plan.chooses:
        return None  # of several models, it is not known which answered
    try:
        return parts.log.answering_model(plan.target.first.provider.name, since)
    except NotFound:  # nothing was run yet
        return None


class Baselines(Value):
    """The baselines of a tree: the merge base's, never head's. `now` is in seconds since the epoch."""

    tree: Tree | None = None
    now: float = 0.0

    def of(self, plan: Plan, policy: BaselinePolicy = ANY_AGE, suite: str | None = None) -> Known:
        """Return what is known of a plan's samples; `suite` is what the tree calls the plan's suite.

        Raises WorkspaceError for a baseline that was edited by hand.
        """
        if self.tree is None:
            return Known()
        path = baseline_path(suite or plan.suite.name, plan.version.version, plan.target.name)
        baseline = read_baseline(self.tree, path)
        if baseline is None:
            return Known()
        why = too_old(baseline, policy, self.now)
        changed = [
            part
            for part, digest_now in plan.fingerprint().document().items()
            if part in ("prompt", "model", "route") and baseline.header["fingerprint"].get(part) != digest_now
        ]
        if changed:
            why = f"stale, another {', '.join(changed)}"
        return Known(notices=(f"{path} is {why}: it is not used",)) if why else answers_of(baseline, plan)


def answers_of(baseline: Baseline, plan: Plan) -> Known:
    """Return what a baseline knows of a plan's samples: outputs to be graded again, or results where none are kept."""
    models = frozenset(baseline.header.get("answering_models", ()))
    if baseline.outputs:
        answers = dict(_answer(baseline.path, row) for row in baseline.outputs)
        return Known(answers=answers, models=models)
    results = dict(_results(baseline, plan))
    notice = f"{baseline.path} has no outputs: base's answers cannot be shown"
    if not results:
        notice = f"{baseline.path} has no outputs to grade again, and graders or rows changed: base is asked again"
    return Known(results=results, models=models, notices=(notice,))


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
    answer = Answer(
        f"{path}/{row['id']}/{row['trial']}",
        completion,
        None if cost is None else Decimal(cost),
        latency=_latency(row),
    )
    return (row["request"], CallKey(row["id"], row["trial"], row["step"])), answer


def _latency(row: Mapping[str, JsonValue]) -> Latency:
    return latency_of(row["latency_ms"], row.get("waited_ms"), row.get("checks_ms"))


def _results(baseline: Baseline, plan: Plan) -> Iterator[tuple[tuple[str, int], SampleResult]]:
    """Yield the samples of a baseline without outputs, as far as nothing that they depend on has changed."""
    if baseline.header["fingerprint"]["graders"] != plan.fingerprint().graders:
        return  # other graders: what is not kept cannot be graded again
    cases = {case.id: case for case in plan.cases}
    required = frozenset(grader.name for grader in plan.graders if grader.required)
    for row in baseline.rows:
        case = cases.get(row["id"])
        if case is None or digest(case.document()) != row["row"] or plan.question(case) != row["request"]:
            continue
        yield (
            (case.id, row["trial"]),
            SampleResult(
                case_id=case.id,
                trial=row["trial"],
                standing=Standing(row["standing"]),
                cost_usd=None if row["cost_usd"] is None else Decimal(row["cost_usd"]),
                latency_ms=row["latency_ms"],
                latency_whole=_latency(row).whole,
                output_digest=row["output_digest"],
                outcomes={name: Outcome(outcome) for name, outcome in row["outcomes"].items()},
                required=required,
                tags=case.tags,
                cluster=case.cluster,
                inputs_digest=case.inputs_digest,
            ),
        )


class Accepted(Value):
    """A baseline that was written."""

    prompt: str
    model: str
    good: int
    samples: int  # without incidents
    incidents: Incidents
    files: tuple[Path, ...]


def accept(parts: Parts, options: AcceptOptions, progress: Progress | None = None) -> list[Accepted]:
    """Write the baseline of a version; what the log does not hold is asked. Raises EvalhError; CannotMeasure."""
    written = []
    for plan in parts.plans(_options(parts, options)):
        samples = collected(parts, plan, options, progress)
        ungraded = sum(one.standing is Standing.UNGRADED for one in samples)
        if len(samples) < plan.planned or _unmeasured(plan, samples):
            what = f"{plan.version.label}: {ungraded} of {plan.planned} samples are ungraded"
            (run,) = parts.log.runs_of(plan.suite.name, 1, RunKind.BASELINE)
            raise CannotMeasure(
                f"{what}: not enough is graded to accept it",
                hint=f"evalh show {run} shows why; then run the same command again",
            )
        # A pipeline's baseline keeps results alone: its steps' answers are the log's.
        outputs = options.outputs and plan.suite.baseline.outputs and plan.pipeline is None
        baseline = _baseline(plan, samples, outputs=outputs)
        files = write_baseline(parts.root, baseline)
        summary = baseline.header["summary"]
        apart = Incidents(**summary.get("incidents", {}))
        written.append(
            Accepted(plan.version.label, plan.target.name, summary["good"], summary["samples"], apart, tuple(files))
        )
    return written


def _unmeasured(plan: Plan, samples: Sequence[Sample]) -> bool:
    """Whether more samples are ungraded than a suite allows: of incidents, or of the others."""
    parts = [[one for one in samples if one.case.incident is apart] for apart in (True, False)]
    ungraded = (sum(one.standing is Standing.UNGRADED for one in part) for part in parts)
    return any(some > plan.suite.max_ungraded * len(part) for some, part in zip(ungraded, parts, strict=True))


def _options(parts: Parts, options: AcceptOptions) -> RunOptions:
    """Find the suite: a version of another prompt than the default suite's has suites of its own."""
    models = (options.model,) if options.model else ()
    default = parts.config.default_suite
    prompt = PromptRef.parse(options.ref).name if options.ref else None
    if options.suite is None and prompt and (default is None or parts.suite(default).prompt != prompt):
        return RunOptions(target=options.ref, models=models)
    return RunOptions(target=options.suite, prompts=(options.ref,) if options.ref else (), models=models)


def _baseline(plan: Plan, samples: list[Sample], *, outputs: bool) -> Baseline:
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
        "summary": _summary(samples),
    }
    path = baseline_path(plan.suite.name, plan.version.version, plan.target.name)
    answered = (one for one in samples if outputs and one.completion is not None and not one.completion.tool_calls)
    kept = [_output(plan, one) for one in answered]
    return Baseline(path=path, header=header, rows=[_row(plan, one) for one in samples], outputs=kept)


def _summary(samples: Sequence[Sample]) -> dict[str, JsonValue]:
    """Return the numbers for people, incidents apart."""
    counted = [one for one in samples if not one.case.incident]
    good = sum(one.standing is Standing.GOOD for one in counted)
    numbers: dict[str, JsonValue] = {"samples": len(counted), "good": good}
    numbers["good_rate"] = good / len(counted) if counted else None
    if incidents := [one for one in samples if one.case.incident]:
        kept = sum(one.standing is Standing.GOOD for one in incidents)
        numbers["incidents"] = {"samples": len(incidents), "good": kept}
    return numbers


def _cost(sample: Sample) -> str | None:
    if sample.cost_usd is None or sample.cached_cost_usd is None:
        return None
    return str(sample.cost_usd + sample.cached_cost_usd)


def _asked(plan: Plan, case: Case) -> str:
    return plan.question(case)


def _row(plan: Plan, sample: Sample) -> dict[str, JsonValue]:
    completion = sample.completion
    return {
        "id": sample.case.id,
        "trial": sample.trial,
        "standing": sample.standing.value,
        "cost_usd": _cost(sample),
        "latency_ms": None if completion is None else sample.latency.total_ms,
        "waited_ms": sample.latency.waited_ms,
        "checks_ms": sample.latency.checks_ms,
        "output_digest": None if completion is None else completion.digest(),
        "outcomes": {one.grader: one.verdict.outcome.value for one in sample.verdicts},
        "row": digest(sample.case.document()),
        "request": _asked(plan, sample.case),
    }


def _output(plan: Plan, sample: Sample) -> dict[str, JsonValue]:
    completion = sample.completion
    assert completion is not None
    usage, logprobs = completion.usage, completion.logprobs
    row: dict[str, JsonValue] = {
        "id": sample.case.id,
        "trial": sample.trial,
        "step": plan.plain.name,
        "output": completion.text,
        "finish": completion.finish.value,
        "usage": [usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.reasoning_tokens],
        "latency_ms": sample.latency.total_ms,
        "waited_ms": sample.latency.waited_ms,
        "checks_ms": sample.latency.checks_ms,
        "model": completion.model,
        "cost_usd": _cost(sample),
        "request": _asked(plan, sample.case),
    }
    return row if logprobs is None else row | {"logprobs": [logprobs.mean, logprobs.least, logprobs.count]}
