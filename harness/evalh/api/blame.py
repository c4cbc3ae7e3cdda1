"""`evalh blame`: find which step of a pipeline makes the cases of a run bad."""

from collections.abc import Sequence
from decimal import Decimal
from shlex import quote

from msgspec.structs import replace

from evalh.analysis.blame import BlameCost, Blamed, BlamePlan, Design, blame
from evalh.api.event_loop import in_loop
from evalh.api.options import BlameOptions, RunOptions
from evalh.api.parts import Parts
from evalh.api.runs import NoProgress, ends_of
from evalh.core.case import ABSENT, Case
from evalh.core.digest import digest
from evalh.core.errors import NotComparable, NotFound, UsageError
from evalh.core.log import RunRow
from evalh.core.money import plus
from evalh.core.ports import Progress
from evalh.core.prompt import PromptRef
from evalh.core.run import RunKind
from evalh.core.sample import Standing
from evalh.core.values import Value
from evalh.engine.pipeline.blame import Experiment, stand_ins, with_outputs
from evalh.engine.pipeline.forecast import forecast_pipeline
from evalh.engine.plan import Given, Plan
from evalh.engine.session import check_plans
from evalh.stats.blame import LARGEST_GAME

_CONFIRM = 5  # reruns on both sides of the step that halving found


class _BlameQuestion(Value, kw_only=True):
    run: RunRow
    plan: Plan
    stronger: Plan | None
    cases: tuple[Case, ...]
    bad: int
    apart: int
    design: BlamePlan

    def sources(self) -> dict[str, Given]:
        """Return gold as the source of good outputs."""
        return {step: Given("expected") for step in self.design.steps}


def blamed(parts: Parts, options: BlameOptions, progress: Progress | None = None) -> Blamed:
    """Run bad cases again with outputs replaced. Raises NotFound, UsageError, NotComparable, CannotMeasure."""
    question, shown = _question(parts, options), progress or NoProgress()
    plan = question.plan
    check_plans([plan, *([] if question.stronger is None else [question.stronger])], parts.prices, options)
    with parts.writing(shown) as store:
        ends = replace(ends_of(parts, store, options, shown), kind=RunKind.BLAME)
        sources = question.sources()
        if question.stronger is not None:
            sources = in_loop(stand_ins(question.stronger, ends, question.cases, digest))
        experiment = Experiment(plan, ends, question.design, sources)
        reruns = in_loop(experiment.ask(question.cases))
    return Blamed(
        run=question.run.record.id,
        prompt=plan.version.label,
        model=plan.target.name,
        stand_in=options.stand_in,
        bad=question.bad,
        incidents=question.apart,
        left_out=question.bad - len(question.cases) if options.cases is None else 0,
        blame=blame(question.design, reruns, plan.suite.max_ungraded),
        spent_usd=experiment.spent_usd,
    )


def blame_cost(parts: Parts, options: BlameOptions) -> BlameCost:
    """Return the most that it can cost, without sending anything. Raises as `blamed`."""
    question = _question(parts, options)
    design, cases = question.design, question.cases
    sources = question.sources()
    samples, most = 0, Decimal(0) if question.stronger is None else None
    why = None if question.stronger is None else "the stand-in was not asked yet"
    for count in range(len(design.steps) + 1):
        through = with_outputs(question.plan, design.through(count), sources, cases, design.reruns)
        found = forecast_pipeline(through, None, parts.prices)
        samples += found.samples
        most = plus(most, found.worst_case_usd)
        why = why or found.why_unknown
    return BlameCost(cases=len(cases), steps=design.steps, samples=samples, worst_case_usd=most, why_unknown=why)


def _question(parts: Parts, options: BlameOptions) -> _BlameQuestion:
    run = parts.log.run(options.run or "last")
    record = run.record
    if not record.steps:
        what = f"run {record.id} is a run of a single prompt: it has no steps"
        raise UsageError(what, hint="evalh show " + record.id)
    plan = _plan(parts, run, None)
    now, then = plan.fingerprint().document(), record.fingerprint.document()
    if changed := [part for part in ("prompt", "model", "route") if now[part] != then[part]]:
        what = f"run {record.id} of {record.prompt} cannot be repeated: {', '.join(changed)} changed"
        hint = f"evalh run {quote(record.suite)}, without --given or --model <step>=…; then evalh blame"
        raise NotComparable(what, hint=hint)
    ran = {row.case_id: row for row in parts.log.samples(record.id, Standing.BAD)}
    if not ran:
        raise NotFound(f"no sample of run {record.id} is bad: there is nothing to blame", hint="evalh show last")
    bad = [case for case in plan.cases if case.id in ran]
    known = [case for case in bad if not case.incident] or bad  # of incidents alone: a share of what was chosen
    stronger = None if options.stand_in is None else _plan(parts, run, options.stand_in)
    names = [one.step for one in record.steps if one.step not in (plan.pipeline.given if plan.pipeline else {})]
    steps, cases = tuple(names), tuple(known)
    if stronger is None:
        steps = tuple(step for step in names if any(case.gold_of(step) is not ABSENT for case in known))
        gave = {case_id: {one.step for one in row.steps if one.gave} for case_id, row in ran.items()}
        cases = tuple(case for case in known if _has_gold(case, [step for step in steps if step in gave[case.id]]))
        if not steps or not cases:
            hint = '"expected": {"steps": {"<step>": …}} in the rows; or --stand-in MODEL'
            raise UsageError("no bad case has gold for the steps that it ran", hint=hint)
    if options.cases is not None:
        cases = cases[: options.cases]
    return _BlameQuestion(
        run=run,
        plan=plan,
        stronger=stronger,
        cases=cases,
        bad=len(ran) - (len(bad) - len(known)),
        apart=len(bad) - len(known),
        design=_design(options, steps, len(cases)),
    )


def _has_gold(case: Case, steps: Sequence[str]) -> bool:
    return bool(steps) and all(case.gold_of(step) is not ABSENT for step in steps)


def _design(options: BlameOptions, steps: tuple[str, ...], cases: int) -> BlamePlan:
    if options.design is Design.ALL_SETS and len(steps) > LARGEST_GAME:
        what = f"{len(steps)} steps have {2 ** len(steps)} sets; --design all-sets takes at most {LARGEST_GAME} steps"
        raise UsageError(what, hint="--design single")
    assert cases  # `_question` refuses a run without bad cases
    confirm = _CONFIRM if options.design is Design.HALVING else 0
    return BlamePlan(steps=steps, design=Design(options.design), reruns=options.reruns, confirm=confirm)


def _plan(parts: Parts, run: RunRow, model: str | None) -> Plan:
    """Return the plan of a run: its version, with the step versions and models that it used. Raises EvalhError."""
    record = run.record
    label, _, variant = record.prompt.partition("[")
    steps = tuple(one.replace("@", "=", 1) for one in variant.rstrip("]").split("][") if one)
    of_steps = (f"{one.step}={one.model}" for one in record.steps if one.model is not None and one.prompt is not None)
    models = (model,) if model else (record.model, *(one for one in of_steps if "/" not in one.partition("=")[0]))
    _refuse_without_steps(parts, run, label)
    options = RunOptions(target=record.suite, prompts=(label,), models=models, steps=steps)
    (plan,) = parts.plans(options)
    return plan


def _refuse_without_steps(parts: Parts, run: RunRow, label: str) -> None:
    """Raise NotComparable if the version of a run does not have the run's steps any more."""
    record = run.record
    version = parts.version_of(parts.suite(record.suite), PromptRef.parse(label))
    what = f"run {record.id} of {record.prompt} cannot be repeated: "
    if version.pipeline is None:
        raise NotComparable(
            f"{what}it ran a pipeline, and {label} is a single prompt now", hint=f"evalh show {record.id}"
        )
    steps = {spec.name for spec in version.pipeline.steps}
    if gone := [one.step for one in record.steps if one.step not in steps]:
        hint = f"evalh run {quote(record.suite)}; then evalh blame"
        raise NotComparable(f"{what}{label} does not have the step {gone[0]!r} any more", hint=hint)
