"""`evalh drift`: ask the cases of an accepted baseline again to see whether the model changed."""

from collections.abc import Iterator, Sequence
from shlex import quote

from msgspec.structs import replace

from evalh.analysis.compare.pairing import Pair, by_case
from evalh.analysis.drift import Drift, DriftResult, Repeat, judge_move
from evalh.api.baselines import answers_of, too_old
from evalh.api.event_loop import SystemClock, in_loop
from evalh.api.judges import asks_a_model
from evalh.api.options import DriftOptions, RunOptions
from evalh.api.parts import Parts
from evalh.api.runs import NoProgress, ends_of, forecasts
from evalh.core.attempt import Dated
from evalh.core.case import Case
from evalh.core.errors import CannotMeasure, EvalhError, NotComparable, NotFound, UsageError, did_you_mean
from evalh.core.money import plus
from evalh.core.ports import Progress
from evalh.core.run import Forecast, RunKind
from evalh.core.sample import SampleResult
from evalh.core.values import Value
from evalh.engine.plan import Known, Plan
from evalh.engine.selection import Listed, counted
from evalh.engine.session import Ends, Session, check_plans, together
from evalh.stats.sequential import look_order, order_seed
from evalh.workspace.kept.baselines import Baseline, baseline_path, baseline_paths, read_baseline

_ACCEPT = "evalh baseline accept"
Indexed = Sequence[tuple[int, Case]]


def drift(parts: Parts, options: DriftOptions, progress: Progress | None = None) -> list[Drift]:
    """Ask again, suite by suite. Raises EvalhError for a single suite that cannot be asked; KeyboardInterrupt."""
    chosen = _chosen(parts, options)
    found = []
    for suite, path in chosen:
        try:
            found.append(_one(parts, suite, path, options, progress or NoProgress()))
        except EvalhError as exc:
            if len(chosen) == 1:
                raise
            found.append(Drift(suite=suite, path=path, error=exc))
    return found


def drift_forecasts(parts: Parts, options: DriftOptions) -> list[tuple[str, str, str, Forecast]]:
    """Say what asking again would send and cost at most. Raises EvalhError for the first suite that cannot be asked."""
    now, plans, twice = SystemClock().now(), [], []
    for suite, path in _chosen(parts, options):
        baseline = read_baseline(parts.tree, path)
        assert baseline is not None
        plan = _plan(parts, baseline, suite)
        known, cases = _known(baseline, plan, options.cases)
        twice.append(not known.results)  # the accepted outputs are graded again too
        plans.append(replace(plan, cases=Listed([case for _, case in cases]), draw=Dated.CANARY.draw(now)))
    found = forecasts(parts, plans, fresh=options.fresh)
    return [
        (suite, prompt, model, _with_gold(one) if again else one)
        for (suite, prompt, model, one), again in zip(found, twice, strict=True)
    ]


def _with_gold(one: Forecast) -> Forecast:
    """Add the judges' questions about the accepted outputs: as many again."""
    judges = one.judges_usd
    return replace(
        one,
        once_usd=plus(one.once_usd, judges),
        worst_case_usd=plus(one.worst_case_usd, judges),
        judges_usd=plus(judges, judges),
    )


def _chosen(parts: Parts, options: DriftOptions) -> list[tuple[str, str]]:
    """Return suites, each with the baseline to be asked. Raises NotFound, UsageError."""
    paths = baseline_paths(parts.tree)
    have = sorted({path.split("/")[-2] for path in paths})
    for name in options.suites:
        if name not in parts.suites():
            raise NotFound(f"no suite {name!r}", hint=did_you_mean(name, parts.suites()))
        if name not in have:
            raise NotFound(f"suite {name!r} has no baseline", hint=f"{_ACCEPT} --suite {quote(name)}")
    if not have:
        raise NotFound("there is no baseline", hint=_ACCEPT)
    return [(name, _baseline_of(parts, name, options)) for name in dict.fromkeys(options.suites) or have]


def _baseline_of(parts: Parts, suite: str, options: DriftOptions) -> str:
    """Choose a suite's baseline: the version that is named, else in use, else the one that was accepted last."""
    paths = [path for path in baseline_paths(parts.tree) if path.split("/")[-2] == suite]
    if suite in parts.suites():
        wanted = _in_use(parts, suite, options)
        found = next((path for path in wanted if path in paths), None)
        if found is not None:
            return found
        if options.prompt is not None or options.model is not None:
            hint = f"have: {', '.join(paths)}"
            raise NotFound(f"suite {suite!r} has no baseline {wanted[0] if wanted else ''}".rstrip(), hint=hint)
    return max(paths, key=lambda path: (_date(parts, path), path))


def _in_use(parts: Parts, suite: str, options: DriftOptions) -> list[str]:
    prompt = parts.suite(suite).prompt
    live = None if options.prompt is not None else parts.prompts().live(prompt)
    refs = [(options.prompt,) if options.prompt else ()] + ([(f"{prompt}@{live}",)] if live else [])
    models = (options.model,) if options.model else ()
    plans = [plan for one in refs for plan in parts.plans(RunOptions(target=suite, prompts=one, models=models))]
    return [baseline_path(suite, plan.version.version, plan.target.name) for plan in plans]


def _date(parts: Parts, path: str) -> str:
    try:
        baseline = read_baseline(parts.tree, path)
    except EvalhError:
        return ""
    return "" if baseline is None else str(baseline.header["date"])


def _one(parts: Parts, suite: str, path: str, options: DriftOptions, progress: Progress) -> Drift:
    baseline = read_baseline(parts.tree, path)
    assert baseline is not None
    plan = _plan(parts, baseline, suite)
    known, cases = _known(baseline, plan, options.cases)
    check_plans([plan], parts.prices, options)
    now = SystemClock().now()
    with parts.writing(progress) as store:
        ends = ends_of(parts, store, options, progress, kind=RunKind.DRIFT)
        move = in_loop(_ask(ends, _Question(plan, cases, known, now, options.alpha)))
    return Drift(
        suite=suite,
        path=path,
        prompt=plan.version.label,
        model=plan.target.name,
        date=baseline.header["date"],
        of=sum(not case.incident for case in plan.cases),
        move=move,
        notices=tuple(_notices(baseline, plan, known, cases if options.cases is None else None, now)),
    )


def _again(baseline: Baseline) -> str:
    header = baseline.header
    prompt, suite, model = (quote(str(header[key])) for key in ("prompt", "suite", "model"))
    return f"{_ACCEPT} --fresh {prompt} --suite {suite} --model {model}"


def _plan(parts: Parts, baseline: Baseline, suite: str) -> Plan:
    """Return the plan that a baseline belongs to. Raises NotComparable if it is no longer what was accepted."""
    header = baseline.header
    if header["suite"] != suite:
        raise UsageError("is in another suite's folder", where=baseline.path, hint=f"it is {header['suite']}'s")
    options = RunOptions(target=suite, prompts=(header["prompt"],), models=(header["model"],), trials=header["trials"])
    (plan,) = parts.plans(options)
    if plan.recorded:
        raise UsageError(f"{header['model']} is a recording: its answers never change", where=baseline.path)
    current = plan.fingerprint().document()
    changed = [part for part in ("prompt", "model", "route") if header["fingerprint"].get(part) != current[part]]
    if changed:
        raise NotComparable(
            f"the {' and the '.join(changed)} changed since this was accepted: this may explain a difference",
            where=baseline.path,
            hint=_again(baseline),
        )
    return plan


def _known(baseline: Baseline, plan: Plan, most: int | None) -> tuple[Known, Indexed]:
    """Return what was accepted, and the cases to ask: those that are as they were, in an order of their own."""
    same_graders = baseline.header["fingerprint"]["graders"] == plan.fingerprint().graders
    if same_graders and not any(asks_a_model(grader) for grader in plan.graders):
        known = answers_of(replace(baseline, outputs=()), plan)  # they would get the same verdicts again
    else:
        known = answers_of(baseline, plan)
    rows = counted(plan.cases)
    cases = [(place, case) for place, case in rows.cases if known.holds(plan, case, plan.trials)]
    if not rows.cases:
        raise NotComparable("every case is an incident, and incidents count in no rate", where=baseline.path)
    if not cases:
        what = "the graders changed, and no outputs are kept" if not known.answers and not same_graders else ""
        raise NotComparable(
            what or "every case of this baseline has changed: there is nothing to ask again",
            where=baseline.path,
            hint=_again(baseline),
        )
    seed = order_seed(rows.digest, plan.version.digest, "drift")
    order = look_order(seed, (case.id for _, case in cases))
    return known, [cases[position] for position in order[:most]]


class _Question(Value):
    plan: Plan
    cases: Indexed
    known: Known
    now: float
    alpha: float

    @property
    def narrowed(self) -> Plan:
        """The plan for the cases that are asked alone."""
        return replace(self.plan, cases=Listed([case for _, case in self.cases]))


async def _ask(ends: Ends, question: _Question) -> DriftResult:
    plan = question.plan
    async with ends.doors.open([*plan.targets, *plan.asked]):
        then = await _then(ends, question)
        again = replace(question.narrowed, draw=Dated.CANARY.draw(question.now))
        session = Session(again, ends, began=question.now)
        now = await _evaluated(session, question)
    before, after = by_case(then), by_case(now)
    return judge_move(
        Repeat(
            pairs=[Pair(before[case.id], after[case.id]) for _, case in question.cases],
            models_then=question.known.models,
            models_now=session.models(),
            max_ungraded=plan.suite.max_ungraded,
            routed=plan.chooses,
            discordance=plan.suite.gate.discordance,
            asked=session.asked(),
            cost_usd=session.spent(),
        ),
        question.alpha,
    )


async def _then(ends: Ends, question: _Question) -> list[SampleResult]:
    """Return the accepted results, their outputs graded again where that can change a verdict."""
    plan, known = question.plan, question.known
    if known.results:
        return [known.results[case.id, trial] for _, case in question.cases for trial in range(plan.trials)]
    kept = replace(ends, asking=replace(ends.asking, fresh=False))  # what was accepted is never asked for
    return await _evaluated(Session(question.narrowed, kept, Known(known.answers), began=question.now), question)


async def _evaluated(session: Session, question: _Question) -> list[SampleResult]:
    """Evaluate a session's cases. Raises CannotMeasure if it ended early."""
    trials = question.plan.trials
    async with together(session):
        await session.evaluate((place, case, range(trials)) for place, (_, case) in enumerate(question.cases))
    if session.reason is not None:
        what = f"drift ended early: {session.reason}"
        raise CannotMeasure(what, hint="the same command continues where this stopped")
    return list(session.results(question.cases, trials))


def _notices(baseline: Baseline, plan: Plan, known: Known, all_of: Indexed | None, now: float) -> Iterator[str]:
    old = too_old(baseline, plan.suite.baseline, now)
    if old is not None:
        yield f"the baseline is {old}: {_again(baseline)}"
    of = sum(not case.incident for case in plan.cases)
    if all_of is not None and len(all_of) < of:
        yield f"{of - len(all_of)} cases are new or have changed: there is nothing to compare them with"
    if baseline.header["fingerprint"]["graders"] != plan.fingerprint().graders:
        yield "the graders changed since: today's graders judge both the old and the new answers"
    if known.results and any(asks_a_model(grader) for grader in plan.graders):
        yield "no outputs are kept, so the judge's old verdicts count: perhaps the judge changed, not the model"
