"""Calibrating a judge, of one output or of two: what it said in the log, and people's labels in the workspace.

Nothing is sent, and the log is only read.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, suppress
from datetime import UTC, datetime
from itertools import combinations, islice
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct, field
from msgspec.structs import replace

from evalh.analysis.calibration.feedback import FeedbackAgreement, beside_feedback
from evalh.analysis.calibration.outputs import (
    Judged,
    Votes,
    both_said,
    confusion,
    corrected_rate,
    people_agreement,
    votes,
)
from evalh.analysis.calibration.pairs import (
    JudgedComparison,
    PairCase,
    PairTrial,
    both_prefer,
    position,
    version_preference,
    win_rate,
)
from evalh.analysis.calibration.versions import NamedRun, version_difference
from evalh.analysis.compare.pairing import CaseResult, Results, pair
from evalh.api.judges import identity
from evalh.api.parts import Parts
from evalh.api.prefer import OutputPair, pairs_of
from evalh.api.production import production
from evalh.api.results import results_of
from evalh.core.attempt import Answer, CallKey, NotSent
from evalh.core.calibration import GOOD, Calibration, UnusedLabels, VersionDifference
from evalh.core.digest import digest
from evalh.core.errors import EvalhError, NotFound, UsageError, did_you_mean, one_of
from evalh.core.request import Request, Settings
from evalh.core.suite import Suite
from evalh.core.values import Value
from evalh.core.verdict import Form, Outcome, Question
from evalh.graders.judges.prefer import Favoured, Prefer, pairwise
from evalh.graders.kinds import Grader
from evalh.report.words import unused_labels
from evalh.routing.target import Target
from evalh.stats.agreement import agreement
from evalh.stats.calibration import tells_little
from evalh.workspace.kept.calibrations import write_calibration
from evalh.workspace.kept.labels import read_labels

if TYPE_CHECKING:
    from evalh.store import SqliteStore


Item: TypeAlias = tuple[str, str]
"""What is labelled: the digests of the row and of the output."""

_NEWEST = 50
_MOST_DIFFERENCES = 20


class _Runs(Struct):
    """What this judge said in the log: per run, and the outputs on which it said nothing."""

    judged: dict[str, list[Judged]] = field(default_factory=lambda: defaultdict(list))  # by run
    unjudged: set[Item] = field(default_factory=set)
    newest: dict[str, str] = field(default_factory=dict)  # the newest run of each version and model, and its name


def calibrate_outputs(parts: Parts, judge: str, suite: str | None) -> Calibration:
    """Hold a judge's verdicts against the labels. Raises NotFound, UsageError, WorkspaceError."""
    found, grader = _judge_of_outputs(parts, judge, suite)
    about, people, others = _labels(parts, found, judge)
    verdicts = _read(parts, found, grader, about)
    every = list({one.item: one for run in verdicts.judged.values() for one in run}.values())
    if not every:
        failed = len(verdicts.unjudged)
        what = f"the current judge {judge!r} erred or abstained on each of {failed} outputs: there is no verdict of it"
        raise UsageError(
            what if failed else f"the log has no verdict of the current judge {judge!r}",
            hint=f"evalh run {quote(found.name)}; stored answers are kept",
        )
    seed = int(digest([found.name, judge])[-8:], 16)
    known = {one.item for one in every}
    mine = {item: one for item, one in people.items() if item in known}
    unused = _unused(parts, found, people.keys() - known, verdicts.unjudged)
    if not mine:  # a file without a label would stand in the place of one with labels
        raise UsageError(
            f"none of the {len(people)} labelled outputs was judged by the current judge {judge!r}",
            hint="\n".join(unused_labels(unused, found.name, judge)),
        )
    both = both_said(every, mine)
    table = confusion(both)
    whole = corrected_rate("every output judged", None, every, mine)
    return Calibration(
        suite=found.name,
        judge=judge,
        about=about,
        judge_digest=identity(grader.document()),
        outputs=len(every),
        unjudged=len(verdicts.unjudged - known),
        labelled=len(mine),
        torn=len(mine) - table.labelled,
        authors=len({author for one in mine.values() for author in one.by_author}),
        of_others=len(people) - len(mine),
        confusion=table,
        agreement=agreement(both, seed=seed) if both else None,
        people=people_agreement(mine, seed),
        rates=(
            whole,
            *(corrected_rate(name, run, verdicts.judged[run], mine) for run, name in verdicts.newest.items()),
        ),
        few_labels=tells_little(table.disagreements, table.labelled),
        differences=tuple(_differences(verdicts, mine)),
        at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        unused=replace(unused, other_question=others),
    )


def _labels(parts: Parts, suite: Suite, judge: str) -> tuple[str, dict[Item, Votes], int]:
    """Return what the labels that count are about, the labels, and how many outputs have others alone."""
    labels = read_labels(parts.tree, parts.config.datasets_dir, suite.name)
    about = judge if any(label.about == judge for label in labels) else GOOD
    people = votes(label for label in labels if label.about == about)
    if not people:
        hint = f"evalh label {quote(suite.name)} --about {quote(judge)}"
        raise UsageError(f"no outputs of suite {suite.name!r} are labelled yet", hint=hint)
    return about, people, len({label.item[1:] for label in labels if label.about == GOOD} - people.keys())


def _unused(parts: Parts, suite: Suite, missing: set[Item], failed: set[Item]) -> UnusedLabels:
    """Say why labelled outputs have no verdict of this judge; `failed`: it erred or abstained on them."""
    left = missing - failed
    seen: set[Item] = set()
    for run_id in parts.log.runs_of(suite.name, _NEWEST) if left else ():
        seen |= left & {(one.row_digest or "", one.output_digest or "") for one in parts.log.results(run_id)}
    return UnusedLabels(
        no_verdict=len(missing & failed),
        not_judged=len(left & seen),
        not_in_log=len(left - seen),
    )


def _differences(verdicts: "_Runs", people: Mapping[Item, Votes]) -> Iterator[VersionDifference]:
    """Hold every two versions against each other of which labels cover both; the older is base."""
    sides = [(NamedRun(name=name, run=run), verdicts.judged[run]) for run, name in verdicts.newest.items()]
    pairs = ((base, head) for head, base in combinations(sides, 2))
    found = (version_difference(base, head, people) for base, head in pairs)
    yield from islice((one for one in found if one is not None), _MOST_DIFFERENCES)


def save(parts: Parts, calibration: Calibration) -> Path:
    """Keep a calibration in the workspace, for git; return its path relative to the root. Raises WorkspaceError."""
    return write_calibration(parts.root, calibration).relative_to(parts.root)


def _judge_of_outputs(parts: Parts, judge: str, suite: str | None) -> tuple[Suite, Grader]:
    names = (suite,) if suite else parts.suites()
    suites = [found for found in map(parts.suite, names) if judge in [grader.name for grader in found.graders]]
    if len(suites) > 1:
        hint = one_of(f"evalh calibrate {quote(judge)} --suite {{}}", [found.name for found in suites])
        raise UsageError(f"several suites have a grader {judge!r}", hint=hint)
    if not suites:
        known = [grader.name for name in names for grader in parts.suite(name).graders]
        where = f"suite {suite!r}" if suite else "any suite"
        raise NotFound(f"no grader {judge!r} in {where}", hint=did_you_mean(judge, known))
    graders = parts.graders_of(suites[0])
    return suites[0], next(grader for grader in graders if grader.name == judge)


def _read(parts: Parts, suite: Suite, grader: Grader, about: str) -> _Runs:
    """Gather what this very judge said. What an earlier judge said counts for nothing."""
    verdicts, pairs = _Runs(), set[tuple[str, str, str]]()
    for run_id in parts.log.runs_of(suite.name, _NEWEST):
        record = parts.log.run(run_id).record
        documents = {document["name"]: document for document in record.graders_document}
        if identity(documents.get(grader.name, {})) != identity(grader.document()):
            continue
        for item, stratum, outcome in _verdicts(parts, run_id, grader.name, about):
            if outcome in (Outcome.PASS, Outcome.FAIL):
                verdicts.judged[run_id].append(Judged(item, stratum, outcome is Outcome.PASS))
            else:
                verdicts.unjudged.add(item)
        pair = (record.prompt, record.prompt_digest, record.model)
        if pair not in pairs and run_id in verdicts.judged:
            verdicts.newest[run_id] = f"{record.prompt} on {record.model}"
            pairs.add(pair)
    return verdicts


def _verdicts(parts: Parts, run_id: str, judge: str, about: str) -> Iterator[tuple[Item, str, Outcome]]:
    for sample in parts.log.results(run_id):
        if sample.incident:  # chosen because it failed: neither a rate nor agreement may rest on it
            continue
        outcome = sample.outcomes.get(judge)
        if outcome is not None and sample.output_digest is not None and sample.row_digest is not None:
            stratum = str(sample.standing if about == GOOD else outcome)
            yield (sample.row_digest, sample.output_digest), stratum, outcome


class JudgementLog(Struct):
    """Finds replies of the models that graders name."""

    store: "SqliteStore"
    resolve: Callable[[str, Form], Target]
    _known: dict[tuple[str, int], tuple[Form, Settings, bool]] = field(default_factory=dict)

    def find(self, question: Question, about: CallKey) -> Answer | None:
        """Return the log's reply. Raises EvalhError for a model that is no longer there."""
        form, model = question.form, question.model
        if model is None:  # the model that answered: which that was, only its run knew
            return None
        if (model, id(form)) not in self._known:
            target = self.resolve(model, form)
            # The form is kept, so that its id stays its own.
            self._known[model, id(form)] = (form, target.settings(), target.chooses)
        _, settings, routed = self._known[model, id(form)]
        key = CallKey(about.case_id, about.trial, about.step, question.draw)
        return self.store.find_all([(Request(question.messages, settings).digest(), key)], routed=routed)[0]


class LogAsker(Value):
    """`core.verdict.Asker` for one answer."""

    recall: JudgementLog
    key: CallKey

    async def ask(self, question: Question) -> Answer:
        """Return the log's reply. Raises NotSent, EvalhError."""
        found = self.recall.find(question, self.key)
        if found is None:
            raise NotSent("the log has no such verdict")
        return found


def against_feedback(parts: Parts, judge: str, suite: str | None) -> FeedbackAgreement:
    """Hold a judge's verdicts on production's answers beside users' votes. Raises NotFound, UsageError."""
    found, grader = _judge_of_outputs(parts, judge, suite)
    traced = production(parts)
    workflow_of, same_judge = traced.workflow_of_calls(), dict[str, bool]()
    verdicts: dict[str, str] = {}
    with suppress(NotFound):  # nothing was run or graded yet
        for run_id, case, outcome in parts.log.production_outcomes(found.name, judge):
            if run_id not in same_judge:
                documents = {one["name"]: one for one in parts.log.run(run_id).record.graders_document}
                same_judge[run_id] = identity(documents.get(judge, {})) == identity(grader.document())
            if same_judge[run_id]:
                verdicts[workflow_of.get(case, case)] = outcome
    if not verdicts:
        raise UsageError(
            f"{judge!r} has judged none of production's answers since it was changed",
            hint=f"evalh grade {quote(found.name)} --production",
        )
    return beside_feedback(found.name, judge, traced.count(), verdicts, traced.votes())


def calibrate(parts: Parts, judge: str, suite: str | None) -> Calibration:
    """Hold a judge of one output or of two against people. Raises NotFound, UsageError, WorkspaceError."""
    found = _judge_of_pairs(parts, judge, suite)
    if found is None:
        return calibrate_outputs(parts, judge, suite)
    suite_of, prefer = found
    with closing(parts.open_store()) as store:
        compared = list(_compared(parts, suite_of, prefer, JudgementLog(store, parts.targets.resolve)))
    labels = read_labels(parts.tree, parts.config.datasets_dir, suite_of.name)
    return _calibration(parts, suite_of, prefer, compared, votes(label for label in labels if label.about == GOOD))


def _calibration(
    parts: Parts, suite: Suite, prefer: Prefer, compared: list[JudgedComparison], people: dict[Item, Votes]
) -> Calibration:
    every = {case.item: case for one in reversed(compared) for case in one.cases if case.differs}
    judged = [case for case in every.values() if case.favoured is not Favoured.UNJUDGED]
    if not judged:
        raise UsageError(
            f"the log has no judgement of the current judge {prefer.name!r}",
            hint=f"evalh compare BASE HEAD --suite {quote(suite.name)}; stored answers are kept",
        )
    preferred = [one for case in judged if (one := case.people(people)) is not None]
    both = both_prefer(judged, people)
    seed = int(digest([suite.name, prefer.name])[-8:], 16)
    table = confusion(both)
    seen = {item for case in judged for item in case.outputs}
    whole = {item for case in judged if case.people(people) is not None for item in case.outputs}
    failed = {item for case in every.values() for item in case.outputs} - seen
    unused = _unused(parts, suite, people.keys() - seen, failed)
    return Calibration(
        suite=suite.name,
        judge=prefer.name,
        about=GOOD,
        judge_digest=identity(prefer.document()),
        outputs=len(judged),
        unjudged=len(every) - len(judged),
        labelled=len(preferred),
        torn=sum(one == 0 for one in preferred),
        authors=len({author for item in seen & people.keys() for author in people[item].by_author}),
        of_others=len(people.keys() - seen),
        confusion=table,
        agreement=agreement(both, seed=seed) if both else None,
        people=None,
        rates=tuple(win_rate(one, people) for one in compared),
        few_labels=tells_little(table.disagreements, table.labelled),
        at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        position=position(every.values()),
        preferences=tuple(version_preference(one) for one in compared),
        unused=replace(unused, one_side=len(people.keys() & seen - whole)),
    )


def _judge_of_pairs(parts: Parts, judge: str, suite: str | None) -> tuple[Suite, Prefer] | None:
    names = (suite,) if suite else parts.suites()
    suites = [parts.suite(name) for name in names]
    if any(judge == grader.name for one in suites for grader in one.graders):
        return None
    found = [
        (one, prefer)
        for one in suites
        for prefer in (pairwise(one.compare, parts.grader_environment) if one.compare else ())
        if prefer.name == judge
    ]
    if len(found) > 1:
        hint = one_of(f"evalh calibrate {quote(judge)} --suite {{}}", [one.name for one, _ in found])
        raise UsageError(f"several suites have a judge {judge!r}", hint=hint)
    return found[0] if found else None


def _compared(parts: Parts, suite: Suite, prefer: Prefer, recall: JudgementLog) -> Iterator[JudgedComparison]:
    """Read what the judge said of the suite's comparisons, the newest of each two versions."""
    seen: set[object] = set()
    for row in parts.log.comparisons(suite.name, _NEWEST):
        if row.base_run is None or row.head_run is None:
            continue
        runs = [parts.log.run(run) for run in (row.base_run, row.head_run)]
        key = tuple((one.record.prompt_digest, one.record.model) for one in runs)
        if key in seen:
            continue
        seen.add(key)
        base, head = (results_of(parts.log, one) for one in runs)
        models = row.head_model if row.base_model == row.head_model else f"{row.base_model} → {row.head_model}"
        said = asyncio.run(_said(prefer, recall, pairs_of(parts, base, head).asked))
        cases = tuple(_cases(base, head, said))
        yield JudgedComparison(name=f"{row.base} → {row.head} on {models}", run=row.head_run, cases=cases)


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


async def _said(prefer: Prefer, recall: JudgementLog, pairs: Iterable[OutputPair]) -> dict[tuple[str, int], Favoured]:
    found = {}
    for one in pairs:
        with suppress(NotSent, EvalhError):
            judged = await prefer.judge(one.case, one.base, one.head, LogAsker(recall, CallKey(one.case.id, one.trial)))
            found[one.case.id, one.trial] = judged.favoured
    return found
