"""What a change touches: which suites' fingerprints differ between the merge base and head, and which rows."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from shlex import quote

from msgspec.structs import replace

from evalh.analysis.compare.comparison import listed
from evalh.api.judges import judge_kin, labels_of, standings
from evalh.api.options import RunOptions
from evalh.api.parts import Parts
from evalh.api.sides import Sides, SuitePairs, suite_pairs
from evalh.api.weakened import held_to_each, lost, weakened
from evalh.core.case import Case
from evalh.core.errors import EvalhError, NotFound, WorkspaceError, did_you_mean
from evalh.core.prompt import DRAFT
from evalh.core.strict_json import JsonValue
from evalh.core.values import Value
from evalh.engine.gate.change import RowChanges, SuiteChange, Word, row_changes
from evalh.engine.plan import Plan, PlannedPipeline, PlannedStep
from evalh.workspace.prompt.media import LoadMedia
from evalh.workspace.prompt.prompts import Prompts
from evalh.workspace.prompt.templates import CompiledVersion


class Changes(Value, kw_only=True):
    """What was found. `unchanged` are suites' names; `words` are about no suite that is run."""

    touched: tuple[SuiteChange, ...]
    unchanged: tuple[str, ...]
    words: tuple[Word, ...]
    pairs: SuitePairs


def find_changes(sides: Sides, suites: tuple[str, ...], model: str | None) -> Changes:
    """Compare every suite's fingerprint, or those that are named. Raises EvalhError if head cannot be read."""
    every = suite_pairs(sides)
    known = {*every.kept, *every.kept.values(), *every.new, *every.removed}
    for name in suites:
        if name not in known:
            raise NotFound(f"no suite {name!r}", hint=did_you_mean(name, known))
    pairs = every.named(suites)
    there: dict[str, str | None] = dict(pairs.kept)
    if sides.stranger is None:
        there.update(dict.fromkeys(pairs.new))
    touched, unchanged, words = [], [], list(lost(sides, pairs))
    for name, was in sorted(there.items()):
        change = _change(sides, name, was, model)
        if change.parts:
            touched.append(change)
        elif change.words:  # its answers are what they were: there is nothing to run
            words += [replace(word, reason=f"{name}: {word.reason}") for word in change.words]
        else:
            unchanged.append(name)
    return Changes(touched=tuple(touched), unchanged=tuple(unchanged), words=tuple(words), pairs=pairs)


def _change(sides: Sides, name: str, was: str | None, model: str | None) -> SuiteChange:
    head = _plan(sides.head, name if sides.stranger is None else was or name, model)
    before, problem = (None, None) if was is None else _before(sides.base, was, model)
    judges = standings(sides.head.tree, head.suite.name, head.graders)
    renamed = (f"the suite was renamed: {was} → {name}",) if was not in (None, name) else ()
    if before is None:
        notice = "the suite is new"
        if problem is not None:  # one line: the hint stands on its own in an error
            told = "; ".join(line.strip() for line in str(problem).splitlines())
            notice = f"the merge base's suite cannot be read: {told}"
        return SuiteChange(
            suite=name,
            parts=("new",),
            head=head,
            base=None,
            before=None,
            policy=head.suite.gate,
            notices=(*renamed, notice, *judge_kin(sides.head, head)),
            judges=judges,
        )
    before, head, in_use = _in_use(sides, model, before, head)
    prints, now = before.fingerprint().document(), head.fingerprint().document()
    parts = tuple(part for part in prints if prints[part] != now[part])
    shown = _other_media(before, head)
    if shown and "dataset" not in parts:
        parts = (*parts, "dataset")
    policy = before.suite.gate
    if "graders" in parts:
        policy = held_to_each(policy, before, head)
    head = replace(head, trials=policy.trials or max(before.trials, head.trials))
    rows = row_changes(before, head) if "dataset" in parts else RowChanges()
    rows = replace(rows, rewritten=tuple(dict.fromkeys((*rows.rewritten, *shown))))
    return SuiteChange(
        suite=name,
        parts=parts,
        head=head,
        base=scored_as(before, head),
        before=before,
        head_before=scored_as(head, before),
        policy=policy,
        rows=rows,
        words=tuple(weakened(sides, before, head, parts)),
        notices=(*renamed, *in_use, *_notices(before, head, parts), *judge_kin(sides.head, head)),
        judges=judges,
        labels=labels_of(sides.head, head.suite.name, judges),
    )


def not_judged(sides: Sides, touched: Iterable[SuiteChange]) -> Iterator[str]:
    """Name the new frozen versions that no suite ran: neither draft nor live, and not in a pipeline."""
    if sides.base is None:
        return
    head, base = sides.head.under_test, sides.base.under_test
    judged: set[str | None] = {None} | {
        plan.version.digest for change in touched for plan in (change.head, change.base) if plan is not None
    }
    for plan in (change.head for change in touched):
        judged |= {step.prompt_digest for step in plan.pipeline.record()} if plan.pipeline is not None else set()
    for name in sorted({*head.names()} & {*base.names()}):
        added = [one for one in head.versions(name) if one != DRAFT and one not in base.versions(name)]
        if not added:
            continue
        with suppress(EvalhError):  # what cannot be read, evalh check tells
            live = str(head.live(name))
            in_use = judged | {_digest(head, name, one) for one in (DRAFT, live)}
            if others := [f"{name}@{one}" for one in added if _digest(head, name, one) not in in_use]:
                how = f"evalh compare {quote(f'{name}@{live}')} {quote(others[-1])}"
                yield f"new, but neither the draft nor live, so not judged: {listed(others)}; {how}"


def _digest(prompts: Prompts, name: str, version: str) -> str | None:
    """Return the digest of a version's content; None if it is not there, or cannot be read."""
    try:
        return prompts.load(name, version).digest
    except EvalhError:
        return None


def _plan(parts: Parts, suite: str, model: str | None, prompt: str | None = None) -> Plan:
    options = RunOptions(target=suite, models=(model,) if model else (), prompts=(prompt,) if prompt else ())
    (plan,) = parts.plans(options)
    return plan


def _in_use(sides: Sides, model: str | None, before: Plan, head: Plan) -> tuple[Plan, Plan, tuple[str, ...]]:
    """Return both sides with their live versions where a change takes another one live, a rollback too.

    A suite runs its prompt's draft where there is one; but what goes live is what users meet, draft or not.
    """
    old, new = _live(sides.base, model, before), _live(sides.head, model, head)
    if old is None or new is None or old.version.digest == new.version.digest:
        return before, head, ()
    notices = [f"another version goes live: {old.version.label} → {new.version.label}"]
    if head.version.digest not in (before.version.digest, new.version.digest):
        notices.append(f"{head.version.label} differs too, and is not live: it was not judged")
    return old, new, tuple(notices)


def _live(parts: Parts | None, model: str | None, plan: Plan) -> Plan | None:
    """Return a suite's plan with the live version; None: nothing is live."""
    assert parts is not None  # it holds the suite
    name = plan.version.name
    live = parts.under_test.live(name)
    return None if live is None else _plan(parts, plan.suite.name, model, f"{name}@{live}")


def _before(base: Parts | None, suite: str, model: str | None) -> tuple[Plan | None, EvalhError | None]:
    assert base is not None  # it holds the suite
    try:
        return _plan(base, suite, model), None
    except EvalhError as exc:  # a change that fixes what is broken on base must be able to pass
        return None, exc


def _notices(base: Plan, head: Plan, parts: tuple[str, ...]) -> Iterator[str]:
    if "graders" in parts:
        yield "the graders changed: both sides are scored with head's"
    if "model" in parts or "route" in parts:
        names = dict.fromkeys((base.target.name, head.target.name))
        what = "model" if head.pipeline is not None else "model or route"
        yield f"another {what} answers{' as' if len(names) == 1 else ':'} {' → '.join(names)}"
    if differing := list(_other_steps(base, head)):
        yield f"steps that differ: {', '.join(differing)}"
    if head.suite.trials < base.suite.trials:
        yield f"head asks for {head.suite.trials} trials: the merge base's {base.suite.trials} hold"
    if base.suite.gate != head.suite.gate:
        yield "the gate's policy changed: the merge base's holds until this is merged"
    if base.suite.value != head.suite.value:
        yield "the suite's value changed: the merge base's holds until this is merged"


def _other_steps(base: Plan, head: Plan) -> Iterator[str]:
    """Say which steps of a pipeline are others, and in what."""
    if base.pipeline is None or head.pipeline is None:
        return
    old, new = base.pipeline.steps, head.pipeline.steps
    for name in {**old, **new}:
        if name not in old or name not in new:
            yield f"{name} ({'new' if name not in old else 'gone'})"
            continue
        before, after = _step_parts(old[name]), _step_parts(new[name])
        if changed := [part for part in before if before[part] != after[part]]:
            yield f"{name} ({', '.join(changed)})"


def _step_parts(step: PlannedStep) -> dict[str, JsonValue]:
    document = step.spec.document()
    models = [(one.target.name, one.target.models_document(), one.target.route_document()) for one in step.prompts]
    graders = [grader.document() for grader in step.graders]
    return {
        "prompt": document.pop("prompt"),
        "function": document.pop("function"),
        "edges and policies": document,
        "model": models,
        "graders": graders,
    }


def scored_as(base: Plan, head: Plan) -> Plan:
    """Return base's plan on head's rows, files and graders; graders ask whom head's workspace names."""
    step = base.step
    if step is not None and head.step is not None:
        old, new = step.template, head.step.template
        if isinstance(old, CompiledVersion) and isinstance(new, CompiledVersion):
            step = replace(step, template=replace(old, load=new.load))
    return replace(
        base,
        suite=head.suite,
        step=step,
        pipeline=_graded_as(base.pipeline, head.pipeline),
        cases=head.cases,
        graders=head.graders,
        trials=head.trials,
        resolve=head.resolve,
        find_asked=head.find_asked,
    )


def _graded_as(base: PlannedPipeline | None, head: PlannedPipeline | None) -> PlannedPipeline | None:
    """Return base's pipeline with head's graders of the steps that both have."""
    if base is None or head is None:
        return base
    graders = {name: step.graders for name, step in head.steps.items()}
    steps = {name: replace(step, graders=graders.get(name, step.graders)) for name, step in base.steps.items()}
    return replace(base, steps=steps)


def _other_media(before: Plan, head: Plan) -> tuple[str, ...]:
    """Return the cases whose row is the same and names a file that is not: another image is another case."""
    if before.step is None or head.step is None:
        return ()
    old, new = before.step.template, head.step.template
    if not isinstance(old, CompiledVersion) or not isinstance(new, CompiledVersion):
        return ()
    known = {case.id for case in before.cases}
    return tuple(
        case.id
        for case in head.cases
        if case.id in known and _media(new, case, new.load) != _media(new, case, old.load)
    )


def _media(template: CompiledVersion, case: Case, load: LoadMedia | None) -> object:
    try:
        return template.media(case.inputs, load)
    except WorkspaceError as exc:
        return exc.what
