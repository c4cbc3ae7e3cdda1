"""What a change takes away from a gate: suites, graders, trials, a price. It needs a person's word, or it refuses."""

from collections.abc import Iterator
from contextlib import suppress

from msgspec.structs import replace

from evalh.analysis.compare.comparison import listed
from evalh.api.judges import identity
from evalh.api.parts import Parts
from evalh.api.sides import Sides, Stranger, SuitePairs
from evalh.core.errors import EvalhError, ExitCode
from evalh.core.ports import Tree
from evalh.core.suite import GatePolicy, GraderRule, eased
from evalh.engine.gate.change import Word
from evalh.engine.plan import Plan
from evalh.graders.kinds import Grader
from evalh.plugins import loaded_from
from evalh.providers.registry import function_of
from evalh.workspace.config import CONFIG_NAME
from evalh.workspace.files import content
from evalh.workspace.live import read_live
from evalh.workspace.prompt.prompts import Prompts
from evalh.workspace.suites import suite_names, suite_path


def lost(sides: Sides, pairs: SuitePairs) -> Iterator[Word]:
    """Say which suites went away, and which prompts no suite is about any more."""
    for name in pairs.removed:
        yield Word("suites", f"suite {name} was removed: no gate covers its prompt any more")
    for folder in sides.home.gone:
        yield Word("suites", f"the workspace {folder or '.'} is another one: it was not gated")
    if sides.base is None or sides.stranger is not None:
        return
    about = {prompt for name in sides.head.suites() if (prompt := _prompt_of(sides.head, name)) is not None}
    for head, base in pairs.kept.items():
        prompt = _prompt_of(sides.base, base)
        if prompt is not None and prompt not in about and prompt in sides.head.under_test.names():
            yield Word("suites", f"suite {head} uses another prompt now: no gate covers {prompt} any more")


def _prompt_of(parts: Parts, suite: str) -> str | None:
    with suppress(EvalhError):
        return parts.suite(suite).prompt
    return None


def weakened(sides: Sides, before: Plan, head: Plan, parts: tuple[str, ...]) -> Iterator[Word]:
    """Say what of a suite's own bar a change lowers, or may lower."""
    if "graders" in parts and (reason := "; ".join(_graders(before, head))):
        yield Word("graders", reason)
    if keys := list(eased(before.suite, head.suite)):
        reason = f"head's policy is less strict, from the next change on: {listed(keys)}"
        yield Word("policy", reason, ExitCode.INCONCLUSIVE)
    if parts and (unguarded := _not_there(before, head)):
        reason = f"must_pass names cases or tags that this dataset does not have: {listed(unguarded)}"
        yield Word("must_pass", reason, ExitCode.INCONCLUSIVE)
    if sides.base is None:
        return
    if sides.stranger is None:
        if code := _other_code(sides):
            yield Word("graders", f"the code of graders was changed: {listed(code)}")
    elif before.target.name != head.target.name:
        reason = (
            f"head's prompt names another model, {head.target.name}: what {before.target.name} would answer is unknown"
        )
        yield Word("model", reason, ExitCode.INCONCLUSIVE)
    yield from _prices(sides.base, sides.head, before, head)


def _prices(base: Parts, now: Parts, before: Plan, head: Plan) -> Iterator[Word]:
    """Say which prices differ, where a rule rests on them."""
    rules, kinds = before.suite.gate, {spec.kind for spec in before.suite.graders}
    if rules.cost_may_rise is not None or rules.net_loss_may_rise is not None or "cost" in kinds:
        for name in head.target.leaves:
            old, new = base.config.models.get(name), now.config.models.get(name)
            if old and new and (old.provider, old.model) == (new.provider, new.model) and old.price != new.price:
                yield Word("price", f"the price of {name} was changed, and a rule rests on it", ExitCode.INCONCLUSIVE)


def _not_there(before: Plan, head: Plan) -> list[str]:
    """Return the cases that both sides' rules name and head's dataset lacks; cases that a rule drops count as eased."""
    rules = (before.suite.gate.must_pass, head.suite.gate.must_pass)
    named = frozenset.intersection(*(frozenset() if rule is None else rule.cases for rule in rules))
    return sorted(named - {case.id for case in head.cases}) if named else []


def _graders(before: Plan, head: Plan) -> Iterator[str]:
    """Say which graders that decided are gone, decide nothing any more, or judge by something else."""
    rules = before.suite.gate
    named = {*(rule.grader for rule in rules.never), *(rule.grader for rule in rules.graders)}
    old = {grader.name: grader for grader in before.graders if grader.required or grader.name in named}
    new = {grader.name: grader for grader in head.graders}
    if gone := [name for name, one in old.items() if name not in new and one.required]:  # the rules tell of the others
        yield f"graders were removed: {listed(gone)}"
    if eased := [name for name, one in old.items() if name in new and one.required and not new[name].required]:
        yield f"graders are no longer required: {listed(eased)}"
    if edited := [name for name, one in old.items() if name in new and _differs(one, new[name])]:
        yield f"graders were changed: {listed(edited)}"


def _differs(old: Grader, new: Grader) -> bool:
    """Whether a grader judges by something else. Rows may add graders of their own; those of a row stand in it."""
    was, now = old.compiled.rows, new.compiled.rows
    if was is None or now is None:
        return identity(old.document()) != identity(new.document())
    left = was.kinds <= now.kinds and was.judges <= now.judges
    return not left or old.stated != new.stated or old.kind.semantics != new.kind.semantics


def held_to_each(policy: GatePolicy, before: Plan, head: Plan) -> GatePolicy:
    """Return a policy that tests each of base's graders, where head adds some that must be passed too.

    A new grader that fails every output makes both sides equally bad: by what is good alone, nothing would differ.
    """
    old = {grader.name for grader in before.graders if grader.required}
    new = {grader.name for grader in head.graders if grader.required}
    if not new - old:
        return policy
    known = {rule.grader for rule in policy.graders}
    more = tuple(GraderRule(name, policy.margin) for name in sorted((old & new) - known))
    return replace(policy, graders=(*policy.graders, *more))


def _other_code(sides: Sides) -> list[str]:
    """Return the files whose code judges on a side, and differs on the other; a scripted model's own is its answers."""
    assert sides.base is not None
    found: set[str] = set()
    answers: set[str] = set()
    for side in (sides.base, sides.head):
        found |= {*side.config.plugins, *side.grading_code}
        if side.config.plugins or side.grading_code:
            found |= loaded_from(side.files.code())
        functions = [function_of(spec) for spec in side.config.models.values()]
        answers |= {function.rpartition(":")[0] for function in functions if function is not None}
        answers -= {*side.config.plugins, *side.grading_code}
    return sorted(path for path in found - answers if content(sides.base.tree, path) != content(sides.head.tree, path))


def unmeasured(sides: Sides, pairs: SuitePairs) -> Iterator[Word]:
    """Say what of a stranger's differs and was not read, so that it would hold unmeasured once it is merged."""
    stranger = sides.stranger
    if stranger is None:
        return
    if config := [*stranger.config_differs, *_unmeasured_live(sides, stranger)]:
        reason = f"evalh.toml differs in more than which versions of judged prompts are live: {listed(sorted(config))}"
        yield Word("evalh.toml", f"{reason}; none of it was measured", ExitCode.INCONCLUSIVE, may_be_allowed=False)
    others = (*_other_files(sides, stranger, stranger.tree), *_other_pipelines(sides, stranger))
    differing = sorted({*_other_suites(sides, stranger, pairs), *others})
    if differing:
        reason = f"base's graders and models were used; head changes these, which was not measured: {listed(differing)}"
        yield Word("suites", reason, ExitCode.INCONCLUSIVE)
    if stranger.tip is not None and (since := sorted(_since(sides, stranger, stranger.tip))):
        reason = f"base changed these graders since head branched off: {listed(since)}; merge it into head"
        yield Word("suites", reason, ExitCode.INCONCLUSIVE, may_be_allowed=False)


def _since(sides: Sides, stranger: Stranger, tip: Tree) -> Iterator[str]:
    """Yield what base has changed of what judges: head chooses where it branched off, and so by which suites."""
    config = sides.head.config
    for name in {*sides.head.suites(), *suite_names(tip, config)}:
        path = suite_path(config, name)
        if content(stranger.instead, path) != content(tip, path):
            yield path
    yield from read_live(tip, stranger.instead).differs
    yield from _other_files(sides, stranger, tip)


def _unmeasured_live(sides: Sides, stranger: Stranger) -> Iterator[str]:
    """Yield the prompts of which head takes another version live, and which no suite is about."""
    config = sides.head.config
    about = {_prompt_of(sides.head, name) for name in sides.head.suites()}
    for name in sorted({*config.live, *stranger.live}):
        if config.live.get(name) != stranger.live.get(name) and name not in about:
            yield f"prompts.{name}.live"


def _other_suites(sides: Sides, stranger: Stranger, pairs: SuitePairs) -> Iterator[str]:
    for head, base in [*pairs.kept.items(), *((name, None) for name in pairs.new)]:
        path = suite_path(sides.head.config, head)
        before = None if base is None else content(stranger.instead, suite_path(sides.head.config, base))
        if before != content(stranger.tree, path):
            yield path


def _other_pipelines(sides: Sides, stranger: Stranger) -> Iterator[str]:
    """Yield the pipelines that head adds, removes or shapes in another way: base's shape was measured."""
    folder, live = sides.head.config.prompts_dir, sides.head.config.live
    trees = (stranger.instead, stranger.tree)
    for path in sorted({path for tree in trees for path in Prompts(tree, folder, live).pipelines()}):
        if content(trees[0], path) != content(trees[1], path):
            yield path


def _other_files(sides: Sides, stranger: Stranger, tree: Tree) -> Iterator[str]:
    """Yield what base's side was made of, and is another in a tree; suites and what decides nothing are left out."""
    config = sides.head.config
    suites = {suite_path(config, name) for name in sides.head.suites()}
    code = loaded_from(stranger.code()) if config.plugins or sides.head.functions else set()
    for path in {*stranger.instead.asked, *code} - {CONFIG_NAME} - suites:
        decides = not path.startswith(("reports/", f"{config.datasets_dir}/labels/"))
        if decides and content(stranger.instead, path) != content(tree, path):
            yield path
