"""Calibrating a judge of two outputs: its judgements in the log, in both orders, and people's labels of the outputs."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from evalh.analysis.calibrating import Votes, agreement_of, votes
from evalh.analysis.pair_calibrating import (
    JudgedComparison,
    PairCase,
    PairTrial,
    both_prefer,
    position,
    version_preference,
    win_rate,
)
from evalh.analysis.pairing import CaseResult, Results, pair
from evalh.api import calibration as of_outputs
from evalh.api.judge_identity import identity
from evalh.api.judges import resolve
from evalh.api.preferring import pairs_of
from evalh.api.recalling import Recall
from evalh.api.results import results_of
from evalh.core.attempt import CallKey, NotSent
from evalh.core.calibration import Calibration, Confusion
from evalh.core.digest import digest
from evalh.core.errors import EvalhError, UsageError
from evalh.core.label import GOOD
from evalh.core.suite import Suite
from evalh.graders.prefer import Favoured, Prefer, pairwise
from evalh.stats.calibration import tells_little
from evalh.workspace.labels import read_labels

if TYPE_CHECKING:
    from evalh.api.preferences import OutputPair
    from evalh.api.workspace import Workspace

_NEWEST = 50


def calibrate(workspace: "Workspace", judge: str, suite: str | None) -> Calibration:
    """Hold a judge of one output or of two against people. Raises NotFound, UsageError, WorkspaceError."""
    found = _find(workspace, judge, suite)
    if found is None:
        return of_outputs.calibrate(workspace, judge, suite)
    compared = _compared(workspace, *found)
    labels = read_labels(workspace.tree, workspace.config.datasets_dir, found[0].name)
    people = votes(label for label in labels if label.about == GOOD)
    return _calibration(*found, compared, people)


def _calibration(
    suite: Suite, prefer: Prefer, compared: list[JudgedComparison], people: dict[tuple[str, str], Votes]
) -> Calibration:
    every = {case.item: case for one in reversed(compared) for case in one.cases if case.differs}
    judged = [case for case in every.values() if case.favoured is not Favoured.UNJUDGED]
    if not judged:
        raise UsageError(
            f"the log holds no judgement of {prefer.name!r} as it is now",
            hint=f"evalh compare BASE HEAD --suite {suite.name}; stored answers are kept",
        )
    said = [one for case in judged if (one := case.people(people)) is not None]
    both = both_prefer(judged, people)
    seed = int(digest([suite.name, prefer.name])[-8:], 16)
    cells = [sum(one == cell for one in both) for cell in ((True, True), (True, False), (False, True), (False, False))]
    table = Confusion(both_good=cells[0], judge_only=cells[1], people_only=cells[2], both_bad=cells[3])
    seen = {(case.row, output) for case in judged for one in case.trials for output in (one.base, one.head)}
    return Calibration(
        suite=suite.name,
        judge=prefer.name,
        about=GOOD,
        judge_digest=identity(prefer.document()),
        outputs=len(judged),
        unjudged=len(every) - len(judged),
        labelled=len(said),
        torn=sum(one == 0 for one in said),
        authors=len({author for item in seen & people.keys() for author in people[item].by_author}),
        of_others=len(people.keys() - seen),
        confusion=table,
        agreement=agreement_of(both, seed) if both else None,
        people=None,
        rates=tuple(win_rate(one, people) for one in compared),
        few_labels=tells_little(table),
        at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        position=position(every.values()),
        preferences=tuple(version_preference(one) for one in compared),
    )


def _find(workspace: "Workspace", judge: str, suite: str | None) -> tuple[Suite, Prefer] | None:
    names = (suite,) if suite else workspace.suites()
    suites = [workspace.suite(name) for name in names]
    if any(judge == grader.name for one in suites for grader in one.graders):
        return None
    found = [
        (one, prefer)
        for one in suites
        for prefer in (pairwise(one.compare, workspace.grader_environment) if one.compare else ())
        if prefer.name == judge
    ]
    if len(found) > 1:
        options = " | ".join(one.name for one, _ in found)
        raise UsageError(f"several suites have a judge {judge!r}", hint=f"--suite {options}")
    return found[0] if found else None


def _compared(workspace: "Workspace", suite: Suite, prefer: Prefer) -> list[JudgedComparison]:
    """Read what the judge said of the suite's comparisons, the newest of each two versions."""
    store = workspace.open_store()
    try:
        return list(_each(workspace, suite, prefer, Recall(store, partial(resolve, workspace))))
    finally:
        store.close()


def _each(workspace: "Workspace", suite: Suite, prefer: Prefer, recall: Recall) -> Iterator[JudgedComparison]:
    seen: set[object] = set()
    for row in workspace.log.comparisons(suite.name, _NEWEST):
        if row.base_run is None or row.head_run is None:
            continue
        runs = [workspace.log.run(run) for run in (row.base_run, row.head_run)]
        key = tuple((one.record.prompt_digest, one.record.model) for one in runs)
        if key in seen:
            continue
        seen.add(key)
        base, head = (results_of(workspace.log, one) for one in runs)
        models = row.head_model if row.base_model == row.head_model else f"{row.base_model} → {row.head_model}"
        cases = tuple(_cases(base, head, _said(prefer, recall, pairs_of(workspace, base, head).asked)))
        yield JudgedComparison(name=f"{row.base} → {row.head} on {models}", run=row.head_run, cases=cases)


def _said(prefer: Prefer, recall: Recall, asked: "Sequence[OutputPair]") -> dict[tuple[str, int], Favoured]:
    found = asyncio.run(_all(prefer, recall, asked))
    return {(one.case.id, one.trial): favoured for one, favoured in zip(asked, found, strict=True)}


def _cases(base: Results, head: Results, said: dict[tuple[str, int], Favoured]) -> Iterator[PairCase]:
    for one in pair(base, head).pairs:
        trials = tuple(_trials(one.base, one.head, said))
        if trials and one.head.row_digest is not None:
            yield PairCase(row=one.head.row_digest, trials=trials)


def _trials(base: CaseResult, head: CaseResult, said: dict[tuple[str, int], Favoured]) -> Iterator[PairTrial]:
    there = {sample.trial: sample for sample in base.samples}
    for sample in head.samples:
        before = there.get(sample.trial)
        if before is None or before.output_digest is None or sample.output_digest is None:
            continue
        same = before.output_digest == sample.output_digest
        yield PairTrial(
            base=before.output_digest,
            head=sample.output_digest,
            kind=(str(before.standing), str(sample.standing)),
            favoured=Favoured.TIE if same else said.get((sample.case_id, sample.trial), Favoured.UNJUDGED),
        )


async def _all(prefer: Prefer, recall: Recall, pairs: "Iterable[OutputPair]") -> list[Favoured]:
    return [await _one(prefer, recall, pair) for pair in pairs]


async def _one(prefer: Prefer, recall: Recall, one: "OutputPair") -> Favoured:
    try:
        judged = await prefer.judge(one.case, one.base, one.head, recall.about(CallKey(one.case.id, one.trial)))
    except (NotSent, EvalhError):
        return Favoured.UNJUDGED
    return judged.favoured
