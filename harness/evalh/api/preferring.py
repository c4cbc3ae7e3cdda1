"""`compare` with a suite's `compare:` entries: every pair of outputs that differ is put before them, in both orders."""

import asyncio
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from msgspec.structs import replace

from evalh.analysis.comparison import Preferred
from evalh.analysis.pairing import Results, pair
from evalh.analysis.preferring import preferred
from evalh.api.judges import resolve
from evalh.api.log_place import writing
from evalh.api.preferences import OutputPair, PreferOptions, preferences
from evalh.api.targets import budget_for
from evalh.core.attempt import Completion
from evalh.core.errors import NotFound
from evalh.core.money import total
from evalh.core.route import BudgetPolicy
from evalh.core.story import SampleStory
from evalh.core.values import Value
from evalh.graders.prefer import Favoured, Prefer, Preference, pairwise

if TYPE_CHECKING:
    from evalh.api.comparing import CompareRequest
    from evalh.api.workspace import Workspace
    from evalh.core.ports import Progress

_NO_ANSWER = "a side has no answer"


class Pairs(Value, kw_only=True):
    """What is compared, by case: pairs that differ are asked about, for all others it is clear."""

    asked: tuple[OutputPair, ...]
    clear: tuple[tuple[str, Favoured], ...]
    cases: tuple[str, ...]  # in the dataset's order


def judges_of(workspace: "Workspace", suite: str, request: "CompareRequest") -> tuple[Prefer, ...]:
    """Compile what stands under `compare:`, before anything is asked. Raises WorkspaceError, UsageError."""
    if not request.prefer:
        return ()
    try:
        specs = workspace.suite(suite).compare
    except NotFound:  # two saved runs of a suite that is gone
        return ()
    judges = pairwise(specs, workspace.grader_environment)
    for judge in judges:
        target = resolve(workspace, judge.model, judge.form)
        budget_for(target, workspace.prices, _budget(workspace, judge, request.budget_usd))
    return judges


def judged(
    workspace: "Workspace",
    judges: Sequence[Prefer],
    sides: tuple[Results, Results],
    request: "CompareRequest",
    progress: "Progress | None",
) -> tuple[Preferred, ...]:
    """Put the outputs before each judge. `--budget` bounds all of them together. Raises EvalhError."""
    pairs, left, found = pairs_of(workspace, *sides), request.budget_usd, []
    for judge in judges:
        if progress is not None and pairs.asked:
            count = f"{len(pairs.asked)} pair" + ("s" if len(pairs.asked) > 1 else "")
            progress.note(f"{judge.name}: {count} of outputs before {judge.model}, in both orders")
        options = PreferOptions(
            concurrency=request.concurrency or PreferOptions().concurrency,
            fresh=request.fresh,
            budget=_budget(workspace, judge, left),
        )
        said = _ask(workspace, judge, pairs, options, progress)
        one = _counted(judge, pairs, said)
        if left is not None and one.judge_cost_usd is not None:
            left = max(Decimal(0), left - one.judge_cost_usd)
        found.append(one)
    return tuple(found)


def _ask(
    workspace: "Workspace", judge: Prefer, pairs: Pairs, options: PreferOptions, progress: "Progress | None"
) -> list[Preference]:
    if not pairs.asked:
        return []
    with writing(workspace, progress) as store:
        return asyncio.run(preferences(workspace, store, judge, pairs.asked, options))


def _budget(workspace: "Workspace", judge: Prefer, usd: Decimal | None) -> BudgetPolicy | None:
    if usd is None:
        return None
    return replace(resolve(workspace, judge.model, judge.form).route.budget, usd_per_run=usd)


def _counted(judge: Prefer, pairs: Pairs, said: Sequence[Preference]) -> Preferred:
    trials: dict[str, list[Favoured]] = {case: [] for case in pairs.cases}
    for case, favoured in pairs.clear:
        trials[case].append(favoured)
    for asked, one in zip(pairs.asked, said, strict=True):
        trials[asked.case.id].append(one.favoured)
    silent = [one.reason for one in said if one.favoured is Favoured.UNJUDGED]
    if not silent and any(favoured is Favoured.UNJUDGED for _, favoured in pairs.clear):
        silent = [_NO_ANSWER]
    spent = total(one.spent_usd for one in said), total(one.cached_usd for one in said)
    return preferred((judge.name, judge.model), trials, spent, silent[0] if silent else None)


# -- the pairs


def pairs_of(workspace: "Workspace", base: Results, head: Results) -> Pairs:
    """Pair the outputs of both sides; the texts are read of those that differ."""
    paired = pair(base, head).pairs
    clear: list[tuple[str, Favoured]] = []
    differ: list[tuple[str, int]] = []
    for one in paired:
        there = {sample.trial: sample.output_digest for sample in one.base.samples}
        for sample in one.head.samples:
            before, after = there.get(sample.trial), sample.output_digest
            if before is None or after is None:
                clear.append((one.case_id, Favoured.UNJUDGED))
            elif before == after:
                clear.append((one.case_id, Favoured.TIE))
            else:
                differ.append((one.case_id, sample.trial))
    asked = tuple(_outputs(workspace, (base.run, head.run), differ)) if differ else ()
    return Pairs(asked=asked, clear=tuple(clear), cases=tuple(one.case_id for one in paired))


def _outputs(
    workspace: "Workspace", runs: tuple[str | None, str | None], differ: Sequence[tuple[str, int]]
) -> Iterator[OutputPair]:
    """Read what differs, of each run once: only these texts are held."""
    wanted = set(differ)
    base, head = (
        {
            (story.sample.case_id, story.sample.trial): story
            for story in workspace.log.stories(run or "")
            if (story.sample.case_id, story.sample.trial) in wanted
        }
        for run in runs
    )
    for key in differ:
        case = head[key].case
        yield OutputPair(case=case, base=_completion(base[key]), head=_completion(head[key]), trial=key[1])


def _completion(story: SampleStory) -> Completion:
    return Completion(text=story.output or "", tool_calls=story.tool_calls)
