"""Comparing two versions, models or saved runs: what is not in the log is run, then both are read back from it."""

import re
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING

from msgspec.structs import replace

from evalh.analysis.calibration.versions import judge_differences
from evalh.analysis.compare.compare import Method, compare
from evalh.analysis.compare.comparison import Comparison, Confirmed, Side
from evalh.analysis.compare.differences import FRESH_TRIALS
from evalh.analysis.compare.pairing import Results
from evalh.api.event_loop import in_loop
from evalh.api.judges import kinship, labels_of, pair_standings, standings_of
from evalh.api.options import CompareOptions, RunOptions
from evalh.api.parts import Parts
from evalh.api.prefer import ask_judges, judges_of
from evalh.api.results import examples_of, results_of
from evalh.api.runs import NoProgress, ends_of, execute
from evalh.core.attempt import CONFIRM_DRAW
from evalh.core.digest import digest
from evalh.core.errors import CannotMeasure, EvalhError, NotFound, UsageError, did_you_mean, one_of
from evalh.core.log import ComparisonRow, RunRow
from evalh.core.ports import Progress
from evalh.core.prompt import DRAFT, PromptRef, PromptVersion, version_number
from evalh.core.run import RunKind, RunStatus
from evalh.core.suite import OutputValue
from evalh.core.values import Value
from evalh.engine.gate.confirm import Confirming
from evalh.engine.gate.evidence import one_recording, why_not_measured
from evalh.engine.plan import Plan
from evalh.engine.selection import Selection
from evalh.engine.session import Session, check_plans, new_run_id, together
from evalh.graders.judges.prefer import Prefer
from evalh.report.terminal.compare import ComparisonView

if TYPE_CHECKING:
    from evalh.analysis.prompt_diff import PromptDiff

_RUN_ID = re.compile(r"r\d{8}(-.*)?")
_FORMS = "sides: v3 · triage@v3 · triage@draft · v3@small (on that model) · HEAD~2:triage@v3 · a run's id · last"


class SideRef(Value):
    """One side as a person names it: a saved run, or a version with or without a model."""

    run: RunRow | None = None
    ref: PromptRef | None = None
    model: str | None = None


def compared(parts: Parts, request: CompareOptions, progress: Progress | None = None) -> ComparisonView:
    """Compare two sides, and keep the comparison in the log. Raises EvalhError, KeyboardInterrupt."""
    base, head = _sides(parts, request)
    suite = _suite(parts, request, (base, head))
    judges = judges_of(parts, suite, request) if request.prefer else ()
    runs = _runs(parts, request, suite, (base, head), progress)
    margin, value = _policy(parts, suite)
    base_results, head_results = (results_of(parts.log, one) for one in runs)
    options = Method(
        margin=margin if request.margin is None else request.margin,
        value=value,
        intersection=request.intersection,
        pass_at=request.pass_at,
        seed=_seed((base_results, head_results)),
    )
    comparison = compare(base_results, head_results, options)
    comparison = _trusted(parts, comparison, runs, (base_results, head_results), judges)
    if judges and comparison.comparable:
        standing = (*comparison.judges, *pair_standings(parts.tree, suite, judges))
        said = ask_judges(parts, judges, (base_results, head_results), request, progress)
        comparison = replace(comparison, preferred=said, judges=standing)
    if request.confirm and comparison.regressed:
        comparison = replace(comparison, confirmed=_confirmed(parts, request, comparison, progress))
    return _kept(parts, comparison, request.examples, progress)


def of_saved(parts: Parts, base: RunRow, head: RunRow) -> ComparisonView:
    """Compare two runs of the log as `compared` does, and keep nothing. Raises WorkspaceError."""
    runs = (base, head)
    margin, value = _policy(parts, head.record.suite)
    sides = results_of(parts.log, base), results_of(parts.log, head)
    options = Method(margin=margin, value=value, seed=_seed(sides))
    comparison = _trusted(parts, compare(*sides, options), runs, sides, ())
    return ComparisonView(id="", comparison=comparison, difference=_difference(parts, comparison), examples=())


def _trusted(
    parts: Parts,
    comparison: Comparison,
    runs: Sequence[RunRow],
    sides: tuple[Results, Results],
    prefers: Sequence[Prefer],
) -> Comparison:
    """Say on whose word a comparison rests. Raises WorkspaceError for a damaged calibration or label."""
    head, suite = runs[-1].record, runs[-1].record.suite
    standing = standings_of(parts.tree, head)
    judges = judge_differences(standing, labels_of(parts, suite, standing), *sides)
    asked: list[tuple[str, tuple[str, ...]]] = [(one.name, (one.model,)) for one in prefers]
    try:
        graders = parts.graders_of(parts.suite(suite))
        asked += [(grader.name, grader.models) for grader in graders]
    except EvalhError:  # two saved runs of a suite that is gone, or broken now
        pass
    ask_judges = {run.record.model: run.record.model_sent for run in runs}
    return replace(comparison, judges=judges, notices=tuple(dict.fromkeys(kinship(parts, asked, ask_judges))))


def view_of(parts: Parts, row: ComparisonRow, examples: int = 3) -> ComparisonView:
    """Read a stored comparison back, with the outputs and the prompt's diff as far as they are still there."""
    from msgspec.json import decode

    comparison = decode(row.content, type=Comparison)
    return ComparisonView(
        id=row.id,
        comparison=comparison,
        difference=_difference(parts, comparison),
        examples=examples_of(parts.log, comparison, examples),
    )


# -- what is compared


def _sides(parts: Parts, request: CompareOptions) -> tuple[SideRef, SideRef]:
    if len(request.models) > 2:  # noqa: PLR2004 (base and head)
        raise UsageError("give --model once for both sides, or twice: first for base, then for head")
    base_model, head_model = (request.models * 2)[:2] if request.models else (None, None)
    if request.head is None and base_model == head_model:
        raise UsageError("compare with what?", hint="evalh compare v2 v3; or one version and two models: --model twice")
    return _side(parts, request.base, base_model), _side(parts, request.head or request.base, head_model)


def _side(parts: Parts, text: str, model: str | None) -> SideRef:
    if text == "last" or _RUN_ID.fullmatch(text):
        if model is not None:
            raise UsageError(f"{text} is a saved run: its model cannot change", hint="leave out --model")
        return SideRef(run=_saved(parts, text))
    ref, at, tail = text.rpartition("@")
    known = (*parts.config.models, *parts.config.routes)
    if at and version_number(tail) is None and tail != DRAFT:
        if tail not in known:
            raise NotFound(f"no version or model {tail!r} in {text!r}", hint=did_you_mean(tail, known))
        if model is not None:
            raise UsageError(f"{text!r} names its model: {tail}", hint="leave out --model")
        text, model = ref, tail
    try:
        return SideRef(ref=PromptRef.parse(text), model=model)
    except UsageError as exc:
        raise UsageError(exc.what, hint=_FORMS) from None


def _saved(parts: Parts, text: str) -> RunRow:
    run = parts.log.run(text)
    if "draw" in run.record.selection:
        raise UsageError(f"run {run.record.id} has only fresh trials of single cases, which cannot be compared")
    return run


def _suite(parts: Parts, request: CompareOptions, sides: Sequence[SideRef]) -> str:
    """Find the suite: the one that is named, a saved run's, that of a side's prompt, or the default."""
    if request.suite is not None:
        return request.suite
    saved = [side.run.record.suite for side in sides if side.run is not None]
    if saved:
        return saved[0]
    default = parts.config.default_suite
    names = dict.fromkeys(side.ref.name for side in sides if side.ref and side.ref.name)
    for name in names:
        about = [suite for suite in parts.suites() if parts.suite(suite).prompt == name]
        if not about:
            raise NotFound(
                f"no suite uses prompt {name!r}",
                hint=did_you_mean(str(name), {parts.suite(one).prompt for one in parts.suites()}),
            )
        if default in about:
            return str(default)
        if len(about) > 1:
            raise UsageError(f"several suites use prompt {name!r}", hint=one_of("--suite {}", about))
        return about[0]
    if default is None:
        raise UsageError("which suite?", hint=one_of("--suite {}", parts.suites()))
    return default


def _policy(parts: Parts, suite: str) -> tuple[float, OutputValue | None]:
    try:
        found = parts.suite(suite)
    except NotFound:  # two saved runs of a suite that is gone
        return Method().margin, None
    return found.gate.margin, found.value


def _seed(sides: Iterable[Results]) -> int:
    """Draw permutations by what is compared, whichever side is called base; incidents are not."""
    prints = sorted(f"{_rows(one)}{one.fingerprint.prompt}{one.fingerprint.model}" for one in sides)
    return int.from_bytes(sha256("".join(prints).encode()).digest()[:4])


def _rows(side: Results) -> str:
    rows = sorted(f"{case.case_id} {case.row_digest}" for case in side.cases.values() if not case.incident)
    return digest(list(rows))


# -- runs


def _runs(
    parts: Parts,
    request: CompareOptions,
    suite: str,
    sides: Sequence[SideRef],
    progress: Progress | None,
) -> list[RunRow]:
    # Both are resolved before the first is asked: a misspelt head is found before base has cost anything.
    planned = [_planned(parts, request, suite, side, sides) for side in sides]
    base, head = (None if one is None else one[0] for one in planned)
    if head is not None and (recording := one_recording(base, head)) is not None:
        hint = 'ask a model: --model NAME; or record each version: path = "recorded/{version}.jsonl"'
        raise CannotMeasure(why_not_measured(recording), hint=hint)
    runs: list[RunRow] = []
    for side, plan in zip(sides, planned, strict=True):
        if side.run is not None:
            runs.append(side.run)
        elif runs and plan and planned[0] and plan[0].fingerprint() == planned[0][0].fingerprint():
            runs.append(runs[0])  # the same content on the same model: run twice it would be compared with itself
        elif plan is not None:
            runs.append(_run(parts, *plan, progress))
    return runs


def _planned(
    parts: Parts, request: CompareOptions, suite: str, side: SideRef, sides: Sequence[SideRef]
) -> tuple[Plan, RunOptions] | None:
    if side.run is not None:
        return None
    options = _options(request, suite, side, sides)
    plans = parts.plans(options)
    if len(plans) != 1:
        raise UsageError(f"{suite!r} names {len(plans)} suites", hint="--suite NAME")
    if request.pass_at is not None and request.pass_at > plans[0].trials:
        what = f"pass@{request.pass_at} needs {request.pass_at} trials of each case; here are {plans[0].trials}"
        raise UsageError(what, hint=f"--trials {request.pass_at}")
    return plans[0], options


def _options(request: CompareOptions, suite: str, side: SideRef, sides: Sequence[SideRef]) -> RunOptions:
    # Beside a saved run a version is run as that one was: its cases, its trials.
    saved = next((one.run.record for one in sides if one.run is not None), None)
    chosen = request.selection
    if saved is not None and chosen.everything:
        saved_selection = saved.selection
        chosen = Selection(
            case_ids=frozenset(saved_selection.get("case", ())),
            tags=frozenset(saved_selection.get("tag", ())),
            limit=saved_selection.get("limit"),
        )
    return RunOptions(
        target=suite,
        prompts=(str(side.ref),),
        models=(side.model,) if side.model else (),
        trials=request.trials or (saved.trials if saved else None),
        selection=chosen,
        concurrency=request.concurrency,
        fresh=request.fresh,
        budget_usd=request.budget_usd,
    )


def _run(parts: Parts, plan: Plan, options: RunOptions, progress: Progress | None) -> RunRow:
    (result,) = execute(parts, [plan], options, progress, kind=RunKind.COMPARE)
    record = result.record
    if result.status is RunStatus.INTERRUPTED:
        raise KeyboardInterrupt
    if result.status is not RunStatus.COMPLETE:
        raise CannotMeasure(
            f"{record.prompt} on {record.model} stopped after {result.summary.evaluated} of {record.planned} samples:"
            f" {result.stopped_because}",
            hint="the same command continues where this stopped",
        )
    return parts.log.run(record.id)


# -- asking again what got worse, apart from the answers that showed it


def _confirmed(
    parts: Parts, request: CompareOptions, comparison: Comparison, progress: Progress | None
) -> tuple[Confirmed, ...]:
    """Ask the regressed cases 5 more times on both sides. Raises EvalhError, KeyboardInterrupt."""
    sides, cases = (comparison.base, comparison.head), frozenset(comparison.regressed)
    plans = [_plan_again(parts, side, cases) for side in sides]
    check_plans(plans, parts.prices, request)
    confirming = Confirming(list(enumerate(plans[-1].cases)))
    progress = progress or NoProgress()
    with parts.writing(progress) as store:
        ends = ends_of(parts, store, request, progress)
        confirming.sessions = [Session(confirming.plan(plan, CONFIRM_DRAW), ends) for plan in plans]
        in_loop(_ask_again(confirming))
    for side, session in zip(sides, confirming.sessions, strict=True):
        if session.reason is not None:
            hint = "the same command continues where this stopped"
            raise CannotMeasure(f"confirming stopped: {session.reason}", hint=hint)
        if session.summary.ungraded == session.summary.samples:
            raise CannotMeasure(
                f"no fresh trial of {side.prompt} on {side.model} was graded",
                hint=f"evalh show {session.record.id}; a recording answers again only if its rows hold draws:"
                f' {{"id": …, "trial": 0…{FRESH_TRIALS - 1}, "draw": {CONFIRM_DRAW}, …}}',
            )
    return confirming.confirmed()


async def _ask_again(confirming: Confirming) -> None:
    async with together(*confirming.sessions):
        await confirming.ask()


def _plan_again(parts: Parts, side: Side, cases: frozenset[str]) -> Plan:
    chosen = Selection(case_ids=cases)
    options = RunOptions(target=side.suite, prompts=(side.prompt,), models=(side.model,), selection=chosen)
    (plan,) = parts.plans(options)
    now, then = plan.fingerprint(), side.fingerprint
    for part in ("prompt", "graders", "model", "route"):
        if getattr(now, part) != getattr(then, part):
            raise UsageError(
                f"{side.prompt} on {side.model} cannot be asked again: its {part} changed since it ran",
                hint=f"evalh compare takes versions too: {side.prompt}",
            )
    return plan


# -- the log


def _kept(parts: Parts, comparison: Comparison, examples: int, progress: Progress | None) -> ComparisonView:
    from msgspec.json import encode

    from evalh.api.event_loop import SystemClock

    now = SystemClock().now()
    base, head, difference = comparison.base, comparison.head, comparison.difference
    row = ComparisonRow(
        id="c" + new_run_id(now)[1:],
        at=now,
        suite=head.suite,
        base=base.prompt,
        head=head.prompt,
        base_model=base.model,
        head_model=head.model,
        base_run=base.run,
        head_run=head.run,
        verdict=comparison.verdict.value,
        comparable=comparison.comparable,
        n=comparison.n,
        wins=comparison.wins,
        losses=comparison.losses,
        difference=difference.value,
        low=difference.low,
        high=difference.high,
        p_value=comparison.p_value,
        content=encode(comparison).decode(),
    )
    with parts.writing(progress) as store:
        store.put(row)
        store.flush(or_blocked=True)
    return view_of(parts, row, examples)


def _difference(parts: Parts, comparison: Comparison) -> "PromptDiff | None":
    base, head = comparison.base, comparison.head
    if base.fingerprint.prompt == head.fingerprint.prompt:
        return None
    versions = [_version(parts, side.prompt, side.fingerprint.prompt) for side in (base, head)]
    if None in versions:
        return None
    from evalh.analysis.prompt_diff import diff

    return diff(*(one for one in versions if one is not None))


def _version(parts: Parts, label: str, digest: str) -> PromptVersion | None:
    """Load a version if its file did not change since it ran."""
    try:
        version = parts.version(label)
    except EvalhError:
        return None
    return version if version.digest == digest else None
