"""A suite's `compare:` entries: judges see both outputs of each case that differs, in both orders.

Every judgement is a call of the log, and never bought twice. What a gate's judges prefer stands beside its decision
and never changes it.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from msgspec.structs import replace

from evalh.analysis.compare.comparison import Preferred
from evalh.analysis.compare.pairing import Results, pair
from evalh.analysis.compare.preference import preferred
from evalh.analysis.gate.decision import SuiteDecision
from evalh.api.judges import pair_standings
from evalh.api.parts import Parts
from evalh.api.results import results_of
from evalh.api.runs import NoProgress, ends_of
from evalh.core.attempt import Call, CallKey, Completion, NotSent
from evalh.core.calibration import JudgeStanding
from evalh.core.case import Case
from evalh.core.errors import EvalhError, NotFound
from evalh.core.log import SampleStory
from evalh.core.money import total
from evalh.core.ports import Progress
from evalh.core.request import Request
from evalh.core.values import Value
from evalh.engine.gate.change import SuiteChange
from evalh.engine.plan import AskOptions, budget_for
from evalh.engine.session import new_run_id
from evalh.graders.judges.prefer import Favoured, Prefer, Preference, pairwise
from evalh.graders.quoting import one_line
from evalh.routing.build import Builder
from evalh.routing.run_context import Halt

if TYPE_CHECKING:
    from evalh.store import SqliteStore


class OutputPair(Value, kw_only=True):
    """Two outputs for one case."""

    case: Case
    base: Completion
    head: Completion
    trial: int = 0


async def preferences(
    parts: Parts,
    store: "SqliteStore",
    prefer: Prefer,
    pairs: Sequence[OutputPair],
    options: AskOptions,
) -> list[Preference]:
    """Judge every pair in both orders, in the pairs' order. Raises EvalhError if no judge can be asked.

    What a spent budget or a judge that cannot be asked any more leaves out is unjudged.
    """
    routing = parts.targets.routing(prefer.model, prefer.form)
    ends = ends_of(parts, store, options, NoProgress())
    builder = ends.builder(routing, [routing.target], Halt(ends.clock))
    found: list[Preference | None] = [None] * len(pairs)
    run_id = new_run_id(ends.clock.now())  # the calls are logged under an id of their own, as no run's
    async with ends.doors.open([routing.target]):
        work = iter(enumerate(pairs))
        async with asyncio.TaskGroup() as group:
            for _ in range(min(ends.concurrency, len(pairs))):
                group.create_task(_worker(builder, prefer, work, found, run_id))
    return [one for one in found if one is not None]


async def _worker(
    builder: Builder,
    prefer: Prefer,
    work: Iterator[tuple[int, OutputPair]],
    found: list[Preference | None],
    run_id: str,
) -> None:
    settings = builder.target.settings()
    for position, outputs in work:
        # The call that the judgements are about: it is not a separate request, and is never sent or stored.
        about = Call(
            id=f"{run_id}:prefer",
            run_id=run_id,
            key=CallKey(outputs.case.id, outputs.trial),
            request=Request((), settings),
            case=outputs.case,
        )
        asking = builder.inquiry.about(about)
        try:
            preference = await prefer.judge(outputs.case, outputs.base, outputs.head, asking)
        except (NotSent, EvalhError) as error:
            reason = one_line(f"the judge {prefer.model!r} was not asked: {error}")
            preference = Preference(favoured=Favoured.UNJUDGED, said=(None, None), reason=reason)
        found[position] = replace(preference, spent_usd=asking.spent_usd, cached_usd=asking.cached_usd)


_NO_ANSWER = "a side has no answer"


class Pairs(Value, kw_only=True):
    """What is compared, by case: pairs that differ are asked about, for all others it is clear."""

    asked: tuple[OutputPair, ...]
    clear: tuple[tuple[str, Favoured], ...]
    cases: tuple[str, ...]  # in the dataset's order


def judges_of(parts: Parts, suite: str, asking: AskOptions) -> tuple[Prefer, ...]:
    """Compile what stands under `compare:`, before anything is asked. Raises WorkspaceError, UsageError."""
    try:
        specs = parts.suite(suite).compare
    except NotFound:  # two saved runs of a suite that is gone
        return ()
    judges = pairwise(specs, parts.grader_environment)
    for judge in judges:
        target = parts.targets.resolve(judge.model, judge.form)
        budget_for(target, parts.prices, asking.budget_usd)
    return judges


def ask_judges(
    parts: Parts,
    judges: Sequence[Prefer],
    sides: tuple[Results, Results],
    asking: AskOptions,
    progress: Progress | None,
) -> tuple[Preferred, ...]:
    """Put the outputs before each judge. `--budget` bounds all of them together. Raises EvalhError."""
    pairs, left, found = pairs_of(parts, *sides), asking.budget_usd, []
    for judge in judges:
        said: list[Preference] = []
        if pairs.asked:
            if progress is not None:
                count = f"{len(pairs.asked)} pair" + ("s" if len(pairs.asked) > 1 else "")
                progress.note(f"{judge.name}: {count} of outputs before {judge.model}, in both orders")
            with parts.writing(progress) as store:
                said = asyncio.run(preferences(parts, store, judge, pairs.asked, replace(asking, budget_usd=left)))
        one = _counted(judge, pairs, said)
        if left is not None and one.judge_cost_usd is not None:
            left = max(Decimal(0), left - one.judge_cost_usd)
        found.append(one)
    return tuple(found)


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


def pairs_of(parts: Parts, base: Results, head: Results) -> Pairs:
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
    asked = tuple(_outputs(parts, (base.run, head.run), differ)) if differ else ()
    return Pairs(asked=asked, clear=tuple(clear), cases=tuple(one.case_id for one in paired))


def _outputs(
    parts: Parts, runs: tuple[str | None, str | None], differ: Sequence[tuple[str, int]]
) -> Iterator[OutputPair]:
    """Read what differs, of each run once: only these texts are held."""
    wanted = set(differ)
    base, head = (
        {
            (story.sample.case_id, story.sample.trial): story
            for story in parts.log.stories(run or "")
            if (story.sample.case_id, story.sample.trial) in wanted
        }
        for run in runs
    )
    for key in differ:
        case = head[key].case
        yield OutputPair(case=case, base=_completion(base[key]), head=_completion(head[key]), trial=key[1])


def _completion(story: SampleStory) -> Completion:
    return Completion(text=story.output or "", tool_calls=story.tool_calls)


_NOT_ASKED = "the judges under `compare:` were not asked"


class GatePreferences(Value):
    """Whom to ask about which suite. Compiled before anything is asked, so that a slip costs nothing."""

    parts: Parts  # head's
    judges: Mapping[str, tuple[Prefer, ...]]
    standings: Mapping[str, tuple[JudgeStanding, ...]]
    asking: AskOptions
    progress: Progress

    def tell(self, suites: Iterable[SuiteDecision]) -> tuple[SuiteDecision, ...]:
        """Return the decisions with what the judges prefer. Raises KeyboardInterrupt."""
        return tuple(self._told(one, self.judges.get(one.suite, ())) for one in suites)

    def _told(self, suite: SuiteDecision, judges: Sequence[Prefer]) -> SuiteDecision:
        if not judges:
            return suite
        compared = suite.comparison
        if compared is None or not compared.comparable:
            return _noted(suite, f"{_NOT_ASKED}: nothing was compared")
        runs = (compared.base.run, compared.head.run)
        try:
            log = self.parts.log
            base, head = (results_of(log, log.run(run or "")) for run in runs)
            preferences = ask_judges(self.parts, judges, (base, head), self.asking, self.progress)
        except EvalhError as error:  # what was decided stands
            return _noted(suite, f"{_NOT_ASKED}: {error.what}")
        unseen = compared.n - len(base.cases.keys() & head.cases.keys())
        standing = (*suite.judges, *self.standings[suite.suite])
        decision = replace(suite, comparison=replace(compared, preferred=preferences, judges=standing), judges=standing)
        if unseen:
            what = f"{unseen} of {compared.n} cases have no output on a side (the baseline kept none)"
            return _noted(decision, f"{what}: no preference is known for them")
        return decision


def preferring(parts: Parts, changes: Iterable[SuiteChange], progress: Progress, asking: AskOptions) -> GatePreferences:
    """Compile the judges of every suite that is compared. Raises WorkspaceError, UsageError."""
    judges = {
        change.suite: judges_of(parts, change.suite, asking)
        for change in changes
        if change.compares and change.head.suite.compare
    }
    standings = {suite: pair_standings(parts.tree, suite, found) for suite, found in judges.items()}
    return GatePreferences(parts, judges, standings, asking, progress)


def _noted(suite: SuiteDecision, notice: str) -> SuiteDecision:
    return replace(suite, notices=(*suite.notices, notice))
