"""Calibrating a judge: its verdicts in the log, people's labels in the workspace."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import combinations, islice
from pathlib import Path

from msgspec import Struct, field

from evalh.analysis.calibrating import (
    Judged,
    Votes,
    confusion,
    corrected_rate,
    judge_agreement,
    people_agreement,
    votes,
)
from evalh.analysis.shifting import Named, version_difference
from evalh.api.judge_identity import identity
from evalh.api.workspace import Workspace
from evalh.core.calibration import Calibration, VersionDifference
from evalh.core.digest import digest
from evalh.core.errors import NotFound, UsageError, did_you_mean
from evalh.core.label import GOOD
from evalh.core.suite import Suite
from evalh.core.verdict import Outcome
from evalh.graders.kinds import Grader
from evalh.graders.registry import build_all
from evalh.stats.calibration import tells_little
from evalh.workspace.calibrations import write_calibration
from evalh.workspace.labels import read_labels

_NEWEST_RUNS = 50
_MOST_DIFFERENCES = 20


class _Runs(Struct):
    """What this judge said in the log: per run, and the outputs on which it said nothing."""

    judged: dict[str, list[Judged]] = field(default_factory=lambda: defaultdict(list))  # by run
    unjudged: set[tuple[str, str]] = field(default_factory=set)
    newest: dict[str, str] = field(default_factory=dict)  # the newest run of each version and model, and its name


def calibrate(workspace: Workspace, judge: str, suite: str | None) -> Calibration:
    """Hold a judge's verdicts against the labels. Raises NotFound, UsageError, WorkspaceError."""
    found, grader = _find(workspace, judge, suite)
    labels = read_labels(workspace.tree, workspace.config.datasets_dir, found.name)
    about = judge if any(label.about == judge for label in labels) else GOOD
    people = votes(label for label in labels if label.about == about)
    if not people:
        raise UsageError(
            f"nobody has labelled outputs of suite {found.name!r} yet", hint=f"evalh label {found.name} --about {judge}"
        )
    said = _read(workspace, found, grader, about)
    every = list({one.item: one for run in said.judged.values() for one in run}.values())
    if not every:
        raise UsageError(
            f"the log holds no verdict of {judge!r} as it is now",
            hint=f"evalh run {found.name}; stored answers are kept",
        )
    seed = int(digest([found.name, judge])[-8:], 16)
    known = {one.item for one in every}
    mine = {item: one for item, one in people.items() if item in known}
    if not mine:  # a file without a label would stand in the place of one with labels
        raise UsageError(
            f"none of the {len(people)} labelled outputs was judged by {judge!r} as it is now",
            hint=f"evalh label {found.name} --about {judge}",
        )
    table = confusion(every, mine)
    whole = corrected_rate("every output judged", None, every, mine)
    return Calibration(
        suite=found.name,
        judge=judge,
        about=about,
        judge_digest=identity(grader.document()),
        outputs=len(every),
        unjudged=len(said.unjudged - known),
        labelled=len(mine),
        torn=len(mine) - table.labelled,
        authors=len({author for one in mine.values() for author in one.by_author}),
        of_others=len(people) - len(mine),
        confusion=table,
        agreement=judge_agreement(every, mine, seed),
        people=people_agreement(mine, seed),
        rates=(whole, *(corrected_rate(name, run, said.judged[run], mine) for run, name in said.newest.items())),
        few_labels=tells_little(table),
        differences=tuple(_differences(said, mine)),
        at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )


def _differences(said: "_Runs", people: Mapping[tuple[str, str], Votes]) -> Iterator[VersionDifference]:
    """Hold every two versions against each other of which labels cover both; the older is base."""
    sides = [(Named(name=name, run=run), said.judged[run]) for run, name in said.newest.items()]
    pairs = ((base, head) for head, base in combinations(sides, 2))
    found = (version_difference(base, head, people) for base, head in pairs)
    yield from islice((one for one in found if one is not None), _MOST_DIFFERENCES)


def save(workspace: Workspace, calibration: Calibration) -> Path:
    """Keep a calibration in the workspace, for git; return its path relative to the root. Raises WorkspaceError."""
    return write_calibration(workspace.root, calibration).relative_to(workspace.root)


def _find(workspace: Workspace, judge: str, suite: str | None) -> tuple[Suite, Grader]:
    names = (suite,) if suite else workspace.suites()
    suites = [found for found in map(workspace.suite, names) if judge in [grader.name for grader in found.graders]]
    if len(suites) > 1:
        options = " | ".join(found.name for found in suites)
        raise UsageError(f"several suites have a grader {judge!r}", hint=f"--suite {options}")
    if not suites:
        known = [grader.name for name in names for grader in workspace.suite(name).graders]
        where = f"suite {suite!r}" if suite else "any suite"
        raise NotFound(f"no grader {judge!r} in {where}", hint=did_you_mean(judge, known))
    graders = build_all(suites[0].graders, workspace.grader_environment)
    return suites[0], next(grader for grader in graders if grader.name == judge)


def _read(workspace: Workspace, suite: Suite, grader: Grader, about: str) -> _Runs:
    """Gather what this very judge said. What an earlier judge said counts for nothing."""
    said, pairs = _Runs(), set[tuple[str, str, str]]()
    for run_id in workspace.log.runs_of(suite.name, _NEWEST_RUNS):
        record = workspace.log.run(run_id).record
        documents = {document["name"]: document for document in record.graders_document}
        if identity(documents.get(grader.name, {})) != identity(grader.document()):
            continue
        for item, stratum, outcome in _verdicts(workspace, run_id, grader.name, about):
            if outcome in (Outcome.PASS, Outcome.FAIL):
                said.judged[run_id].append(Judged(item, stratum, outcome is Outcome.PASS))
            else:
                said.unjudged.add(item)
        pair = (record.prompt, record.prompt_digest, record.model)
        if pair not in pairs and run_id in said.judged:
            said.newest[run_id] = f"{record.prompt} on {record.model}"
            pairs.add(pair)
    return said


def _verdicts(
    workspace: Workspace, run_id: str, judge: str, about: str
) -> Iterator[tuple[tuple[str, str], str, Outcome]]:
    for sample in workspace.log.results(run_id):
        outcome = sample.outcomes.get(judge)
        if outcome is not None and sample.output_digest is not None and sample.row_digest is not None:
            stratum = str(sample.standing if about == GOOD else outcome)
            yield (sample.row_digest, sample.output_digest), stratum, outcome
